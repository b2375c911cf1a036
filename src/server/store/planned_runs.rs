//! Plans the next run of a job with a schedule: creates it in advance, so that it can be seen before it is due.
//!
//! A job has one planned run at most. The run is created when the one before it is announced, and moved or deleted when
//! the schedule changes. A run that is made by hand for a later time takes its place: the schedule goes on from that
//! time.

use chrono::TimeDelta;
use chrono_tz::Tz;

use super::StoreError;
use super::db::{DbRow, Reading, Transaction};
use super::fires::{record, was_recorded};
use super::run_ends::withdraw;
use super::runs::{NewRun, insert};
use crate::run::RunId;
use crate::server::domain::fire::{Fire, FireReason};
use crate::server::domain::model::{Job, JobId, Run, Schedule, Timestamp};
use crate::server::domain::schedule::{self, Last, LeftOut, NextTime, NoNext, NoNextTime, Rule};
use crate::server::store::changes::Change;

/// Unclaimed runs of a job that are read at most.
const BATCH: i64 = 200;

/// An unclaimed run that the schedule waits for.
pub(super) struct PendingRun {
    id: RunId,
    schedule_id: i64,
    at: Timestamp,
    /// Whether the run is due.
    is_due: bool,
    /// Whether only one worker may execute it.
    pinned: bool,
    /// Text of the rule that planned the run; `None` if it was not planned by a rule.
    plan: Option<String>,
}

/// Plans, moves or deletes the next run of a job. Of its `pending` runs, those whose schedule ids are `present` are announced
/// in the same change.
pub(super) fn plan_next_run(
    transaction: &mut Transaction<'_>,
    job: &Job,
    mut pending: Vec<PendingRun>,
    present: &[i64],
    zone: Tz,
    now: Timestamp,
) -> Result<(), StoreError> {
    pending.retain(|run| !present.contains(&run.schedule_id));
    // A planned run that is due waits to be announced, and the schedule waits for it as for any other.
    let (planned, others): (Vec<_>, Vec<_>) = pending.iter().partition(|run| run.plan.is_some() && !run.is_due);
    let rule = Rule::of(job, zone);
    let Some(planned) = planned.first() else {
        // The schedule goes on from these runs once they are announced.
        if !others.is_empty() || *rule.schedule == Schedule::None {
            return Ok(());
        }
        let last = last(transaction, job, None)?;
        let Some(next) = next_time(transaction, job, rule, last, now)? else { return Ok(()) };
        let made = insert(transaction, &NewRun::due(job.id, next.at))?;
        return move_to(transaction, made.id, &next, &rule.text());
    };
    if let Some(other) = others.iter().find(|run| run.plan.is_none() && !run.is_due) {
        // A run for a later time that no rule planned was made by hand.
        return drop_planned(transaction, job, planned, FireReason::Superseded(other.id), now);
    }
    if planned.plan.as_ref() == Some(&rule.text()) {
        return Ok(());
    }
    let last = last(transaction, job, Some(planned.id))?;
    match next_time(transaction, job, rule, last, now)? {
        Some(next) => {
            transaction.publish_on_commit([Change::RunScheduled(planned.id)]);
            move_to(transaction, planned.id, &next, &rule.text())
        }
        None => drop_planned(transaction, job, planned, FireReason::ScheduleChanged, now),
    }
}

/// Drops a due run: a planned run moves to its next time if the job has no other, and any other run is deleted, with
/// what was waiting for it.
pub(super) fn skip_run(
    transaction: &mut Transaction<'_>,
    job: &Job,
    run: &Run,
    zone: Tz,
    now: Timestamp,
) -> Result<(), StoreError> {
    let rule = Rule::of(job, zone);
    let sql = "SELECT plan, moved FROM run WHERE id = ?";
    let (plan, moved): (Option<String>, Option<i64>) =
        transaction.one(sql, &[&run.id], |row| Ok::<_, StoreError>((row.at(0)?, row.at(1)?)))?;
    let last = Last { at: run.schedule_dts, moved: TimeDelta::seconds(moved.unwrap_or(0)) };
    let has_next = pending(transaction, job.id, now)?.iter().any(|other| other.id != run.id && !other.is_due);
    if plan.is_some()
        && !has_next
        && let Some(next) = next_time(transaction, job, rule, Some(last), now)?
    {
        transaction.publish_on_commit([Change::RunScheduled(run.id)]);
        return move_to(transaction, run.id, &next, &rule.text());
    }
    withdraw(transaction, run, now)
}

const PENDING: &str =
    "SELECT id, schedule_id, schedule_dts, came_due IS NOT NULL OR schedule_dts <= ?, pinned, plan FROM run
     WHERE job = ? AND enqueue_dts IS NULL AND return_dts IS NULL AND is_manual = 0 AND retry_of IS NULL
     ORDER BY schedule_dts DESC, id LIMIT ?";

/// Asks ahead for what [`pending`] reads.
pub(super) fn ask_for_pending(reading: &Reading<'_>, job: JobId, now: Timestamp) {
    reading.ask_ahead(PENDING, &[&now, &job, &BATCH]);
}

/// Reads the unclaimed runs of a job that the schedule waits for, latest first. A due run that is meant for one worker holds
/// up nobody.
pub(super) fn pending(reading: &Reading<'_>, job: JobId, now: Timestamp) -> Result<Vec<PendingRun>, StoreError> {
    let found = reading.rows(PENDING, &[&now, &job, &BATCH], pending_run)?;
    Ok(found.into_iter().filter(|run| !run.pinned || !run.is_due).collect())
}

fn pending_run(row: &DbRow<'_>) -> Result<PendingRun, StoreError> {
    Ok(PendingRun {
        id: row.at(0)?,
        schedule_id: row.at(1)?,
        at: row.at(2)?,
        is_due: row.at(3)?,
        pinned: row.at(4)?,
        plan: row.at(5)?,
    })
}

/// Returns the last due time from which the schedule goes on; runs by hand and retries do not count.
fn last(reading: &Reading<'_>, job: &Job, except: Option<RunId>) -> Result<Option<Last>, StoreError> {
    reading.row(
        "SELECT schedule_dts, moved FROM run WHERE job = ? AND is_manual = 0 AND retry_of IS NULL AND id <> ?
         ORDER BY id DESC LIMIT 1",
        &[&job.id, &except.map_or(0, RunId::get)],
        |row| {
            let moved = TimeDelta::seconds(row.at::<Option<i64>>(1)?.unwrap_or(0));
            Ok(Last { at: row.at(0)?, moved })
        },
    )
}

fn move_to(transaction: &mut Transaction<'_>, run: RunId, next: &NextTime, plan: &str) -> Result<(), StoreError> {
    let moved = Some(next.moved.num_seconds()).filter(|moved| *moved != 0);
    // A run that moves is no longer due until its new time.
    let sql = "UPDATE run SET schedule_dts = ?, came_due = NULL, moved = ?, plan = ? WHERE id = ?";
    transaction.write(sql, &[&next.at, &moved, &plan, &run])?;
    Ok(())
}

fn drop_planned(
    transaction: &mut Transaction<'_>,
    job: &Job,
    planned: &PendingRun,
    reason: FireReason,
    now: Timestamp,
) -> Result<(), StoreError> {
    // Unlike a run that is withdrawn, a planned run has no siblings and retries nothing, so nothing was waiting for it.
    transaction.write("DELETE FROM run WHERE id = ?", &[&planned.id])?;
    record_fire(transaction, job, planned.at, reason, now)?;
    transaction.publish_on_commit([Change::RunScheduled(planned.id)]);
    Ok(())
}

/// Returns the next due time, and records the times that were left out or missed.
fn next_time(
    transaction: &mut Transaction<'_>,
    job: &Job,
    rule: Rule<'_>,
    last: Option<Last>,
    now: Timestamp,
) -> Result<Option<NextTime>, StoreError> {
    let (next, left_out) = match schedule::next(rule, last, now) {
        Ok(next) => (Some(next.clone()), next.left_out),
        Err(NoNextTime { why: NoNext::NoSchedule, .. }) => (None, Vec::new()),
        Err(NoNextTime { why, left_out }) => {
            let (due, reason) = (last.map_or(now, |last| last.at), FireReason::NoNextRun(why));
            // Without a run before it, such a fire is recorded under the present time, a new one at each evaluation; so
            // the reason is compared.
            if last.is_some() || !was_recorded(transaction, job.id, &reason)? {
                record_fire(transaction, job, due, reason, now)?;
            }
            (None, left_out)
        }
    };
    for LeftOut { at, exclude } in left_out {
        record_fire(transaction, job, at, FireReason::Excluded(exclude), now)?;
    }
    if let Some(passed) = next.as_ref().and_then(|next| next.passed) {
        record_fire(transaction, job, passed.first, FireReason::Passed(passed.times), now)?;
    }
    Ok(next)
}

fn record_fire(
    transaction: &mut Transaction<'_>,
    job: &Job,
    due: Timestamp,
    reason: FireReason,
    at: Timestamp,
) -> Result<(), StoreError> {
    record(transaction, &Fire { job: job.id, due, run: None, reason, at })
}
