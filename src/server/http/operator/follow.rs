//! Stream of a followed run: sends its state and its log as they change, until it has ended.
//!
//! Nothing is polled: a follower waits for a change of the run. Each line has the state of the store at that time, so a
//! follower who falls behind misses nothing; and it is read after the last piece was taken, so that a slow follower
//! costs no more memory than a quick one.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use axum::response::{IntoResponse, Response};
use futures_util::{FutureExt, StreamExt, stream};
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::find::run_id;
use super::log_reader::LogReader;
use super::refusal::OperatorRefusal;
use super::runs::detailed_run_view;
use crate::run::RunId;
use crate::server::state::AppState;
use crate::server::store::StoreError;
use crate::server::store::changes::{Change, ChangeNotice, Subscription};
use crate::wire::operator::{self, FollowLine, LINES};

/// Maximum number of followers at once.
const FOLLOWERS: usize = 256;

/// Places for followers, shared by all requests.
#[derive(Clone)]
pub(super) struct Followers(Arc<Semaphore>);

impl Default for Followers {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(FOLLOWERS)))
    }
}

/// Position from which a run is followed.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FollowQuery {
    /// Offset in the log, in bytes, from which it is sent: the follower knows the text before.
    from: Option<u64>,
    /// Revision of the log in which the follower knows that text.
    revision: Option<u64>,
}

/// Answers with one line of JSON for each change.
pub(super) async fn follow(
    State(app): State<Arc<AppState>>,
    Extension(followers): Extension<Followers>,
    Path(run): Path<String>,
    query: Result<Query<FollowQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, OperatorRefusal> {
    let reader = app.reader(&headers).ok_or(OperatorRefusal::Stranger)?;
    let Query(query) = query.map_err(|e| OperatorRefusal::Malformed(e.body_text()))?;
    let slot = followers.0.try_acquire_owned().map_err(|_| OperatorRefusal::Busy(FOLLOWERS))?;
    let run = run_id(&run)?;
    // Subscribed before the first reading of the store, so that no change falls between the two.
    let changes = app.changes().subscribe();
    let log = LogReader::from(query.from, query.revision);
    let shut_out = app.clone();
    let mut follow = Follow {
        run,
        changes,
        last_sent: None,
        log,
        lines: VecDeque::new(),
        state: StreamState::Open,
        app,
        _slot: slot,
    };
    follow.read_run().await?.ok_or_else(|| OperatorRefusal::NotFound(format!("there is no run {run}")))?;
    let lines = stream::unfold(follow, |mut follow| async {
        let line = follow.next().await?;
        let mut bytes = serde_json::to_vec(&line).unwrap_or_default();
        bytes.push(b'\n');
        Some((Ok::<_, std::convert::Infallible>(bytes), follow))
    });
    // The stream is cut short, without a last line, when the reader's login ends. Asking again is answered with 401.
    let lines = lines.take_until(async move { shut_out.until_shut_out(&reader).await });
    // A proxy that buffers the answer would make it anything but live.
    let headers =
        [(CONTENT_TYPE, LINES), (CACHE_CONTROL, "no-store"), (HeaderName::from_static("x-accel-buffering"), "no")];
    Ok((headers, Body::from_stream(lines)).into_response())
}

/// State of one follower.
struct Follow {
    app: Arc<AppState>,
    run: RunId,
    changes: Subscription,
    /// State of the run that was last sent.
    last_sent: Option<operator::RunInfo>,
    log: LogReader,
    lines: VecDeque<FollowLine>,
    state: StreamState,
    _slot: OwnedSemaphorePermit,
}

/// Progress of the stream towards its end.
enum StreamState {
    /// The run has not ended, so more may come.
    Open,
    /// The run has ended: the rest of its log follows, and then this last line.
    LogLeft(Box<operator::RunInfo>),
    /// The stream is over.
    Over,
}

impl Follow {
    async fn next(&mut self) -> Option<FollowLine> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Some(line);
            }
            if matches!(self.state, StreamState::Over) {
                return None;
            }
            match self.log.next_line(&self.app.store, self.run).await {
                Ok(Some(line)) => return Some(line),
                Ok(None) => {}
                Err(_) => self.send_bye(),
            }
            match std::mem::replace(&mut self.state, StreamState::Over) {
                StreamState::Over => {}
                StreamState::LogLeft(run) => self.send_run(*run),
                StreamState::Open => {
                    self.state = StreamState::Open;
                    self.wait_for_change().await;
                }
            }
        }
    }

    /// Waits until the run may have changed, or the server stops.
    async fn wait_for_change(&mut self) {
        let stop = self.app.stop.clone();
        tokio::select! {
            () = stop.cancelled() => self.send_bye(),
            is_open = next_change_of(&mut self.changes, self.run) => {
                // Where the run is gone or the store cannot be read, the follower has to ask again.
                if !is_open || !matches!(self.read_run().await, Ok(Some(()))) {
                    self.send_bye();
                }
            }
        }
    }

    fn send_bye(&mut self) {
        self.state = StreamState::Over;
        self.lines.push_back(FollowLine::Bye);
    }

    /// Reads the state of the run and the extent of its log; `None` if the run does not exist.
    async fn read_run(&mut self) -> Result<Option<()>, StoreError> {
        // The run is read before its log: the log of a run that has ended is then not older than its end.
        let Some(found) = self.app.store.overview_of_run(self.run).await? else { return Ok(None) };
        let run = detailed_run_view(&self.app, &found).await?;
        if self.last_sent.as_ref().is_some_and(|last| last.attempt != run.attempt) {
            self.log.begin_attempt();
        }
        if run.state.is_over() {
            self.state = StreamState::LogLeft(Box::new(run));
        } else {
            self.send_run(run);
        }
        self.log.read_extent(&self.app.store, self.run).await?;
        Ok(Some(()))
    }

    fn send_run(&mut self, run: operator::RunInfo) {
        if self.last_sent.as_ref() != Some(&run) {
            self.last_sent = Some(run.clone());
            self.lines.push_back(FollowLine::Run(Box::new(run)));
        }
    }
}

/// Waits for a change of the run. Further changes that wait in the subscription are dropped, as one reading of the
/// store covers all of them. Returns false when the change feed is closed.
async fn next_change_of(changes: &mut Subscription, run: RunId) -> bool {
    loop {
        match changes.next().await {
            ChangeNotice::Item(item) if !concerns(item, run) => {}
            ChangeNotice::Closed => return false,
            ChangeNotice::Item(_) | ChangeNotice::Missed => break,
        }
    }
    while changes.next().now_or_never().is_some_and(|notice| notice != ChangeNotice::Closed) {}
    true
}

fn concerns(item: Change, run: RunId) -> bool {
    match item {
        Change::RunScheduled(of)
        | Change::RunWaits(of)
        | Change::RunEnqueued(of)
        | Change::RunGivenBack(of)
        | Change::RunStarted(of)
        | Change::RunReturned(of)
        | Change::RunLog(of, _) => of == run,
        // The removal of a job, project or template takes its runs with it.
        Change::CatalogueChanged => true,
        Change::KillRequested(_)
        | Change::KillTaken(_)
        | Change::KillExecuted(_)
        | Change::JobChanged(_)
        | Change::WorkerChanged(_)
        | Change::FarmChanged => false,
    }
}
