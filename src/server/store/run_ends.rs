//! Ends of runs: cancels and withdraws runs that nobody has claimed, and does what follows from an end: retries, children,
//! counts of failures. [`chain`] decides.

use super::db::{DbRow, Reading, Transaction};
use super::entities::{ask_for_job_of, find_job, find_job_of};
use super::fires::record;
use super::runs::{ClockNotes, NewRun, insert, update};
use super::{StoreError, rows};
use crate::run::RunId;
use crate::server::domain::chain::{self, Child, Effect};
use crate::server::domain::fire::{Fire, FireReason};
use crate::server::domain::life;
use crate::server::domain::model::{Asker, Job, Run, Timestamp};
use crate::server::store::changes::Change;

/// Ends a run that no worker has claimed, and records who cancelled it.
pub(super) fn cancel(
    transaction: &mut Transaction<'_>,
    run: &Run,
    by: Asker,
    now: Timestamp,
) -> Result<(), StoreError> {
    let reason = FireReason::Cancelled(by);
    let fire = Fire { job: run.job, due: run.schedule_dts, run: Some(run.id), reason, at: now };
    record(transaction, &fire)?;
    let run = &life::cancel(run, now).run;
    update(transaction, run, ClockNotes::default())?;
    transaction.publish_on_commit([Change::RunReturned(run.id)]);
    if let Some(job) = find_job(transaction, run.job)? {
        let siblings = siblings(transaction, run)?;
        let children = children(transaction, &job)?;
        let effects = chain::cancelled(&job, run, &siblings, &children);
        apply(transaction, &job, run, effects, now)?;
    }
    Ok(())
}

/// What decides about what follows from the end of a run.
pub(super) struct RunFollowers {
    job: Job,
    /// Other runs of the schedule id, without failed ones that were retried.
    siblings: Vec<Run>,
    children: Vec<Child>,
}

/// Asks ahead for what [`read_followers`] reads of a run.
pub(super) fn ask_for_followers(reading: &Reading<'_>, run: RunId) {
    ask_for_job_of(reading, run);
    reading.ask_ahead(SIBLINGS_OF, &[&run]);
    reading.ask_ahead(CHILDREN_OF, &[&run]);
}

/// Reads what decides about what follows from the end of a run; `None` if its job is gone.
pub(super) fn read_followers(reading: &Reading<'_>, run: &Run) -> Result<Option<RunFollowers>, StoreError> {
    ask_for_followers(reading, run.id);
    let Some(job) = find_job_of(reading, run.id)? else { return Ok(None) };
    let siblings = reading.rows(SIBLINGS_OF, &[&run.id], rows::run)?;
    let children = reading.rows(CHILDREN_OF, &[&run.id], child)?;
    Ok(Some(RunFollowers { job, siblings, children }))
}

/// Does what follows from a run that has just ended.
pub(super) fn follow(
    transaction: &mut Transaction<'_>,
    run: &Run,
    followers: &RunFollowers,
    now: Timestamp,
) -> Result<(), StoreError> {
    let RunFollowers { job, siblings, children } = followers;
    let effects = chain::after(job, run, siblings, children, now);
    apply(transaction, job, run, effects, now)
}

/// Deletes a run that no worker has claimed or ever will, and does what was waiting for it: the failure that it was to
/// retry counts, and the children of its schedule id are decided about.
pub(super) fn withdraw(transaction: &mut Transaction<'_>, run: &Run, now: Timestamp) -> Result<(), StoreError> {
    // Subscribers read the run again and find that it is gone.
    transaction.publish_on_commit([Change::RunScheduled(run.id)]);
    transaction.write("DELETE FROM run WHERE id = ?", &[&run.id])?;
    let Some(job) = find_job(transaction, run.job)? else { return Ok(()) };
    // Read after the deletion: a failure whose retry is gone is among the siblings again.
    let mut left = siblings(transaction, run)?;
    let last = match run.retry_of {
        Some((failed, _)) => left.iter().position(|other| other.id == failed),
        None => (0..left.len()).filter(|at| left[*at].return_dts.is_some()).max_by_key(|at| left[*at].return_dts),
    };
    let Some(last) = last.map(|at| left.swap_remove(at)) else { return Ok(()) };
    let children = children(transaction, &job)?;
    let effects = match run.retry_of {
        Some(_) => chain::settled(&job, &last, &left, &children),
        None => chain::children(&job, &last, &left, &children),
    };
    apply(transaction, &job, &last, effects, now)
}

/// Carries out effects of a run's end.
fn apply(
    transaction: &mut Transaction<'_>,
    job: &Job,
    run: &Run,
    effects: Vec<Effect>,
    now: Timestamp,
) -> Result<(), StoreError> {
    for effect in effects {
        match effect {
            Effect::FailTimes(times) => {
                transaction.write("UPDATE job SET fail_times = ? WHERE id = ?", &[&times, &job.id])?;
            }
            Effect::Disable => {
                let reason =
                    format!("failed more than {} times in a row", job.disable_enqueue_after_fails.unwrap_or(0));
                let sql = "UPDATE job SET enqueue_is_enabled = 0, disabled_reason = ? WHERE id = ?";
                transaction.write(sql, &[&reason, &job.id])?;
                transaction.publish_on_commit([Change::JobChanged(job.id)]);
            }
            Effect::Completed(schedule_id) => {
                let sql = "UPDATE job SET last_completed_schedule_id = ? WHERE id = ?";
                transaction.write(sql, &[&schedule_id, &job.id])?;
            }
            Effect::Retry(at, number) => {
                let retry = NewRun {
                    pinned: run.worker.filter(|_| run.pinned),
                    schedule_id: Some(run.schedule_id),
                    is_manual: run.is_manual,
                    schedule_children: run.schedule_children,
                    retry_of: Some((run.id, number)),
                    ..NewRun::due(job.id, at)
                };
                insert(transaction, &retry)?;
            }
            Effect::Child(child) => {
                let new = NewRun { follows: Some(run.id), ..NewRun::now(child, now) };
                insert(transaction, &new)?;
            }
            Effect::NoChild(child, why) => {
                let reason = FireReason::ChildLeftOut { why, run: run.id, job: job.id };
                let fire = Fire { job: child, due: now, run: None, reason, at: now };
                record(transaction, &fire)?;
            }
        }
    }
    Ok(())
}

const SIBLINGS: &str = "SELECT * FROM run WHERE schedule_id = ?1 AND job = ?2 AND id <> ?3
    AND id NOT IN (SELECT retry_of FROM run WHERE schedule_id = ?1 AND retry_of IS NOT NULL) ORDER BY id";
/// Like [`SIBLINGS`], by the run alone.
const SIBLINGS_OF: &str = "SELECT other.* FROM run
    JOIN run AS other ON other.schedule_id = run.schedule_id AND other.job = run.job WHERE run.id = ?1 AND other.id <> ?1
    AND other.id NOT IN (SELECT retry.retry_of FROM run AS retry
        WHERE retry.schedule_id = run.schedule_id AND retry.retry_of IS NOT NULL) ORDER BY other.id";
const CHILDREN: &str = "SELECT id, enqueue_is_enabled FROM job WHERE parent = ? ORDER BY id";
/// Like [`CHILDREN`], by a run of the parent.
const CHILDREN_OF: &str =
    "SELECT id, enqueue_is_enabled FROM job WHERE parent = (SELECT job FROM run WHERE id = ?) ORDER BY id";

/// Reads the other runs of a job and schedule id, without failed ones that were retried.
fn siblings(reading: &Reading<'_>, run: &Run) -> Result<Vec<Run>, StoreError> {
    reading.rows(SIBLINGS, &[&run.schedule_id, &run.job, &run.id], rows::run)
}

fn children(reading: &Reading<'_>, job: &Job) -> Result<Vec<Child>, StoreError> {
    reading.rows(CHILDREN, &[&job.id], child)
}

fn child(row: &DbRow<'_>) -> Result<Child, StoreError> {
    Ok(Child { job: row.at(0)?, enabled: row.at(1)? })
}
