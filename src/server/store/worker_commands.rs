//! What workers tell of themselves, and what is asked of them.
//!
//! An answer of a worker and what it is told in return are one change: whoever asks in between is told to it the next
//! time, and a request that was told is known to be.

use chrono::TimeDelta;
use sqlx::sqlite::SqliteConnection;

use super::rows::{self, micros};
use super::{Store, StoreError};
use crate::run::lack::Lack;
use crate::run::{Pace, RequestId, WorkerCommand, WorkerRequest, WorkerState};
use crate::server::domain::model::{Timestamp, Worker, WorkerId};
use crate::server::domain::worker_state::{self, Cannot, RequestEnd, RequestVerdict};
use crate::server::store::changes::Change;
use crate::wire::lack;

/// What a worker tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkerAnswer {
    /// When, by its own clock.
    pub at: Option<Timestamp>,
    /// Its version.
    pub version: Option<String>,
    /// How many runs it does at once.
    pub slots: Option<u32>,
    /// What it does.
    pub kind: AnswerKind,
}

impl WorkerAnswer {
    /// How far the worker's clock is ahead of ours: it writes the time at which it answers into its answer. What somebody
    /// else writes for it tells nothing of its clock.
    fn clock_ahead(&self, now: Timestamp) -> Option<TimeDelta> {
        self.at.filter(|_| self.kind != AnswerKind::Unsaid).map(|at| at - now)
    }
}

/// What kind of worker it is, as its own answer shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AnswerKind {
    /// It is not the worker itself that speaks.
    #[default]
    Unsaid,
    /// It says nothing of what it does.
    Original,
    /// It knows of actions.
    Ours(Tells),
}

/// What a worker tells that knows of actions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tells {
    /// What it does.
    pub state: WorkerState,
    /// How many of its seats are taken.
    pub slots_taken: u32,
    /// How many results wait in its outbox.
    pub outbox: u32,
    /// Whether it can restart.
    pub restarts: bool,
    /// What it has too little of to claim runs.
    pub held: Vec<Lack>,
    /// Which request it follows.
    pub follows: Option<RequestId>,
    /// Which request it has done last.
    pub done: Option<RequestId>,
}

/// A wish that a worker does something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandRequest {
    /// What.
    pub action: WorkerCommand,
    /// What becomes of its runs.
    pub pace: Pace,
    /// Whose wish it is.
    pub by: String,
    /// Why.
    pub reason: String,
}

impl Store {
    /// A worker has answered. What it does not say stays as it was. Answers with what it is asked to do.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn record_status(
        &self,
        worker: WorkerId,
        answer: &WorkerAnswer,
        now: Timestamp,
    ) -> Result<Option<WorkerRequest>, StoreError> {
        let mut writing = self.write().await?;
        let Some(before) = find(&mut writing, worker).await? else { return Ok(None) };
        let query = sqlx::query(
            "UPDATE worker SET heard = ?, ping_response_dts = coalesce(?, ping_response_dts),
             worker_version = coalesce(?, worker_version), concurrent_jobs = coalesce(?, concurrent_jobs),
             clock_ahead = coalesce(?, clock_ahead) WHERE id = ?",
        )
        .bind(micros(now))
        .bind(answer.at.map(micros))
        .bind(&answer.version)
        .bind(answer.slots)
        .bind(answer.clock_ahead(now).map(|ahead| ahead.num_milliseconds()))
        .bind(worker.get());
        query.execute(&mut *writing).await?;
        let told = take(&mut writing, &before, &answer.kind, now).await?;
        writing.commit().await?;
        self.changes().publish(Change::WorkerChanged(worker));
        Ok(told)
    }

    /// Asks something of a worker, or takes back what was asked, as is right where it stands. Nothing if there is no such
    /// worker.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn request_command(
        &self,
        worker: WorkerId,
        wish: &CommandRequest,
        now: Timestamp,
    ) -> Result<Option<Result<RequestVerdict, Cannot>>, StoreError> {
        let mut writing = self.write().await?;
        let Some(found) = find(&mut writing, worker).await? else { return Ok(None) };
        let verdict = match worker_state::ask(&found, wish.action, wish.pace) {
            Ok(verdict) => verdict,
            Err(cannot) => return Ok(Some(Err(cannot))),
        };
        match verdict {
            RequestVerdict::Already => return Ok(Some(Ok(verdict))),
            RequestVerdict::Cancel => end(&mut writing, worker, RequestEnd::Cancelled, now).await?,
            RequestVerdict::Ask => ask(&mut writing, &found, wish, now).await?,
        }
        writing.commit().await?;
        self.changes().publish(Change::WorkerChanged(worker));
        Ok(Some(Ok(verdict)))
    }

    /// The workers of a title or a key.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn workers_named(&self, name: &str, limit: u32) -> Result<Vec<WorkerId>, StoreError> {
        let query = sqlx::query_scalar("SELECT id FROM worker WHERE title = ?1 OR api_key = ?1 ORDER BY id LIMIT ?2");
        let found: Vec<i64> = query.bind(name).bind(limit).fetch_all(&self.readers).await?;
        Ok(found.into_iter().filter_map(WorkerId::new).collect())
    }
}

/// Reads a worker in a change.
async fn find(connection: &mut SqliteConnection, worker: WorkerId) -> Result<Option<Worker>, StoreError> {
    let row = sqlx::query("SELECT * FROM worker WHERE id = ?").bind(worker.get()).fetch_optional(connection).await?;
    row.as_ref().map(rows::worker).transpose()
}

/// Takes what a worker tells of itself; what it is to be told.
async fn take(
    connection: &mut SqliteConnection,
    before: &Worker,
    kind: &AnswerKind,
    now: Timestamp,
) -> Result<Option<WorkerRequest>, StoreError> {
    let tells = match kind {
        AnswerKind::Unsaid => return Ok(None),
        AnswerKind::Original => {
            // Whatever it was before.
            let query = sqlx::query("UPDATE worker SET duty = NULL WHERE id = ? AND duty IS NOT NULL");
            query.bind(before.id.get()).execute(connection).await?;
            return Ok(None);
        }
        AnswerKind::Ours(tells) => tells,
    };
    let query = sqlx::query(
        "UPDATE worker SET duty_since = CASE WHEN duty IS ?1 THEN duty_since ELSE ?2 END, duty = ?1, seats_taken = ?3,
         outbox = ?4, restarts = ?5, held = ?6 WHERE id = ?7",
    )
    .bind(tells.state.word())
    .bind(micros(now))
    .bind(tells.slots_taken)
    .bind(tells.outbox)
    .bind(tells.restarts)
    .bind(serde_json::to_string(&lack::list(&tells.held)).unwrap_or_default())
    .bind(before.id.get());
    query.execute(&mut *connection).await?;
    let Some(asked) = before.open_request() else { return Ok(None) };
    let request = asked.request;
    if tells.done == Some(request.id) {
        end(connection, before.id, RequestEnd::Confirmed, now).await?;
        return Ok(None);
    }
    let query = sqlx::query(
        "UPDATE worker SET request_sent = coalesce(request_sent, ?1),
         request_heard = CASE WHEN ?2 THEN coalesce(request_heard, ?1) END WHERE id = ?3",
    );
    query.bind(micros(now)).bind(tells.follows == Some(request.id)).bind(before.id.get()).execute(connection).await?;
    Ok(Some(request))
}

async fn ask(
    connection: &mut SqliteConnection,
    worker: &Worker,
    wish: &CommandRequest,
    now: Timestamp,
) -> Result<(), StoreError> {
    // A number that the worker has never heard, also after the store was brought back from a copy.
    let last = worker.asked.as_ref().map_or(0, |asked| asked.request.id.get());
    let query = sqlx::query(
        "UPDATE worker SET request = ?, request_action = ?, request_now = ?, request_by = ?, request_reason = ?,
         request_at = ?, request_sent = NULL, request_heard = NULL, request_over = NULL, request_end = NULL WHERE id = ?",
    )
    .bind(micros(now).max(last + 1))
    .bind(wish.action.word())
    .bind(wish.pace == Pace::Now)
    .bind(&wish.by)
    .bind(&wish.reason)
    .bind(micros(now))
    .bind(worker.id.get());
    query.execute(connection).await?;
    Ok(())
}

async fn end(
    connection: &mut SqliteConnection,
    worker: WorkerId,
    end: RequestEnd,
    now: Timestamp,
) -> Result<(), StoreError> {
    let query = sqlx::query("UPDATE worker SET request_over = ?, request_end = ? WHERE id = ?");
    query.bind(micros(now)).bind(end.word()).bind(worker.get()).execute(connection).await?;
    Ok(())
}
