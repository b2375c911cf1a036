//! Named entities: finds the project, template and pool that a request names, within the change that needs them, so that a
//! refused request leaves nothing behind.
//!
//! Defaults are created only where the request names nothing, and other names only where the request says so.

use super::catalogue::Entity;
use super::conflict::{Conflict, NAMES_SAID, UnknownName};
use super::db::Transaction;
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
    pub async fn add_job(
        &self,
        names: &EntityNames,
        job: impl Fn(EntityIds) -> NewJob + Send + 'static,
    ) -> Result<Job, StoreError> {
        let names = names.clone();
        self.change(move |transaction| {
            let place = find_place(transaction, &names)?;
            let job = insert_job(transaction, &job(place))?;
            transaction.publish_on_commit([Change::CatalogueChanged, Change::JobChanged(job.id)]);
            Ok(job)
        })
        .await
    }

    /// Creates a template in the named project.
    ///
    /// # Errors
    /// If the store cannot be read or written, the project does not exist, or the body is not a valid template.
    pub async fn add_template(&self, project: &EntityName, title: Title, body: &str) -> Result<Template, StoreError> {
        let (project, body) = (project.clone(), body.to_owned());
        self.change(move |transaction| {
            let project = find_project(transaction, &project)?;
            let new = NewTemplate { title: title.clone(), body: body.clone(), project };
            let template = insert_template(transaction, &new)?;
            transaction.publish_on_commit([Change::CatalogueChanged]);
            Ok(template)
        })
        .await
    }

    /// Creates a worker in the named pool.
    ///
    /// # Errors
    /// If the store cannot be read or written, the pool does not exist, the key is taken, or the secret is not UTF-8.
    pub async fn add_worker(&self, pool: &EntityName, new: &NewWorker) -> Result<Worker, StoreError> {
        let (pool, new) = (pool.clone(), new.clone());
        self.change(move |transaction| {
            let pool = find_pool(transaction, &pool)?;
            let worker = insert_worker(transaction, &new)?;
            transaction.execute("INSERT INTO pool_worker VALUES (?, ?)", &[&pool, &worker.id])?;
            transaction.publish_on_commit([Change::CatalogueChanged, Change::WorkerChanged(worker.id)]);
            Ok(worker)
        })
        .await
    }
}

/// Finds or creates the named place within a change, and lets the project use the pool.
pub(super) fn find_place(transaction: &mut Transaction<'_>, names: &EntityNames) -> Result<EntityIds, StoreError> {
    let project = find_project(transaction, &names.project)?;
    let template = find_template(transaction, project, names.project.title(), &names.template)?;
    let pool = find_pool(transaction, &names.pool)?;
    transaction.execute("INSERT INTO project_pool VALUES (?, ?) ON CONFLICT DO NOTHING", &[&project, &pool])?;
    Ok(EntityIds { template, pool })
}

fn find_project(transaction: &mut Transaction<'_>, named: &EntityName) -> Result<ProjectId, StoreError> {
    // Titles of projects, templates and pools are not unique; the oldest one is meant.
    let sql = "SELECT id FROM project WHERE title = ? ORDER BY id LIMIT 1";
    match (transaction.value(sql, &[&named.title().as_str()])?, named) {
        (Some(id), _) => Ok(id),
        (None, EntityName::Default(title) | EntityName::OrCreated(title)) => {
            Ok(insert_project(transaction, &NewProject::new(title.clone()))?.id)
        }
        (None, EntityName::Present(title)) => {
            let sql = "SELECT DISTINCT title FROM project ORDER BY title LIMIT ?";
            Err(unknown(Entity::Project, title, None, transaction.values(sql, &[&READ_NAMES])?))
        }
    }
}

fn find_template(
    transaction: &mut Transaction<'_>,
    project: ProjectId,
    project_title: &Title,
    named: &EntityName,
) -> Result<TemplateId, StoreError> {
    let sql = "SELECT id FROM job_template WHERE title = ? AND project = ? ORDER BY id LIMIT 1";
    match (transaction.value(sql, &[&named.title().as_str(), &project])?, named) {
        (Some(id), _) => Ok(id),
        (None, EntityName::Default(title) | EntityName::OrCreated(title)) => {
            let new = NewTemplate { title: title.clone(), body: PLAIN.to_owned(), project };
            Ok(insert_template(transaction, &new)?.id)
        }
        (None, EntityName::Present(title)) => {
            let sql = "SELECT DISTINCT title FROM job_template WHERE project = ? ORDER BY title LIMIT ?";
            let names = transaction.values(sql, &[&project, &READ_NAMES])?;
            Err(unknown(Entity::Template, title, Some(project_title), names))
        }
    }
}

fn find_pool(transaction: &mut Transaction<'_>, named: &EntityName) -> Result<PoolId, StoreError> {
    let sql = "SELECT id FROM worker_pool WHERE title = ? ORDER BY id LIMIT 1";
    match (transaction.value(sql, &[&named.title().as_str()])?, named) {
        (Some(id), _) => Ok(id),
        (None, EntityName::Default(title) | EntityName::OrCreated(title)) => {
            Ok(insert_pool(transaction, &NewPool::new(title.clone()))?.id)
        }
        (None, EntityName::Present(title)) => {
            let sql = "SELECT DISTINCT title FROM worker_pool ORDER BY title LIMIT ?";
            Err(unknown(Entity::Pool, title, None, transaction.values(sql, &[&READ_NAMES])?))
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
