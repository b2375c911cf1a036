//! Page of a job: disabled with a reason that is shown; hostile titles; popovers.

use jobrunner::server::domain::model::{Schedule, Unit};
use jobrunner::server::domain::title::Title;

use super::Visitor;
use crate::stage::Stage;

const STANDING: &str = "document.querySelector('#job-state')";

#[tokio::test]
async fn a_job_is_disabled_and_says_why_it_does_not_run() {
    let stage = Stage::start(1).await;
    let job = stage.job(|new| new.schedule = Schedule::Interval { every: 1, unit: Unit::Hour }).await;
    let Some(mut visitor) = Visitor::of(&stage).await else { return };
    visitor.go(&format!("/jobs/{}", job.id)).await;
    let fill = "document.querySelector('#reason').value = 'the <b>disk</b> is full'";
    visitor.browser.submit("form[action$=\"/disable\"]", fill).await;
    let why = "document.querySelector('.why').textContent.includes('the job is disabled: the <b>disk</b> is full')";
    visitor.browser.until(why).await;
    visitor.browser.until("document.querySelector('.notice.good')").await;
    assert!(!stage.store().job(job.id).await.expect("an answer").expect("a job").enqueue_is_enabled);

    // What does not run now is told without a reload.
    visitor.go_live(&format!("/jobs/{}", job.id)).await;
    let run = stage.due(&job).await;
    let told = "delayed the job is disabled";
    let row = format!(
        "[...{STANDING}.querySelectorAll('tbody tr')].some((row) => [...row.cells].map((cell) => cell.textContent).slice(1).join(' ') === '{told} {}')",
        run.id
    );
    visitor.browser.until(&row).await;
    visitor.is_the_same_page().await;

    visitor.browser.submit("form[action$=\"/enable\"]", "").await;
    visitor.browser.until(&format!("'enabled' in {STANDING}.dataset")).await;
    assert!(stage.store().job(job.id).await.expect("an answer").expect("a job").enqueue_is_enabled);
    // It was asked for on the page, so it runs although nobody planned it.
    visitor.browser.submit("form[action$=\"/run\"]", "").await;
    visitor.browser.until("location.pathname.startsWith('/runs/')").await;
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_title_is_text_whatever_it_looks_like() {
    let stage = Stage::start(1).await;
    let title = "<script>document.title = 'taken'</script>";
    let job = stage.job(|new| new.title = Title::fixed(title)).await;
    stage.execute(0, stage.due(&job).await.id, true).await;
    let Some(mut visitor) = Visitor::of(&stage).await else { return };
    for path in
        [format!("/jobs/{}", job.id), "/jobs".to_owned(), format!("/admin/jobs/{}", job.id), "/admin/jobs".to_owned()]
    {
        visitor.go(&path).await;
        let shown = format!("document.body.innerHTML.includes('&lt;script&gt;') || document.querySelector('#f-title').value === `{title}`").replace("</script>", "<\\/script>");
        assert_eq!(visitor.browser.evaluate(&shown).await, true, "{path}");
        assert_ne!(visitor.browser.evaluate("document.title").await, "taken", "{path}");
    }
    // The picture leads to the run.
    visitor.go(&format!("/jobs/{}", job.id)).await;
    let bar = "document.querySelector('#history a.succeeded').href.baseVal";
    assert!(visitor.browser.evaluate(bar).await.as_str().expect("a link").starts_with("/runs/"));
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_popover_takes_the_focus_and_escape_returns_it_with_the_typed_text() {
    let stage = Stage::start(1).await;
    let job = stage.job(|_| {}).await;
    let Some(mut visitor) = Visitor::of(&stage).await else { return };
    visitor.go_live(&format!("/jobs/{}", job.id)).await;
    let browser = &mut visitor.browser;
    let escape = "document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key: 'Escape', bubbles: true, cancelable: true}))";
    browser.evaluate("document.querySelector('details.ask summary').click()").await;
    browser.until_focus("#reason").await;
    browser.evaluate("document.activeElement.value = 'a new disk'").await;
    // News change the page around it.
    let run = stage.due(&job).await.id;
    browser.until(&format!("document.querySelector('.why').textContent.includes('run {run}')")).await;
    browser.until_focus("#reason").await;
    browser.evaluate(escape).await;
    browser.until_focus("details.ask summary").await;
    assert_eq!(browser.evaluate("document.querySelector('details.ask').open").await, false);
    browser.evaluate("document.querySelector('details.ask summary').click()").await;
    browser.until_focus("#reason").await;
    assert_eq!(browser.evaluate("document.activeElement.value").await, "a new disk");

    // What has no field is not acted upon by the next key: the panel itself has the focus.
    visitor.go_live(&format!("/runs/{run}")).await;
    visitor.browser.evaluate("document.querySelector('details.ask summary').click()").await;
    visitor.browser.until_focus("details.ask > div").await;
    visitor.browser.evaluate(escape).await;
    visitor.browser.until_focus("details.ask summary").await;
    stage.fixture.stop().await;
}
