//! Control of jobs and runs by an operator: runs a job now, enables or disables it, ends a run.

use super::kills::insert_kill_request;
use super::kills::note_kill;
use super::runs::{NewRun, cancel, find, insert};
use super::{Store, StoreError};
use crate::run::RunId;
use crate::server::domain::model::{Asker, JobId, KillCause, Run, RunState, Timestamp};
use crate::server::store::changes::Change;

/// Outcome of the request to end a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndDecision {
    /// The run's worker is asked to kill it.
    Kill,
    /// No worker had claimed the run, and none can any more.
    Cancelled,
    /// The run was over before.
    Over,
}

impl Store {
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
        self.changes().publish(Change::RunScheduled(run.id));
        Ok(run)
    }

    /// Enables or disables a job, with the reason to be shown. Returns false if there is no such job.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn enable_job(&self, job: JobId, enabled: bool, reason: &str) -> Result<bool, StoreError> {
        // A job that was disabled after too many failures gets as many tries as a new one once it is enabled.
        let query = sqlx::query(
            "UPDATE job SET enqueue_is_enabled = ?1, disabled_reason = ?2,
             fail_times = CASE WHEN ?1 AND NOT enqueue_is_enabled THEN 0 ELSE fail_times END WHERE id = ?3",
        );
        let query = query.bind(enabled).bind(reason).bind(job.get());
        let mut writing = self.write().await?;
        let found = query.execute(&mut *writing).await?.rows_affected() > 0;
        writing.commit().await?;
        if found {
            self.changes().publish(Change::JobChanged(job));
        }
        Ok(found)
    }

    /// Ends a run: cancels it before its claim, asks its worker to kill it after. Returns `None` if there is no such
    /// run.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn end_run(&self, run: RunId, by: Asker, now: Timestamp) -> Result<Option<EndDecision>, StoreError> {
        let mut writing = self.write().await?;
        let Some(mut found) = find(&mut writing, run).await? else { return Ok(None) };
        match found.state() {
            RunState::Completed => Ok(Some(EndDecision::Over)),
            RunState::Scheduled => {
                // A request that is done already stands for the one that was not needed, so that the run's page shows
                // who ended it.
                note_kill(&mut writing, run, by, now).await?;
                let news = cancel(&mut writing, &mut found, by, now).await?;
                writing.commit().await?;
                news.into_iter().for_each(|item| self.changes().publish(item));
                Ok(Some(EndDecision::Cancelled))
            }
            RunState::InQueue | RunState::Started => {
                let asked = insert_kill_request(&mut writing, run, KillCause::Asked, Some(by), now).await?;
                writing.commit().await?;
                if let Some(kill) = asked {
                    self.changes().publish(Change::KillRequested(kill));
                }
                Ok(Some(EndDecision::Kill))
            }
        }
    }
}
