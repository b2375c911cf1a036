//! Logs of tasks, for people: whole for a program, by their ends for a browser.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_TYPE, USER_AGENT, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse, Response};
use tokio::io::AsyncReadExt;

use super::auth::FarmReader;
use super::refusal::FarmRefusal;
use super::tasks::on_files;
use crate::server::state::AppState;
use crate::wire::flamenco::ObjectId;

/// Bytes of a log that are in memory at once.
const PIECE: usize = 64 * 1024;

/// Answers with the log of a task.
pub(super) async fn log(
    State(app): State<Arc<AppState>>,
    _: FarmReader,
    Path((job, task)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, FarmRefusal> {
    let id = |text: &str| text.parse::<ObjectId>().map_err(|_| FarmRefusal::NoLog);
    let (job, task) = (id(&job)?, id(&task)?);
    let body = if wants_whole(&headers) {
        let file = on_files(&app, move |logs| logs.open(job, task)).await.map_err(FarmRefusal::Log)?;
        whole(tokio::fs::File::from_std(file.ok_or(FarmRefusal::NoLog)?))
    } else {
        let excerpt = on_files(&app, move |logs| logs.excerpt(job, task)).await.map_err(FarmRefusal::Log)?;
        Body::from(excerpt.ok_or(FarmRefusal::NoLog)?)
    };
    // A browser may not take what a worker wrote for a page.
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8"), (X_CONTENT_TYPE_OPTIONS, "nosniff")], body).into_response())
}

fn wants_whole(headers: &HeaderMap) -> bool {
    let agent = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    agent.starts_with("curl") || agent.starts_with("Wget")
}

fn whole(file: tokio::fs::File) -> Body {
    Body::from_stream(futures_util::stream::unfold(file, |mut file| async {
        let mut piece = vec![0; PIECE];
        match file.read(&mut piece).await {
            Ok(0) => None,
            Ok(length) => {
                piece.truncate(length);
                Some((Ok(Bytes::from(piece)), file))
            }
            // The connection is closed, so that the reader does not take the piece for all of it.
            Err(e) => Some((Err(e), file)),
        }
    }))
}
