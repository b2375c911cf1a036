//! Agenda of the next pass: gathered from the changes, each item once. Pure.

use std::collections::BTreeSet;

use crate::run::{ApiKey, KillId, RunId};
use crate::server::domain::model::JobId;
use crate::server::store::changes::{Change, ChangeNotice};

#[cfg(test)]
mod tests;

/// Items for the next pass.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Agenda {
    /// All state is to be read again, because changes were missed.
    pub must_reread_all: bool,
    /// The workers are to be read again.
    pub workers: bool,
    /// All jobs with due runs are to be evaluated.
    pub due: bool,
    /// All jobs are to be checked for whether their next run is as their schedule plans it.
    pub plans: bool,
    /// A slot may have become free for a run that waits for one.
    pub has_free_slots: bool,
    /// Jobs to evaluate, with all of their due runs.
    pub jobs: BTreeSet<JobId>,
    /// Jobs that were changed: their runs may have other limits now.
    pub changed: BTreeSet<JobId>,
    /// Runs whose jobs are to be evaluated.
    pub runs: BTreeSet<RunId>,
    /// Runs that were claimed.
    pub claimed: BTreeSet<RunId>,
    /// Runs whose scripts were started.
    pub started: BTreeSet<RunId>,
    /// Runs that were given back or lost, or are over.
    pub ended: BTreeSet<RunId>,
    /// Kill requests that were made.
    pub requested_kills: BTreeSet<KillId>,
    /// Kill requests that a worker has taken.
    pub taken_kills: BTreeSet<KillId>,
    /// Workers that have just connected.
    pub arrived: Vec<ApiKey>,
}

impl Agenda {
    /// Notes a change; `false` if no more changes will come.
    pub fn note(&mut self, heard: ChangeNotice) -> bool {
        match heard {
            ChangeNotice::Item(item) => self.note_item(item),
            ChangeNotice::Missed => self.must_reread_all = true,
            ChangeNotice::Closed => return false,
        }
        true
    }

    fn note_item(&mut self, item: Change) {
        match item {
            Change::RunScheduled(run) => {
                self.runs.insert(run);
            }
            // Whether the other runs of the job may run depends on this one.
            Change::RunEnqueued(run) => {
                self.runs.insert(run);
                self.claimed.insert(run);
            }
            Change::RunStarted(run) => {
                self.started.insert(run);
            }
            Change::RunGivenBack(run) | Change::RunReturned(run) => {
                self.has_free_slots = true;
                self.runs.insert(run);
                self.ended.insert(run);
            }
            Change::KillRequested(kill) => {
                self.requested_kills.insert(kill);
            }
            Change::KillTaken(kill) | Change::KillExecuted(kill) => {
                self.taken_kills.insert(kill);
            }
            Change::JobChanged(job) => {
                self.jobs.insert(job);
                self.changed.insert(job);
            }
            Change::WorkerChanged(_) => self.workers = true,
            // A deleted project, template, pool or worker took runs with it, such as the next runs of jobs.
            Change::CatalogueChanged => (self.workers, self.plans) = (true, true),
            // The dispatcher publishes waits itself, logs decide nothing, and the farm has its own workers.
            Change::RunWaits(_) | Change::RunLog(..) | Change::FarmChanged => {}
        }
    }
}
