//! Tests of claiming: the table of all phases and inputs, and properties of any sequence of inputs.

use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

const PHASES: [ClaimPhase; 4] = [ClaimPhase::Hinted, ClaimPhase::Claiming, ClaimPhase::Claimed, ClaimPhase::Dropped];

const INPUTS: [Input; 11] = [
    Input::Seen(RunSight::Free),
    Input::Seen(RunSight::NotForUs),
    Input::Seen(RunSight::Ours),
    Input::Seen(RunSight::Theirs),
    Input::Seen(RunSight::Returned),
    Input::Seen(RunSight::Gone),
    Input::Accepted,
    Input::AcceptedLate,
    Input::Ambiguous,
    Input::Refused,
    Input::Lost,
];

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

/// Step of a life: the phase before, the input, the phase after, and the effect.
type Step = (ClaimPhase, Input, ClaimPhase, Effect);

fn any_life() -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec(select(INPUTS.as_slice()), 0..20).prop_map(|inputs| {
        let mut phase = ClaimPhase::Hinted;
        inputs
            .into_iter()
            .map(|input| {
                let before = phase;
                let (next, effect) = phase.step(input);
                phase = next;
                (before, input, next, effect)
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn what_is_dropped_is_forgotten_once_and_for_good(life in any_life()) {
        let forgotten = life.iter().filter(|(.., effect)| *effect == Effect::Forget).count();
        let dropped = life.last().is_some_and(|(_, _, last, _)| *last == ClaimPhase::Dropped);
        prop_assert_eq!(forgotten, usize::from(dropped));
        for (before, _, after, effect) in life {
            if before == ClaimPhase::Dropped {
                prop_assert_eq!((after, effect), (ClaimPhase::Dropped, Effect::Nothing));
            }
        }
    }

    #[test]
    fn a_script_is_launched_only_when_the_server_says_that_the_run_is_ours(life in any_life()) {
        for (_, input, after, effect) in life {
            if effect == Effect::Launch {
                prop_assert_eq!(after, ClaimPhase::Claimed);
                prop_assert!(matches!(input, Input::Accepted | Input::Seen(RunSight::Ours)), "{input:?}");
            }
        }
    }

    #[test]
    fn a_run_is_claimed_only_when_it_was_seen_free(life in any_life()) {
        for (_, input, after, effect) in life {
            if effect == Effect::Claim {
                prop_assert_eq!((after, input), (ClaimPhase::Claiming, Input::Seen(RunSight::Free)));
            }
        }
    }

    #[test]
    fn doubt_is_answered_by_a_look_and_never_by_sending_again(life in any_life()) {
        for (_, input, _, effect) in life {
            if matches!(input, Input::Ambiguous | Input::AcceptedLate | Input::Lost) {
                prop_assert!(matches!(effect, Effect::Nothing | Effect::Look), "{effect:?}");
            }
        }
    }
}
