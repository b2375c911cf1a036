//! A server for targets that need one: its real routes and its real store, asked without a socket in between.

use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use axum::http::{HeaderValue, Request};
use jobrunner::run::{ApiKey, Secret};
use jobrunner::server::http::{operator, rest};
use jobrunner::server::{Server, Settings};
use jobrunner::wire::hmac;
use jobrunner::wire::resources::ATTEMPT;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;

/// How many requests one server answers; a store that grows is slow, and what is found must be found again.
const REQUESTS: u32 = 2_000;
/// The longest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 * 1024 * 1024;
const WORKER: &str = "w1";
/// What is answered where the server failed. A body that cannot be read has a 500, too, as with the original.
const FAILURES: [&str; 2] = ["this request could not be processed", "the server cannot answer now"];

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// With the operator's token.
    Operator,
    /// With a worker's signature, about this attempt of a run.
    Worker(Option<u32>),
}

/// Sends a request to a server that is replaced now and then; its status and its answer.
pub fn ask(asker: Asker, method: &str, path: &str, body: &[u8]) -> Option<(u16, Vec<u8>)> {
    // The last one is not dropped with the thread: by then a runtime finds nothing of what it keeps there.
    thread_local!(static STAGE: RefCell<Option<ManuallyDrop<Stage>>> = const { RefCell::new(None) });
    STAGE.with_borrow_mut(|stage| {
        if let Some(old) = stage.take_if(|stage| stage.asked >= REQUESTS) {
            ManuallyDrop::into_inner(old).end();
        }
        stage.get_or_insert_with(|| ManuallyDrop::new(Stage::new())).ask(asker, method, path, body)
    })
}

/// Whether an answer says that the server failed.
#[must_use]
pub fn is_failure(status: u16, answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    status >= 500 && FAILURES.iter().any(|failure| text.contains(failure))
}

struct Stage {
    runtime: Runtime,
    routes: Router,
    host: String,
    token: String,
    secret: Secret,
    asked: u32,
    server: Server,
    _data: TempDir,
}

impl Stage {
    fn new() -> Self {
        let data = tempfile::tempdir().expect("a temporary folder can be made");
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime can be built");
        let any = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
        let settings = Settings { http: any, broadcaster: any, events: any, ..Settings::new(data.path().join("data")) };
        let server = runtime.block_on(Server::start(settings)).expect("a server can be started");
        let app = server.app_state();
        let routes = rest::routes().merge(operator::routes(app)).with_state(app.clone());
        let (host, token) = (server.http().to_string(), app.token.expose().to_owned());
        let secret = Secret::new(Vec::new());
        let mut stage = Self { runtime, routes, host, token, secret, asked: 0, server, _data: data };
        stage.fill();
        stage
    }

    /// Without it, its threads and files would stay.
    fn end(self) {
        self.runtime.block_on(self.server.stop());
    }

    /// One of each thing, with the id 1, so that there is something to be read and changed.
    fn fill(&mut self) {
        let made = self.make("/operator/v1/workers", &json!({"title": WORKER}));
        let secret = made["secret"].as_str().expect("a worker that was made has a secret").to_owned();
        self.secret = Secret::new(secret.into_bytes());
        self.make("/operator/v1/jobs", &json!({"title": "tick", "script": "#!/bin/sh\necho tick\n", "every": "1 day"}));
        let due = json!({"job": "/api/v1/job/1/", "schedule_dts": "2026-01-01T00:00:00+00:00", "is_manual": true});
        self.make("/api/v1/run/", &due);
        self.make("/api/v1/run_log/", &json!({"run": "/api/v1/run/1/", "content": "50 % done\n"}));
        self.make("/api/v1/kill_request/", &json!({"run": "/api/v1/run/1/"}));
    }

    fn make(&mut self, path: &str, what: &Value) -> Value {
        let (status, answer) = self.ask(Asker::Operator, "POST", path, what.to_string().as_bytes()).expect("a path");
        assert!(status < 500, "{path} is answered with {status}");
        serde_json::from_slice(&answer).unwrap_or(Value::Null)
    }

    fn ask(&mut self, asker: Asker, method: &str, path: &str, body: &[u8]) -> Option<(u16, Vec<u8>)> {
        self.asked += 1;
        let authorization = match asker {
            Asker::Operator => format!("Bearer {}", self.token),
            Asker::Worker(_) => {
                let key = ApiKey::parse(WORKER).expect("a key");
                hmac::authorization(&key, &self.secret, method, path, body)
            }
        };
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.host)
            .header(CONTENT_TYPE, "application/json")
            .header(AUTHORIZATION, authorization)
            .body(Body::from(body.to_vec()))
            .ok()?;
        if let Asker::Worker(Some(attempt)) = asker {
            request.headers_mut().insert(ATTEMPT, HeaderValue::from(attempt));
        }
        let routes = self.routes.clone();
        Some(self.runtime.block_on(async {
            let response = routes.oneshot(request).await.unwrap_or_else(|never| match never {});
            let status = response.status().as_u16();
            let answer = to_bytes(response.into_body(), MAX_ANSWER).await.expect("an answer has a bound");
            (status, answer.to_vec())
        }))
    }
}
