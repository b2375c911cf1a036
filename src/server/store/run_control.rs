//! What an operator does to jobs and runs: runs them now, lets them run by themselves or not, ends them.

use super::evaluate::insert_kill_request;
use super::kills::note_kill;
use super::runs::{NewRun, cancel, find, insert};
use super::{Store, StoreError};
use crate::run::RunId;
use crate::server::domain::model::{Asker, JobId, KillCause, Run, RunState, Timestamp};
use crate::server::store::changes::Change;

/// What becomes of a run that is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndDecision {
    /// Its worker is asked to kill it.
    Kill,
    /// Nobody had it, and nobody will.
    Cancelled,
    /// It was over before.
    Over,
}

impl Store {
    /// Makes a run of a job that is due now because somebody asked for it; the job's children run after it, or not.
    ///
    /// # Errors
    /// That the store does not answer, or has no such job.
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

    /// Lets a job run when it is due, or not. False if there is no such job.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn enable_job(&self, job: JobId, enabled: bool, reason: &str) -> Result<bool, StoreError> {
        // Whoever enables a job that failed too often wants it to have as many tries as a new one.
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

    /// Ends a run, wherever it stands. Nothing if there is no such run.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn end_run(&self, run: RunId, by: Asker, now: Timestamp) -> Result<Option<EndDecision>, StoreError> {
        let mut writing = self.write().await?;
        let Some(mut found) = find(&mut writing, run).await? else { return Ok(None) };
        match found.state() {
            RunState::Completed => Ok(Some(EndDecision::Over)),
            RunState::Scheduled => {
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
