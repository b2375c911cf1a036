//! What there is to choose from and to edit: a line each, whatever it is.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{Store, StoreError};

/// What is set up by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thing {
    /// A project.
    Project,
    /// A template.
    Template,
    /// A job.
    Job,
    /// A pool.
    Pool,
    /// A worker.
    Worker,
}

/// A line of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The id.
    pub id: i64,
    /// The title.
    pub title: String,
    /// Whether jobs in it, it itself or a worker's new runs are enabled.
    pub enabled: bool,
    /// What it lies in: of a template its project, of a job its project and template, of a worker its key.
    pub within: String,
    /// How many are in it: jobs, or of a pool its workers.
    pub holds: u32,
}

impl Thing {
    fn question(self) -> &'static str {
        match self {
            Self::Project => {
                "SELECT id, title, enqueue_is_enabled, '' AS within, (SELECT count(*) FROM job
                     JOIN job_template ON job_template.id = job.job_template WHERE job_template.project = project.id) AS holds
                 FROM project ORDER BY title, id LIMIT ?"
            }
            Self::Template => {
                "SELECT job_template.id, job_template.title, job_template.enqueue_is_enabled, project.title AS within,
                 (SELECT count(*) FROM job WHERE job_template = job_template.id) AS holds
                 FROM job_template JOIN project ON project.id = project
                 ORDER BY project.title, job_template.title, job_template.id LIMIT ?"
            }
            Self::Job => {
                "SELECT job.id, job.title, job.enqueue_is_enabled,
                 project.title || ' / ' || job_template.title AS within, 0 AS holds
                 FROM job JOIN job_template ON job_template.id = job_template JOIN project ON project.id = project
                 ORDER BY project.title, job_template.title, job.title, job.id LIMIT ?"
            }
            Self::Pool => {
                "SELECT id, title, enqueue_is_enabled, '' AS within,
                 (SELECT count(*) FROM pool_worker WHERE pool = worker_pool.id) AS holds
                 FROM worker_pool ORDER BY title, id LIMIT ?"
            }
            Self::Worker => {
                "SELECT id, title, enqueue_is_enabled, api_key AS within, 0 AS holds FROM worker ORDER BY title, id LIMIT ?"
            }
        }
    }
}

impl Store {
    /// All there are of a kind, in the order of what they lie in and their titles. At most `limit`.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn catalogue(&self, thing: Thing, limit: u32) -> Result<Vec<Entry>, StoreError> {
        let found = sqlx::query(thing.question()).bind(limit).fetch_all(&self.readers).await?;
        found.iter().map(entry).collect()
    }
}

fn entry(row: &SqliteRow) -> Result<Entry, StoreError> {
    Ok(Entry {
        id: row.try_get("id")?,
        title: row.try_get("title")?,
        enabled: row.try_get("enqueue_is_enabled")?,
        within: row.try_get("within")?,
        holds: row.try_get("holds")?,
    })
}
