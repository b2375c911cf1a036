//! Ends a run at the request of an operator or client: cancels it before its claim, requests its kill after, as
//! [`ending::end`] decides. The kill requests themselves are kept by `kills`.

use super::kills::{self, NewKillRequest, is_kill_requested};
use super::runs::{cancel, find};
use super::{Store, StoreError};
use crate::run::RunId;
use crate::server::domain::life::ending::{self, EndDecision, EndPlan, KillRecord};
use crate::server::domain::model::{Asker, KillCause, KillRequest, Timestamp};
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
