//! The fake server as a test holds it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message};
use serde_json::{Value, json};
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::JoinHandle;

use super::broadcaster::Broadcaster;
use super::connection::Connections;
use super::event_sink::EventSink;
use super::fault::{Fault, FaultHandle, Faults, What};
use super::ledger::{Ledger, State};
use super::link::Link;
use super::record::{Call, Event};
use super::rest::Rest;
use super::rows::{KillRow, RunRow, RunSpec, WorkerRow};
use super::websocket::WebSocketServer;

/// A worker that the server shall know.
#[derive(Clone, Debug)]
pub struct WorkerSpec {
    pub api_key: String,
    pub secret: String,
    pub pool: i64,
}

impl WorkerSpec {
    pub fn new(api_key: &str, secret: &str) -> Self {
        Self { api_key: api_key.to_owned(), secret: secret.to_owned(), pool: 1 }
    }
}

/// How the server is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Ids from 1 in this order; the first is meant where no worker is named.
    pub workers: Vec<WorkerSpec>,
    /// Announces every due run that is not claimed and every kill request that is not acknowledged
    /// again and again, as the original does every 5 s.
    pub reannounce: Option<Duration>,
    /// Objects on a page of a list when the request does not say.
    pub page_size: usize,
    /// Hours that the server's naive times are ahead of UTC.
    pub utc_offset_hours: i32,
    /// How long a wait lasts before it fails.
    pub deadline: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            workers: vec![WorkerSpec::new("testworker", "verysecret")],
            reannounce: None,
            page_size: 200,
            utc_offset_hours: 1,
            deadline: Duration::from_secs(30),
        }
    }
}

/// A Job-Runner server on free loopback ports. Everything of it ends when it is dropped.
pub struct Server {
    options: Options,
    ledger: Arc<Ledger>,
    rest: AsyncMutex<Rest>,
    rest_port: u16,
    faults: Arc<Faults>,
    connections: Arc<Connections>,
    broadcaster: Arc<Broadcaster>,
    api_link: Link,
    broadcaster_link: Link,
    event_link: Link,
    websocket: WebSocketServer,
    websocket_link: Link,
    event_sink: EventSink,
    reannouncing: Option<JoinHandle<()>>,
}

impl Server {
    pub async fn start(options: Options) -> Self {
        let workers = options.workers.iter().zip(1..).map(|(spec, id)| WorkerRow {
            id,
            api_key: spec.api_key.clone(),
            secret: spec.secret.clone(),
            pool: spec.pool,
            ping_response_dts: None,
            worker_version: None,
            concurrent_jobs: None,
            patches: 0,
        });
        let ledger = Arc::new(Ledger::new(State {
            workers: workers.collect(),
            page_size: options.page_size,
            utc_offset_hours: options.utc_offset_hours,
            ..State::default()
        }));
        let rest = Rest::start(ledger.clone()).await;
        let broadcaster = Arc::new(Broadcaster::start(ledger.clone()).await);
        let event_sink = EventSink::start(ledger.clone()).await;
        let websocket = WebSocketServer::start(ledger.clone()).await;
        let link = |target, counters| Link::start(ledger.clone(), target, counters);
        let api_link = link(rest.address, |s| &mut s.api_link).await;
        let broadcaster_link = link(broadcaster.address, |s| &mut s.broadcaster_link).await;
        let event_link = link(event_sink.address, |s| &mut s.event_link).await;
        let websocket_link = link(websocket.address, |s| &mut s.websocket_link).await;
        let reannouncing =
            options.reannounce.map(|interval| tokio::spawn(reannounce(ledger.clone(), broadcaster.clone(), interval)));
        Self {
            ledger,
            rest_port: rest.address.port(),
            faults: rest.faults.clone(),
            connections: rest.connections.clone(),
            rest: AsyncMutex::new(rest),
            broadcaster,
            api_link,
            broadcaster_link,
            event_link,
            websocket,
            websocket_link,
            event_sink,
            reannouncing,
            options,
        }
    }

    // Where it is.

    pub fn api_base_url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.rest_port)
    }

    pub fn api_port(&self) -> u16 {
        self.rest_port
    }

    pub fn ws_url(&self) -> String {
        format!("ws://{}/", self.websocket_link.address)
    }

    /// Key and secret of the nth worker, from 0.
    pub fn worker_spec(&self, index: usize) -> &WorkerSpec {
        &self.options.workers[index]
    }

    fn first_key(&self) -> &str {
        &self.options.workers[0].api_key
    }

    // What there is to do.

    /// Makes a run that is not announced yet.
    pub fn add_run(&self, spec: impl Into<RunSpec>) -> i64 {
        let spec = spec.into();
        self.ledger.change(|state| state.add_run(spec))
    }

    /// Makes a run and announces it.
    pub fn submit(&self, spec: impl Into<RunSpec>) -> i64 {
        let id = self.add_run(spec);
        self.announce(id);
        id
    }

    /// Changes a run behind everybody's back.
    pub fn edit_run(&self, id: i64, edit: impl FnOnce(&mut RunRow)) {
        self.ledger.change(|state| edit(state.runs.get_mut(&id).expect("the run was made")));
    }

    /// Deletes a run: it is answered with 404 from now on.
    pub fn delete_run(&self, id: i64) {
        self.ledger.change(|state| state.runs.remove(&id));
    }

    /// Announces a run to the worker it is pinned to, else to the first.
    pub fn announce(&self, run_id: i64) {
        let key = self.ledger.read(|state| key_for_run(state, run_id));
        self.announce_to(&key, run_id);
    }

    /// Announces a run to the worker with this key. The run need not exist.
    pub fn announce_to(&self, api_key: &str, run_id: i64) {
        self.tell(api_key, enqueue_text(run_id));
    }

    /// A message for the worker with this key, whatever it is.
    pub fn tell(&self, api_key: &str, message: impl Into<Vec<u8>>) {
        self.announce_raw(vec![topic(api_key), message.into()]);
    }

    /// These frames, to whoever has subscribed to the beginning of the first.
    pub fn announce_raw(&self, frames: Vec<Vec<u8>>) {
        self.broadcaster.send(frames);
    }

    /// Asks the first worker for a sign of life.
    pub fn ping(&self) {
        self.tell(self.first_key(), r#"{"action": "ping"}"#);
    }

    /// Makes a kill request that is not announced yet.
    pub fn add_kill(&self, run_id: i64) -> i64 {
        self.ledger.change(|state| state.add_kill(run_id))
    }

    /// Makes a kill request and announces it to the worker of its run.
    pub fn kill(&self, run_id: i64) -> i64 {
        let id = self.add_kill(run_id);
        self.announce_kill(id);
        id
    }

    /// Announces a kill request (again).
    pub fn announce_kill(&self, kill_id: i64) {
        let key = self.ledger.read(|state| key_for_run(state, state.kill(kill_id).run));
        self.tell(&key, kill_text(kill_id));
    }

    /// Pushes a JSON message to every WebSocket client.
    pub fn push_ws(&self, message: &Value) {
        self.push_ws_text(message.to_string());
    }

    /// Pushes a text message to every WebSocket client.
    pub fn push_ws_text(&self, text: impl Into<String>) {
        self.websocket.push(Message::Text(text.into().into()));
    }

    /// Pushes a binary message to every WebSocket client.
    pub fn push_ws_binary(&self, bytes: Vec<u8>) {
        self.websocket.push(Message::Binary(bytes.into()));
    }

    /// Closes every WebSocket connection in the regular way.
    pub fn close_ws(&self, code: u16, reason: &str) {
        let frame = CloseFrame { code, reason: reason.to_owned().into() };
        self.websocket.push(Message::Close(Some(frame)));
    }

    // What goes wrong.

    pub fn inject(&self, fault: Fault) -> FaultHandle {
        self.faults.inject(fault)
    }

    /// No fault catches anything more. What one holds back already stays held back.
    pub fn clear_faults(&self) {
        self.faults.clear();
    }

    /// True: the API is down, its port refuses and open connections are reset. False: it is back.
    pub async fn refuse_connections(&self, refuse: bool) {
        let mut rest = self.rest.lock().await;
        if refuse { rest.close().await } else { rest.reopen().await }
    }

    /// Resets every open connection of the API, as a load balancer does that restarts.
    pub fn reset_connections(&self) {
        self.connections.reset_all();
    }

    /// The WebSocket server answers new clients with this status; `None`: it accepts them again.
    pub fn refuse_websockets(&self, status: Option<u16>) {
        self.websocket.refuse(status);
    }

    /// Asks this for each request that no injected fault has caught.
    pub fn set_weather(&self, weather: impl Fn(&Call) -> Option<What> + Send + Sync + 'static) {
        self.faults.set_weather(weather);
    }

    /// A way to the API that can be frozen. Who shall take it is told its address instead of the API's.
    pub fn api(&self) -> &Link {
        &self.api_link
    }

    /// The way to the broadcaster.
    pub fn broadcaster(&self) -> &Link {
        &self.broadcaster_link
    }

    /// The way to the event intake.
    pub fn event_intake(&self) -> &Link {
        &self.event_link
    }

    /// The way to the WebSocket server. Frozen, it answers no pings.
    pub fn websocket(&self) -> &Link {
        &self.websocket_link
    }

    // What happened.

    /// A look at everything at once. Not to be kept long: the server waits meanwhile.
    pub fn look<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        self.ledger.read(look)
    }

    /// A change of everything at once.
    pub fn change<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        self.ledger.change(act)
    }

    pub fn calls(&self) -> Vec<Call> {
        self.look(|state| state.calls.clone())
    }

    pub fn events(&self) -> Vec<Event> {
        self.look(|state| state.events.clone())
    }

    pub fn run(&self, id: i64) -> RunRow {
        self.look(|state| state.run(id).clone())
    }

    pub fn kill_request(&self, id: i64) -> KillRow {
        self.look(|state| state.kill(id).clone())
    }

    pub fn worker(&self, api_key: &str) -> WorkerRow {
        self.look(|state| state.worker(api_key).clone())
    }

    /// Panics unless the run was claimed, started, logged and returned once each and in this order.
    #[track_caller]
    pub fn assert_whole_life(&self, run_id: i64) {
        if let Err(wrong) = self.run(run_id).check_whole_life() {
            panic!("{wrong}\n{}", self.look(State::dump));
        }
    }

    /// Panics if two PATCHes of one resource were ever under way together.
    #[track_caller]
    pub fn assert_no_overlapping_writes(&self) {
        let pairs = self.look(State::overlapping_writes);
        assert!(pairs.is_empty(), "PATCHes at once: {pairs:?}\n{}", self.look(State::dump));
    }

    // Waiting.

    /// Waits until this holds; looks at each change. Panics after the deadline.
    #[track_caller]
    pub fn wait<'a>(
        &'a self,
        holds: impl Fn(&State) -> bool + 'a,
        awaited: impl Into<String> + 'a,
    ) -> impl Future<Output = ()> + 'a {
        self.wait_for(move |state| holds(state).then_some(()), awaited)
    }

    /// Waits until there is something to be found. Panics after the deadline.
    #[track_caller]
    pub fn wait_for<'a, R: 'a>(
        &'a self,
        find: impl FnMut(&State) -> Option<R> + 'a,
        awaited: impl Into<String> + 'a,
    ) -> impl Future<Output = R> + 'a {
        self.ledger.expect_within(self.options.deadline, find, awaited)
    }

    /// Like [`Server::wait`] with a deadline of its own.
    #[track_caller]
    pub fn wait_within<'a>(
        &'a self,
        deadline: Duration,
        holds: impl Fn(&State) -> bool + 'a,
        awaited: impl Into<String> + 'a,
    ) -> impl Future<Output = ()> + 'a {
        let find = move |state: &State| holds(state).then_some(());
        self.ledger.expect_within(deadline, find, awaited)
    }

    /// Waits until this holds, no longer than so long. Whether it does.
    pub async fn holds_within(&self, time: Duration, holds: impl Fn(&State) -> bool) -> bool {
        self.ledger.find_within(time, |state| holds(state).then_some(())).await.is_some()
    }

    /// Watches for a while that this never holds. Panics when it does.
    pub async fn never_within(&self, time: Duration, holds: impl Fn(&State) -> bool, forbidden: &str) {
        let found = self.ledger.find_within(time, |state| holds(state).then(|| state.dump())).await;
        if let Some(dump) = found {
            panic!("happened, but must not: {forbidden}\n{dump}");
        }
    }

    /// Until the run is claimed.
    #[track_caller]
    pub fn wait_claimed(&self, run_id: i64) -> impl Future<Output = RunRow> + '_ {
        let claimed = move |run: &RunRow| run.enqueue_dts.is_some();
        self.wait_for(move |s| Some(s.run(run_id)).filter(|r| claimed(r)).cloned(), format!("claim of run {run_id}"))
    }

    /// Until the run is started.
    #[track_caller]
    pub fn wait_started(&self, run_id: i64) -> impl Future<Output = RunRow> + '_ {
        let started = move |run: &RunRow| run.start_dts.is_some();
        self.wait_for(move |s| Some(s.run(run_id)).filter(|r| started(r)).cloned(), format!("start of run {run_id}"))
    }

    /// Until the run is returned.
    #[track_caller]
    pub fn wait_returned(&self, run_id: i64) -> impl Future<Output = RunRow> + '_ {
        let returned = move |run: &RunRow| run.return_dts.is_some();
        self.wait_for(move |s| Some(s.run(run_id)).filter(|r| returned(r)).cloned(), format!("return of run {run_id}"))
    }

    /// Until the log of the run contains this.
    #[track_caller]
    pub fn wait_logged<'a>(&'a self, run_id: i64, text: &'a str) -> impl Future<Output = RunRow> + 'a {
        self.wait_for(move |s| Some(s.run(run_id)).filter(|run| run.log_text().contains(text)).cloned(), text)
    }

    /// Until the kill request is executed.
    #[track_caller]
    pub fn wait_executed(&self, kill_id: i64) -> impl Future<Output = KillRow> + '_ {
        self.wait_for(
            move |s| Some(s.kill(kill_id)).filter(|kill| kill.execute_dts.is_some()).cloned(),
            format!("execution of kill request {kill_id}"),
        )
    }

    /// Until the event of the run was seen.
    #[track_caller]
    pub fn wait_event<'a>(&'a self, name: &'a str, run_id: i64) -> impl Future<Output = Event> + 'a {
        self.wait_for(
            move |s| s.events.iter().find(|event| event.is_run(name, run_id)).cloned(),
            format!("event {name} of run {run_id}"),
        )
    }

    /// Until the event of the kill request was seen.
    #[track_caller]
    pub fn wait_kill_event<'a>(&'a self, name: &'a str, kill_id: i64) -> impl Future<Output = Event> + 'a {
        self.wait_for(
            move |s| s.events.iter().find(|event| event.is_kill(name, kill_id)).cloned(),
            format!("event {name} of kill request {kill_id}"),
        )
    }

    /// Until somebody with this key hears the broadcaster.
    #[track_caller]
    pub fn wait_subscribed_as<'a>(&'a self, api_key: &'a str) -> impl Future<Output = ()> + 'a {
        self.wait(move |state| state.subscribed(api_key) > 0, format!("subscription of {api_key}"))
    }

    /// Until the first worker hears the broadcaster and its events are heard.
    #[track_caller]
    pub fn wait_up(&self) -> impl Future<Output = ()> + '_ {
        let up = |state: &State| state.subscribed(self.first_key()) > 0 && state.event_peers > 0;
        self.wait(up, "subscription and event socket of the first worker")
    }

    /// Until the first worker hears the broadcaster.
    #[track_caller]
    pub fn wait_subscribed(&self) -> impl Future<Output = ()> + '_ {
        self.wait(|state| state.subscribed(self.first_key()) > 0, "a subscription")
    }

    /// Until so many WebSocket clients are connected at once.
    #[track_caller]
    pub fn wait_websockets(&self, count: usize) -> impl Future<Output = ()> + '_ {
        self.wait(move |state| state.open_websockets() >= count, "WebSocket clients")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(task) = &self.reannouncing {
            task.abort();
        }
    }
}

fn topic(api_key: &str) -> Vec<u8> {
    format!("master.broadcast.{api_key}").into_bytes()
}

/// The order of the keys varies on the wire.
fn enqueue_text(run_id: i64) -> String {
    if run_id % 2 == 0 {
        format!(r#"{{"action": "enqueue", "run_id": {run_id}}}"#)
    } else {
        format!(r#"{{"run_id": {run_id}, "action": "enqueue"}}"#)
    }
}

fn kill_text(kill_id: i64) -> String {
    format!(r#"{{"kill_request_id": {kill_id}, "action": "kill"}}"#)
}

fn key_for_run(state: &State, run_id: i64) -> String {
    let pinned = state.runs.get(&run_id).and_then(|run| run.worker);
    let worker = state.workers.iter().find(|worker| Some(worker.id) == pinned);
    worker.unwrap_or(&state.workers[0]).api_key.clone()
}

async fn reannounce(ledger: Arc<Ledger>, broadcaster: Arc<Broadcaster>, interval: Duration) {
    let mut ticks = tokio::time::interval(interval);
    loop {
        ticks.tick().await;
        let due = ledger.read(|state| {
            let runs = state.runs.values().filter(|run| run.due && run.enqueue_dts.is_none());
            let kills = state.kills.values().filter(|kill| kill.enqueue_dts.is_none());
            let runs = runs.map(|run| (key_for_run(state, run.id), enqueue_text(run.id)));
            runs.chain(kills.map(|kill| (key_for_run(state, kill.run), kill_text(kill.id)))).collect::<Vec<_>>()
        });
        for (key, text) in due {
            broadcaster.send(vec![topic(&key), text.into_bytes()]);
        }
    }
}
