//! Face of a Flamenco Manager: serves Flamenco workers of 2.x, at an address of its own.
//!
//! The wire is that of Flamenco 2.7, and the names of 2.0 are understood. A worker authenticates with the id and the secret
//! of its registration; what shows logs and states is for readers of the dashboard.

mod actions;
mod auth;
mod credentials;
mod files;
mod refusal;
mod register;
mod report;
mod tasks;
mod upstream;
mod workers;

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::LOCATION;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};
use tokio::net::TcpListener;

use crate::server::http::connections;
use crate::server::http::shared::failed_requests::{self, FailingPart};
use crate::server::http::shared::wrong_tokens;
use crate::server::state::AppState;

/// Longest body of a request, in bytes: an update with the lines of half a minute.
const MAX_BODY: usize = 8 * 1024 * 1024;

/// Serves workers until the server stops.
pub async fn serve(app: Arc<AppState>, listener: TcpListener) {
    let farm = &app.settings.farm;
    if farm.registration_secret.is_none() && farm.listen.is_some_and(|at| !at.ip().is_loopback()) {
        tracing::warn!(
            target: "job_runner.farm",
            "every machine that reaches flamenco_listen may register as a worker; set flamenco_registration_secret_file"
        );
    }
    let (stop, grace) = (app.stop.clone(), app.settings.stop_grace);
    let places = connections::Connections::new(app.settings.limits());
    connections::serve(listener, routes(&app), places, stop, grace).await;
}

fn routes(app: &Arc<AppState>) -> Router {
    Router::new()
        .route("/register-worker", post(register::register))
        .route("/sign-on", post(workers::sign_on))
        .route("/sign-off", post(workers::sign_off))
        .route("/status-change", get(workers::status_change))
        .route("/ack-status-change/{status}", post(workers::acknowledge))
        .route("/task", post(tasks::assign))
        .route("/tasks/{task}/update", post(tasks::update))
        .route("/tasks/{task}/return", post(tasks::give_back))
        .route("/may-i-run/{task}", get(tasks::may_i_run))
        .route("/output-produced", post(tasks::output_produced))
        .route("/logfile/{job}/{task}", get(files::log))
        .route("/as-json", get(report::as_json))
        .route("/kick", get(upstream::kick).post(upstream::kick))
        .route("/tasks/{task}/redir-to-server", get(upstream::redirect))
        .route("/worker-action/{worker}", post(actions::act))
        .route("/set-sleep-schedule/{worker}", post(actions::set_schedule))
        .fallback(other_path)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn_with_state(FailingPart::Farm, failed_requests::log_failed))
        .layer(middleware::from_fn_with_state(Arc::clone(app), wrong_tokens::slow_down))
        .with_state(Arc::clone(app))
}

/// Redirects a path with a slash at its end to the one without.
async fn other_path(State(_): State<Arc<AppState>>, uri: Uri) -> Response {
    match uri.path().strip_suffix('/') {
        // A path of two slashes would lead to another host.
        Some(path) if path.starts_with('/') && !path.starts_with("//") => {
            (StatusCode::MOVED_PERMANENTLY, [(LOCATION, path.to_owned())]).into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}
