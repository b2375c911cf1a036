//! Tests of the order of hints and of the bound of their queue.

use proptest::prelude::*;

use super::*;

fn run(id: i64) -> RunId {
    RunId::new(id).expect("a run")
}

fn waiting(mut hints: Hints) -> Vec<i64> {
    std::iter::from_fn(|| hints.next()).map(RunId::get).collect()
}

fn noted(room: usize, ids: &[i64]) -> Hints {
    let mut hints = Hints::new(room);
    for id in ids {
        hints.note(run(*id));
    }
    hints
}

#[test]
fn runs_wait_in_the_order_they_were_heard_of() {
    assert_eq!(waiting(noted(10, &[5, 3, 9, 1])), [5, 3, 9, 1]);
}

#[test]
fn a_run_waits_once_and_keeps_its_place() {
    let mut hints = noted(10, &[5, 3]);
    assert_eq!(hints.note(run(5)), HintOutcome::Known);
    assert_eq!(hints.len(), 2);
    assert_eq!(waiting(hints), [5, 3]);
}

#[test]
fn a_run_that_was_taken_may_wait_again() {
    let mut hints = noted(10, &[5, 3]);
    assert_eq!(hints.next(), Some(run(5)));
    assert_eq!(hints.note(run(5)), HintOutcome::New);
    assert_eq!(waiting(hints), [3, 5]);
}

#[test]
fn where_there_is_no_room_the_oldest_goes() {
    let mut hints = noted(2, &[1, 2]);
    assert_eq!(hints.note(run(3)), HintOutcome::InsteadOf(run(1)));
    assert_eq!(hints.note(run(1)), HintOutcome::InsteadOf(run(2)));
    assert_eq!(waiting(hints), [3, 1]);
}

#[test]
fn a_run_that_waits_already_pushes_nobody_out() {
    let mut hints = noted(2, &[1, 2]);
    assert_eq!(hints.note(run(2)), HintOutcome::Known);
    assert_eq!(waiting(hints), [1, 2]);
}

#[test]
fn there_is_always_room_for_one() {
    assert_eq!(waiting(noted(0, &[1, 2])), [2]);
}

#[test]
fn of_a_hundred_thousand_runs_the_last_ten_thousand_wait() {
    let ids: Vec<_> = (1..=100_000).collect();
    let hints = noted(MAX_HINTS, &ids);
    assert_eq!(hints.len(), MAX_HINTS);
    assert_eq!(waiting(hints), (90_001..=100_000).collect::<Vec<_>>());
}

#[test]
fn what_is_cleared_can_be_noted_anew() {
    let mut hints = noted(10, &[1, 2]);
    hints.clear();
    assert!(hints.len() == 0);
    assert_eq!(hints.next(), None);
    assert_eq!(hints.note(run(1)), HintOutcome::New);
}

proptest! {
    #[test]
    fn whatever_happens_nobody_waits_twice_nor_more_than_there_is_room(
        room in 1..6_usize, steps in proptest::collection::vec(proptest::option::weighted(0.8, 1..10_i64), 0..60),
    ) {
        let mut hints = Hints::new(room);
        let mut model: Vec<i64> = Vec::new();
        for step in steps {
            match step {
                None => {
                    let first = (!model.is_empty()).then(|| model.remove(0));
                    prop_assert_eq!(hints.next().map(RunId::get), first);
                }
                Some(id) => {
                    let known = model.contains(&id);
                    let pushed_out = (!known && model.len() == room).then(|| model.remove(0));
                    if !known {
                        model.push(id);
                    }
                    let wanted = match (known, pushed_out) {
                        (true, _) => HintOutcome::Known,
                        (false, None) => HintOutcome::New,
                        (false, Some(out)) => HintOutcome::InsteadOf(run(out)),
                    };
                    prop_assert_eq!(hints.note(run(id)), wanted);
                }
            }
            prop_assert_eq!(hints.len(), model.len());
        }
        prop_assert_eq!(waiting(hints), model);
    }
}
