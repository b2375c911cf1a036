//! Test server that records every call, for the tests of transport and calls.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{self, Body};
use axum::extract::Request;
use axum::http::Response as HttpResponse;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName};
use tokio::net::TcpListener;
use url::Url;

use super::client::MAX_BODY;
use super::{RestClient, Settings};
use crate::run::{ApiKey, Secret};
use crate::wire::hmac;
use crate::wire::resources::ATTEMPT;

pub(super) const RUN: &str = include_str!("../../../tests/fixtures/wire/run.json");
pub(super) const JOB: &str = include_str!("../../../tests/fixtures/wire/job.json");
pub(super) const WORKERS: &str = include_str!("../../../tests/fixtures/wire/workers.json");
pub(super) const KILL: &str = include_str!("../../../tests/fixtures/wire/kill_request.json");

/// Call as the server received it.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    /// Path with its query.
    pub(super) path: String,
    pub(super) authorization: String,
    pub(super) content_type: String,
    /// Value of the attempt header; empty where there is none.
    pub(super) attempt: String,
    pub(super) body: Vec<u8>,
}

/// Server that records every call.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) url: Url,
    pub(super) calls: Arc<Mutex<Vec<Call>>>,
}

pub(super) type Answer = HttpResponse<Body>;

impl Server {
    pub(super) async fn that(answers: impl Fn(&Call) -> Answer + Clone + Send + Sync + 'static) -> Self {
        let calls: Arc<Mutex<Vec<Call>>> = Arc::default();
        let noted = Arc::clone(&calls);
        let router = Router::new().fallback(move |request: Request| {
            let (answers, noted) = (answers.clone(), Arc::clone(&noted));
            async move {
                let (head, content) = request.into_parts();
                let header =
                    |name| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("").to_owned();
                let call = Call {
                    method: head.method.clone(),
                    path: head.uri.to_string(),
                    authorization: header(AUTHORIZATION),
                    content_type: header(CONTENT_TYPE),
                    attempt: header(HeaderName::from_static(ATTEMPT)),
                    body: body::to_bytes(content, MAX_BODY).await.expect("a body").to_vec(),
                };
                noted.lock().expect("the calls").push(call.clone());
                answers(&call)
            }
        });
        let (listener, url) = listen().await;
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, calls }
    }

    /// Starts a server that gives this answer to every call.
    pub(super) async fn with(status: u16, content: impl Into<Vec<u8>>) -> Self {
        let content = content.into();
        Self::that(move |_| answer(status, &[], content.clone())).await
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.calls.lock().expect("the calls").clone()
    }

    pub(super) fn paths(&self) -> Vec<String> {
        self.calls().into_iter().map(|call| call.path).collect()
    }

    pub(super) fn client(&self) -> RestClient {
        client(settings(&self.url))
    }
}

pub(super) async fn listen() -> (TcpListener, Url) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    (listener, url.parse().expect("a URL"))
}

pub(super) fn answer(status: u16, headers: &[(&str, &str)], content: impl Into<Body>) -> Answer {
    let mut response = HttpResponse::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(content.into()).expect("an answer")
}

pub(super) fn settings(url: &Url) -> Settings {
    Settings {
        api_base_url: url.clone(),
        api_key: ApiKey::parse("testworker").expect("a key"),
        secret: Secret::new(b"verysecret".to_vec()),
        run_resource: "/api/v1/run/".to_owned(),
        worker_resource: "/api/v1/worker/".to_owned(),
        run_log_resource: "/api/v1/run_log/".to_owned(),
        kill_request_resource: "/api/v1/kill_request/".to_owned(),
        // The system's roots are read only in the tests of certificates, because that is slow.
        tls_verify: false,
        ca_file: None,
        api_timeout: Duration::from_secs(20),
    }
}

pub(super) fn client(settings: Settings) -> RestClient {
    RestClient::new(settings).expect("a client")
}

/// Returns the signature that a call should have.
pub(super) fn signed(call: &Call) -> String {
    let settings = settings(&"http://host/".parse().expect("a URL"));
    hmac::authorization(&settings.api_key, &settings.secret, call.method.as_str(), &call.path, &call.body)
}
