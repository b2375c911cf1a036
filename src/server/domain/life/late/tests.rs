use super::*;

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
