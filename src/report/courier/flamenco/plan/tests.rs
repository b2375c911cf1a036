//! Tests of the plan as a reactor: inputs at instants, and the step that follows from each.

use std::time::Duration;

use tokio::time::Instant;

use super::{LOOK_PAUSE, MUCH, PlanInput, Planned, PushSettings, TaskCall, TaskDelivery};

const SETTINGS: PushSettings = PushSettings {
    log_entries: 1000,
    log_interval: Duration::from_secs(30),
    activity_interval: Duration::from_secs(15),
};

/// A delivery with a clock that the test turns.
struct Stage {
    delivery: TaskDelivery,
    begun: Instant,
    now: Instant,
}

impl Stage {
    fn new() -> Self {
        let now = Instant::now();
        Self { delivery: TaskDelivery::new(0), begun: now, now }
    }

    /// A task that runs and whose Manager knows so.
    fn active() -> Self {
        let mut stage = Self::new();
        stage.step(PlanInput::Started);
        assert_eq!(stage.next(), Planned::Call(TaskCall::TellActive));
        stage.step(PlanInput::Told { output: 0 });
        assert_eq!(stage.next(), Planned::Call(TaskCall::Watch));
        stage.step(PlanInput::WatchRequested);
        assert_eq!(stage.next(), Planned::Wait(None));
        stage
    }

    fn step(&mut self, input: PlanInput) {
        self.delivery.step(input, self.now, &SETTINGS);
    }

    fn next(&self) -> Planned {
        self.delivery.next(self.now)
    }

    fn at(&mut self, seconds: u64) -> &mut Self {
        self.now = self.begun + Duration::from_secs(seconds);
        self
    }

    fn wait_until(&self, seconds: u64) -> Planned {
        Planned::Wait(Some(self.begun + Duration::from_secs(seconds)))
    }
}

#[test]
fn a_task_that_was_accepted_is_told_once_it_runs() {
    assert_eq!(Stage::new().next(), Planned::Wait(None));
    Stage::active();
}

#[test]
fn log_waits_for_its_interval_and_a_changed_activity_for_its_own() {
    let mut stage = Stage::active();
    stage.step(PlanInput::Output(10));
    assert_eq!(stage.next(), Planned::Call(TaskCall::Look));
    stage.step(PlanInput::Seen { lines: 1, is_activity_new: false });
    assert_eq!(stage.next(), stage.wait_until(LOOK_PAUSE.as_secs()));
    assert_eq!(stage.at(1).next(), Planned::Call(TaskCall::Watch));
    stage.step(PlanInput::WatchRequested);
    assert_eq!(stage.next(), stage.wait_until(30));
    stage.step(PlanInput::Output(20));
    stage.step(PlanInput::Seen { lines: 2, is_activity_new: true });
    stage.at(2).step(PlanInput::WatchRequested);
    assert_eq!(stage.next(), stage.wait_until(16));
    assert_eq!(stage.at(16).next(), Planned::Call(TaskCall::Push));
    stage.step(PlanInput::Told { output: 20 });
    assert_eq!(stage.next(), Planned::Wait(None));
}

#[test]
fn many_lines_and_many_bytes_are_told_at_once() {
    let mut stage = Stage::active();
    stage.step(PlanInput::Output(10));
    stage.step(PlanInput::Seen { lines: 1001, is_activity_new: false });
    assert_eq!(stage.next(), Planned::Call(TaskCall::Push));
    stage.step(PlanInput::Told { output: 10 });
    stage.step(PlanInput::Output(10 + MUCH));
    assert_eq!(stage.next(), Planned::Call(TaskCall::Push));
    // A line that is not complete waits as any other.
    stage.step(PlanInput::Told { output: 5 + MUCH });
    stage.step(PlanInput::Seen { lines: 1, is_activity_new: false });
    stage.at(1).step(PlanInput::WatchRequested);
    assert_eq!(stage.next(), stage.wait_until(30));
}

#[test]
fn the_end_is_told_until_the_manager_has_taken_it() {
    let mut stage = Stage::active();
    stage.step(PlanInput::Over { output: 100, is_given_back: false });
    assert_eq!(stage.next(), Planned::Call(TaskCall::Finish));
    stage.step(PlanInput::Told { output: 60 });
    assert_eq!(stage.next(), Planned::Call(TaskCall::Finish));
    stage.step(PlanInput::Rejected);
    assert_eq!(stage.delivery.rejections(), 1);
    stage.step(PlanInput::Told { output: 100 });
    assert_eq!((stage.next(), stage.delivery.rejections()), (Planned::Call(TaskCall::Finish), 0));
    stage.step(PlanInput::Settled);
    assert_eq!(stage.next(), Planned::Forget);
}

#[test]
fn a_task_is_given_back_after_its_log() {
    let mut stage = Stage::active();
    stage.step(PlanInput::Over { output: 100, is_given_back: true });
    assert_eq!(stage.next(), Planned::Call(TaskCall::PushRest));
    stage.step(PlanInput::Told { output: 100 });
    assert_eq!(stage.next(), Planned::Call(TaskCall::GiveBack));
    stage.step(PlanInput::Settled);
    assert_eq!(stage.next(), Planned::Forget);
}

#[test]
fn a_task_that_is_not_ours_any_more_is_forgotten_when_it_is_over() {
    let mut stage = Stage::active();
    stage.step(PlanInput::Abandoned);
    stage.step(PlanInput::Output(100));
    assert_eq!(stage.next(), Planned::Wait(None));
    stage.step(PlanInput::Over { output: 100, is_given_back: false });
    assert_eq!(stage.next(), Planned::Forget);
}

#[test]
fn another_execution_is_told_from_the_beginning() {
    let mut stage = Stage::active();
    stage.step(PlanInput::Output(100));
    stage.step(PlanInput::Told { output: 100 });
    stage.step(PlanInput::Relaunched);
    assert_eq!((stage.next(), stage.delivery.told()), (Planned::Wait(None), 0));
    stage.step(PlanInput::Started);
    assert_eq!(stage.next(), Planned::Call(TaskCall::TellActive));
}
