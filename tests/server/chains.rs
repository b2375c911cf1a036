//! Children of jobs: when they run, and the recorded reason when they do not.

use jobrunner::server::domain::model::Concurrency;
use jobrunner::server::domain::title::Title;

use crate::stage::{Stage, made};

#[tokio::test]
async fn children_run_after_their_parent_and_say_why_not() {
    let stage = Stage::start(1).await;
    let parent = stage.job(|_| {}).await;
    let child = stage.job(|new| (new.title, new.parent) = (Title::fixed("child"), Some(parent.id))).await;
    let disabled = stage.job(|new| (new.title, new.parent) = (Title::fixed("disabled"), Some(parent.id))).await;
    stage.disable(&disabled).await;
    let failed = stage.due(&parent).await.id;
    stage.execute(0, failed, false).await;
    assert!(stage.coming(&child).await.is_empty());
    let well = stage.due(&parent).await.id;
    stage.execute(0, well, true).await;
    assert_eq!(stage.coming(&child).await.len(), 1);
    assert!(stage.coming(&disabled).await.is_empty());
    assert_eq!(
        stage.reasons(&child).await[0],
        format!("Skipped: its parent failed: run {failed} of job {}", parent.id)
    );
    let reasons = stage.reasons(&disabled).await;
    assert_eq!(reasons[1], format!("Skipped: the job is disabled: run {well} of job {}", parent.id));
    stage.fixture.stop().await;
}

#[tokio::test]
async fn children_wait_for_all_workers() {
    let stage = Stage::start(3).await;
    let parent = stage.job(|job| job.run_on_all_workers = true).await;
    let child = stage.job(|new| (new.title, new.parent) = (Title::fixed("child"), Some(parent.id))).await;
    stage.due(&parent).await;
    let runs = stage
        .until("a run of each", async |store| {
            Some(store.coming(parent.id, 9).await.unwrap()).filter(|runs| runs.len() == 3)
        })
        .await;
    for (index, run) in runs.iter().enumerate() {
        assert!(stage.coming(&child).await.is_empty());
        made(stage.claim(index, run.id).await);
        made(stage.finish(index, run.id, true).await);
    }
    assert_eq!(stage.coming(&child).await.len(), 1);
    stage.fixture.stop().await;
}

#[tokio::test]
async fn children_that_wait_for_a_retry_are_decided_when_it_is_skipped() {
    let stage = Stage::start(1).await;
    let parent = stage
        .job(|job| {
            job.concurrency = Concurrency::Skip;
            (job.retry.times, job.retry.backoff) = (1, 3600);
        })
        .await;
    let child = stage.job(|new| (new.title, new.parent) = (Title::fixed("child"), Some(parent.id))).await;
    let failed = stage.due(&parent).await.id;
    stage.execute(0, failed, false).await;
    let retry = stage.coming(&parent).await.remove(0);
    let active = stage.due(&parent).await.id;
    made(stage.claim(0, active).await);
    stage.make_due(&retry).await;
    let reason = stage.until("the child's reason", async |_| stage.reasons(&child).await.pop()).await;
    assert_eq!(reason, format!("Skipped: its parent failed: run {failed} of job {}", parent.id));
    assert_eq!(stage.store().job(parent.id).await.unwrap().unwrap().fail_times, 1);
    let reasons = stage.reasons(&parent).await;
    assert!(reasons.contains(&format!("Skipped: run {active} of the job is not over yet")), "{reasons:?}");
    stage.fixture.stop().await;
}
