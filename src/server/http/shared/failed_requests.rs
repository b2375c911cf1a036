//! Failed requests: a refusal attaches the store's error to its response, and a middleware, which knows the request,
//! logs both.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

use crate::server::http::connections::address_of;

/// Part of the server whose failed requests are logged.
#[derive(Clone, Copy, Debug)]
pub enum FailingPart {
    /// API of the command and of the dashboard's scripts.
    Operator,
    /// Pages of the dashboard.
    Dashboard,
    /// Manager of Flamenco workers.
    Farm,
}

/// Error that made a request fail, with its causes.
#[derive(Clone, Debug)]
struct FailureCause(String);

/// Attaches the error that made a request fail, as a text with its causes, to its response.
pub fn attach(response: &mut Response, error: String) {
    response.extensions_mut().insert(FailureCause(error));
}

/// Middleware: logs each request that failed, without its query.
pub async fn log_failed(State(part): State<FailingPart>, request: Request, next: Next) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let address = address_of(request.extensions());
    let mut response = next.run(request).await;
    if let Some(FailureCause(error)) = response.extensions_mut().remove() {
        let path = uri.path();
        match part {
            FailingPart::Operator => {
                tracing::error!(target: "job_runner.operator", %method, path, %address, error, "request failed");
            }
            FailingPart::Dashboard => {
                tracing::error!(target: "job_runner.page", %method, path, %address, error, "request failed");
            }
            FailingPart::Farm => {
                tracing::error!(target: "job_runner.farm", %method, path, %address, error, "request failed");
            }
        }
    }
    response
}
