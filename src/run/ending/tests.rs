//! Tests of ending: the table of all phases and inputs, and properties of any sequence of inputs.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

const TIDY: ProcessExit = ProcessExit::Code(0);

fn ran(cause: Option<Cause>, left: Left) -> Outcome {
    Outcome::Ran { exit: TIDY, cause, left }
}

/// Every phase, in each form in which its data may matter.
fn phases() -> Vec<EndingPhase> {
    let killed = Some(Cause::Killed);
    vec![
        EndingPhase::Starting,
        EndingPhase::Running(Output::Open),
        EndingPhase::Running(Output::Closed),
        EndingPhase::Stopping { cause: killed, main: None },
        EndingPhase::Stopping { cause: killed, main: Some(TIDY) },
        EndingPhase::Stopping { cause: None, main: Some(TIDY) },
        EndingPhase::Killing { cause: killed, main: None },
        EndingPhase::Killing { cause: killed, main: Some(TIDY) },
        EndingPhase::Killing { cause: None, main: Some(TIDY) },
        EndingPhase::Closing(TIDY),
        EndingPhase::Finished(ran(None, Left::Nobody)),
    ]
}

fn inputs() -> Vec<Input> {
    use Company::{Alone, Others};
    vec![
        Input::Started,
        Input::Unstartable("no interpreter".to_owned()),
        Input::MainExited(ProcessExit::Signal(9), Alone),
        Input::MainExited(ProcessExit::Signal(9), Others),
        Input::OutputClosed(Alone),
        Input::OutputClosed(Others),
        Input::NobodyLeft,
        Input::Stop(Cause::TimedOut, Grace::With),
        Input::Stop(Cause::TimedOut, Grace::Without),
        Input::GraceOver,
        Input::LingerOver(Alone),
        Input::LingerOver(Others),
        Input::SweepOver,
    ]
}

#[test]
fn the_whole_table_is_this() {
    let mut table = String::new();
    for phase in phases() {
        let _ = writeln!(table, "{phase:?}");
        for input in inputs() {
            let answer = |leftovers| {
                let (next, effects) = phase.clone().step(input.clone(), leftovers);
                let next = if next == phase { "·".to_owned() } else { format!("{next:?}") };
                let effects: Vec<_> = effects.iter().map(|effect| format!("{effect:?}")).collect();
                format!("{next}, {}", if effects.is_empty() { "·".to_owned() } else { effects.join(" ") })
            };
            let (keep, stop) = (answer(LeftoverPolicy::Keep), answer(LeftoverPolicy::Stop));
            if keep == stop {
                let _ = writeln!(table, "  × {input:?} -> {keep}");
            } else {
                let _ = writeln!(table, "  × {input:?} (leftovers kept) -> {keep}");
                let _ = writeln!(table, "  × {input:?} (leftovers stopped) -> {stop}");
            }
        }
        table.push('\n');
    }
    insta::assert_snapshot!(table);
}

fn any_exit() -> impl Strategy<Value = ProcessExit> {
    prop_oneof![(0..256).prop_map(ProcessExit::Code), (1..32).prop_map(ProcessExit::Signal)]
}

fn any_company() -> impl Strategy<Value = Company> {
    prop_oneof![Just(Company::Alone), Just(Company::Others)]
}

fn any_cause() -> impl Strategy<Value = Cause> {
    prop_oneof![
        Just(Cause::Killed),
        Just(Cause::TimedOut),
        Just(Cause::Interrupted),
        Just(Cause::NotOurs),
        Just(Cause::GivenBack)
    ]
}

fn any_input() -> impl Strategy<Value = Input> {
    prop_oneof![
        3 => Just(Input::Started),
        1 => Just(Input::Unstartable("no interpreter".to_owned())),
        2 => (any_exit(), any_company()).prop_map(|(exit, company)| Input::MainExited(exit, company)),
        2 => any_company().prop_map(Input::OutputClosed),
        1 => Just(Input::NobodyLeft),
        2 => (any_cause(), prop_oneof![Just(Grace::With), Just(Grace::Without)])
            .prop_map(|(cause, grace)| Input::Stop(cause, grace)),
        1 => Just(Input::GraceOver),
        1 => any_company().prop_map(Input::LingerOver),
        1 => Just(Input::SweepOver),
    ]
}

fn any_inputs() -> impl Strategy<Value = Vec<Input>> {
    proptest::collection::vec(any_input(), 0..20)
}

fn any_leftovers() -> impl Strategy<Value = LeftoverPolicy> {
    prop_oneof![Just(LeftoverPolicy::Keep), Just(LeftoverPolicy::Stop)]
}

/// Returns the phase after some inputs, and all effects on the way.
fn lived(inputs: &[Input], leftovers: LeftoverPolicy) -> (EndingPhase, Vec<Effect>) {
    let mut effects = Vec::new();
    let mut phase = EndingPhase::Starting;
    for input in inputs {
        let (next, more) = phase.step(input.clone(), leftovers);
        effects.extend_from_slice(more);
        phase = next;
    }
    (phase, effects)
}

/// Inputs that end every execution: it is stopped, its main process ends, and no other process is left.
fn the_end() -> [Input; 3] {
    [
        Input::Stop(Cause::Interrupted, Grace::Without),
        Input::MainExited(ProcessExit::Signal(9), Company::Alone),
        Input::NobodyLeft,
    ]
}

proptest! {
    #[test]
    fn finish_is_said_exactly_once_and_last(mut inputs in any_inputs(), more in any_inputs(), leftovers in any_leftovers()) {
        inputs.extend(the_end());
        inputs.extend(more);
        let (phase, effects) = lived(&inputs, leftovers);
        prop_assert!(matches!(phase, EndingPhase::Finished(_)), "{phase:?}");
        prop_assert_eq!(effects.iter().filter(|effect| **effect == Effect::Finish).count(), 1);
        prop_assert_eq!(effects.last(), Some(&Effect::Finish));
    }

    #[test]
    fn an_outcome_never_changes(mut inputs in any_inputs(), more in any_inputs(), leftovers in any_leftovers()) {
        inputs.extend(the_end());
        let (phase, _) = lived(&inputs, leftovers);
        inputs.extend(more);
        prop_assert_eq!(phase, lived(&inputs, leftovers).0);
    }

    #[test]
    fn signals_only_escalate(inputs in any_inputs(), leftovers in any_leftovers()) {
        let (_, effects) = lived(&inputs, leftovers);
        let terms: Vec<_> = effects.iter().enumerate().filter(|(_, e)| **e == Effect::TermTree).map(|(at, _)| at).collect();
        let first_kill = effects.iter().position(|effect| *effect == Effect::KillTree).unwrap_or(usize::MAX);
        prop_assert!(terms.len() <= 1);
        prop_assert!(terms.iter().all(|term| *term < first_kill));
    }

    #[test]
    fn the_first_cause_wins(mut inputs in any_inputs(), leftovers in any_leftovers()) {
        inputs.extend(the_end());
        let first = inputs.iter().find_map(|input| match input {
            Input::Stop(cause, _) => Some(*cause),
            _ => None,
        });
        let told = match lived(&inputs, leftovers).0 {
            EndingPhase::Finished(Outcome::Ran { cause, .. }) => cause,
            EndingPhase::Finished(Outcome::Cancelled(cause)) => Some(cause),
            _ => None,
        };
        prop_assert!(told.is_none() || told == first, "{told:?} instead of {first:?}");
    }

    #[test]
    fn a_run_that_ended_by_itself_is_not_blamed_on_a_later_stop(
        exit in any_exit(), company in any_company(), later in any_inputs(), leftovers in any_leftovers(),
    ) {
        let later = later.into_iter().filter(|input| !matches!(input, Input::MainExited(..)));
        let mut inputs = vec![Input::Started, Input::MainExited(exit, company)];
        inputs.extend(later);
        inputs.extend([Input::Stop(Cause::Killed, Grace::Without), Input::NobodyLeft]);
        match lived(&inputs, leftovers).0 {
            EndingPhase::Finished(Outcome::Ran { exit: told, cause: None, .. }) => prop_assert_eq!(told, exit),
            other => prop_assert!(false, "{other:?}"),
        }
    }

    #[test]
    fn every_wait_has_a_timer(inputs in any_inputs(), leftovers in any_leftovers()) {
        let mut phase = EndingPhase::Starting;
        for input in inputs {
            let before = std::mem::discriminant(&phase);
            let (next, effects) = phase.step(input, leftovers);
            let timer = match next {
                EndingPhase::Stopping { .. } => Some(Effect::StartGrace),
                EndingPhase::Killing { .. } => Some(Effect::StartSweep),
                EndingPhase::Closing(_) => Some(Effect::StartLinger),
                EndingPhase::Starting | EndingPhase::Running(_) | EndingPhase::Finished(_) => None,
            };
            if before != std::mem::discriminant(&next) && let Some(timer) = timer {
                prop_assert!(effects.contains(&timer), "{next:?} without {timer:?}");
            }
            phase = next;
        }
    }
}
