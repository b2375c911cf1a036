//! The one state of the server, and the way to wait for a change of it.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::Location;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use chrono::{FixedOffset, Utc};
use tokio::sync::watch;

use super::link::LinkCounters;
use super::record::{Announcement, Call, Event, Subscription, WebSocketClient};
use super::rows::{KillRow, RunRow, RunSpec, WorkerRow};

/// How many of the last calls a failed wait prints.
const DUMPED_CALLS: usize = 40;
/// How much of a body it prints of each.
const DUMPED_BODY: usize = 200;

/// Everything that the server knows and saw.
#[derive(Default)]
pub struct State {
    pub(super) last_seq: u64,
    pub workers: Vec<WorkerRow>,
    pub runs: BTreeMap<i64, RunRow>,
    pub kills: BTreeMap<i64, KillRow>,
    /// Which run each log belongs to.
    pub log_runs: BTreeMap<i64, i64>,
    pub calls: Vec<Call>,
    pub events: Vec<Event>,
    pub announcements: Vec<Announcement>,
    pub subscriptions: Vec<Subscription>,
    /// Peers whose handshake with the event sink is complete, counted since the start.
    pub event_peers: usize,
    pub websockets: Vec<WebSocketClient>,
    /// TCP connections to the REST API, counted since the start.
    pub rest_connections: u64,
    /// Those of them that are open.
    pub rest_open: usize,
    pub api_link: LinkCounters,
    pub broadcaster_link: LinkCounters,
    pub event_link: LinkCounters,
    pub websocket_link: LinkCounters,
    pub(super) utc_offset_hours: i32,
    pub(super) page_size: usize,
}

impl State {
    /// The next place in the order of everything.
    pub(super) fn next_seq(&mut self) -> u64 {
        self.last_seq += 1;
        self.last_seq
    }

    pub(super) fn zone(&self) -> FixedOffset {
        FixedOffset::east_opt(self.utc_offset_hours * 3600).expect("an offset within a day")
    }

    /// The present as the server tells it: naive, in its own zone.
    pub fn naive_now(&self) -> String {
        Utc::now().with_timezone(&self.zone()).format("%Y-%m-%dT%H:%M:%S%.6f").to_string()
    }

    /// The run with this id. Panics if there is none.
    pub fn run(&self, id: i64) -> &RunRow {
        self.runs.get(&id).unwrap_or_else(|| panic!("run {id} was never made"))
    }

    /// The kill request with this id. Panics if there is none.
    pub fn kill(&self, id: i64) -> &KillRow {
        self.kills.get(&id).unwrap_or_else(|| panic!("kill request {id} was never made"))
    }

    /// The worker with this key. Panics if there is none.
    pub fn worker(&self, api_key: &str) -> &WorkerRow {
        self.workers
            .iter()
            .find(|worker| worker.api_key == api_key)
            .unwrap_or_else(|| panic!("worker {api_key} was never made"))
    }

    /// Whether an event of this name was seen for the run.
    pub fn has_run_event(&self, name: &str, run_id: i64) -> bool {
        self.events.iter().any(|event| event.is_run(name, run_id))
    }

    /// Whether an event of this name was seen for the kill request.
    pub fn has_kill_event(&self, name: &str, kill_id: i64) -> bool {
        self.events.iter().any(|event| event.is_kill(name, kill_id))
    }

    /// Calls of this method on exactly this path.
    pub fn calls_of<'a>(&'a self, method: &'a str, path: &'a str) -> impl Iterator<Item = &'a Call> + 'a {
        self.calls.iter().filter(move |call| call.is(method, path))
    }

    /// How many subscriptions to the topic of this key have reached the broadcaster since the start.
    pub fn subscribed(&self, api_key: &str) -> usize {
        let topic = format!("master.broadcast.{api_key}");
        self.subscriptions.iter().filter(|s| s.on && s.topic == topic.as_bytes()).count()
    }

    /// WebSocket clients that are connected.
    pub fn open_websockets(&self) -> usize {
        self.websockets.iter().filter(|client| client.open).count()
    }

    pub(super) fn add_run(&mut self, spec: RunSpec) -> i64 {
        let id = self.runs.last_key_value().map_or(1, |(last, _)| last + 1);
        let schedule_dts = spec.schedule_dts.unwrap_or_else(|| self.naive_now());
        let (return_dts, return_success) = spec.returned.unzip();
        let log_id = spec.log.as_ref().map(|_| self.add_log(id));
        let row = RunRow {
            id,
            script: spec.script,
            pool: spec.pool,
            worker: spec.worker.map(|key| self.worker(&key).id),
            schedule_dts,
            enqueue_dts: spec.enqueue_dts,
            start_dts: spec.start_dts,
            pid: spec.pid,
            return_dts,
            return_success,
            log_id,
            log: spec.log,
            log_history: Vec::new(),
            steps: Vec::new(),
            completions: 0,
            due: spec.due,
            run_overrides: spec.run_overrides,
            job_overrides: spec.job_overrides,
        };
        self.runs.insert(id, row);
        id
    }

    pub(super) fn add_log(&mut self, run: i64) -> i64 {
        let id = self.log_runs.last_key_value().map_or(1, |(last, _)| last + 1);
        self.log_runs.insert(id, run);
        id
    }

    pub(super) fn add_kill(&mut self, run: i64) -> i64 {
        let id = self.kills.last_key_value().map_or(1, |(last, _)| last + 1);
        let schedule_dts = self.naive_now();
        self.kills.insert(
            id,
            KillRow {
                id,
                run,
                schedule_dts,
                enqueue_dts: None,
                execute_dts: None,
                enqueued: Vec::new(),
                executed: Vec::new(),
            },
        );
        id
    }

    /// The last calls, one a line, and what else happened in numbers.
    pub fn dump(&self) -> String {
        let first = self.calls.len().saturating_sub(DUMPED_CALLS);
        let mut text = format!(
            "{} calls, {} events, {} announcements, {} subscriptions, {} WebSocket clients\n",
            self.calls.len(),
            self.events.len(),
            self.announcements.len(),
            self.subscriptions.len(),
            self.websockets.len(),
        );
        for call in &self.calls[first..] {
            let body: String = call.body.to_string().chars().take(DUMPED_BODY).collect();
            let status = call.status.map_or("-".to_owned(), |status| status.to_string());
            let query = if call.query.is_empty() { "" } else { "?" };
            text.push_str(&format!(
                "  #{} c{} {} {}{query}{} -> {status} {body}\n",
                call.seq, call.connection, call.method, call.path, call.query,
            ));
        }
        for event in &self.events[self.events.len().saturating_sub(DUMPED_CALLS)..] {
            text.push_str(&format!("  #{} event {}\n", event.seq, event.body));
        }
        text
    }
}

/// The state behind a lock that is never held across an await, and a bell that rings at each change.
pub struct Ledger {
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

impl Ledger {
    pub fn new(state: State) -> Self {
        Self { state: Mutex::new(state), changed: watch::Sender::new(()) }
    }

    pub fn read<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        look(&self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    pub fn change<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        let result = act(&mut self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
        self.changed.send_replace(());
        result
    }

    /// Waits until `find` finds something. `None` after the deadline.
    pub async fn find_within<R>(&self, deadline: Duration, mut find: impl FnMut(&State) -> Option<R>) -> Option<R> {
        let mut changes = self.changed.subscribe();
        let looking = async {
            loop {
                changes.borrow_and_update();
                if let Some(found) = self.read(&mut find) {
                    return found;
                }
                changes.changed().await.expect("the sender lives as long as the ledger");
            }
        };
        tokio::time::timeout(deadline, looking).await.ok()
    }

    /// Like [`Ledger::find_within`]; panics after the deadline and tells what happened instead.
    #[track_caller]
    pub fn expect_within<'a, R: 'a>(
        &'a self,
        deadline: Duration,
        find: impl FnMut(&State) -> Option<R> + 'a,
        awaited: impl Into<String> + 'a,
    ) -> impl Future<Output = R> + 'a {
        let caller = Location::caller();
        let since = Instant::now();
        async move {
            match self.find_within(deadline, find).await {
                Some(found) => found,
                None => panic!(
                    "{caller}: waited {:.1} s in vain for: {}\n{}",
                    since.elapsed().as_secs_f64(),
                    awaited.into(),
                    self.read(State::dump),
                ),
            }
        }
    }
}
