//! Catalogue: lists the entities of a kind, one line each, for choosing and editing.

use super::db::{DbRow, Reading};
use super::values::NO_LIMIT;
use super::{Store, StoreError};
use crate::server::domain::model::JobId;
use crate::server::domain::title_search::TitleSearch;

/// Kind of an entity that an operator sets up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entity {
    /// A project of templates.
    Project,
    /// A template of jobs.
    Template,
    /// A job, scheduled or not.
    Job,
    /// A pool of workers.
    Pool,
    /// A worker, as the server knows it.
    Worker,
}

/// Line of a catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogueEntry {
    /// Id within its kind.
    pub id: i64,
    /// Title of the entity.
    pub title: String,
    /// Whether the entity is enabled: jobs of a project, template or pool, the job itself, or new runs of a worker.
    pub enabled: bool,
    /// Context of the entity: the project of a template, project and template of a job, the key of a worker; empty for
    /// others.
    pub within: String,
    /// Number of jobs of a project or template, or of workers of a pool; 0 for others.
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
    /// Lists the entities of a kind, at most `limit`, ordered by project, template and title. Hidden jobs of ad-hoc
    /// scripts are left out.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn catalogue(&self, thing: Entity, limit: u32) -> Result<Vec<CatalogueEntry>, StoreError> {
        self.read(move |reading| reading.rows(thing.question(), &[&limit, &0], entry)).await
    }

    /// Lists the entities of a kind whose titles contain a text, in the same order: one page, and the number of all of
    /// them.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn catalogue_page(
        &self,
        thing: Entity,
        text: &str,
        offset: u64,
        limit: u32,
    ) -> Result<(Vec<CatalogueEntry>, u64), StoreError> {
        let past = i64::try_from(offset).unwrap_or(i64::MAX);
        if text.trim().is_empty() {
            // Without a text, the database can count and page by itself, which reads far fewer rows.
            let shown = if thing == Entity::Job { "ad_hoc IS NULL" } else { "TRUE" };
            let sql = format!("SELECT count(*) FROM {} WHERE {shown}", thing.table());
            let read = move |reading: &Reading<'_>| {
                let total: u32 = reading.one(&sql, &[], |row| row.at(0))?;
                Ok((reading.rows(thing.question(), &[&limit, &past], entry)?, total.into()))
            };
            return self.read(read).await;
        }
        // The databases do not fold the case of all letters, so titles are compared here.
        let needle = TitleSearch::new(text);
        self.read(move |reading| {
            let (mut entries, mut total) = (Vec::new(), 0);
            // The page is cut below.
            reading.each(thing.question(), &[&NO_LIMIT, &0], |row| {
                if needle.is_in(&row.text("title")?) {
                    if total >= offset && entries.len() < limit as usize {
                        entries.push(entry(row)?);
                    }
                    total += 1;
                }
                Ok::<_, StoreError>(true)
            })?;
            Ok((entries, total))
        })
        .await
    }

    /// Returns the jobs whose titles contain a text, hidden ones of ad-hoc scripts included.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn jobs_with(&self, text: &str) -> Result<Vec<JobId>, StoreError> {
        let needle = TitleSearch::new(text);
        self.read(move |reading| {
            let mut found = Vec::new();
            reading.each("SELECT id, title FROM job ORDER BY id", &[], |row| {
                if needle.is_in(&row.text("title")?) {
                    found.push(row.get("id")?);
                }
                Ok::<_, StoreError>(true)
            })?;
            Ok(found)
        })
        .await
    }
}

fn entry(row: &DbRow<'_>) -> Result<CatalogueEntry, StoreError> {
    Ok(CatalogueEntry {
        id: row.get("id")?,
        title: row.get("title")?,
        enabled: row.get("enqueue_is_enabled")?,
        within: row.get("within")?,
        holds: row.get("holds")?,
    })
}
