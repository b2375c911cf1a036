//! Jobs: changed, one transaction a change.

use sqlx::sqlite::SqliteConnection;

use super::entities::{NewJob, conflict, find_job, insert_excludes, insert_job, refused, schedule_columns};
use super::{Store, StoreError};
use crate::server::domain::model::{Job, JobId, PoolId, Schedule, TemplateId, Unit};
use crate::server::domain::{rules, script};
use crate::server::store::changes::Change;

/// What somebody wants changed of a job. `None`: not mentioned.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobPatch {
    /// Its title.
    pub title: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Its template.
    pub template: Option<TemplateId>,
    /// Who does it.
    pub pool: Option<PoolId>,
    /// The job after which it runs.
    pub parent: Option<Option<JobId>>,
    /// The script as it was written.
    pub script: Option<String>,
    /// Whether it runs when it is due.
    pub enqueue_is_enabled: Option<bool>,
    /// After how many units it runs again.
    pub every: Option<Option<u32>>,
    /// Which units these are.
    pub unit: Option<Option<Unit>>,
    /// Whether every worker of the pool does it.
    pub run_on_all_workers: Option<bool>,
    /// Whether its children run although it failed.
    pub schedule_children_on_error: Option<bool>,
    /// Whom to tell of failures, an address a line.
    pub notification_addresses: Option<String>,
    /// It is disabled when it failed more often than this in a row.
    pub disable_enqueue_after_fails: Option<Option<u32>>,
}

impl JobPatch {
    fn apply(&self, job: &mut Job) -> Result<(), StoreError> {
        fn set<T: Clone>(to: &mut T, from: Option<&T>) {
            if let Some(from) = from {
                to.clone_from(from);
            }
        }
        set(&mut job.title, self.title.as_ref());
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

    /// When it runs again. A cron expression, which this does not speak of, stays where no interval takes its place.
    /// An interval that is asked for without a unit is refused: nothing would ever come of it.
    fn schedule(&self, before: &Schedule) -> Result<Schedule, StoreError> {
        let (every, unit) = match before {
            Schedule::Interval { every, unit } => (Some(*every), Some(*unit)),
            Schedule::None | Schedule::Cron { .. } => (None, None),
        };
        match (self.every.unwrap_or(every), self.unit.unwrap_or(unit), before) {
            (Some(every), Some(unit), _) => Ok(Schedule::Interval { every, unit }),
            (Some(every), None, _) if self.every.is_some() => Err(StoreError::Conflict(format!(
                "a reschedule_interval of {every} needs a reschedule_interval_type: MINUTE, HOUR, DAY or MONTH"
            ))),
            (_, _, Schedule::Cron { .. }) => Ok(before.clone()),
            _ => Ok(Schedule::None),
        }
    }
}

impl Store {
    /// Changes a job. Nothing if there is none.
    ///
    /// # Errors
    /// That the store does not answer, or that the change breaks a rule of the data.
    pub async fn change_job(&self, id: JobId, patch: &JobPatch) -> Result<Option<Job>, StoreError> {
        let mut writing = self.write().await?;
        let job = apply(&mut writing, id, patch).await?;
        writing.commit().await?;
        if job.is_some() {
            self.changes().publish(Change::JobChanged(id));
        }
        Ok(job)
    }

    /// Makes a job, with what a patch says besides.
    ///
    /// # Errors
    /// That the store does not answer, or that the job breaks a rule of the data.
    pub async fn make_job(&self, new: &NewJob, patch: &JobPatch) -> Result<Job, StoreError> {
        let mut writing = self.write().await?;
        let id = insert_job(&mut writing, new).await?.id;
        let job = apply(&mut writing, id, patch).await?.ok_or(sqlx::Error::RowNotFound)?;
        writing.commit().await?;
        self.changes().publish(Change::JobChanged(id));
        Ok(job)
    }
}

async fn apply(connection: &mut SqliteConnection, id: JobId, patch: &JobPatch) -> Result<Option<Job>, StoreError> {
    let Some(mut job) = find_job(connection, id).await? else { return Ok(None) };
    let before = job.clone();
    patch.apply(&mut job)?;
    put(connection, job, &before).await?;
    find_job(connection, id).await
}

/// Writes a job anew, as a whole. Nothing if there is none.
pub(super) async fn rewrite(
    connection: &mut SqliteConnection,
    id: JobId,
    new: &NewJob,
) -> Result<Option<JobId>, StoreError> {
    let Some(before) = find_job(connection, id).await? else { return Ok(None) };
    put(connection, new.onto(before.clone()), &before).await?;
    sqlx::query("DELETE FROM reschedule_exclude WHERE job = ?").bind(id.get()).execute(&mut *connection).await?;
    insert_excludes(connection, id, &new.excludes).await?;
    Ok(Some(id))
}

/// Puts a changed job in its place, if it may be so. What was there already, from an earlier version or the original's
/// database, may stay against the rules.
async fn put(connection: &mut SqliteConnection, mut job: Job, before: &Job) -> Result<(), StoreError> {
    check_chain(connection, &job).await?;
    let body: Option<String> = sqlx::query_scalar("SELECT body FROM job_template WHERE id = ?")
        .bind(job.template.get())
        .fetch_optional(&mut *connection)
        .await?;
    let body = body.ok_or_else(|| StoreError::Conflict(format!("job_template {} does not exist", job.template)))?;
    job.script_content =
        script::render(&body, &job.script_content_partial).map_err(|e| StoreError::Conflict(e.to_string()))?;
    if job.title != before.title {
        job.title = rules::title(&job.title).map_err(refused)?.to_owned();
    }
    if job.script_content != before.script_content {
        rules::executable(&job.script_content).map_err(refused)?;
    }
    if job.notification_addresses != before.notification_addresses {
        job.notification_addresses = rules::addresses(&job.notification_addresses).map_err(refused)?;
    }
    if job.enqueue_is_enabled && !before.enqueue_is_enabled {
        // Whoever enables a job that failed too often wants it to have as many tries as a new one.
        job.disabled_reason.clear();
        job.fail_times = 0;
    }
    update(connection, &job).await
}

/// No job may run after itself, over however many others.
async fn check_chain(connection: &mut SqliteConnection, job: &Job) -> Result<(), StoreError> {
    let query = sqlx::query_scalar(
        "WITH RECURSIVE above (id) AS (SELECT ?1 UNION SELECT parent FROM job JOIN above USING (id) WHERE parent <> 0)
         SELECT EXISTS (SELECT 1 FROM above WHERE id = ?2)",
    );
    let is_loop: bool = query.bind(job.parent.map(JobId::get)).bind(job.id.get()).fetch_one(connection).await?;
    if is_loop {
        return Err(StoreError::Conflict("a job cannot run after itself or after one that runs after it".to_owned()));
    }
    Ok(())
}

/// Writes what can change of a job. One that was hidden, as an ad-hoc script's, is a job like any other from then on.
async fn update(connection: &mut SqliteConnection, job: &Job) -> Result<(), StoreError> {
    let (every, unit, cron, zone) = schedule_columns(&job.schedule);
    sqlx::query(
        "UPDATE job SET parent = ?, job_template = ?, worker_pool = ?, run_on_all_workers = ?,
         schedule_children_on_error = ?, title = ?, description = ?, script_content_partial = ?, script_content = ?,
         enqueue_is_enabled = ?, disabled_reason = ?, fail_times = ?, reschedule_interval = ?,
         reschedule_interval_type = ?, cron = ?, cron_zone = ?, notification_addresses = ?,
         disable_enqueue_after_fails = ?, run_timeout = ?, retry_times = ?, retry_backoff = ?, on_lost = ?,
         concurrency = ?, ad_hoc = NULL WHERE id = ?",
    )
    .bind(job.parent.map(JobId::get))
    .bind(job.template.get())
    .bind(job.pool.get())
    .bind(job.run_on_all_workers)
    .bind(job.schedule_children_on_error)
    .bind(&job.title)
    .bind(&job.description)
    .bind(&job.script_content_partial)
    .bind(&job.script_content)
    .bind(job.enqueue_is_enabled)
    .bind(&job.disabled_reason)
    .bind(job.fail_times)
    .bind(every)
    .bind(unit)
    .bind(cron)
    .bind(zone)
    .bind(&job.notification_addresses)
    .bind(job.disable_enqueue_after_fails)
    .bind(job.run_timeout)
    .bind(job.retry.times)
    .bind(job.retry.backoff)
    .bind(job.on_lost.name())
    .bind(job.concurrency.name())
    .bind(job.id.get())
    .execute(connection)
    .await
    .map_err(|e| conflict(e, "job", &job.title))?;
    Ok(())
}
