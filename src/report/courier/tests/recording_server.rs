//! Recording server: answers the calls of a courier, fails those that a test names, and records all of them in order.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{self, Body};
use axum::extract::{Request, State};
use axum::http::{Method, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use url::Url;

use crate::wire::resources::ATTEMPT;

const MAX_BODY: usize = 1 << 20;
/// Deadline for a call that a test waits for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Failure of one call, which the server carries out or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call has no effect, and is answered with this status.
    Refused(u16),
    /// The call has no effect, and is answered with 503 and the wish for a pause of an hour.
    Away,
    /// The call is carried out, and answered with 503 by whatever is in front of the server.
    AnswerLost,
    /// The log is created, and the answer does not name its path.
    PathUnnamed,
}

/// Server with one run, run 2 of worker 1.
#[derive(Clone)]
pub struct RecordingServer {
    pub url: Url,
    state: Arc<Recorded>,
}

struct Recorded {
    calls: watch::Sender<Vec<String>>,
    faults: Mutex<Vec<(&'static str, Fault)>>,
    run: Mutex<Value>,
}

impl RecordingServer {
    pub async fn start() -> Self {
        let run = json!({
            "id": 2, "worker": "/api/v1/worker/1/", "enqueue_dts": "2026-11-23T18:02:01.622914", "start_dts": null,
            "return_dts": null, "run_log": null,
        });
        let state = Arc::new(Recorded {
            calls: watch::Sender::new(Vec::new()),
            faults: Mutex::default(),
            run: Mutex::new(run),
        });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let url = format!("http://{}/", listener.local_addr().expect("an address")).parse().expect("a URL");
        let router = Router::new().fallback(answer).with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, state }
    }

    /// Fails the next call whose record begins with these words; several faults of one kind come one after another.
    pub fn fail(&self, call: &'static str, fault: Fault) {
        self.state.faults.lock().unwrap().push((call, fault));
    }

    /// Changes a field of the run, as another client of the server would.
    pub fn set(&self, field: &str, value: Value) {
        self.state.run.lock().unwrap()[field] = value;
    }

    /// Returns a field of the run.
    pub fn field(&self, field: &str) -> Value {
        self.state.run.lock().unwrap()[field].clone()
    }

    /// Returns all calls so far, in order.
    pub fn calls(&self) -> Vec<String> {
        self.state.calls.borrow().clone()
    }

    /// Waits until this many calls were made.
    pub async fn wait_for_calls(&self, number: usize) {
        let mut calls = self.state.calls.subscribe();
        let enough = calls.wait_for(|calls| calls.len() >= number);
        if tokio::time::timeout(PATIENCE, enough).await.is_err() {
            panic!("{number} calls were expected: {:?}", self.calls());
        }
    }
}

async fn answer(State(state): State<Arc<Recorded>>, request: Request) -> Response<Body> {
    let (head, content) = request.into_parts();
    let content = body::to_bytes(content, MAX_BODY).await.expect("a body");
    let body: Value = serde_json::from_slice(&content).unwrap_or_default();
    let mut call = described(&head.method, head.uri.path(), &body);
    if let Some(attempt) = head.headers.get(ATTEMPT) {
        call = format!("{call} of attempt {}", attempt.to_str().expect("a number"));
    }
    let fault = {
        let mut faults = state.faults.lock().unwrap();
        let at = faults.iter().position(|(failing, _)| call.starts_with(failing));
        at.map(|at| faults.remove(at).1)
    };
    state.calls.send_modify(|calls| calls.push(call.clone()));
    let response = Response::builder();
    if let Some(Fault::Refused(status)) = fault {
        return response.status(status).body(Body::empty()).unwrap();
    }
    if matches!(fault, Some(Fault::Away)) {
        return response.status(503).header("retry-after", "3600").body(Body::empty()).unwrap();
    }
    carry_out(&state, &call, &body);
    match (fault, call.as_str()) {
        (Some(Fault::AnswerLost), _) => response.status(503).body(Body::empty()),
        (_, "read worker") => {
            let worker = json!({"resource_uri": "/api/v1/worker/1/", "api_key": "testworker"});
            response.body(json!({"meta": {"next": null}, "objects": [worker]}).to_string().into())
        }
        (_, "read run") => response.body(state.run.lock().unwrap().to_string().into()),
        (None, call) if call.starts_with("new log") => {
            response.status(201).header("location", "/api/v1/run_log/9/").body(Body::empty())
        }
        _ => response.status(202).body(Body::empty()),
    }
    .unwrap()
}

/// Does to the run what a call asks for.
fn carry_out(state: &Recorded, call: &str, body: &Value) {
    let mut run = state.run.lock().unwrap();
    for field in ["enqueue_dts", "start_dts", "return_dts"] {
        if let Some(value) = body.get(field) {
            run[field] = value.clone();
        }
    }
    if call.starts_with("new log") {
        run["run_log"] = "/api/v1/run_log/9/".into();
    }
}

/// Returns a call in a few words, without the times in it.
fn described(method: &Method, path: &str, body: &Value) -> String {
    let has = |field: &str| body.get(field).is_some();
    match (method.as_str(), path) {
        ("GET", "/api/v1/worker/") => "read worker".to_owned(),
        ("GET", "/api/v1/run/2/") => "read run".to_owned(),
        ("PATCH", "/api/v1/run/2/") if has("return_dts") => {
            let start = if has("start_dts") { " with start" } else { "" };
            format!("result {}{start}", body["return_success"])
        }
        ("PATCH", "/api/v1/run/2/") if body.get("enqueue_dts") == Some(&Value::Null) => "give back".to_owned(),
        ("PATCH", "/api/v1/run/2/") if has("pid") => format!("start with pid {}", body["pid"]),
        ("PATCH", "/api/v1/run/2/") if has("start_dts") => "start".to_owned(),
        ("POST", "/api/v1/run_log/") => format!("new log {}", body["content"]),
        ("PATCH", "/api/v1/run_log/9/") => format!("log {}", body["content"]),
        _ => format!("{method} {path} {body}"),
    }
}
