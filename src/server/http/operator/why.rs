//! Explanation why a job runs, does not, or will: sentences for people on what holds now. Pure.

use std::collections::BTreeMap;

use crate::run::RunId;
use crate::server::domain::model::{RunState, Schedule, Timestamp, Worker};
use crate::server::domain::worker_state::{Unready, held, takes_runs};
use crate::server::http::operator::views::time;
use crate::server::store::{JobFrame, JobOverview, RunOverview};

#[cfg(test)]
mod tests;

/// Present state of a job and its surroundings.
#[derive(Clone, Copy, Debug)]
pub(super) struct WhyFacts<'a> {
    /// Job with its template, project and pool.
    pub job: &'a JobOverview,
    /// Runs of the job that have not ended.
    pub open: &'a [RunOverview],
    /// Workers of the job's pool.
    pub workers: &'a [Worker],
    /// Reasons why due runs of the job wait.
    pub waits: &'a BTreeMap<RunId, String>,
}

/// Returns the sentences that explain a job.
pub(super) fn explain(present: &WhyFacts<'_>, now: Timestamp) -> Vec<String> {
    let mut sentences = disabled(present.job);
    sentences.extend(workers(present));
    sentences.extend(short_of_resources(present.workers));
    sentences.extend(present.open.iter().map(|run| open_run(run, present.waits, now)));
    // An open run says when the job runs next; without one the schedule has to.
    if present.open.is_empty() {
        sentences.push(match (&present.job.job.schedule, present.job.job.parent) {
            (Schedule::None, None) => "it has no schedule: it runs when somebody asks for it".to_owned(),
            (Schedule::None, Some(parent)) => format!("it runs after job {parent}"),
            _ => "its next run is not planned yet".to_owned(),
        });
    }
    sentences
}

fn disabled(job: &JobOverview) -> Vec<String> {
    let mut sentences = Vec::new();
    if !job.job.enqueue_is_enabled {
        sentences.push(match job.job.disabled_reason.as_str() {
            "" => "the job is disabled".to_owned(),
            reason => format!("the job is disabled: {reason}"),
        });
    }
    let frames = [("template", &job.around.template), ("project", &job.around.project), ("pool", &job.around.pool)];
    let off = frames.into_iter().filter(|(_, frame)| !frame.enabled);
    sentences.extend(off.map(|(what, JobFrame { title, .. })| format!("its {what} {title} is disabled")));
    sentences
}

fn workers(present: &WhyFacts<'_>) -> Option<String> {
    let pool = &present.job.around.pool.title;
    if present.workers.is_empty() {
        Some(format!("no worker is in its pool {pool}"))
    } else if present.workers.iter().all(|worker| !worker.enqueue_is_enabled) {
        Some(format!("no worker of its pool {pool} is enabled"))
    } else if present.workers.iter().filter(|worker| worker.enqueue_is_enabled).all(|worker| !takes_runs(worker)) {
        Some(format!("every worker of its pool {pool} sleeps, leaves or has left"))
    } else {
        let never = present.workers.iter().all(|worker| worker.ping_response_dts.is_none());
        never.then(|| format!("no worker of its pool {pool} has ever answered"))
    }
}

/// Returns a sentence for each worker that is enabled and awake but claims no runs for a shortage.
fn short_of_resources(workers: &[Worker]) -> impl Iterator<Item = String> {
    let holding = workers.iter().filter(|worker| worker.enqueue_is_enabled && !held(worker).is_empty());
    holding.map(|worker| format!("worker {} {}", worker.title, Unready::Held(held(worker).to_vec())))
}

fn open_run(overview: &RunOverview, waits: &BTreeMap<RunId, String>, now: Timestamp) -> String {
    let RunOverview { run, worker, .. } = overview;
    let (id, worker) = (run.id, worker.as_deref().unwrap_or("a worker"));
    match run.state() {
        RunState::Started => format!("run {id} is running on {worker} since {}", shown(run.start_dts)),
        RunState::InQueue => format!("run {id} was claimed by {worker} at {}", shown(run.enqueue_dts)),
        RunState::Completed => format!("run {id} is over"),
        RunState::Scheduled if !run.is_due(now) => format!("run {id} is due at {}", time(run.schedule_dts)),
        RunState::Scheduled => {
            let due = time(run.schedule_dts);
            match waits.get(&id) {
                Some(why) => format!("run {id} is due since {due} and waits: {why}"),
                None => format!("run {id} is due since {due} and offered to the workers of its pool"),
            }
        }
    }
}

fn shown(at: Option<Timestamp>) -> String {
    at.map(time).unwrap_or_default()
}
