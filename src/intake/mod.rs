//! Intake: decides whether and when an order is followed.
//!
//! [`Intake`] is the handle that sources and the daemon hold. Behind it one task, the coordinator, owns the hints, the
//! slots, the runs under way and the worker's lifecycle. A run is claimed only with a free slot and is carried out in a
//! task of its own; so is a kill.

mod admission;
mod admission_gauge;
mod coordinator;
mod coordinator_task;
mod hints;
mod kill;
mod launch_shortage;
mod log_limit;
mod lookup_budget;
mod message;
mod published_state;
mod reservation;
mod run_handle;
mod slots;
mod status_requests;
mod task;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde::Serialize;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::execution::Execution;
use crate::report::{KillEntry, OutboxEntry, RememberedStateFile, Reporter};
use crate::run::worker_lifecycle::{Claims, Lifecycle};
use crate::run::{Cause, IncompleteRuns, Order, RunId, WorkerRequest};
use crate::upstream::Upstream;
use coordinator_task::CoordinatorTask;
use launch_shortage::LaunchShortage;
pub use log_limit::LogLimit;
use message::IntakeMessage;
pub use published_state::PublishedState;
pub use reservation::Reservation;
pub use status_requests::StatusRequests;

/// Settings of the intake, from the worker's configuration.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Slots: the number of runs that are executed at once.
    pub concurrent_jobs: u32,
    /// Fate of a run whose execution was lost: executed again, or failed.
    pub incomplete_runs: IncompleteRuns,
    /// Lost executions after which a run fails.
    pub max_attempts: u32,
    /// Bytes that must be free on the disks of state and scripts for a run to be claimed; 0 for no minimum.
    pub min_free_bytes: u64,
}

/// Bound of the coordinator's inbox, in messages; the coordinator never waits while it handles one.
const INBOX: usize = 10_000;

/// Runs that are looked up and claimed at once, as many as report their results at once: results of running scripts
/// must not fall behind new claims.
const CLAIMING: usize = 64;

/// Log lines about hints that are not followed, in a burst; then one a minute.
const UNFOLLOWED_LINES: u32 = 5;

/// Receipt for an order from a source.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderReceipt {
    /// The order is in the coordinator's inbox.
    Taken,
    /// The inbox is full and the order was dropped; the server repeats it.
    Full,
}

/// Handle to the intake. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Intake {
    inbox: mpsc::Sender<IntakeMessage>,
    drained: CancellationToken,
    executing: watch::Receiver<usize>,
    state: watch::Receiver<PublishedState>,
    status_requests: Arc<StatusRequests>,
}

/// Choice of a local user whether the worker takes new runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SleepState {
    /// New runs are taken.
    Awake,
    /// No new runs are taken until the worker is woken.
    Asleep,
}

/// Handles and limits that the tasks of runs and kills share.
pub(crate) struct Context {
    pub(crate) upstream: Upstream,
    pub(crate) reporter: Reporter,
    pub(crate) execution: Execution,
    pub(crate) settings: watch::Sender<Settings>,
    /// Permission to claim runs, as the coordinator published it.
    pub(crate) claims: watch::Sender<Claims>,
    /// Permits to look up and claim a run.
    pub(crate) claiming: Arc<Semaphore>,
    /// Number of scripts that are running.
    pub(crate) executing: watch::Sender<usize>,
    /// Claimed runs that wait for their launch.
    pub(crate) shortage: LaunchShortage,
    /// Limit of log lines about hints that are not followed.
    pub(crate) unfollowed: Mutex<LogLimit>,
}

impl Context {
    /// Returns the field `suppressed` for a log line about a hint that is not followed; `None` if no such line is due.
    pub(crate) fn unfollowed_line(&self) -> Option<Option<u64>> {
        self.unfollowed.lock().unwrap_or_else(PoisonError::into_inner).due(Instant::now())
    }

    /// Waits until no run is claimed until the process ends.
    pub(crate) async fn claims_closed(&self) {
        let _ = self.claims.subscribe().wait_for(|claims| *claims == Claims::Closed).await;
    }

    pub(crate) fn settings(&self) -> Settings {
        *self.settings.borrow()
    }
}

/// Status of the intake, for people: shown by `--status` and logged on USR1.
#[derive(Clone, Debug, Default, Serialize, PartialEq, Eq)]
pub struct IntakeStatus {
    /// Whether the worker takes no new runs because it is about to stop.
    pub draining: bool,
    /// State of the worker: `starting`, `awake`, `draining`, `asleep`, `offline`.
    #[serde(rename = "duty")]
    pub state: &'static str,
    /// Resources whose shortage holds the claims at present, one sentence each.
    pub held: Vec<String>,
    /// Number of slots, as configured.
    pub concurrent_jobs: u32,
    /// Slots in use, including those of runs that are being claimed.
    #[serde(rename = "seats_taken")]
    pub slots_taken: u32,
    /// Announced runs that wait for a slot.
    pub hints: usize,
    /// Runs that are under way, in ascending order.
    pub runs: Vec<i64>,
    /// Kill requests that are being followed, in ascending order.
    pub kills: Vec<i64>,
}

impl Intake {
    /// Starts the coordinator and returns the handle to it.
    #[must_use]
    pub fn open(
        upstream: Upstream,
        reporter: Reporter,
        execution: Execution,
        settings: Settings,
        remembered_file: RememberedStateFile,
    ) -> Self {
        let (inbox, messages) = mpsc::channel(INBOX);
        let drained = CancellationToken::new();
        // Counted apart from the slots: a slot is taken from the claim on, and a service manager wants to know what
        // runs.
        let (executing, watched) = watch::channel(0);
        // The last process may have been asleep when it ended, and the worker stays asleep across a restart.
        let lifecycle = Lifecycle::new(remembered_file.read());
        let context = Arc::new(Context {
            upstream,
            reporter,
            execution,
            settings: watch::Sender::new(settings),
            claims: watch::Sender::new(lifecycle.claims()),
            claiming: Arc::new(Semaphore::new(CLAIMING)),
            executing,
            shortage: LaunchShortage::default(),
            unfollowed: Mutex::new(LogLimit::new(UNFOLLOWED_LINES)),
        });
        let status_requests = Arc::new(StatusRequests::default());
        let coordinator = CoordinatorTask::new(
            context,
            inbox.downgrade(),
            lifecycle,
            remembered_file,
            Arc::clone(&status_requests),
            drained.clone(),
        );
        let state = coordinator.state();
        tokio::spawn(coordinator.run(messages));
        Self { inbox, drained, executing: watched, state, status_requests }
    }

    /// Passes an order to the coordinator without waiting.
    pub fn offer(&self, order: Order) -> OrderReceipt {
        match self.inbox.try_send(IntakeMessage::Order(order)) {
            Ok(()) => OrderReceipt::Taken,
            Err(_) => OrderReceipt::Full,
        }
    }

    /// Takes up a run of the last process, whatever became of it.
    pub async fn take_up(&self, entry: OutboxEntry) {
        self.send(IntakeMessage::TakeUp(Box::new(entry))).await;
    }

    /// Marks a run of the last process that cannot be taken up yet: it counts as known and is left alone.
    pub async fn set_aside(&self, run: RunId) {
        self.send(IntakeMessage::SetAside(run)).await;
    }

    /// Removes the mark of [`Self::set_aside`]: the run was taken up, or nothing of it is left.
    pub async fn release(&self, run: RunId) {
        self.send(IntakeMessage::Release(run)).await;
    }

    /// Takes up a kill request that the last process had recorded.
    pub async fn resume_kill(&self, kill: KillEntry) {
        self.send(IntakeMessage::ResumeKill(kill)).await;
    }

    /// Records that all runs of the last process are accounted for, so the worker may report itself awake or idle.
    pub async fn leftovers_accounted(&self) {
        self.send(IntakeMessage::LeftoversAccounted).await;
    }

    /// Makes the worker take new runs or none from now on, also after a restart. Returns false if it is about to leave.
    pub async fn sleep_or_wake(&self, wanted: SleepState) -> bool {
        let (answer, obeyed) = oneshot::channel();
        self.send(IntakeMessage::SleepOrWake(wanted, answer)).await;
        obeyed.await.unwrap_or(false)
    }

    /// Subscribes to the state of the worker.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<PublishedState> {
        self.state.clone()
    }

    /// Returns the server's requests for a status report, for the one task that reports.
    #[must_use]
    pub fn status_requests(&self) -> Arc<StatusRequests> {
        Arc::clone(&self.status_requests)
    }

    /// Follows a command of the server; a command that was followed before changes nothing.
    pub async fn follow_command(&self, command: WorkerRequest) {
        self.send(IntakeMessage::Commanded(command)).await;
    }

    /// Publishes that the worker has left, as far as runs are concerned.
    pub async fn has_left(&self) {
        self.send(IntakeMessage::HasLeft).await;
    }

    /// Takes no new runs from now on. Kills and pings are still served.
    pub async fn drain(&self) {
        self.send(IntakeMessage::Drain).await;
    }

    /// Stops all runs under way.
    pub async fn stop_all(&self, cause: Cause) {
        self.send(IntakeMessage::StopAll(cause)).await;
    }

    /// Stops one run; no effect where it is not under way.
    pub async fn stop(&self, run: RunId, cause: Cause) {
        self.send(IntakeMessage::Stop(run, cause)).await;
    }

    /// Waits until nothing is under way and another run may be taken, and reserves a slot for it. A later reservation takes
    /// the place of one that still waits.
    ///
    /// Never resolves once the coordinator is gone.
    pub async fn reserve(&self) -> Reservation {
        let (answer, granted) = oneshot::channel();
        self.send(IntakeMessage::Reserve(answer)).await;
        match granted.await {
            Ok(slot) => Reservation::new(self.clone(), slot),
            Err(_) => std::future::pending().await,
        }
    }

    /// Applies other settings. Where there are fewer slots than runs, the runs go on.
    pub async fn reconfigure(&self, settings: Settings) {
        self.send(IntakeMessage::Settings(settings)).await;
    }

    /// Waits until, after a drain, no run is under way and no kill is followed.
    pub async fn drained(&self) {
        self.drained.cancelled().await;
    }

    /// Subscribes to the number of running scripts.
    #[must_use]
    pub fn executing(&self) -> watch::Receiver<usize> {
        self.executing.clone()
    }

    /// Waits until no script runs. Returns whether one did at the start.
    pub async fn wait_until_nothing_executes(&self) -> bool {
        let mut executing = self.executing.clone();
        let did = *executing.borrow() > 0;
        let _ = executing.wait_for(|executing| *executing == 0).await;
        did
    }

    /// Returns whether a run is under way here or its result is still to be delivered; true if the coordinator is gone.
    pub async fn is_known(&self, run: RunId) -> bool {
        let (answer, known) = oneshot::channel();
        self.send(IntakeMessage::IsKnown(run, answer)).await;
        // Without an answer nothing may be assumed to be finished.
        known.await.unwrap_or(true)
    }

    /// Returns the status for people.
    pub async fn status(&self) -> IntakeStatus {
        let (answer, status) = oneshot::channel();
        self.send(IntakeMessage::Status(answer)).await;
        status.await.unwrap_or_default()
    }

    async fn send(&self, message: IntakeMessage) {
        let _ = self.inbox.send(message).await;
    }
}
