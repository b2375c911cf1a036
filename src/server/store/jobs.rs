//! Changes of jobs: applies a patch or a whole form to a job, checks the rules, renders the script, in one transaction.

use super::db::{DbError, Reading, Transaction};
use super::entities::{
    NewJob, body_of, broken, check_references, find_job, insert_excludes, insert_job, schedule_columns, taken,
};
use super::{Conflict, Store, StoreError};
use crate::server::domain::model::{Job, JobId, PoolId, Schedule, TemplateId, Unit};
use crate::server::domain::title::Title;
use crate::server::domain::{rules, script};
use crate::server::store::changes::Change;

/// Changes to a job; `None` leaves a field as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobPatch {
    /// Title of the job as it was typed: only one that differs from the stored title is held to the rules.
    pub title: Option<String>,
    /// Description, for people only.
    pub description: Option<String>,
    /// Template of the job.
    pub template: Option<TemplateId>,
    /// Pool whose workers execute it.
    pub pool: Option<PoolId>,
    /// Job after which it runs, or none.
    pub parent: Option<Option<JobId>>,
    /// Script as it was written, before the template.
    pub script: Option<String>,
    /// Whether the job runs when it is due.
    pub enqueue_is_enabled: Option<bool>,
    /// Interval, in units of `unit`, or none.
    pub every: Option<Option<u32>>,
    /// Unit of the interval, or none.
    pub unit: Option<Option<Unit>>,
    /// Whether each run becomes one for every worker of the pool.
    pub run_on_all_workers: Option<bool>,
    /// Whether the job's children also run after a failure.
    pub schedule_children_on_error: Option<bool>,
    /// Addresses for notices of failures, one a line; kept for clients, as this server sends none.
    pub notification_addresses: Option<String>,
    /// Failures in a row beyond which the job is disabled; `Some(None)` and 0 never disable it.
    pub disable_enqueue_after_fails: Option<Option<u32>>,
}

impl JobPatch {
    fn apply(&self, job: &mut Job) -> Result<(), StoreError> {
        if let Some(title) = self.title.as_deref().filter(|title| *title != job.title.as_str()) {
            job.title = Title::new(title).map_err(broken)?;
        }
        set(&mut job.description, self.description.as_ref());
        set(&mut job.template, self.template.as_ref());
        set(&mut job.pool, self.pool.as_ref());
        set(&mut job.parent, self.parent.as_ref());
        set(&mut job.script_content_partial, self.script.as_ref());
        set(&mut job.enqueue_is_enabled, self.enqueue_is_enabled.as_ref());
        job.schedule = self.schedule(&job.schedule)?;
        set(&mut job.run_on_all_workers, self.run_on_all_workers.as_ref());
        set(&mut job.schedule_children_on_error, self.schedule_children_on_error.as_ref());
        set(&mut job.notification_addresses, self.notification_addresses.as_ref());
        set(&mut job.disable_enqueue_after_fails, self.disable_enqueue_after_fails.as_ref());
        Ok(())
    }

    /// Returns the schedule after the patch. A cron expression, of which a patch knows nothing, stays unless an
    /// interval replaces it. An interval without a unit is refused, as no run would ever come of it.
    fn schedule(&self, before: &Schedule) -> Result<Schedule, StoreError> {
        let (every, unit) = match before {
            Schedule::Interval { every, unit } => (Some(*every), Some(*unit)),
            Schedule::None | Schedule::Cron { .. } => (None, None),
        };
        match (self.every.unwrap_or(every), self.unit.unwrap_or(unit), before) {
            (Some(every), Some(unit), _) => Ok(Schedule::Interval { every, unit }),
            (Some(every), None, _) if self.every.is_some() => Err(Conflict::IntervalWithoutUnit(every).into()),
            (_, _, Schedule::Cron { .. }) => Ok(before.clone()),
            _ => Ok(Schedule::None),
        }
    }
}

fn set<T: Clone>(to: &mut T, from: Option<&T>) {
    if let Some(from) = from {
        to.clone_from(from);
    }
}

impl Store {
    /// Enables or disables a job, with the reason to be shown. Returns false if there is no such job.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn enable_job(&self, job: JobId, enabled: bool, reason: &str) -> Result<bool, StoreError> {
        // A job that was disabled after too many failures gets as many tries as a new one once it is enabled.
        let sql = "UPDATE job SET enqueue_is_enabled = ?1, disabled_reason = ?2,
             fail_times = CASE WHEN CAST(?1 AS BIGINT) = 1 AND enqueue_is_enabled = 0 THEN 0 ELSE fail_times END WHERE id = ?3";
        let reason = reason.to_owned();
        self.change(move |transaction| {
            let found = transaction.execute(sql, &[&enabled, &reason, &job])? > 0;
            transaction.publish_on_commit(found.then_some(Change::JobChanged(job)));
            Ok(found)
        })
        .await
    }

    /// Changes a job. Returns `None` if there is no such job.
    ///
    /// # Errors
    /// If the store cannot be read or written, or the change breaks a rule of the data.
    pub async fn change_job(&self, id: JobId, patch: &JobPatch) -> Result<Option<Job>, StoreError> {
        let patch = patch.clone();
        self.change(move |transaction| {
            let job = apply(transaction, id, &patch)?;
            transaction.publish_on_commit(job.is_some().then_some(Change::JobChanged(id)));
            Ok(job)
        })
        .await
    }

    /// Creates a job and applies a patch to it, in one transaction.
    ///
    /// # Errors
    /// If the store cannot be read or written, or the job breaks a rule of the data.
    pub async fn make_job(&self, new: &NewJob, patch: &JobPatch) -> Result<Job, StoreError> {
        let (new, patch) = (new.clone(), patch.clone());
        self.change(move |transaction| {
            let id = insert_job(transaction, &new)?.id;
            let job = apply(transaction, id, &patch)?.ok_or_else(|| DbError::Strange("a job".to_owned()))?;
            transaction.publish_on_commit([Change::JobChanged(id)]);
            Ok(job)
        })
        .await
    }
}

fn apply(transaction: &mut Transaction<'_>, id: JobId, patch: &JobPatch) -> Result<Option<Job>, StoreError> {
    let Some(mut job) = find_job(transaction, id)? else { return Ok(None) };
    let before = job.clone();
    patch.apply(&mut job)?;
    put(transaction, job, &before)?;
    find_job(transaction, id)
}

/// Replaces all that a form can edit of a job. Returns `None` if there is no such job.
pub(super) fn rewrite(transaction: &mut Transaction<'_>, id: JobId, new: &NewJob) -> Result<Option<JobId>, StoreError> {
    let Some(before) = find_job(transaction, id)? else { return Ok(None) };
    put(transaction, new.onto(before.clone()), &before)?;
    transaction.execute("DELETE FROM reschedule_exclude WHERE job = ?", &[&id])?;
    insert_excludes(transaction, id, &new.excludes)?;
    Ok(Some(id))
}

/// Checks and writes a changed job. Only fields that change are held to the rules: values from an earlier version or
/// from the original's database may break them.
fn put(transaction: &mut Transaction<'_>, mut job: Job, before: &Job) -> Result<(), StoreError> {
    check_chain(transaction, &job)?;
    check_references(transaction, job.pool, job.parent)?;
    let body = body_of(transaction, job.template)?;
    job.script_content = script::render(&body, &job.script_content_partial).map_err(broken)?;
    if job.script_content != before.script_content {
        rules::executable(&job.script_content).map_err(broken)?;
    }
    if job.notification_addresses != before.notification_addresses {
        job.notification_addresses = rules::addresses(&job.notification_addresses).map_err(broken)?;
    }
    if job.enqueue_is_enabled && !before.enqueue_is_enabled {
        // A job that was disabled after too many failures gets as many tries as a new one once it is enabled.
        job.disabled_reason.clear();
        job.fail_times = 0;
    }
    update(transaction, &job)
}

/// Refuses a parent that runs, directly or over other jobs, after the job itself.
fn check_chain(reading: &Reading<'_>, job: &Job) -> Result<(), StoreError> {
    // `parent <> 0` is not true of NULL, so the chain ends at a job without parent; UNION ends at a loop that exists
    // already.
    let is_loop = reading.value(
        "WITH RECURSIVE above (id) AS (SELECT CAST(?1 AS BIGINT) UNION SELECT parent FROM job JOIN above USING (id) WHERE parent <> 0)
         SELECT EXISTS (SELECT 1 FROM above WHERE id = ?2)",
        &[&job.parent, &job.id],
    )?;
    if is_loop == Some(true) {
        return Err(Conflict::Cycle.into());
    }
    Ok(())
}

/// Writes the columns that can change. The hidden job of an ad-hoc script becomes a job like any other by an edit.
fn update(transaction: &mut Transaction<'_>, job: &Job) -> Result<(), StoreError> {
    let (every, unit, cron, zone) = schedule_columns(&job.schedule);
    let updated = transaction.execute(
        "UPDATE job SET parent = ?, job_template = ?, worker_pool = ?, run_on_all_workers = ?,
         schedule_children_on_error = ?, title = ?, description = ?, script_content_partial = ?, script_content = ?,
         enqueue_is_enabled = ?, disabled_reason = ?, fail_times = ?, reschedule_interval = ?,
         reschedule_interval_type = ?, cron = ?, cron_zone = ?, notification_addresses = ?,
         disable_enqueue_after_fails = ?, run_timeout = ?, retry_times = ?, retry_backoff = ?, on_lost = ?,
         concurrency = ?, ad_hoc = NULL WHERE id = ?",
        &[
            &job.parent,
            &job.template,
            &job.pool,
            &job.run_on_all_workers,
            &job.schedule_children_on_error,
            &job.title.as_str(),
            &job.description,
            &job.script_content_partial,
            &job.script_content,
            &job.enqueue_is_enabled,
            &job.disabled_reason,
            &job.fail_times,
            &every,
            &unit,
            &cron,
            &zone,
            &job.notification_addresses,
            &job.disable_enqueue_after_fails,
            &job.run_timeout,
            &job.retry.times,
            &job.retry.backoff,
            &job.on_lost.name(),
            &job.concurrency.name(),
            &job.id,
        ],
    );
    updated.map_err(|e| taken(e, || Conflict::TitleTaken(job.title.clone())))?;
    Ok(())
}
