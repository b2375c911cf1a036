//! Page "Now": shows the runs that are scheduled, in queue, started and completed in four lanes, or one lane page by
//! page.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::{Html, IntoResponse, Response};
use chrono::{TimeDelta, Utc};
use minijinja::{Value, context};

use super::format;
use super::frame::{Head, Section};
use super::refusal::PageRefusal;
use super::template::fill;
use super::visit::Visit;
use crate::run::RunId;
use crate::server::domain::model::{self, JobId, Timestamp};
use crate::server::state::AppState;
use crate::server::store::LaneRun;

mod filter;
mod lane;

use filter::LaneFilter;
use lane::Lane;

/// Runs of a lane that is shown beside the others.
const BESIDE: u32 = 20;
/// Runs on a page of a lane that is shown alone.
const ALONE: u32 = 50;
/// Upper bound for counting the runs of a lane.
const MAX_LANE_COUNT: u32 = 1000;
/// Age up to which completed runs are counted.
const LATELY: TimeDelta = TimeDelta::hours(24);

/// Handler of `/`: shows the whole page.
pub(super) async fn page(
    State(app): State<Arc<AppState>>,
    RawQuery(query): RawQuery,
    visit: Visit,
) -> Result<Response, PageRefusal> {
    let filter = parse_filter(&app, query, &visit).await?;
    let lanes = lanes(&app, &filter, &filter.lanes()).await?;
    let job = match filter.sought.job {
        Some(job) => app.store.job(job).await?.map(|job| job.title.to_string()),
        None => None,
    };
    let body = body(&filter, job.as_deref(), &lanes, Utc::now(), &visit);
    Ok(visit.show(Head { title: "Now", section: Section::Now, script: Some("now"), by_project: Some("/") }, &body))
}

/// Handler of `/parts/now`: renders only the lanes that have changed, as the script names them.
pub(super) async fn part(
    State(app): State<Arc<AppState>>,
    RawQuery(query): RawQuery,
    visit: Visit,
) -> Result<Response, PageRefusal> {
    let filter = parse_filter(&app, query, &visit).await?;
    let lanes = lanes(&app, &filter, &filter.changed()).await?;
    let now = Utc::now();
    let parts: String = lanes.iter().map(|lane| lane::render(lane, &filter, now, visit.zone).to_string()).collect();
    Ok(Html(parts).into_response())
}

/// Reads the filter from the query, and looks up the jobs whose titles contain the text that is searched for.
async fn parse_filter(app: &AppState, query: Option<String>, visit: &Visit) -> Result<LaneFilter, PageRefusal> {
    let mut filter = LaneFilter::parse(&query.unwrap_or_default(), visit.project);
    if let Some(text) = &filter.sought.text {
        filter.sought.titled = app.store.jobs_with(text).await?;
    }
    Ok(filter)
}

/// Reads the runs of these lanes from the store.
async fn lanes(app: &AppState, filter: &LaneFilter, which: &[model::RunState]) -> Result<Vec<Lane>, PageRefusal> {
    let limit = if filter.is_alone() { ALONE } else { BESIDE };
    let mut lanes = Vec::new();
    for state in which {
        // One more than is shown, to know whether there are more.
        let mut runs = app.store.lane(*state, &filter.sought, filter.after, limit + 1).await?;
        let has_more = runs.len() > limit as usize;
        runs.truncate(limit as usize);
        let length = app.store.lane_length(*state, &filter.sought, Utc::now() - LATELY, MAX_LANE_COUNT).await?;
        let usual =
            if *state == model::RunState::Started { usual_durations(app, &runs).await? } else { HashMap::new() };
        let waits = if *state == model::RunState::Scheduled { wait_reasons(app, &runs) } else { HashMap::new() };
        lanes.push(Lane { state: *state, runs, has_more, length, waits, usual });
    }
    Ok(lanes)
}

/// Reasons for which due runs wait, as sentences.
fn wait_reasons(app: &AppState, runs: &[LaneRun]) -> HashMap<RunId, String> {
    let waits =
        |LaneRun { run, .. }: &LaneRun| Some((run.run.id, app.waiting.of(run.run.job, run.run.id)?.to_string()));
    runs.iter().filter_map(waits).collect()
}

/// Usual durations of the jobs of these runs: the median of the latest runs that succeeded.
async fn usual_durations(app: &AppState, runs: &[LaneRun]) -> Result<HashMap<JobId, TimeDelta>, PageRefusal> {
    let mut usual = HashMap::new();
    // Several runs of one job share one query.
    for LaneRun { run, .. } in runs {
        if !usual.contains_key(&run.run.job)
            && let Some(duration) = format::median(app.store.durations(run.run.job).await?)
        {
            usual.insert(run.run.job, duration);
        }
    }
    Ok(usual)
}

fn body(filter: &LaneFilter, job: Option<&str>, lanes: &[Lane], now: Timestamp, visit: &Visit) -> Value {
    let states: Vec<Value> = filter::WORDS
        .iter()
        .map(|(word, shown)| context!(word => *word, shown => *shown, chosen => filter.word == Some(*word)))
        .collect();
    let nothing = filter.is_everything() && lanes.iter().all(|lane| lane.runs.is_empty());
    let parts: Vec<Value> = lanes.iter().map(|lane| lane::render(lane, filter, now, visit.zone)).collect();
    let context = context! {
        states, parts, nothing, job, alone => filter.is_alone(), filtered => !filter.is_everything(),
        text => filter.sought.text.as_deref(), job_id => filter.sought.job.map(JobId::get),
        project => visit.project.map(|project| project.get()),
    };
    fill("now", context)
}

#[cfg(test)]
mod tests;
