//! Tests of the shutdown: the table of all phases and inputs, and properties of any sequence of inputs.

use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

const PHASES: [ShutdownPhase; 9] = [
    ShutdownPhase::Starting,
    ShutdownPhase::StartingToDrain,
    ShutdownPhase::Serving,
    ShutdownPhase::Draining,
    ShutdownPhase::Stopping,
    ShutdownPhase::Leaving { code: 75, terms_left: 3 },
    ShutdownPhase::Leaving { code: 0, terms_left: 1 },
    ShutdownPhase::Leaving { code: 1, terms_left: 0 },
    ShutdownPhase::Exited(0),
];

const INPUTS: [Input; 19] = [
    Input::Signal(SignalRequest::Terminate),
    Input::Signal(SignalRequest::HandOver),
    Input::Signal(SignalRequest::Dump),
    Input::Signal(SignalRequest::Reload),
    Input::Signal(SignalRequest::GiveBack),
    Input::Signal(SignalRequest::Sleep),
    Input::Signal(SignalRequest::Wake),
    Input::Started,
    Input::StartFailed(StartFailure::Settings),
    Input::StartFailed(StartFailure::Directory),
    Input::StartFailed(StartFailure::Resource),
    Input::StartTimeout,
    Input::Drained,
    Input::DrainTimeout,
    Input::AskedToLeave { leave: Leave::Shutdown, restart_exit_code: Some(4) },
    Input::AskedToLeave { leave: Leave::Restart, restart_exit_code: Some(4) },
    Input::AskedToLeave { leave: Leave::Restart, restart_exit_code: None },
    Input::Refused,
    Input::Left,
];

const TERM: Input = Input::Signal(SignalRequest::Terminate);

#[test]
fn the_whole_table_is_this() {
    let mut table = String::new();
    for phase in PHASES {
        let _ = writeln!(table, "{phase:?}");
        for input in INPUTS {
            let (next, effect) = phase.step(input);
            let next = if next == phase { "·".to_owned() } else { format!("{next:?}") };
            let effect = if effect == Effect::Nothing { "·".to_owned() } else { format!("{effect:?}") };
            let _ = writeln!(table, "  × {input:?} -> {next}, {effect}");
        }
        table.push('\n');
    }
    insta::assert_snapshot!(table);
}

/// Returns the phases and effects of a sequence of inputs, from the start of the process.
fn life(inputs: &[Input]) -> Vec<(Input, ShutdownPhase, Effect)> {
    let mut phase = ShutdownPhase::Starting;
    inputs
        .iter()
        .map(|input| {
            let effect;
            (phase, effect) = phase.step(*input);
            (*input, phase, effect)
        })
        .collect()
}

/// Inputs of which many lead on: most sequences of any inputs end the process before it serves.
fn inputs() -> impl Strategy<Value = Vec<Input>> {
    let input = prop_oneof![2 => Just(TERM), 1 => Just(Input::Started), 4 => select(INPUTS.as_slice())];
    proptest::collection::vec(input, 0..30)
}

fn effects(inputs: &[Input]) -> Vec<Effect> {
    life(inputs).into_iter().map(|(.., effect)| effect).collect()
}

#[test]
fn the_first_term_drains_the_second_stops_the_runs_and_the_third_leaves_without_them() {
    let terms = effects(&[Input::Started, TERM, TERM, TERM, Input::Left]);
    let leaves = [Effect::Leave(LeaveWay::HandOver), Effect::Exit(EXIT_FAILURE)];
    assert_eq!(terms, [&[Effect::Nothing, Effect::Drain, Effect::StopRuns][..], &leaves].concat());
}

#[test]
fn a_drain_that_takes_too_long_stops_the_runs_as_a_second_term_does() {
    let late = effects(&[Input::Started, TERM, Input::DrainTimeout, TERM]);
    let leave = Effect::Leave(LeaveWay::HandOver);
    assert_eq!(late, [Effect::Nothing, Effect::Drain, Effect::StopRunsLate, leave]);
}

#[test]
fn a_worker_without_runs_exits_as_drained_whether_they_ended_or_were_stopped() {
    for stop in [None, Some(TERM), Some(Input::DrainTimeout)] {
        let inputs = [Some(Input::Started), Some(TERM), stop, Some(Input::Drained), Some(Input::Left)];
        let effects = effects(&inputs.into_iter().flatten().collect::<Vec<_>>());
        assert!(effects.ends_with(&[Effect::Leave(LeaveWay::Drained), Effect::Exit(EXIT_DRAINED)]), "{stop:?}");
    }
}

#[test]
fn the_third_term_in_all_exits_at_once_while_the_last_reports_are_delivered() {
    for inputs in
        [[Input::Started, TERM, Input::Drained, TERM, TERM], [Input::Started, TERM, TERM, Input::Drained, TERM]]
    {
        let effects = effects(&inputs);
        assert_eq!(effects.last(), Some(&Effect::Exit(EXIT_FAILURE)), "{inputs:?}");
        assert_eq!(effects.iter().filter(|effect| matches!(effect, Effect::Exit(_))).count(), 1, "{inputs:?}");
    }
}

proptest! {
    #[test]
    fn the_third_term_exits_or_hands_over(inputs in inputs()) {
        let mut terms = 0;
        for (input, phase, _) in life(&inputs) {
            terms += u32::from(input == TERM);
            let is_over = matches!(phase, ShutdownPhase::Exited(_) | ShutdownPhase::Leaving { .. });
            prop_assert!(terms < 3 || is_over, "{:?}", phase);
        }
    }

    #[test]
    fn the_process_exits_once_and_leaves_once(inputs in inputs()) {
        let life = life(&inputs);
        let exits = life.iter().filter(|(.., effect)| matches!(effect, Effect::Exit(_))).count();
        let leaves = life.iter().filter(|(.., effect)| matches!(effect, Effect::Leave(_))).count();
        let is_exited = life.last().is_some_and(|(_, phase, _)| matches!(phase, ShutdownPhase::Exited(_)));
        prop_assert_eq!(exits, usize::from(is_exited));
        prop_assert!(leaves <= 1);
    }

    #[test]
    fn runs_are_stopped_only_while_the_worker_drains(
        inputs in inputs()
    ) {
        let mut before = ShutdownPhase::Starting;
        for (_, phase, effect) in life(&inputs) {
            if matches!(effect, Effect::StopRuns | Effect::StopRunsLate) {
                prop_assert_eq!((before, phase), (ShutdownPhase::Draining, ShutdownPhase::Stopping));
            }
            before = phase;
        }
    }

    #[test]
    fn the_code_of_a_worker_that_leaves_changes_only_to_failure(
        inputs in inputs()
    ) {
        let mut leaving = None;
        for (input, phase, _) in life(&inputs) {
            match (leaving, phase) {
                (None, ShutdownPhase::Leaving { code, .. }) => leaving = Some(code),
                (Some(code), ShutdownPhase::Exited(exited)) if exited != code => {
                    prop_assert_eq!(exited, EXIT_FAILURE);
                    leaving = Some(exited);
                    prop_assert!(input == TERM || input == Input::Signal(SignalRequest::GiveBack));
                }
                _ => {}
            }
        }
    }
}
