//! A Flamenco Manager on a loopback port, which keeps to the rules that a worker sees, remembers every call, and misbehaves
//! on request. It uses nothing of the code under test.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

const PATIENCE: Duration = Duration::from_secs(40);
/// Id that the first worker gets; the next ones follow.
const FIRST_WORKER: u64 = 0x5ee1_0000_0000_0001;

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call has no effect and gets this status.
    Status(u16),
    /// The call is carried out, and its answer is a 503.
    AnswerLost,
    /// The call has no effect, and its answer is a web page.
    WebPage,
}

/// A call as it came.
#[derive(Clone, Debug)]
pub struct Call {
    /// Method and path; ids are as they were sent.
    pub line: String,
    pub authorization: Option<String>,
    pub body: Value,
}

/// A task, as the Manager keeps it.
#[derive(Clone, Debug)]
pub struct Task {
    pub status: String,
    pub activity: String,
    pub log: String,
    /// Number of accepted updates with an end.
    pub ends: u32,
    /// States in the order in which they were told.
    pub told: Vec<String>,
    document: Value,
}

#[derive(Default)]
struct Farm {
    tasks: BTreeMap<String, Task>,
    queue: VecDeque<String>,
    /// Secrets by worker id.
    workers: BTreeMap<String, String>,
    calls: Vec<Call>,
    faults: VecDeque<(&'static str, Fault)>,
    /// Paths that fail until they are mended.
    broken: Option<(&'static str, Fault)>,
    /// State that the worker is asked to take, and whether it may finish its task.
    asked: Option<(&'static str, bool)>,
    acknowledged: Vec<String>,
}

pub struct Manager {
    farm: Arc<Mutex<Farm>>,
    changes: watch::Sender<()>,
    port: u16,
    serving: JoinHandle<()>,
}

#[derive(Clone)]
struct Shared {
    farm: Arc<Mutex<Farm>>,
    changes: watch::Sender<()>,
}

impl Manager {
    pub async fn start() -> Self {
        let (farm, changes) = (Arc::new(Mutex::new(Farm::default())), watch::Sender::new(()));
        let shared = Shared { farm: Arc::clone(&farm), changes: changes.clone() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let app = Router::new().fallback(answer).with_state(shared);
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { farm, changes, port, serving }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    fn farm(&self) -> MutexGuard<'_, Farm> {
        self.farm.lock().unwrap()
    }

    /// Queues a task and returns its id.
    pub fn submit(&self, commands: &[Value]) -> String {
        let mut farm = self.farm();
        let id = format!("5ee1{:020x}", farm.tasks.len() + 1);
        let document = json!({
            "_id": id, "job": "5ee100000000000000000000", "name": "test", "status": "queued", "priority": 50,
            "job_priority": 50, "job_type": "sleep", "task_type": "sleep", "commands": commands,
        });
        let task = Task {
            status: "queued".into(),
            activity: String::new(),
            log: String::new(),
            ends: 0,
            told: Vec::new(),
            document,
        };
        farm.tasks.insert(id.clone(), task);
        farm.queue.push_back(id.clone());
        id
    }

    /// The next call to a path that begins so goes wrong; faults come in the order of their requests.
    pub fn fail(&self, path: &'static str, fault: Fault) {
        self.farm().faults.push_back((path, fault));
    }

    /// All calls to paths that begin so go wrong from now on, or none.
    pub fn set_broken(&self, broken: Option<(&'static str, Fault)>) {
        self.farm().broken = broken;
    }

    /// Asks the worker to take a state, at once or after its task.
    pub fn ask(&self, status: &'static str, is_lazy: bool) {
        self.farm().asked = Some((status, is_lazy));
    }

    /// Cancels a task.
    pub fn cancel(&self, task: &str) {
        self.farm().tasks.get_mut(task).unwrap().status = "cancel-requested".into();
    }

    pub fn task(&self, id: &str) -> Task {
        self.farm().tasks[id].clone()
    }

    /// The calls so far.
    pub fn calls(&self) -> Vec<Call> {
        self.farm().calls.clone()
    }

    /// Lines of the calls so far, without the questions whether a task may run.
    pub fn lines(&self) -> Vec<String> {
        self.calls().into_iter().map(|call| call.line).filter(|line| !line.contains("may-i-run")).collect()
    }

    /// States that were acknowledged.
    pub fn acknowledged(&self) -> Vec<String> {
        self.farm().acknowledged.clone()
    }

    pub async fn wait_status(&self, task: &str, status: &str) -> Task {
        self.wait(&format!("{task} {status}"), |farm| farm.tasks[task].status == status).await;
        self.task(task)
    }

    pub async fn wait_logged(&self, task: &str, text: &str) {
        self.wait(&format!("{text} in the log of {task}"), |farm| farm.tasks[task].log.contains(text)).await;
    }

    /// Waits for a call whose line contains a text.
    pub async fn wait_call(&self, text: &str) {
        self.wait(text, |farm| farm.calls.iter().any(|call| call.line.contains(text))).await;
    }

    /// Waits for the next question whether a task may run.
    pub async fn wait_asked(&self) {
        let asked = |farm: &Farm| farm.calls.iter().filter(|call| call.line.contains("may-i-run")).count();
        let before = asked(&self.farm());
        self.wait("may-i-run", |farm| asked(farm) > before).await;
    }

    async fn wait(&self, what: &str, holds: impl Fn(&Farm) -> bool) {
        let mut changes = self.changes.subscribe();
        let waiting = async {
            while !holds(&self.farm()) {
                changes.changed().await.unwrap();
            }
        };
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            panic!("waited in vain for {what}; calls: {:#?}", self.lines());
        }
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(State(shared): State<Shared>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let body = to_bytes(body, 16 * 1024 * 1024).await.unwrap();
    let call = Call {
        line: format!("{} {path}", head.method),
        authorization: head.headers.get("authorization").map(|value| value.to_str().unwrap().to_owned()),
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    };
    let answer = {
        let mut farm = shared.farm.lock().unwrap();
        farm.calls.push(call.clone());
        let fault = farm.fault_of(&path);
        match fault {
            Some(Fault::Status(status)) => plain(status, "fault"),
            Some(Fault::WebPage) => plain(200, "<html>Please log in</html>"),
            Some(Fault::AnswerLost) => {
                farm.carry_out(head.method.as_ref(), &path, &head.headers, &call);
                plain(503, "lost")
            }
            None => farm.carry_out(head.method.as_ref(), &path, &head.headers, &call),
        }
    };
    shared.changes.send_replace(());
    answer
}

fn plain(status: u16, text: &str) -> Response {
    Response::builder().status(status).body(Body::from(text.to_owned())).unwrap()
}

fn document(status: StatusCode, value: &Value) -> Response {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Body::from(value.to_string()))
        .unwrap()
}

impl Farm {
    fn fault_of(&mut self, path: &str) -> Option<Fault> {
        let next = self.faults.iter().position(|(prefix, _)| path.starts_with(prefix));
        if let Some(at) = next {
            return self.faults.remove(at).map(|(_, fault)| fault);
        }
        self.broken.filter(|(prefix, _)| path.starts_with(prefix)).map(|(_, fault)| fault)
    }

    fn add_worker(&mut self, secret: &str) -> String {
        let id = format!("{:024x}", FIRST_WORKER + self.workers.len() as u64);
        self.workers.insert(id.clone(), secret.to_owned());
        id
    }

    fn is_known(&self, call: &Call) -> bool {
        let known = |(id, secret): (&String, &String)| {
            use base64::Engine as _;
            let basic = base64::engine::general_purpose::STANDARD.encode(format!("{id}:{secret}"));
            call.authorization.as_deref() == Some(&format!("Basic {basic}"))
        };
        self.workers.iter().any(known)
    }

    fn carry_out(&mut self, method: &str, path: &str, headers: &HeaderMap, call: &Call) -> Response {
        if path == "/register-worker" {
            let id = self.add_worker(call.body["secret"].as_str().unwrap());
            return document(StatusCode::OK, &json!({"_id": id, "nickname": call.body["nickname"], "status": ""}));
        }
        if !self.is_known(call) {
            return plain(401, "Unauthorised");
        }
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match (method, parts.as_slice()) {
            ("POST", ["sign-on" | "sign-off"]) => plain(204, ""),
            ("POST", ["task"]) => self.give_task(headers),
            ("GET", ["may-i-run", id]) => self.may_run(id),
            ("POST", ["tasks", id, "update"]) => self.update(id, &call.body),
            ("POST", ["tasks", id, "return"]) => {
                if let Some(task) = self.tasks.get_mut(*id).filter(|task| task.status == "active") {
                    task.status = "claimed-by-manager".into();
                }
                plain(204, "")
            }
            ("GET", ["status-change"]) => match self.asked {
                Some((status, _)) => document(StatusCode::OK, &json!({"status_requested": status})),
                None => plain(204, ""),
            },
            ("POST", ["ack-status-change", status]) => {
                self.acknowledged.push((*status).to_owned());
                self.asked = None;
                plain(204, "")
            }
            _ => plain(404, "no such call"),
        }
    }

    fn give_task(&mut self, headers: &HeaderMap) -> Response {
        assert!(!headers.contains_key("content-type"), "the question for a task has no body");
        if let Some((status, _)) = self.asked {
            return document(StatusCode::LOCKED, &json!({"status_requested": status}));
        }
        let active = self.tasks.iter().find(|(_, task)| task.status == "active").map(|(id, _)| id.clone());
        let Some(id) = active.or_else(|| self.queue.pop_front()) else { return plain(204, "") };
        let task = self.tasks.get_mut(&id).unwrap();
        task.status = "active".into();
        document(StatusCode::OK, &task.document)
    }

    fn may_run(&self, id: &str) -> Response {
        let is_active = self.tasks.get(id).is_some_and(|task| task.status == "active");
        let answer = match (is_active, self.asked) {
            (false, None) => json!({"may_keep_running": false, "reason": "task is not active"}),
            (false, Some((status, _))) => json!({"may_keep_running": false, "status_requested": status}),
            (true, None) => json!({"may_keep_running": true}),
            (true, Some((status, is_lazy))) => json!({"may_keep_running": is_lazy, "status_requested": status}),
        };
        document(StatusCode::OK, &answer)
    }

    fn update(&mut self, id: &str, update: &Value) -> Response {
        let Some(task) = self.tasks.get_mut(id) else { return plain(404, "unknown") };
        if let Some(log) = update["log"].as_str() {
            task.log.push_str(log);
            task.log.push('\n');
        }
        if task.status != "active" {
            return plain(204, "");
        }
        if let Some(activity) = update["activity"].as_str() {
            task.activity = activity.to_owned();
        }
        if let Some(status) = update["task_status"].as_str() {
            task.status = status.to_owned();
            task.told.push(status.to_owned());
            task.ends += u32::from(status != "active");
        }
        plain(204, "")
    }
}
