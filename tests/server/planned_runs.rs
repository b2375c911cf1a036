//! Planned runs: the next run of a job exists before it is due.

use std::sync::Arc;

use chrono::{TimeDelta, Utc};
use jobrunner::run::RunId;
use jobrunner::server::domain::model::{Asker, Concurrency, Exclude, Job, Run, Schedule, Unit};
use jobrunner::server::domain::schedule::due_decision::WaitReason;
use jobrunner::server::domain::title::Title;
use jobrunner::server::store::changes::Change;
use jobrunner::server::store::{Entity, Removal, Store};

use crate::stage::{Stage, made};

async fn next(stage: &Stage, job: &Job) -> Run {
    let found = stage.until("the next run", async |store| store.coming(job.id, 9).await.unwrap().pop()).await;
    assert_eq!(stage.coming(job).await.len(), 1);
    found
}

#[tokio::test]
async fn a_job_with_a_schedule_has_a_next_run_and_one_only() {
    let stage = Stage::start(1).await;
    let made_at = Utc::now();
    let job = stage.job(|job| job.schedule = Schedule::Interval { every: 2, unit: Unit::Hour }).await;
    let first = next(&stage, &job).await;
    let wait = first.schedule_dts - made_at;
    assert!(wait > TimeDelta::minutes(119) && wait <= TimeDelta::hours(2), "{wait}");
    stage.fixture.stop().await;
}

#[tokio::test]
async fn the_next_run_is_made_when_the_present_one_is_announced() {
    let stage = Stage::start(1).await;
    let mut worker = stage.subscribe(0).await;
    let every = Schedule::Interval { every: 1, unit: Unit::Hour };
    let job = stage.job(|job| job.schedule = every).await;
    let planned = next(&stage, &job).await;
    // Somebody wants it to begin now: the schedule goes on from there.
    let anchor = stage.run_at(&job, Utc::now()).await;
    assert_eq!(worker.run().await, anchor.id);
    stage.execute(0, anchor.id, true).await;
    let after = next(&stage, &job).await;
    assert!(after.schedule_dts >= planned.schedule_dts);
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_run_by_hand_for_a_later_time_takes_the_place_of_the_next_run() {
    let stage = Stage::start(1).await;
    let every = Schedule::Interval { every: 1, unit: Unit::Hour };
    let job = stage.job(|job| job.schedule = every).await;
    let planned = next(&stage, &job).await;
    let by_hand = stage.run_at(&job, Utc::now() + TimeDelta::hours(5)).await;
    let dropped = async |store: &Store| {
        let coming = store.coming(job.id, 9).await.unwrap();
        (!coming.iter().any(|run| run.id == planned.id)).then_some(coming)
    };
    let coming = stage.until("the end of the planned run", dropped).await;
    assert_eq!(coming.iter().map(|run| run.id).collect::<Vec<_>>(), [by_hand.id]);
    stage.fixture.stop().await;
}

/// The dispatcher decides that a run waits, and the job is deleted before that is recorded.
#[tokio::test]
async fn why_a_run_waited_whose_job_is_deleted_is_recorded_nowhere_and_harms_nothing() {
    let stage = Stage::start(1).await;
    let (gone, there) = (stage.job(|_| {}).await, stage.job(|job| job.title = Title::fixed("there")).await);
    let later = Utc::now() + TimeDelta::hours(5);
    let waits = [stage.run_at(&gone, later).await, stage.run_at(&there, later).await];
    let store = stage.store();
    assert!(matches!(store.remove(Entity::Job, gone.id.get(), Utc::now()).await, Ok(Removal::Gone(_))));
    let waits = waits.map(|run| (run, WaitReason::NoWorker.into(), Utc::now()));
    store.record_waiting(waits.into()).await.expect("a record of the other");
    assert_eq!(store.fires(there.id, 9).await.unwrap().len(), 1);
    stage.fixture.stop().await;
}

#[tokio::test]
async fn the_next_run_follows_a_changed_schedule() {
    let stage = Stage::start(1).await;
    let job = stage.job(|job| job.schedule = Schedule::Interval { every: 30, unit: Unit::Day }).await;
    let far = next(&stage, &job).await;
    stage.change_job(&job, "UPDATE job SET reschedule_interval = 1 WHERE id = ?").await;
    let near = stage
        .until("the change", async |store| {
            store.coming(job.id, 9).await.unwrap().pop().filter(|run| run.schedule_dts < far.schedule_dts)
        })
        .await;
    assert_eq!(near.id, far.id);
    stage.change_job(&job, "UPDATE job SET reschedule_interval = NULL WHERE id = ?").await;
    stage.until("the end", async |store| store.coming(job.id, 9).await.unwrap().is_empty().then_some(())).await;
    assert_eq!(stage.reasons(&job).await, ["Skipped: the job is not scheduled like that any more"]);
    stage.change_job(&job, "UPDATE job SET cron = '0 3 * * *', cron_zone = 'Asia/Tokyo' WHERE id = ?").await;
    let cron = next(&stage, &job).await;
    assert_eq!(cron.schedule_dts.with_timezone(&chrono_tz::Asia::Tokyo).format("%T").to_string(), "03:00:00");
    stage.fixture.stop().await;
}

/// An expression may come from a version that read more of them than this one.
#[tokio::test]
async fn a_stored_expression_that_cannot_be_read_gives_no_next_run_and_says_why() {
    let stage = Stage::start(1).await;
    let job = stage.job(|_| {}).await;
    stage.change_job(&job, "UPDATE job SET cron = 'every full moon', cron_zone = 'UTC' WHERE id = ?").await;
    stage.until("the reason", async |store| store.fires(job.id, 9).await.unwrap().pop()).await;
    let reasons = stage.reasons(&job).await;
    let expected = "Skipped: there is no next run: \"every full moon\" is no cron expression";
    assert!(reasons.len() == 1 && reasons[0].starts_with(expected), "{reasons:?}");
    assert!(stage.coming(&job).await.is_empty());
    let kept = stage.store().job(job.id).await.expect("an answer").expect("the job");
    assert!(matches!(&kept.schedule, Schedule::Cron { expression, .. } if expression.text() == "every full moon"));
    stage.fixture.stop().await;
}

/// The server was away: what was due runs once, late; what came after it is passed over, and that is written down.
#[tokio::test]
async fn after_an_absence_a_job_runs_once_and_says_what_it_missed() {
    let stage = Stage::start(1).await;
    let job = stage.job(|_| {}).await;
    // The worker is disabled, so that nobody looks at what is due until the server is back.
    stage.run_at(&job, Utc::now() - TimeDelta::minutes(65)).await;
    let every = "UPDATE job SET reschedule_interval = 10, reschedule_interval_type = 'MINUTE' WHERE id = ?";
    stage.change_job(&job, every).await;
    let stage = stage.restart().await;
    let mut worker = stage.subscribe(0).await;
    let late = worker.run().await;
    stage.execute(0, late, true).await;
    let coming = next(&stage, &job).await;
    assert!(coming.schedule_dts > Utc::now() && coming.schedule_dts < Utc::now() + TimeDelta::minutes(10));
    let reasons = stage.reasons(&job).await;
    assert_eq!(reasons, ["Missed: this and 5 more times passed while the one before waited or nobody looked"]);
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_job_whose_schedule_leaves_out_everything_says_so() {
    let stage = Stage::start(1).await;
    let time = |text| chrono::NaiveTime::parse_from_str(text, "%H:%M:%S").unwrap();
    let always = Exclude { start: time("00:00:00"), end: time("23:59:59"), note: "never".to_owned() };
    let job = stage
        .job(|job| {
            job.schedule = Schedule::Interval { every: 5, unit: Unit::Minute };
            job.excludes = vec![always];
        })
        .await;
    stage.store().evaluate_jobs(vec![job.id], &Arc::default(), chrono_tz::UTC, Utc::now()).await.unwrap();
    assert!(stage.coming(&job).await.is_empty());
    let reasons = stage.reasons(&job).await;
    assert_eq!(reasons[0], "Skipped: there is no next run: its excludes leave out every time of the next forty years");
    assert_eq!(reasons[1], "Excluded: the schedule leaves out 00:00 to 23:59:59 (never)");
    // Said once, however often somebody looks.
    stage.store().evaluate_jobs(vec![job.id], &Arc::default(), chrono_tz::UTC, Utc::now()).await.unwrap();
    let again = stage.reasons(&job).await;
    assert_eq!(again.iter().filter(|reason| reason.contains("there is no next run")).count(), 1, "{again:?}");
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_skipped_run_moves_to_its_next_time() {
    let stage = Stage::start(1).await;
    let job = stage
        .job(|job| {
            job.schedule = Schedule::Interval { every: 1, unit: Unit::Hour };
            job.concurrency = Concurrency::Skip;
        })
        .await;
    let planned = next(&stage, &job).await;
    let active = stage.manual(&job).await.id;
    made(stage.claim(0, active).await);
    stage.make_due(&planned).await;
    let moved = stage
        .until("the move", async |store| {
            store.run(planned.id).await.unwrap().filter(|run| run.schedule_dts > Utc::now())
        })
        .await;
    assert!(moved.schedule_dts < Utc::now() + TimeDelta::hours(1));
    assert_eq!(stage.reasons(&job).await[0], format!("Skipped: run {active} of the job is not over yet"));
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_scheduled_run_that_is_cancelled_keeps_its_schedule() {
    let stage = Stage::start(1).await;
    let job = stage.job(|job| job.schedule = Schedule::Interval { every: 2, unit: Unit::Hour }).await;
    let planned = next(&stage, &job).await;
    stage.store().end_run(planned.id, Asker::Command, Utc::now()).await.unwrap();
    let after = next(&stage, &job).await;
    assert_eq!(after.schedule_dts - planned.schedule_dts, TimeDelta::hours(2));
    assert_eq!(stage.reasons(&job).await, ["Skipped: cancelled by the command"]);
    // Over the REST API as well.
    stage.store().end_run(after.id, Asker::Client, Utc::now()).await.unwrap();
    let last = next(&stage, &job).await;
    assert_eq!(last.schedule_dts - after.schedule_dts, TimeDelta::hours(2));
    assert_eq!(stage.reasons(&job).await[1], "Skipped: cancelled over the REST API");
    stage.fixture.stop().await;
}

#[tokio::test]
async fn one_worker_that_is_gone_does_not_end_a_schedule_on_all_workers() {
    let stage = Stage::start(2).await;
    let job = stage
        .job(|job| {
            job.schedule = Schedule::Interval { every: 1, unit: Unit::Hour };
            job.run_on_all_workers = true;
        })
        .await;
    let planned = next(&stage, &job).await;
    stage.make_due(&planned).await;
    let spread = stage
        .until("a run of each", async |store| {
            let runs = store.coming(job.id, 9).await.unwrap();
            Some(runs.into_iter().filter(|run| run.pinned).collect::<Vec<_>>()).filter(|runs| runs.len() == 2)
        })
        .await;
    stage.disable_worker(0).await;
    stage.execute(1, spread[1].id, true).await;
    let all = async || stage.coming(&job).await.into_iter().filter(|run| !run.pinned).collect::<Vec<_>>();
    let after = stage.until("the next run", async |_| all().await.pop()).await;
    assert!(after.schedule_dts > Utc::now());
    // Nor does it at the time after that.
    stage.make_due(&after).await;
    let next = stage.until("the one after", async |_| all().await.pop().filter(|run| run.id != after.id)).await;
    assert!(next.schedule_dts > Utc::now());
    stage.fixture.stop().await;
}

/// The process dies after a change was committed, or the news of the change was missed: nobody has looked at it.
#[tokio::test]
async fn a_changed_schedule_is_found_after_a_restart_and_after_missed_changes() {
    let stage = Stage::start(1).await;
    let job = stage.job(|job| job.schedule = Schedule::Interval { every: 365, unit: Unit::Day }).await;
    next(&stage, &job).await;
    let change = async |stage: &Stage, change: &'static str| {
        stage.write(move |session| session.execute(change, [])).await;
    };
    let within = async |stage: &Stage, minutes| {
        let limit = Utc::now() + TimeDelta::minutes(minutes);
        let found =
            async |store: &Store| store.coming(job.id, 9).await.unwrap().pop().filter(|run| run.schedule_dts < limit);
        stage.until("the change", found).await
    };
    change(&stage, "UPDATE job SET reschedule_interval = 20, reschedule_interval_type = 'MINUTE'").await;
    let stage = stage.restart().await;
    within(&stage, 20).await;
    change(&stage, "UPDATE job SET reschedule_interval = 1").await;
    // More than anybody can be behind; who is quick enough to hear all of it is told once more.
    let log = |bytes| Change::RunLog(RunId::new(1).unwrap(), bytes);
    let limit = Utc::now() + TimeDelta::minutes(1);
    let found = async |store: &Store| {
        (0..5000).for_each(|bytes| store.changes().publish(log(bytes)));
        store.coming(job.id, 9).await.unwrap().pop().filter(|run| run.schedule_dts < limit)
    };
    stage.until("the change that was missed", found).await;
    change(&stage, "UPDATE job SET reschedule_interval = NULL").await;
    let stage = stage.restart().await;
    stage.until("the end", async |store| store.coming(job.id, 9).await.unwrap().is_empty().then_some(())).await;
    stage.fixture.stop().await;
}

/// It was offered when the next one was planned, and is skipped only then.
#[tokio::test]
async fn a_job_has_one_next_time_although_the_one_before_is_skipped_late() {
    let stage = Stage::start(1).await;
    let mut worker = stage.subscribe(0).await;
    let job = stage
        .job(|job| {
            job.schedule = Schedule::Interval { every: 1, unit: Unit::Hour };
            job.concurrency = Concurrency::Skip;
        })
        .await;
    let first = next(&stage, &job).await;
    stage.make_due(&first).await;
    assert_eq!(worker.run().await, first.id);
    stage.until("the second", async |store| store.coming(job.id, 9).await.unwrap().get(1).cloned()).await;
    stage.disable(&job).await;
    let asked = stage.manual(&job).await.id;
    made(stage.claim(0, asked).await);
    stage.enable(&job).await;
    let skipped = format!("Skipped: run {asked} of the job is not over yet");
    stage.until("the skip", async |_| stage.reasons(&job).await.contains(&skipped).then_some(())).await;
    assert_eq!(stage.coming(&job).await.len(), 1);
    stage.fixture.stop().await;
}
