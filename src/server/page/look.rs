//! What a page shows, asked of the store.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};

use super::view;
use crate::run::RunId;
use crate::server::office::Office;
use crate::server::store::{RunOverview, StoreError, Which};

/// How many runs are listed.
const LISTED: u32 = 100;

pub(super) async fn runs(State(office): State<Arc<Office>>) -> Response {
    answer(latest(&office).await.map(|runs| Some(view::runs(&runs, office.settings.time_zone))))
}

pub(super) async fn runs_part(State(office): State<Arc<Office>>) -> Response {
    answer(latest(&office).await.map(|runs| Some(view::runs_part(&runs, office.settings.time_zone))))
}

pub(super) async fn run(State(office): State<Arc<Office>>, Path(run): Path<String>) -> Response {
    answer(one(&office, &run).await.map(|run| run.map(|run| view::run(&run, office.settings.time_zone))))
}

pub(super) async fn run_part(State(office): State<Arc<Office>>, Path(run): Path<String>) -> Response {
    answer(one(&office, &run).await.map(|run| run.map(|run| view::run_part(&run, office.settings.time_zone))))
}

async fn latest(office: &Office) -> Result<Vec<RunOverview>, StoreError> {
    office.store.overview_of_runs(Which { limit: LISTED, ..Which::default() }).await
}

async fn one(office: &Office, run: &str) -> Result<Option<RunOverview>, StoreError> {
    match run.parse().ok().and_then(RunId::new) {
        Some(run) => office.store.overview_of_run(run).await,
        None => Ok(None),
    }
}

fn answer(page: Result<Option<String>, StoreError>) -> Response {
    match page {
        Ok(Some(page)) => Html(page).into_response(),
        Ok(None) => (StatusCode::NOT_FOUND, Html(view::message("There is no such run."))).into_response(),
        Err(error) => {
            tracing::error!(target: "job_runner.page", "{error}: {:?}", std::error::Error::source(&error));
            let said = view::message("The server cannot answer now.");
            (StatusCode::INTERNAL_SERVER_ERROR, Html(said)).into_response()
        }
    }
}
