//! Page of a run: its growing log, its end, and "run again".

use std::path::Path;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use serde_json::Value;

use super::{Chromium, Visitor};
use crate::program::Place;
use crate::skip::skip;
use crate::stage::Stage;

/// Waits at a gate between its two lines.
fn gated(gate: &Path) -> String {
    format!("#!/bin/sh\necho '<b>first</b>'\nread go < {}\necho second\n", gate.display())
}

/// Lets whoever waits at the gate go on.
async fn open(gate: &Path) {
    tokio::fs::write(gate, "go\n").await.expect("somebody who waits");
}

#[tokio::test]
async fn a_browser_sees_runs_come_and_go_and_their_logs_grow() {
    let place = Place::new();
    let Some(mut browser) = Chromium::start(&place.path().join("profile")).await else { return skip("no chromium") };
    let (standalone, login) = place.standalone().await;
    let gate = place.path().join("gate");
    nix::unistd::mkfifo(&gate, Mode::S_IRWXU).expect("a gate");
    place.script("gated", &gated(&gate));

    // The address with the token leads to the page, and out of the address bar.
    browser.go(&login).await;
    assert_eq!(browser.evaluate("location.pathname + location.search").await, "/");
    browser.until("document.querySelector('#link').className === 'link live'").await;
    browser.evaluate("window.sameAsBefore = true").await;

    let run = place.run(&["run", "--detach", "gated"]).await.out.trim().to_owned();
    let card = |lane: &str| format!("document.querySelector('#lane-{lane} [data-run=\"{run}\"]')");
    browser.until(&card("running")).await;
    assert_eq!(browser.evaluate(&format!("{}.querySelector('.what a').textContent", card("running"))).await, "gated");
    open(&gate).await;
    browser.until(&card("completed")).await;
    assert_eq!(browser.evaluate("window.sameAsBefore").await, true, "the page was loaded again");

    let run = place.run(&["run", "--detach", "gated"]).await.out.trim().to_owned();
    let page = format!("document.querySelector('[data-run=\"{run}\"] a').href");
    browser.until(&page).await;
    let page = browser.evaluate(&page).await;
    browser.go(page.as_str().expect("an address")).await;
    browser.evaluate("window.sameAsBefore = true").await;
    let (log, state) = ("document.querySelector('#log')", "document.querySelector('#head').dataset.state");
    browser.until(&format!("{state} === 'running' && {log}.textContent.includes('<b>first</b>')")).await;
    open(&gate).await;
    browser.until(&format!("{state} === 'succeeded' && {log}.textContent.includes('second')")).await;
    assert_eq!(browser.evaluate("window.sameAsBefore").await, true, "the page was loaded again");
    // What a job prints is text, whatever it looks like.
    assert_eq!(browser.evaluate(&format!("{log}.querySelector('b')")).await, Value::Null);

    // Again, by a button; and that one is killed by another.
    browser.click("form[action$=\"/again\"] button").await;
    browser.until("document.querySelector('#link.live')").await;
    browser.until(&format!("{state} === 'running' && {log}.textContent.includes('<b>first</b>')")).await;
    let again = browser.evaluate("location.pathname").await;
    assert_ne!(again.as_str(), Some(&*format!("/runs/{run}")));
    browser.evaluate("document.querySelector('details.ask summary').click()").await;
    browser.click("form[action$=\"/kill\"] button").await;
    browser.until(&format!("{state} === 'killed'")).await;
    let facts = browser.evaluate("document.querySelector('.facts').textContent").await;
    let facts = facts.as_str().expect("text");
    assert!(facts.contains("the operator, on the dashboard") && facts.contains("Kill requested by"), "{facts}");

    // Without the cookie there is nothing to see.
    let status = browser.evaluate("fetch('/', {credentials: 'omit'}).then((answer) => answer.status)").await;
    assert_eq!(status, 401);

    standalone.signal(Signal::SIGINT);
    assert_eq!(standalone.end().await.code, 0);
}

#[tokio::test]
async fn a_run_on_all_workers_that_is_asked_for_stays_on_its_page_and_leads_to_the_others() {
    let stage = Stage::start(2).await;
    for worker in 0..2 {
        stage.answer(worker, 4).await;
    }
    let job = stage.job(|job| job.run_on_all_workers = true).await;
    let Some(mut visitor) = Visitor::of(&stage).await else { return };
    visitor.go(&format!("/jobs/{}", job.id)).await;
    visitor.browser.submit("form[action$=\"/run\"]", "").await;
    visitor.browser.until("location.pathname.startsWith('/runs/') && document.querySelector('#link.live')").await;
    visitor.browser.evaluate("window.sameAsBefore = true").await;
    let page = visitor.browser.evaluate("location.pathname").await;
    let page = page.as_str().expect("an address").to_owned();
    let id: i64 = page.trim_start_matches("/runs/").parse().expect("an id");
    let other =
        stage.until("the other one", async |_| stage.coming(&job).await.into_iter().find(|run| run.id.get() != id));
    let other = other.await;
    // Which worker does it, and what the others do, without a reload.
    let leads = format!("document.querySelector('.facts a[href=\"/runs/{}\"]')", other.id);
    visitor.browser.until(&leads).await;
    assert_eq!(visitor.browser.evaluate(&format!("{leads}.textContent")).await, format!("worker2 #{}", other.id));
    let run = jobrunner::run::RunId::new(id).expect("an id");
    stage.execute(0, run, true).await;
    visitor.browser.until("document.querySelector('#head').dataset.state === 'succeeded'").await;
    visitor.is_the_same_page().await;
    visitor.go_live(&page).await;
    assert_eq!(visitor.browser.evaluate("document.querySelector('#head').dataset.state").await, "succeeded");
    stage.fixture.stop().await;
}
