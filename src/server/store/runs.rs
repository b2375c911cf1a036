//! Runs: creates and reads them. `run_changes` changes them, and `run_ends` does what follows from an end.

use super::db::{DbError, Reading, Transaction};
use super::{Store, StoreError, rows};
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
        self.read_short(move |reading| find(reading, run)).await
    }

    /// Creates a run.
    ///
    /// # Errors
    /// If the store cannot be read or written, or the job or worker does not exist.
    pub async fn new_run(&self, new: &NewRun) -> Result<Run, StoreError> {
        let new = new.clone();
        self.change(move |transaction| insert(transaction, &new)).await
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
        let new = NewRun { is_manual: true, schedule_children, asked_by: Some(by), ..NewRun::now(job, now) };
        self.change(move |transaction| insert(transaction, &new)).await
    }
}

/// Reads a run; `None` if there is no such run.
pub(super) fn find(reading: &Reading<'_>, run: RunId) -> Result<Option<Run>, StoreError> {
    reading.row(RUN, &[&run], rows::run)
}

/// Asks ahead for what [`find`] reads.
pub(super) fn ask_for_run(reading: &Reading<'_>, run: RunId) {
    reading.ask_ahead(RUN, &[&run]);
}

const RUN: &str = "SELECT * FROM run WHERE id = ?";

/// Creates a run within a change.
pub(super) fn insert(transaction: &mut Transaction<'_>, new: &NewRun) -> Result<Run, StoreError> {
    let made = transaction.row(
        // A run's own id is known after the insertion only; until then 0 stands for it.
        "INSERT INTO run (job, schedule_id, worker, pinned, schedule_dts, came_due, is_manual, schedule_children,
         retry_of, retry, asked_by, follows) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING *",
        &[
            &new.job,
            &new.schedule_id.unwrap_or(0),
            &new.pinned,
            &new.pinned.is_some(),
            &new.schedule_dts,
            &new.came_due,
            &new.is_manual,
            &new.schedule_children,
            &new.retry_of.map(|(run, _)| run),
            &new.retry_of.map(|(_, retry)| retry),
            &new.asked_by.map(rows::asker_text),
            &new.follows,
        ],
        rows::run,
    )?;
    let mut run = made.ok_or_else(|| DbError::Strange("a run".to_owned()))?;
    if new.schedule_id.is_none() {
        transaction.write("UPDATE run SET schedule_id = id WHERE id = ?", &[&run.id])?;
        run.schedule_id = run.id.get();
    }
    transaction.publish_on_commit([Change::RunScheduled(run.id)]);
    Ok(run)
}

/// What the server notes of a change of a run by its own clock, since the worker's clock may be wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ClockNotes {
    /// The worker reported the claim at this time.
    pub(super) claimed: Option<Timestamp>,
    /// The worker reported the start at this time.
    pub(super) started: Option<Timestamp>,
    /// The server itself ended the run at this time.
    pub(super) closed: Option<Timestamp>,
}

/// Writes the columns that can change, and what is noted of the change. The lead of the worker's clock is forgotten together
/// with the claim.
pub(super) fn update(transaction: &mut Transaction<'_>, run: &Run, notes: ClockNotes) -> Result<(), StoreError> {
    let lead = match (notes.claimed, run.enqueue_dts) {
        (Some(now), Some(claimed)) => Some(now.timestamp_micros() - claimed.timestamp_micros()),
        _ => None,
    };
    transaction.write(
        "UPDATE run SET worker = ?1, pinned = ?2, schedule_dts = ?3, enqueue_dts = ?4, start_dts = ?5, return_dts = ?6,
         return_success = ?7, pid = ?8, attempt = ?9, losses = ?10, exit = ?11,
         clock_lead = CASE WHEN CAST(?4 AS BIGINT) IS NOT NULL THEN coalesce(CAST(?12 AS BIGINT), clock_lead) END,
         came_due = coalesce(came_due, CAST(?13 AS BIGINT)),
         start_heard = CASE WHEN CAST(?13 AS BIGINT) IS NULL THEN coalesce(CAST(?14 AS BIGINT), start_heard)
             ELSE CAST(?14 AS BIGINT) END,
         closed = coalesce(CAST(?15 AS BIGINT), closed) WHERE id = ?16",
        &[
            &run.worker,
            &run.pinned,
            &run.schedule_dts,
            &run.enqueue_dts,
            &run.start_dts,
            &run.return_dts,
            &run.return_success,
            &run.pid,
            &run.attempt.0,
            &run.losses,
            &run.exit.map(rows::exit_text),
            &lead,
            &notes.claimed.filter(|_| run.enqueue_dts.is_some()),
            &notes.started,
            &notes.closed,
            &run.id,
        ],
    )?;
    Ok(())
}
