//! Kill requests: creates them and records that the worker of the attempt took and executed them. The rule
//! `life::kill_or_cancel` decides whether a run is killed or cancelled.

use super::db::{Reading, Transaction};
use super::{Store, StoreError, rows};
use crate::run::{KillId, RunId};
use crate::server::domain::life::kill_or_cancel::may_report_kill;
use crate::server::domain::life::{Actor, AttemptKill};
use crate::server::domain::model::{Asker, KillCause, KillRequest, Run, Timestamp};
use crate::server::store::changes::Change;

/// Report of a worker on a kill request; `None` leaves a field as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KillPatch {
    /// Time at which the worker took the request.
    pub enqueue_dts: Option<Timestamp>,
    /// Time at which no process of the run was left alive.
    pub execute_dts: Option<Timestamp>,
}

/// Outcome of a report on a kill request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KillChange {
    /// The report is recorded, or was known.
    Made,
    /// The kill was requested for an attempt that another worker had, or that no worker had.
    Theirs,
    /// There is no such kill request.
    Unknown,
}

impl Store {
    /// Reads a kill request; `None` if there is no such request.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn kill(&self, kill: KillId) -> Result<Option<KillRequest>, StoreError> {
        self.read(move |reading| find(reading, kill)).await
    }

    /// Records a report on a kill request, of the worker that had the attempt or of the operator. Times that are known
    /// already stay as they are.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn change_kill(&self, kill: KillId, patch: KillPatch, who: Actor) -> Result<KillChange, StoreError> {
        self.change(move |transaction| {
            let Some(before) = find(transaction, kill)? else { return Ok(KillChange::Unknown) };
            if !may_report_kill(before.worker, who) {
                return Ok(KillChange::Theirs);
            }
            let enqueue = before.enqueue_dts.or(patch.enqueue_dts);
            let execute = before.execute_dts.or(patch.execute_dts);
            let sql = "UPDATE kill_request SET enqueue_dts = ?, execute_dts = ? WHERE id = ?";
            transaction.write(sql, &[&enqueue, &execute, &kill])?;
            let is_taken = before.enqueue_dts.is_none() && enqueue.is_some();
            let is_executed = before.execute_dts.is_none() && execute.is_some();
            transaction.publish_on_commit(is_taken.then_some(Change::KillTaken(kill)));
            transaction.publish_on_commit(is_executed.then_some(Change::KillExecuted(kill)));
            Ok(KillChange::Made)
        })
        .await
    }
}

fn find(reading: &Reading<'_>, kill: KillId) -> Result<Option<KillRequest>, StoreError> {
    reading.row("SELECT * FROM kill_request WHERE id = ?", &[&kill], rows::kill)
}

/// A kill request to be created, for a run's present attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewKillRequest {
    /// Run whose attempt is to end.
    pub run: RunId,
    /// Reason for the kill.
    pub cause: KillCause,
    /// Author of the request; `None` for the server itself.
    pub by: Option<Asker>,
    /// Whether the request counts as taken and executed at once, because there is nothing to kill.
    pub is_executed: bool,
}

/// Creates a kill request.
pub(super) fn insert(
    transaction: &mut Transaction<'_>,
    new: &NewKillRequest,
    now: Timestamp,
) -> Result<KillRequest, StoreError> {
    transaction.one(
        // An unclaimed run has no attempt that a worker could report on, even if it is pinned to one.
        "INSERT INTO kill_request (run, attempt, worker, schedule_dts, enqueue_dts, execute_dts, cause, asked_by)
         SELECT id, attempt, CASE WHEN enqueue_dts IS NOT NULL THEN worker END, ?2, ?3, ?3, ?4, ?5
         FROM run WHERE id = ?1 RETURNING *",
        &[&new.run, &now, &new.is_executed.then_some(now), &rows::cause_name(new.cause), &new.by.map(rows::asker_text)],
        rows::kill,
    )
}

/// Requests the kill of a run's present attempt, unless an unexecuted request for it exists.
pub(super) fn insert_kill_request(
    transaction: &mut Transaction<'_>,
    run: RunId,
    cause: KillCause,
    by: Option<Asker>,
    now: Timestamp,
) -> Result<Option<KillId>, StoreError> {
    if is_kill_requested(transaction, run)? {
        return Ok(None);
    }
    let new = NewKillRequest { run, cause, by, is_executed: false };
    let request = insert(transaction, &new, now)?.id;
    transaction.publish_on_commit([Change::KillRequested(request)]);
    Ok(Some(request))
}

/// Returns whether there is an unexecuted kill request for a run's present attempt.
pub(super) fn is_kill_requested(reading: &Reading<'_>, run: RunId) -> Result<bool, StoreError> {
    reading.one(
        "SELECT EXISTS (SELECT 1 FROM kill_request JOIN run ON run.id = kill_request.run
         WHERE run.id = ? AND kill_request.attempt = run.attempt AND execute_dts IS NULL)",
        &[&run],
        |row| Ok(row.at(0)?),
    )
}

/// Returns the kill requests for a run's present attempt.
pub(super) fn kill_of_attempt(reading: &Reading<'_>, run: &Run) -> Result<AttemptKill, StoreError> {
    let (first, taken): (Option<String>, Option<String>) = reading.one(
        "SELECT (SELECT cause FROM kill_request WHERE run = ?1 AND attempt = ?2 ORDER BY id LIMIT 1),
         (SELECT cause FROM kill_request WHERE run = ?1 AND attempt = ?2 AND enqueue_dts IS NOT NULL
             ORDER BY id LIMIT 1)",
        &[&run.id, &run.attempt.0],
        |row| Ok::<_, StoreError>((row.at(0)?, row.at(1)?)),
    )?;
    Ok(match (first.as_deref().map(rows::cause), taken.as_deref().map(rows::cause)) {
        (None, _) => AttemptKill::Unrequested,
        (Some(first), None) => AttemptKill::Requested(first),
        (Some(first), Some(taken)) => AttemptKill::Taken { first, taken },
    })
}
