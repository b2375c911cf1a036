//! Pages of the farm: progress is seen without a reload, workers are commanded from the menu, and tasks are tried again.

use serde_json::{Value, json};

use super::Visitor;
use crate::farm::{FarmWorker, completed, submit};
use crate::stage::Stage;

/// A server with a Flamenco Manager.
pub async fn stage() -> Stage {
    Stage::with(0, |settings| settings.farm.listen = Some("127.0.0.1:0".parse().expect("an address"))).await
}

/// A job, whose first task a worker executes, whose second one failed, and of whose last one the parent is open. Returns the
/// id of the job and those of its first two tasks.
pub async fn fill(stage: &Stage) -> (String, [String; 2]) {
    let server = &stage.fixture;
    let worker = FarmWorker::register(server, "render-01", &["echo", "blender-render"]).await;
    FarmWorker::register(server, "render-02", &["file-management"]).await;
    let job = submit(server, "echo", 6).await;
    let failed = task(&worker).await;
    let log: Vec<String> = (0..400).map(|line| format!("2026-11-23T17:02:02+00:00: pid=7 > line {line}")).collect();
    let update =
        json!({"task_status": "failed", "activity": "exec.(task_id=1, command_idx=0): Error", "log": log.join("\n")});
    assert_eq!(worker.update(&failed, update).await, 204);
    let active = task(&worker).await;
    assert_eq!(worker.update(&active, json!({"task_status": "active", "activity": "starting echo"})).await, 204);
    (job["id"].as_str().expect("an id").to_owned(), [active, failed])
}

async fn task(worker: &FarmWorker) -> String {
    worker.task().await["_id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn the_progress_of_a_job_and_the_log_of_a_task_are_seen_without_a_reload() {
    let stage = stage().await;
    let worker = FarmWorker::register(&stage.fixture, "render-01", &["echo"]).await;
    let job = submit(&stage.fixture, "echo", 2).await;
    let Some(mut visitor) = Visitor::of(&stage).await else { return };
    visitor.go_live("/farm").await;
    assert_eq!(visitor.text("nav a[aria-current]").await, "Farm");
    let first = task(&worker).await;
    let named = format!("document.querySelector('#farm-workers a[href=\"/farm/tasks/{first}\"]')");
    visitor.browser.until(&named).await;
    assert_eq!(worker.update(&first, completed("a line")).await, 204);
    visitor.browser.until("document.querySelector('#farm-jobs progress').value === 1").await;
    visitor.is_the_same_page().await;

    visitor.go_live(&format!("/farm/jobs/{}", job["id"].as_str().expect("an id"))).await;
    let second = task(&worker).await;
    visitor.browser.until("document.querySelector('#farm-tasks .state.running')").await;
    visitor.is_the_same_page().await;

    visitor.go_live(&format!("/farm/tasks/{second}")).await;
    assert_eq!(worker.update(&second, json!({"log": "a new line"})).await, 204);
    visitor.browser.until("document.querySelector('#farm-log pre').textContent.includes('a new line')").await;
    assert_eq!(worker.update(&second, completed("the last line")).await, 204);
    visitor.browser.until("document.querySelector('#farm-task .why').textContent.includes('it is completed')").await;
    visitor.is_the_same_page().await;
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_worker_is_sent_to_sleep_from_the_menu() {
    let stage = stage().await;
    let worker = FarmWorker::register(&stage.fixture, "render-01", &["echo"]).await;
    let Some(mut visitor) = Visitor::of(&stage).await else { return };
    visitor.go("/farm").await;
    visitor.browser.submit("#act", "").await;
    assert_eq!(visitor.text(".notice.bad").await, "Choose an action.");
    visitor.browser.submit("#act", "document.querySelector('#action').value = 'sleep'").await;
    assert_eq!(visitor.text(".notice.bad").await, "Choose a worker.");
    let choose =
        "document.querySelector('#action').value = 'sleep'; document.querySelector('input[name=worker]').click()";
    visitor.browser.submit("#act", choose).await;
    assert_eq!(visitor.text(".notice.good").await, "1 worker asked to sleep.");
    assert_eq!(visitor.text("#farm-workers .requested").await, "requested: asleep after its task");
    assert_eq!(worker.send("POST", "/task", None).await.status, 423);
    assert_eq!(worker.send("POST", "/ack-status-change/asleep", None).await.status, 204);
    visitor.browser.until("document.querySelector('#farm-workers .state.asleep')").await;
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_task_that_failed_is_requeued_and_a_job_is_cancelled_from_their_pages() {
    let stage = stage().await;
    let (job, [active, failed]) = fill(&stage).await;
    let Some(mut visitor) = Visitor::of(&stage).await else { return };
    visitor.go(&format!("/farm/tasks/{failed}")).await;
    let log = visitor.text("#farm-log pre").await;
    assert!(log.contains("Skipped") && log.contains("line 399"), "{log}");
    visitor.browser.submit("#farm-task form", "").await;
    assert_eq!(visitor.text(".notice.good").await, "1 task was requeued.");
    assert_eq!(visitor.text("#farm-task .state").await, "queued");
    visitor.go(&format!("/farm/tasks/{active}")).await;
    assert_eq!(visitor.browser.evaluate("document.querySelector('#farm-task form')").await, Value::Null);
    visitor.go(&format!("/farm/jobs/{job}")).await;
    visitor.browser.submit("details.ask form", "").await;
    assert_eq!(visitor.text(".notice.good").await, "5 tasks were cancelled; workers are asked to stop 1.");
    visitor.go(&format!("/farm/jobs/{job}?state=cancel-requested")).await;
    assert_eq!(visitor.browser.evaluate("document.querySelectorAll('#farm-tasks tbody tr').length").await, 1);
    stage.fixture.stop().await;
}
