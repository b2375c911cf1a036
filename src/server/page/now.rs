//! What runs now, what will, and what did: four lanes, or one of them page by page.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::{Html, IntoResponse, Response};
use chrono::{TimeDelta, Utc};
use minijinja::{Value, context};

use super::answer::Refusal;
use super::frame::{Head, Section};
use super::template::fill;
use super::visit::Visit;
use crate::run::RunId;
use crate::server::model::{self, Instant, JobId};
use crate::server::office::Office;
use crate::server::store::LaneRun;

mod asked;
mod lane;

use asked::Asked;
use lane::Lane;

/// How many runs a lane shows beside the others.
const BESIDE: u32 = 20;
/// How many it shows alone.
const ALONE: u32 = 50;
/// How far runs are counted.
const COUNTED: u32 = 1000;
/// Of which time those that are over are counted.
const LATELY: TimeDelta = TimeDelta::hours(24);

/// The page.
pub(super) async fn page(
    State(office): State<Arc<Office>>,
    RawQuery(query): RawQuery,
    visit: Visit,
) -> Result<Response, Refusal> {
    let asked = asked(&office, query, &visit).await?;
    let lanes = lanes(&office, &asked, &asked.lanes()).await?;
    let job = match asked.sought.job {
        Some(job) => office.store.job(job).await?.map(|job| job.title),
        None => None,
    };
    let body = body(&asked, job.as_deref(), &lanes, Utc::now(), &visit);
    Ok(visit.show(Head { title: "Now", section: Section::Now, script: Some("now"), by_project: Some("/") }, &body))
}

/// Those lanes of it that have changed.
pub(super) async fn part(
    State(office): State<Arc<Office>>,
    RawQuery(query): RawQuery,
    visit: Visit,
) -> Result<Response, Refusal> {
    let asked = asked(&office, query, &visit).await?;
    let lanes = lanes(&office, &asked, &asked.changed()).await?;
    let now = Utc::now();
    let parts: String = lanes.iter().map(|lane| lane::part(lane, &asked, now, visit.zone).to_string()).collect();
    Ok(Html(parts).into_response())
}

/// What an address asks for, with the jobs whose titles are sought.
async fn asked(office: &Office, query: Option<String>, visit: &Visit) -> Result<Asked, Refusal> {
    let mut asked = Asked::parse(&query.unwrap_or_default(), visit.project);
    if let Some(text) = &asked.sought.text {
        asked.sought.titled = office.store.jobs_with(text).await?;
    }
    Ok(asked)
}

/// What is in these lanes.
async fn lanes(office: &Office, asked: &Asked, which: &[model::State]) -> Result<Vec<Lane>, Refusal> {
    let limit = if asked.is_alone() { ALONE } else { BESIDE };
    let mut lanes = Vec::new();
    for state in which {
        // One more than are shown, to know whether there are more.
        let mut runs = office.store.lane(*state, &asked.sought, asked.after, limit + 1).await?;
        let has_more = runs.len() > limit as usize;
        runs.truncate(limit as usize);
        let length = office.store.lane_length(*state, &asked.sought, Utc::now() - LATELY, COUNTED).await?;
        let usual = if *state == model::State::Started { usual(office, &runs).await? } else { HashMap::new() };
        let waits = if *state == model::State::Scheduled { waits(office, &runs) } else { HashMap::new() };
        lanes.push(Lane { state: *state, runs, has_more, length, waits, usual });
    }
    Ok(lanes)
}

/// Why runs that are due wait.
fn waits(office: &Office, runs: &[LaneRun]) -> HashMap<RunId, String> {
    let waits =
        |LaneRun { run, .. }: &LaneRun| Some((run.run.id, office.waiting.of(run.run.job, run.run.id)?.to_string()));
    runs.iter().filter_map(waits).collect()
}

/// How long runs like these usually take.
async fn usual(office: &Office, runs: &[LaneRun]) -> Result<HashMap<JobId, TimeDelta>, Refusal> {
    let mut usual = HashMap::new();
    for LaneRun { run, .. } in runs {
        if !usual.contains_key(&run.run.job)
            && let Some(duration) = lane::median(office.store.durations(run.run.job).await?)
        {
            usual.insert(run.run.job, duration);
        }
    }
    Ok(usual)
}

fn body(asked: &Asked, job: Option<&str>, lanes: &[Lane], now: Instant, visit: &Visit) -> Value {
    let states: Vec<Value> = asked::WORDS
        .iter()
        .map(|(word, shown)| context!(word => *word, shown => *shown, chosen => asked.word == Some(*word)))
        .collect();
    let nothing = asked.is_everything() && lanes.iter().all(|lane| lane.runs.is_empty());
    let parts: Vec<Value> = lanes.iter().map(|lane| lane::part(lane, asked, now, visit.zone)).collect();
    let context = context! {
        states, parts, nothing, job, alone => asked.is_alone(), filtered => !asked.is_everything(),
        text => asked.sought.text.as_deref(), job_id => asked.sought.job.map(JobId::get),
        project => visit.project.map(|project| project.get()),
    };
    fill("now", context)
}

#[cfg(test)]
mod tests;
