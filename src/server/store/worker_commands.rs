//! Status reports of workers, and the commands that they are requested to follow.
//!
//! A status report and the answer to it are one transaction: a command that is requested meanwhile goes out with the
//! next answer, and a command that went out is recorded as sent.

use chrono::TimeDelta;
use sqlx::sqlite::SqliteConnection;

use super::rows::{self, micros};
use super::{Store, StoreError};
use crate::run::lack::Lack;
use crate::run::{Pace, RequestId, WorkerCommand, WorkerRequest, WorkerState};
use crate::server::domain::model::{RequestEnd, Timestamp, Worker, WorkerId};
use crate::server::domain::worker_state::{self, CommandRefusal, RequestVerdict};
use crate::server::store::changes::Change;
use crate::wire::lack;

/// Answer of a worker to a ping, or what a client wrote in its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkerAnswer {
    /// Time of the answer, by the worker's own clock.
    pub at: Option<Timestamp>,
    /// Version of the worker's program.
    pub version: Option<String>,
    /// Slots of the worker, its `concurrent_jobs`.
    pub slots: Option<u32>,
    /// Sender of the answer, and its status report.
    pub kind: AnswerKind,
}

impl WorkerAnswer {
    /// Returns how far the worker's clock is ahead of the server's: a worker writes the time at which it answers into
    /// its answer. `None` for an answer that another client wrote in its name, which says nothing of the worker's
    /// clock.
    fn clock_ahead(&self, now: Timestamp) -> Option<TimeDelta> {
        self.at.filter(|_| self.kind != AnswerKind::Unsaid).map(|at| at - now)
    }
}

/// Sender of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AnswerKind {
    /// A client other than the worker wrote the fields.
    #[default]
    Unsaid,
    /// The original worker, which sends no status report.
    Original,
    /// A worker of this package, with its status report.
    Ours(WorkerReport),
}

/// Status report of a worker of this package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerReport {
    /// Worker state at the time of the report.
    pub state: WorkerState,
    /// Slots that runs occupy.
    pub slots_taken: u32,
    /// Results that wait in the outbox.
    pub outbox: u32,
    /// Whether the worker can restart itself.
    pub restarts: bool,
    /// Resources that the worker lacks, so that it claims no runs.
    pub held: Vec<Lack>,
    /// Request that the worker is following now.
    pub follows: Option<RequestId>,
    /// Request that the worker has completed last.
    pub done: Option<RequestId>,
}

/// A request that a worker follow a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandRequest {
    /// Command that is requested.
    pub action: WorkerCommand,
    /// Whether running jobs finish first.
    pub pace: Pace,
    /// Name of the requester, for people.
    pub by: String,
    /// Reason that was given, for people; may be empty.
    pub reason: String,
}

impl Store {
    /// Records an answer of a worker; fields that it leaves out stay as they are. Returns the command request that the
    /// worker is to follow, if one is open. A request that the report names as done is closed.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn record_status(
        &self,
        worker: WorkerId,
        answer: &WorkerAnswer,
        now: Timestamp,
    ) -> Result<Option<WorkerRequest>, StoreError> {
        let mut writing = self.write().await?;
        let Some(before) = read_worker(&mut writing, worker).await? else { return Ok(None) };
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
        let open = record_report(&mut writing, &before, &answer.kind, now).await?;
        writing.publish_on_commit([Change::WorkerChanged(worker)]);
        writing.commit().await?;
        Ok(open)
    }

    /// Requests a command of a worker, or cancels the open request where that is what the command amounts to. Returns
    /// `None` if there is no such worker.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn request_command(
        &self,
        worker: WorkerId,
        request: &CommandRequest,
        now: Timestamp,
    ) -> Result<Option<Result<RequestVerdict, CommandRefusal>>, StoreError> {
        let mut writing = self.write().await?;
        let Some(before) = read_worker(&mut writing, worker).await? else { return Ok(None) };
        let verdict = match worker_state::ask(&before, request.action, request.pace) {
            Ok(verdict) => verdict,
            Err(cannot) => return Ok(Some(Err(cannot))),
        };
        match verdict {
            RequestVerdict::Already => return Ok(Some(Ok(verdict))),
            RequestVerdict::Cancel => close_request(&mut writing, worker, RequestEnd::Cancelled, now).await?,
            RequestVerdict::Ask => write_request(&mut writing, &before, request, now).await?,
        }
        writing.publish_on_commit([Change::WorkerChanged(worker)]);
        writing.commit().await?;
        Ok(Some(Ok(verdict)))
    }

    /// Returns the workers with a title or a key, by id.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn workers_named(&self, name: &str, limit: u32) -> Result<Vec<WorkerId>, StoreError> {
        let query = sqlx::query_scalar("SELECT id FROM worker WHERE title = ?1 OR api_key = ?1 ORDER BY id LIMIT ?2");
        let ids: Vec<i64> = query.bind(name).bind(limit).fetch_all(&self.readers).await?;
        Ok(ids.into_iter().filter_map(WorkerId::new).collect())
    }
}

/// Reads a worker within a change.
async fn read_worker(connection: &mut SqliteConnection, worker: WorkerId) -> Result<Option<Worker>, StoreError> {
    let row = sqlx::query("SELECT * FROM worker WHERE id = ?").bind(worker.get()).fetch_optional(connection).await?;
    row.as_ref().map(rows::worker).transpose()
}

/// Records a status report and returns the request that is still open for the worker.
async fn record_report(
    connection: &mut SqliteConnection,
    before: &Worker,
    kind: &AnswerKind,
    now: Timestamp,
) -> Result<Option<WorkerRequest>, StoreError> {
    let report = match kind {
        AnswerKind::Unsaid => return Ok(None),
        AnswerKind::Original => {
            // The key may have been used by a worker of this package before: its last state would go on being shown.
            let query = sqlx::query("UPDATE worker SET duty = NULL WHERE id = ? AND duty IS NOT NULL");
            query.bind(before.id.get()).execute(connection).await?;
            return Ok(None);
        }
        AnswerKind::Ours(report) => report,
    };
    let query = sqlx::query(
        // All right-hand sides see the old row, so `duty` is the last state here; IS, since it is NULL before the first
        // report.
        "UPDATE worker SET duty_since = CASE WHEN duty IS ?1 THEN duty_since ELSE ?2 END, duty = ?1, seats_taken = ?3,
         outbox = ?4, restarts = ?5, held = ?6 WHERE id = ?7",
    )
    .bind(report.state.word())
    .bind(micros(now))
    .bind(report.slots_taken)
    .bind(report.outbox)
    .bind(report.restarts)
    .bind(serde_json::to_string(&lack::list(&report.held)).unwrap_or_default())
    .bind(before.id.get());
    query.execute(&mut *connection).await?;
    let Some(asked) = before.open_request() else { return Ok(None) };
    let request = asked.request;
    if report.done == Some(request.id) {
        close_request(connection, before.id, RequestEnd::Confirmed, now).await?;
        return Ok(None);
    }
    let query = sqlx::query(
        // A report that does not follow the request clears `request_heard`: the worker may have restarted and not know
        // of it any more.
        "UPDATE worker SET request_sent = coalesce(request_sent, ?1),
         request_heard = CASE WHEN ?2 THEN coalesce(request_heard, ?1) END WHERE id = ?3",
    );
    query.bind(micros(now)).bind(report.follows == Some(request.id)).bind(before.id.get()).execute(connection).await?;
    Ok(Some(request))
}

async fn write_request(
    connection: &mut SqliteConnection,
    worker: &Worker,
    request: &CommandRequest,
    now: Timestamp,
) -> Result<(), StoreError> {
    // Larger than any number that the worker has seen, even if the store was restored from a copy: workers remember
    // which request they did last.
    let last = worker.asked.as_ref().map_or(0, |asked| asked.request.id.get());
    let query = sqlx::query(
        "UPDATE worker SET request = ?, request_action = ?, request_now = ?, request_by = ?, request_reason = ?,
         request_at = ?, request_sent = NULL, request_heard = NULL, request_over = NULL, request_end = NULL WHERE id = ?",
    )
    .bind(micros(now).max(last + 1))
    .bind(request.action.word())
    .bind(request.pace == Pace::Now)
    .bind(&request.by)
    .bind(&request.reason)
    .bind(micros(now))
    .bind(worker.id.get());
    query.execute(connection).await?;
    Ok(())
}

async fn close_request(
    connection: &mut SqliteConnection,
    worker: WorkerId,
    end: RequestEnd,
    now: Timestamp,
) -> Result<(), StoreError> {
    let query = sqlx::query("UPDATE worker SET request_over = ?, request_end = ? WHERE id = ?");
    query.bind(micros(now)).bind(end.word()).bind(worker.get()).execute(connection).await?;
    Ok(())
}
