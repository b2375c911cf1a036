//! Requests to end a run: decides what such a request does, and who may report on the kill that it led to. Pure.
//!
//! A client of the REST API creates a kill request, as with the original: the client reads the request again by its id,
//! so each request becomes a row, even if there is nothing to kill. The operator, on the dashboard or with the command,
//! wants the run to end: a second request for the same attempt says nothing new and becomes no row.

use super::Actor;
use crate::server::domain::model::{Asker, Run, RunState, WorkerId};

#[cfg(test)]
mod tests;

/// Effect of a request on the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndDecision {
    /// The run is cancelled: no worker had claimed it, and none can any more.
    Cancel,
    /// The run's worker is asked to kill it.
    AskWorker,
    /// The run was over before, and stays as it is.
    Over,
}

/// Row of `kill_request` that a request leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KillRecord {
    /// No row: nothing is to be done, or an earlier request asks for the same.
    Nothing,
    /// A request that the worker is to take, published.
    Open,
    /// A request that counts as taken and executed at once, published.
    Executed,
    /// The same, but not published: a note on the page of the run who cancelled it.
    Note,
}

/// Decision about a request to end a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndPlan {
    /// Effect on the run.
    pub decision: EndDecision,
    /// Row that is left of the request.
    pub record: KillRecord,
}

/// Decides about a request to end a run. `is_asked` says that an earlier kill request for the present attempt is not
/// executed yet.
#[must_use]
pub fn end(run: &Run, by: Asker, is_asked: bool) -> EndPlan {
    let decision = match run.state() {
        RunState::Scheduled => EndDecision::Cancel,
        RunState::InQueue | RunState::Started => EndDecision::AskWorker,
        RunState::Completed => EndDecision::Over,
    };
    let record = match (by, decision) {
        (Asker::Client | Asker::Worker(_), EndDecision::AskWorker) => KillRecord::Open,
        (Asker::Client | Asker::Worker(_), EndDecision::Cancel | EndDecision::Over) => KillRecord::Executed,
        (Asker::Dashboard | Asker::Command, EndDecision::AskWorker) if is_asked => KillRecord::Nothing,
        (Asker::Dashboard | Asker::Command, EndDecision::AskWorker) => KillRecord::Open,
        (Asker::Dashboard | Asker::Command, EndDecision::Cancel) => KillRecord::Note,
        (Asker::Dashboard | Asker::Command, EndDecision::Over) => KillRecord::Nothing,
    };
    EndPlan { decision, record }
}

/// Returns whether a sender may report on a kill request. `attempted_by` is the worker that had the attempt for which
/// the kill was requested: the attempt may have been lost or given back since, and the run be another worker's.
#[must_use]
pub fn may_report_kill(attempted_by: Option<WorkerId>, who: Actor) -> bool {
    match who {
        Actor::Worker(me, _) => attempted_by == Some(me),
        Actor::Operator => true,
    }
}
