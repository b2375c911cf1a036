//! Runs: creates and reads them. `run_changes` changes them, and `run_ends` does what follows from an end.

use sqlx::sqlite::SqliteConnection;

use super::rows::{self, micros};
use super::{Store, StoreError, Writing};
use crate::run::RunId;
use crate::server::domain::model::{Asker, JobId, Run, Timestamp, WorkerId};
use crate::server::store::changes::Change;

/// A run to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRun {
    /// Job that the run belongs to.
    pub job: JobId,
    /// Time at which the run is due.
    pub schedule_dts: Timestamp,
    /// Time at which the run became due by the server's clock; `None` until that is noticed.
    pub came_due: Option<Timestamp>,
    /// Only worker that may execute the run; `None` for any of the pool.
    pub pinned: Option<WorkerId>,
    /// Schedule id that it shares with runs that are due with it, and with retries; `None` makes its own id the
    /// schedule id.
    pub schedule_id: Option<i64>,
    /// Whether the run was asked for by hand.
    pub is_manual: bool,
    /// Whether the job's children run after it.
    pub schedule_children: bool,
    /// Run that it retries, and the number of the retry, from 1 on.
    pub retry_of: Option<(RunId, u32)>,
    /// Asker of a run by hand, if known.
    pub asked_by: Option<Asker>,
    /// Run of the parent job that it follows.
    pub follows: Option<RunId>,
}

impl NewRun {
    /// Returns a run by the schedule, due at this time.
    #[must_use]
    pub fn due(job: JobId, schedule_dts: Timestamp) -> Self {
        Self {
            job,
            schedule_dts,
            came_due: None,
            pinned: None,
            schedule_id: None,
            is_manual: false,
            schedule_children: true,
            retry_of: None,
            asked_by: None,
            follows: None,
        }
    }

    /// Returns a run that is due now.
    #[must_use]
    pub fn now(job: JobId, now: Timestamp) -> Self {
        Self { came_due: Some(now), ..Self::due(job, now) }
    }
}

impl Store {
    /// Reads a run; `None` if there is no such run.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn run(&self, run: RunId) -> Result<Option<Run>, StoreError> {
        let row = sqlx::query("SELECT * FROM run WHERE id = ?").bind(run.get()).fetch_optional(&self.readers).await?;
        row.as_ref().map(rows::run).transpose()
    }

    /// Creates a run.
    ///
    /// # Errors
    /// If the store cannot be read or written, or the job or worker does not exist.
    pub async fn new_run(&self, new: &NewRun) -> Result<Run, StoreError> {
        let mut writing = self.write().await?;
        let run = insert(&mut writing, new).await?;
        writing.commit().await?;
        Ok(run)
    }

    /// Creates a manual run of a job that is due now; `schedule_children` says whether the job's children run after it.
    ///
    /// # Errors
    /// If the store cannot be read or written, or the job does not exist.
    pub async fn enqueue_run_now(
        &self,
        job: JobId,
        schedule_children: bool,
        by: Asker,
        now: Timestamp,
    ) -> Result<Run, StoreError> {
        let mut writing = self.write().await?;
        let new = NewRun { is_manual: true, schedule_children, asked_by: Some(by), ..NewRun::now(job, now) };
        let run = insert(&mut writing, &new).await?;
        writing.commit().await?;
        Ok(run)
    }
}

/// Reads a run within a change.
pub(super) async fn find(connection: &mut SqliteConnection, run: RunId) -> Result<Option<Run>, StoreError> {
    let row = sqlx::query("SELECT * FROM run WHERE id = ?").bind(run.get()).fetch_optional(connection).await?;
    row.as_ref().map(rows::run).transpose()
}

/// Creates a run within a change.
pub(super) async fn insert(writing: &mut Writing, new: &NewRun) -> Result<Run, StoreError> {
    let query = sqlx::query(
        // A run's own id is known after the insertion only; until then 0 stands for it.
        "INSERT INTO run (job, schedule_id, worker, pinned, schedule_dts, came_due, is_manual, schedule_children,
         retry_of, retry, asked_by, follows) VALUES (?, coalesce(?, 0), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(new.job.get())
    .bind(new.schedule_id)
    .bind(new.pinned.map(WorkerId::get))
    .bind(new.pinned.is_some())
    .bind(micros(new.schedule_dts))
    .bind(new.came_due.map(micros))
    .bind(new.is_manual)
    .bind(new.schedule_children)
    .bind(new.retry_of.map(|(run, _)| run.get()))
    .bind(new.retry_of.map(|(_, retry)| retry))
    .bind(new.asked_by.map(rows::asker_text))
    .bind(new.follows.map(RunId::get));
    let id = query.execute(&mut **writing).await?.last_insert_rowid();
    if new.schedule_id.is_none() {
        sqlx::query("UPDATE run SET schedule_id = id WHERE id = ?").bind(id).execute(&mut **writing).await?;
    }
    let row = sqlx::query("SELECT * FROM run WHERE id = ?").bind(id).fetch_one(&mut **writing).await?;
    let run = rows::run(&row)?;
    writing.publish_on_commit([Change::RunScheduled(run.id)]);
    Ok(run)
}
