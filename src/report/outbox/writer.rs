//! Writer of the outbox: a thread that collects the changes that wait, commits them, and answers their callers.
//!
//! While the file cannot be written, changes that must be written wait here and the others are refused at once. The
//! writer finds out by itself when it can write again.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};

use super::file_error::StoreTrouble;
use super::request_queue::{Received, RequestQueue};
use super::store::OutboxStore;
use super::{Change, OutboxContents, OutboxError, OutboxLocation};
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

/// Most groups of callers that wait to be answered by the runtime; others are answered one by one.
const GROUPS: usize = 64;

/// Change whose caller waits for the answer.
pub struct WriteRequest {
    pub change: Change,
    /// Whether the change is tried until it succeeds.
    pub insist: bool,
    pub done: Caller,
}

/// Opens the file on the writer's thread, and returns its content. The thread goes on to write what is requested, and
/// ends once no handle of the outbox is left. No runtime has a part in it and nobody joins it, so that it holds up
/// neither the end of a runtime nor that of the process.
pub async fn start(
    place: OutboxLocation,
    requests: mpsc::Receiver<WriteRequest>,
    wrong: watch::Sender<Option<String>>,
) -> Result<OutboxContents, OutboxError> {
    let (opened, answer) = oneshot::channel();
    let unstarted = place.clone();
    let (answers, mut groups) = mpsc::channel::<Vec<Caller>>(GROUPS);
    // Each answer of another thread wakes the runtime; a whole group wakes it once.
    tokio::spawn(async move {
        while let Some(group) = groups.recv().await {
            answer_all(group);
        }
    });
    let work = move || match OutboxWriter::open(place, wrong, answers) {
        Ok((writer, found)) => {
            // A caller that is gone has no handle either, and so there is nothing to write.
            let _ = opened.send(Ok(found));
            writer.write(requests);
        }
        Err(error) => drop(opened.send(Err(error))),
    };
    thread::Builder::new().name("outbox".to_owned()).spawn(work).map_err(|e| unstarted.unopened(e))?;
    answer.await.map_err(|_| OutboxError::Closed)?
}

type Caller = oneshot::Sender<Result<(), OutboxError>>;

fn answer_all(callers: Vec<Caller>) {
    for caller in callers {
        // A caller that is gone needs no answer.
        let _ = caller.send(Ok(()));
    }
}

struct OutboxWriter {
    store: OutboxStore,
    ballast: Ballast,
    waiting: Vec<WriteRequest>,
    /// Task of the runtime that answers the callers of a commit.
    answers: mpsc::Sender<Vec<Caller>>,
    /// Reason why the outbox cannot be written, for all who hold the handle. Dropped after the file is closed.
    wrong: watch::Sender<Option<String>>,
    /// Instant of the next try, and the pause that led to it; `None` while the outbox can be written.
    retry: Option<(Instant, Duration)>,
    begun_anew: Option<Instant>,
}

impl OutboxWriter {
    fn open(
        place: OutboxLocation,
        wrong: watch::Sender<Option<String>>,
        answers: mpsc::Sender<Vec<Caller>>,
    ) -> Result<(Self, OutboxContents), OutboxError> {
        let mut ballast = Ballast::new(place.path.parent().unwrap_or(Path::new(".")), place.reserve);
        let (store, found) = match OutboxStore::open(place.clone()) {
            // The ballast makes room for opening the file, which itself needs to write.
            Err(error) if error.trouble() == StoreTrouble::NoRoom => {
                ballast.release();
                OutboxStore::open(place)?
            }
            opened => opened?,
        };
        let waiting = Vec::with_capacity(BATCH);
        Ok((Self { store, ballast, waiting, answers, wrong, retry: None, begun_anew: None }, found))
    }

    fn write(mut self, requests: mpsc::Receiver<WriteRequest>) {
        let mut queue = RequestQueue::new(requests);
        loop {
            // A full list is not added to: callers then wait for room in the queue, which bounds the memory.
            let room = WAITING.saturating_sub(self.waiting.len()).min(BATCH);
            match queue.receive(&mut self.waiting, room, self.retry.map(|(at, _)| at)) {
                Received::Closed => break,
                Received::Requests if self.retry.is_some() => self.refuse(),
                Received::Requests | Received::Due => {
                    crash_point!(OutboxNext);
                    self.commit();
                }
            }
        }
    }

    fn commit(&mut self) {
        match self.try_commit() {
            Ok(()) => {
                crash_point!(OutboxCommitted);
                // Before the answers: a caller that is answered finds nothing wrong any more.
                if self.retry.take().is_some() {
                    tracing::info!(target: "job_runner_worker.outbox", "outbox can be written again");
                    self.wrong.send_replace(None);
                }
                let callers: Vec<_> = self.waiting.drain(..).map(|request| request.done).collect();
                match callers.len() {
                    0 | 1 => answer_all(callers),
                    // The runtime that opened the outbox may have ended, or be behind.
                    _ => drop(self.answers.try_send(callers).map_err(|unanswered| answer_all(unanswered.into_inner()))),
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
    fn try_commit(&mut self) -> Result<(), OutboxError> {
        let Err(error) = self.commit_once() else { return Ok(()) };
        match error.trouble() {
            StoreTrouble::NoRoom => {
                // Both make room: the ballast for new rows, the checkpoint for those that the log holds.
                self.ballast.release();
                self.store.shrink();
            }
            StoreTrouble::Damaged if self.begun_anew.is_none_or(|at| at.elapsed() > ANEW_PAUSE) => {
                self.begun_anew = Some(Instant::now());
                self.store.begin_anew(&error)?;
            }
            StoreTrouble::Damaged | StoreTrouble::Other => return Err(error),
        }
        self.commit_once()
    }

    fn commit_once(&mut self) -> Result<(), OutboxError> {
        let mut changes: Vec<&Change> = self.waiting.iter().map(|request| &request.change).collect();
        if changes.is_empty() {
            // Without changes the try still writes, to find out whether a commit would succeed.
            changes.push(&Change::Probe);
        }
        self.store.commit(&changes)
    }

    /// Refuses all changes that are not to be tried until they succeed.
    fn refuse(&mut self) {
        let why = self.wrong.borrow().clone().unwrap_or_default();
        for refused in self.waiting.extract_if(.., |request| !request.insist) {
            let _ = refused.done.send(Err(OutboxError::Unwritable(why.clone())));
        }
    }
}

impl Drop for OutboxWriter {
    fn drop(&mut self) {
        if thread::panicking() {
            // Otherwise runs would be announced to a worker that cannot claim them.
            self.wrong.send_replace(Some("the writer of the outbox has failed".to_owned()));
        }
    }
}
