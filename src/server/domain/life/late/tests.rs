use super::*;
use crate::server::domain::model::sample;

fn at(seconds: i64) -> Timestamp {
    chrono::DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(seconds)
}

fn failure() -> Patch {
    Patch {
        return_dts: Some(Some(at(30))),
        return_success: Some(Some(false)),
        exit: Some(RunExit::Code(3)),
        ..Patch::default()
    }
}

fn late(patch: &Patch, refusal: LifeRefusal) -> Option<LateResult> {
    let who = Actor::Worker(WorkerId::new(2).unwrap(), Some(Attempt(1)));
    late_result(RunId::new(5).unwrap(), patch, who, refusal, at(40))
}

#[test]
fn a_refused_result_is_kept_with_its_reason() {
    let kept = [
        (LifeRefusal::Final, Some(LateReason::Over)),
        (LifeRefusal::OldAttempt, Some(LateReason::LaterAttempt)),
        (LifeRefusal::Theirs, Some(LateReason::AnotherWorker)),
        (LifeRefusal::NotClaimed, Some(LateReason::Unclaimed)),
        (LifeRefusal::Claimed, None),
        (LifeRefusal::NotDue, None),
        (LifeRefusal::Malformed("wrong"), None),
    ];
    for (refusal, reason) in kept {
        assert_eq!(late(&failure(), refusal).and_then(|late| late.reason), reason, "{refusal}");
    }
    let result = late(&failure(), LifeRefusal::Final).unwrap();
    assert_eq!((result.attempt, result.worker.get(), result.reported), (Some(Attempt(1)), 2, at(40)));
    assert_eq!((result.returned, result.success, result.exit), (Some(at(30)), Some(false), Some(RunExit::Code(3))));
}

#[test]
fn what_is_no_result_of_a_worker_is_not_kept() {
    let claim = Patch { enqueue_dts: Some(Some(at(10))), ..Patch::default() };
    let start = Patch { start_dts: Some(Some(at(20))), ..Patch::default() };
    let taken_back = Patch { return_dts: Some(None), return_success: Some(None), ..Patch::default() };
    for patch in [claim, start, taken_back, Patch { return_success: None, ..failure() }] {
        assert_eq!(late(&patch, LifeRefusal::Theirs), None, "{patch:?}");
    }
    let run = RunId::new(5).unwrap();
    assert_eq!(late_result(run, &failure(), Actor::Operator, LifeRefusal::Final, at(40)), None);
}

#[test]
fn codes_are_read_as_they_are_written() {
    for reason in LateReason::ALL {
        assert_eq!(LateReason::of_code(reason.code()), Some(reason));
    }
    assert_eq!(LateReason::of_code("of a later version"), None);
}

/// Attempt of run 1.
fn had(worker: i64, attempt: u32) -> WorkerAttempt {
    let worker = WorkerId::new(worker).unwrap();
    WorkerAttempt { run: RunId::new(1).unwrap(), attempt: Attempt(attempt), worker }
}

fn is_known(run: &Run, earlier: &[WorkerAttempt], worker: i64, attempt: Option<u32>) -> bool {
    let who = Actor::Worker(WorkerId::new(worker).unwrap(), attempt.map(Attempt));
    let late = late_result(run.id, &failure(), who, LifeRefusal::Theirs, at(40)).unwrap();
    had_attempt(&late, run, earlier)
}

#[test]
fn a_worker_is_known_by_the_attempts_that_it_had_and_by_no_others() {
    let waiting = Run { attempt: Attempt(2), ..sample::run(1) };
    let claimed = Run { worker: WorkerId::new(3), enqueue_dts: Some(at(10)), attempt: Attempt(3), ..waiting.clone() };
    let over = Run { return_dts: Some(at(30)), ..claimed.clone() };
    let earlier = [had(1, 1), had(2, 2)];
    for attempt in [None, Some(0), Some(1), Some(2), Some(3), Some(4), Some(u32::MAX)] {
        for worker in 1..=4 {
            let of = |number: i64| worker == number && attempt.is_none_or(|named| i64::from(named) == number);
            assert_eq!(is_known(&waiting, &earlier, worker, attempt), of(1) || of(2), "{worker} {attempt:?}");
            assert_eq!(is_known(&claimed, &earlier, worker, attempt), of(1) || of(2) || of(3), "{worker} {attempt:?}");
            assert_eq!(is_known(&over, &earlier, worker, attempt), of(1) || of(2) || of(3), "{worker} {attempt:?}");
            assert_eq!(is_known(&over, &[], worker, attempt), of(3), "{worker} {attempt:?}");
        }
    }
}

#[test]
fn a_run_that_never_was_claimed_is_no_attempt_of_the_worker_that_it_is_pinned_to() {
    let waiting = Run { worker: WorkerId::new(1), pinned: true, attempt: Attempt(0), ..sample::run(1) };
    let cancelled = super::super::cancel(&waiting, at(20)).run;
    for attempt in [None, Some(0), Some(1)] {
        assert!(!is_known(&waiting, &[], 1, attempt), "{attempt:?}");
        assert!(!is_known(&cancelled, &[], 1, attempt), "{attempt:?}");
    }
}
