//! Forms: creates projects, templates, pools, workers and jobs, or replaces all that a form can edit, in one
//! transaction each.

use sqlx::sqlite::SqliteConnection;

use super::catalogue::Entity;
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
        let mut writing = self.write().await?;
        entity_version::check(&mut writing, Entity::Project, id.map(ProjectId::get), seen).await?;
        let id = match id {
            Some(id) => id,
            None => insert_project(&mut writing, &NewProject::new(form.title.clone())).await?.id,
        };
        let Some(id) = update_shared_columns(&mut writing, "project", id.get(), form).await? else { return Ok(None) };
        sqlx::query("DELETE FROM project_pool WHERE project = ?").bind(id).execute(&mut *writing).await?;
        for pool in pools {
            // IGNORE passes over a pool that is named twice; a pool that does not exist fails all the same, by its
            // foreign key.
            let query = sqlx::query("INSERT OR IGNORE INTO project_pool VALUES (?, ?)").bind(id).bind(pool.get());
            query.execute(&mut *writing).await.map_err(|e| missing(e, MissingEntity::Pool(*pool)))?;
        }
        writing.publish_on_commit([Change::CatalogueChanged]);
        writing.commit().await?;
        Ok(ProjectId::new(id))
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
        let mut writing = self.write().await?;
        entity_version::check(&mut writing, Entity::Pool, id.map(PoolId::get), seen).await?;
        let id = match id {
            Some(id) => id,
            None => insert_pool(&mut writing, &NewPool::new(form.title.clone())).await?.id,
        };
        let Some(id) = update_shared_columns(&mut writing, "worker_pool", id.get(), form).await? else {
            return Ok(None);
        };
        sqlx::query("DELETE FROM pool_worker WHERE pool = ?").bind(id).execute(&mut *writing).await?;
        for worker in workers {
            join(&mut writing, id, worker.get()).await.map_err(|e| missing(e, MissingEntity::Worker(*worker)))?;
        }
        writing.publish_on_commit([Change::CatalogueChanged]);
        writing.commit().await?;
        Ok(PoolId::new(id))
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
        let mut writing = self.write().await?;
        entity_version::check(&mut writing, Entity::Template, id.map(TemplateId::get), seen).await?;
        let id = match id {
            Some(id) => id,
            None => {
                let new = NewTemplate { title: form.title.clone(), body: body.to_owned(), project };
                insert_template(&mut writing, &new).await?.id
            }
        };
        let Some(id) = update_shared_columns(&mut writing, "job_template", id.get(), form).await? else {
            return Ok(None);
        };
        let query = sqlx::query("UPDATE job_template SET body = ?, project = ? WHERE id = ?");
        let query = query.bind(body).bind(project.get()).bind(id);
        query.execute(&mut *writing).await.map_err(|e| missing(e, MissingEntity::Project(project)))?;
        render_jobs(&mut writing, id, body).await?;
        writing.publish_on_commit([Change::CatalogueChanged]);
        writing.commit().await?;
        Ok(TemplateId::new(id))
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
        let mut writing = self.write().await?;
        entity_version::check(&mut writing, Entity::Worker, id.map(WorkerId::get), seen).await?;
        let id = match id {
            Some(id) => id,
            None => {
                let secret = form.secret.clone().ok_or(Conflict::NoSecret)?;
                let new = NewWorker { title: form.title.clone(), api_key: form.api_key.clone(), secret };
                insert_worker(&mut writing, &new).await?.id
            }
        };
        let secret = form.secret.as_ref().map(secret_text).transpose()?;
        let query = sqlx::query_scalar(
            "UPDATE worker SET title = ?, description = ?, enqueue_is_enabled = ?, api_key = ?,
             secret = coalesce(?, secret) WHERE id = ? RETURNING id",
        );
        let query = query.bind(form.title.as_str()).bind(&form.description).bind(form.enabled);
        let query = query.bind(form.api_key.as_str()).bind(secret).bind(id.get());
        let saved: Option<i64> = query
            .fetch_optional(&mut *writing)
            .await
            .map_err(|e| taken(e, || Conflict::KeyTaken(form.api_key.clone())))?;
        let Some(saved) = saved.and_then(WorkerId::new) else { return Ok(None) };
        sqlx::query("DELETE FROM pool_worker WHERE worker = ?").bind(saved.get()).execute(&mut *writing).await?;
        for pool in &form.pools {
            join(&mut writing, pool.get(), saved.get()).await.map_err(|e| missing(e, MissingEntity::Pool(*pool)))?;
        }
        writing.publish_on_commit([Change::WorkerChanged(saved), Change::CatalogueChanged]);
        writing.commit().await?;
        Ok(Some(saved))
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
        let mut writing = self.write().await?;
        entity_version::check(&mut writing, Entity::Job, id.map(JobId::get), seen).await?;
        let saved = match id {
            Some(id) => rewrite(&mut writing, id, new).await?,
            None => Some(insert_job(&mut writing, new).await?.id),
        };
        let Some(saved) = saved else { return Ok(None) };
        writing.publish_on_commit([Change::JobChanged(saved)]);
        writing.commit().await?;
        Ok(Some(saved))
    }

    /// Returns the pools that a worker belongs to, by id.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn pools_of_worker(&self, worker: WorkerId) -> Result<Vec<PoolId>, StoreError> {
        let query = sqlx::query_scalar("SELECT pool FROM pool_worker WHERE worker = ? ORDER BY pool");
        let found: Vec<i64> = query.bind(worker.get()).fetch_all(&self.readers).await?;
        Ok(found.into_iter().filter_map(PoolId::new).collect())
    }
}

async fn join(connection: &mut SqliteConnection, pool: i64, worker: i64) -> Result<(), sqlx::Error> {
    let query = sqlx::query("INSERT OR IGNORE INTO pool_worker VALUES (?, ?)").bind(pool).bind(worker);
    query.execute(connection).await.map(drop)
}

/// Writes the columns that projects, templates and pools share. Returns the id, or `None` if no row has it.
async fn update_shared_columns(
    connection: &mut SqliteConnection,
    table: &'static str,
    id: i64,
    form: &EntityForm,
) -> Result<Option<i64>, StoreError> {
    let sql = format!(
        "UPDATE {table} SET title = ?1, description = ?2, enqueue_is_enabled = ?3, notification_addresses = ?4
         WHERE id = ?5 RETURNING id"
    );
    let query = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
        .bind(form.title.as_str())
        .bind(&form.description)
        .bind(form.enabled)
        .bind(&form.notification_addresses)
        .bind(id);
    Ok(query.fetch_optional(connection).await?)
}

/// Renders the scripts of a template's jobs anew. Refused where a script that could be executed before could not be any
/// more.
async fn render_jobs(connection: &mut SqliteConnection, template: i64, body: &str) -> Result<(), StoreError> {
    let query = sqlx::query_as(
        "SELECT id, title, script_content_partial, script_content FROM job WHERE job_template = ? ORDER BY id",
    );
    let jobs: Vec<(i64, String, String, String)> = query.bind(template).fetch_all(&mut *connection).await?;
    for (id, title, script, before) in jobs {
        let refused = |broken: RuleViolation| Conflict::JobOfTemplate { job: title.clone(), broken };
        let whole = script::render(body, &script).map_err(|e| refused(e.into()))?;
        // A job whose script could not be executed before does not keep its template from being saved.
        if rules::executable(&before).is_ok() {
            rules::executable(&whole).map_err(refused)?;
        }
        let query = sqlx::query("UPDATE job SET script_content = ? WHERE id = ?").bind(whole).bind(id);
        query.execute(&mut *connection).await?;
    }
    Ok(())
}
