//! Histories that once found a fault, as short as shrinking could make them.

use super::Stand;
use super::Step::{self, *};

#[track_caller]
fn holds(workers: u8, steps: &[Step]) {
    if let Err(e) = Stand::new().live(workers, steps) {
        panic!("{e}");
    }
}

#[test]
fn a_run_that_was_announced_stays_due_when_the_clock_is_set_back() {
    holds(2, &[Due(0), Turn(-1), Back(0)]);
    holds(2, &[Due(0), Turn(-30), Restart, Claim(0), Return(0, true)]);
}

#[test]
fn a_run_for_everybody_stays_due_when_the_clock_is_set_back() {
    holds(2, &[Due(4), Wait(60), Turn(-1)]);
}

#[test]
fn runs_for_everybody_that_are_due_at_one_time_run_one_after_the_other() {
    holds(2, &[Wait(60), Due(4), Due(4)]);
}

#[test]
fn a_worker_that_claims_is_there_though_it_answers_no_ping() {
    holds(3, &[Silent(0), Wait(20), Pinned(0, 0), Claim(0), Wait(20)]);
}

#[test]
fn what_is_planned_for_this_very_moment_is_told_of_though_the_clock_is_set_back() {
    holds(3, &[RunNow(2), Turn(2), Turn(-1), End(0), Wait(3), Wait(3)]);
}

#[test]
fn a_claim_of_a_run_that_was_cancelled_at_that_very_time_is_refused() {
    holds(2, &[RunNow(4), Later(1, 1), End(1), Claim(2), Return(2, false)]);
}

#[test]
fn those_who_wait_for_a_slot_that_is_kept_are_told_one_after_the_other() {
    let waits = [Due(1), Due(0), EnableWorker(1, false), Due(2), Due(0)];
    holds(2, &[&[RunNow(0), Back(2), Claim(0)][..], &waits, &[Return(0, false), Wait(20)]].concat());
}

#[test]
fn a_worker_whose_claim_was_not_heard_of_is_lost_again() {
    holds(2, &[Due(0), Silent(1), Due(2), Claim(0), Due(0), Wait(17), Claim(1), MissNews, Wait(14)]);
    holds(2, &[Silent(1), Due(0), Due(0), Wait(29), Claim(1), MissNews]);
}

#[test]
fn what_an_attempt_that_was_lost_returns_changes_nothing_in_a_run_that_was_cancelled() {
    holds(2, &[Due(1), Silent(1), Pinned(1, 0), Due(0), Claim(1), Wait(25), Later(4, 1), End(3), Return(1, false)]);
}

#[test]
fn a_worker_that_comes_back_is_not_told_of_a_run_that_was_cancelled_unheard() {
    holds(3, &[RunNow(0), End(2), MissNews, Back(0)]);
}

#[test]
fn a_run_that_is_killed_to_make_room_is_said_to_be_killed() {
    let replaces = [Pinned(0, 0), RunNow(3), Start(0), Claim(1), Pinned(3, 0), TakeKills(1), Return(1, false)];
    holds(2, &[&[Due(0)][..], &replaces].concat());
}

/// An error of the store at any query delays what is to be done, and loses none of it.
#[test]
fn whichever_query_fails_nothing_is_announced_early_and_nothing_is_forgotten() {
    let stand = Stand::new();
    for query in 1..50 {
        for minutes in [-2, 2] {
            let steps = [Due(0), StoreError(query), Wait(16), Claim(0), Turn(minutes), Later(0, 3)];
            if let Err(e) = stand.live(2, &steps) {
                panic!("query {query}, {minutes} minutes: {e}");
            }
        }
    }
}
