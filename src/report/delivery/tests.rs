//! Tests of the delivery's phases: the whole table of phases and inputs, and properties of any sequence of inputs.

use std::fmt::Write as _;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;

use super::samples::phases;
use super::*;

fn inputs(at: Instant) -> [DeliveryInput; 21] {
    [
        DeliveryInput::Started,
        DeliveryInput::Output(30),
        DeliveryInput::Ended(DeliveryEnd::WithResult),
        DeliveryInput::Ended(DeliveryEnd::GivenBack),
        DeliveryInput::Relaunched,
        DeliveryInput::WatchRequested,
        DeliveryInput::Read { has_start: false },
        DeliveryInput::Read { has_start: true },
        DeliveryInput::CallInDoubt,
        DeliveryInput::StartAccepted,
        DeliveryInput::StartRejected(at),
        DeliveryInput::LogUpdated { sent: 20, next_at: at },
        DeliveryInput::LiveLogRejected(at),
        DeliveryInput::OutputUnreadable,
        DeliveryInput::LogAccepted,
        DeliveryInput::LogRejected,
        DeliveryInput::ResultRejected,
        DeliveryInput::ResultFailed,
        DeliveryInput::Settled,
        DeliveryInput::Output(0),
        DeliveryInput::AttemptRefused,
    ]
}

#[test]
fn the_whole_table_is_this() {
    let (retry_at, at) = (Instant::now(), Instant::now() + Duration::from_secs(9));
    let named = |text: String| text.replace(&format!("{retry_at:?}"), "then").replace(&format!("{at:?}"), "later");
    let mut table = String::new();
    for (name, delivery) in phases(retry_at) {
        let _ = writeln!(table, "{name}: {}", named(format!("{:?}, {:?}", delivery.phase, delivery.view)));
        for input in inputs(at) {
            let next = delivery.step(input);
            let phase = if next.phase == delivery.phase { "·".to_owned() } else { format!("{:?}", next.phase) };
            let view = if next.view == delivery.view { "·".to_owned() } else { format!("{:?}", next.view) };
            let _ = writeln!(table, "  × {}", named(format!("{input:?} -> {phase}, {view}")));
        }
        table.push('\n');
    }
    insta::assert_snapshot!(table);
}

proptest! {
    #[test]
    fn what_is_accepted_is_not_due_again_before_the_next_execution(
        chosen in proptest::collection::vec(select((0..21).collect::<Vec<usize>>()), 0..30)
    ) {
        let inputs = inputs(Instant::now());
        let mut delivery = Delivery::new(ServerView::Assumed);
        for input in chosen.into_iter().map(|at| inputs[at]) {
            let next = delivery.step(input);
            let start_was_accepted = delivery.start() == Some(StartReport::Accepted);
            if start_was_accepted && next.start().is_some() {
                prop_assert_eq!(next.start(), Some(StartReport::Accepted), "{:?}", input);
            }
            if delivery.has_log() {
                prop_assert!(next.has_log() || !matches!(next.phase, DeliveryPhase::Ended { .. }), "{:?}", input);
            }
            if delivery.phase == DeliveryPhase::Done {
                prop_assert_eq!(next.phase, DeliveryPhase::Done);
            }
            let ends_doubt = matches!(input, DeliveryInput::Read { .. });
            if delivery.view == ServerView::Doubtful && !ends_doubt {
                prop_assert_eq!(next.view, ServerView::Doubtful, "{:?}", input);
            }
            delivery = next;
        }
    }

    #[test]
    fn a_run_is_done_only_once_it_is_over_and_settled(
        chosen in proptest::collection::vec(select((0..21).collect::<Vec<usize>>()), 0..30)
    ) {
        let inputs = inputs(Instant::now());
        let (mut delivery, mut is_over, mut is_settled) = (Delivery::new(ServerView::Assumed), false, false);
        for input in chosen.into_iter().map(|at| inputs[at]) {
            match input {
                DeliveryInput::Ended(_) => is_over = true,
                DeliveryInput::Settled => is_settled = true,
                // What is settled stays so; otherwise the next execution is not over.
                DeliveryInput::Relaunched if delivery.phase != DeliveryPhase::Done => is_over = false,
                _ => {}
            }
            delivery = delivery.step(input);
            prop_assert_eq!(delivery.phase == DeliveryPhase::Done, is_over && is_settled, "{:?}", input);
        }
    }
}
