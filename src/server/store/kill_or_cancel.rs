//! Requests to end a run, of an operator, a client or its time limit: cancels the run before its claim, and requests its
//! kill after it. [`kill_or_cancel::end`] decides; `kill_records` keeps the kill requests.

use super::kill_records::{self, NewKillRequest, insert_kill_request, is_kill_requested};
use super::run_ends::cancel;
use super::runs::find;
use super::{Store, StoreError};
use crate::run::{Attempt, KillId, RunId};
use crate::server::domain::life::kill_or_cancel::{self, EndDecision, EndPlan, KillRecord};
use crate::server::domain::model::{Asker, JobId, KillCause, KillRequest, RunState, Timestamp, WorkerId};
use crate::server::store::changes::Change;

/// Outcome of a request to end a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndOutcome {
    /// Effect on the run.
    pub decision: EndDecision,
    /// Kill request that was created.
    pub request: Option<KillRequest>,
}

/// Kill request for a run that exceeded its time limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeoutKill {
    /// Kill request that was created.
    pub kill: KillId,
    /// Job of the run.
    pub job: JobId,
    /// Attempt that is to be killed.
    pub attempt: Attempt,
    /// Worker of the attempt.
    pub worker: Option<WorkerId>,
}

impl Store {
    /// Carries out a request to end a run, as [`kill_or_cancel::end`] decides. Returns `None` if there is no such run.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn end_run(&self, run: RunId, by: Asker, now: Timestamp) -> Result<Option<EndOutcome>, StoreError> {
        self.change(move |transaction| {
            let Some(before) = find(transaction, run)? else { return Ok(None) };
            let EndPlan { decision, record } = kill_or_cancel::end(&before, by, is_kill_requested(transaction, run)?);
            let request = match record {
                KillRecord::Nothing => None,
                KillRecord::Open | KillRecord::Executed | KillRecord::Note => {
                    let is_executed = record != KillRecord::Open;
                    let new = NewKillRequest { run, cause: KillCause::Asked, by: Some(by), is_executed };
                    Some(kill_records::insert(transaction, &new, now)?)
                }
            };
            let published = request.as_ref().filter(|_| record != KillRecord::Note);
            transaction.publish_on_commit(published.map(|request| Change::KillRequested(request.id)));
            if decision == EndDecision::Cancel {
                cancel(transaction, &before, by, now)?;
            }
            Ok(Some(EndOutcome { decision, request }))
        })
        .await
    }

    /// Records that a run exceeded its time limit: requests its kill, unless it is over or a kill is requested already.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn record_timeout(&self, run: RunId, now: Timestamp) -> Result<Option<TimeoutKill>, StoreError> {
        self.change(move |transaction| {
            // The run may have ended between the dispatcher's timer and this transaction.
            let started = find(transaction, run)?.filter(|run| run.state() == RunState::Started);
            let Some(run) = started else { return Ok(None) };
            let kill = insert_kill_request(transaction, run.id, KillCause::TimedOut, None, now)?;
            Ok(kill.map(|kill| TimeoutKill { kill, job: run.job, attempt: run.attempt, worker: run.worker }))
        })
        .await
    }
}
