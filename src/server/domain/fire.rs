//! Fires: times at which a job was due and did not simply run, with the reason as data. Pure.
//!
//! `words` puts a reason into words, for pages, the command and the operator API alike. The store keeps a code and
//! parameters, so a wording can change without an old record reading differently or counting as another one.

use super::chain::NoChild;
use super::model::{Asker, Exclude, JobId, Timestamp, WorkerId};
use super::schedule::NoNext;
use super::schedule::due_decision::{Absence, WaitReason};
use super::wait_reasons::WaitReasons;
use crate::run::{Attempt, RunId};

mod words;

#[cfg(test)]
pub mod sample;

/// One time at which a job was due, and the outcome that `job_runner why` shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fire {
    /// Job that was due.
    pub job: JobId,
    /// Time at which the job was or would have been due.
    pub due: Timestamp,
    /// Run that was made for the time, if one was.
    pub run: Option<RunId>,
    /// Reason for the outcome, which also gives the kind of outcome ([`FireReason::kind`]).
    pub reason: FireReason,
    /// Time at which the server recorded it.
    pub at: Timestamp,
}

/// Outcome of a time at which a job was due, other than an ordinary run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FireKind {
    /// The run waits or waited.
    Delayed,
    /// The run does not happen: it met another one, was cancelled, or a worker or a child was left out.
    Skipped,
    /// An exclude of the schedule left the time out.
    Excluded,
    /// The time was past before its run could be planned.
    Missed,
}

impl FireKind {
    /// Returns the word used in the store, in the operator API and on the dashboard.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Delayed => "delayed",
            Self::Skipped => "skipped",
            Self::Excluded => "excluded",
            Self::Missed => "missed",
        }
    }

    /// Parses the word that [`FireKind::word`] returns.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        [Self::Delayed, Self::Skipped, Self::Excluded, Self::Missed].into_iter().find(|kind| kind.word() == word)
    }
}

/// Reason why a job that was due did not simply run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FireReason {
    /// The run waits or waited.
    Waiting(WaitReasons),
    /// The run met another one of its job, and the job skips such runs.
    Met(WaitReason),
    /// The run waits until this other run, which it replaces, is killed.
    Replacing(RunId),
    /// The worker got no run, although the job runs on all workers.
    WorkerLeftOut(WorkerId, Absence),
    /// The worker was removed that alone could have claimed the run.
    WorkerRemoved(WorkerId),
    /// The worker was lost during the attempt.
    WorkerLost(WorkerAttempt),
    /// The worker gave the attempt back before the script's result was known.
    GivenBack(WorkerAttempt),
    /// The run was ended before any worker had claimed it.
    Cancelled(Asker),
    /// The planned run gave way to this one, which was requested by hand for a later time.
    Superseded(RunId),
    /// The planned run does not belong to the schedule of the job any more.
    ScheduleChanged,
    /// No next run was planned.
    NoNextRun(NoNext),
    /// The exclude covers the time.
    Excluded(Exclude),
    /// Times were past before their run could be planned: so many, counted up to [`MAX_PASSED_TIMES`](super::schedule::MAX_PASSED_TIMES).
    Passed(u32),
    /// The job is a child that did not run after this run of its parent.
    ChildLeftOut {
        /// Reason why the child was left out.
        why: NoChild,
        /// Run of the parent.
        run: RunId,
        /// Job that is the parent.
        job: JobId,
    },
    /// Sentence that an earlier version stored, and from which no other reason could be read. Never recorded anew.
    Sentence(FireKind, String),
}

/// Attempt of a run on a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerAttempt {
    /// Run that was executed.
    pub run: RunId,
    /// Number of the attempt.
    pub attempt: Attempt,
    /// Worker that had claimed the attempt.
    pub worker: WorkerId,
}

impl FireReason {
    /// Returns the kind of outcome that the reason explains.
    #[must_use]
    pub fn kind(&self) -> FireKind {
        match self {
            Self::Waiting(_) | Self::Replacing(_) | Self::WorkerLost(_) | Self::GivenBack(_) => FireKind::Delayed,
            Self::Met(_)
            | Self::WorkerLeftOut(..)
            | Self::WorkerRemoved(_)
            | Self::Cancelled(_)
            | Self::Superseded(_)
            | Self::ScheduleChanged
            | Self::NoNextRun(_)
            | Self::ChildLeftOut { .. } => FireKind::Skipped,
            Self::Excluded(_) => FireKind::Excluded,
            Self::Passed(_) => FireKind::Missed,
            Self::Sentence(kind, _) => *kind,
        }
    }
}
