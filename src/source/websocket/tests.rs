use std::time::Duration;

use super::{GOOD, LONGEST_PAUSE, pause_after};
use crate::upstream::Backoff;

#[test]
fn after_a_long_outage_a_worker_is_back_within_seconds_and_not_all_at_once() {
    let mut backoff = Backoff::up_to(LONGEST_PAUSE);
    let _: Vec<_> = (0..100).map(|_| pause_after(&mut backoff, Duration::ZERO)).collect();
    let pauses: Vec<_> = (0..100).map(|_| pause_after(&mut backoff, Duration::ZERO)).collect();
    assert!(pauses.iter().all(|pause| *pause <= LONGEST_PAUSE), "{pauses:?}");
    let early = pauses.iter().filter(|pause| **pause < LONGEST_PAUSE / 2).count();
    assert!((20..80).contains(&early), "the pauses are spread over the whole bound: {pauses:?}");
}

#[test]
fn a_connection_that_lasted_is_followed_by_a_short_pause() {
    let mut backoff = Backoff::up_to(LONGEST_PAUSE);
    let _: Vec<_> = (0..100).map(|_| pause_after(&mut backoff, GOOD)).collect();
    let pause = pause_after(&mut backoff, GOOD + Duration::from_millis(1));
    assert!(pause <= Backoff::FIRST, "{pause:?}");
}
