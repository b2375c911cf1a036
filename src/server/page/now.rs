//! What runs now, what will, and what did.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use chrono::Utc;
use minijinja::{Value, context};

use super::answer::Refusal;
use super::frame::{Head, Section};
use super::shown::{badge, duration, exit, short_time};
use super::template::fill;
use super::visit::Visit;
use crate::server::model::Instant;
use crate::server::office::Office;
use crate::server::store::{RunOverview, Which};
use chrono_tz::Tz;

#[cfg(test)]
mod tests;

/// How many runs are listed.
const LISTED: u32 = 100;

/// The page.
pub(super) async fn page(State(office): State<Arc<Office>>, visit: Visit) -> Result<Response, Refusal> {
    let body = runs(&latest(&office).await?, Utc::now(), visit.zone);
    Ok(visit.show(Head { title: "Now", section: Section::Now, script: Some("now"), by_project: Some("/") }, &body))
}

/// What of it changes.
pub(super) async fn part(State(office): State<Arc<Office>>) -> Result<Response, Refusal> {
    let part = runs(&latest(&office).await?, Utc::now(), office.settings.time_zone);
    Ok(Html(part.to_string()).into_response())
}

async fn latest(office: &Office) -> Result<Vec<RunOverview>, Refusal> {
    Ok(office.store.overview_of_runs(Which { limit: LISTED, ..Which::default() }).await?)
}

fn runs(runs: &[RunOverview], now: Instant, zone: Tz) -> Value {
    let rows: Vec<Value> = runs.iter().map(|run| row(run, now, zone)).collect();
    fill("now", context!(runs => rows))
}

fn row(overview: &RunOverview, now: Instant, zone: Tz) -> Value {
    let RunOverview { run, title, worker } = overview;
    context! {
        id => run.id.get(), title, worker, state => crate::server::operator::state(run).word(), badge => badge(run),
        exit => exit(run.exit),
        took => run.start_dts.zip(run.return_dts).map(|(start, end)| duration(end - start)),
        due => short_time(run.schedule_dts, now, zone),
    }
}
