//! Tests of the back-off: bounds of the pauses, and their distribution.

use proptest::prelude::*;

use super::*;

#[test]
fn the_bound_doubles_from_half_a_second_to_half_a_minute() {
    let mut backoff = Backoff::default();
    let bounds: Vec<_> = (0..9)
        .map(|_| {
            let bound = backoff.bound().as_millis();
            backoff.next(None);
            bound
        })
        .collect();
    assert_eq!(bounds, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
}

#[test]
fn what_works_begins_anew() {
    let mut backoff = Backoff::default();
    for _ in 0..10 {
        backoff.next(None);
    }
    assert_eq!(backoff.tries(), 10);
    backoff.reset();
    assert_eq!((backoff.tries(), backoff.bound()), (0, Backoff::FIRST));
}

#[test]
fn the_jitter_is_full() {
    fastrand::seed(7);
    let waits: Vec<_> = (0..1000).map(|_| Backoff::default().next(None)).collect();
    assert!(waits.iter().any(|wait| *wait < Backoff::FIRST / 10));
    assert!(waits.iter().any(|wait| *wait > Backoff::FIRST * 9 / 10));
}

proptest! {
    #[test]
    fn no_wait_is_longer_than_its_bound(tries in 0..100_u32) {
        let mut backoff = Backoff { tries, ..Backoff::default() };
        let bound = backoff.bound();
        prop_assert!(bound <= Backoff::LAST);
        prop_assert!(backoff.next(None) <= bound);
    }

    #[test]
    fn no_wait_is_shorter_than_was_asked_for(tries in 0..100_u32, asked in 0..400_u64) {
        let asked = Duration::from_secs(asked);
        let mut backoff = Backoff { tries, ..Backoff::default() };
        let wait = backoff.next(Some(asked));
        prop_assert!(wait >= asked && wait <= asked.max(Backoff::LAST));
    }
}

#[test]
fn trying_for_ever_does_not_overflow() {
    let mut backoff = Backoff { tries: u32::MAX, ..Backoff::default() };
    assert!(backoff.next(None) <= Backoff::LAST);
    assert_eq!(backoff.tries(), u32::MAX);
}
