//! Announcements: which worker gets which, and how often.

use std::sync::Arc;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use jobrunner::run::Order;
use jobrunner::server::domain::model::{Asker, Concurrency, RunExit, RunState};
use jobrunner::server::domain::title::Title;
use jobrunner::server::store::{JobPatch, NewPool};

use crate::stage::{Stage, made, returned};

#[tokio::test]
async fn a_due_run_is_announced_until_somebody_claims_it() {
    let stage = Stage::start(1).await;
    let mut worker = stage.subscribe(0).await;
    let job = stage.job(|_| {}).await;
    let run = stage.due(&job).await.id;
    assert_eq!(worker.run().await, run);
    assert_eq!(worker.run().await, run, "it is said again");
    made(stage.claim(0, run).await);
    // What is said next is of the next run.
    made(stage.finish(0, run, true).await);
    let next = stage.due(&job).await.id;
    while worker.run().await != next {}
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_run_is_announced_at_its_time_and_not_before() {
    let stage = Stage::start(1).await;
    let mut worker = stage.subscribe(0).await;
    let job = stage.job(|_| {}).await;
    let later = stage.run_at(&job, Utc::now() + TimeDelta::milliseconds(700)).await;
    assert_eq!(worker.run().await, later.id);
    assert!(Utc::now() >= later.schedule_dts);
    stage.fixture.stop().await;
}

/// Who subscribes is told at once, not at the next repeat.
#[tokio::test]
async fn a_new_subscriber_gets_announcements_that_it_missed() {
    let stage = Stage::with(1, |settings| settings.announce_interval = Duration::from_secs(3600)).await;
    let job = stage.job(|_| {}).await;
    let mut early = stage.subscribe(0).await;
    let run = stage.due(&job).await.id;
    assert_eq!(early.run().await, run);
    let mut late = stage.subscribe(0).await;
    assert_eq!(late.next().await, Order::Ping);
    assert_eq!(late.run().await, run);
    stage.fixture.stop().await;
}

/// The original tells a worker by chance, and another one five seconds later, so that two execute the run.
#[tokio::test]
async fn in_a_pool_the_worker_with_most_free_slots_comes_first_and_then_the_next() {
    let stage = Stage::start(3).await;
    let mut workers = [stage.subscribe(0).await, stage.subscribe(1).await, stage.subscribe(2).await];
    for (worker, seats) in [(0, 2), (1, 8), (2, 4)] {
        stage.answer(worker, seats).await;
    }
    let job = stage.job(|_| {}).await;
    let run = stage.due(&job).await.id;
    let mut order = Vec::new();
    while order.len() < 4 {
        let [one, two, three] = &mut workers;
        tokio::select! {
            heard = one.run() => { assert_eq!(heard, run); order.push(1); }
            heard = two.run() => { assert_eq!(heard, run); order.push(2); }
            heard = three.run() => { assert_eq!(heard, run); order.push(3); }
        }
    }
    assert_eq!(order, [2, 3, 1, 2]);
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_run_waits_for_a_free_slot() {
    let stage = Stage::start(1).await;
    let mut worker = stage.subscribe(0).await;
    stage.answer(0, 1).await;
    let first_job = stage.job(|_| {}).await;
    let first = stage.due(&first_job).await.id;
    assert_eq!(worker.run().await, first);
    made(stage.claim(0, first).await);
    let second_job = stage.job(|job| job.title = Title::fixed("second")).await;
    let second = stage.due(&second_job).await.id;
    stage
        .until("the reason", async |store| {
            let fires = store.fires(second_job.id, 1).await.unwrap();
            // It is written after the last piece of news, so this is another.
            store.changes().publish(jobrunner::server::store::changes::Change::RunLog(first, 0));
            fires.first().map(|fire| assert_eq!(fire.reason.to_string(), "no worker of the pool has a free slot"))
        })
        .await;
    made(stage.finish(0, first, true).await);
    while worker.run().await != second {}
    stage.fixture.stop().await;
}

/// The original offers a kill when there is a pid: a run that is claimed and waits cannot be killed at all.
#[tokio::test]
async fn a_kill_is_announced_without_a_pid_until_it_is_taken() {
    let stage = Stage::start(1).await;
    let mut worker = stage.subscribe(0).await;
    let job = stage.job(|job| job.run_timeout = Some(1)).await;
    let run = stage.due(&job).await.id;
    made(stage.claim(0, run).await);
    stage.begin(0, run).await;
    assert_eq!(stage.run(run).await.pid, None);
    let kill = worker.kill().await;
    assert_eq!(worker.kill().await, kill, "it is said again");
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_run_over_its_time_limit_is_killed_as_timed_out() {
    let stage = Stage::start(1).await;
    let mut worker = stage.subscribe(0).await;
    let job = stage.job(|job| job.run_timeout = Some(1)).await;
    let run = stage.due(&job).await.id;
    made(stage.claim(0, run).await);
    stage.begin(0, run).await;
    let kill = worker.kill().await;
    assert_eq!(stage.kill(kill), (run, "timed_out".to_owned()));
    stage.take_kill(kill).await;
    let over = made(stage.change(0, run, returned(false)).await);
    assert_eq!(over.exit, Some(RunExit::TimedOut));
    stage.fixture.stop().await;
}

#[tokio::test]
async fn concurrency_wait_runs_one_schedule_id_at_a_time() {
    let stage = Stage::start(1).await;
    let mut worker = stage.subscribe(0).await;
    let job = stage.job(|_| {}).await;
    let first = stage.due(&job).await;
    let second = stage.due(&job).await;
    assert_eq!(worker.run().await, first.id);
    stage.execute(0, first.id, true).await;
    while worker.run().await != second.id {}
    // Whichever it was when it was looked at.
    let (before, during) = ("comes first", "is not over yet");
    let may = [before, during].map(|why| format!("Delayed: run {} of the job {why}", first.id));
    let reasons = stage.reasons(&job).await;
    assert!(!reasons.is_empty() && reasons.iter().all(|reason| may.contains(reason)), "{reasons:?}");
    stage.fixture.stop().await;
}

#[tokio::test]
async fn concurrency_allow_runs_side_by_side() {
    let stage = Stage::start(1).await;
    let mut worker = stage.subscribe(0).await;
    let job = stage.job(|job| job.concurrency = Concurrency::Allow).await;
    let (first, second) = (stage.due(&job).await.id, stage.due(&job).await.id);
    let mut heard = std::collections::BTreeSet::new();
    while heard.len() < 2 {
        heard.insert(worker.run().await);
    }
    assert_eq!(heard, [first, second].into());
    made(stage.claim(0, second).await);
    made(stage.claim(0, first).await);
    stage.fixture.stop().await;
}

#[tokio::test]
async fn concurrency_replace_ends_the_earlier_run() {
    let stage = Stage::start(1).await;
    let mut worker = stage.subscribe(0).await;
    let job = stage.job(|job| job.concurrency = Concurrency::Replace).await;
    let first = stage.due(&job).await.id;
    made(stage.claim(0, first).await);
    stage.begin(0, first).await;
    let second = stage.due(&job).await.id;
    let kill = worker.kill().await;
    assert_eq!(stage.kill(kill), (first, "replaced".to_owned()));
    stage.take_kill(kill).await;
    assert_eq!(made(stage.finish(0, first, false).await).exit, Some(RunExit::Killed));
    while worker.run().await != second {}
    assert_eq!(stage.reasons(&job).await, [format!("Delayed: run {first} is killed to make room")]);
    stage.fixture.stop().await;
}

#[tokio::test]
async fn concurrency_skip_skips_the_run_and_records_it() {
    let stage = Stage::start(1).await;
    let job = stage.job(|job| job.concurrency = Concurrency::Skip).await;
    let first = stage.due(&job).await.id;
    made(stage.claim(0, first).await);
    let second = stage.due(&job).await.id;
    stage.until("the end of the second", async |store| store.run(second).await.unwrap().is_none().then_some(())).await;
    assert_eq!(stage.reasons(&job).await, [format!("Skipped: run {first} of the job is not over yet")]);
    assert_eq!(stage.run(first).await.state(), RunState::InQueue);
    stage.fixture.stop().await;
}

/// Two broadcasters on the original's SQLite make every run of `run_on_all_workers` twice.
#[tokio::test]
async fn h43_a_run_on_all_workers_becomes_one_run_of_each_however_often_it_is_evaluated() {
    let stage = Stage::start(3).await;
    let mut workers = [stage.subscribe(0).await, stage.subscribe(1).await, stage.subscribe(2).await];
    let job = stage.job(|job| job.run_on_all_workers = true).await;
    let due = stage.due(&job).await;
    let availability = Arc::new(jobrunner::server::domain::schedule::due_decision::Availability {
        pools: [(stage.pool.id, vec![stage.worker(0), stage.worker(1), stage.worker(2)])].into(),
        enabled: (0..3).map(|index| stage.worker(index)).collect(),
        silent: [].into(),
        ..Default::default()
    });
    let look = || stage.store().evaluate_jobs(vec![job.id], &availability, chrono_tz::UTC, Utc::now());
    let looks = tokio::join!(look(), look(), look());
    for looked in [looks.0, looks.1, looks.2] {
        assert_eq!(looked.unwrap()[0].as_ref().unwrap().offers.len(), 3);
    }
    let runs = stage.coming(&job).await;
    assert_eq!(
        runs.iter().map(|run| run.worker).collect::<Vec<_>>(),
        (0..3).map(|n| Some(stage.worker(n))).collect::<Vec<_>>()
    );
    assert!(runs.iter().all(|run| run.schedule_id == due.schedule_id && run.pinned));
    for (index, worker) in workers.iter_mut().enumerate() {
        assert_eq!(worker.run().await, runs[index].id);
    }
    stage.fixture.stop().await;
}

#[tokio::test]
async fn disabled_jobs_and_workers_get_only_requested_runs() {
    let stage = Stage::start(1).await;
    let mut worker = stage.subscribe(0).await;
    let job = stage.job(|_| {}).await;
    stage.disable(&job).await;
    let scheduled = stage.due(&job).await.id;
    let manual = stage.manual(&job).await.id;
    assert_eq!(worker.run().await, manual);
    stage.execute(0, manual, true).await;
    stage.enable(&job).await;
    while worker.run().await != scheduled {}
    assert_eq!(stage.reasons(&job).await[0], "Delayed: the job is disabled");
    stage.fixture.stop().await;
}

/// Workers that answer pings and claim nothing: what is announced to them takes no slot for ever.
#[tokio::test]
async fn an_unclaimed_run_is_announced_again_without_blocking_others() {
    let stage = Stage::start(1).await;
    let mut worker = stage.subscribe(0).await;
    stage.answer(0, 2).await;
    let mut runs = std::collections::BTreeSet::new();
    for number in 0..3 {
        let job = stage.job(|job| job.title = Title::new(&format!("job {number}")).expect("a title")).await;
        runs.insert(stage.due(&job).await.id);
    }
    for _ in 0..4 {
        let mut heard = std::collections::BTreeSet::new();
        while heard != runs {
            heard.insert(worker.run().await);
        }
    }
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_run_that_waits_for_a_slot_gets_it_although_the_one_before_it_is_gone() {
    for gone in ["killed", "disabled", "moved"] {
        let stage = Stage::start(1).await;
        let mut worker = stage.subscribe(0).await;
        stage.answer(0, 1).await;
        let mut jobs = Vec::new();
        let mut runs = Vec::new();
        for title in ["long", "first", "second"] {
            let job = stage.job(|job| job.title = Title::new(title).expect("a title")).await;
            let run = stage.due(&job).await.id;
            if title == "long" {
                assert_eq!(worker.run().await, run);
                made(stage.claim(0, run).await);
            } else {
                stage.until("a reason to wait", async |store| store.fires(job.id, 1).await.unwrap().pop()).await;
            }
            runs.push(run);
            jobs.push(job);
        }
        match gone {
            "killed" => drop(stage.store().end_run(runs[1], Asker::Command, Utc::now()).await.unwrap()),
            "disabled" => stage.disable(&jobs[1]).await,
            _ => {
                let pool = stage.store().new_pool(&NewPool::new(Title::fixed("other"))).await;
                let patch = JobPatch { pool: Some(pool.unwrap().id), ..JobPatch::default() };
                stage.store().change_job(jobs[1].id, &patch).await.unwrap();
            }
        }
        made(stage.finish(0, runs[0], true).await);
        let told = tokio::time::timeout(Duration::from_secs(10), async { while worker.run().await != runs[2] {} });
        assert!(told.await.is_ok(), "the first is {gone}, the second is never announced");
        stage.fixture.stop().await;
    }
}
