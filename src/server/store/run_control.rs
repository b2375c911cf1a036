//! Control of jobs and runs by an operator: runs a job now, enables or disables it, ends a run.

use super::kills::{self, NewKillRequest, is_kill_requested};
use super::runs::{NewRun, cancel, find, insert};
use super::{Store, StoreError};
use crate::run::RunId;
use crate::server::domain::life::ending::{self, EndDecision, EndPlan, KillRecord};
use crate::server::domain::model::{Asker, JobId, KillCause, KillRequest, Run, Timestamp};
use crate::server::store::changes::Change;

/// Outcome of a request to end a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunEnding {
    /// Effect on the run.
    pub decision: EndDecision,
    /// Kill request that was created.
    pub request: Option<KillRequest>,
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
        writing.publish_on_commit(found.then_some(Change::JobChanged(job)));
        writing.commit().await?;
        Ok(found)
    }

    /// Carries out a request to end a run, as [`ending::end`] decides. Returns `None` if there is no such run.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn end_run(&self, run: RunId, by: Asker, now: Timestamp) -> Result<Option<RunEnding>, StoreError> {
        let mut writing = self.write().await?;
        let Some(before) = find(&mut writing, run).await? else { return Ok(None) };
        let EndPlan { decision, record } = ending::end(&before, by, is_kill_requested(&mut writing, run).await?);
        let request = match record {
            KillRecord::Nothing => None,
            KillRecord::Open | KillRecord::Executed | KillRecord::Note => {
                let is_executed = record != KillRecord::Open;
                let new = NewKillRequest { run, cause: KillCause::Asked, by: Some(by), is_executed };
                Some(kills::insert(&mut writing, &new, now).await?)
            }
        };
        let published = request.as_ref().filter(|_| record != KillRecord::Note);
        writing.publish_on_commit(published.map(|request| Change::KillRequested(request.id)));
        if decision == EndDecision::Cancel {
            cancel(&mut writing, &before, by, now).await?;
        }
        writing.commit().await?;
        Ok(Some(RunEnding { decision, request }))
    }
}
