//! Tests that slots are taken, freed on drop, and never exceed their number.

use super::*;

#[test]
fn there_are_so_many_seats_and_no_more() {
    let seats = Slots::new(2);
    let (one, other) = (seats.take(), seats.take());
    assert!(one.is_some() && other.is_some());
    assert!(seats.take().is_none());
    assert_eq!(seats.taken(), 2);
}

#[test]
fn a_seat_frees_itself() {
    let seats = Slots::new(1);
    let slot = seats.take().expect("a slot");
    let clone = seats.clone();
    drop(slot);
    assert_eq!(clone.taken(), 0);
    assert!(clone.take().is_some());
}

#[test]
fn a_run_that_is_executed_already_has_a_seat_whether_there_is_one_or_not() {
    let seats = Slots::new(1);
    let found = [seats.take_anyway(), seats.take_anyway()];
    assert_eq!(seats.taken(), 2);
    assert!(seats.take().is_none());
    let [one, other] = found;
    drop(one);
    assert!(seats.take().is_none(), "the other still sits on the only slot");
    drop(other);
    assert!(seats.take().is_some());
}

#[tokio::test]
async fn a_seat_that_was_freed_before_somebody_waits_is_not_missed() {
    let seats = Slots::new(1);
    drop(seats.take());
    seats.freed().await;
}

#[tokio::test]
async fn who_waits_is_woken_by_a_freed_seat() {
    let seats = Slots::new(1);
    let slot = seats.take().expect("a slot");
    let waiter = tokio::spawn({
        let seats = seats.clone();
        async move {
            loop {
                if let Some(slot) = seats.take() {
                    return slot;
                }
                seats.freed().await;
            }
        }
    });
    tokio::task::yield_now().await;
    assert!(!waiter.is_finished());
    drop(slot);
    waiter.await.expect("a slot");
    assert_eq!(seats.taken(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_want_one_no_more_sit_than_there_are_seats() {
    let seats = Slots::new(3);
    let sitting = Arc::new(AtomicU32::new(0));
    let all = (0..50).map(|_| {
        let (seats, sitting) = (seats.clone(), Arc::clone(&sitting));
        tokio::spawn(async move {
            for _ in 0..50 {
                if let Some(_seat) = seats.take() {
                    let now = sitting.fetch_add(1, Ordering::AcqRel) + 1;
                    tokio::task::yield_now().await;
                    sitting.fetch_sub(1, Ordering::AcqRel);
                    assert!(now <= 3, "{now} sit on 3 seats");
                }
                tokio::task::yield_now().await;
            }
        })
    });
    for task in all.collect::<Vec<_>>() {
        task.await.expect("nobody too many");
    }
    assert_eq!(seats.taken(), 0);
}

#[tokio::test]
async fn seats_that_are_added_can_be_taken_and_those_taken_away_are_not_given_again() {
    let seats = Slots::new(1);
    let first = seats.take().expect("a slot");
    assert!(seats.take().is_none());
    seats.resize(2);
    seats.freed().await;
    let second = seats.take().expect("a slot");
    seats.resize(1);
    drop(first);
    assert!(seats.take().is_none());
    drop(second);
    assert!(seats.take().is_some());
}

#[tokio::test]
async fn a_seat_that_was_left_is_free_once() {
    let seats = Slots::new(2);
    let (mut left, _kept) = (seats.take().expect("a slot"), seats.take().expect("a slot"));
    left.leave();
    left.leave();
    seats.freed().await;
    assert_eq!(seats.taken(), 1);
    drop(left);
    assert_eq!(seats.taken(), 1);
}
