//! The intake: decides whether and when an order is followed.
//!
//! [`Intake`] is the door that sources and the daemon hold; behind it one task, the keeper, owns what
//! is known of hints, seats and runs under way. A run is claimed only with a free seat, and goes its way in a
//! task of its own; a kill likewise.

mod admission;
mod hints;
mod keeper;
mod kill;
mod lookups;
mod rarely;
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
use keeper::{Keeper, Message};
use lookups::Lookups;
pub use rarely::Rarely;
use shortage::Shortage;
pub use standing::WorkerStanding;
use status_reporter::{StatusReporter, StatusTrigger};
use task::Begin;

/// What the intake needs to know.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How many runs at once.
    pub concurrent_jobs: u32,
    /// What becomes of a run whose execution was lost.
    pub incomplete_runs: IncompleteRuns,
    /// How many executions of one run may be lost before it fails.
    pub max_attempts: u32,
    /// How many bytes must be free where state and scripts lie for a run to be claimed; 0: any number will do.
    pub min_free_bytes: u64,
}

/// How many orders may wait for the keeper, who only sorts them.
const INBOX: usize = 10_000;

/// How many runs are looked up and claimed at once, as many as tell at once what became of them: what is under way is told
/// before more is begun.
const CLAIMING: usize = 64;

/// How many hints that are not followed are told of at once.
const UNFOLLOWED: u32 = 5;

/// What became of an order.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderReceipt {
    /// It will be looked at.
    Taken,
    /// Too many wait. The server says it again.
    Full,
}

/// The door. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Intake {
    inbox: mpsc::Sender<Message>,
    drained: CancellationToken,
    executing: watch::Receiver<usize>,
    standing: watch::Receiver<WorkerStanding>,
    /// Cancelled when the server was told that we have left.
    dismissed: CancellationToken,
}

/// Whether new runs are taken, as somebody on this machine wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SleepState {
    /// They are.
    Awake,
    /// They are not.
    Asleep,
}

/// What runs and kills share.
pub(crate) struct Context {
    pub(crate) client: RestClient,
    pub(crate) reporter: Reporter,
    pub(crate) execution: Execution,
    pub(crate) settings: watch::Sender<Settings>,
    /// Cancelled when no new runs are taken any more.
    pub(crate) draining: CancellationToken,
    /// Whether new runs are not taken for the time being.
    pub(crate) resting: watch::Sender<bool>,
    /// Whether we can leave in such a way that we are started again.
    pub(crate) restarts: bool,
    /// Turns to look a run up and to claim it.
    pub(crate) claiming: Arc<Semaphore>,
    /// How many scripts run.
    pub(crate) executing: watch::Sender<usize>,
    /// Who is claimed and waits to be launched.
    pub(crate) shortage: Shortage,
    /// How many runs and how many kills that somebody says are there are looked up.
    pub(crate) looks: Lookups,
    pub(crate) kill_looks: Lookups,
    /// What is said of hints that are not followed.
    pub(crate) unfollowed: Mutex<Rarely>,
}

impl Context {
    /// What is to stand behind a line that says why a hint is not followed, if one is to be said now.
    pub(crate) fn may_say(&self) -> Option<String> {
        self.unfollowed.lock().unwrap_or_else(PoisonError::into_inner).due(Instant::now())
    }
}

impl Context {
    pub(crate) fn settings(&self) -> Settings {
        *self.settings.borrow()
    }
}

/// What is under way, for people.
#[derive(Clone, Debug, Default, Serialize, PartialEq, Eq)]
pub struct IntakeStatus {
    /// Whether we are about to leave.
    pub draining: bool,
    /// What the worker does: `starting`, `awake`, `draining`, `asleep`, `offline`.
    pub duty: &'static str,
    /// Why, for the time being, none are claimed: what there is too little of.
    pub held: Vec<String>,
    /// How many runs at once.
    pub concurrent_jobs: u32,
    /// How many seats are taken.
    pub seats_taken: u32,
    /// How many runs wait for a seat.
    pub hints: usize,
    /// The runs that have a seat.
    pub runs: Vec<i64>,
    /// The kill requests under way.
    pub kills: Vec<i64>,
}

impl Intake {
    /// Opens the door.
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

    /// Takes an order, at once.
    pub fn offer(&self, order: Order) -> OrderReceipt {
        match self.inbox.try_send(Message::Order(order)) {
            Ok(()) => OrderReceipt::Taken,
            Err(_) => OrderReceipt::Full,
        }
    }

    /// Takes up a run that was left behind, whatever became of it.
    pub async fn take_up(&self, entry: OutboxEntry) {
        self.send(Message::Begin(entry.run, Box::new(Begin::Found(entry)))).await;
    }

    /// A run that was left behind cannot be taken up yet: it is known, and nothing is done with it meanwhile.
    pub async fn set_aside(&self, run: RunId) {
        self.send(Message::SetAside(run, true)).await;
    }

    /// A run that was set aside is taken up, or there is nothing of it.
    pub async fn no_more_aside(&self, run: RunId) {
        self.send(Message::SetAside(run, false)).await;
    }

    /// Takes up a kill.
    pub async fn resume_kill(&self, kill: KillEntry) {
        self.send(Message::Kill(kill)).await;
    }

    /// What the last process left behind is accounted for.
    pub async fn begun(&self) {
        self.send(Message::Begun).await;
    }

    /// Takes new runs or none from now on, also after the next start. False where we are about to leave.
    pub async fn want(&self, wakefulness: SleepState) -> bool {
        let (answer, may) = oneshot::channel();
        self.send(Message::Wants(wakefulness, answer)).await;
        may.await.unwrap_or(false)
    }

    /// Where the worker stands, from now on.
    #[must_use]
    pub fn standing(&self) -> watch::Receiver<WorkerStanding> {
        self.standing.clone()
    }

    /// Tells the server that we have left, if that is told in time.
    pub async fn dismiss(&self, bound: Duration) {
        self.send(Message::Left).await;
        let _ = tokio::time::timeout(bound, self.dismissed.cancelled()).await;
    }

    /// Takes no new runs from now on. Kills and pings still pass.
    pub async fn drain(&self) {
        self.send(Message::Drain).await;
    }

    /// Stops all runs under way.
    pub async fn stop_all(&self, cause: Cause) {
        self.send(Message::StopAll(cause)).await;
    }

    /// Follows other settings from now on. Where there are fewer seats than runs, the runs go on.
    pub async fn reconfigure(&self, settings: Settings) {
        self.send(Message::Settings(settings)).await;
    }

    /// Waits until, after a drain, no run has a seat and no kill is under way.
    pub async fn drained(&self) {
        self.drained.cancelled().await;
    }

    /// How many scripts run, from now on.
    #[must_use]
    pub fn executing(&self) -> watch::Receiver<usize> {
        self.executing.clone()
    }

    /// Waits until no script runs. Whether one did.
    pub async fn nothing_executes(&self) -> bool {
        let mut executing = self.executing.clone();
        let did = *executing.borrow() > 0;
        let _ = executing.wait_for(|executing| *executing == 0).await;
        did
    }

    /// Whether a run is under way here.
    pub async fn knows(&self, run: RunId) -> bool {
        let (answer, known) = oneshot::channel();
        self.send(Message::Knows(run, answer)).await;
        known.await.unwrap_or(true)
    }

    /// What is under way.
    pub async fn status(&self) -> IntakeStatus {
        let (answer, status) = oneshot::channel();
        self.send(Message::Status(answer)).await;
        status.await.unwrap_or_default()
    }

    async fn send(&self, message: Message) {
        let _ = self.inbox.send(message).await;
    }
}
