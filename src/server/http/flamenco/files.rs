//! Logs of tasks, for people: whole for a program, by their ends for a browser.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_TYPE, USER_AGENT, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse, Response};

use super::auth::FarmReader;
use super::refusal::FarmRefusal;
use crate::server::http::shared::file_body;
use crate::server::state::AppState;
use crate::wire::flamenco::ObjectId;

/// Answers with the log of a task.
pub(super) async fn log(
    State(app): State<Arc<AppState>>,
    _: FarmReader,
    Path((job, task)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, FarmRefusal> {
    // The path is made of parsed ids, so nothing that a client sends leads out of the folder.
    let id = |text: &str| text.parse::<ObjectId>().map_err(|_| FarmRefusal::NoLog);
    let (job, task) = (id(&job)?, id(&task)?);
    let body = if wants_whole(&headers) {
        let file = app.farm.logs.with(move |logs| logs.open(job, task)).await.map_err(FarmRefusal::Log)?;
        file_body::rest_of(file.ok_or(FarmRefusal::NoLog)?)
    } else {
        let excerpt = app.farm.logs.with(move |logs| logs.excerpt(job, task)).await.map_err(FarmRefusal::Log)?;
        Body::from(excerpt.ok_or(FarmRefusal::NoLog)?)
    };
    // A browser may not take what a worker wrote for a page.
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8"), (X_CONTENT_TYPE_OPTIONS, "nosniff")], body).into_response())
}

fn wants_whole(headers: &HeaderMap) -> bool {
    let agent = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    agent.starts_with("curl") || agent.starts_with("Wget")
}
