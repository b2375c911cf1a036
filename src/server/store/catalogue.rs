//! What there is to choose from and to edit: a line each, whatever it is.

use futures_util::TryStreamExt;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{Store, StoreError};
use crate::server::domain::fold::Needle;
use crate::server::domain::model::JobId;

/// What is set up by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entity {
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
pub struct CatalogueEntry {
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

impl Entity {
    fn table(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::Template => "job_template",
            Self::Job => "job",
            Self::Pool => "worker_pool",
            Self::Worker => "worker",
        }
    }

    fn question(self) -> &'static str {
        match self {
            Self::Project => {
                "SELECT id, title, enqueue_is_enabled, '' AS within, (SELECT count(*) FROM job
                     JOIN job_template ON job_template.id = job.job_template
                     WHERE job_template.project = project.id AND ad_hoc IS NULL) AS holds
                 FROM project ORDER BY title, id LIMIT ?1 OFFSET ?2"
            }
            Self::Template => {
                "SELECT job_template.id, job_template.title, job_template.enqueue_is_enabled, project.title AS within,
                 (SELECT count(*) FROM job WHERE job_template = job_template.id AND ad_hoc IS NULL) AS holds
                 FROM job_template JOIN project ON project.id = project
                 ORDER BY project.title, job_template.title, job_template.id LIMIT ?1 OFFSET ?2"
            }
            Self::Job => {
                "SELECT job.id, job.title, job.enqueue_is_enabled,
                 project.title || ' / ' || job_template.title AS within, 0 AS holds
                 FROM job JOIN job_template ON job_template.id = job_template JOIN project ON project.id = project
                 WHERE ad_hoc IS NULL ORDER BY project.title, job_template.title, job.title, job.id LIMIT ?1 OFFSET ?2"
            }
            Self::Pool => {
                "SELECT id, title, enqueue_is_enabled, '' AS within,
                 (SELECT count(*) FROM pool_worker WHERE pool = worker_pool.id) AS holds
                 FROM worker_pool ORDER BY title, id LIMIT ?1 OFFSET ?2"
            }
            Self::Worker => {
                "SELECT id, title, enqueue_is_enabled, api_key AS within, 0 AS holds FROM worker ORDER BY title, id LIMIT ?1 OFFSET ?2"
            }
        }
    }
}

impl Store {
    /// All there are of a kind, without the hidden jobs of ad-hoc scripts, in the order of what they lie in and their titles. At most `limit`.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn catalogue(&self, thing: Entity, limit: u32) -> Result<Vec<CatalogueEntry>, StoreError> {
        let found = sqlx::query(thing.question()).bind(limit).bind(0).fetch_all(&self.readers).await?;
        found.iter().map(entry).collect()
    }

    /// Those of a kind that have a text in their titles, in the same order: a page of them, and how many there are.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn catalogue_page(
        &self,
        thing: Entity,
        text: &str,
        offset: u64,
        limit: u32,
    ) -> Result<(Vec<CatalogueEntry>, u64), StoreError> {
        let past = i64::try_from(offset).unwrap_or(i64::MAX);
        if text.trim().is_empty() {
            let shown = if thing == Entity::Job { "ad_hoc IS NULL" } else { "TRUE" };
            let sql = format!("SELECT count(*) FROM {} WHERE {shown}", thing.table());
            let total: u32 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&self.readers).await?;
            let found = sqlx::query(thing.question()).bind(limit).bind(past).fetch_all(&self.readers).await?;
            return Ok((found.iter().map(entry).collect::<Result<_, _>>()?, total.into()));
        }
        // SQLite knows the two cases of ASCII alone.
        let needle = Needle::new(text);
        let mut rows = sqlx::query(thing.question()).bind(-1).bind(0).fetch(&self.readers);
        let (mut entries, mut total) = (Vec::new(), 0);
        while let Some(row) = rows.try_next().await? {
            if needle.is_in(row.try_get("title")?) {
                if total >= offset && entries.len() < limit as usize {
                    entries.push(entry(&row)?);
                }
                total += 1;
            }
        }
        Ok((entries, total))
    }

    /// The jobs that have a text in their titles, with the hidden ones of ad-hoc scripts.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn jobs_with(&self, text: &str) -> Result<Vec<JobId>, StoreError> {
        let needle = Needle::new(text);
        let mut rows = sqlx::query("SELECT id, title FROM job ORDER BY id").fetch(&self.readers);
        let mut found = Vec::new();
        while let Some(row) = rows.try_next().await? {
            if needle.is_in(row.try_get("title")?) {
                found.extend(JobId::new(row.try_get("id")?));
            }
        }
        Ok(found)
    }
}

fn entry(row: &SqliteRow) -> Result<CatalogueEntry, StoreError> {
    Ok(CatalogueEntry {
        id: row.try_get("id")?,
        title: row.try_get("title")?,
        enabled: row.try_get("enqueue_is_enabled")?,
        within: row.try_get("within")?,
        holds: row.try_get("holds")?,
    })
}
