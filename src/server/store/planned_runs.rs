//! Plans the next run of a job with a schedule: creates it in advance, so that it can be seen before it is due.
//!
//! A job has one planned run at most. The run is created when the one before it is announced, and moved or deleted when
//! the schedule changes. A run that is made by hand for a later time takes its place: the schedule goes on from that
//! time.

use chrono::TimeDelta;
use chrono_tz::Tz;
use sqlx::sqlite::SqliteConnection;

use super::fires::{record, was_recorded};
use super::rows::{instant, micros};
use super::run_ends::withdraw;
use super::runs::{NewRun, insert};
use super::{StoreError, Writing};
use crate::run::RunId;
use crate::server::domain::fire::{Fire, FireReason};
use crate::server::domain::model::{Job, Run, Schedule, Timestamp};
use crate::server::domain::schedule::{self, Last, LeftOut, NextTime, NoNext, NoNextTime, Rule};
use crate::server::store::changes::Change;

/// Unclaimed runs of a job that are read at most.
const BATCH: i64 = 200;

/// An unclaimed run that the schedule waits for.
struct Pending {
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

/// Plans, moves or deletes the next run of a job. Runs whose schedule ids are `present` are announced in the same
/// change.
pub(super) async fn plan_next_run(
    writing: &mut Writing,
    job: &Job,
    present: &[i64],
    zone: Tz,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut pending = pending(writing, job, now).await?;
    pending.retain(|run| !present.contains(&run.schedule_id));
    // A planned run that is due waits to be announced, and the schedule waits for it as for any other.
    let (planned, others): (Vec<_>, Vec<_>) = pending.iter().partition(|run| run.plan.is_some() && !run.is_due);
    let rule = Rule::of(job, zone);
    let Some(planned) = planned.first() else {
        // The schedule goes on from these runs once they are announced.
        if !others.is_empty() || *rule.schedule == Schedule::None {
            return Ok(());
        }
        let last = last(writing, job, None).await?;
        let Some(next) = next_time(writing, job, rule, last, now).await? else { return Ok(()) };
        let made = insert(writing, &NewRun::due(job.id, next.at)).await?;
        return move_to(writing, made.id, &next, &rule.text()).await;
    };
    if let Some(other) = others.iter().find(|run| run.plan.is_none() && !run.is_due) {
        // A run for a later time that no rule planned was made by hand.
        return drop_planned(writing, job, planned, FireReason::Superseded(other.id), now).await;
    }
    if planned.plan.as_ref() == Some(&rule.text()) {
        return Ok(());
    }
    let last = last(writing, job, Some(planned.id)).await?;
    match next_time(writing, job, rule, last, now).await? {
        Some(next) => {
            writing.publish_on_commit([Change::RunScheduled(planned.id)]);
            move_to(writing, planned.id, &next, &rule.text()).await
        }
        None => drop_planned(writing, job, planned, FireReason::ScheduleChanged, now).await,
    }
}

/// Drops a due run: a planned run moves to its next time if the job has no other, and any other run is deleted, with
/// what was waiting for it.
pub(super) async fn skip_run(
    writing: &mut Writing,
    job: &Job,
    run: &Run,
    zone: Tz,
    now: Timestamp,
) -> Result<(), StoreError> {
    let rule = Rule::of(job, zone);
    let query = sqlx::query_as("SELECT plan, moved FROM run WHERE id = ?").bind(run.id.get());
    let (plan, moved): (Option<String>, Option<i64>) = query.fetch_one(&mut **writing).await?;
    let last = Last { at: run.schedule_dts, moved: TimeDelta::seconds(moved.unwrap_or(0)) };
    let has_next = pending(writing, job, now).await?.iter().any(|other| other.id != run.id && !other.is_due);
    if plan.is_some()
        && !has_next
        && let Some(next) = next_time(writing, job, rule, Some(last), now).await?
    {
        writing.publish_on_commit([Change::RunScheduled(run.id)]);
        return move_to(writing, run.id, &next, &rule.text()).await;
    }
    withdraw(writing, run, now).await
}

/// Reads the unclaimed runs that the schedule waits for, latest first. A due run that is meant for one worker holds up
/// nobody.
async fn pending(connection: &mut SqliteConnection, job: &Job, now: Timestamp) -> Result<Vec<Pending>, StoreError> {
    let query = sqlx::query_as(
        "SELECT id, schedule_id, schedule_dts, came_due IS NOT NULL OR schedule_dts <= ?, pinned, plan FROM run
         WHERE job = ? AND enqueue_dts IS NULL AND return_dts IS NULL AND is_manual = 0 AND retry_of IS NULL
         ORDER BY schedule_dts DESC, id LIMIT ?",
    );
    let found: Vec<(i64, i64, i64, bool, bool, Option<String>)> =
        query.bind(micros(now)).bind(job.id.get()).bind(BATCH).fetch_all(connection).await?;
    let pending = found.into_iter().filter_map(|(id, schedule_id, at, is_due, pinned, plan)| {
        let id = RunId::new(id)?;
        Some(instant(at).map(|at| Pending { id, schedule_id, at, is_due, pinned, plan }))
    });
    let pending = pending.collect::<Result<Vec<_>, _>>()?;
    Ok(pending.into_iter().filter(|run| !run.pinned || !run.is_due).collect())
}

/// Returns the last due time from which the schedule goes on; runs by hand and retries do not count.
async fn last(connection: &mut SqliteConnection, job: &Job, except: Option<RunId>) -> Result<Option<Last>, StoreError> {
    let query = sqlx::query_as(
        "SELECT schedule_dts, moved FROM run WHERE job = ? AND is_manual = 0 AND retry_of IS NULL AND id <> ?
         ORDER BY id DESC LIMIT 1",
    );
    let found: Option<(i64, Option<i64>)> =
        query.bind(job.id.get()).bind(except.map_or(0, RunId::get)).fetch_optional(connection).await?;
    let last = found.map(|(at, moved)| {
        let moved = TimeDelta::seconds(moved.unwrap_or(0));
        instant(at).map(|at| Last { at, moved })
    });
    last.transpose()
}

async fn move_to(connection: &mut SqliteConnection, run: RunId, next: &NextTime, plan: &str) -> Result<(), StoreError> {
    let moved = Some(next.moved.num_seconds()).filter(|moved| *moved != 0);
    // A run that moves is no longer due until its new time.
    let query = sqlx::query("UPDATE run SET schedule_dts = ?, came_due = NULL, moved = ?, plan = ? WHERE id = ?");
    query.bind(micros(next.at)).bind(moved).bind(plan).bind(run.get()).execute(connection).await?;
    Ok(())
}

async fn drop_planned(
    writing: &mut Writing,
    job: &Job,
    planned: &Pending,
    reason: FireReason,
    now: Timestamp,
) -> Result<(), StoreError> {
    // Unlike a run that is withdrawn, a planned run has no siblings and retries nothing, so nothing was waiting for it.
    sqlx::query("DELETE FROM run WHERE id = ?").bind(planned.id.get()).execute(&mut **writing).await?;
    record_fire(writing, job, planned.at, reason, now).await?;
    writing.publish_on_commit([Change::RunScheduled(planned.id)]);
    Ok(())
}

/// Returns the next due time, and records the times that were left out or missed.
async fn next_time(
    connection: &mut SqliteConnection,
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
            if last.is_some() || !was_recorded(connection, job.id, &reason).await? {
                record_fire(connection, job, due, reason, now).await?;
            }
            (None, left_out)
        }
    };
    for LeftOut { at, exclude } in left_out {
        record_fire(connection, job, at, FireReason::Excluded(exclude), now).await?;
    }
    if let Some(passed) = next.as_ref().and_then(|next| next.passed) {
        record_fire(connection, job, passed.first, FireReason::Passed(passed.times), now).await?;
    }
    Ok(next)
}

async fn record_fire(
    connection: &mut SqliteConnection,
    job: &Job,
    due: Timestamp,
    reason: FireReason,
    at: Timestamp,
) -> Result<(), StoreError> {
    record(connection, &Fire { job: job.id, due, run: None, reason, at }).await
}
