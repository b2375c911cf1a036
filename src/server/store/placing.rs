//! Finds the project, template and pool that somebody names, in the change that needs them, so that what is refused
//! leaves nothing behind. Only the defaults are made where nothing is named, and what whoever names it wants made.

use sqlx::sqlite::SqliteConnection;

use super::entities::{NewJob, NewTemplate, NewWorker, insert_job, insert_template, insert_worker};
use super::{Store, StoreError};
use crate::server::domain::model::{Job, PoolId, ProjectId, Template, TemplateId, Worker};
use crate::server::store::changes::Change;

/// How many of the names there are is a refusal says.
const NAMES_SAID: i64 = 20;
/// The template that adds nothing to its scripts.
const PLAIN: &str = "{{ content|safe }}";

/// How a project, template or pool is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaceName<'a> {
    /// Nobody named one: the default of this title, which is made where it is missing.
    Default(&'a str),
    /// This one, which must be there.
    Present(&'a str),
    /// This one, which is made where it is missing.
    OrMade(&'a str),
}

impl<'a> PlaceName<'a> {
    fn title(self) -> &'a str {
        match self {
            Self::Default(title) | Self::Present(title) | Self::OrMade(title) => title,
        }
    }
}

/// Where a job is to have its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaceNames<'a> {
    /// The project.
    pub project: PlaceName<'a>,
    /// The template, in that project.
    pub template: PlaceName<'a>,
    /// The pool; the project may use it from then on.
    pub pool: PlaceName<'a>,
}

/// Where a job has its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaceIds {
    /// The template.
    pub template: TemplateId,
    /// The pool.
    pub pool: PoolId,
}

impl Store {
    /// Makes a job where its names say.
    ///
    /// # Errors
    /// That the store does not answer, that nothing has one of the names, or that the job breaks a rule of the data.
    pub async fn add_job(
        &self,
        names: &PlaceNames<'_>,
        job: impl FnOnce(PlaceIds) -> NewJob,
    ) -> Result<Job, StoreError> {
        let mut writing = self.write().await?;
        let place = find_place(&mut writing, names).await?;
        let job = insert_job(&mut writing, &job(place)).await?;
        writing.commit().await?;
        self.changes().publish(Change::CatalogueChanged);
        self.changes().publish(Change::JobChanged(job.id));
        Ok(job)
    }

    /// Makes a template in the project of that name.
    ///
    /// # Errors
    /// That the store does not answer, that no project has the name, or that the template cannot be rendered.
    pub async fn add_template(&self, project: PlaceName<'_>, title: &str, body: &str) -> Result<Template, StoreError> {
        let mut writing = self.write().await?;
        let project = find_project(&mut writing, project).await?;
        let new = NewTemplate { title: title.to_owned(), body: body.to_owned(), project };
        let template = insert_template(&mut writing, &new).await?;
        writing.commit().await?;
        self.changes().publish(Change::CatalogueChanged);
        Ok(template)
    }

    /// Makes a worker in the pool of that name.
    ///
    /// # Errors
    /// That the store does not answer, that no pool has the name, or that the key is taken.
    pub async fn add_worker(&self, pool: PlaceName<'_>, new: &NewWorker) -> Result<Worker, StoreError> {
        let mut writing = self.write().await?;
        let pool = find_pool(&mut writing, pool).await?;
        let worker = insert_worker(&mut writing, new).await?;
        let query = sqlx::query("INSERT INTO pool_worker VALUES (?, ?)").bind(pool.get()).bind(worker.id.get());
        query.execute(&mut *writing).await?;
        writing.commit().await?;
        self.changes().publish(Change::CatalogueChanged);
        self.changes().publish(Change::WorkerChanged(worker.id));
        Ok(worker)
    }
}

/// The place of these names, in a change.
pub(super) async fn find_place(
    connection: &mut SqliteConnection,
    names: &PlaceNames<'_>,
) -> Result<PlaceIds, StoreError> {
    let project = find_project(connection, names.project).await?;
    let template = find_template(connection, project, names.project.title(), names.template).await?;
    let pool = find_pool(connection, names.pool).await?;
    let query = sqlx::query("INSERT OR IGNORE INTO project_pool VALUES (?, ?)").bind(project.get()).bind(pool.get());
    query.execute(connection).await?;
    Ok(PlaceIds { template, pool })
}

async fn find_project(connection: &mut SqliteConnection, named: PlaceName<'_>) -> Result<ProjectId, StoreError> {
    let query = sqlx::query_scalar("SELECT id FROM project WHERE title = ? ORDER BY id LIMIT 1");
    let found: Option<i64> = query.bind(named.title()).fetch_optional(&mut *connection).await?;
    let id = match (found, named) {
        (Some(id), _) => id,
        (None, PlaceName::Default(title) | PlaceName::OrMade(title)) => {
            let query = sqlx::query("INSERT INTO project (title) VALUES (?)").bind(title);
            query.execute(connection).await?.last_insert_rowid()
        }
        (None, PlaceName::Present(title)) => {
            let query = sqlx::query_scalar("SELECT DISTINCT title FROM project ORDER BY title LIMIT ?");
            let names: Vec<String> = query.bind(NAMES_SAID + 1).fetch_all(connection).await?;
            return Err(missing(&format!("project {title:?}"), &names));
        }
    };
    Ok(ProjectId::new(id).ok_or(sqlx::Error::RowNotFound)?)
}

async fn find_template(
    connection: &mut SqliteConnection,
    project: ProjectId,
    project_title: &str,
    named: PlaceName<'_>,
) -> Result<TemplateId, StoreError> {
    let query = sqlx::query_scalar("SELECT id FROM job_template WHERE title = ? AND project = ? ORDER BY id LIMIT 1");
    let query = query.bind(named.title()).bind(project.get());
    let found: Option<i64> = query.fetch_optional(&mut *connection).await?;
    let id = match (found, named) {
        (Some(id), _) => id,
        (None, PlaceName::Default(title) | PlaceName::OrMade(title)) => {
            let query = sqlx::query("INSERT INTO job_template (title, body, project) VALUES (?, ?, ?)");
            let query = query.bind(title).bind(PLAIN).bind(project.get());
            query.execute(connection).await?.last_insert_rowid()
        }
        (None, PlaceName::Present(title)) => {
            let query =
                sqlx::query_scalar("SELECT DISTINCT title FROM job_template WHERE project = ? ORDER BY title LIMIT ?");
            let query = query.bind(project.get()).bind(NAMES_SAID + 1);
            let names: Vec<String> = query.fetch_all(connection).await?;
            return Err(missing(&format!("template {title:?} in project {project_title:?}"), &names));
        }
    };
    Ok(TemplateId::new(id).ok_or(sqlx::Error::RowNotFound)?)
}

async fn find_pool(connection: &mut SqliteConnection, named: PlaceName<'_>) -> Result<PoolId, StoreError> {
    let query = sqlx::query_scalar("SELECT id FROM worker_pool WHERE title = ? ORDER BY id LIMIT 1");
    let found: Option<i64> = query.bind(named.title()).fetch_optional(&mut *connection).await?;
    let id = match (found, named) {
        (Some(id), _) => id,
        (None, PlaceName::Default(title) | PlaceName::OrMade(title)) => {
            let query = sqlx::query("INSERT INTO worker_pool (title) VALUES (?)").bind(title);
            query.execute(connection).await?.last_insert_rowid()
        }
        (None, PlaceName::Present(title)) => {
            let query = sqlx::query_scalar("SELECT DISTINCT title FROM worker_pool ORDER BY title LIMIT ?");
            let names: Vec<String> = query.bind(NAMES_SAID + 1).fetch_all(connection).await?;
            return Err(missing(&format!("pool {title:?}"), &names));
        }
    };
    Ok(PoolId::new(id).ok_or(sqlx::Error::RowNotFound)?)
}

/// Refuses a name, with those there are: the last one of more than are said stands for all others.
fn missing(what: &str, names: &[String]) -> StoreError {
    let said = usize::try_from(NAMES_SAID).unwrap_or(usize::MAX);
    let mut quoted: Vec<String> = names.iter().take(said).map(|name| format!("{name:?}")).collect();
    let others = (names.len() > said).then(|| "others".to_owned());
    quoted.extend(others);
    let last = quoted.pop();
    let there = match (quoted.is_empty(), last) {
        (_, None) => "there is none yet".to_owned(),
        (true, Some(only)) => format!("there is {only}"),
        (false, Some(last)) => format!("there are {} and {last}", quoted.join(", ")),
    };
    StoreError::Conflict(format!("there is no {what}; {there}"))
}
