//! Workers: what is asked of them in the menu, and how they follow.

use chrono::Utc;
use jobrunner::run::{Duty, RequestId};
use jobrunner::server::store::{Answer, Kind, Tells};

use super::Visitor;
use crate::stage::Stage;

/// A worker of ours tells of itself.
async fn tells(stage: &Stage, worker: usize, duty: Duty, done: Option<RequestId>) {
    let tells = Tells { duty, seats_taken: 0, outbox: 0, restarts: false, follows: done, done };
    let answer = Answer { at: Some(Utc::now()), version: None, seats: Some(2), kind: Kind::Ours(tells) };
    stage.store().answered(stage.worker(worker), &answer, Utc::now()).await.expect("an answer");
}

fn row(worker: usize) -> String {
    format!("document.querySelector('[data-worker=\"worker{worker}\"]')")
}

#[tokio::test]
async fn what_is_asked_is_shown_until_it_is_confirmed() {
    let stage = Stage::start(3).await;
    tells(&stage, 0, Duty::Awake, None).await;
    tells(&stage, 1, Duty::Awake, None).await;
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
    tells(&stage, 0, Duty::Asleep, Some(request)).await;
    let asleep = format!("{0}.dataset.state === 'asleep' && !('requested' in {0}.dataset)", row(1));
    visitor.browser.until(&asleep).await;
    visitor.is_the_same_page().await;
    stage.fixture.stop().await;
}

#[tokio::test]
async fn without_scripts_the_server_says_what_is_missing() {
    let stage = Stage::start(1).await;
    tells(&stage, 0, Duty::Awake, None).await;
    let Some(mut visitor) = Visitor::of(&stage).await else { return };
    visitor.go("/workers").await;
    visitor.browser.submit("#act", "").await;
    assert_eq!(visitor.text(".notice.bad").await, "Choose an action.");
    visitor.browser.submit("#act", "document.querySelector('#action').value = 'sleep'").await;
    assert_eq!(visitor.text(".notice.bad").await, "Choose a worker.");
    stage.fixture.stop().await;
}
