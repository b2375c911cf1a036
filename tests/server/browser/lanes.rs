//! Page "Now": a run passes all four lanes without a reload.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use jobrunner::run::RunId;
use jobrunner::server::domain::title::Title;
use jobrunner::server::store::NewJob;

use super::Visitor;
use crate::stage::{Stage, made};

/// Within which time a fact is seen.
const AT_ONCE: TimeDelta = TimeDelta::milliseconds(200);

/// Notes when a run is seen in each lane: `window.seen`, by its state and number.
const WATCH: &str = "
    window.seen = {};
    new MutationObserver(() => {
        for (const card of document.querySelectorAll('.lane [data-run]')) {
            window.seen[`${card.dataset.state} ${card.dataset.run}`] ??= Date.now();
        }
    }).observe(document.body, {subtree: true, childList: true, attributes: true});
";

/// Waits until a run is seen in a state, and answers how long after the fact that was.
async fn seen(visitor: &mut Visitor, state: &str, run: RunId, fact: DateTime<Utc>) -> TimeDelta {
    let lane = if ["succeeded", "failed"].contains(&state) { "completed" } else { state };
    let card = format!("document.querySelector('#lane-{lane} [data-run=\"{run}\"][data-state={state}]')");
    visitor.browser.until(&card).await;
    let others = format!("document.querySelectorAll('[data-run=\"{run}\"]').length === 1");
    visitor.browser.until(&others).await;
    let at = visitor.browser.evaluate(&format!("window.seen['{state} {run}']")).await;
    let at = DateTime::from_timestamp_millis(at.as_i64().expect("a time")).expect("a time");
    at - fact
}

#[tokio::test]
async fn a_run_passes_all_lanes_without_a_reload() {
    let stage = Stage::start(1).await;
    let Some(mut visitor) = Visitor::of(&stage).await else { return };
    let job = stage.job(|job| job.title = Title::fixed("<script>alert(1)</script> nightly")).await;
    visitor.go_live("/").await;
    visitor.browser.evaluate(WATCH).await;

    let mut delays = Vec::new();
    for _ in 0..3 {
        let fact = Utc::now();
        let run = stage.due(&job).await.id;
        delays.push(seen(&mut visitor, "scheduled", run, fact).await);
        let fact = Utc::now();
        made(stage.claim(0, run).await);
        delays.push(seen(&mut visitor, "claimed", run, fact).await);
        let fact = Utc::now();
        stage.begin(0, run).await;
        delays.push(seen(&mut visitor, "running", run, fact).await);
        let fact = Utc::now();
        made(stage.finish(0, run, true).await);
        delays.push(seen(&mut visitor, "succeeded", run, fact).await);
    }
    delays.sort_unstable();
    println!("from the fact to the page: {:?} ms", delays.iter().map(TimeDelta::num_milliseconds).collect::<Vec<_>>());
    // A machine that does ten other things may be late now and then; the page may not.
    assert!(delays[delays.len() / 2] <= AT_ONCE, "{delays:?}");
    visitor.is_the_same_page().await;

    // What a job is called is text, whatever it looks like, and its next run shows how far it is.
    let title = visitor.browser.evaluate("document.querySelector('#lane-completed .what a').textContent").await;
    assert_eq!(title, "<script>alert(1)</script> nightly");
    let run = stage.due(&job).await.id;
    made(stage.claim(0, run).await);
    stage.begin(0, run).await;
    visitor.browser.until("document.querySelector('#lane-running progress').max > 0").await;
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_burst_of_changes_causes_few_reads() {
    let stage = Stage::start(1).await;
    let Some(mut visitor) = Visitor::of(&stage).await else { return };
    let job = stage.job(|_| {}).await;
    visitor.go_live("/").await;
    // The first reading, which finds nothing new.
    let first = "new Promise((done) => new PerformanceObserver((list) => list.getEntries()
        .some((entry) => entry.name.includes('/parts/')) && done(1)).observe({type: 'resource', buffered: true}))";
    visitor.browser.evaluate(first).await;
    let readings = "performance.getEntriesByType('resource').filter((e) => e.name.includes('/parts/')).length";
    let before = visitor.browser.evaluate(readings).await.as_u64().expect("a number");
    let begin = std::time::Instant::now();
    for _ in 0..300 {
        stage.due(&job).await;
    }
    visitor.browser.until("document.querySelector('#lane-scheduled .count').textContent === '300'").await;
    let after = visitor.browser.evaluate(readings).await.as_u64().expect("a number");
    // One each tenth of a second, the first at once and the last after all.
    let most = 2 + begin.elapsed().as_millis() / 100;
    assert!(u128::from(after - before) <= most, "{} readings in {:?}", after - before, begin.elapsed());
    assert!(begin.elapsed() < Duration::from_secs(30));
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_lost_connection_is_shown_and_heals() {
    let stage = Stage::start(1).await;
    let Some(mut visitor) = Visitor::of(&stage).await else { return };
    let job = stage.job(|_| {}).await;
    visitor.go_live("/").await;
    let (fixture, template) = (stage.fixture.pause().await, job.template);
    visitor.browser.until("document.querySelector('#link.lost')").await;
    let link = visitor.browser.evaluate("document.querySelector('#link').textContent").await;
    assert!(link.as_str().is_some_and(|text| text.contains("not connected")), "{link}");
    // What happens meanwhile is seen afterwards.
    let fixture = fixture.resume().await;
    let stage = Stage { fixture, ..stage };
    let missed =
        stage.store().new_job(&NewJob::new(Title::fixed("missed"), template, stage.pool.id, "")).await.expect("a job");
    stage.due(&missed).await;
    visitor.browser.until("document.querySelector('#link.live')").await;
    visitor.browser.until("document.querySelector('#lane-scheduled .what a').textContent === 'missed'").await;
    visitor.is_the_same_page().await;
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_filtered_lane_can_be_paged_without_scripts() {
    let stage = Stage::start(1).await;
    let Some(mut visitor) = Visitor::of(&stage).await else { return };
    let (nightly, weekly) = (
        stage.job(|job| job.title = Title::fixed("nightly")).await,
        stage.job(|job| job.title = Title::fixed("weekly")).await,
    );
    for number in 0..60 {
        let run = stage.due(&nightly).await.id;
        stage.execute(0, run, number % 2 == 0).await;
    }
    stage.due(&weekly).await;
    visitor.browser.without_scripts().await;
    visitor.go("/").await;
    let count = "document.querySelectorAll('.card').length";
    assert_eq!(visitor.browser.evaluate(count).await, 21);
    // By plain links and a plain form.
    visitor.browser.submit("form.filter", "document.querySelector('#q').value = 'NIGHT'").await;
    assert_eq!(visitor.browser.evaluate("document.querySelectorAll('#lane-scheduled .card').length").await, 0);
    visitor.browser.submit("form.filter", "document.querySelector('#state').value = 'completed'").await;
    assert_eq!(visitor.browser.evaluate(count).await, 50);
    let last = "document.querySelector('.card:last-child').dataset.run";
    let last_of_first = visitor.browser.evaluate(last).await;
    visitor.browser.click(".pages a:last-child").await;
    assert_eq!(visitor.browser.evaluate(count).await, 10);
    let first = visitor.browser.evaluate("document.querySelector('.card').dataset.run").await;
    let number = |value: &serde_json::Value| value.as_str().and_then(|text| text.parse::<i64>().ok());
    assert_eq!(number(&first).map(|run| run + 1), number(&last_of_first));
    visitor.browser.submit("form.filter", "document.querySelector('#state').value = 'failed'").await;
    assert_eq!(visitor.browser.evaluate(count).await, 30);
    assert_eq!(visitor.browser.evaluate("document.querySelector('#q').value").await, "NIGHT");
    stage.fixture.stop().await;
}

#[tokio::test]
async fn an_overdue_run_is_marked_without_a_reload() {
    // Nobody is there to run anything.
    let stage = Stage::start(0).await;
    let Some(mut visitor) = Visitor::of(&stage).await else { return };
    let job = stage.job(|_| {}).await;
    let late = stage.run_at(&job, Utc::now() - TimeDelta::minutes(5)).await.id;
    let soon = stage.run_at(&job, Utc::now() + TimeDelta::seconds(4)).await.id;
    let far = stage.run_at(&job, Utc::now() + TimeDelta::hours(3)).await.id;
    visitor.go_live("/").await;
    let due = |run: RunId| format!("document.querySelector('[data-run=\"{run}\"] [data-due]').textContent");
    for (run, said) in [(late, "overdue by 5 min"), (far, "due in 2 h 59 min"), (soon, "overdue by")] {
        visitor.browser.until(&format!("{}.startsWith('{said}')", due(run))).await;
    }
    visitor.is_the_same_page().await;
    visitor.browser.without_scripts().await;
    visitor.go(&format!("/jobs/{}", job.id)).await;
    assert!(visitor.text("#job-state").await.contains("overdue by 5 min"));
    visitor.go(&format!("/runs/{late}")).await;
    assert!(visitor.text("#head").await.contains("overdue by 5 min"));
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_finished_run_shows_its_outcome_alone() {
    let stage = Stage::start(1).await;
    let Some(mut visitor) = Visitor::of(&stage).await else { return };
    let job = stage.job(|_| {}).await;
    let quiet = stage.due(&job).await.id;
    visitor.go_live(&format!("/runs/{quiet}")).await;
    let empty = "getComputedStyle(document.querySelector('.screen .lines, .screen pre'), '::before').content";
    assert_ne!(visitor.browser.evaluate(empty).await, "\"There is no output.\"");
    stage.execute(0, quiet, true).await;
    visitor.browser.until("document.querySelector('#head[data-state=succeeded]')").await;
    visitor.browser.until(&format!("{empty} === '\"There is no output.\"'")).await;

    // Its end is asked for while it runs: what was said about that stays true when it is over.
    let run = stage.due(&job).await.id;
    made(stage.claim(0, run).await);
    stage.begin(0, run).await;
    visitor.go(&format!("/runs/{run}")).await;
    visitor.browser.submit("form[action$=\"/kill\"]", "").await;
    visitor.browser.until("document.querySelector('#link.live')").await;
    assert!(visitor.text("#head").await.contains("Kill requested; the worker has not answered yet"));
    made(stage.finish(0, run, false).await);
    visitor.browser.until("!document.querySelector('#head details.ask')").await;
    assert!(
        !visitor.text("main").await.contains("Being killed")
            && !visitor.text("#head").await.contains("has not answered")
    );

    // Nobody began this one.
    let cancelled = stage.run_at(&job, Utc::now() + TimeDelta::hours(1)).await.id;
    visitor.go(&format!("/runs/{cancelled}")).await;
    visitor.browser.submit("form[action$=\"/kill\"]", "").await;
    let steps = visitor.text(".steps").await;
    assert!(steps.contains("Cancelled") && !steps.contains("In queue") && !steps.contains("Started"), "{steps}");
    stage.fixture.stop().await;
}
