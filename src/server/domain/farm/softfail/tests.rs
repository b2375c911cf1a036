use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const LIMITS: FailureLimits = FailureLimits { blacklist_threshold: 3, softfail_count: 3 };

fn facts(failed_by_worker: u32, failed_on_workers: u32, others_untried: u32) -> FailureFacts {
    FailureFacts { failed_by_worker, failed_on_workers, others_untried }
}

#[test]
fn a_failure_is_judged_by_who_is_left() {
    use FailureEnd::{Final, Retried};
    for (case, found, blacklists, end) in [
        ("one worker in the farm", facts(1, 1, 0), false, Final),
        ("a second one can try", facts(1, 1, 1), false, Retried),
        ("the second one failed, too", facts(1, 2, 0), false, Final),
        ("two of four failed", facts(1, 2, 2), false, Retried),
        ("three of four failed", facts(1, 3, 1), false, Final),
        ("the worker fails too much", facts(3, 1, 3), true, Retried),
        ("the last worker fails too much", facts(3, 1, 0), true, Final),
        ("all others are blacklisted", facts(2, 1, 0), false, Final),
    ] {
        assert_eq!(judge(&found, &LIMITS), FailureVerdict { blacklists, end }, "{case}");
    }
}

/// A farm in which every worker fails every task, worker by worker as the tasks come.
#[derive(Default)]
struct Farm {
    blacklisted: BTreeSet<usize>,
    failed: Vec<BTreeSet<usize>>,
    over: Vec<bool>,
    /// The worker on which each task failed last.
    last: Vec<Option<usize>>,
}

impl Farm {
    fn next(&self, worker: usize) -> Option<usize> {
        let is_open = |task: &usize| !self.over[*task] && !self.failed[*task].contains(&worker);
        if self.blacklisted.contains(&worker) { None } else { (0..self.over.len()).find(is_open) }
    }

    fn fail(&mut self, worker: usize, task: usize, workers: usize) {
        let count = |n: usize| u32::try_from(n).unwrap();
        self.failed[task].insert(worker);
        self.last[task] = Some(worker);
        let can_try = |farm: &Self, other: usize, task: usize| {
            !farm.blacklisted.contains(&other) && !farm.failed[task].contains(&other)
        };
        let untried = (0..workers).filter(|other| *other != worker && can_try(self, *other, task)).count();
        let found = facts(
            count(self.last.iter().filter(|last| **last == Some(worker)).count()),
            count(self.failed[task].len()),
            count(untried),
        );
        let verdict = judge(&found, &LIMITS);
        self.over[task] |= verdict.end == FailureEnd::Final;
        if verdict.blacklists {
            self.blacklisted.insert(worker);
            for waiting in (0..self.over.len()).filter(|waiting| self.last[*waiting].is_some()) {
                self.over[waiting] = self.over[waiting] || !(0..workers).any(|other| can_try(self, other, waiting));
            }
        }
    }
}

proptest! {
    /// Where every worker fails everything, no task is tried more than three times, none twice on a worker, and a task
    /// that has failed is over as soon as nobody could try it.
    #[test]
    fn no_task_waits_for_a_worker_that_never_comes(workers in 1_usize..6, tasks in 1_usize..8, turns in prop::collection::vec(0_usize..6, 0..80)) {
        let mut farm = Farm { failed: vec![BTreeSet::new(); tasks], over: vec![false; tasks], last: vec![None; tasks], ..Farm::default() };
        for worker in turns.into_iter().map(|turn| turn % workers).chain((0..workers).cycle().take(workers * tasks * 3)) {
            if let Some(task) = farm.next(worker) {
                farm.fail(worker, task, workers);
            }
        }
        prop_assert!(farm.failed.iter().all(|failed| failed.len() <= 3));
        for task in (0..tasks).filter(|task| farm.last[*task].is_some()) {
            let can_be_tried =
                (0..workers).any(|worker| !farm.blacklisted.contains(&worker) && !farm.failed[task].contains(&worker));
            prop_assert!(farm.over[task] || can_be_tried, "task {task}");
        }
    }
}
