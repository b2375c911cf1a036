//! Silent and lost workers, and what becomes of their runs; retries of failed runs.

use std::time::Duration;

use chrono::Utc;
use jobrunner::run::Attempt;
use jobrunner::server::domain::life::{LifeRefusal, Patch};
use jobrunner::server::domain::model::{Asker, Concurrency, OnLost, Run, RunExit, RunState};
use jobrunner::server::domain::title::Title;
use jobrunner::server::store::RunChange;

use crate::stage::{Stage, made, returned};

/// Workers may be silent for a second and a half; two at least would be too short for nobody.
async fn impatient(workers: usize) -> Stage {
    Stage::with(workers, |settings| {
        settings.ping_interval = Duration::from_millis(400);
        settings.silent_intervals = 3;
        settings.ping_margin = Duration::from_millis(100);
    })
    .await
}

/// Waits until a run is as wanted.
async fn until(stage: &Stage, run: &Run, wanted: impl Fn(&Run) -> bool) -> Run {
    stage.until("the run", async |store| store.run(run.id).await.unwrap().filter(&wanted)).await
}

/// With the original a run that its worker has lost stops its job until somebody looks, and what the partitioned
/// worker says in the end goes over what was decided meanwhile.
#[tokio::test]
async fn p19_h41_the_run_of_a_silent_worker_runs_again_elsewhere_and_the_late_result_is_kept() {
    let stage = impatient(2).await;
    let mut second = stage.subscribe(1).await;
    let job = stage.job(|_| {}).await;
    let run = stage.due(&job).await;
    let next = stage.due(&job).await;
    made(stage.claim(0, run.id).await);
    stage.begin(0, run.id).await;
    // The second worker answers all the time, the first never.
    let talk = async {
        loop {
            stage.answer(1, 4).await;
            let _ = second.next().await;
        }
    };
    let lost = async {
        let back = until(&stage, &run, |run| run.state() == RunState::Scheduled).await;
        assert_eq!((back.worker, back.losses, back.attempt), (None, 1, Attempt(1)));
        let again = made(stage.claim(1, run.id).await);
        assert_eq!(again.attempt, Attempt(2));
        assert_eq!(stage.finish(0, run.id, false).await, RunChange::Refused(LifeRefusal::Theirs));
        assert_eq!(stage.late_results(run.id), 1);
        let over = made(stage.finish(1, run.id, true).await);
        assert_eq!(stage.finish(0, run.id, false).await, RunChange::Refused(LifeRefusal::Theirs));
        assert_eq!(stage.run(run.id).await, over, "what is over stays as it is");
        made(stage.claim(1, next.id).await);
    };
    tokio::select! {
        () = talk => {}
        () = lost => {}
    }
    let reasons = stage.reasons(&job).await;
    let lost = format!("Delayed: worker {} was lost with attempt 1 of run {}", stage.worker(0), run.id);
    assert!(reasons.contains(&lost), "{reasons:?}");
    stage.fixture.stop().await;
}

#[tokio::test]
async fn on_lost_fail_fails_a_lost_run_and_its_log_says_why() {
    let stage = impatient(1).await;
    let job = stage.job(|job| job.on_lost = OnLost::Fail).await;
    let (run, logged) = (
        stage.due(&job).await,
        stage.job(|job| (job.title, job.on_lost) = (Title::fixed("logged"), OnLost::Fail)).await,
    );
    let logged = stage.due(&logged).await;
    made(stage.claim(0, run.id).await);
    made(stage.claim(0, logged.id).await);
    stage.write_log(logged.id, "what it said before").await;
    let over = until(&stage, &run, |run| run.state() == RunState::Completed).await;
    assert_eq!((over.return_success, over.exit, over.attempt), (Some(false), Some(RunExit::Lost), Attempt(1)));
    until(&stage, &logged, |run| run.state() == RunState::Completed).await;
    let wanted = format!(
        "This run for Id: {} (\"job\"({})) was marked as failed. Reason: Worker does not respond to ping requests.",
        run.id, job.id
    );
    assert_eq!(stage.log(run.id).await, wanted);
    assert_eq!(stage.log(logged.id).await, "what it said before");
    assert_eq!(stage.store().job(job.id).await.unwrap().unwrap().fail_times, 1);
    assert_eq!(stage.finish(0, run.id, true).await, RunChange::Refused(LifeRefusal::Final));
    assert_eq!(stage.late_results(run.id), 1);
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_run_that_is_lost_again_and_again_fails() {
    let stage = impatient(1).await;
    let job = stage.job(|_| {}).await;
    let run = stage.due(&job).await;
    for losses in 1..3 {
        made(stage.claim(0, run.id).await);
        until(&stage, &run, |run| run.losses == losses && run.state() == RunState::Scheduled).await;
    }
    made(stage.claim(0, run.id).await);
    let over = until(&stage, &run, |run| run.state() == RunState::Completed).await;
    assert_eq!((over.exit, over.losses, over.attempt), (Some(RunExit::Lost), 3, Attempt(3)));
    stage.fixture.stop().await;
}

/// With the original the health check fails what a silent worker has not even claimed.
#[tokio::test]
async fn h31_a_run_pinned_to_a_silent_worker_waits_and_blocks_no_other() {
    let stage = impatient(2).await;
    let job = stage.job(|job| job.run_on_all_workers = true).await;
    stage.due(&job).await;
    let runs = stage
        .until("a run of each", async |store| {
            Some(store.coming(job.id, 9).await.unwrap()).filter(|runs| runs.len() == 2)
        })
        .await;
    let talk = async {
        let mut second = stage.subscribe(1).await;
        loop {
            stage.answer(1, 4).await;
            let _ = second.next().await;
        }
    };
    let wait = async {
        let wanted = format!("its worker {} does not answer", stage.worker(0));
        stage
            .until("the reason", async |store| {
                let fires = store.fires(job.id, 100).await.unwrap();
                fires.iter().any(|fire| fire.reason.to_string() == wanted).then_some(())
            })
            .await;
        assert_eq!(stage.run(runs[0].id).await, runs[0], "not lost, not failed, not anything");
        stage.execute(1, runs[1].id, true).await;
        // The next time goes on without the silent one.
        let next = stage.due(&job).await;
        let spread = stage
            .until("the next", async |store| {
                let runs = store.coming(job.id, 9).await.unwrap();
                Some(runs).filter(|runs| runs.len() == 2 && runs[1].id == next.id && runs[1].worker.is_some())
            })
            .await;
        assert_eq!(spread[1].worker, Some(stage.worker(1)));
        stage.execute(1, spread[1].id, true).await;
        // The silent one comes back and has what waited for it.
        let mut first = stage.subscribe(0).await;
        stage.answer(0, 4).await;
        assert_eq!(first.run().await, runs[0].id);
        stage.execute(0, runs[0].id, true).await;
    };
    tokio::select! {
        () = talk => {}
        () = wait => {}
    }
    stage.fixture.stop().await;
}

/// A server that was away does not know who answered meanwhile.
#[tokio::test]
async fn no_worker_is_lost_until_the_server_was_up_for_one_patience() {
    let stage = impatient(1).await;
    let job = stage.job(|_| {}).await;
    let run = stage.due(&job).await;
    made(stage.claim(0, run.id).await);
    let up = std::time::Instant::now();
    let stage = stage.restart().await;
    until(&stage, &run, |run| run.state() == RunState::Scheduled).await;
    assert!(up.elapsed() >= Duration::from_millis(1300), "{:?}", up.elapsed());
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_failed_run_is_tried_again_as_often_as_the_job_says() {
    let stage = Stage::start(1).await;
    let job = stage.job(|job| (job.retry.times, job.retry.backoff) = (2, 0)).await;
    let child = stage.job(|new| (new.title, new.parent) = (Title::fixed("child"), Some(job.id))).await;
    let first = stage.due(&job).await;
    stage.execute(0, first.id, false).await;
    let again = stage.coming(&job).await.remove(0);
    assert_eq!((again.retry_of, again.schedule_id), (Some((first.id, 1)), first.schedule_id));
    stage.execute(0, again.id, false).await;
    let last = stage.coming(&job).await.remove(0);
    assert_eq!(last.retry_of, Some((again.id, 2)));
    assert!(stage.coming(&child).await.is_empty());
    stage.execute(0, last.id, true).await;
    assert_eq!(stage.coming(&child).await.len(), 1);
    assert_eq!(stage.store().job(job.id).await.unwrap().unwrap().fail_times, 0);
    assert_eq!(stage.change(0, first.id, returned(true)).await, RunChange::Refused(LifeRefusal::Final));
    stage.fixture.stop().await;
}

/// Killed is killed, whoever is left to say so.
#[tokio::test]
async fn a_lost_run_with_an_open_kill_is_not_executed_again() {
    let stage = impatient(1).await;
    let (killed, timed) = (
        stage.job(|job| job.concurrency = Concurrency::Allow).await,
        stage.job(|job| (job.title, job.run_timeout) = (Title::fixed("timed"), Some(1))).await,
    );
    let (asked, taken, timed) = (stage.due(&killed).await, stage.due(&killed).await, stage.due(&timed).await);
    for run in [&asked, &taken, &timed] {
        made(stage.claim(0, run.id).await);
        stage.begin(0, run.id).await;
    }
    for run in [&asked, &taken] {
        stage.store().end_run(run.id, Asker::Command, Utc::now()).await.unwrap();
    }
    let kill = stage.store().run_details(&taken).await.unwrap().unwrap().kills[0].0.id;
    stage.take_kill(kill).await;
    for (run, exit) in [(&asked, RunExit::Killed), (&taken, RunExit::Killed), (&timed, RunExit::TimedOut)] {
        let over = until(&stage, run, |run| run.losses == 1).await;
        assert_eq!((over.state(), over.exit, over.attempt), (RunState::Completed, Some(exit), Attempt(1)));
    }
    stage.fixture.stop().await;
}

/// Whoever gives back what is to be killed has not killed it: another would execute it.
#[tokio::test]
async fn a_run_that_is_given_back_before_its_kill_was_taken_is_not_executed_again() {
    let stage = Stage::start(2).await;
    let job = stage.job(|_| {}).await;
    let run = stage.due(&job).await;
    made(stage.claim(0, run.id).await);
    stage.store().end_run(run.id, Asker::Command, Utc::now()).await.unwrap();
    let back = Patch { enqueue_dts: Some(None), start_dts: Some(None), ..Patch::default() };
    let over = made(stage.change(0, run.id, back).await);
    assert_eq!((over.state(), over.exit), (RunState::Completed, Some(RunExit::Killed)));
    stage.fixture.stop().await;
}
