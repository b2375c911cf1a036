//! Tests of the lifecycle: the table of all states and inputs, and properties of any sequence of inputs.

use proptest::prelude::*;

use super::*;

fn request(id: i64, action: WorkerCommand, pace: Pace) -> WorkerRequest {
    WorkerRequest { id: RequestId::new(id).unwrap(), action, pace }
}

fn asked(id: i64, action: WorkerCommand, pace: Pace) -> Input {
    Input::Asked(request(id, action, pace))
}

fn conducts() -> Vec<(&'static str, Lifecycle)> {
    let after = |inputs: &[Input]| {
        let mut conduct = Lifecycle::new(Remembered::default());
        for input in inputs {
            conduct.step(*input);
        }
        conduct
    };
    vec![
        ("working", after(&[])),
        ("going to sleep on request", after(&[asked(1, WorkerCommand::Sleep, Pace::AfterRuns)])),
        ("asleep", after(&[Input::Sleep, Input::Idle])),
        ("going to shut down", after(&[asked(1, WorkerCommand::Shutdown, Pace::AfterRuns)])),
        ("left", after(&[asked(1, WorkerCommand::Restart, Pace::Now), Input::Idle])),
    ]
}

#[test]
fn the_whole_table_is_this() {
    let mut inputs = vec![("wants sleep", Input::Sleep), ("wants wake", Input::Wake), ("idle", Input::Idle)];
    for (name, action) in [
        ("asked sleep", WorkerCommand::Sleep),
        ("asked wake", WorkerCommand::Wake),
        ("asked shutdown", WorkerCommand::Shutdown),
        ("asked restart", WorkerCommand::Restart),
    ] {
        inputs.push((name, asked(2, action, Pace::AfterRuns)));
    }
    inputs.push(("asked sleep now", asked(2, WorkerCommand::Sleep, Pace::Now)));
    inputs.push(("asked restart now", asked(2, WorkerCommand::Restart, Pace::Now)));
    inputs.push(("asked 1 again", asked(1, WorkerCommand::Wake, Pace::AfterRuns)));
    let mut table = String::new();
    for (from, conduct) in conducts() {
        table.push_str(&format!("{from}\n"));
        for (name, input) in &inputs {
            let mut conduct = conduct;
            let effects = conduct.step(*input);
            let Lifecycle { aim, remembered: Remembered { asleep, done }, .. } = conduct;
            let asleep = if asleep { "asleep" } else { "awake" };
            let done = done.map_or("-".to_owned(), |done| done.to_string());
            let follows = conduct.follows().map_or("-".to_owned(), |id| id.to_string());
            table.push_str(&format!("    {name:<18} {aim:?}, {asleep}, follows {follows}, done {done}: {effects:?}\n"));
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn sleep_survives_and_a_request_that_was_done_is_not_followed_again() {
    let mut conduct = Lifecycle::new(Remembered::default());
    conduct.step(asked(7, WorkerCommand::Sleep, Pace::AfterRuns));
    assert!(conduct.remembered().asleep && conduct.remembered().done.is_none());
    conduct.step(Input::Idle);
    let mut next = Lifecycle::new(conduct.remembered());
    assert!(!next.takes_runs());
    assert_eq!(next.step(asked(7, WorkerCommand::Sleep, Pace::Now)), &[]);
    assert_eq!(next.step(asked(8, WorkerCommand::Shutdown, Pace::AfterRuns)), &[Effect::ForgetHints]);
    next.step(Input::Idle);
    let mut third = Lifecycle::new(next.remembered());
    assert_eq!(third.step(asked(8, WorkerCommand::Shutdown, Pace::AfterRuns)), &[], "or it would leave at every start");
    assert!(!third.takes_runs(), "it was told to sleep before it was told to leave");
}

fn input() -> impl Strategy<Value = Input> {
    let action = proptest::sample::select(WorkerCommand::ALL.to_vec());
    let pace = prop_oneof![Just(Pace::AfterRuns), Just(Pace::Now)];
    prop_oneof![
        (1..4_i64, action, pace).prop_map(|(id, action, pace)| asked(id, action, pace)),
        Just(Input::Sleep),
        Just(Input::Wake),
        Just(Input::Idle),
    ]
}

proptest! {
    #[test]
    fn it_leaves_once_and_says_nothing_after_it(inputs in proptest::collection::vec(input(), 0..40)) {
        let mut conduct = Lifecycle::new(Remembered::default());
        let mut left = false;
        for input in inputs {
            let effects = conduct.step(input);
            prop_assert!(!left || effects.is_empty());
            left |= effects.iter().any(|effect| matches!(effect, Effect::Leave(_)));
            prop_assert!(!left || !conduct.takes_runs());
        }
    }

    #[test]
    fn what_was_said_is_said_again_without_effect(inputs in proptest::collection::vec(input(), 0..20), last in input()) {
        let mut conduct = Lifecycle::new(Remembered::default());
        for input in inputs {
            conduct.step(input);
        }
        conduct.step(last);
        let before = conduct;
        if matches!(last, Input::Asked(_)) {
            prop_assert_eq!(conduct.step(last), &[]);
            prop_assert_eq!(conduct, before);
        }
    }

    #[test]
    fn who_is_not_working_and_idle_has_nothing_left_to_follow(inputs in proptest::collection::vec(input(), 0..20)) {
        let mut conduct = Lifecycle::new(Remembered::default());
        for input in inputs {
            conduct.step(input);
        }
        conduct.step(Input::Idle);
        prop_assert_eq!(conduct.follows(), None);
    }
}
