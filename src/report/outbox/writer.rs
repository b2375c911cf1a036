//! The writer: takes what is there, commits it, answers. Where nothing can be written, what must be written waits here
//! and the rest is refused at once; the writer sees by itself that it can write again.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::store::{OutboxStore, StoreTrouble};
use super::{Change, OutboxError};
use crate::report::ballast::Ballast;

/// How many changes one commit takes at most while all is well.
const BATCH: usize = 256;
/// How many changes wait for the end of trouble at most. Each is of a run or a kill that waits for its answer.
const WAITING: usize = 8192;
/// How long a commit that failed waits to be tried again; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest such pause.
const LAST_PAUSE: Duration = Duration::from_secs(8);
/// How often a damaged file is replaced at most: one that is damaged again at once is not the fault of the file.
const ANEW_PAUSE: Duration = Duration::from_secs(60);

/// A change that somebody waits for.
pub struct WriteRequest {
    pub change: Change,
    /// Whether it is tried until it succeeds.
    pub insist: bool,
    pub done: oneshot::Sender<Result<(), OutboxError>>,
}

pub struct OutboxWriter {
    store: OutboxStore,
    ballast: Ballast,
    waiting: Vec<WriteRequest>,
    /// What is wrong, for everybody who wants to know.
    wrong: watch::Sender<Option<String>>,
    /// When the next try is due, and how long the pause after it is.
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
                    tracing::warn!(target: "job_runner_worker.outbox", "the outbox can be written again");
                    self.wrong.send_replace(None);
                }
                self.ballast.restore();
            }
            Err(error) => {
                let why = error.told();
                let pause = self.retry.map_or(FIRST_PAUSE, |(_, pause)| (pause * 2).min(LAST_PAUSE));
                if self.retry.is_none() {
                    tracing::error!(target: "job_runner_worker.outbox", "{why}; trying again");
                }
                self.retry = Some((Instant::now() + pause, pause));
                self.wrong.send_replace(Some(why));
                self.refuse();
            }
        }
    }

    /// Commits what waits; where nothing does, finds out whether it could.
    async fn try_commit(&mut self) -> Result<(), OutboxError> {
        let Err(error) = self.commit_once().await else { return Ok(()) };
        match error.trouble() {
            StoreTrouble::NoRoom => {
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
            changes.push(&Change::Probe);
        }
        self.store.commit(&changes).await
    }

    /// Answers those who do not insist.
    fn refuse(&mut self) {
        let why = self.wrong.borrow().clone().unwrap_or_default();
        for refused in self.waiting.extract_if(.., |request| !request.insist) {
            let _ = refused.done.send(Err(OutboxError::Unwritable(why.clone())));
        }
    }
}
