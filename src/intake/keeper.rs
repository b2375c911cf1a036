//! Keeper: the task that owns the hints, slots, runs and kills under way, and decides what is started next.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::admission::{self, Admission, AdmissionChange, AdmissionFacts, Bounds};
use super::hints::{HintOutcome, Hints, MAX_HINTS};
use super::keeper_message::KeeperMessage;
use super::rarely::Rarely;
use super::run_handle::RunHandle;
use super::shortage::Changes;
use super::slots::{Slot, Slots};
use super::standing::WorkerStanding;
use super::status_reporter::StatusTrigger;
use super::task::{Begin, Over, RunTask};
use super::{Context, IntakeStatus, SleepState, kill};
use crate::execution::{self, Means};
use crate::report::{KillEntry, KillPhase, WorkerMemory};
use crate::rest::{Backoff, OpenWork};
use crate::run::lack;
use crate::run::lifecycle::{Effect, Input, Leave, Lifecycle};
use crate::run::{Cause, KillId, Order, RunId, WorkerRequest, WorkerState};

/// Minimum interval between two answers to pings.
const PING_PAUSE: Duration = Duration::from_secs(5);
/// Most kill requests that are followed at once.
const MAX_KILLS: usize = 1000;
/// Minimum interval between two requests for the server's list of due work while announcements are false.
const ASK_PAUSE: Duration = Duration::from_secs(5);
/// Number of failed lookups after which an announced run is dropped.
const LOOKS: u32 = 20;

/// Interval of rechecks while claims are held: a disk does not tell when it has space again.
const LOOK_AGAIN: Duration = Duration::from_secs(3);

/// Age up to which a count of descriptors is reused while there are plenty: counting costs as much as half a claim.
const COUNTED: Duration = Duration::from_millis(100);

pub(super) struct Keeper {
    context: Arc<Context>,
    /// Weak, so that the keeper ends when the last [`super::Intake`] is dropped.
    inbox: mpsc::WeakSender<KeeperMessage>,
    drained: CancellationToken,
    hints: Hints,
    seats: Slots,
    runs: HashMap<RunId, RunHandle>,
    kills: HashSet<KillId>,
    /// Runs of the last process that cannot be taken up yet.
    set_aside: HashSet<RunId>,
    /// Whether the next hint waits for permission to be looked up.
    waits_for_look: bool,
    /// Instant of the last request for the server's list of due work.
    asked: Option<Instant>,
    said: Said,
    /// Runs whose last lookup failed: the backoff, and whether the pause before the next lookup is still running.
    troubled: HashMap<RunId, (Backoff, bool)>,
    pinged: Option<Instant>,
    bell: Arc<StatusTrigger>,
    conduct: Lifecycle,
    memory: WorkerMemory,
    standing: watch::Sender<WorkerStanding>,
    begun: bool,
    left: bool,
    leave: Option<Leave>,
    admission: Admission,
    relief: Relief,
    /// Descriptors that were open, the instant when they were counted, and the runs claimed since.
    counted: Option<(u64, Instant, u64)>,
}

/// Source of a kill request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KillOrigin {
    /// An announcement, which may be forged.
    Heard,
    /// The server's list of due work.
    Listed,
    /// The outbox: the last process had taken it.
    Resumed,
}

/// Limits of log lines that a flood of hints would repeat without end.
struct Said {
    too_many: Rarely,
    vain: Rarely,
    unclaimed: Rarely,
}

/// Events that may end a shortage.
struct Relief {
    backlog: watch::Receiver<usize>,
    outbox: watch::Receiver<Option<String>>,
    shortage: Changes,
}

impl Relief {
    async fn perhaps(&mut self) {
        tokio::select! {
            () = tokio::time::sleep(LOOK_AGAIN) => {}
            Ok(()) = self.backlog.changed() => {}
            Ok(()) = self.outbox.changed() => {}
            () = self.shortage.next() => {}
        }
    }
}

impl Keeper {
    pub(super) fn new(
        context: Arc<Context>,
        inbox: mpsc::WeakSender<KeeperMessage>,
        drained: CancellationToken,
        memory: WorkerMemory,
        bell: Arc<StatusTrigger>,
    ) -> Self {
        // The last process may have been asleep when it ended, and the worker stays asleep across a restart.
        let conduct = Lifecycle::new(memory.read());
        context.resting.send_replace(!conduct.takes_runs());
        let standing = WorkerStanding {
            state: if conduct.takes_runs() { WorkerState::Starting } else { WorkerState::Asleep },
            held: Vec::new(),
            concurrent_jobs: context.settings().concurrent_jobs,
            slots_taken: 0,
            follows: None,
            done: conduct.remembered().done,
            leave: None,
        };
        let seats = Slots::new(context.settings().concurrent_jobs);
        let (backlog, outbox) = (context.reporter.backlog(), context.reporter.outbox().wrong());
        let relief = Relief { backlog, outbox, shortage: context.shortage.changes() };
        Self {
            context,
            inbox,
            drained,
            hints: Hints::new(MAX_HINTS),
            seats,
            runs: HashMap::new(),
            kills: HashSet::new(),
            set_aside: HashSet::new(),
            waits_for_look: false,
            asked: None,
            said: Said { too_many: Rarely::new(1), vain: Rarely::new(1), unclaimed: Rarely::new(5) },
            troubled: HashMap::new(),
            pinged: None,
            bell,
            conduct,
            memory,
            standing: watch::Sender::new(standing),
            begun: false,
            left: false,
            leave: None,
            admission: Admission::default(),
            relief,
            counted: None,
        }
    }

    pub(super) async fn keep(mut self, mut messages: mpsc::Receiver<KeeperMessage>) {
        let (seats, looks) = (self.seats.clone(), self.context.looks.clone());
        loop {
            tokio::select! {
                message = messages.recv() => match message {
                    // The other branches only wake the loop: what is started next is decided after the select.
                    Some(message) => self.carry_out(message),
                    None => return,
                },
                () = seats.freed() => {}
                () = self.relief.perhaps(), if !self.admission.is_open() => self.judge(),
                () = looks.perhaps(), if self.waits_for_look => {}
            }
            self.waits_for_look = false;
            self.slot_hints();
            if self.idle() {
                // Runs of the last process may have to be taken up yet, so the worker is not idle before that.
                if self.begun {
                    self.conduct(Input::Idle);
                }
                if self.draining() {
                    self.drained.cancel();
                }
            }
            self.stand();
        }
    }

    /// Subscribes to the worker's state.
    pub(super) fn standing(&self) -> watch::Receiver<WorkerStanding> {
        self.standing.subscribe()
    }

    fn idle(&self) -> bool {
        self.runs.is_empty() && self.kills.is_empty()
    }

    fn conduct(&mut self, input: Input) {
        for effect in self.conduct.step(input) {
            match effect {
                Effect::ForgetHints => self.hints.clear(),
                Effect::Remember => {
                    if let Err(e) = self.memory.write(self.conduct.remembered()) {
                        tracing::error!(
                            target: "job_runner_worker.runner",
                            "whether the worker sleeps is not remembered for the next start: {e}"
                        );
                    }
                }
                Effect::GiveBack => self.runs.values().for_each(|run| run.stop(Cause::GivenBack)),
                Effect::Leave(leave) => {
                    self.context.draining.cancel();
                    self.leave = Some(*leave);
                }
            }
        }
        let resting = !self.conduct.takes_runs();
        if self.context.resting.send_replace(resting) != resting {
            tracing::warn!(
                target: "job_runner_worker.runner",
                "{}",
                if resting { "no new runs are taken from now on; what runs goes on" } else { "new runs are taken again" }
            );
        }
    }

    /// Publishes the worker's state, if it has changed.
    fn stand(&self) {
        let duty = match (self.left, self.draining() || !self.conduct.takes_runs()) {
            (true, _) => WorkerState::Offline,
            (false, true) if self.draining() || self.conduct.leaves() || !self.idle() => WorkerState::Draining,
            (false, true) => WorkerState::Asleep,
            (false, false) if self.begun => WorkerState::Awake,
            (false, false) => WorkerState::Starting,
        };
        let standing = WorkerStanding {
            state: duty,
            held: self.admission.lacks().to_vec(),
            concurrent_jobs: self.context.settings().concurrent_jobs,
            slots_taken: self.seats.taken(),
            follows: self.conduct.follows(),
            done: self.conduct.remembered().done,
            leave: self.leave,
        };
        self.standing.send_if_modified(|before| {
            let changed = *before != standing;
            *before = standing;
            changed
        });
    }

    /// Carries out what a message says, and answers it.
    fn carry_out(&mut self, message: KeeperMessage) {
        match message {
            KeeperMessage::Order(order) => self.follow(order),
            KeeperMessage::Begin(run, begin) => self.take_up(run, *begin),
            KeeperMessage::SetAside(run, true) => {
                self.set_aside.insert(run);
            }
            KeeperMessage::SetAside(run, false) => {
                self.set_aside.remove(&run);
            }
            KeeperMessage::Kill(kill) => self.kill(kill, KillOrigin::Resumed),
            KeeperMessage::Waits(open) => self.waits(open),
            KeeperMessage::Over(run, over) => self.over(run, over),
            KeeperMessage::Rested(run) => {
                if let Some((_, waits)) = self.troubled.get_mut(&run) {
                    *waits = false;
                }
                self.hint(run);
            }
            KeeperMessage::KillOver(kill) => {
                self.kills.remove(&kill);
            }
            KeeperMessage::Find(run, maybe, answer) => {
                let found = self.runs.get(&run).filter(|handle| maybe || handle.ours.is_cancelled());
                let _ = answer.send(found.cloned());
            }
            KeeperMessage::Knows(run, answer) => {
                let _ = answer.send(self.knows(run));
            }
            KeeperMessage::Settings(settings) => {
                self.seats.resize(settings.concurrent_jobs);
                self.context.settings.send_replace(settings);
                self.judge();
            }
            KeeperMessage::Drain => {
                self.context.draining.cancel();
                self.hints.clear();
            }
            KeeperMessage::Begun => {
                self.begun = true;
                // The first state that is published must already name what is short.
                self.judge();
            }
            KeeperMessage::Asked(request) => self.follow_request(request),
            KeeperMessage::Wants(wakefulness, answer) => {
                let _ = answer.send(self.sleep_or_wake(wakefulness));
            }
            KeeperMessage::Left => self.left = true,
            KeeperMessage::StopAll(cause) => self.runs.values().for_each(|run| run.stop(cause)),
            KeeperMessage::Status(answer) => {
                let _ = answer.send(self.status());
            }
        }
    }

    /// Follows an order that a source received.
    fn follow(&mut self, order: Order) {
        match order {
            Order::Enqueue(run) => self.hint(run),
            Order::Kill(kill) => {
                self.kill(KillEntry { kill, run: None, phase: KillPhase::Received }, KillOrigin::Heard);
            }
            Order::Ping => self.ping(),
            Order::Attend => self.bell.called.notify_one(),
        }
    }

    /// Takes up a run that the last process left behind, at once.
    fn take_up(&mut self, run: RunId, begin: Begin) {
        if self.runs.contains_key(&run) {
            tracing::error!(target: "job_runner_worker.cleanup", "run {run} was found twice; the first counts");
            return;
        }
        self.set_aside.remove(&run);
        // A run of the last process occupies a slot even if there are fewer slots than before.
        let slot = self.seats.take_anyway();
        self.begin(run, begin, slot);
        // A request to give everything back may have come before this run was found.
        if self.conduct.gives_back()
            && let Some(handle) = self.runs.get(&run)
        {
            handle.stop(Cause::GivenBack);
        }
    }

    /// Returns whether the worker has to do with a run in any way, also if only its result is still to be delivered.
    fn knows(&self, run: RunId) -> bool {
        self.runs.contains_key(&run)
            || self.context.reporter.serves(run)
            || self.context.reporter.outbox().holds(run)
            || self.set_aside.contains(&run)
    }

    /// Follows a request of the server to the worker as a whole.
    fn follow_request(&mut self, request: WorkerRequest) {
        let WorkerRequest { id, action, pace } = request;
        tracing::debug!(
            target: "job_runner_worker.runner",
            "the server asks for {} ({pace:?}, request {id})",
            action.word()
        );
        self.conduct(Input::Asked(request));
    }

    /// Sleeps or wakes, as an operator on this machine wants it; `false` where the worker is about to leave.
    fn sleep_or_wake(&mut self, wanted: SleepState) -> bool {
        let may = !self.conduct.leaves() && !self.draining();
        if may {
            self.conduct(match wanted {
                SleepState::Asleep => Input::Sleep,
                SleepState::Awake => Input::Wake,
            });
        }
        may
    }

    /// Queues an announced run. Duplicates are normal: a run that is under way, or whose result is being delivered, is
    /// ignored.
    fn hint(&mut self, run: RunId) {
        let known = self.runs.contains_key(&run) || self.context.reporter.serves(run) || self.set_aside.contains(&run);
        if known || !self.takes_runs() {
            return;
        }
        if self.troubled.get(&run).is_some_and(|(_, waits)| *waits) {
            return;
        }
        // An announcement over a connection that the server authenticated cannot be forged: its run goes first.
        if self.context.looks.are_vain() && self.context.client.is_announced(run) {
            return self.hints.note_ahead(run);
        }
        if let HintOutcome::InsteadOf(oldest) = self.hints.note(run)
            && let Some(more) = self.said.too_many.due(Instant::now().into_std())
        {
            tracing::warn!(
                target: "job_runner_worker.enqueuer",
                "more than {MAX_HINTS} runs wait for a slot; run {oldest} is left to be announced again{more}"
            );
        }
    }

    /// Asks the server for its list of due work while many hints are false, so that no true one is lost among them.
    fn ask_what_waits(&mut self) {
        if self.asked.is_some_and(|at| at.elapsed() < ASK_PAUSE) {
            return;
        }
        self.asked = Some(Instant::now());
        if let Some(more) = self.said.vain.due(Instant::now().into_std()) {
            tracing::warn!(
                target: "job_runner_worker.enqueuer",
                "many announcements are of nothing that there is; the server is asked every {} s what waits, and few of them \
                 are looked up{more}",
                ASK_PAUSE.as_secs()
            );
        }
        // The keeper must not wait for the server, so the answer comes back as a message.
        let (client, inbox) = (self.context.client.clone(), self.inbox.clone());
        tokio::spawn(async move {
            if let Ok(open) = client.open().await
                && let Some(inbox) = inbox.upgrade()
            {
                let _ = inbox.send(KeeperMessage::Waits(open)).await;
            }
        });
    }

    fn waits(&mut self, open: OpenWork) {
        if open.is_all {
            self.hints.forget_rumours();
        }
        for run in open.runs {
            let is_known =
                self.runs.contains_key(&run) || self.context.reporter.serves(run) || self.set_aside.contains(&run);
            if self.takes_runs() && !is_known {
                self.hints.note_ahead(run);
            }
        }
        for kill in open.kills {
            self.kill(KillEntry { kill, run: None, phase: KillPhase::Received }, KillOrigin::Listed);
        }
    }

    // Starts hinted runs while slots and permissions last.
    fn slot_hints(&mut self) {
        while self.takes_runs() && !self.hints.is_empty() && self.seats.any_free() {
            // Checked for each run: the claim before this one has used resources.
            self.judge();
            if !self.admission.is_open() {
                return;
            }
            let Some(hint) = self.hints.first() else { return };
            let look = if hint.is_sure || self.context.client.is_announced(hint.run) {
                None
            } else {
                let Some(look) = self.context.looks.begin() else {
                    self.waits_for_look = true;
                    // Only announcements that may be forged need a permission for their lookup.
                    return self.ask_what_waits();
                };
                Some(look)
            };
            let Some(slot) = self.seats.take() else { return };
            if let Some(run) = self.hints.next() {
                if let Some((_, _, claims)) = &mut self.counted {
                    *claims += 1;
                }
                self.begin(run, Begin::Hinted(look), slot);
            }
        }
    }

    /// Decides whether runs are claimed, and logs a change.
    fn judge(&mut self) {
        let settings = self.context.settings();
        let bounds = Bounds { seats: settings.concurrent_jobs, min_free_bytes: settings.min_free_bytes };
        let counted = self.counted.filter(|(_, at, _)| at.elapsed() < COUNTED);
        let allowed = execution::descriptors_allowed();
        let guess = counted.map(|(open, _, claims)| admission::descriptors_left(allowed.saturating_sub(open), claims));
        let mut facts = AdmissionFacts {
            backlog: *self.relief.backlog.borrow_and_update(),
            outbox: self.relief.outbox.borrow_and_update().clone(),
            shortage: self.context.shortage.why(),
            means: Means { rooms: self.context.execution.rooms(), descriptors: guess.unwrap_or(0) },
        };
        // Counting descriptors reads a directory, so it is done only if the estimate leaves doubt.
        if !self.admission.is_certain(&facts, bounds) {
            let open = execution::descriptors_open();
            facts.means.descriptors = allowed.saturating_sub(open);
            self.counted = Some((open, Instant::now(), 0));
        }
        match self.admission.judge(&facts, bounds) {
            AdmissionChange::None => {}
            AdmissionChange::Held => tracing::warn!(
                target: "job_runner_worker.enqueuer",
                "no runs are claimed for the time being: {}; what runs goes on",
                lack::in_words(self.admission.lacks())
            ),
            AdmissionChange::Released => {
                tracing::warn!(target: "job_runner_worker.enqueuer", "there is enough of everything; runs are claimed again");
            }
        }
    }

    fn begin(&mut self, run: RunId, begin: Begin, slot: Slot) {
        let (stop, stopped) = watch::channel(None);
        let handle = RunHandle { stop: Arc::new(stop), ours: CancellationToken::new(), over: CancellationToken::new() };
        self.runs.insert(run, handle.clone());
        let task = RunTask::new(Arc::clone(&self.context), run, stopped, handle.ours, handle.over);
        let inbox = self.inbox.clone();
        tokio::spawn(async move {
            let over = task.go(begin, slot).await;
            if let Some(inbox) = inbox.upgrade() {
                let _ = inbox.send(KeeperMessage::Over(run, over)).await;
            }
        });
    }

    fn over(&mut self, run: RunId, over: Over) {
        self.runs.remove(&run);
        match over {
            Over::Done => {
                self.troubled.remove(&run);
            }
            Over::Again(trouble) => {
                let (backoff, waits) = self.troubled.entry(run).or_default();
                *waits = true;
                let pause = backoff.next(trouble.retry_after);
                // The count includes the first lookup, so the run is dropped after `LOOKS` repetitions.
                let gives_up = backoff.tries() > LOOKS;
                if (gives_up || backoff.tries() == 1)
                    && let Some(more) = self.said.unclaimed.due(Instant::now().into_std())
                {
                    tracing::warn!(
                        target: "job_runner_worker.enqueuer",
                        "run {run} could not be claimed: {}; it is {}{more}",
                        trouble.why,
                        if gives_up { "left to be announced again" } else { "tried again" }
                    );
                }
                if gives_up {
                    self.troubled.remove(&run);
                    return;
                }
                let inbox = self.inbox.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(pause).await;
                    if let Some(inbox) = inbox.upgrade() {
                        let _ = inbox.send(KeeperMessage::Rested(run)).await;
                    }
                });
            }
        }
    }

    fn kill(&mut self, entry: KillEntry, origin: KillOrigin) {
        let resumed = origin == KillOrigin::Resumed;
        // Forged orders could fill the table with kills. A true one that is dropped here is announced by the server
        // again.
        let full = !resumed && self.kills.len() >= MAX_KILLS;
        if full || self.kills.contains(&entry.kill) {
            return;
        }
        let look = match origin {
            KillOrigin::Heard => match self.context.kill_looks.begin() {
                None => return self.ask_what_waits(),
                look => look,
            },
            KillOrigin::Listed | KillOrigin::Resumed => None,
        };
        self.kills.insert(entry.kill);
        let (context, inbox) = (Arc::clone(&self.context), self.inbox.clone());
        tokio::spawn(async move {
            kill::follow(&context, &inbox, entry, resumed, look).await;
            if let Some(inbox) = inbox.upgrade() {
                let _ = inbox.send(KeeperMessage::KillOver(entry.kill)).await;
            }
        });
    }

    fn ping(&mut self) {
        if self.pinged.is_some_and(|at| at.elapsed() < PING_PAUSE) {
            return;
        }
        self.pinged = Some(Instant::now());
        // The answer to a ping must be up to date even if nothing was announced since.
        self.judge();
        self.stand();
        self.bell.pinged.notify_one();
    }

    fn takes_runs(&self) -> bool {
        !self.draining() && self.conduct.takes_runs()
    }

    fn draining(&self) -> bool {
        self.context.draining.is_cancelled()
    }

    fn status(&mut self) -> IntakeStatus {
        self.judge();
        let mut runs: Vec<i64> = self.runs.keys().map(|run| run.get()).collect();
        let mut kills: Vec<i64> = self.kills.iter().map(|kill| kill.get()).collect();
        runs.sort_unstable();
        kills.sort_unstable();
        IntakeStatus {
            draining: self.draining(),
            duty: self.standing.borrow().state.word(),
            held: self.admission.lacks().iter().map(ToString::to_string).collect(),
            concurrent_jobs: self.context.settings().concurrent_jobs,
            seats_taken: self.seats.taken(),
            hints: self.hints.len(),
            runs,
            kills,
        }
    }
}
