//! Forms: creates projects, templates, pools, workers and jobs, or replaces all that a form can edit, in one
//! transaction each.

use super::catalogue::Entity;
use super::db::{Argument, DbError, FromValue, Transaction};
use super::entities::{
    NewJob, NewPool, NewProject, NewTemplate, NewWorker, broken, insert_job, insert_pool, insert_project,
    insert_template, insert_worker, missing, secret_text, taken,
};
use super::entity_version::{self, EntityVersion};
use super::jobs::rewrite;
use super::{Conflict, MissingEntity, Store, StoreError};
use crate::run::{ApiKey, Secret};
use crate::server::domain::model::{JobId, PoolId, ProjectId, TemplateId, WorkerId};
use crate::server::domain::rules::{self, RuleViolation};
use crate::server::domain::script;
use crate::server::domain::title::Title;
use crate::server::store::changes::Change;

/// Fields of the form of a project, template or pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityForm {
    /// Title of the entity.
    pub title: Title,
    /// Description, for people only.
    pub description: String,
    /// Whether its jobs run when they are due.
    pub enabled: bool,
    /// Addresses for notices of failures, one a line; kept for clients, as this server sends none.
    pub notification_addresses: String,
}

/// Fields of the form of a worker.
#[derive(Clone, Debug)]
pub struct WorkerForm {
    /// Title of the worker.
    pub title: Title,
    /// Description, for people only.
    pub description: String,
    /// Whether the worker is given new runs.
    pub enabled: bool,
    /// API key by which the worker identifies itself; unique.
    pub api_key: ApiKey,
    /// Secret that the worker signs with from now on; `None` keeps the present one. A new worker needs one.
    pub secret: Option<Secret>,
    /// Pools that the worker belongs to.
    pub pools: Vec<PoolId>,
}

impl Store {
    /// Creates a project, or replaces the one with that id. Returns `None` if there is none with that id.
    ///
    /// # Errors
    /// If the store cannot be read or written, a pool does not exist, or the project has changed since `seen`.
    pub async fn save_project(
        &self,
        id: Option<ProjectId>,
        seen: Option<&EntityVersion>,
        form: &EntityForm,
        pools: &[PoolId],
    ) -> Result<Option<ProjectId>, StoreError> {
        let (seen, form, pools) = (seen.cloned(), form.clone(), pools.to_owned());
        self.change(move |transaction| {
            entity_version::check(transaction, Entity::Project, id.map(ProjectId::get), seen.as_ref())?;
            let id = match id {
                Some(id) => id,
                None => insert_project(transaction, &NewProject::new(form.title.clone()))?.id,
            };
            let Some(id) = update_shared_columns(transaction, "project", id, &form)? else { return Ok(None) };
            transaction.execute("DELETE FROM project_pool WHERE project = ?", &[&id])?;
            for pool in &pools {
                // A pool that is named twice is passed over; one that does not exist fails all the same, by its foreign
                // key.
                let sql = "INSERT INTO project_pool VALUES (?, ?) ON CONFLICT DO NOTHING";
                let inserted = transaction.execute(sql, &[&id, pool]);
                inserted.map_err(|e| missing(e, MissingEntity::Pool(*pool)))?;
            }
            transaction.publish_on_commit([Change::CatalogueChanged]);
            Ok(Some(id))
        })
        .await
    }

    /// Creates a pool, or replaces the one with that id. Returns `None` if there is none with that id.
    ///
    /// # Errors
    /// If the store cannot be read or written, a worker does not exist, or the pool has changed since `seen`.
    pub async fn save_pool(
        &self,
        id: Option<PoolId>,
        seen: Option<&EntityVersion>,
        form: &EntityForm,
        workers: &[WorkerId],
    ) -> Result<Option<PoolId>, StoreError> {
        let (seen, form, workers) = (seen.cloned(), form.clone(), workers.to_owned());
        self.change(move |transaction| {
            entity_version::check(transaction, Entity::Pool, id.map(PoolId::get), seen.as_ref())?;
            let id = match id {
                Some(id) => id,
                None => insert_pool(transaction, &NewPool::new(form.title.clone()))?.id,
            };
            let Some(id) = update_shared_columns(transaction, "worker_pool", id, &form)? else { return Ok(None) };
            transaction.execute("DELETE FROM pool_worker WHERE pool = ?", &[&id])?;
            for worker in &workers {
                join(transaction, id, *worker).map_err(|e| missing(e, MissingEntity::Worker(*worker)))?;
            }
            transaction.publish_on_commit([Change::CatalogueChanged]);
            Ok(Some(id))
        })
        .await
    }

    /// Creates a template, or replaces the one with that id and renders the scripts of its jobs anew. Returns `None` if
    /// there is none with that id.
    ///
    /// # Errors
    /// If the store cannot be read or written, the project does not exist, the body is not a valid template, a job's
    /// script that could be executed before could not be any more, or the template has changed since `seen`.
    pub async fn save_template(
        &self,
        id: Option<TemplateId>,
        seen: Option<&EntityVersion>,
        form: &EntityForm,
        project: ProjectId,
        body: &str,
    ) -> Result<Option<TemplateId>, StoreError> {
        script::check(body).map_err(broken)?;
        let (seen, form, body) = (seen.cloned(), form.clone(), body.to_owned());
        self.change(move |transaction| {
            entity_version::check(transaction, Entity::Template, id.map(TemplateId::get), seen.as_ref())?;
            let id = match id {
                Some(id) => id,
                None => {
                    let new = NewTemplate { title: form.title.clone(), body: body.clone(), project };
                    insert_template(transaction, &new)?.id
                }
            };
            let Some(id) = update_shared_columns(transaction, "job_template", id, &form)? else { return Ok(None) };
            let sql = "UPDATE job_template SET body = ?, project = ? WHERE id = ?";
            let updated = transaction.execute(sql, &[&body, &project, &id]);
            updated.map_err(|e| missing(e, MissingEntity::Project(project)))?;
            render_jobs(transaction, id, &body)?;
            transaction.publish_on_commit([Change::CatalogueChanged]);
            Ok(Some(id))
        })
        .await
    }

    /// Creates a worker, or replaces the one with that id. Returns `None` if there is none with that id.
    ///
    /// # Errors
    /// If the store cannot be read or written, a pool does not exist, the key is taken, a new worker has no secret, or
    /// the worker has changed since `seen`.
    pub async fn save_worker(
        &self,
        id: Option<WorkerId>,
        seen: Option<&EntityVersion>,
        form: &WorkerForm,
    ) -> Result<Option<WorkerId>, StoreError> {
        let (seen, form) = (seen.cloned(), form.clone());
        self.change(move |transaction| {
            entity_version::check(transaction, Entity::Worker, id.map(WorkerId::get), seen.as_ref())?;
            let id = match id {
                Some(id) => id,
                None => {
                    let secret = form.secret.clone().ok_or(Conflict::NoSecret)?;
                    let new = NewWorker { title: form.title.clone(), api_key: form.api_key.clone(), secret };
                    insert_worker(transaction, &new)?.id
                }
            };
            let Some(id) = update_worker(transaction, id, &form)? else { return Ok(None) };
            transaction.execute("DELETE FROM pool_worker WHERE worker = ?", &[&id])?;
            for pool in &form.pools {
                join(transaction, *pool, id).map_err(|e| missing(e, MissingEntity::Pool(*pool)))?;
            }
            transaction.publish_on_commit([Change::WorkerChanged(id), Change::CatalogueChanged]);
            Ok(Some(id))
        })
        .await
    }

    /// Creates a job, or replaces the one with that id. Returns `None` if there is none with that id.
    ///
    /// # Errors
    /// If the store cannot be read or written, the job breaks a rule of the data, or it has changed since `seen`.
    pub async fn save_job(
        &self,
        id: Option<JobId>,
        seen: Option<&EntityVersion>,
        new: &NewJob,
    ) -> Result<Option<JobId>, StoreError> {
        let (seen, new) = (seen.cloned(), new.clone());
        self.change(move |transaction| {
            entity_version::check(transaction, Entity::Job, id.map(JobId::get), seen.as_ref())?;
            let saved = match id {
                Some(id) => rewrite(transaction, id, &new)?,
                None => Some(insert_job(transaction, &new)?.id),
            };
            transaction.publish_on_commit(saved.map(Change::JobChanged));
            Ok(saved)
        })
        .await
    }

    /// Returns the pools that a worker belongs to, by id.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn pools_of_worker(&self, worker: WorkerId) -> Result<Vec<PoolId>, StoreError> {
        let sql = "SELECT pool FROM pool_worker WHERE worker = ? ORDER BY pool";
        self.read(move |reading| Ok(reading.values(sql, &[&worker])?)).await
    }
}

fn join(transaction: &mut Transaction<'_>, pool: PoolId, worker: WorkerId) -> Result<(), DbError> {
    transaction.execute("INSERT INTO pool_worker VALUES (?, ?) ON CONFLICT DO NOTHING", &[&pool, &worker]).map(drop)
}

/// Writes the columns that projects, templates and pools share. Returns the id, or `None` if no row has it.
fn update_shared_columns<Id: Argument + FromValue>(
    transaction: &mut Transaction<'_>,
    table: &'static str,
    id: Id,
    form: &EntityForm,
) -> Result<Option<Id>, StoreError> {
    let sql = format!(
        "UPDATE {table} SET title = ?1, description = ?2, enqueue_is_enabled = ?3, notification_addresses = ?4
         WHERE id = ?5 RETURNING id"
    );
    let addresses = &form.notification_addresses;
    Ok(transaction.value(&sql, &[&form.title.as_str(), &form.description, &form.enabled, addresses, &id])?)
}

/// Writes the columns of a worker. Returns the id, or `None` if there is no such worker.
fn update_worker(
    transaction: &mut Transaction<'_>,
    id: WorkerId,
    form: &WorkerForm,
) -> Result<Option<WorkerId>, StoreError> {
    let secret = form.secret.as_ref().map(secret_text).transpose()?;
    let updated = transaction.value(
        "UPDATE worker SET title = ?, description = ?, enqueue_is_enabled = ?, api_key = ?,
         secret = coalesce(?, secret) WHERE id = ? RETURNING id",
        &[&form.title.as_str(), &form.description, &form.enabled, &form.api_key.as_str(), &secret, &id],
    );
    updated.map_err(|e| taken(e, || Conflict::KeyTaken(form.api_key.clone())))
}

/// Renders the scripts of a template's jobs anew. Refused where a script that could be executed before could not be any
/// more.
fn render_jobs(transaction: &mut Transaction<'_>, template: TemplateId, body: &str) -> Result<(), StoreError> {
    let jobs: Vec<(JobId, String, String, String)> = transaction.rows(
        "SELECT id, title, script_content_partial, script_content FROM job WHERE job_template = ? ORDER BY id",
        &[&template],
        |row| Ok::<_, StoreError>((row.at(0)?, row.at(1)?, row.at(2)?, row.at(3)?)),
    )?;
    for (id, title, script, before) in jobs {
        let refused = |broken: RuleViolation| Conflict::JobOfTemplate { job: title.clone(), broken };
        let whole = script::render(body, &script).map_err(|e| refused(e.into()))?;
        // A job whose script could not be executed before does not keep its template from being saved.
        if rules::executable(&before).is_ok() {
            rules::executable(&whole).map_err(refused)?;
        }
        transaction.execute("UPDATE job SET script_content = ? WHERE id = ?", &[&whole, &id])?;
    }
    Ok(())
}
