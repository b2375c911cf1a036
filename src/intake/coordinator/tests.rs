//! Tests of the coordinator as a reactor: each feeds inputs and names every effect of each, in order. An effect that a
//! test does not name fails it.

use std::collections::HashMap;

use super::*;
use crate::run::worker_lifecycle::Leave;
use crate::run::{Attempt, Pace, RequestId, WorkerCommand};

/// Facts that a test sets.
#[derive(Default)]
struct FakeFacts {
    delivering: HashSet<RunId>,
    in_outbox: HashSet<RunId>,
    announced_by_server: HashSet<RunId>,
    /// Lacks that the next measurement finds.
    next_lacks: Vec<Lack>,
    lacks: Vec<Lack>,
}

impl IntakeFacts for FakeFacts {
    fn is_being_delivered(&self, run: RunId) -> bool {
        self.delivering.contains(&run)
    }

    fn is_in_outbox(&self, run: RunId) -> bool {
        self.in_outbox.contains(&run)
    }

    fn is_announced_by_server(&self, run: RunId) -> bool {
        self.announced_by_server.contains(&run)
    }

    fn measure_admission(&mut self, _: Bounds) {
        self.lacks.clone_from(&self.next_lacks);
    }

    fn lacks(&self) -> &[Lack] {
        &self.lacks
    }

    fn note_claim(&mut self) {}
}

/// Coordinator with a clock of its own, which holds what the tasks of its runs would hold.
struct Stage {
    coordinator: Coordinator<FakeFacts>,
    now: Instant,
    tasks: HashMap<RunId, (Slot, RunSignals)>,
    permits: Vec<LookupPermit>,
}

fn settings(concurrent_jobs: u32) -> Settings {
    Settings { concurrent_jobs, incomplete_runs: crate::run::IncompleteRuns::Reset, max_attempts: 3, min_free_bytes: 0 }
}

fn run(id: i64) -> RunId {
    RunId::new(id).expect("a run")
}

fn kill(id: i64) -> KillId {
    KillId::new(id).expect("a kill")
}

fn announced(id: i64) -> IntakeMessage {
    IntakeMessage::Order(Order::Enqueue(run(id)))
}

fn left_behind(id: i64) -> IntakeMessage {
    IntakeMessage::TakeUp(Box::new(OutboxEntry {
        run: run(id),
        attempt: Attempt::FIRST,
        claim: None,
        losses: 0,
        token: "token".to_owned(),
        run_log: None,
        start: None,
        end: None,
    }))
}

fn command(id: i64, action: WorkerCommand, pace: Pace) -> IntakeMessage {
    IntakeMessage::Commanded(WorkerRequest { id: RequestId::new(id).expect("a request"), action, pace })
}

impl Stage {
    /// A worker that has just started, with so many slots.
    fn starting(slots: u32) -> Self {
        let coordinator =
            Coordinator::new(FakeFacts::default(), settings(slots), Lifecycle::new(Remembered::default()));
        Self { coordinator, now: Instant::now(), tasks: HashMap::new(), permits: Vec::new() }
    }

    /// A worker that has accounted for its leftovers, with so many slots.
    fn awake(slots: u32) -> Self {
        let mut stage = Self::starting(slots);
        assert_eq!(stage.hears(IntakeMessage::LeftoversAccounted), [format!("publish awake, 0/{slots} slots")]);
        stage
    }

    fn facts(&mut self) -> &mut FakeFacts {
        self.coordinator.facts_mut()
    }

    fn passes(&mut self, time: Duration) {
        self.now += time;
    }

    /// Sends a message and returns every effect of it.
    fn hears(&mut self, message: IntakeMessage) -> Vec<String> {
        self.steps(Input::Message(message))
    }

    /// Ends a run's task, as that reports it after the slot is free.
    fn ends(&mut self, id: i64, end: TaskEnd) -> Vec<String> {
        self.tasks.remove(&run(id)).expect("a run under way");
        self.hears(IntakeMessage::RunEnded(run(id), end))
    }

    fn steps(&mut self, input: Input) -> Vec<String> {
        let effects = self.coordinator.step(input, self.now);
        effects.into_iter().map(|effect| self.record(effect)).collect()
    }

    fn record(&mut self, effect: Effect) -> String {
        match effect {
            Effect::StartRun { run, start, slot, signals } => {
                self.tasks.insert(run, (slot, signals));
                match start {
                    RunStart::Announced(Some(permit)) => {
                        self.permits.push(permit);
                        format!("start {run}, may be forged")
                    }
                    RunStart::Announced(None) => format!("start {run}"),
                    RunStart::LeftBehind(_) => format!("take up {run}"),
                    RunStart::Accepted(_) => format!("begin {run}"),
                }
            }
            Effect::StopRun { run, handle, cause } => {
                handle.stop(cause);
                format!("stop {run}: {cause:?}")
            }
            Effect::FollowKill { entry, resumed, permit } => {
                self.permits.extend(permit);
                format!("follow kill {}{}", entry.kill, if resumed { ", resumed" } else { "" })
            }
            Effect::RetryLater(run, _) => format!("retry {run} later"),
            Effect::RequestOpenWork => "request open work".to_owned(),
            Effect::Remember(Remembered { asleep, done }) => {
                let done = done.map_or("nothing".to_owned(), |done| done.to_string());
                format!("remember {}, done {done}", if asleep { "sleep" } else { "no sleep" })
            }
            Effect::ApplySettings(settings) => format!("apply {} slots", settings.concurrent_jobs),
            Effect::PublishClaims(claims) => format!("claims {claims:?}"),
            Effect::PublishState(PublishedState { state, held, concurrent_jobs, slots_taken, exit, .. }) => {
                let exit = match exit {
                    None => "",
                    Some(Leave::Shutdown) => ", exit",
                    Some(Leave::Restart) => ", exit to restart",
                };
                let held = if held.is_empty() { "" } else { ", held" };
                format!("publish {}, {slots_taken}/{concurrent_jobs} slots{held}{exit}", state.word())
            }
            Effect::AnswerPing => "answer ping".to_owned(),
            Effect::FetchCommand => "fetch command".to_owned(),
            Effect::Drained => "drained".to_owned(),
        }
    }
}

const NOTHING: [&str; 0] = [];

fn failed() -> TaskEnd {
    TaskEnd::Retry(LookupFailure { error: "no answer".to_owned(), retry_after: None })
}

#[test]
fn an_announced_run_is_started_once_and_its_slot_is_published() {
    let mut stage = Stage::awake(2);
    assert_eq!(stage.hears(announced(5)), ["start 5, may be forged", "publish awake, 1/2 slots"]);
    assert_eq!(stage.hears(announced(5)), NOTHING);
    assert_eq!(stage.ends(5, TaskEnd::Done), ["publish awake, 0/2 slots"]);
    stage.facts().delivering.insert(run(5));
    assert_eq!(stage.hears(announced(5)), NOTHING, "its result is still to be delivered");
}

#[test]
fn runs_without_a_slot_wait_in_order_until_one_is_free() {
    let mut stage = Stage::awake(1);
    assert_eq!(stage.hears(announced(5)), ["start 5, may be forged", "publish awake, 1/1 slots"]);
    assert_eq!(stage.hears(announced(9)), NOTHING);
    assert_eq!(stage.hears(announced(7)), NOTHING);
    assert_eq!(stage.steps(Input::SlotFreed), NOTHING, "none is free after all");
    let (slot, _signals) = stage.tasks.remove(&run(5)).expect("a run");
    drop(slot);
    // The script has ended, and the slot is free before the task has reported.
    assert_eq!(stage.steps(Input::SlotFreed), ["start 9, may be forged"]);
    assert_eq!(stage.hears(IntakeMessage::RunEnded(run(5), TaskEnd::Done)), NOTHING);
    assert_eq!(stage.ends(9, TaskEnd::Done), ["start 7, may be forged"]);
}

#[test]
fn more_slots_start_waiting_runs_and_fewer_stop_none() {
    let mut stage = Stage::awake(1);
    stage.hears(announced(1));
    stage.hears(announced(2));
    let more = stage.hears(IntakeMessage::Settings(settings(2)));
    assert_eq!(more, ["apply 2 slots", "start 2, may be forged", "publish awake, 2/2 slots"]);
    assert_eq!(stage.hears(IntakeMessage::Settings(settings(1))), ["apply 1 slots", "publish awake, 2/1 slots"]);
    assert_eq!(stage.hears(announced(3)), NOTHING);
    assert_eq!(stage.ends(1, TaskEnd::Done), ["publish awake, 1/1 slots"]);
    assert_eq!(stage.ends(2, TaskEnd::Done), ["start 3, may be forged"]);
}

#[test]
fn a_flood_of_false_announcements_asks_the_server_for_its_open_work_every_five_seconds() {
    let mut stage = Stage::awake(1000);
    for id in 1..=64 {
        let told = stage.hears(announced(id));
        assert_eq!(told, [format!("start {id}, may be forged"), format!("publish awake, {id}/1000 slots")]);
    }
    assert_eq!(stage.hears(announced(65)), ["request open work"]);
    assert!(stage.coordinator.waits_for_lookup());
    assert_eq!(stage.hears(announced(66)), NOTHING);
    assert_eq!(
        stage.hears(IntakeMessage::Order(Order::Kill(kill(1)))),
        ["follow kill 1"],
        "kills have a budget of their own"
    );
    stage.passes(Duration::from_secs(5));
    assert_eq!(stage.hears(announced(67)), ["request open work"]);
    // What the server lists is started without a permit, and rumours that it does not list are forgotten.
    let open = OpenWork { runs: vec![run(67)], is_all: true, kills: vec![kill(1), kill(2)] };
    assert_eq!(
        stage.hears(IntakeMessage::OpenWork(open)),
        ["follow kill 2", "start 67", "publish awake, 65/1000 slots"]
    );
    assert!(!stage.coordinator.waits_for_lookup());
    stage.permits.clear();
    assert_eq!(stage.steps(Input::LookupsReplenished), NOTHING);
}

#[test]
fn a_run_that_the_server_itself_announced_needs_no_permit() {
    let mut stage = Stage::awake(2);
    stage.facts().announced_by_server.insert(run(5));
    assert_eq!(stage.hears(announced(5)), ["start 5", "publish awake, 1/2 slots"]);
}

#[test]
fn a_failed_claim_is_retried_after_its_pause_and_announcements_meanwhile_are_ignored() {
    let mut stage = Stage::awake(1);
    stage.hears(announced(5));
    for _ in 0..MAX_LOOKUPS {
        assert_eq!(stage.ends(5, failed()), ["retry 5 later", "publish awake, 0/1 slots"]);
        assert_eq!(stage.hears(announced(5)), NOTHING);
        let again = stage.hears(IntakeMessage::RetryDue(run(5)));
        assert_eq!(again, ["start 5, may be forged", "publish awake, 1/1 slots"]);
    }
    assert_eq!(stage.ends(5, failed()), ["publish awake, 0/1 slots"], "it is given up");
    assert_eq!(stage.hears(announced(5)), ["start 5, may be forged", "publish awake, 1/1 slots"]);
}

#[test]
fn while_a_resource_is_short_nothing_is_started_and_relief_starts_what_waits() {
    let mut stage = Stage::awake(2);
    stage.facts().next_lacks = vec![Lack::Backlog(50)];
    assert_eq!(stage.hears(announced(5)), ["publish awake, 0/2 slots, held"]);
    assert_eq!(stage.hears(announced(6)), NOTHING);
    assert_eq!(stage.steps(Input::PerhapsRelieved), NOTHING);
    stage.facts().next_lacks.clear();
    assert_eq!(
        stage.steps(Input::PerhapsRelieved),
        ["start 5, may be forged", "start 6, may be forged", "publish awake, 2/2 slots"]
    );
}

#[test]
fn the_first_state_after_the_start_already_names_what_is_short() {
    let mut stage = Stage::starting(2);
    stage.facts().next_lacks = vec![Lack::Backlog(50)];
    assert_eq!(stage.hears(IntakeMessage::LeftoversAccounted), ["publish awake, 0/2 slots, held"]);
}

#[test]
fn a_run_of_the_last_process_takes_a_slot_even_if_there_is_none() {
    let mut stage = Stage::starting(1);
    assert_eq!(stage.hears(IntakeMessage::SetAside(run(2))), NOTHING);
    assert_eq!(stage.hears(announced(2)), NOTHING, "it cannot be taken up yet");
    assert_eq!(stage.hears(left_behind(1)), ["take up 1", "publish starting, 1/1 slots"]);
    assert_eq!(stage.hears(left_behind(2)), ["take up 2", "publish starting, 2/1 slots"]);
    assert_eq!(stage.hears(IntakeMessage::Release(run(2))), NOTHING);
    assert_eq!(stage.hears(left_behind(2)), NOTHING, "it was found twice");
    assert_eq!(stage.hears(IntakeMessage::LeftoversAccounted), ["publish awake, 2/1 slots"]);
}

#[test]
fn a_drain_forgets_hints_ends_with_the_last_run_and_still_follows_kills() {
    let mut stage = Stage::awake(1);
    stage.hears(announced(1));
    stage.hears(announced(2));
    assert_eq!(stage.hears(IntakeMessage::Drain), ["claims Closed", "publish draining, 1/1 slots"]);
    assert_eq!(stage.hears(announced(3)), NOTHING);
    assert_eq!(stage.hears(IntakeMessage::Order(Order::Kill(kill(1)))), ["follow kill 1"]);
    assert_eq!(stage.hears(IntakeMessage::StopAll(Cause::Interrupted)), ["stop 1: Interrupted"]);
    assert_eq!(stage.ends(1, TaskEnd::Done), ["publish draining, 0/1 slots"], "a kill is still followed");
    assert_eq!(stage.hears(IntakeMessage::KillEnded(kill(1))), ["drained"]);
    assert_eq!(stage.hears(announced(3)), NOTHING);
    assert_eq!(stage.hears(IntakeMessage::HasLeft), ["publish offline, 0/1 slots"]);
    assert_eq!(stage.hears(IntakeMessage::Order(Order::Kill(kill(2)))), ["follow kill 2"]);
    assert_eq!(stage.hears(IntakeMessage::KillEnded(kill(2))), NOTHING);
}

#[test]
fn a_drain_of_an_idle_worker_is_over_at_once() {
    let mut stage = Stage::starting(1);
    assert_eq!(stage.hears(IntakeMessage::Drain), ["claims Closed", "drained", "publish draining, 0/1 slots"]);
}

#[test]
fn a_worker_that_is_to_sleep_forgets_its_hints_and_is_asleep_after_its_last_run() {
    let mut stage = Stage::awake(1);
    stage.hears(announced(1));
    stage.hears(announced(2));
    assert_eq!(
        stage.hears(command(7, WorkerCommand::Sleep, Pace::AfterRuns)),
        ["remember sleep, done nothing", "claims Paused", "publish draining, 1/1 slots"]
    );
    assert_eq!(stage.hears(announced(3)), NOTHING);
    assert_eq!(stage.ends(1, TaskEnd::Done), ["remember sleep, done 7", "publish asleep, 0/1 slots"]);
    assert_eq!(stage.hears(command(7, WorkerCommand::Sleep, Pace::AfterRuns)), NOTHING, "it is done already");
    let (answer, mut obeyed) = tokio::sync::oneshot::channel();
    assert_eq!(
        stage.hears(IntakeMessage::SleepOrWake(SleepState::Awake, answer)),
        ["remember no sleep, done 7", "claims Allowed", "publish awake, 0/1 slots"]
    );
    assert_eq!(obeyed.try_recv(), Ok(true));
    assert_eq!(stage.hears(announced(3)), ["start 3, may be forged", "publish awake, 1/1 slots"]);
}

#[test]
fn a_command_to_restart_now_gives_back_every_run_and_exits_when_the_last_has_ended() {
    let mut stage = Stage::awake(2);
    stage.hears(announced(1));
    stage.hears(announced(2));
    assert_eq!(
        stage.hears(command(7, WorkerCommand::Restart, Pace::Now)),
        ["stop 1: GivenBack", "stop 2: GivenBack", "claims Paused", "publish draining, 2/2 slots"]
    );
    let (answer, mut obeyed) = tokio::sync::oneshot::channel();
    assert_eq!(stage.hears(IntakeMessage::SleepOrWake(SleepState::Awake, answer)), NOTHING);
    assert_eq!(obeyed.try_recv(), Ok(false), "a departure is not cancelled here");
    // Found only now, and given back like the others.
    assert_eq!(stage.hears(left_behind(3)), ["take up 3", "stop 3: GivenBack", "publish draining, 3/2 slots"]);
    assert_eq!(stage.ends(2, TaskEnd::Done), ["publish draining, 2/2 slots"]);
    assert_eq!(stage.ends(3, TaskEnd::Done), ["publish draining, 1/2 slots"]);
    assert_eq!(
        stage.ends(1, TaskEnd::Done),
        ["remember no sleep, done 7", "drained", "claims Closed", "publish draining, 0/2 slots, exit to restart"]
    );
    assert_eq!(stage.hears(announced(4)), NOTHING);
}

#[test]
fn a_command_is_not_done_before_the_leftovers_are_accounted_for() {
    let mut stage = Stage::starting(1);
    assert_eq!(
        stage.hears(command(7, WorkerCommand::Shutdown, Pace::AfterRuns)),
        ["claims Paused", "publish draining, 0/1 slots"]
    );
    assert_eq!(
        stage.hears(IntakeMessage::LeftoversAccounted),
        ["remember no sleep, done 7", "drained", "claims Closed", "publish draining, 0/1 slots, exit"]
    );
}

#[test]
fn a_ping_is_answered_with_a_fresh_state_and_at_most_every_five_seconds() {
    let mut stage = Stage::awake(1);
    stage.facts().next_lacks = vec![Lack::Backlog(50)];
    let ping = || IntakeMessage::Order(Order::Ping);
    assert_eq!(stage.hears(ping()), ["publish awake, 0/1 slots, held", "answer ping"]);
    assert_eq!(stage.hears(ping()), NOTHING);
    stage.passes(PING_PAUSE);
    assert_eq!(stage.hears(ping()), ["answer ping"]);
    assert_eq!(stage.hears(IntakeMessage::Order(Order::Attend)), ["fetch command"]);
}

#[test]
fn a_kill_request_is_followed_once_and_a_resumed_one_needs_no_permit() {
    let mut stage = Stage::awake(1);
    let order = || IntakeMessage::Order(Order::Kill(kill(1)));
    assert_eq!(stage.hears(order()), ["follow kill 1"]);
    assert_eq!(stage.permits.len(), 1);
    assert_eq!(stage.hears(order()), NOTHING);
    assert_eq!(stage.hears(IntakeMessage::KillEnded(kill(1))), NOTHING);
    assert_eq!(stage.hears(order()), ["follow kill 1"], "the server announces it until it is done");
    let resumed = KillEntry { kill: kill(2), run: Some(run(5)), phase: KillPhase::Taken };
    assert_eq!(stage.hears(IntakeMessage::ResumeKill(resumed)), ["follow kill 2, resumed"]);
    assert_eq!(stage.permits.len(), 2);
}

#[test]
fn no_more_than_a_bounded_number_of_kill_requests_is_followed_at_once() {
    let mut stage = Stage::awake(1);
    let most = i64::try_from(MAX_KILLS).expect("a small number");
    let open = OpenWork { runs: Vec::new(), is_all: true, kills: (1..=most + 1).map(kill).collect() };
    assert_eq!(stage.hears(IntakeMessage::OpenWork(open)).len(), MAX_KILLS);
}

#[test]
fn a_run_is_found_by_a_kill_only_once_it_is_claimed_unless_the_server_says_whose_it_is() {
    let mut stage = Stage::awake(1);
    stage.hears(announced(5));
    let find = |stage: &mut Stage, scope| {
        let (answer, mut found) = tokio::sync::oneshot::channel();
        assert_eq!(stage.hears(IntakeMessage::Find(run(5), scope, answer)), NOTHING);
        found.try_recv().expect("an answer").is_some()
    };
    assert!(!find(&mut stage, FindScope::Claimed));
    assert!(find(&mut stage, FindScope::UnderWay));
    stage.tasks[&run(5)].1.ours.cancel();
    assert!(find(&mut stage, FindScope::Claimed));
}

#[test]
fn a_run_is_known_as_long_as_anything_of_it_is_left() {
    let mut stage = Stage::awake(1);
    let known = |stage: &mut Stage| {
        let (answer, mut known) = tokio::sync::oneshot::channel();
        assert_eq!(stage.hears(IntakeMessage::IsKnown(run(5), answer)), NOTHING);
        known.try_recv().expect("an answer")
    };
    assert!(!known(&mut stage));
    stage.facts().in_outbox.insert(run(5));
    assert!(known(&mut stage));
    stage.facts().in_outbox.clear();
    stage.hears(IntakeMessage::SetAside(run(5)));
    assert!(known(&mut stage));
    stage.hears(IntakeMessage::Release(run(5)));
    assert!(!known(&mut stage));
}

fn entry(id: i64) -> OutboxEntry {
    let IntakeMessage::TakeUp(entry) = left_behind(id) else { panic!("an entry") };
    *entry
}

/// A reservation, and what became of it by now.
fn reservation(stage: &mut Stage) -> (oneshot::Receiver<Slot>, Vec<String>) {
    let (waiting, granted) = oneshot::channel();
    let effects = stage.hears(IntakeMessage::Reserve(waiting));
    (granted, effects)
}

#[test]
fn a_reserved_slot_is_taken_and_the_run_begins_in_it() {
    let mut stage = Stage::awake(1);
    let (mut granted, effects) = reservation(&mut stage);
    assert_eq!(effects, ["publish awake, 1/1 slots"]);
    let slot = granted.try_recv().expect("a slot");
    assert_eq!(stage.hears(IntakeMessage::Begin(Box::new(entry(1)), slot)), ["begin 1"]);
    let (mut next, _) = reservation(&mut stage);
    assert!(next.try_recv().is_err(), "the run is under way");
    stage.ends(1, TaskEnd::Done);
    assert!(next.try_recv().is_ok());
}

#[test]
fn a_reservation_that_nobody_waits_for_takes_no_slot() {
    let mut stage = Stage::awake(1);
    stage.facts().next_lacks = vec![Lack::Backlog(1)];
    let (granted, _) = reservation(&mut stage);
    drop(granted);
    stage.facts().next_lacks.clear();
    assert_eq!(stage.steps(Input::PerhapsRelieved), ["publish awake, 0/1 slots"]);
    let (mut granted, _) = reservation(&mut stage);
    assert!(granted.try_recv().is_ok());
}

#[test]
fn nothing_is_reserved_while_a_run_of_the_last_process_is_not_taken_up() {
    let mut stage = Stage::awake(1);
    assert_eq!(stage.hears(IntakeMessage::SetAside(run(1))), NOTHING);
    let (mut granted, _) = reservation(&mut stage);
    assert!(granted.try_recv().is_err());
    stage.hears(IntakeMessage::Release(run(1)));
    assert!(granted.try_recv().is_ok());
}

#[test]
fn a_run_that_was_given_to_a_worker_which_sleeps_by_now_is_given_back() {
    let mut stage = Stage::awake(1);
    let (mut granted, _) = reservation(&mut stage);
    let slot = granted.try_recv().expect("a slot");
    stage.hears(command(1, WorkerCommand::Sleep, Pace::AfterRuns));
    let effects = stage.hears(IntakeMessage::Begin(Box::new(entry(1)), slot));
    assert_eq!(effects[..2], ["begin 1", "stop 1: GivenBack"]);
}

#[test]
fn one_run_is_stopped_and_no_other() {
    let mut stage = Stage::awake(2);
    stage.hears(left_behind(1));
    stage.hears(left_behind(2));
    assert_eq!(stage.hears(IntakeMessage::Stop(run(2), Cause::GivenBack)), ["stop 2: GivenBack"]);
    assert_eq!(stage.hears(IntakeMessage::Stop(run(3), Cause::GivenBack)), NOTHING);
}
