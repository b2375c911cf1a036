//! Tests of the batch: the changes that are left of many.

use super::*;
use crate::report::{KillEntry, KillPhase};
use crate::run::{Attempt, KillId};

fn run(id: i64) -> RunId {
    RunId::new(id).expect("a run")
}

fn entry(id: i64, attempt: u32) -> OutboxEntry {
    OutboxEntry {
        run: run(id),
        attempt: Attempt(attempt),
        claim: None,
        losses: 0,
        token: "t".to_owned(),
        run_log: None,
        start: None,
        end: None,
    }
}

fn write(id: i64, attempt: u32) -> Change {
    Change::Run(Box::new(entry(id, attempt)))
}

/// Expected runs with their attempts, and expected removals.
type Left = (Vec<(i64, u32)>, Vec<i64>);

fn left(changes: &[Change]) -> Option<Left> {
    let changes: Vec<&Change> = changes.iter().collect();
    Batch::of(&changes).map(|batch| {
        let mut written: Vec<_> = batch.written.iter().map(|entry| (entry.run.get(), entry.attempt.0)).collect();
        let mut gone: Vec<_> = batch.gone.iter().map(|run| run.get()).collect();
        written.sort_unstable();
        gone.sort_unstable();
        (written, gone)
    })
}

#[test]
fn of_each_run_the_last_counts() {
    let changes = [
        write(1, 1),
        write(2, 1),
        write(1, 2),
        Change::ForgetRun(run(3)),
        write(3, 1),
        Change::Nothing,
        Change::ForgetRun(run(2)),
        Change::ForgetRun(run(4)),
        Change::ForgetRun(run(4)),
    ];
    assert_eq!(left(&changes), Some((vec![(1, 2), (3, 1)], vec![2, 4])));
    assert_eq!(left(&[]), Some((vec![], vec![])));
}

#[test]
fn what_is_about_something_else_is_no_batch() {
    let kill = KillEntry { kill: KillId::new(1).expect("a kill"), run: None, phase: KillPhase::Received };
    for other in [Change::Kill(kill), Change::Probe, Change::Letters { since: String::new() }] {
        assert_eq!(left(&[write(1, 1), other, write(2, 1)]), None);
    }
}
