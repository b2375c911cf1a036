//! The page in a real browser, beside a standalone server: what happens is seen without a reload.

use std::io::Write;
use std::path::Path;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;

use crate::chromium::Chromium;
use crate::program::Place;

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
    let Some(mut browser) = Chromium::start(&place.path().join("profile")).await else {
        let _ = writeln!(std::io::stderr(), "SKIPPED: no chromium");
        return;
    };
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
    let row = format!("document.querySelector('tr[data-run=\"{run}\"]')");
    browser.until(&format!("{row}.dataset.state === 'running'")).await;
    assert_eq!(browser.evaluate(&format!("{row}.querySelector('.title').textContent")).await, "gated");
    open(&gate).await;
    browser.until(&format!("{row}.dataset.state === 'succeeded'")).await;
    assert_eq!(browser.evaluate("window.sameAsBefore").await, true, "the page was loaded again");

    let run = place.run(&["run", "--detach", "gated"]).await.out.trim().to_owned();
    browser.until(&format!("document.querySelector('tr[data-run=\"{run}\"] a')")).await;
    let page = browser.evaluate(&format!("document.querySelector('tr[data-run=\"{run}\"] a').href")).await;
    browser.go(page.as_str().expect("an address")).await;
    browser.evaluate("window.sameAsBefore = true").await;
    let (log, state) = ("document.querySelector('#log')", "document.querySelector('#head').dataset.state");
    browser.until(&format!("{state} === 'running' && {log}.textContent === '<b>first</b>\\n'")).await;
    open(&gate).await;
    browser.until(&format!("{state} === 'succeeded' && {log}.textContent.endsWith('second\\n')")).await;
    assert_eq!(browser.evaluate("window.sameAsBefore").await, true, "the page was loaded again");
    // What a job prints is text, whatever it looks like.
    assert_eq!(browser.evaluate(&format!("{log}.querySelector('b')")).await, serde_json::Value::Null);

    // Without the cookie there is nothing to see.
    let status = browser.evaluate("fetch('/', {credentials: 'omit'}).then((answer) => answer.status)").await;
    assert_eq!(status, 401);

    standalone.signal(Signal::SIGINT);
    assert_eq!(standalone.end().await.code, 0);
}
