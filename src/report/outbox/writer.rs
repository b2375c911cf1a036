//! Writer of the outbox: collects the changes that wait, commits them, and answers their callers.
//!
//! While the file cannot be written, changes that must be written wait here and the others are refused at once. The
//! writer finds out by itself when it can write again.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::store::{OutboxStore, StoreTrouble};
use super::{Change, OutboxError};
use crate::report::ballast::Ballast;

/// Most changes that one commit takes while the outbox can be written.
const BATCH: usize = 256;
/// Most changes that wait while the outbox cannot be written. Each is of a run or a kill request that waits for the
/// answer.
const WAITING: usize = 8192;
/// Pause after the first failed commit; doubled after each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause between two failed commits.
const LAST_PAUSE: Duration = Duration::from_secs(8);
/// Shortest time between two replacements of a damaged file: if the new one is damaged at once, the file is not the
/// cause.
const ANEW_PAUSE: Duration = Duration::from_secs(60);

/// Change whose caller waits for the answer.
pub struct WriteRequest {
    pub change: Change,
    /// Whether the change is tried until it succeeds.
    pub insist: bool,
    pub done: oneshot::Sender<Result<(), OutboxError>>,
}

pub struct OutboxWriter {
    store: OutboxStore,
    ballast: Ballast,
    waiting: Vec<WriteRequest>,
    /// Reason why the outbox cannot be written, for all who hold the handle.
    wrong: watch::Sender<Option<String>>,
    /// Instant of the next try, and the pause that led to it; `None` while the outbox can be written.
    retry: Option<(Instant, Duration)>,
    begun_anew: Option<Instant>,
}

impl OutboxWriter {
    pub fn new(store: OutboxStore, ballast: Ballast, wrong: watch::Sender<Option<String>>) -> Self {
        Self { store, ballast, waiting: Vec::with_capacity(BATCH), wrong, retry: None, begun_anew: None }
    }

    pub async fn write(mut self, mut requests: mpsc::Receiver<WriteRequest>) {
        loop {
            let retry = self.retry;
            let due = async {
                match retry {
                    Some((at, _)) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // A full list is not added to: callers then wait for room in the queue, which bounds the memory.
                heard = requests.recv_many(&mut self.waiting, BATCH), if self.waiting.len() < WAITING => {
                    if heard == 0 {
                        break;
                    }
                    if self.retry.is_some() {
                        self.refuse();
                        continue;
                    }
                }
                () = due => {}
            }
            crash_point!(OutboxNext);
            self.commit().await;
        }
        self.store.close().await;
    }

    async fn commit(&mut self) {
        match self.try_commit().await {
            Ok(()) => {
                crash_point!(OutboxCommitted);
                for request in self.waiting.drain(..) {
                    let _ = request.done.send(Ok(()));
                }
                if self.retry.take().is_some() {
                    tracing::info!(target: "job_runner_worker.outbox", "outbox can be written again");
                    self.wrong.send_replace(None);
                }
                self.ballast.restore();
            }
            Err(error) => {
                let why = error.told();
                let pause = self.retry.map_or(FIRST_PAUSE, |(_, pause)| (pause * 2).min(LAST_PAUSE));
                if self.retry.is_none() {
                    tracing::error!(target: "job_runner_worker.outbox", error = why, "outbox cannot be written; nothing is claimed until it can");
                }
                self.retry = Some((Instant::now() + pause, pause));
                self.wrong.send_replace(Some(why));
                self.refuse();
            }
        }
    }

    /// Commits the changes that wait; without any, tries whether a commit is possible. Makes room or replaces the file,
    /// as the error asks, and then tries once more.
    async fn try_commit(&mut self) -> Result<(), OutboxError> {
        let Err(error) = self.commit_once().await else { return Ok(()) };
        match error.trouble() {
            StoreTrouble::NoRoom => {
                // Both make room: the ballast for new rows, the checkpoint for those that the log holds.
                self.ballast.release();
                self.store.shrink().await;
            }
            StoreTrouble::Damaged if self.begun_anew.is_none_or(|at| at.elapsed() > ANEW_PAUSE) => {
                self.begun_anew = Some(Instant::now());
                self.store.begin_anew(&error).await?;
            }
            StoreTrouble::Damaged | StoreTrouble::Other => return Err(error),
        }
        self.commit_once().await
    }

    async fn commit_once(&mut self) -> Result<(), OutboxError> {
        let mut changes: Vec<&Change> = self.waiting.iter().map(|request| &request.change).collect();
        if changes.is_empty() {
            // Without changes the try still writes, to find out whether a commit would succeed.
            changes.push(&Change::Probe);
        }
        self.store.commit(&changes).await
    }

    /// Refuses all changes that are not to be tried until they succeed.
    fn refuse(&mut self) {
        let why = self.wrong.borrow().clone().unwrap_or_default();
        for refused in self.waiting.extract_if(.., |request| !request.insist) {
            let _ = refused.done.send(Err(OutboxError::Unwritable(why.clone())));
        }
    }
}
