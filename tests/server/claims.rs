//! Claims: who may claim a run, and that a run which is over stays over.

use chrono::{TimeDelta, Utc};
use jobrunner::run::Attempt;
use jobrunner::server::domain::life::kill_or_cancel::EndDecision;
use jobrunner::server::domain::life::{LifeRefusal, Patch};
use jobrunner::server::domain::model::{Asker, Concurrency};
use jobrunner::server::domain::title::Title;
use jobrunner::server::store::{NewRun, RunChange};

use crate::stage::{Stage, made, returned};

/// With the original whoever can send a broadcast can have any run executed: nobody compares the claim with
/// the schedule.
#[tokio::test]
async fn a_claim_needs_more_than_a_forged_announcement() {
    let stage = Stage::start(2).await;
    let job = stage.job(|_| {}).await;
    let far = stage.run_at(&job, Utc::now() + TimeDelta::days(26_000)).await.id;
    assert_eq!(stage.claim(0, far).await, RunChange::Refused(LifeRefusal::NotDue), "not due for a long time");

    let active = stage.due(&job).await.id;
    let waiting = stage.due(&job).await.id;
    made(stage.claim(0, active).await);
    assert_eq!(stage.claim(1, waiting).await, RunChange::Refused(LifeRefusal::NotDue), "the job is active");
    made(stage.finish(0, active, true).await);
    stage.disable(&job).await;
    assert_eq!(stage.claim(1, waiting).await, RunChange::Refused(LifeRefusal::NotDue), "the job is disabled");
    stage.enable(&job).await;
    stage.disable_worker(1).await;
    assert_eq!(stage.claim(1, waiting).await, RunChange::Refused(LifeRefusal::NotDue), "the worker is disabled");
    made(stage.claim(0, waiting).await);
    stage.fixture.stop().await;
}

#[tokio::test]
async fn of_two_claims_one_succeeds() {
    let stage = Stage::start(2).await;
    let job = stage.job(|job| job.concurrency = Concurrency::Allow).await;
    for _ in 0..20 {
        let run = stage.due(&job).await.id;
        let (one, two) = tokio::join!(stage.claim(0, run), stage.claim(1, run));
        let winners = [&one, &two].into_iter().filter(|change| matches!(change, RunChange::Made(_))).count();
        assert_eq!(winners, 1, "{one:?} {two:?}");
    }
    stage.fixture.stop().await;
}

/// With the original each repetition of the last word mails again, counts again and runs the children again.
#[tokio::test]
async fn a_run_completes_once_however_often_its_end_is_reported() {
    let stage = Stage::start(1).await;
    let job = stage.job(|_| {}).await;
    let child = stage.job(|new| (new.title, new.parent) = (Title::fixed("child"), Some(job.id))).await;
    let run = stage.due(&job).await.id;
    made(stage.claim(0, run).await);
    stage.begin(0, run).await;
    let last = returned(true);
    let over = made(stage.change(0, run, last.clone()).await);
    for _ in 0..3 {
        let RunChange::Made(again) = stage.change(0, run, last.clone()).await else { panic!("it was refused") };
        assert!(again.events.is_empty());
    }
    for late in [
        returned(false),
        Patch { pid: Some(Some(7)), ..Patch::default() },
        Patch { start_dts: Some(Some(Utc::now())), ..Patch::default() },
        Patch { enqueue_dts: Some(None), start_dts: Some(None), ..Patch::default() },
    ] {
        assert_eq!(stage.change(0, run, late).await, RunChange::Refused(LifeRefusal::Final));
    }
    assert_eq!(stage.run(run).await, over);
    assert_eq!(stage.coming(&child).await.len(), 1);
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_failure_is_counted_once() {
    let stage = Stage::start(1).await;
    let job = stage.job(|new| new.disable_enqueue_after_fails = Some(2)).await;
    for fails in 1..=2 {
        let run = stage.due(&job).await.id;
        made(stage.claim(0, run).await);
        let last = returned(false);
        for _ in 0..3 {
            made(stage.change(0, run, last.clone()).await);
        }
        let job = stage.store().job(job.id).await.unwrap().unwrap();
        assert_eq!((job.fail_times, job.enqueue_is_enabled), (fails, true));
    }
    let run = stage.due(&job).await.id;
    stage.execute(0, run, false).await;
    let job = stage.store().job(job.id).await.unwrap().unwrap();
    assert_eq!((job.enqueue_is_enabled, &*job.disabled_reason), (false, "failed more than 2 times in a row"));
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_report_of_an_earlier_attempt_is_recorded_and_changes_nothing() {
    let stage = Stage::start(2).await;
    let job = stage.job(|_| {}).await;
    let run = stage.due(&job).await.id;
    let first = made(stage.claim(0, run).await).attempt;
    let back = Patch { enqueue_dts: Some(None), start_dts: Some(None), ..Patch::default() };
    made(stage.change(0, run, back).await);
    let second = made(stage.claim(0, run).await).attempt;
    assert_eq!((first, second), (Attempt(1), Attempt(2)));
    let late = stage.change_in(0, run, Some(first), returned(false)).await;
    assert_eq!(late, RunChange::Refused(LifeRefusal::OldAttempt));
    assert_eq!(stage.late_results(run), 1);
    assert_eq!(made(stage.change_in(0, run, Some(second), returned(true)).await).return_success, Some(true));
    stage.fixture.stop().await;
}

/// It waits for its worker, which may be away for long.
#[tokio::test]
async fn a_run_that_is_meant_for_another_worker_is_in_the_way_of_no_claim() {
    let stage = Stage::start(2).await;
    let job = stage.job(|_| {}).await;
    let new = NewRun { is_manual: true, pinned: Some(stage.worker(0)), ..NewRun::due(job.id, Utc::now()) };
    let pinned = stage.store().new_run(&new).await.unwrap().id;
    let run = stage.due(&job).await.id;
    made(stage.claim(1, run).await);
    assert_eq!(stage.claim(0, pinned).await, RunChange::Refused(LifeRefusal::NotDue), "the job is active");
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_run_that_is_cancelled_does_not_count_as_a_failure() {
    let stage = Stage::start(1).await;
    let job = stage.job(|new| new.disable_enqueue_after_fails = Some(1)).await;
    for _ in 0..3 {
        let run = stage.store().new_run(&NewRun::due(job.id, Utc::now() + TimeDelta::hours(1))).await.unwrap().id;
        let ending = stage.store().end_run(run, Asker::Command, Utc::now()).await.unwrap().unwrap();
        assert_eq!(ending.decision, EndDecision::Cancel);
    }
    let job = stage.store().job(job.id).await.unwrap().unwrap();
    assert_eq!((job.fail_times, job.enqueue_is_enabled), (0, true));
    stage.fixture.stop().await;
}
