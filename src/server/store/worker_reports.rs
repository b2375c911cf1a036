//! Status reports of workers: records each worker's last answer, such as its worker state (that it sleeps, say), the
//! slots that are taken, and the resources that it lacks.
//!
//! A status report and the answer to it are one transaction: a command that is requested meanwhile goes out with the
//! next answer, and a command that went out is recorded as sent. `worker_commands` writes the requests.

use chrono::TimeDelta;

use super::db::Transaction;
use super::entities::find_worker;
use super::worker_commands::close_request;
use super::{Store, StoreError};
use crate::run::lack::Lack;
use crate::run::{RequestId, WorkerRequest, WorkerState};
use crate::server::domain::model::{RequestEnd, Timestamp, Worker, WorkerId};
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
        let answer = answer.clone();
        self.change(move |transaction| {
            let Some(before) = find_worker(transaction, worker)? else { return Ok(None) };
            let clock_ahead = answer.clock_ahead(now).map(|ahead| ahead.num_milliseconds());
            transaction.write(
                "UPDATE worker SET heard = ?, ping_response_dts = coalesce(?, ping_response_dts),
                 worker_version = coalesce(?, worker_version), concurrent_jobs = coalesce(?, concurrent_jobs),
                 clock_ahead = coalesce(?, clock_ahead) WHERE id = ?",
                &[&now, &answer.at, &answer.version, &answer.slots, &clock_ahead, &worker],
            )?;
            let open = record_report(transaction, &before, &answer.kind, now)?;
            transaction.publish_on_commit([Change::WorkerChanged(worker)]);
            Ok(open)
        })
        .await
    }
}

/// Records a status report and returns the request that is still open for the worker.
fn record_report(
    transaction: &mut Transaction<'_>,
    before: &Worker,
    kind: &AnswerKind,
    now: Timestamp,
) -> Result<Option<WorkerRequest>, StoreError> {
    let report = match kind {
        AnswerKind::Unsaid => return Ok(None),
        AnswerKind::Original => {
            // The key may have been used by a worker of this package before: its last state would go on being shown.
            let sql = "UPDATE worker SET duty = NULL WHERE id = ? AND duty IS NOT NULL";
            transaction.write(sql, &[&before.id])?;
            return Ok(None);
        }
        AnswerKind::Ours(report) => report,
    };
    let held = serde_json::to_string(&lack::list(&report.held)).unwrap_or_default();
    transaction.write(
        // All right-hand sides see the old row, so `duty` is the last state here, which is NULL before the first
        // report.
        "UPDATE worker SET duty_since = CASE WHEN duty IS NOT DISTINCT FROM ?1 THEN duty_since ELSE ?2 END, duty = ?1,
         seats_taken = ?3, outbox = ?4, restarts = ?5, held = ?6 WHERE id = ?7",
        &[&report.state.word(), &now, &report.slots_taken, &report.outbox, &report.restarts, &held, &before.id],
    )?;
    let Some(asked) = before.open_request() else { return Ok(None) };
    let request = asked.request;
    if report.done == Some(request.id) {
        close_request(transaction, before.id, RequestEnd::Confirmed, now)?;
        return Ok(None);
    }
    transaction.write(
        // A report that does not follow the request clears `request_heard`: the worker may have restarted and not know
        // of it any more.
        "UPDATE worker SET request_sent = coalesce(request_sent, ?1),
         request_heard = CASE WHEN CAST(?2 AS BIGINT) = 1 THEN coalesce(request_heard, ?1) END WHERE id = ?3",
        &[&now, &(report.follows == Some(request.id)), &before.id],
    )?;
    Ok(Some(request))
}
