//! Projects, pools, workers, templates and jobs: creates and reads them one by one. `catalogue`, `overview` and
//! `rest_lists` read lists of them.

use super::db::{DbError, DbRow, Reading, Transaction};
use super::{Conflict, MissingEntity, Store, StoreError, rows};
use crate::run::{ApiKey, RunId, Secret};
use crate::server::domain::model::{
    Concurrency, Exclude, Job, JobId, OnLost, Pool, PoolId, Project, ProjectId, Retry, Schedule, Template, TemplateId,
    Worker, WorkerId,
};
use crate::server::domain::rules::{self, RuleViolation};
use crate::server::domain::script;
use crate::server::domain::title::Title;
use crate::server::store::changes::Change;

/// A project to be created.
#[derive(Clone, Debug)]
pub struct NewProject {
    /// Title of the project.
    pub title: Title,
    /// Description, for people only.
    pub description: String,
    /// Pools that may work for the project.
    pub pools: Vec<PoolId>,
}

/// A pool to be created.
#[derive(Clone, Debug)]
pub struct NewPool {
    /// Title of the pool.
    pub title: Title,
    /// Description, for people only.
    pub description: String,
    /// Workers of the new pool.
    pub workers: Vec<WorkerId>,
}

impl NewProject {
    /// Returns a project without a description and without pools.
    #[must_use]
    pub fn new(title: Title) -> Self {
        Self { title, description: String::new(), pools: Vec::new() }
    }
}

impl NewPool {
    /// Returns a pool without a description and without workers.
    #[must_use]
    pub fn new(title: Title) -> Self {
        Self { title, description: String::new(), workers: Vec::new() }
    }
}

/// A worker to be created.
#[derive(Clone, Debug)]
pub struct NewWorker {
    /// Title of the worker.
    pub title: Title,
    /// API key by which the worker identifies itself; unique.
    pub api_key: ApiKey,
    /// Secret that the worker signs its requests with.
    pub secret: Secret,
}

/// A template to be created.
#[derive(Clone, Debug)]
pub struct NewTemplate {
    /// Title of the template.
    pub title: Title,
    /// Text into which scripts are rendered.
    pub body: String,
    /// Project that the template belongs to.
    pub project: ProjectId,
}

/// A job to be created, or to replace another.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// Title, unique within the template.
    pub title: Title,
    /// Template of the job.
    pub template: TemplateId,
    /// Pool whose workers execute it.
    pub pool: PoolId,
    /// Script as it was written, before the template.
    pub script: String,
    /// Job after which it runs.
    pub parent: Option<JobId>,
    /// Schedule by which the job runs again.
    pub schedule: Schedule,
    /// Times of the day at which the job does not run.
    pub excludes: Vec<Exclude>,
    /// Whether each run becomes one for every worker of the pool.
    pub run_on_all_workers: bool,
    /// Whether the job's children also run after a failure.
    pub schedule_children_on_error: bool,
    /// Failures in a row beyond which the job is disabled; `None` and 0 never disable it.
    pub disable_enqueue_after_fails: Option<u32>,
    /// Time limit of a run in seconds.
    pub run_timeout: Option<u32>,
    /// Number of retries of a failed run, and the pause before them.
    pub retry: Retry,
    /// Whether a run whose worker was lost is executed again.
    pub on_lost: OnLost,
    /// Treatment of a run that is due while another is active.
    pub concurrency: Concurrency,
    /// Description, for people only.
    pub description: String,
    /// Whether the job runs when it is due.
    pub enabled: bool,
    /// Reason for which the job is disabled, for people.
    pub disabled_reason: String,
    /// Addresses for notices of failures, one a line; kept for clients, as this server sends none.
    pub notification_addresses: String,
}

impl NewJob {
    /// Returns a job without a schedule and with defaults for the rest.
    #[must_use]
    pub fn new(title: Title, template: TemplateId, pool: PoolId, script: &str) -> Self {
        Self {
            title,
            template,
            pool,
            script: script.to_owned(),
            parent: None,
            schedule: Schedule::None,
            excludes: Vec::new(),
            run_on_all_workers: false,
            schedule_children_on_error: false,
            disable_enqueue_after_fails: None,
            run_timeout: None,
            retry: Retry::default(),
            on_lost: OnLost::Retry,
            concurrency: Concurrency::Wait,
            description: String::new(),
            enabled: true,
            disabled_reason: String::new(),
            notification_addresses: String::new(),
        }
    }

    /// Returns an existing job with all that a form can edit replaced. The id, the failures and the like stay; the
    /// rendered script is the old one still.
    pub(super) fn onto(&self, before: Job) -> Job {
        let new = self.clone();
        Job {
            parent: new.parent,
            template: new.template,
            pool: new.pool,
            run_on_all_workers: new.run_on_all_workers,
            schedule_children_on_error: new.schedule_children_on_error,
            title: new.title,
            description: new.description,
            script_content_partial: new.script,
            enqueue_is_enabled: new.enabled,
            disabled_reason: if new.enabled { String::new() } else { new.disabled_reason },
            schedule: new.schedule,
            excludes: new.excludes,
            notification_addresses: new.notification_addresses,
            disable_enqueue_after_fails: new.disable_enqueue_after_fails,
            run_timeout: new.run_timeout,
            retry: new.retry,
            on_lost: new.on_lost,
            concurrency: new.concurrency,
            ..before
        }
    }
}

impl Store {
    /// Creates a worker that belongs to no pool.
    ///
    /// # Errors
    /// If the store cannot be read or written, the key is taken, or the secret is not UTF-8.
    pub async fn new_worker(&self, new: &NewWorker) -> Result<Worker, StoreError> {
        let new = new.clone();
        self.change(move |transaction| {
            let worker = insert_worker(transaction, &new)?;
            transaction.publish_on_commit([Change::WorkerChanged(worker.id)]);
            Ok(worker)
        })
        .await
    }

    /// Reads the worker with an API key; `None` if there is none.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn worker_of_key(&self, key: &str) -> Result<Option<Worker>, StoreError> {
        let key = key.to_owned();
        self.read(move |reading| reading.row("SELECT * FROM worker WHERE api_key = ?", &[&key], rows::worker)).await
    }

    /// Reads a worker; `None` if there is no such worker.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn worker(&self, worker: WorkerId) -> Result<Option<Worker>, StoreError> {
        self.read(move |reading| find_worker(reading, worker)).await
    }

    /// Creates a pool with its workers.
    ///
    /// # Errors
    /// If the store cannot be read or written, or a worker does not exist.
    pub async fn new_pool(&self, new: &NewPool) -> Result<Pool, StoreError> {
        let new = new.clone();
        self.change(move |transaction| {
            let pool = insert_pool(transaction, &new)?;
            transaction.publish_on_commit([Change::CatalogueChanged]);
            Ok(pool)
        })
        .await
    }

    /// Creates a project with its pools.
    ///
    /// # Errors
    /// If the store cannot be read or written, or a pool does not exist.
    pub async fn new_project(&self, new: &NewProject) -> Result<Project, StoreError> {
        let new = new.clone();
        self.change(move |transaction| {
            let project = insert_project(transaction, &new)?;
            transaction.publish_on_commit([Change::CatalogueChanged]);
            Ok(project)
        })
        .await
    }

    /// Creates a template in a project.
    ///
    /// # Errors
    /// If the store cannot be read or written, the project does not exist, or the body is not a valid template.
    pub async fn new_template(&self, new: &NewTemplate) -> Result<Template, StoreError> {
        let new = new.clone();
        self.change(move |transaction| {
            let template = insert_template(transaction, &new)?;
            transaction.publish_on_commit([Change::CatalogueChanged]);
            Ok(template)
        })
        .await
    }

    /// Reads a template; `None` if there is no such template.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn template(&self, template: TemplateId) -> Result<Option<Template>, StoreError> {
        let sql = "SELECT * FROM job_template WHERE id = ?";
        self.read(move |reading| reading.row(sql, &[&template], rows::template)).await
    }

    /// Creates a job with its excludes.
    ///
    /// # Errors
    /// If the store cannot be read or written, the template, pool or parent does not exist, the title is taken, or the
    /// job breaks another rule of the data.
    pub async fn new_job(&self, new: &NewJob) -> Result<Job, StoreError> {
        let new = new.clone();
        self.change(move |transaction| {
            let job = insert_job(transaction, &new)?;
            transaction.publish_on_commit([Change::JobChanged(job.id)]);
            Ok(job)
        })
        .await
    }

    /// Reads a job with its excludes; `None` if there is no such job.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn job(&self, job: JobId) -> Result<Option<Job>, StoreError> {
        self.read(move |reading| find_job(reading, job)).await
    }
}

/// Creates a project within a change.
pub(super) fn insert_project(transaction: &mut Transaction<'_>, new: &NewProject) -> Result<Project, StoreError> {
    let sql = "INSERT INTO project (title, description) VALUES (?, ?) RETURNING *";
    let project = transaction.one(sql, &[&new.title.as_str(), &new.description], rows::project)?;
    for pool in &new.pools {
        let inserted = transaction.execute("INSERT INTO project_pool VALUES (?, ?)", &[&project.id, pool]);
        inserted.map_err(|e| missing(e, MissingEntity::Pool(*pool)))?;
    }
    Ok(project)
}

/// Creates a pool within a change.
pub(super) fn insert_pool(transaction: &mut Transaction<'_>, new: &NewPool) -> Result<Pool, StoreError> {
    let sql = "INSERT INTO worker_pool (title, description) VALUES (?, ?) RETURNING *";
    let pool = transaction.one(sql, &[&new.title.as_str(), &new.description], rows::pool)?;
    for worker in &new.workers {
        let inserted = transaction.execute("INSERT INTO pool_worker VALUES (?, ?)", &[&pool.id, worker]);
        inserted.map_err(|e| missing(e, MissingEntity::Worker(*worker)))?;
    }
    Ok(pool)
}

/// Creates a worker within a change.
pub(super) fn insert_worker(transaction: &mut Transaction<'_>, new: &NewWorker) -> Result<Worker, StoreError> {
    let secret = secret_text(&new.secret)?;
    let sql = "INSERT INTO worker (title, api_key, secret) VALUES (?, ?, ?) RETURNING *";
    let inserted = transaction.one(sql, &[&new.title.as_str(), &new.api_key.as_str(), &secret], rows::worker);
    inserted.map_err(|e| taken(e, || Conflict::KeyTaken(new.api_key.clone())))
}

/// Returns a secret as its column has it, which is TEXT and takes no other bytes.
pub(super) fn secret_text(secret: &Secret) -> Result<String, Conflict> {
    String::from_utf8(secret.expose().to_vec()).map_err(|_| Conflict::SecretNotText)
}

/// Reads a worker, also within a change.
pub(super) fn find_worker(reading: &Reading<'_>, id: WorkerId) -> Result<Option<Worker>, StoreError> {
    reading.row("SELECT * FROM worker WHERE id = ?", &[&id], rows::worker)
}

/// Creates a template within a change.
pub(super) fn insert_template(transaction: &mut Transaction<'_>, new: &NewTemplate) -> Result<Template, StoreError> {
    script::check(&new.body).map_err(broken)?;
    let sql = "INSERT INTO job_template (title, body, project) VALUES (?, ?, ?) RETURNING *";
    let inserted = transaction.one(sql, &[&new.title.as_str(), &new.body, &new.project], rows::template);
    inserted.map_err(|e| missing(e, MissingEntity::Project(new.project)))
}

/// Creates a job within a change. Every job comes from here, so that forms, the REST API and the command are held to
/// the same rules.
pub(super) fn insert_job(transaction: &mut Transaction<'_>, new: &NewJob) -> Result<Job, StoreError> {
    let body = body_of(transaction, new.template)?;
    check_references(transaction, new.pool, new.parent)?;
    let addresses = rules::addresses(&new.notification_addresses).map_err(broken)?;
    let whole = script::render(&body, &new.script).map_err(broken)?;
    rules::executable(&whole).map_err(broken)?;
    insert_row(transaction, &NewJob { notification_addresses: addresses, ..new.clone() }, &whole, None)
}

/// Writes the row of a new job that was checked, with its rendered script. `ad_hoc` makes it the hidden job of scripts
/// with that title.
pub(super) fn insert_row(
    transaction: &mut Transaction<'_>,
    new: &NewJob,
    whole: &str,
    ad_hoc: Option<&str>,
) -> Result<Job, StoreError> {
    let (every, unit, cron, zone) = schedule_columns(&new.schedule);
    let inserted = transaction.value::<JobId>(
        "INSERT INTO job (parent, job_template, worker_pool, run_on_all_workers, schedule_children_on_error, title,
         script_content_partial, script_content, reschedule_interval, reschedule_interval_type, cron, cron_zone,
         disable_enqueue_after_fails, run_timeout, retry_times, retry_backoff, on_lost, concurrency, description,
         enqueue_is_enabled, disabled_reason, notification_addresses, ad_hoc)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        &[
            &new.parent,
            &new.template,
            &new.pool,
            &new.run_on_all_workers,
            &new.schedule_children_on_error,
            &new.title.as_str(),
            &new.script,
            &whole,
            &every,
            &unit,
            &cron,
            &zone,
            &new.disable_enqueue_after_fails,
            &new.run_timeout,
            &new.retry.times,
            &new.retry.backoff,
            &new.on_lost.name(),
            &new.concurrency.name(),
            &new.description,
            &new.enabled,
            &new.disabled_reason,
            &new.notification_addresses,
            &ad_hoc,
        ],
    );
    let id = inserted
        .map_err(|e| taken(e, || Conflict::TitleTaken(new.title.clone())))?
        .ok_or_else(|| DbError::Strange("an id".to_owned()))?;
    insert_excludes(transaction, id, &new.excludes)?;
    Ok(find_job(transaction, id)?.ok_or_else(|| DbError::Strange("a job".to_owned()))?)
}

/// Writes the excludes of a job.
pub(super) fn insert_excludes(
    transaction: &mut Transaction<'_>,
    job: JobId,
    excludes: &[Exclude],
) -> Result<(), StoreError> {
    for exclude in excludes {
        transaction.execute(
            "INSERT INTO reschedule_exclude (job, start_time, end_time, note) VALUES (?, ?, ?, ?)",
            &[&job, &rows::seconds(exclude.start), &rows::seconds(exclude.end), &exclude.note],
        )?;
    }
    Ok(())
}

/// Reads a job with its excludes, also within a change.
pub(super) fn find_job(reading: &Reading<'_>, id: JobId) -> Result<Option<Job>, StoreError> {
    reading.row(JOB, &[&id], job_row)?.map(|found| with_excludes(reading, found)).transpose()
}

/// Like [`find_job`], by a run of the job.
pub(super) fn find_job_of(reading: &Reading<'_>, run: RunId) -> Result<Option<Job>, StoreError> {
    reading.row(JOB_OF, &[&run], job_row)?.map(|found| with_excludes(reading, found)).transpose()
}

/// Asks ahead for what [`find_job_of`] reads.
pub(super) fn ask_for_job_of(reading: &Reading<'_>, run: RunId) {
    reading.ask_ahead(JOB_OF, &[&run]);
}

/// Reads a job from its row, and whether it has excludes, which are in rows of their own. Few jobs have any.
pub(super) fn job_row(row: &DbRow<'_>) -> Result<(Job, bool), StoreError> {
    Ok((rows::job(row)?, row.get("has_excludes")?))
}

/// Completes a job with its excludes.
pub(super) fn with_excludes(reading: &Reading<'_>, (mut job, has_some): (Job, bool)) -> Result<Job, StoreError> {
    if has_some {
        let sql = "SELECT * FROM reschedule_exclude WHERE job = ? ORDER BY id";
        job.excludes = reading.rows(sql, &[&job.id], rows::exclude)?;
    }
    Ok(job)
}

/// Columns that [`job_row`] reads.
macro_rules! job_columns {
    () => {
        "job.*, EXISTS (SELECT 1 FROM reschedule_exclude WHERE reschedule_exclude.job = job.id) AS has_excludes"
    };
}
pub(super) use job_columns;

const JOB: &str = concat!("SELECT ", job_columns!(), " FROM job WHERE id = ?");
const JOB_OF: &str = concat!("SELECT ", job_columns!(), " FROM job WHERE id = (SELECT job FROM run WHERE id = ?)");

/// Columns of a schedule: interval, its unit, cron expression, its time zone.
pub(super) fn schedule_columns(schedule: &Schedule) -> (Option<u32>, &'static str, Option<&str>, Option<&'static str>) {
    match schedule {
        Schedule::None => (None, "", None, None),
        Schedule::Interval { every, unit } => (Some(*every), unit.name(), None, None),
        Schedule::Cron { expression, zone } => (None, "", Some(expression.text()), Some(zone.name())),
    }
}

/// Turns a broken rule into the answer to the client.
pub(super) fn broken(rule: impl Into<RuleViolation>) -> Conflict {
    Conflict::Rule(rule.into())
}

/// Turns a violated FOREIGN KEY constraint into the reference that caused it; passes any other error on.
pub(super) fn missing(error: impl Into<StoreError>, to: MissingEntity) -> StoreError {
    match error.into() {
        StoreError::Ask(refusal) if refusal.is_foreign_key_violation() => Conflict::Missing(to).into(),
        other => other,
    }
}

/// Turns a violated UNIQUE constraint into a conflict; passes any other error on.
pub(super) fn taken(error: impl Into<StoreError>, conflict: impl FnOnce() -> Conflict) -> StoreError {
    match error.into() {
        StoreError::Ask(refusal) if refusal.is_unique_violation() => conflict().into(),
        other => other,
    }
}

/// Refuses a job whose pool or parent does not exist. SQLite does not say which FOREIGN KEY a row violates, so the
/// references are looked up before the row is written.
pub(super) fn check_references(reading: &Reading<'_>, pool: PoolId, parent: Option<JobId>) -> Result<(), StoreError> {
    let (has_pool, has_parent): (bool, bool) = reading.one(
        "SELECT EXISTS (SELECT 1 FROM worker_pool WHERE id = ?1),
         CAST(?2 AS BIGINT) IS NULL OR EXISTS (SELECT 1 FROM job WHERE id = ?2)",
        &[&pool, &parent],
        |row| Ok::<_, StoreError>((row.at(0)?, row.at(1)?)),
    )?;
    match parent {
        _ if !has_pool => Err(Conflict::Missing(MissingEntity::Pool(pool)).into()),
        Some(parent) if !has_parent => Err(Conflict::Missing(MissingEntity::Parent(parent)).into()),
        _ => Ok(()),
    }
}

/// Reads the body of a template. Read within the change, so that it cannot change before a script is rendered with it.
pub(super) fn body_of(reading: &Reading<'_>, template: TemplateId) -> Result<String, StoreError> {
    let body = reading.value("SELECT body FROM job_template WHERE id = ?", &[&template])?;
    Ok(body.ok_or(Conflict::Missing(MissingEntity::Template(template)))?)
}
