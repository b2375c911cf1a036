//! Ad-hoc runs: scripts that somebody hands over to be run now.
//!
//! A run belongs to a job, so each such script has one that is hidden from all lists of jobs and from those that jobs are
//! chosen from. Scripts of one name share it, one after the other, so that a script that is run every minute leaves runs
//! behind and no jobs. Somebody who edits such a job makes it one like any other.

use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

use super::placing::{PlaceIds, PlaceNames, find_place};
use super::rows;
use super::runs::{NewRun, insert};
use super::{Store, StoreError};
use crate::server::domain::model::{Asker, Run, Timestamp};
use crate::server::store::changes::Change;

/// How many jobs of one title there are at most, for scripts of one title that run at the same time.
const MAX_TWINS: u32 = 1000;

/// A script that is to run now.
#[derive(Clone, Debug)]
pub struct Submission {
    /// What it is called.
    pub title: String,
    /// The script.
    pub script: String,
    /// How long it may run, in seconds.
    pub timeout: Option<u32>,
}

impl Store {
    /// Makes a run of a script that is due now. Scripts of one title share a hidden job; that of a run that is not over
    /// keeps its script, so that another script of that title gets one beside it.
    ///
    /// # Errors
    /// That the store does not answer, that nothing has one of the names, or that too many scripts of that title run.
    pub async fn enqueue_adhoc_run(
        &self,
        names: &PlaceNames<'_>,
        new: &Submission,
        now: Timestamp,
    ) -> Result<Run, StoreError> {
        let mut writing = self.write().await?;
        let place = find_place(&mut writing, names).await?;
        let mut twin = 1;
        let job = loop {
            if twin > MAX_TWINS {
                return Err(StoreError::Conflict(format!("{MAX_TWINS} scripts with the title {} run", new.title)));
            }
            let title = if twin == 1 { new.title.clone() } else { format!("{} ({twin})", new.title) };
            if let Some(job) = take_job(&mut writing, place, new, &title).await? {
                break job;
            }
            twin += 1;
        };
        let job = crate::server::domain::model::JobId::new(job).ok_or(sqlx::Error::RowNotFound)?;
        let run =
            insert(&mut writing, &NewRun { is_manual: true, asked_by: Some(Asker::Command), ..NewRun::now(job, now) })
                .await?;
        writing.commit().await?;
        self.changes().publish(Change::JobChanged(job));
        self.changes().publish(Change::RunScheduled(run.id));
        Ok(run)
    }
}

/// The hidden job of that title, made to run the script; nothing if it has other things to do, or is no hidden one.
async fn take_job(
    connection: &mut SqliteConnection,
    place: PlaceIds,
    new: &Submission,
    title: &str,
) -> Result<Option<i64>, StoreError> {
    let query = sqlx::query("SELECT * FROM job WHERE title = ? AND job_template = ?");
    let row = query.bind(title).bind(place.template.get()).fetch_optional(&mut *connection).await?;
    let Some(row) = row else {
        let query = sqlx::query(
            "INSERT INTO job (title, job_template, worker_pool, script_content_partial, script_content, run_timeout,
             concurrency, ad_hoc) VALUES (?, ?, ?, ?, ?, ?, 'allow', ?)",
        );
        let query = query.bind(title).bind(place.template.get()).bind(place.pool.get());
        let query = query.bind(&new.script).bind(&new.script).bind(new.timeout).bind(&new.title);
        return Ok(Some(query.execute(connection).await?.last_insert_rowid()));
    };
    if row.try_get::<Option<&str>, _>("ad_hoc")?.is_none() {
        // Somebody's job, which is left alone.
        return Ok(None);
    }
    let job = rows::job(&row)?;
    let same = job.script_content == new.script && job.run_timeout == new.timeout && job.pool == place.pool;
    if !same {
        let query = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM run WHERE job = ? AND return_dts IS NULL)");
        if query.bind(job.id.get()).fetch_one(&mut *connection).await? {
            return Ok(None);
        }
        let query = sqlx::query(
            "UPDATE job SET script_content_partial = ?1, script_content = ?1, run_timeout = ?2, worker_pool = ?3
             WHERE id = ?4",
        );
        let query = query.bind(&new.script).bind(new.timeout).bind(place.pool.get()).bind(job.id.get());
        query.execute(connection).await?;
    }
    Ok(Some(job.id.get()))
}
