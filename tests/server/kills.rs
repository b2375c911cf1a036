//! Requests to end a run: what each of the two doors leaves, and who may report on a kill.

use chrono::Utc;
use jobrunner::run::{KillId, RunId};
use jobrunner::server::domain::life::Actor;
use jobrunner::server::domain::life::kill_or_cancel::EndDecision;
use jobrunner::server::domain::model::{Asker, KillRequest};
use jobrunner::server::store::{Entity, KillChange, KillPatch, Removal};

use crate::stage::{Stage, made};

async fn end(stage: &Stage, run: RunId, by: Asker) -> (EndDecision, Option<KillRequest>) {
    let ending = stage.store().end_run(run, by, Utc::now()).await.expect("an answer").expect("a run");
    (ending.decision, ending.request)
}

async fn report(stage: &Stage, kill: KillId, worker: usize) -> KillChange {
    let patch = KillPatch { enqueue_dts: Some(Utc::now()), execute_dts: Some(Utc::now()) };
    stage.store().change_kill(kill, patch, Actor::Worker(stage.worker(worker), None)).await.expect("an answer")
}

async fn is_executed(stage: &Stage, kill: KillId) -> bool {
    stage.store().kill(kill).await.expect("an answer").expect("a request").execute_dts.is_some()
}

/// A worker learns of a kill only where it has the run; another one that reports on it is confused or lies.
#[tokio::test]
async fn a_worker_reports_on_no_kill_of_an_attempt_that_it_never_had() {
    let stage = Stage::start(2).await;
    let job = stage.job(|_| {}).await;
    let run = stage.due(&job).await.id;
    made(stage.claim(0, run).await);
    let kill = end(&stage, run, Asker::Client).await.1.expect("a request").id;
    assert_eq!(report(&stage, kill, 1).await, KillChange::Theirs);
    // The run is lost with its worker, which is removed: it has no worker any more.
    stage.store().mark_lost(stage.worker(0), 9, Utc::now()).await.expect("lost");
    let removal = stage.store().remove(Entity::Worker, stage.worker(0).get(), Utc::now()).await.expect("an answer");
    assert!(matches!(removal, Removal::Gone(_)), "{removal:?}");
    assert_eq!(stage.run(run).await.worker, None);
    assert_eq!(report(&stage, kill, 1).await, KillChange::Theirs);
    assert!(!is_executed(&stage, kill).await);

    let cancelled = stage.due(&job).await.id;
    let kill = end(&stage, cancelled, Asker::Client).await.1.expect("a request").id;
    assert_eq!(report(&stage, kill, 1).await, KillChange::Theirs, "no worker had the run");
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_worker_reports_on_the_kill_of_an_attempt_that_was_lost() {
    let stage = Stage::start(2).await;
    let job = stage.job(|_| {}).await;
    let run = stage.due(&job).await.id;
    made(stage.claim(0, run).await);
    let kill = end(&stage, run, Asker::Dashboard).await.1.expect("a request").id;
    stage.store().mark_lost(stage.worker(0), 9, Utc::now()).await.expect("lost");
    assert_eq!(report(&stage, kill, 0).await, KillChange::Made);
    assert!(is_executed(&stage, kill).await);
    stage.fixture.stop().await;
}

#[tokio::test]
async fn each_request_over_the_rest_api_has_a_row_and_a_second_one_of_the_operator_has_none() {
    let stage = Stage::start(1).await;
    let job = stage.job(|_| {}).await;
    let cancelled = stage.due(&job).await.id;
    let (decision, request) = end(&stage, cancelled, Asker::Command).await;
    assert_eq!(decision, EndDecision::Cancel);
    assert!(request.is_some_and(|request| request.execute_dts == Some(request.schedule_dts)));
    let (decision, request) = end(&stage, cancelled, Asker::Command).await;
    assert_eq!((decision, request), (EndDecision::Over, None));
    let (decision, request) = end(&stage, cancelled, Asker::Client).await;
    assert_eq!(decision, EndDecision::Over);
    assert!(request.is_some_and(|request| request.execute_dts == Some(request.schedule_dts)));

    let run = stage.due(&job).await.id;
    made(stage.claim(0, run).await);
    for (by, has_row) in [(Asker::Client, true), (Asker::Client, true), (Asker::Dashboard, false)] {
        let (decision, request) = end(&stage, run, by).await;
        assert_eq!((decision, request.is_some()), (EndDecision::AskWorker, has_row));
        assert!(request.is_none_or(|request| request.enqueue_dts.is_none() && request.worker == Some(stage.worker(0))));
    }
    stage.fixture.stop().await;
}
