//! Runs on all workers: a run becomes one run of each worker of the pool.

use chrono::Utc;
use jobrunner::run::RunId;
use jobrunner::server::domain::model::{Asker, Job, Run};
use jobrunner::server::domain::title::Title;
use jobrunner::server::store::{Entity, Removal};
use nix::sys::signal::Signal;

use crate::program::Place;
use crate::stage::Stage;

/// A stage with workers that answer, and a job that all of them do.
async fn on_all(workers: usize) -> (Stage, Job) {
    let stage = Stage::start(workers).await;
    for worker in 0..workers {
        stage.answer(worker, 4).await;
    }
    let job = stage.job(|job| job.run_on_all_workers = true).await;
    (stage, job)
}

/// The runs of a job that nobody has begun, when there are so many.
async fn spread(stage: &Stage, job: &Job, count: usize) -> Vec<Run> {
    let all = async |_: &_| {
        Some(stage.coming(job).await).filter(|runs| runs.len() == count && runs.iter().any(|run| run.pinned))
    };
    stage.until("a run of each worker", all).await
}

#[tokio::test]
async fn each_run_on_all_workers_records_who_requested_it() {
    let (stage, job) = on_all(2).await;
    stage.store().enqueue_run_now(job.id, true, Asker::Command, Utc::now()).await.unwrap();
    for run in spread(&stage, &job, 2).await {
        let asked_by = stage.store().run_details(&run).await.unwrap().unwrap().asked_by;
        assert_eq!(asked_by.map(|somebody| somebody.asker), Some(Asker::Command));
    }
    stage.fixture.stop().await;
}

#[tokio::test]
async fn each_run_of_a_child_on_all_workers_knows_what_it_follows() {
    let (stage, child) = on_all(3).await;
    let parent = stage.job(|job| job.title = Title::fixed("parent")).await;
    stage.change_job(&child, "UPDATE job SET parent = (SELECT id FROM job WHERE title = 'parent') WHERE id = ?").await;
    let followed = stage.due(&parent).await.id;
    stage.execute(0, followed, true).await;
    for run in spread(&stage, &child, 3).await {
        let story = stage.store().run_details(&run).await.unwrap().unwrap();
        assert_eq!(story.follows.map(|other| other.run.id), Some(followed), "{run:?}");
    }
    stage.fixture.stop().await;
}

#[tokio::test]
async fn the_requested_run_is_one_of_the_runs_on_all_workers() {
    let (stage, job) = on_all(3).await;
    let asked = stage.store().enqueue_run_now(job.id, true, Asker::Dashboard, Utc::now()).await.unwrap();
    let runs = spread(&stage, &job, 3).await;
    assert!(runs.iter().any(|run| run.id == asked.id), "{asked:?} became {runs:?}");
    let mut workers: Vec<_> = runs.iter().filter_map(|run| run.worker).collect();
    workers.sort_unstable();
    assert_eq!(workers, [stage.worker(0), stage.worker(1), stage.worker(2)]);
    assert!(runs.iter().all(|run| run.schedule_id == asked.schedule_id && run.is_manual && run.pinned), "{runs:?}");
    // Who asks by the command finds all of them by the id that it was told.
    let place = Place::new();
    let data = stage.fixture.app_state().settings.data.display().to_string();
    let listed = place.run(&["runs", "--with", &asked.id.to_string(), "--json", "--data", &data]).await;
    assert_eq!(listed.code, 0, "{listed:?}");
    let listed = listed.json();
    let mut ids: Vec<i64> = listed["runs"].as_array().unwrap().iter().filter_map(|run| run["id"].as_i64()).collect();
    ids.sort_unstable();
    assert_eq!(ids, runs.iter().map(|run| run.id.get()).collect::<Vec<_>>());
    let none = place.run(&["runs", "--with", "999", "--data", &data]).await;
    assert_eq!((none.code, none.err.as_str()), (1, "job_runner: there is no run 999\n"));
    // Each is executed once, and nothing of them is left.
    for (worker, run) in runs.iter().enumerate() {
        stage.execute(worker, run.id, true).await;
    }
    assert!(stage.coming(&job).await.is_empty());
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_scheduled_run_on_all_workers_leaves_the_next_one_to_the_schedule() {
    let (stage, job) = on_all(2).await;
    stage
        .change_job(&job, "UPDATE job SET reschedule_interval = 1, reschedule_interval_type = 'HOUR' WHERE id = ?")
        .await;
    let planned = stage.until("its next run", async |_| stage.coming(&job).await.pop()).await;
    stage.make_due(&planned).await;
    // One of each worker that is due, and the next one, which is nobody's yet.
    let runs = spread(&stage, &job, 3).await;
    let (due, next): (Vec<_>, Vec<_>) = runs.iter().partition(|run| run.pinned);
    assert_eq!((due.len(), next.len()), (2, 1), "{runs:?}");
    assert!(due.iter().any(|run| run.id == planned.id) && next[0].schedule_dts > Utc::now(), "{runs:?}");
    // One of them is cancelled: it is not planned anew for its worker alone.
    stage.store().end_run(planned.id, Asker::Command, Utc::now()).await.unwrap();
    let coming = stage.coming(&job).await;
    assert_eq!(coming.iter().filter(|run| run.schedule_dts > Utc::now()).count(), 1, "{coming:?}");
    stage.fixture.stop().await;
}

#[tokio::test]
async fn runs_pinned_to_a_removed_worker_end_and_their_children_follow() {
    let (stage, job) = on_all(2).await;
    let child = stage.job(|new| (new.title, new.parent) = (Title::fixed("child"), Some(job.id))).await;
    stage.store().enqueue_run_now(job.id, true, Asker::Command, Utc::now()).await.unwrap();
    let runs = spread(&stage, &job, 2).await;
    stage.execute(0, runs[0].id, true).await;
    assert!(stage.coming(&child).await.is_empty());
    assert!(matches!(
        stage.store().remove(Entity::Worker, stage.worker(1).get(), Utc::now()).await,
        Ok(Removal::Gone(_))
    ));
    assert!(stage.store().run(runs[1].id).await.unwrap().is_none());
    let coming = stage.coming(&child).await;
    assert_eq!(coming.len(), 1, "the child runs after the only run that there was");
    let reasons = stage.reasons(&job).await;
    assert!(reasons.contains(&format!("Skipped: its worker {} was removed", stage.worker(1))), "{reasons:?}");
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_failure_counts_when_the_worker_that_was_to_try_again_is_removed() {
    let (stage, job) = on_all(1).await;
    let job_retries = "UPDATE job SET retry_times = 3, retry_backoff = 3600 WHERE id = ?";
    stage.change_job(&job, job_retries).await;
    stage.store().enqueue_run_now(job.id, true, Asker::Command, Utc::now()).await.unwrap();
    let run = spread(&stage, &job, 1).await.remove(0);
    stage.execute(0, run.id, false).await;
    assert_eq!(stage.store().job(job.id).await.unwrap().unwrap().fail_times, 0);
    assert!(matches!(
        stage.store().remove(Entity::Worker, stage.worker(0).get(), Utc::now()).await,
        Ok(Removal::Gone(_))
    ));
    assert!(stage.coming(&job).await.is_empty());
    assert_eq!(stage.store().job(job.id).await.unwrap().unwrap().fail_times, 1);
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_follower_is_told_when_the_job_is_removed() {
    let stage = Stage::start(1).await;
    let job = stage.job(|_| {}).await;
    let run: RunId = stage.due(&job).await.id;
    stage.write_log(run, "so far\n").await;
    let place = Place::new();
    let data = stage.fixture.app_state().settings.data.display().to_string();
    let mut logs = place.start(&["logs", "-f", &run.to_string(), "--data", &data]);
    logs.line_with("so far").await;
    assert!(matches!(stage.store().remove(Entity::Job, job.id.get(), Utc::now()).await, Ok(Removal::Gone(_))));
    let done = logs.end().await;
    // Why it waits may have been said before.
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.err.ends_with(&format!("job_runner: there is no run {run}\n")), "{done:?}");
    stage.fixture.stop().await;
}

#[tokio::test]
async fn the_log_of_a_job_is_followed_from_the_run_that_is_due_and_waits() {
    let place = Place::new();
    let (standalone, _) = place.standalone().await;
    place.script("late.sh", "#!/bin/sh\necho late\n");
    assert_eq!(place.run(&["job", "add", "late.sh", "--cron", "0 0 1 1 *"]).await.code, 0);
    assert_eq!(place.run(&["schedule", "late.sh"]).await.code, 0);
    assert_eq!(place.run(&["logs", "-f", "late.sh"]).await.out, "late\n");
    assert_eq!(place.run(&["workers", "sleep", "local"]).await.code, 0);
    let run = place.run(&["schedule", "late.sh", "--json"]).await.json()["id"].clone();
    let logs = place.start(&["logs", "-f", "late.sh"]);
    // It waits for its worker, and is not the run before.
    assert_eq!(place.run(&["workers", "wake", "local"]).await.code, 0);
    let done = logs.end().await;
    assert_eq!((done.code, done.out.as_str()), (0, "late\n"), "{done:?}");
    let waited = place.run(&["runs", "--job", "late.sh", "--json"]).await.json();
    let it = waited["runs"].as_array().unwrap().iter().find(|one| one["id"] == run).expect("the run");
    assert_eq!(it["state"], "succeeded", "{waited}");
    standalone.signal(Signal::SIGINT);
    assert_eq!(standalone.end().await.code, 0);
}
