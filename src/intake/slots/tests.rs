//! Tests that slots are taken, freed on drop, and never exceed their number.

use super::*;

#[test]
fn there_are_so_many_slots_and_no_more() {
    let slots = Slots::new(2);
    let (one, other) = (slots.take(), slots.take());
    assert!(one.is_some() && other.is_some());
    assert!(slots.take().is_none());
    assert_eq!(slots.taken(), 2);
}

#[test]
fn a_slot_frees_itself() {
    let slots = Slots::new(1);
    let slot = slots.take().expect("a slot");
    let clone = slots.clone();
    drop(slot);
    assert_eq!(clone.taken(), 0);
    assert!(clone.take().is_some());
}

#[test]
fn a_run_that_is_executed_already_has_a_slot_whether_there_is_one_or_not() {
    let slots = Slots::new(1);
    let found = [slots.take_even_if_full(), slots.take_even_if_full()];
    assert_eq!(slots.taken(), 2);
    assert!(slots.take().is_none());
    let [one, other] = found;
    drop(one);
    assert!(slots.take().is_none(), "the other still sits on the only slot");
    drop(other);
    assert!(slots.take().is_some());
}

#[tokio::test]
async fn a_slot_that_was_freed_before_somebody_waits_is_not_missed() {
    let slots = Slots::new(1);
    drop(slots.take());
    slots.freed().await;
}

#[tokio::test]
async fn who_waits_is_woken_by_a_freed_slot() {
    let slots = Slots::new(1);
    let slot = slots.take().expect("a slot");
    let waiter = tokio::spawn({
        let slots = slots.clone();
        async move {
            loop {
                if let Some(slot) = slots.take() {
                    return slot;
                }
                slots.freed().await;
            }
        }
    });
    tokio::task::yield_now().await;
    assert!(!waiter.is_finished());
    drop(slot);
    waiter.await.expect("a slot");
    assert_eq!(slots.taken(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_want_one_no_more_sit_than_there_are_slots() {
    let slots = Slots::new(3);
    let sitting = Arc::new(AtomicU32::new(0));
    let all = (0..50).map(|_| {
        let (slots, sitting) = (slots.clone(), Arc::clone(&sitting));
        tokio::spawn(async move {
            for _ in 0..50 {
                if let Some(_slot) = slots.take() {
                    let now = sitting.fetch_add(1, Ordering::AcqRel) + 1;
                    tokio::task::yield_now().await;
                    sitting.fetch_sub(1, Ordering::AcqRel);
                    assert!(now <= 3, "{now} sit on 3 slots");
                }
                tokio::task::yield_now().await;
            }
        })
    });
    for task in all.collect::<Vec<_>>() {
        task.await.expect("nobody too many");
    }
    assert_eq!(slots.taken(), 0);
}

#[tokio::test]
async fn slots_that_are_added_can_be_taken_and_those_taken_away_are_not_given_again() {
    let slots = Slots::new(1);
    let first = slots.take().expect("a slot");
    assert!(slots.take().is_none());
    slots.resize(2);
    slots.freed().await;
    let second = slots.take().expect("a slot");
    slots.resize(1);
    drop(first);
    assert!(slots.take().is_none());
    drop(second);
    assert!(slots.take().is_some());
}

#[tokio::test]
async fn a_slot_that_was_left_is_free_once() {
    let slots = Slots::new(2);
    let (mut left, _kept) = (slots.take().expect("a slot"), slots.take().expect("a slot"));
    left.free();
    left.free();
    slots.freed().await;
    assert_eq!(slots.taken(), 1);
    drop(left);
    assert_eq!(slots.taken(), 1);
}
