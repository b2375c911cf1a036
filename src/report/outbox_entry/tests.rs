//! Tests of the attempt number that a job is told.

use super::*;

fn entry(execution: u32, claim: Option<u32>) -> OutboxEntry {
    OutboxEntry {
        run: RunId::new(1).expect("a run"),
        attempt: Attempt(execution),
        claim: claim.map(Attempt),
        losses: 0,
        token: String::new(),
        run_log: None,
        start: None,
        end: None,
    }
}

#[test]
fn a_job_is_told_the_servers_attempt_and_what_this_worker_has_lost_of_it() {
    for (execution, claim, told) in
        [(1, None, 1), (3, None, 3), (1, Some(1), 1), (1, Some(4), 4), (2, Some(1), 2), (2, Some(4), 5)]
    {
        assert_eq!(entry(execution, claim).told_attempt(), told, "execution {execution}, claim {claim:?}");
    }
}
