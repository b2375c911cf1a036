//! Ends of runs: cancels and withdraws runs that nobody has claimed, and does what follows from an end: retries, children,
//! counts of failures. [`chain`] decides.

use sqlx::sqlite::SqliteConnection;

use super::fires::record;
use super::rows;
use super::run_changes::update;
use super::runs::{NewRun, insert};
use super::{StoreError, Writing};
use crate::server::domain::chain::{self, Child, Effect};
use crate::server::domain::fire::{Fire, FireReason};
use crate::server::domain::life;
use crate::server::domain::model::{Asker, Job, JobId, Run, Timestamp};
use crate::server::store::changes::Change;

/// Ends a run that no worker has claimed, and records who cancelled it.
pub(super) async fn cancel(writing: &mut Writing, run: &Run, by: Asker, now: Timestamp) -> Result<(), StoreError> {
    let reason = FireReason::Cancelled(by);
    let fire = Fire { job: run.job, due: run.schedule_dts, run: Some(run.id), reason, at: now };
    record(writing, &fire).await?;
    let run = &life::cancel(run, now).run;
    update(writing, run).await?;
    writing.publish_on_commit([Change::RunReturned(run.id)]);
    if let Some(job) = super::entities::find_job(writing, run.job).await? {
        let siblings = siblings(writing, run).await?;
        let children = children(writing, &job).await?;
        let effects = chain::cancelled(&job, run, &siblings, &children);
        apply(writing, &job, run, effects, now).await?;
    }
    Ok(())
}

/// Does what follows from a run that has just ended.
pub(super) async fn follow(writing: &mut Writing, run: &Run, now: Timestamp) -> Result<(), StoreError> {
    let Some(job) = super::entities::find_job(writing, run.job).await? else { return Ok(()) };
    let siblings = siblings(writing, run).await?;
    let children = children(writing, &job).await?;
    let effects = chain::after(&job, run, &siblings, &children, now);
    apply(writing, &job, run, effects, now).await
}

/// Deletes a run that no worker has claimed or ever will, and does what was waiting for it: the failure that it was to
/// retry counts, and the children of its schedule id are decided about.
pub(super) async fn withdraw(writing: &mut Writing, run: &Run, now: Timestamp) -> Result<(), StoreError> {
    // Subscribers read the run again and find that it is gone.
    writing.publish_on_commit([Change::RunScheduled(run.id)]);
    sqlx::query("DELETE FROM run WHERE id = ?").bind(run.id.get()).execute(&mut **writing).await?;
    let Some(job) = super::entities::find_job(writing, run.job).await? else { return Ok(()) };
    // Read after the deletion: a failure whose retry is gone is among the siblings again.
    let mut left = siblings(writing, run).await?;
    let last = match run.retry_of {
        Some((failed, _)) => left.iter().position(|other| other.id == failed),
        None => (0..left.len()).filter(|at| left[*at].return_dts.is_some()).max_by_key(|at| left[*at].return_dts),
    };
    let Some(last) = last.map(|at| left.swap_remove(at)) else { return Ok(()) };
    let children = children(writing, &job).await?;
    let effects = match run.retry_of {
        Some(_) => chain::settled(&job, &last, &left, &children),
        None => chain::children(&job, &last, &left, &children),
    };
    apply(writing, &job, &last, effects, now).await
}

/// Carries out effects of a run's end.
async fn apply(
    writing: &mut Writing,
    job: &Job,
    run: &Run,
    effects: Vec<Effect>,
    now: Timestamp,
) -> Result<(), StoreError> {
    for effect in effects {
        match effect {
            Effect::FailTimes(times) => {
                let query = sqlx::query("UPDATE job SET fail_times = ? WHERE id = ?").bind(times).bind(job.id.get());
                query.execute(&mut **writing).await?;
            }
            Effect::Disable => {
                let reason =
                    format!("failed more than {} times in a row", job.disable_enqueue_after_fails.unwrap_or(0));
                let query = sqlx::query("UPDATE job SET enqueue_is_enabled = 0, disabled_reason = ? WHERE id = ?");
                query.bind(reason).bind(job.id.get()).execute(&mut **writing).await?;
                writing.publish_on_commit([Change::JobChanged(job.id)]);
            }
            Effect::Completed(schedule_id) => {
                let query = sqlx::query("UPDATE job SET last_completed_schedule_id = ? WHERE id = ?");
                query.bind(schedule_id).bind(job.id.get()).execute(&mut **writing).await?;
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
                insert(writing, &retry).await?;
            }
            Effect::Child(child) => {
                let new = NewRun { follows: Some(run.id), ..NewRun::now(child, now) };
                insert(writing, &new).await?;
            }
            Effect::NoChild(child, why) => {
                let reason = FireReason::ChildLeftOut { why, run: run.id, job: job.id };
                let fire = Fire { job: child, due: now, run: None, reason, at: now };
                record(writing, &fire).await?;
            }
        }
    }
    Ok(())
}

/// Reads the other runs of a job and schedule id, without failed ones that were retried.
async fn siblings(connection: &mut SqliteConnection, run: &Run) -> Result<Vec<Run>, StoreError> {
    let query = sqlx::query(
        "SELECT * FROM run WHERE schedule_id = ?1 AND job = ?2 AND id <> ?3
         AND id NOT IN (SELECT retry_of FROM run WHERE schedule_id = ?1 AND retry_of IS NOT NULL)",
    );
    let found = query.bind(run.schedule_id).bind(run.job.get()).bind(run.id.get()).fetch_all(connection).await?;
    found.iter().map(rows::run).collect()
}

async fn children(connection: &mut SqliteConnection, job: &Job) -> Result<Vec<Child>, StoreError> {
    let query = sqlx::query_as("SELECT id, enqueue_is_enabled FROM job WHERE parent = ? ORDER BY id");
    let found: Vec<(i64, bool)> = query.bind(job.id.get()).fetch_all(connection).await?;
    Ok(found.into_iter().filter_map(|(id, enabled)| Some(Child { job: JobId::new(id)?, enabled })).collect())
}
