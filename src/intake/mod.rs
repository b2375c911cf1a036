//! Intake: decides whether and when an order is followed.
//!
//! [`Intake`] is the handle that sources and the daemon hold; behind it one task, the keeper, owns the hints, the slots
//! and the runs under way. A run is claimed only with a free slot and is carried out in a task of its own; so is a
//! kill.

mod admission;
mod hints;
mod keeper;
mod keeper_message;
mod kill;
mod lookups;
mod rarely;
mod run_handle;
mod shortage;
mod slots;
mod standing;
mod status_reporter;
mod task;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::execution::Execution;
use crate::report::{KillEntry, OutboxEntry, Reporter, WorkerMemory};
use crate::rest::RestClient;
use crate::run::{Cause, IncompleteRuns, Order, RunId};
use keeper::Keeper;
use keeper_message::KeeperMessage;
use lookups::Lookups;
pub use rarely::Rarely;
use shortage::Shortage;
pub use standing::WorkerStanding;
use status_reporter::{StatusReporter, StatusTrigger};
use task::Begin;

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

/// Bound of the keeper's inbox, in messages; the keeper only sorts them.
const INBOX: usize = 10_000;

/// Runs that are looked up and claimed at once, as many as report their results at once: results of running scripts
/// must not fall behind new claims.
const CLAIMING: usize = 64;

/// Log lines about hints that are not followed, in a burst; then one a minute.
const UNFOLLOWED: u32 = 5;

/// Receipt for an order from a source.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderReceipt {
    /// The order is in the keeper's inbox.
    Taken,
    /// The inbox is full and the order was dropped; the server repeats it.
    Full,
}

/// Handle to the intake. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Intake {
    inbox: mpsc::Sender<KeeperMessage>,
    drained: CancellationToken,
    executing: watch::Receiver<usize>,
    standing: watch::Receiver<WorkerStanding>,
    /// Cancelled once the server was told that the worker has left.
    dismissed: CancellationToken,
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
    pub(crate) client: RestClient,
    pub(crate) reporter: Reporter,
    pub(crate) execution: Execution,
    pub(crate) settings: watch::Sender<Settings>,
    /// Cancelled once no new runs are taken any more.
    pub(crate) draining: CancellationToken,
    /// Whether new runs are not taken at present, because the worker sleeps or is about to leave.
    pub(crate) resting: watch::Sender<bool>,
    /// Whether the worker has an exit code upon which it is started again.
    pub(crate) restarts: bool,
    /// Permits to look up and claim a run.
    pub(crate) claiming: Arc<Semaphore>,
    /// Number of scripts that are running.
    pub(crate) executing: watch::Sender<usize>,
    /// Claimed runs that wait for their launch.
    pub(crate) shortage: Shortage,
    /// Budgets of lookups of announced runs and of announced kills.
    pub(crate) looks: Lookups,
    pub(crate) kill_looks: Lookups,
    /// Limit of log lines about hints that are not followed.
    pub(crate) unfollowed: Mutex<Rarely>,
}

impl Context {
    /// Returns the suffix for a log line about a hint that is not followed; `None` if no such line is due.
    pub(crate) fn may_say(&self) -> Option<String> {
        self.unfollowed.lock().unwrap_or_else(PoisonError::into_inner).due(Instant::now())
    }
}

impl Context {
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
    pub duty: &'static str,
    /// Resources whose shortage holds the claims at present, one sentence each.
    pub held: Vec<String>,
    /// Number of slots, as configured.
    pub concurrent_jobs: u32,
    /// Slots in use, including those of runs that are being claimed.
    pub seats_taken: u32,
    /// Announced runs that wait for a slot.
    pub hints: usize,
    /// Runs that are under way, in ascending order.
    pub runs: Vec<i64>,
    /// Kill requests that are being followed, in ascending order.
    pub kills: Vec<i64>,
}

impl Intake {
    /// Starts the keeper and the status reporter and returns the handle to them.
    #[must_use]
    pub fn open(
        client: RestClient,
        reporter: Reporter,
        execution: Execution,
        settings: Settings,
        memory: WorkerMemory,
        restarts: bool,
    ) -> Self {
        let (inbox, messages) = mpsc::channel(INBOX);
        let drained = CancellationToken::new();
        // Counted apart from the slots: a slot is taken from the claim on, and a service manager wants to know what
        // runs.
        let (executing, watched) = watch::channel(0);
        let draining = CancellationToken::new();
        let settings = watch::Sender::new(settings);
        let context = Arc::new(Context {
            client,
            reporter,
            execution,
            settings,
            draining,
            resting: watch::Sender::new(false),
            restarts,
            claiming: Arc::new(Semaphore::new(CLAIMING)),
            executing,
            shortage: Shortage::default(),
            looks: Lookups::default(),
            kill_looks: Lookups::default(),
            unfollowed: Mutex::new(Rarely::new(UNFOLLOWED)),
        });
        let (bell, dismissed) = (Arc::new(StatusTrigger::default()), CancellationToken::new());
        let keeper = Keeper::new(Arc::clone(&context), inbox.downgrade(), drained.clone(), memory, Arc::clone(&bell));
        let standing = keeper.standing();
        let attendance = StatusReporter {
            context,
            inbox: inbox.downgrade(),
            bell,
            standing: standing.clone(),
            dismissed: dismissed.clone(),
        };
        tokio::spawn(keeper.keep(messages));
        tokio::spawn(attendance.attend());
        Self { inbox, drained, executing: watched, standing, dismissed }
    }

    /// Passes an order to the keeper without waiting.
    pub fn offer(&self, order: Order) -> OrderReceipt {
        match self.inbox.try_send(KeeperMessage::Order(order)) {
            Ok(()) => OrderReceipt::Taken,
            Err(_) => OrderReceipt::Full,
        }
    }

    /// Takes up a run of the last process, whatever became of it.
    pub async fn take_up(&self, entry: OutboxEntry) {
        self.send(KeeperMessage::Begin(entry.run, Box::new(Begin::Found(entry)))).await;
    }

    /// Marks a run of the last process that cannot be taken up yet: it counts as known and is left alone.
    pub async fn set_aside(&self, run: RunId) {
        self.send(KeeperMessage::SetAside(run, true)).await;
    }

    /// Removes the mark of [`Self::set_aside`]: the run was taken up, or nothing of it is left.
    pub async fn no_more_aside(&self, run: RunId) {
        self.send(KeeperMessage::SetAside(run, false)).await;
    }

    /// Takes up a kill request that the last process had recorded.
    pub async fn resume_kill(&self, kill: KillEntry) {
        self.send(KeeperMessage::Kill(kill)).await;
    }

    /// Records that all runs of the last process are accounted for, so the worker may report itself awake or idle.
    pub async fn begun(&self) {
        self.send(KeeperMessage::Begun).await;
    }

    /// Makes the worker take new runs or none from now on, also after a restart. Returns false if it is about to leave.
    pub async fn want(&self, wakefulness: SleepState) -> bool {
        let (answer, may) = oneshot::channel();
        self.send(KeeperMessage::Wants(wakefulness, answer)).await;
        may.await.unwrap_or(false)
    }

    /// Subscribes to the state of the worker.
    #[must_use]
    pub fn standing(&self) -> watch::Receiver<WorkerStanding> {
        self.standing.clone()
    }

    /// Reports to the server that the worker has left, waiting at most `bound`.
    pub async fn dismiss(&self, bound: Duration) {
        self.send(KeeperMessage::Left).await;
        let _ = tokio::time::timeout(bound, self.dismissed.cancelled()).await;
    }

    /// Takes no new runs from now on. Kills and pings are still served.
    pub async fn drain(&self) {
        self.send(KeeperMessage::Drain).await;
    }

    /// Stops all runs under way.
    pub async fn stop_all(&self, cause: Cause) {
        self.send(KeeperMessage::StopAll(cause)).await;
    }

    /// Applies other settings. Where there are fewer slots than runs, the runs go on.
    pub async fn reconfigure(&self, settings: Settings) {
        self.send(KeeperMessage::Settings(settings)).await;
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
    pub async fn nothing_executes(&self) -> bool {
        let mut executing = self.executing.clone();
        let did = *executing.borrow() > 0;
        let _ = executing.wait_for(|executing| *executing == 0).await;
        did
    }

    /// Returns whether a run is under way here or its result is still to be delivered; true if the keeper is gone.
    pub async fn knows(&self, run: RunId) -> bool {
        let (answer, known) = oneshot::channel();
        self.send(KeeperMessage::Knows(run, answer)).await;
        // Without an answer nothing may be assumed to be finished.
        known.await.unwrap_or(true)
    }

    /// Returns the status for people.
    pub async fn status(&self) -> IntakeStatus {
        let (answer, status) = oneshot::channel();
        self.send(KeeperMessage::Status(answer)).await;
        status.await.unwrap_or_default()
    }

    async fn send(&self, message: KeeperMessage) {
        let _ = self.inbox.send(message).await;
    }
}
