use chrono::DateTime;

use super::*;

fn run(id: i64) -> RunId {
    RunId::new(id).unwrap()
}

fn job(id: i64) -> JobId {
    JobId::new(id).unwrap()
}

fn worker(id: i64) -> WorkerId {
    WorkerId::new(id).unwrap()
}

#[test]
fn one_worker_after_another_is_told_and_the_first_keeps_a_slot_meanwhile() {
    let mut offers = Offers::default();
    offers.announce(run(1), job(1), worker(1));
    assert_eq!((offers.promised(worker(1)), offers.promised(worker(2))), (1, 0));
    offers.announce(run(1), job(1), worker(2));
    assert_eq!((offers.promised(worker(1)), offers.promised(worker(2))), (0, 0));
    assert_eq!(offers.announced_to(run(1)), [worker(1), worker(2)].into());
    assert_eq!((offers.last_announced_to(run(1)), offers.last_announced_to(run(2))), (Some(worker(2)), None));
    assert_eq!((offers.of_worker(worker(1)), offers.of_worker(worker(2))), (vec![], vec![run(1)]));
    // Each worker had its turn, so a new round begins.
    offers.announce(run(1), job(1), worker(1));
    assert_eq!(offers.announced_to(run(1)), [worker(1)].into());
    offers.end(run(1));
    offers.end(run(1));
    assert_eq!((offers.has_job(job(1)), offers.promised(worker(1))), (false, 0));
}

#[test]
fn a_run_that_nobody_takes_keeps_no_slot_for_ever() {
    let mut offers = Offers::default();
    offers.announce(run(1), job(1), worker(1));
    assert_eq!((offers.promised(worker(1)), offers.is_repeated(run(1)), offers.take_freed()), (1, true, false));
    offers.release(run(1));
    assert_eq!((offers.promised(worker(1)), offers.take_freed(), offers.take_freed()), (0, true, false));
    offers.announce(run(1), job(1), worker(1));
    assert_eq!(offers.promised(worker(1)), 0, "told again, it keeps none");
    assert_eq!(offers.of_worker(worker(1)), [run(1)]);
}

#[test]
fn a_slot_that_was_kept_for_what_is_over_is_free() {
    let mut offers = Offers::default();
    offers.announce(run(1), job(1), worker(1));
    offers.end(run(1));
    assert!(offers.take_freed());
    offers.announce(run(1), job(1), worker(1));
    offers.only(job(1), &[].into());
    assert!(offers.take_freed());
    offers.announce(run(1), job(1), worker(1));
    offers.wait_for_slot(PoolId::new(1).unwrap(), DateTime::UNIX_EPOCH, run(1), job(1));
    assert!(offers.take_freed());
}

#[test]
fn what_is_not_offered_any_more_is_over() {
    let mut offers = Offers::default();
    offers.announce(run(1), job(1), worker(1));
    offers.announce(run(2), job(1), worker(1));
    offers.announce(run(3), job(2), worker(1));
    assert_eq!(offers.only(job(1), &[run(2)].into()), [run(1)]);
    assert_eq!((offers.job(run(1)), offers.job(run(2)), offers.job(run(3))), (None, Some(job(1)), Some(job(2))));
}

#[test]
fn who_waited_longest_has_the_next_slot_and_waits_until_it_has_it() {
    let mut offers = Offers::default();
    let pool = PoolId::new(1).unwrap();
    let due = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
    assert!(offers.wait_for_slot(pool, due(20), run(2), job(2)));
    assert!(offers.wait_for_slot(pool, due(10), run(3), job(3)));
    assert!(offers.wait_for_slot(pool, due(10), run(1), job(1)));
    assert!(!offers.wait_for_slot(pool, due(10), run(1), job(1)), "it waits already");
    assert_eq!(offers.longest_waiting(pool, 0), []);
    assert_eq!(offers.longest_waiting(pool, 2), [(run(1), job(1)), (run(3), job(3))]);
    offers.announce(run(1), job(1), worker(1));
    assert_eq!(offers.only(job(3), &[].into()), [run(3)], "what is not to run any more does not wait");
    assert_eq!(offers.longest_waiting(pool, 2), [(run(2), job(2))]);
    let other = PoolId::new(2).unwrap();
    assert!(offers.wait_for_slot(other, due(20), run(2), job(2)), "its job has moved");
    assert_eq!(offers.waiting_pools(), [other]);
}
