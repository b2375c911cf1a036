//! Wording of the reasons: each as one English sentence.

use std::fmt;

use super::{FireReason, WorkerAttempt};
use crate::server::domain::model::Asker;
use crate::server::domain::schedule::{MAX_PASSED_TIMES, exclude_in_words};
use crate::server::domain::sentence::Sentence;

#[cfg(test)]
mod tests;

impl FireReason {
    /// Puts the reason into words.
    #[must_use]
    pub fn sentence(&self) -> Sentence {
        match self {
            Self::Waiting(reasons) => reasons.sentence(),
            Self::Met(reason) => reason.sentence(),
            Self::Replacing(run) => Sentence::from("run ").and(*run).and(" is killed to make room"),
            Self::WorkerLeftOut(worker, why) => format!("worker {worker} {why}").into(),
            Self::WorkerRemoved(worker) => format!("its worker {worker} was removed").into(),
            Self::WorkerLost(WorkerAttempt { run, attempt, worker }) => {
                Sentence::from(format!("worker {worker} was lost with attempt {attempt} of run ")).and(*run)
            }
            Self::GivenBack(WorkerAttempt { run, attempt, worker }) => {
                let gave = Sentence::from(format!("worker {worker} gave back attempt {attempt} of run "));
                gave.and(*run).and(", unjudged")
            }
            Self::Cancelled(by) => cancelled(*by),
            Self::Superseded(run) => Sentence::from("run ").and(*run).and(" takes its place"),
            Self::ScheduleChanged => "the job is not scheduled like that any more".into(),
            Self::NoNextRun(why) => format!("there is no next run: {why}").into(),
            Self::Excluded(exclude) => format!("the schedule leaves out {}", exclude_in_words(exclude)).into(),
            Self::Passed(times) => {
                format!("{} passed while the one before waited or nobody looked", passed(*times)).into()
            }
            Self::ChildLeftOut { why, run, job } => {
                Sentence::from(format!("{why}: run ")).and(*run).and(" of job ").and(*job)
            }
            Self::Sentence(_, text) => text.as_str().into(),
        }
    }
}

impl fmt::Display for FireReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sentence().fmt(f)
    }
}

fn cancelled(by: Asker) -> Sentence {
    match by {
        Asker::Dashboard => "cancelled on the dashboard".into(),
        Asker::Command => "cancelled by the command".into(),
        Asker::Client => "cancelled over the REST API".into(),
        Asker::Worker(worker) => format!("cancelled by worker {worker}").into(),
    }
}

fn passed(times: u32) -> String {
    match times {
        ..=1 => "this time".to_owned(),
        2..MAX_PASSED_TIMES => format!("this and {} more times", times - 1),
        MAX_PASSED_TIMES.. => format!("this and at least {} more times", MAX_PASSED_TIMES - 1),
    }
}
