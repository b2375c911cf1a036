//! Coordinator: owns the hints, the slots, the runs and kills under way and the worker's lifecycle, and decides what is
//! started, stopped and published next.
//!
//! [`Coordinator::step`] takes an input and returns the effects in the order in which they are to be carried out;
//! [`super::coordinator_task`] carries them out. The coordinator reads the state of other layers through
//! [`IntakeFacts`]; it never waits.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::admission::Bounds;
use super::hints::{HintOutcome, Hints, MAX_HINTS};
use super::log_limit::LogLimit;
use super::lookup_budget::{LookupBudget, LookupPermit};
use super::message::{FindScope, IntakeMessage};
use super::published_state::PublishedState;
use super::run_handle::{RunHandle, RunSignals};
use super::slots::{Slot, Slots};
use super::task::{LookupFailure, RunStart, TaskEnd};
use super::{IntakeStatus, Settings, SleepState};
use crate::report::{KillEntry, KillPhase, OutboxEntry};
use crate::run::lack::Lack;
use crate::run::worker_lifecycle::{self, Claims, Lifecycle, Remembered};
use crate::run::{Cause, KillId, Order, RunId, WorkerRequest};
use crate::upstream::Backoff;
use crate::upstream::job_runner::OpenWork;

#[cfg(test)]
mod tests;

/// Minimum interval between two answers to pings.
const PING_PAUSE: Duration = Duration::from_secs(5);
/// Most kill requests that are followed at once.
const MAX_KILLS: usize = 1000;
/// Minimum interval between two requests for the server's list of open work while announcements are false.
const OPEN_WORK_PAUSE: Duration = Duration::from_secs(5);
/// Number of failed lookups after which an announced run is dropped.
const MAX_LOOKUPS: u32 = 20;

/// Facts of other layers that the coordinator's decisions depend on, read at the moment of the decision.
pub(super) trait IntakeFacts {
    /// Returns whether the result of a run is still to be delivered.
    fn is_being_delivered(&self, run: RunId) -> bool;

    /// Returns whether the outbox has a row for a run.
    fn is_in_outbox(&self, run: RunId) -> bool;

    /// Returns whether a run was announced over a connection that the server authenticated, which cannot be forged.
    fn is_announced_by_server(&self, run: RunId) -> bool;

    /// Measures anew whether the worker's resources suffice for another run, and logs a change.
    fn measure_admission(&mut self, bounds: Bounds);

    /// Returns the resources that were short at the last measurement; empty while runs are claimed.
    fn lacks(&self) -> &[Lack];

    /// Notes that a run is started, which uses resources that the next measurement may only estimate.
    fn note_claim(&mut self);
}

/// Input of the coordinator.
#[derive(Debug)]
pub(super) enum Input {
    Message(IntakeMessage),
    /// A slot was freed.
    SlotFreed,
    /// A shortage of resources may have ended.
    PerhapsRelieved,
    /// Another lookup of an announced run may be allowed.
    LookupsReplenished,
}

/// Action that follows from an input.
#[derive(Debug)]
pub(super) enum Effect {
    StartRun {
        run: RunId,
        start: RunStart,
        slot: Slot,
        signals: RunSignals,
    },
    StopRun {
        run: RunId,
        handle: RunHandle,
        cause: Cause,
    },
    /// Follow a kill request. `resumed` if the outbox had it, so that an acknowledgement may be the last process's.
    FollowKill {
        entry: KillEntry,
        resumed: bool,
        permit: Option<LookupPermit>,
    },
    /// Send [`IntakeMessage::RetryDue`] after the pause.
    RetryLater(RunId, Duration),
    /// Request the server's list of open work, which comes back as [`IntakeMessage::OpenWork`].
    RequestOpenWork,
    /// Write to disk what the next start must know.
    Remember(Remembered),
    ApplySettings(Settings),
    PublishClaims(Claims),
    PublishState(PublishedState),
    /// Answer a ping with a status report.
    AnswerPing,
    /// Send a status report, because the server has a command for the worker.
    FetchCommand,
    /// Tell whoever waits for it that the worker is drained.
    Drained,
}

/// Source of a kill request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KillOrigin {
    /// An announcement, which may be forged.
    Announced,
    /// The server's list of open work.
    Listed,
    /// The outbox: the last process had taken it.
    Resumed,
}

/// Run whose last lookup or claim failed.
enum LookupRetry {
    /// Announcements of the run are ignored until the pause is over.
    Pausing(Backoff),
    /// The run is looked up again as soon as it has a slot.
    Due(Backoff),
}

/// Limits of log lines that a flood of hints would repeat without end.
struct LogLimits {
    dropped_hints: LogLimit,
    false_hints: LogLimit,
    failed_claims: LogLimit,
}

/// State of the intake, with the decisions that follow from each input.
pub(super) struct Coordinator<F> {
    facts: F,
    settings: Settings,
    hints: Hints,
    slots: Slots,
    runs: BTreeMap<RunId, RunHandle>,
    kills: BTreeSet<KillId>,
    /// Runs of the last process that cannot be taken up yet.
    set_aside: HashSet<RunId>,
    retries: HashMap<RunId, LookupRetry>,
    run_lookups: LookupBudget,
    kill_lookups: LookupBudget,
    /// Whether the next hint waits for a permit to be looked up.
    waits_for_lookup: bool,
    /// Instant of the last request for the server's list of open work.
    requested_open_work: Option<Instant>,
    answered_ping: Option<Instant>,
    /// Source that waits for a slot.
    reservation: Option<oneshot::Sender<Slot>>,
    log_limits: LogLimits,
    lifecycle: Lifecycle,
    /// Permission to claim runs, as it was published last.
    claims: Claims,
    published: PublishedState,
    effects: Vec<Effect>,
}

impl<F: IntakeFacts> Coordinator<F> {
    pub(super) fn new(facts: F, settings: Settings, lifecycle: Lifecycle) -> Self {
        let slots = Slots::new(settings.concurrent_jobs);
        let published = PublishedState::of(&lifecycle, &[], &settings, &slots);
        Self {
            facts,
            settings,
            hints: Hints::new(MAX_HINTS),
            slots,
            runs: BTreeMap::new(),
            kills: BTreeSet::new(),
            set_aside: HashSet::new(),
            retries: HashMap::new(),
            run_lookups: LookupBudget::default(),
            kill_lookups: LookupBudget::default(),
            waits_for_lookup: false,
            requested_open_work: None,
            answered_ping: None,
            reservation: None,
            log_limits: LogLimits {
                dropped_hints: LogLimit::new(1),
                false_hints: LogLimit::new(1),
                failed_claims: LogLimit::new(5),
            },
            claims: lifecycle.claims(),
            lifecycle,
            published,
            effects: Vec::new(),
        }
    }

    /// Returns the state of the worker as it was published last.
    pub(super) fn published(&self) -> &PublishedState {
        &self.published
    }

    /// Returns a handle by which the task learns of freed slots.
    pub(super) fn slots(&self) -> Slots {
        self.slots.clone()
    }

    /// Returns a handle by which the task learns that another run may be looked up.
    pub(super) fn run_lookups(&self) -> LookupBudget {
        self.run_lookups.clone()
    }

    /// Returns whether the next hint waits for a permit to be looked up.
    pub(super) fn waits_for_lookup(&self) -> bool {
        self.waits_for_lookup
    }

    /// Returns the other layers' facts, for the task that waits for their changes.
    pub(super) fn facts_mut(&mut self) -> &mut F {
        &mut self.facts
    }

    /// Applies an input and returns the effects, in the order in which they are to be carried out.
    pub(super) fn step(&mut self, input: Input, now: Instant) -> Vec<Effect> {
        match input {
            Input::Message(message) => self.receive(message, now),
            Input::PerhapsRelieved => self.measure_admission(),
            // These only let the next hints start, below.
            Input::SlotFreed | Input::LookupsReplenished => {}
        }
        self.waits_for_lookup = false;
        self.start_hinted_runs(now);
        self.grant_reservation();
        let is_idle = self.runs.is_empty() && self.kills.is_empty();
        self.advance(if is_idle { worker_lifecycle::Input::Idle } else { worker_lifecycle::Input::Busy });
        self.publish_state();
        std::mem::take(&mut self.effects)
    }

    fn receive(&mut self, message: IntakeMessage, now: Instant) {
        match message {
            IntakeMessage::Order(order) => self.follow_order(order, now),
            IntakeMessage::TakeUp(entry) => self.take_up(*entry),
            IntakeMessage::SetAside(run) => {
                self.set_aside.insert(run);
            }
            IntakeMessage::Release(run) => {
                self.set_aside.remove(&run);
            }
            IntakeMessage::ResumeKill(kill) => self.follow_kill(kill, KillOrigin::Resumed, now),
            IntakeMessage::OpenWork(open) => self.note_open_work(open, now),
            IntakeMessage::RunEnded(run, end) => self.run_ended(run, end, now),
            IntakeMessage::RetryDue(run) => self.retry(run, now),
            IntakeMessage::KillEnded(kill) => {
                self.kills.remove(&kill);
            }
            IntakeMessage::Find(run, scope, answer) => {
                let is_meant = |handle: &&RunHandle| match scope {
                    FindScope::Claimed => handle.ours.is_cancelled(),
                    FindScope::UnderWay => true,
                };
                let _ = answer.send(self.runs.get(&run).filter(is_meant).cloned());
            }
            IntakeMessage::IsKnown(run, answer) => {
                let _ = answer.send(self.is_known(run));
            }
            IntakeMessage::Settings(settings) => {
                self.settings = settings;
                self.slots.resize(settings.concurrent_jobs);
                self.effects.push(Effect::ApplySettings(settings));
                self.measure_admission();
            }
            IntakeMessage::Drain => self.advance(worker_lifecycle::Input::Drain),
            IntakeMessage::LeftoversAccounted => {
                self.advance(worker_lifecycle::Input::LeftoversAccounted);
                // The first state that is published must already name what is short.
                self.measure_admission();
            }
            IntakeMessage::Commanded(request) => self.follow_command(request),
            IntakeMessage::SleepOrWake(wanted, answer) => {
                let _ = answer.send(self.sleep_or_wake(wanted));
            }
            IntakeMessage::HasLeft => self.advance(worker_lifecycle::Input::HasLeft),
            IntakeMessage::StopAll(cause) => self.stop_all(cause),
            IntakeMessage::Stop(run, cause) => {
                if let Some(handle) = self.runs.get(&run).cloned() {
                    self.effects.push(Effect::StopRun { run, handle, cause });
                }
            }
            IntakeMessage::Reserve(waiting) => self.reservation = Some(waiting),
            IntakeMessage::Begin(entry, slot) => self.begin(*entry, slot),
            IntakeMessage::Status(answer) => {
                let _ = answer.send(self.status());
            }
        }
    }

    /// Passes an input to the lifecycle and carries out what follows.
    fn advance(&mut self, input: worker_lifecycle::Input) {
        for effect in self.lifecycle.step(input) {
            match effect {
                worker_lifecycle::Effect::ForgetHints => self.hints.clear(),
                worker_lifecycle::Effect::Remember => self.effects.push(Effect::Remember(self.lifecycle.remembered())),
                worker_lifecycle::Effect::GiveBack => self.stop_all(Cause::GivenBack),
                worker_lifecycle::Effect::Drained => self.effects.push(Effect::Drained),
            }
        }
        let claims = self.lifecycle.claims();
        let before = std::mem::replace(&mut self.claims, claims);
        if before == claims {
            return;
        }
        self.effects.push(Effect::PublishClaims(claims));
        match claims {
            Claims::Allowed => {
                tracing::info!(target: "job_runner_worker.runner", "worker is awake and claims runs");
            }
            Claims::Paused => tracing::warn!(
                target: "job_runner_worker.runner",
                "worker sleeps or leaves and claims no more runs; running scripts continue"
            ),
            // The daemon logs that it drains, or why it leaves.
            Claims::Closed => {}
        }
    }

    /// Publishes the worker's state, if it has changed.
    fn publish_state(&mut self) {
        let state = PublishedState::of(&self.lifecycle, self.facts.lacks(), &self.settings, &self.slots);
        if self.published != state {
            self.published = state.clone();
            self.effects.push(Effect::PublishState(state));
        }
    }

    /// Follows an order that a source received.
    fn follow_order(&mut self, order: Order, now: Instant) {
        match order {
            Order::Enqueue(run) => self.note_hint(run, now),
            Order::Kill(kill) => self.follow_kill(received(kill), KillOrigin::Announced, now),
            Order::Ping => self.answer_ping(now),
            Order::Attend => self.effects.push(Effect::FetchCommand),
        }
    }

    /// Takes up a run that the last process left behind, at once.
    fn take_up(&mut self, entry: OutboxEntry) {
        let run = entry.run;
        if self.runs.contains_key(&run) {
            tracing::error!(
                target: "job_runner_worker.cleanup",
                %run,
                attempt = entry.attempt_number(),
                execution = entry.attempt.0,
                "run was found twice; the first is taken up"
            );
            return;
        }
        self.set_aside.remove(&run);
        // A run of the last process occupies a slot even if there are fewer slots than before.
        let slot = self.slots.take_even_if_full();
        let handle = self.start_run(run, RunStart::LeftBehind(entry), slot);
        // A command to give everything back may have come before this run was found.
        if self.lifecycle.gives_back() {
            self.effects.push(Effect::StopRun { run, handle, cause: Cause::GivenBack });
        }
    }

    /// Begins a run in a slot that was reserved for it.
    fn begin(&mut self, entry: OutboxEntry, slot: Slot) {
        let run = entry.run;
        let handle = self.start_run(run, RunStart::Accepted(entry), slot);
        // The worker was told to sleep or to leave while its source was given the run.
        if !self.claims_runs() {
            self.effects.push(Effect::StopRun { run, handle, cause: Cause::GivenBack });
        }
    }

    /// Grants the reservation that waits, where no run is under way, none of the last process is left to be taken up, and
    /// another one may be started.
    fn grant_reservation(&mut self) {
        // The run that comes has no number yet, so it cannot be told from one of the last process: those are taken up first.
        let is_waiting = self.reservation.as_ref().is_some_and(|waiting| !waiting.is_closed());
        let is_free = self.runs.is_empty() && self.set_aside.is_empty() && self.slots.any_free();
        if !is_waiting || !is_free || !self.claims_runs() {
            return;
        }
        self.measure_admission();
        if !self.facts.lacks().is_empty() {
            return;
        }
        if let Some(slot) = self.slots.take()
            && let Some(waiting) = self.reservation.take()
        {
            self.facts.note_claim();
            // A source that waits no more gives the slot back.
            let _ = waiting.send(slot);
        }
    }

    fn stop_all(&mut self, cause: Cause) {
        let stops = self.runs.iter().map(|(run, handle)| Effect::StopRun { run: *run, handle: handle.clone(), cause });
        self.effects.extend(stops);
    }

    /// Returns whether the worker has to do with a run in any way, also if only its result is still to be delivered.
    fn is_known(&self, run: RunId) -> bool {
        self.is_taken(run) || self.facts.is_in_outbox(run)
    }

    /// Returns whether a hint of a run says nothing new, because the run is under way or was.
    fn is_taken(&self, run: RunId) -> bool {
        self.runs.contains_key(&run) || self.facts.is_being_delivered(run) || self.set_aside.contains(&run)
    }

    /// Follows a command of the server to the worker as a whole.
    fn follow_command(&mut self, request: WorkerRequest) {
        let WorkerRequest { id, action, pace } = request;
        tracing::debug!(
            target: "job_runner_worker.runner",
            command = action.word(),
            pace = pace.word(),
            request = %id,
            "command received"
        );
        self.advance(worker_lifecycle::Input::Commanded(request));
    }

    /// Sleeps or wakes, as an operator on this machine wants it; `false` where the worker is about to leave.
    fn sleep_or_wake(&mut self, wanted: SleepState) -> bool {
        self.advance(match wanted {
            SleepState::Asleep => worker_lifecycle::Input::Sleep,
            SleepState::Awake => worker_lifecycle::Input::Wake,
        });
        !self.lifecycle.leaves()
    }

    /// Queues an announced run. Duplicates are normal: a run that is under way, or whose result is being delivered, is
    /// ignored.
    fn note_hint(&mut self, run: RunId, now: Instant) {
        let is_pausing = matches!(self.retries.get(&run), Some(LookupRetry::Pausing(_)));
        if self.is_taken(run) || !self.claims_runs() || is_pausing {
            return;
        }
        // An announcement over a connection that the server authenticated cannot be forged: its run goes first.
        if self.run_lookups.is_half_spent() && self.facts.is_announced_by_server(run) {
            return self.hints.note_ahead(run);
        }
        if let HintOutcome::InsteadOf(oldest) = self.hints.note(run)
            && let Some(suppressed) = self.log_limits.dropped_hints.due(now)
        {
            tracing::warn!(
                target: "job_runner_worker.enqueuer",
                run = %oldest,
                hints = MAX_HINTS,
                suppressed,
                "too many runs wait for a slot; the oldest is left to be announced again"
            );
        }
    }

    /// Requests the server's list of open work while many hints are false, so that no true one is lost among them.
    fn request_open_work(&mut self, now: Instant) {
        if self.requested_open_work.is_some_and(|at| now.saturating_duration_since(at) < OPEN_WORK_PAUSE) {
            return;
        }
        self.requested_open_work = Some(now);
        if let Some(suppressed) = self.log_limits.false_hints.due(now) {
            tracing::warn!(
                target: "job_runner_worker.enqueuer",
                interval_s = OPEN_WORK_PAUSE.as_secs(),
                suppressed,
                "many announcements name no run that may be claimed; few of them are looked up, and the server is asked for its open work"
            );
        }
        self.effects.push(Effect::RequestOpenWork);
    }

    fn note_open_work(&mut self, open: OpenWork, now: Instant) {
        if open.is_all {
            self.hints.forget_announced();
        }
        for run in open.runs {
            if self.claims_runs() && !self.is_taken(run) {
                self.hints.note_ahead(run);
            }
        }
        for kill in open.kills {
            self.follow_kill(received(kill), KillOrigin::Listed, now);
        }
    }

    /// Starts hinted runs while slots and permits last.
    fn start_hinted_runs(&mut self, now: Instant) {
        while self.claims_runs() && self.slots.any_free() {
            let Some(hint) = self.hints.first() else { return };
            // Measured for each run: the claim before this one has used resources.
            self.measure_admission();
            if !self.facts.lacks().is_empty() {
                return;
            }
            let permit = if hint.is_sure || self.facts.is_announced_by_server(hint.run) {
                None
            } else {
                let Some(permit) = self.run_lookups.take() else {
                    self.waits_for_lookup = true;
                    // Only announcements that may be forged need a permit for their lookup.
                    return self.request_open_work(now);
                };
                Some(permit)
            };
            let Some(slot) = self.slots.take() else { return };
            if let Some(run) = self.hints.next() {
                self.facts.note_claim();
                self.start_run(run, RunStart::Announced(permit), slot);
            }
        }
    }

    fn measure_admission(&mut self) {
        let Settings { concurrent_jobs: slots, min_free_bytes, .. } = self.settings;
        self.facts.measure_admission(Bounds { slots, min_free_bytes });
    }

    fn start_run(&mut self, run: RunId, start: RunStart, slot: Slot) -> RunHandle {
        let (handle, signals) = RunHandle::new();
        self.runs.insert(run, handle.clone());
        self.effects.push(Effect::StartRun { run, start, slot, signals });
        handle
    }

    fn run_ended(&mut self, run: RunId, end: TaskEnd, now: Instant) {
        self.runs.remove(&run);
        match end {
            TaskEnd::Done => {
                self.retries.remove(&run);
            }
            TaskEnd::Retry(failure) => self.retry_later(run, &failure, now),
        }
    }

    fn retry_later(&mut self, run: RunId, failure: &LookupFailure, now: Instant) {
        let mut backoff = match self.retries.remove(&run) {
            Some(LookupRetry::Pausing(backoff) | LookupRetry::Due(backoff)) => backoff,
            None => Backoff::default(),
        };
        let pause = backoff.next(failure.retry_after);
        // The count includes the first lookup, so the run is dropped after `MAX_LOOKUPS` repetitions.
        let gives_up = backoff.tries() > MAX_LOOKUPS;
        if (gives_up || backoff.tries() == 1)
            && let Some(suppressed) = self.log_limits.failed_claims.due(now)
        {
            let error = &failure.error;
            if gives_up {
                tracing::warn!(
                    target: "job_runner_worker.enqueuer", %run, error, suppressed,
                    "claim failed too often; run is left to be announced again"
                );
            } else {
                tracing::warn!(
                    target: "job_runner_worker.enqueuer", %run, error, suppressed,
                    "claim failed; retrying"
                );
            }
        }
        if !gives_up {
            self.retries.insert(run, LookupRetry::Pausing(backoff));
            self.effects.push(Effect::RetryLater(run, pause));
        }
    }

    fn retry(&mut self, run: RunId, now: Instant) {
        if let Some(LookupRetry::Pausing(backoff) | LookupRetry::Due(backoff)) = self.retries.remove(&run) {
            self.retries.insert(run, LookupRetry::Due(backoff));
        }
        self.note_hint(run, now);
    }

    fn follow_kill(&mut self, entry: KillEntry, origin: KillOrigin, now: Instant) {
        let resumed = origin == KillOrigin::Resumed;
        // Forged orders could fill the table with kills. A true one that is dropped here is announced by the server
        // again.
        let is_full = !resumed && self.kills.len() >= MAX_KILLS;
        if is_full || self.kills.contains(&entry.kill) {
            return;
        }
        let permit = match origin {
            KillOrigin::Announced => match self.kill_lookups.take() {
                None => return self.request_open_work(now),
                permit => permit,
            },
            KillOrigin::Listed | KillOrigin::Resumed => None,
        };
        self.kills.insert(entry.kill);
        self.effects.push(Effect::FollowKill { entry, resumed, permit });
    }

    fn answer_ping(&mut self, now: Instant) {
        if self.answered_ping.is_some_and(|at| now.saturating_duration_since(at) < PING_PAUSE) {
            return;
        }
        self.answered_ping = Some(now);
        // The answer to a ping must be up to date even if nothing was announced since.
        self.measure_admission();
        self.publish_state();
        self.effects.push(Effect::AnswerPing);
    }

    fn claims_runs(&self) -> bool {
        self.lifecycle.claims() == Claims::Allowed
    }

    fn status(&mut self) -> IntakeStatus {
        self.measure_admission();
        IntakeStatus {
            draining: self.lifecycle.claims() == Claims::Closed,
            state: self.published.state.word(),
            held: self.facts.lacks().iter().map(ToString::to_string).collect(),
            concurrent_jobs: self.settings.concurrent_jobs,
            slots_taken: self.slots.taken(),
            hints: self.hints.len(),
            runs: self.runs.keys().map(|run| run.get()).collect(),
            kills: self.kills.iter().map(|kill| kill.get()).collect(),
        }
    }
}

/// Makes the entry of a kill request of which nothing but its number is known.
fn received(kill: KillId) -> KillEntry {
    KillEntry { kill, run: None, phase: KillPhase::Received }
}
