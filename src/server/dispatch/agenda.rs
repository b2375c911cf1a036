//! What is to be looked at in the next pass: gathered from the news, each thing once. Pure.

use std::collections::BTreeSet;

use crate::run::{ApiKey, KillId, RunId};
use crate::server::domain::model::JobId;
use crate::server::store::changes::{Change, ChangeNotice};

#[cfg(test)]
mod tests;

/// What is to be looked at.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Agenda {
    /// Everything, news having been missed.
    pub everything: bool,
    /// Who is there.
    pub workers: bool,
    /// Every run that is due.
    pub due: bool,
    /// Whether every job's next run is what its schedule says.
    pub plans: bool,
    /// Whether somebody waits for a seat that is free now.
    pub seats: bool,
    /// Jobs, whatever of them is due.
    pub jobs: BTreeSet<JobId>,
    /// Jobs that were changed: the limits of their runs may be others now.
    pub changed: BTreeSet<JobId>,
    /// Runs, whatever job they are of.
    pub runs: BTreeSet<RunId>,
    /// Runs that were claimed.
    pub claimed: BTreeSet<RunId>,
    /// Runs that were started.
    pub started: BTreeSet<RunId>,
    /// Runs that nobody has, or that are over.
    pub ended: BTreeSet<RunId>,
    /// Requests to kill that were made.
    pub asked: BTreeSet<KillId>,
    /// Requests to kill that were taken.
    pub taken: BTreeSet<KillId>,
    /// Workers that hear from now on.
    pub arrived: Vec<ApiKey>,
}

impl Agenda {
    /// Takes note of news; `false` if there will be no more.
    pub fn note(&mut self, heard: ChangeNotice) -> bool {
        match heard {
            ChangeNotice::Item(item) => self.note_item(item),
            ChangeNotice::Missed => self.everything = true,
            ChangeNotice::Closed => return false,
        }
        true
    }

    fn note_item(&mut self, item: Change) {
        match item {
            Change::RunScheduled(run) => {
                self.runs.insert(run);
            }
            Change::RunEnqueued(run) => {
                self.runs.insert(run);
                self.claimed.insert(run);
            }
            Change::RunStarted(run) => {
                self.started.insert(run);
            }
            Change::RunGivenBack(run) | Change::RunReturned(run) => {
                self.seats = true;
                self.runs.insert(run);
                self.ended.insert(run);
            }
            Change::KillRequested(kill) => {
                self.asked.insert(kill);
            }
            Change::KillTaken(kill) | Change::KillExecuted(kill) => {
                self.taken.insert(kill);
            }
            Change::JobChanged(job) => {
                self.jobs.insert(job);
                self.changed.insert(job);
            }
            Change::WorkerChanged(_) => self.workers = true,
            // What was taken away took runs with it.
            Change::CatalogueChanged => (self.workers, self.plans) = (true, true),
            Change::RunWaits(_) | Change::RunLog(..) => {}
        }
    }
}
