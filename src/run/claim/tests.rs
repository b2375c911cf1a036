//! The table of all phases and inputs, and what holds for any sequence of inputs.

use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

const PHASES: [Phase; 8] = [
    Phase::Hinted,
    Phase::Claiming,
    Phase::Claimed,
    Phase::Spawned,
    Phase::Ended,
    Phase::LogSent,
    Phase::Returned,
    Phase::Dropped,
];

const INPUTS: [Input; 14] = [
    Input::Seen(Seen::Free),
    Input::Seen(Seen::NotForUs),
    Input::Seen(Seen::Ours),
    Input::Seen(Seen::Theirs),
    Input::Seen(Seen::Returned),
    Input::Seen(Seen::Gone),
    Input::Accepted,
    Input::AcceptedLate,
    Input::Ambiguous,
    Input::Refused,
    Input::Started,
    Input::Ended,
    Input::LostOnce,
    Input::LostForGood,
];

#[test]
fn the_whole_table_is_this() {
    let mut table = String::new();
    for phase in PHASES {
        let _ = writeln!(table, "{phase:?}");
        for input in INPUTS {
            let (next, effects) = phase.step(input);
            let next = if next == phase { "·".to_owned() } else { format!("{next:?}") };
            let effects: Vec<_> = effects.iter().map(|effect| format!("{effect:?}")).collect();
            let effects = if effects.is_empty() { "·".to_owned() } else { effects.join(" ") };
            let _ = writeln!(table, "  × {input:?} -> {next}, {effects}");
        }
        table.push('\n');
    }
    insta::assert_snapshot!(table);
}

/// What was done on the way: the phase before, the input, the phase after, the effects.
type Step = (Phase, Input, Phase, &'static [Effect]);

fn lived(inputs: &[Input]) -> Vec<Step> {
    let mut phase = Phase::Hinted;
    inputs
        .iter()
        .map(|input| {
            let before = phase;
            let (next, effects) = phase.step(*input);
            phase = next;
            (before, *input, next, effects)
        })
        .collect()
}

/// A run that goes its way, with anything in between: random inputs alone seldom come far.
fn any_life() -> impl Strategy<Value = Vec<Step>> {
    let way =
        [Input::Seen(Seen::Free), Input::Accepted, Input::Started, Input::Ended, Input::Accepted, Input::Accepted];
    let between = || proptest::collection::vec(select(INPUTS.as_slice()), 0..3);
    let legs = proptest::collection::vec(between(), way.len() + 1);
    legs.prop_map(move |legs| {
        let mut inputs = Vec::new();
        for (at, leg) in legs.into_iter().enumerate() {
            inputs.extend(leg);
            inputs.extend(way.get(at));
        }
        lived(&inputs)
    })
}

proptest! {
    #[test]
    fn returned_and_dropped_are_the_end(life in any_life()) {
        for (before, _, after, effects) in life {
            if matches!(before, Phase::Returned | Phase::Dropped) {
                prop_assert_eq!(after, before);
                prop_assert!(effects.is_empty());
            }
        }
    }

    #[test]
    fn what_is_over_is_forgotten_once(life in any_life()) {
        let forgotten = life.iter().filter(|(.., effects)| effects.contains(&Effect::Forget)).count();
        let over = life.last().is_some_and(|(_, _, last, _)| matches!(last, Phase::Returned | Phase::Dropped));
        prop_assert_eq!(forgotten, usize::from(over));
    }

    #[test]
    fn a_script_is_launched_only_when_the_server_says_that_the_run_is_ours(life in any_life()) {
        for (_, input, after, effects) in life {
            if effects.contains(&Effect::Launch) {
                prop_assert_eq!(after, Phase::Claimed);
                prop_assert!(matches!(input, Input::Accepted | Input::Seen(Seen::Ours)), "{input:?}");
            }
        }
    }

    #[test]
    fn a_run_is_claimed_only_when_it_was_seen_free(life in any_life()) {
        for (_, input, after, effects) in life {
            if effects.contains(&Effect::Claim) {
                prop_assert_eq!(after, Phase::Claiming);
                prop_assert_eq!(input, Input::Seen(Seen::Free));
            }
        }
    }

    #[test]
    fn nothing_is_launched_while_a_script_may_run(life in any_life()) {
        let mut runs = false;
        for (_, input, _, effects) in life {
            match input {
                Input::Ended | Input::LostOnce | Input::LostForGood => runs = false,
                _ => {}
            }
            prop_assert!(!(runs && effects.contains(&Effect::Launch)));
            runs |= effects.contains(&Effect::TellStart);
        }
    }

    #[test]
    fn the_result_is_sent_only_after_the_log_and_never_after_the_return(life in any_life()) {
        let mut returned = false;
        for (before, _, after, effects) in life {
            if effects.contains(&Effect::Return) {
                prop_assert!(!returned);
                prop_assert_eq!(after, Phase::LogSent);
                prop_assert!(matches!(before, Phase::Ended | Phase::LogSent));
            }
            returned |= after == Phase::Returned;
        }
    }

    #[test]
    fn doubt_is_answered_by_a_look_and_never_by_sending_again(life in any_life()) {
        for (_, input, _, effects) in life {
            if matches!(input, Input::Ambiguous | Input::AcceptedLate) {
                prop_assert!(matches!(effects, [] | [Effect::Look]), "{effects:?}");
            }
        }
    }
}
