//! A run: how it stands, its log as it grows, and what can be done about it.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Response};
use chrono::Utc;
use chrono_tz::Tz;
use minijinja::{Value, context};

use super::answer::Refusal;
use super::form::Filled;
use super::frame::{Head, Section};
use super::notice::Notice;
use super::shown::{badge, duration, exit, time};
use super::template::fill;
use super::visit::{Actor, Visit};
use crate::run::RunId;
use crate::server::model::Asker;
use crate::server::office::Office;
use crate::server::operator;
use crate::server::store::{Ending, RunOverview};

#[cfg(test)]
mod tests;

/// The page.
pub(super) async fn page(
    State(office): State<Arc<Office>>,
    Path(run): Path<String>,
    visit: Visit,
) -> Result<Response, Refusal> {
    let run = find(&office, &run).await?;
    let title = format!("Run {} of {}", run.run.id, run.title);
    let head = Head { title: &title, section: Section::Now, script: Some("run"), by_project: None };
    Ok(visit.show(head, &body(&run, &visit.form_token, visit.zone)))
}

/// What of it changes, beside the log.
pub(super) async fn part(
    State(office): State<Arc<Office>>,
    Path(run): Path<String>,
    visit: Visit,
) -> Result<Response, Refusal> {
    let run = find(&office, &run).await?;
    Ok(Html(summary(&run, &visit.form_token, visit.zone).to_string()).into_response())
}

/// Ends it.
pub(super) async fn kill(
    State(office): State<Arc<Office>>,
    Path(run): Path<String>,
    Actor(session): Actor,
    _: Filled,
) -> Result<Response, Refusal> {
    let id = id(&run)?;
    let notice = match office.store.end_run(id, Asker::Dashboard, Utc::now()).await? {
        None => return Err(unknown(&run)),
        Some(Ending::Kill) => Notice::done(format!("Run {id} is being killed.")),
        Some(Ending::Cancelled) => Notice::done(format!("Run {id} was cancelled.")),
        Some(Ending::Over) => Notice::refused(format!("Run {id} was over already.")),
    };
    Ok(notice.at(&office, &session, &format!("/runs/{id}")))
}

fn id(text: &str) -> Result<RunId, Refusal> {
    text.parse().ok().and_then(RunId::new).ok_or_else(|| unknown(text))
}

fn unknown(run: &str) -> Refusal {
    Refusal::NotFound(format!("There is no run {run}."))
}

async fn find(office: &Office, run: &str) -> Result<RunOverview, Refusal> {
    office.store.overview_of_run(id(run)?).await?.ok_or_else(|| unknown(run))
}

fn body(run: &RunOverview, form_token: &str, zone: Tz) -> Value {
    fill("run", context!(id => run.run.id.get(), head => summary(run, form_token, zone)))
}

fn summary(overview: &RunOverview, form_token: &str, zone: Tz) -> Value {
    let RunOverview { run, title, worker } = overview;
    let state = operator::state(run);
    let run = context! {
        id => run.id.get(), title, worker, state => state.word(), over => state.is_over(), badge => badge(run),
        exit => exit(run.exit),
        due => time(run.schedule_dts, zone),
        started => run.start_dts.map(|at| time(at, zone)),
        ended => run.return_dts.map(|at| time(at, zone)),
        took => run.start_dts.zip(run.return_dts).map(|(start, end)| duration(end - start)),
        attempt => run.attempt.0,
        retry_of => run.retry_of.map(|(run, _)| run.get()),
        manual => run.is_manual,
    };
    fill("run_head", context!(run, form_token))
}
