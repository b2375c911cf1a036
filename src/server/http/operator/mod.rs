//! Operator API below `/operator/v1`: lists jobs, runs and workers, follows logs, and changes them, for the command
//! line and the dashboard.
//!
//! Requests and answers are the JSON of [`crate::wire::operator`]. A change needs the operator's token; reading is open
//! to a browser that has logged in as well. Bodies, lists and the number of followers are bounded.

mod act;
mod answer;
mod ask;
mod find;
mod follow;
mod growth;
mod guard;
mod log;
mod make;
mod mark;
mod range;
mod reader;
mod search;
mod steer;
mod views;
mod why;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::http::header::{HeaderValue, X_CONTENT_TYPE_OPTIONS};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router, middleware};

use crate::server::state::AppState;
use crate::wire::operator::BASE;
use follow::Followers;

pub use ask::reasons;
pub use views::{state, worker};

/// Longest body of a request, in bytes: a script and the fields beside it.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// Forbids browsers to guess the type of an answer: a log is text and an answer is JSON, whatever a browser may find in
/// it.
async fn as_told(mut response: Response) -> Response {
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Returns the routes of the API, with its checks and bounds.
pub fn routes(app: &Arc<AppState>) -> Router<Arc<AppState>> {
    let routes = Router::new()
        .route("/runs", get(ask::runs).post(make::run))
        .route("/runs/{run}", get(ask::run))
        .route("/runs/{run}/log", get(log::file))
        .route("/runs/{run}/log/lines", get(log::lines))
        .route("/runs/{run}/log/rows", get(log::rows))
        .route("/runs/{run}/log/search", get(log::search))
        .route("/runs/{run}/follow", get(follow::follow))
        .route("/runs/{run}/kill", post(steer::kill))
        .route("/jobs", get(ask::jobs).post(make::job))
        .route("/jobs/{job}/why", get(ask::why))
        .route("/jobs/{job}/schedule", post(steer::schedule))
        .route("/jobs/{job}/enable", post(steer::enable))
        .route("/jobs/{job}/disable", post(steer::disable))
        .route("/workers", get(ask::workers).post(make::worker))
        .route("/workers/act", post(act::act))
        .route("/templates", post(make::template))
        .fallback(answer::nothing_here)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn_with_state(Arc::clone(app), guard::operators_only))
        .layer(Extension(Followers::default()))
        // The layer that is added last sees a request first: a request by a foreign host name is refused before its
        // token is checked.
        .layer(middleware::from_fn_with_state(Arc::clone(app), crate::server::http::shared::own_names::own_names_only))
        .layer(middleware::map_response(as_told));
    Router::new().nest(BASE, routes)
}
