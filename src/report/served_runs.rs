//! Served runs: the runs that have a courier, and the number of those that are over and not delivered.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::run::RunId;

/// Stage of a run that has a courier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The run is not over.
    Open,
    /// The run is over, and the server does not have all of it.
    Over,
}

/// Runs that have a courier.
pub(super) struct ServedRuns {
    stages: Mutex<HashMap<RunId, Stage>>,
    /// Number of runs that are over and not delivered. Counted as they come and go, because there may be very many.
    pub(super) backlog: watch::Sender<usize>,
    /// Number of runs that have a courier.
    pub(super) served: watch::Sender<usize>,
}

impl Default for ServedRuns {
    fn default() -> Self {
        Self { stages: Mutex::default(), backlog: watch::Sender::new(0), served: watch::Sender::new(0) }
    }
}

impl ServedRuns {
    /// Adds a run, or sets its stage.
    pub(super) fn insert(&self, run: RunId, stage: Stage) {
        let before = self.lock().insert(run, stage);
        self.count(before, Some(stage));
        self.count_served();
    }

    /// Marks a run as over; no effect where its courier is gone already.
    pub(super) fn mark_over(&self, run: RunId) {
        let before = self.lock().get_mut(&run).map(|stage| std::mem::replace(stage, Stage::Over));
        self.count(before, before.map(|_| Stage::Over));
    }

    pub(super) fn remove(&self, run: RunId) {
        let before = self.lock().remove(&run);
        self.count(before, None);
        self.count_served();
    }

    pub(super) fn contains(&self, run: RunId) -> bool {
        self.lock().contains_key(&run)
    }

    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    fn count_served(&self) {
        // Counted under the watch's lock, so that the last one to count has counted all.
        self.served.send_modify(|served| *served = self.len());
    }

    fn count(&self, before: Option<Stage>, now: Option<Stage>) {
        let over = |stage: Option<Stage>| usize::from(stage == Some(Stage::Over));
        let (less, more) = (over(before), over(now));
        if less != more {
            self.backlog.send_modify(|backlog| *backlog = *backlog + more - less);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RunId, Stage>> {
        self.stages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
