//! Explanation why a job runs, does not, or will: sentences for people on what holds now. Pure.

use std::collections::BTreeMap;

use crate::run::RunId;
use crate::server::domain::model::{RunState, Schedule, Timestamp, Worker};
use crate::server::domain::sentence::Sentence;
use crate::server::domain::wait_reasons::WaitReasons;
use crate::server::domain::worker_state::{NotTakingRuns, held, takes_runs};
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
    pub waits: &'a BTreeMap<RunId, WaitReasons>,
}

/// Returns the sentences that explain a job.
pub(super) fn explain(present: &WhyFacts<'_>, now: Timestamp) -> Vec<Sentence> {
    let mut sentences: Vec<Sentence> = disabled(present.job).into_iter().map(Sentence::from).collect();
    sentences.extend(workers(present).map(Sentence::from));
    sentences.extend(short_of_resources(present.workers).map(Sentence::from));
    sentences.extend(present.open.iter().map(|run| open_run(run, present.waits, now)));
    // An open run says when the job runs next; without one the schedule has to.
    if present.open.is_empty() {
        sentences.push(match (&present.job.job.schedule, present.job.job.parent) {
            (Schedule::None, None) => "it has no schedule: it runs when somebody asks for it".into(),
            (Schedule::None, Some(parent)) => Sentence::from("it runs after job ").and(parent),
            _ => "its next run is not planned yet".into(),
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
    holding.map(|worker| format!("worker {} {}", worker.title, NotTakingRuns::Held(held(worker).to_vec())))
}

fn open_run(overview: &RunOverview, waits: &BTreeMap<RunId, WaitReasons>, now: Timestamp) -> Sentence {
    let RunOverview { run, worker, .. } = overview;
    let worker = worker.as_deref().unwrap_or("a worker");
    let subject = Sentence::from("run ").and(run.id);
    match run.state() {
        RunState::Started => at(subject.and(format!(" is running on {worker} since ")), run.start_dts),
        RunState::InQueue => at(subject.and(format!(" was claimed by {worker} at ")), run.enqueue_dts),
        RunState::Completed => subject.and(" is over"),
        RunState::Scheduled if !run.is_due(now) => subject.and(" is due at ").and(run.schedule_dts),
        RunState::Scheduled => {
            let due = subject.and(" is due since ").and(run.schedule_dts);
            match waits.get(&run.id) {
                Some(reasons) => due.and(" and waits: ").then(reasons.sentence()),
                None => due.and(" and offered to the workers of its pool"),
            }
        }
    }
}

fn at(sentence: Sentence, time: Option<Timestamp>) -> Sentence {
    match time {
        Some(time) => sentence.and(time),
        None => sentence,
    }
}
