//! Tests of the lifecycle: the table of all states and inputs, and properties of any sequence of inputs.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

fn request(id: i64, action: WorkerCommand, pace: Pace) -> WorkerRequest {
    WorkerRequest { id: RequestId::new(id).unwrap(), action, pace }
}

fn commanded(id: i64, action: WorkerCommand, pace: Pace) -> Input {
    Input::Commanded(request(id, action, pace))
}

fn after(inputs: &[Input]) -> Lifecycle {
    let mut lifecycle = Lifecycle::new(Remembered::default());
    for input in inputs {
        lifecycle.step(*input);
    }
    lifecycle
}

/// Every aim, with the leftovers accounted for or not, and busy or idle where that makes a difference.
fn states() -> Vec<(&'static str, Lifecycle)> {
    use Input::{Busy, Drain, HasLeft, Idle, LeftoversAccounted as Accounted, Sleep};
    let sleep = commanded(1, WorkerCommand::Sleep, Pace::AfterRuns);
    let shutdown = commanded(1, WorkerCommand::Shutdown, Pace::AfterRuns);
    let restart = commanded(1, WorkerCommand::Restart, Pace::Now);
    vec![
        ("just started", after(&[])),
        ("just started, executes what was left", after(&[Busy])),
        ("works", after(&[Accounted, Idle])),
        ("works on runs", after(&[Accounted, Busy])),
        ("started asleep", after(&[Sleep])),
        ("started, commanded to sleep", after(&[sleep])),
        ("commanded to sleep, runs under way", after(&[Accounted, Busy, sleep])),
        ("asleep", after(&[Accounted, Sleep, Idle])),
        ("started, commanded to shut down", after(&[shutdown])),
        ("commanded to shut down, runs under way", after(&[Accounted, Busy, shutdown])),
        ("has left to be restarted", after(&[Accounted, restart, Idle])),
        ("drains, just started", after(&[Busy, Drain])),
        ("drains", after(&[Accounted, Busy, Drain])),
        ("drains, commanded to restart now", after(&[Accounted, Busy, restart, Drain])),
        ("drained, just started, commanded to sleep", after(&[Drain, Idle, sleep])),
        ("drained", after(&[Accounted, Idle, Drain, Idle])),
        ("drained, a kill under way", after(&[Accounted, Idle, Drain, Idle, Busy])),
        ("offline", after(&[Accounted, Idle, Drain, Idle, HasLeft])),
    ]
}

fn inputs() -> Vec<(&'static str, Input)> {
    let command = |action| commanded(2, action, Pace::AfterRuns);
    vec![
        ("operator: sleep", Input::Sleep),
        ("operator: wake", Input::Wake),
        ("leftovers accounted", Input::LeftoversAccounted),
        ("busy", Input::Busy),
        ("idle", Input::Idle),
        ("drain", Input::Drain),
        ("has left", Input::HasLeft),
        ("command: sleep", command(WorkerCommand::Sleep)),
        ("command: wake", command(WorkerCommand::Wake)),
        ("command: shutdown", command(WorkerCommand::Shutdown)),
        ("command: restart", command(WorkerCommand::Restart)),
        ("command: sleep now", commanded(2, WorkerCommand::Sleep, Pace::Now)),
        ("command: restart now", commanded(2, WorkerCommand::Restart, Pace::Now)),
        ("command 1 again", commanded(1, WorkerCommand::Wake, Pace::AfterRuns)),
    ]
}

fn described(lifecycle: &Lifecycle) -> String {
    let Lifecycle { aim, remembered: Remembered { asleep, done }, .. } = *lifecycle;
    let id = |id: Option<RequestId>| id.map_or("-".to_owned(), |id| id.to_string());
    format!(
        "{aim:?} ({}, claims {:?}), {}, follows {}, done {}",
        lifecycle.state().word(),
        lifecycle.claims(),
        if asleep { "remembers sleep" } else { "remembers nothing" },
        id(lifecycle.follows()),
        id(done)
    )
}

#[test]
fn the_whole_table_is_this() {
    let mut table = String::new();
    for (from, before) in states() {
        let _ = writeln!(table, "{from}: {}", described(&before));
        for (name, input) in inputs() {
            let mut lifecycle = before;
            let effects = lifecycle.step(input);
            let to = if lifecycle == before { "·".to_owned() } else { described(&lifecycle) };
            let _ = writeln!(table, "    {name:<20} -> {to}; {effects:?}");
        }
        table.push('\n');
    }
    insta::assert_snapshot!(table);
}

#[test]
fn sleep_survives_and_a_command_that_was_done_is_not_followed_again() {
    let mut lifecycle = after(&[Input::LeftoversAccounted]);
    lifecycle.step(commanded(7, WorkerCommand::Sleep, Pace::AfterRuns));
    assert!(lifecycle.remembered().asleep && lifecycle.remembered().done.is_none());
    lifecycle.step(Input::Idle);
    let mut next = Lifecycle::new(lifecycle.remembered());
    next.step(Input::LeftoversAccounted);
    assert_eq!(next.claims(), Claims::Paused);
    assert_eq!(next.step(commanded(7, WorkerCommand::Sleep, Pace::Now)), &[]);
    assert_eq!(next.step(commanded(8, WorkerCommand::Shutdown, Pace::AfterRuns)), &[Effect::ForgetHints]);
    next.step(Input::Idle);
    let mut third = Lifecycle::new(next.remembered());
    assert_eq!(
        third.step(commanded(8, WorkerCommand::Shutdown, Pace::AfterRuns)),
        &[],
        "or it would leave at every start"
    );
    assert_eq!(third.claims(), Claims::Paused, "it was told to sleep before it was told to leave");
}

fn any_input() -> impl Strategy<Value = Input> {
    let action = proptest::sample::select(WorkerCommand::ALL.to_vec());
    let pace = prop_oneof![Just(Pace::AfterRuns), Just(Pace::Now)];
    prop_oneof![
        4 => (1..4_i64, action, pace).prop_map(|(id, action, pace)| commanded(id, action, pace)),
        1 => Just(Input::Sleep),
        1 => Just(Input::Wake),
        1 => Just(Input::LeftoversAccounted),
        2 => Just(Input::Busy),
        3 => Just(Input::Idle),
        1 => Just(Input::Drain),
        1 => Just(Input::HasLeft),
    ]
}

fn any_inputs() -> impl Strategy<Value = Vec<Input>> {
    proptest::collection::vec(any_input(), 0..40)
}

proptest! {
    #[test]
    fn a_worker_is_drained_at_most_once_and_claims_nothing_afterwards(inputs in any_inputs()) {
        let mut lifecycle = Lifecycle::new(Remembered::default());
        let mut drained = 0;
        for input in inputs {
            let effects = lifecycle.step(input);
            drained += effects.iter().filter(|effect| **effect == Effect::Drained).count();
            prop_assert!(drained <= 1);
            prop_assert!(drained == 0 || lifecycle.claims() == Claims::Closed);
        }
    }

    #[test]
    fn claims_that_are_closed_stay_closed(inputs in any_inputs()) {
        let mut lifecycle = Lifecycle::new(Remembered::default());
        for input in inputs {
            let closed = lifecycle.claims() == Claims::Closed;
            lifecycle.step(input);
            prop_assert!(!closed || lifecycle.claims() == Claims::Closed);
        }
    }

    #[test]
    fn an_offline_worker_stays_offline_and_has_no_effects(inputs in any_inputs()) {
        let mut lifecycle = Lifecycle::new(Remembered::default());
        for input in inputs {
            let before = lifecycle;
            let effects = lifecycle.step(input);
            if before.state() == WorkerState::Offline {
                prop_assert_eq!(lifecycle, before);
                prop_assert_eq!(effects, &[]);
            }
            if lifecycle.state() == WorkerState::Offline {
                prop_assert!(before.state() == WorkerState::Offline || input == Input::HasLeft);
            }
        }
    }

    #[test]
    fn only_an_awake_or_starting_worker_claims_runs(inputs in any_inputs()) {
        let mut lifecycle = Lifecycle::new(Remembered::default());
        for input in inputs {
            lifecycle.step(input);
            let is_up = matches!(lifecycle.state(), WorkerState::Awake | WorkerState::Starting);
            prop_assert_eq!(is_up, lifecycle.claims() == Claims::Allowed);
        }
    }

    #[test]
    fn a_command_to_leave_is_done_only_when_all_is_accounted_for_and_idle(inputs in any_inputs()) {
        let mut lifecycle = Lifecycle::new(Remembered::default());
        for input in inputs {
            lifecycle.step(input);
            if lifecycle.exit().is_some() && input == Input::Idle {
                prop_assert_eq!(lifecycle.leftovers, Leftovers::Accounted);
                prop_assert_eq!(lifecycle.follows(), None);
            }
        }
    }

    #[test]
    fn a_repeated_command_has_no_effect(inputs in any_inputs(), last in any_input()) {
        let mut lifecycle = after(&inputs);
        lifecycle.step(last);
        let before = lifecycle;
        if matches!(last, Input::Commanded(_)) {
            prop_assert_eq!(lifecycle.step(last), &[]);
            prop_assert_eq!(lifecycle, before);
        }
    }

    #[test]
    fn an_idle_worker_whose_leftovers_are_accounted_for_has_no_command_left_to_follow(inputs in any_inputs()) {
        let mut lifecycle = after(&inputs);
        lifecycle.step(Input::LeftoversAccounted);
        lifecycle.step(Input::Idle);
        prop_assert!(lifecycle.follows().is_none() || lifecycle.state() == WorkerState::Offline);
    }
}
