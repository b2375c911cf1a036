//! What is set up in the browser works: a worker begins with the file that it is given there.

use std::process::Command;

use jobrunner::server::model::{State, WorkerId};

use super::Visitor;
use crate::hired::without_settings;
use crate::process::Process;
use crate::stage::Stage;

#[tokio::test]
async fn a_worker_is_made_and_starts_with_the_file_that_it_is_given() {
    let stage = Stage::start(0).await;
    let job = stage.job(|_| {}).await;
    let Some(mut visitor) = Visitor::of(&stage).await else { return };
    visitor.go("/admin/workers/new").await;
    // Something is wrong with it first: that is told, and what was typed stays.
    let fill = "document.querySelector('#f-title').value = 'a <new> one'; document.querySelector('input[name=pools]').checked = true";
    visitor.browser.submit("form.admin", fill).await;
    assert!(visitor.text("#w-api_key").await.contains("contains a colon, a space"));
    assert_eq!(visitor.browser.evaluate("document.querySelector('#f-title').value").await, "a <new> one");
    visitor.browser.submit("form.admin", "document.querySelector('#f-api_key').value = 'new1'").await;
    let ini = visitor.text("#ini").await;
    assert!(ini.contains("api_key = new1\n"), "{ini}");

    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("worker.ini");
    std::fs::write(&config, ini).expect("the file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_job_runner_worker"));
    without_settings(&mut command);
    command
        .env("STATE_DIRECTORY", folder.path().join("state"))
        .env("JOB_RUNNER_WORKER_SCRIPT_TEMP_PATH", folder.path());
    let worker = Process::start("new1", folder.path(), command.arg("--config-path").arg(&config));

    let run = stage.due(&job).await;
    let over = stage
        .until("the end of the run", async |store| {
            store.run(run.id).await.expect("an answer").filter(|run| run.state() == State::Completed)
        })
        .await;
    assert_eq!((over.return_success, over.worker), (Some(true), WorkerId::new(1)), "{}", worker.last_words());
    visitor.go_live("/workers").await;
    visitor.browser.until("document.querySelector('[data-worker=\"a <new> one\"]').dataset.state === 'awake'").await;
    // The secret is told once.
    visitor.go("/admin/workers/1").await;
    assert_eq!(visitor.browser.evaluate("document.body.innerHTML.includes('secret = ')").await, false);
    drop(worker);
    stage.fixture.stop().await;
}

#[tokio::test]
async fn everything_is_made_changed_copied_and_deleted() {
    let stage = Stage::start(1).await;
    let Some(mut visitor) = Visitor::of(&stage).await else { return };
    let set = |field: &str, value: &str| format!("document.querySelector('#f-{field}').value = {value:?};");
    visitor.go("/admin/projects/new").await;
    visitor.browser.submit("form.admin", &set("title", "Backups")).await;
    visitor.go("/admin/templates/new").await;
    let fill = set("title", "shell") + &set("body", "#!/bin/sh\n{{ content|safe }}\n");
    visitor.browser.submit("form.admin", &fill).await;
    visitor.go("/admin/jobs/new").await;
    let fill = set("title", "nightly")
        + &set("script", "echo hello\n")
        + &set("schedule", "cron")
        + &set("cron", "30 2 * * *")
        + &set("zone", "Asia/Tokyo")
        + &set("excludes", "noon");
    visitor.browser.submit("form.admin", &fill).await;
    assert!(visitor.text("#w-excludes").await.contains("no stretch of the day"));
    assert_eq!(visitor.browser.evaluate("document.querySelector('#f-cron').value").await, "30 2 * * *");
    visitor.browser.submit("form.admin", &set("excludes", "12:00 - 13:00 lunch")).await;
    // It leads to the job, whose next time is known as soon as somebody has looked.
    assert!(
        visitor
            .text("#standing")
            .await
            .contains("at 02:30 (cron 30 2 * * *, Asia/Tokyo), but not from 12:00 to 13:00 (lunch)")
    );
    let job = stage.store().jobs_of_title("nightly", 2).await.expect("an answer")[0];
    visitor.go(&format!("/admin/jobs/new?copy={job}")).await;
    visitor.browser.submit("form.admin", "").await;
    assert_eq!(stage.store().jobs_of_title("nightly (copy)", 2).await.expect("an answer").len(), 1);
    visitor.go(&format!("/admin/jobs/{job}")).await;
    visitor
        .browser
        .submit("form.admin", &(set("title", "weekly") + &set("schedule", "interval") + &set("every", "7 days")))
        .await;
    assert!(visitor.text("#standing").await.contains("every 7 days"));
    visitor.go(&format!("/admin/jobs/{job}/delete")).await;
    visitor.browser.submit("form[action$=\"/delete\"]", "").await;
    assert_eq!(visitor.text(".notice").await, "Job weekly is deleted.");
    assert!(stage.store().job(job).await.expect("an answer").is_none());
    stage.fixture.stop().await;
}
