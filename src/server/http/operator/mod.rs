//! Operator API below `/operator/v1`: lists jobs, runs and workers, follows logs, and changes them, for the command
//! line and the dashboard.
//!
//! Requests and answers are the JSON of [`crate::wire::operator`]. A change needs the operator's token; reading is open
//! to a browser that has logged in as well. Bodies, lists and the number of followers are bounded.

mod byte_range;
mod farm_tasks;
mod farm_workers;
mod find;
mod flamenco;
mod follow;
mod guard;
mod jobs;
mod log_growth;
mod log_reader;
mod log_search;
mod logs;
mod paging;
mod refusal;
mod runs;
mod templates;
mod views;
mod why;
mod workers;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::http::header::{HeaderValue, X_CONTENT_TYPE_OPTIONS};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router, middleware};

use crate::server::http::shared::failed_requests::{self, FailingPart};
use crate::server::http::shared::own_names;
use crate::server::state::AppState;
use crate::wire::operator::BASE;
use follow::Followers;

pub use jobs::reasons;
pub use views::{attempt, late_outcome, late_reason, state, worker};

/// Longest body of a request, in bytes: a script and the fields beside it.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// Forbids browsers to guess the type of an answer: a log is text and an answer is JSON, whatever a browser may find in
/// it.
async fn no_sniffing(mut response: Response) -> Response {
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Returns the routes of the API, with its checks and bounds.
pub fn routes(app: &Arc<AppState>) -> Router<Arc<AppState>> {
    let submissions = DefaultBodyLimit::max(flamenco::MAX_SUBMISSION);
    let routes = Router::new()
        .route("/runs", get(runs::list).post(runs::submit))
        .route("/runs/{run}", get(runs::show))
        .route("/runs/{run}/log", get(logs::file))
        .route("/runs/{run}/log/lines", get(logs::lines))
        .route("/runs/{run}/log/rows", get(logs::rows))
        .route("/runs/{run}/log/search", get(logs::search))
        .route("/runs/{run}/follow", get(follow::follow))
        .route("/runs/{run}/kill", post(runs::kill))
        .route("/jobs", get(jobs::list).post(jobs::create))
        .route("/jobs/{job}/why", get(jobs::why))
        .route("/jobs/{job}/schedule", post(jobs::run_now))
        .route("/jobs/{job}/enable", post(jobs::enable))
        .route("/jobs/{job}/disable", post(jobs::disable))
        .route("/workers", get(workers::list).post(workers::create))
        .route("/workers/act", post(workers::command))
        .route("/templates", post(templates::create))
        .route("/flamenco/jobs", get(flamenco::jobs).post(flamenco::submit).layer(submissions))
        .route("/flamenco/jobs/{job}/tasks", get(flamenco::tasks))
        .route("/flamenco/jobs/{job}/cancel", post(flamenco::cancel))
        .route("/flamenco/tasks/{task}", get(farm_tasks::show))
        .route("/flamenco/tasks/{task}/log", get(farm_tasks::log))
        .route("/flamenco/requeue/{id}", post(farm_tasks::requeue))
        .route("/flamenco/workers", get(farm_workers::list))
        .route("/flamenco/workers/act", post(farm_workers::command))
        .fallback(refusal::no_such_path)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn_with_state(Arc::clone(app), guard::operators_only))
        .layer(Extension(Followers::default()))
        // The layer that is added last sees a request first: a request by a foreign host name is refused before its
        // token is checked.
        .layer(middleware::from_fn_with_state(Arc::clone(app), own_names::own_names_only))
        .layer(middleware::map_response(no_sniffing));
    // Outside of the nest, so that the log shows the whole path.
    let log = middleware::from_fn_with_state(FailingPart::Operator, failed_requests::log_failed);
    Router::new().nest(BASE, routes).layer(log)
}
