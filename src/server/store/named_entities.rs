//! Named entities: finds the project, template and pool that a request names, within the change that needs them, so that a
//! refused request leaves nothing behind.
//!
//! Defaults are created only where the request names nothing, and other names only where the request says so.

use sqlx::sqlite::SqliteConnection;

use super::catalogue::Entity;
use super::conflict::{Conflict, NAMES_SAID, UnknownName};
use super::entities::{
    NewJob, NewPool, NewProject, NewTemplate, NewWorker, insert_job, insert_pool, insert_project, insert_template,
    insert_worker,
};
use super::{Store, StoreError};
use crate::server::domain::model::{Job, PoolId, ProjectId, Template, TemplateId, Worker};
use crate::server::domain::title::Title;
use crate::server::store::changes::Change;

/// Existing names that are read for a refusal: one more than it lists tells whether there are others.
const READ_NAMES: i64 = NAMES_SAID as i64 + 1;
/// Body of a default template, which renders each script unchanged.
const PLAIN: &str = "{{ content|safe }}";

/// Name of a project, template or pool in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntityName {
    /// None was named: the default with this title, created where it is missing.
    Default(Title),
    /// The one with this title, which must exist.
    Present(Title),
    /// The one with this title, created where it is missing.
    OrCreated(Title),
}

impl EntityName {
    fn title(&self) -> &Title {
        match self {
            Self::Default(title) | Self::Present(title) | Self::OrCreated(title) => title,
        }
    }
}

/// Names of the place of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityNames {
    /// Project of the template.
    pub project: EntityName,
    /// Template, sought within that project.
    pub template: EntityName,
    /// Pool; the project may use it from then on.
    pub pool: EntityName,
}

/// Place of a job, found or created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntityIds {
    /// Template for the job.
    pub template: TemplateId,
    /// Pool for the job.
    pub pool: PoolId,
}

impl Store {
    /// Creates a job in the named place.
    ///
    /// # Errors
    /// If the store cannot be read or written, a named entity does not exist, or the job breaks a rule of the data.
    pub async fn add_job(&self, names: &EntityNames, job: impl FnOnce(EntityIds) -> NewJob) -> Result<Job, StoreError> {
        let mut writing = self.write().await?;
        let place = find_place(&mut writing, names).await?;
        let job = insert_job(&mut writing, &job(place)).await?;
        writing.publish_on_commit([Change::CatalogueChanged, Change::JobChanged(job.id)]);
        writing.commit().await?;
        Ok(job)
    }

    /// Creates a template in the named project.
    ///
    /// # Errors
    /// If the store cannot be read or written, the project does not exist, or the body is not a valid template.
    pub async fn add_template(&self, project: &EntityName, title: Title, body: &str) -> Result<Template, StoreError> {
        let mut writing = self.write().await?;
        let project = find_project(&mut writing, project).await?;
        let new = NewTemplate { title, body: body.to_owned(), project };
        let template = insert_template(&mut writing, &new).await?;
        writing.publish_on_commit([Change::CatalogueChanged]);
        writing.commit().await?;
        Ok(template)
    }

    /// Creates a worker in the named pool.
    ///
    /// # Errors
    /// If the store cannot be read or written, the pool does not exist, the key is taken, or the secret is not UTF-8.
    pub async fn add_worker(&self, pool: &EntityName, new: &NewWorker) -> Result<Worker, StoreError> {
        let mut writing = self.write().await?;
        let pool = find_pool(&mut writing, pool).await?;
        let worker = insert_worker(&mut writing, new).await?;
        let query = sqlx::query("INSERT INTO pool_worker VALUES (?, ?)").bind(pool.get()).bind(worker.id.get());
        query.execute(&mut *writing).await?;
        writing.publish_on_commit([Change::CatalogueChanged, Change::WorkerChanged(worker.id)]);
        writing.commit().await?;
        Ok(worker)
    }
}

/// Finds or creates the named place within a change, and lets the project use the pool.
pub(super) async fn find_place(
    connection: &mut SqliteConnection,
    names: &EntityNames,
) -> Result<EntityIds, StoreError> {
    let project = find_project(connection, &names.project).await?;
    let template = find_template(connection, project, names.project.title(), &names.template).await?;
    let pool = find_pool(connection, &names.pool).await?;
    let query = sqlx::query("INSERT OR IGNORE INTO project_pool VALUES (?, ?)").bind(project.get()).bind(pool.get());
    query.execute(connection).await?;
    Ok(EntityIds { template, pool })
}

async fn find_project(connection: &mut SqliteConnection, named: &EntityName) -> Result<ProjectId, StoreError> {
    // Titles of projects, templates and pools are not unique; the oldest one is meant.
    let query = sqlx::query_scalar("SELECT id FROM project WHERE title = ? ORDER BY id LIMIT 1");
    let found: Option<i64> = query.bind(named.title().as_str()).fetch_optional(&mut *connection).await?;
    match (found, named) {
        (Some(id), _) => Ok(ProjectId::new(id).ok_or(sqlx::Error::RowNotFound)?),
        (None, EntityName::Default(title) | EntityName::OrCreated(title)) => {
            Ok(insert_project(connection, &NewProject::new(title.clone())).await?.id)
        }
        (None, EntityName::Present(title)) => {
            let query = sqlx::query_scalar("SELECT DISTINCT title FROM project ORDER BY title LIMIT ?");
            let names: Vec<String> = query.bind(READ_NAMES).fetch_all(connection).await?;
            Err(unknown(Entity::Project, title, None, names))
        }
    }
}

async fn find_template(
    connection: &mut SqliteConnection,
    project: ProjectId,
    project_title: &Title,
    named: &EntityName,
) -> Result<TemplateId, StoreError> {
    let query = sqlx::query_scalar("SELECT id FROM job_template WHERE title = ? AND project = ? ORDER BY id LIMIT 1");
    let query = query.bind(named.title().as_str()).bind(project.get());
    let found: Option<i64> = query.fetch_optional(&mut *connection).await?;
    match (found, named) {
        (Some(id), _) => Ok(TemplateId::new(id).ok_or(sqlx::Error::RowNotFound)?),
        (None, EntityName::Default(title) | EntityName::OrCreated(title)) => {
            let new = NewTemplate { title: title.clone(), body: PLAIN.to_owned(), project };
            Ok(insert_template(connection, &new).await?.id)
        }
        (None, EntityName::Present(title)) => {
            let query =
                sqlx::query_scalar("SELECT DISTINCT title FROM job_template WHERE project = ? ORDER BY title LIMIT ?");
            let query = query.bind(project.get()).bind(READ_NAMES);
            let names: Vec<String> = query.fetch_all(connection).await?;
            Err(unknown(Entity::Template, title, Some(project_title), names))
        }
    }
}

async fn find_pool(connection: &mut SqliteConnection, named: &EntityName) -> Result<PoolId, StoreError> {
    let query = sqlx::query_scalar("SELECT id FROM worker_pool WHERE title = ? ORDER BY id LIMIT 1");
    let found: Option<i64> = query.bind(named.title().as_str()).fetch_optional(&mut *connection).await?;
    match (found, named) {
        (Some(id), _) => Ok(PoolId::new(id).ok_or(sqlx::Error::RowNotFound)?),
        (None, EntityName::Default(title) | EntityName::OrCreated(title)) => {
            Ok(insert_pool(connection, &NewPool::new(title.clone())).await?.id)
        }
        (None, EntityName::Present(title)) => {
            let query = sqlx::query_scalar("SELECT DISTINCT title FROM worker_pool ORDER BY title LIMIT ?");
            let names: Vec<String> = query.bind(READ_NAMES).fetch_all(connection).await?;
            Err(unknown(Entity::Pool, title, None, names))
        }
    }
}

/// Refuses a name that no entity of a kind has; a name beyond [`NAMES_SAID`] stands for all others.
fn unknown(kind: Entity, title: &Title, within: Option<&Title>, mut known: Vec<String>) -> StoreError {
    let has_others = known.len() > NAMES_SAID;
    known.truncate(NAMES_SAID);
    let within = within.map(ToString::to_string);
    Conflict::Unknown(UnknownName { kind, title: title.clone(), within, known, has_others }).into()
}
