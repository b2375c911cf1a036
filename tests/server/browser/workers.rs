//! Page "Workers": commands from the menu, and how they are followed.

use chrono::Utc;
use jobrunner::run::{RequestId, WorkerState};
use jobrunner::server::domain::model::{Asker, RunState};
use jobrunner::server::store::{AnswerKind, WorkerAnswer, WorkerReport};

use super::Visitor;
use crate::stage::Stage;
use crate::worker_process::{Make, Place, start_worker_with};

/// What a worker ends with to be started again.
const RESTART: i32 = 47;
/// How long it has for that.
const END_SECONDS: u64 = 60;

/// A worker of ours tells of itself.
async fn tells(stage: &Stage, worker: usize, duty: WorkerState, done: Option<RequestId>) {
    let tells =
        WorkerReport { state: duty, slots_taken: 0, outbox: 0, restarts: false, held: Vec::new(), follows: done, done };
    let answer = WorkerAnswer { at: Some(Utc::now()), version: None, slots: Some(2), kind: AnswerKind::Ours(tells) };
    stage.store().record_status(stage.worker(worker), &answer, Utc::now()).await.expect("an answer");
}

fn row(worker: usize) -> String {
    format!("document.querySelector('[data-worker=\"worker{worker}\"]')")
}

#[tokio::test]
async fn a_command_is_shown_until_it_is_confirmed() {
    let stage = Stage::start(3).await;
    tells(&stage, 0, WorkerState::Awake, None).await;
    tells(&stage, 1, WorkerState::Awake, None).await;
    // The third is of the original kind.
    stage.answer(2, 1).await;
    let Some(mut visitor) = Visitor::of(&stage).await else { return };
    visitor.go_live("/workers").await;
    let browser = &mut visitor.browser;
    assert_eq!(browser.evaluate("document.querySelectorAll('input[name=worker]').length").await, 2);
    let can_apply = "!document.querySelector('#apply').disabled";
    assert_eq!(browser.evaluate(can_apply).await, false);
    browser.evaluate(&format!("{}.querySelector('input').click()", row(1))).await;
    assert_eq!(browser.evaluate(can_apply).await, false);
    // What it cannot do is not offered.
    assert_eq!(browser.evaluate("document.querySelector('option[value=restart]').disabled").await, true);
    let choose = |value: &str| {
        format!("(action.value = '{value}', action.dispatchEvent(new Event('change', {{bubbles: true}})))")
    };
    browser.evaluate(&choose("sleep")).await;
    assert_eq!(browser.evaluate(can_apply).await, true);
    browser.evaluate(&choose("")).await;
    assert_eq!(browser.evaluate(can_apply).await, false);
    browser.evaluate(&choose("sleep")).await;
    browser.click("#apply").await;
    browser.until(&format!("'requested' in {}.dataset", row(1))).await;
    assert_eq!(browser.evaluate("document.querySelector('.notice').textContent").await, "Requested of worker1: sleep.");

    visitor.go_live("/workers").await;
    let worker = stage.store().worker(stage.worker(0)).await.expect("an answer").expect("a worker");
    let request = worker.open_request().expect("a request").request.id;
    tells(&stage, 0, WorkerState::Asleep, Some(request)).await;
    let asleep = format!("{0}.dataset.state === 'asleep' && !('requested' in {0}.dataset)", row(1));
    visitor.browser.until(&asleep).await;
    visitor.is_the_same_page().await;
    stage.fixture.stop().await;
}

#[tokio::test]
async fn without_scripts_the_server_says_what_is_missing() {
    let stage = Stage::start(1).await;
    tells(&stage, 0, WorkerState::Awake, None).await;
    let Some(mut visitor) = Visitor::of(&stage).await else { return };
    visitor.go("/workers").await;
    visitor.browser.submit("#act", "").await;
    assert_eq!(visitor.text(".notice.bad").await, "Choose an action.");
    visitor.browser.submit("#act", "document.querySelector('#action').value = 'sleep'").await;
    assert_eq!(visitor.text(".notice.bad").await, "Choose a worker.");
    stage.fixture.stop().await;
}

/// Chooses an action for a worker and applies it.
async fn ask(visitor: &mut Visitor, worker: usize, action: &str, now: bool) {
    visitor.go_live("/workers").await;
    let choose = format!(
        "{}.querySelector('input').click(); document.querySelector('[name=pace][value={}]').click();
         action.value = '{action}'; action.dispatchEvent(new Event('change', {{bubbles: true}}))",
        row(worker),
        if now { "now" } else { "after" },
    );
    visitor.browser.evaluate(&choose).await;
    visitor.browser.click("#apply").await;
}

/// Waits until a worker is in a state and nothing is asked of it, without a reload.
async fn settles(visitor: &mut Visitor, worker: usize, state: &str) {
    let settled = format!("{0}.dataset.state === '{state}' && !('requested' in {0}.dataset)", row(worker));
    visitor.browser.until(&settled).await;
}

#[tokio::test]
async fn a_worker_sleeps_wakes_and_is_restarted_while_it_works() {
    let stage = Stage::start(2).await;
    let Some(mut visitor) = Visitor::of(&stage).await else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let start_worker = |key: &str| {
        let settings = [("restart_exit_code", RESTART.to_string())];
        start_worker_with(Make::Ours, Place::of(&stage.fixture), key, 2, folder.path(), &settings)
    };
    let mut first = start_worker("worker1");
    visitor.go_live("/workers").await;
    settles(&mut visitor, 1, "awake").await;
    ask(&mut visitor, 1, "sleep", false).await;
    settles(&mut visitor, 1, "asleep").await;
    ask(&mut visitor, 1, "wake", false).await;
    settles(&mut visitor, 1, "awake").await;

    let job = stage.job(|new| new.script = "sleep 600".to_owned()).await;
    let run = stage.due(&job).await.id;
    let starts_on = async |worker: usize| {
        let worker = Some(stage.worker(worker));
        let look = async |store: &jobrunner::server::store::Store| {
            let run = store.run(run).await.expect("an answer").expect("a run");
            (run.state() == RunState::Started && run.worker == worker).then_some(())
        };
        stage.until("the start of the run", look).await;
    };
    starts_on(0).await;
    let second = start_worker("worker2");
    settles(&mut visitor, 2, "awake").await;
    ask(&mut visitor, 1, "restart", true).await;
    // Beside the server, which lives on this thread and has to answer meanwhile.
    let ended = tokio::task::spawn_blocking(move || (first.end_within(END_SECONDS).code(), first.last_words()));
    let (code, last_words) = ended.await.expect("the end of the worker");
    assert_eq!(code, Some(RESTART), "{last_words}");
    // Another has taken the run over.
    starts_on(1).await;
    visitor.go_live(&format!("/runs/{run}")).await;
    visitor.browser.until("document.querySelector('main').textContent.includes('worker2')").await;
    visitor.go_live("/workers").await;
    visitor.browser.until(&format!("{}.querySelector('a[href=\"/runs/{run}\"]')", row(2))).await;

    stage.store().end_run(run, Asker::Dashboard, Utc::now()).await.expect("an answer");
    let over = async |store: &jobrunner::server::store::Store| {
        store.run(run).await.expect("an answer").filter(|run| run.state() == RunState::Completed)
    };
    stage.until("the end of the run", over).await;
    drop(second);
    stage.fixture.stop().await;
}

#[tokio::test]
async fn shutting_down_all_workers_needs_typed_words() {
    let stage = Stage::start(2).await;
    for worker in 0..2 {
        tells(&stage, worker, WorkerState::Awake, None).await;
    }
    let asked = async || {
        let mut asked = 0;
        for worker in 0..2 {
            let worker = stage.store().worker(stage.worker(worker)).await.expect("an answer").expect("a worker");
            asked += usize::from(worker.open_request().is_some());
        }
        asked
    };
    let Some(mut visitor) = Visitor::of(&stage).await else { return };
    visitor.browser.without_scripts().await;
    visitor.go("/workers").await;
    let all = "for (const box of document.querySelectorAll('[name=worker]')) box.checked = true;
        document.querySelector('#action').value = 'shutdown'; document.querySelector('[name=pace][value=now]').checked = true;
        document.querySelector('#reason').value = 'the <b>move</b>'";
    visitor.browser.submit("#act", all).await;
    for typed in ["", "shut down"] {
        visitor.browser.submit(".sole form", &format!("document.querySelector('#words').value = {typed:?}")).await;
        assert_eq!(asked().await, 0, "{typed:?}");
    }
    visitor.browser.submit(".sole form", "document.querySelector('#words').value = 'shut down 2 workers'").await;
    assert_eq!(asked().await, 2);
    let worker = stage.store().worker(stage.worker(0)).await.expect("an answer").expect("a worker");
    assert_eq!(worker.open_request().expect("a request").reason, "the <b>move</b>");
    stage.fixture.stop().await;
}

#[tokio::test]
async fn an_incomplete_form_keeps_what_was_typed() {
    let stage = Stage::start(1).await;
    tells(&stage, 0, WorkerState::Awake, None).await;
    let Some(mut visitor) = Visitor::of(&stage).await else { return };
    visitor.go("/workers").await;
    let fill =
        "document.querySelector('#reason').value = 'a new disk'; document.querySelector('#action').value = 'sleep'";
    visitor.browser.submit("#act", fill).await;
    assert_eq!(visitor.text(".notice.bad").await, "Choose a worker.");
    let kept = "[document.querySelector('#reason').value, document.querySelector('#action').value].join()";
    assert_eq!(visitor.browser.evaluate(kept).await, "a new disk,sleep");
    stage.fixture.stop().await;
}

#[tokio::test]
async fn the_reason_for_sleep_is_shown_while_a_worker_sleeps() {
    let stage = Stage::start(1).await;
    tells(&stage, 0, WorkerState::Awake, None).await;
    let Some(mut visitor) = Visitor::of(&stage).await else { return };
    visitor.go("/workers").await;
    let fill = "document.querySelector('[name=worker]').checked = true; document.querySelector('#reason').value = 'a new disk';
        document.querySelector('#action').value = 'sleep'";
    visitor.browser.submit("#act", fill).await;
    let worker = stage.store().worker(stage.worker(0)).await.expect("an answer").expect("a worker");
    let request = worker.open_request().expect("a request").request.id;
    tells(&stage, 0, WorkerState::Asleep, Some(request)).await;
    visitor.go("/workers").await;
    assert!(visitor.text("#workers").await.contains("a new disk"));
    tells(&stage, 0, WorkerState::Awake, None).await;
    visitor.go("/workers").await;
    assert!(!visitor.text("#workers").await.contains("a new disk"));
    stage.fixture.stop().await;
}
