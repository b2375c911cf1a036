//! Commands that workers are requested to follow: writes, cancels and closes the requests. A request goes out in the
//! answer to the worker's next status report, see `worker_reports`.

use super::db::Transaction;
use super::entities::find_worker;
use super::{Store, StoreError};
use crate::run::{Pace, WorkerCommand};
use crate::server::domain::model::{RequestEnd, Timestamp, Worker, WorkerId};
use crate::server::domain::worker_state::{self, CommandRefusal, RequestVerdict};
use crate::server::store::changes::Change;

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
        let request = request.clone();
        self.change(move |transaction| {
            let Some(before) = find_worker(transaction, worker)? else { return Ok(None) };
            let verdict = match worker_state::ask(&before, request.action, request.pace) {
                Ok(verdict) => verdict,
                Err(cannot) => return Ok(Some(Err(cannot))),
            };
            match verdict {
                RequestVerdict::Already => return Ok(Some(Ok(verdict))),
                RequestVerdict::Cancel => close_request(transaction, worker, RequestEnd::Cancelled, now)?,
                RequestVerdict::Ask => write_request(transaction, &before, &request, now)?,
            }
            transaction.publish_on_commit([Change::WorkerChanged(worker)]);
            Ok(Some(Ok(verdict)))
        })
        .await
    }

    /// Returns the workers with a title or a key, by id.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn workers_named(&self, name: &str, limit: u32) -> Result<Vec<WorkerId>, StoreError> {
        let name = name.to_owned();
        let sql = "SELECT id FROM worker WHERE title = ?1 OR api_key = ?1 ORDER BY id LIMIT ?2";
        self.read(move |reading| Ok(reading.values(sql, &[&name, &limit])?)).await
    }
}

fn write_request(
    transaction: &mut Transaction<'_>,
    worker: &Worker,
    request: &CommandRequest,
    now: Timestamp,
) -> Result<(), StoreError> {
    // Larger than any number that the worker has seen, even if the store was restored from a copy: workers remember
    // which request they did last.
    let last = worker.asked.as_ref().map_or(0, |asked| asked.request.id.get());
    transaction.write(
        "UPDATE worker SET request = ?, request_action = ?, request_now = ?, request_by = ?, request_reason = ?,
         request_at = ?, request_sent = NULL, request_heard = NULL, request_over = NULL, request_end = NULL WHERE id = ?",
        &[
            &now.timestamp_micros().max(last + 1),
            &request.action.word(),
            &(request.pace == Pace::Now),
            &request.by,
            &request.reason,
            &now,
            &worker.id,
        ],
    )?;
    Ok(())
}

/// Records how the open request of a worker ended.
pub(super) fn close_request(
    transaction: &mut Transaction<'_>,
    worker: WorkerId,
    end: RequestEnd,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = "UPDATE worker SET request_over = ?, request_end = ? WHERE id = ?";
    transaction.write(sql, &[&now, &end.word(), &worker])?;
    Ok(())
}
