//! Table of decisions: for each kind of due run and each obstacle.

use chrono::{DateTime, TimeDelta};

use super::*;
use crate::server::domain::model::sample::{self, job};

fn worker(id: i64) -> WorkerId {
    WorkerId::new(id).unwrap()
}

/// A run that is due, with a schedule id of its own.
fn due(id: i64) -> Run {
    Run { schedule_dts: DateTime::UNIX_EPOCH + TimeDelta::seconds(id), ..sample::run(id) }
}

fn manual(id: i64) -> Run {
    Run { is_manual: true, ..due(id) }
}

fn pinned(id: i64, schedule_id: i64, to: i64) -> Run {
    Run { worker: Some(worker(to)), pinned: true, schedule_id, ..due(id) }
}

fn active(id: i64) -> Run {
    Run { worker: Some(worker(1)), enqueue_dts: Some(DateTime::UNIX_EPOCH), ..due(id) }
}

/// Returns a pool of three: workers 1 and 2 are well, 3 is disabled.
fn availability() -> Availability {
    Availability {
        pools: [(PoolId::new(1).unwrap(), vec![worker(1), worker(2), worker(3)])].into(),
        enabled: [worker(1), worker(2)].into(),
        silent: BTreeSet::new(),
        resting: BTreeSet::new(),
    }
}

struct Case {
    name: &'static str,
    job: Job,
    enabled: [bool; 3],
    active: Vec<Run>,
    due: Vec<Run>,
    availability: Availability,
}

fn case(name: &'static str, due: Vec<Run>) -> Case {
    Case { name, job: job(), enabled: [true; 3], active: Vec::new(), due, availability: availability() }
}

fn table() -> Vec<Case> {
    let disabled_job = || Job { enqueue_is_enabled: false, ..job() };
    let on_all = || Job { run_on_all_workers: true, ..job() };
    let policy = |concurrency| Job { concurrency, ..job() };
    let silent = |ids: &[i64]| Availability { silent: ids.iter().copied().map(worker).collect(), ..availability() };
    let resting = |ids: &[i64]| Availability { resting: ids.iter().copied().map(worker).collect(), ..availability() };
    let nobody = || Availability { enabled: BTreeSet::new(), ..availability() };
    let both = || vec![due(7), manual(8)];
    vec![
        case("one run", vec![due(7)]),
        case("two schedule ids", vec![due(7), due(8)]),
        Case { job: disabled_job(), ..case("job disabled", both()) },
        Case { enabled: [false, true, true], ..case("project disabled", both()) },
        Case { enabled: [true, false, true], ..case("template disabled", both()) },
        Case { enabled: [true, true, false], ..case("pool disabled", both()) },
        Case { availability: nobody(), ..case("nobody enabled", both()) },
        Case { availability: Availability::default(), ..case("nobody in the pool", both()) },
        Case { availability: silent(&[1, 2]), ..case("everybody silent", both()) },
        Case { active: vec![active(5)], ..case("another is active", both()) },
        Case { active: vec![active(5)], job: policy(Concurrency::Skip), ..case("another is active, skip", both()) },
        Case { active: vec![active(5)], job: policy(Concurrency::Allow), ..case("another is active, allow", both()) },
        Case {
            active: vec![active(5), active(6)],
            job: policy(Concurrency::Replace),
            ..case("others are active, replace", both())
        },
        Case { job: policy(Concurrency::Skip), ..case("two schedule ids, skip", vec![due(7), due(8)]) },
        Case { job: policy(Concurrency::Replace), ..case("two schedule ids, replace", vec![due(7), due(8)]) },
        case("pinned", vec![pinned(7, 7, 2)]),
        case("pinned to a disabled worker", vec![pinned(7, 7, 3), due(8)]),
        case("manual, pinned to a disabled worker", vec![Run { is_manual: true, ..pinned(7, 7, 3) }]),
        Case {
            availability: silent(&[2]),
            ..case("pinned to a silent worker, and what comes after it", vec![pinned(7, 7, 2), due(8)])
        },
        case("pinned siblings", vec![pinned(7, 6, 1), pinned(8, 6, 2), due(9)]),
        Case {
            active: vec![Run { schedule_id: 6, ..active(7) }],
            ..case("a sibling is active", vec![pinned(8, 6, 2)])
        },
        Case { job: on_all(), ..case("on all workers", both()) },
        Case { job: on_all(), availability: silent(&[2]), ..case("on all workers, one silent", vec![due(7)]) },
        Case { job: on_all(), availability: silent(&[1, 2]), ..case("on all workers, all silent", vec![due(7)]) },
        Case { availability: resting(&[1]), ..case("one rests", vec![due(7)]) },
        Case { availability: resting(&[1, 2]), ..case("everybody who is enabled rests", vec![due(7)]) },
        Case {
            availability: resting(&[2]),
            ..case(
                "manual, pinned to a resting worker, and what comes after it",
                vec![Run { is_manual: true, ..pinned(7, 7, 2) }, due(8)],
            )
        },
        Case { job: on_all(), availability: resting(&[2]), ..case("on all workers, one rests", vec![due(7)]) },
        Case { job: on_all(), availability: resting(&[1, 2]), ..case("on all workers, all rest", vec![due(7)]) },
        Case { job: on_all(), availability: nobody(), ..case("on all workers, nobody enabled", vec![due(7)]) },
    ]
}

impl Case {
    fn standing(&self) -> JobStanding<'_> {
        let [project_is_enabled, template_is_enabled, pool_is_enabled] = self.enabled;
        JobStanding {
            job: &self.job,
            project_is_enabled,
            template_is_enabled,
            pool_is_enabled,
            active: &self.active,
            due: &self.due,
            availability: &self.availability,
        }
    }
}

fn said(verdict: &DueVerdict) -> String {
    let ids = |workers: &[WorkerId]| workers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match verdict {
        DueVerdict::Announce(run, None) => format!("run {run} is announced"),
        DueVerdict::Announce(run, Some(to)) => format!("run {run} is announced to worker {to}"),
        DueVerdict::Spread(run, on, without) => {
            let without: Vec<_> = without.iter().map(|(worker, why)| format!("{worker}, which {why}")).collect();
            format!("run {run} for workers {}; without {}", ids(on), without.join(", "))
        }
        DueVerdict::Wait(run, reason) => format!("run {run} waits: {reason}"),
        DueVerdict::Skip(run, reason) => format!("run {run} is skipped: {reason}"),
        DueVerdict::Replace(run, killed) => {
            format!(
                "run {run} waits until killed: {}",
                killed.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
            )
        }
    }
}

#[test]
fn the_whole_table_is_this() {
    let mut text = String::new();
    for case in table() {
        text += &format!("{}\n", case.name);
        for verdict in decide(case.standing()) {
            text += &format!("    {}\n", said(&verdict));
        }
    }
    insta::assert_snapshot!("the_whole_table", text);
}

#[test]
fn every_run_that_is_due_is_decided_about_once() {
    for case in table() {
        assert_eq!(decide(case.standing()).len(), case.due.len(), "{}", case.name);
    }
}

#[test]
fn a_claim_is_for_what_was_told() {
    let run = |id| RunId::new(id).unwrap();
    let plain = case("", vec![due(7), due(8)]);
    assert!(may_claim(plain.standing(), run(7), worker(1)));
    assert!(!may_claim(plain.standing(), run(8), worker(1)), "the one before comes first");
    assert!(!may_claim(plain.standing(), run(9), worker(1)), "not due");
    let pinned = case("", vec![pinned(7, 7, 2)]);
    assert!(may_claim(pinned.standing(), run(7), worker(2)));
    assert!(!may_claim(pinned.standing(), run(7), worker(1)));
    let on_all = Case { job: Job { run_on_all_workers: true, ..job() }, ..case("", vec![due(7)]) };
    assert!(!may_claim(on_all.standing(), run(7), worker(1)), "it becomes a run of each");
}
