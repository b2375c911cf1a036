//! Log of a run: grows, is coloured, searched, and long without being in the page as a whole.

use std::fmt::Write;

use jobrunner::run::RunId;
use jobrunner::server::domain::life::Actor;
use jobrunner::server::domain::model::{Asker, RunState};
use jobrunner::server::domain::title::Title;
use jobrunner::server::store::Appended;

use super::Visitor;
use crate::stage::{Stage, made, returned};

const MOST: u64 = 1 << 30;
/// The lines that are in the page.
const ROWS: &str = "document.querySelectorAll('#log .line').length";

/// A run that a worker has begun, of which it tells the log.
struct Begun<'a> {
    stage: &'a Stage,
    run: RunId,
    length: u64,
}

impl<'a> Begun<'a> {
    async fn of(stage: &'a Stage) -> Self {
        let job = stage.job(|job| job.title = Title::fixed("talkative")).await;
        let run = stage.due(&job).await.id;
        made(stage.claim(0, run).await);
        stage.begin(0, run).await;
        Self { stage, run, length: 0 }
    }

    async fn say(&mut self, text: &str) {
        let who = Actor::Worker(self.stage.worker(0), None);
        let kept = self.stage.store().append_log(self.run, self.length, text, who, MOST).await.expect("an answer");
        assert!(matches!(kept, Appended::Kept(_)), "{kept:?}");
        self.length += text.len() as u64;
    }

    fn path(&self) -> String {
        format!("/runs/{}", self.run)
    }
}

fn line(number: usize) -> String {
    format!("document.querySelector('#log .line[data-number=\"{number}\"]').textContent")
}

#[tokio::test]
async fn a_log_is_followed_as_it_grows_and_is_text_in_colours() {
    let stage = Stage::start(1).await;
    let Some(mut visitor) = Visitor::of(&stage).await else { return };
    let mut run = Begun::of(&stage).await;
    visitor.go_live(&run.path()).await;
    assert!(visitor.browser.evaluate("document.querySelector('#log').textContent").await.as_str().is_some());
    run.say("<script>window.evil = 1</script>\n\u{1b}[1;31mred\u{1b}[0m and \u{1b}[38;5;208morange\u{1b}[m\n10%\r50%\r100%\n").await;
    visitor.browser.until(&format!("{} === '100%'", line(3))).await;
    assert_eq!(visitor.browser.evaluate(&line(1)).await, "<script>window.evil = 1</script>");
    assert_eq!(
        visitor.browser.evaluate("[window.evil, document.querySelectorAll('#log script').length]").await,
        serde_json::json!([null, 0])
    );
    assert_eq!(visitor.browser.evaluate("document.querySelector('#log .bold.f1').textContent").await, "red");
    let orange = "document.querySelector('#log .line[data-number=\"2\"] span:last-child').style.color";
    assert_eq!(visitor.browser.evaluate(orange).await, "rgb(255, 135, 0)");

    // Who follows sees the end, whatever comes; who looks at something else stays there.
    let many: String = (4..=500).map(|number| format!("line {number}\n")).collect();
    run.say(&many).await;
    visitor.browser.until(&format!("{} === 'line 500'", line(500))).await;
    visitor.browser.evaluate("document.querySelector('#log').scrollTop = 0").await;
    visitor.browser.until("!document.querySelector('#log-follow').checked").await;
    run.say("line 501\n").await;
    visitor.browser.until("document.querySelector('#log-size').textContent.startsWith('501 lines')").await;
    assert_eq!(visitor.browser.evaluate(&line(3)).await, "100%");
    made(stage.change(0, run.run, returned(true)).await);
    visitor.browser.until("document.querySelector('#head').dataset.state === 'succeeded'").await;
    visitor.is_the_same_page().await;
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_log_looks_as_in_a_terminal_with_and_without_scripts() {
    let stage = Stage::start(1).await;
    let Some(mut visitor) = Visitor::of(&stage).await else { return };
    let mut run = Begun::of(&stage).await;
    run.say("\u{1b}[31mred\u{1b}(B\u{1b}[m plain\n\u{1b}]0;a title\u{7}\u{1b}]8;;http://e.org\u{1b}\\a link\u{1b}]8;;\u{1b}\\\n").await;
    run.say("one\r\r\ntwo\x08\x08\x08TWO\n\u{1b}[38:2::255:135:0morange\u{1b}[4:3m curly\u{1b}[m\na nee\u{1b}[1mdle\u{1b}[m\n").await;
    for percent in 0..=100 {
        run.say(&format!("\r{percent:3} % of a bar: {}{}", "#".repeat(percent), ".".repeat(100 - percent))).await;
    }
    let shown = [
        "red plain",
        "a link",
        "one",
        "TWO",
        "orange curly",
        "a needle",
        &format!("100 % of a bar: {}", "#".repeat(100)),
    ];
    visitor.go_live(&run.path()).await;
    for (at, text) in shown.iter().enumerate() {
        visitor.browser.until(&format!("{} === {text:?}", line(at + 1))).await;
    }
    assert_eq!(visitor.browser.evaluate("document.querySelector('#log .f1').textContent").await, "red");
    let orange = "document.querySelector('#log .line[data-number=\"5\"] span').style.color";
    assert_eq!(visitor.browser.evaluate(orange).await, "rgb(255, 135, 0)");
    visitor.browser.evaluate("document.querySelector('#log-text').value = 'NEEDLE'; document.querySelector('#log-search').requestSubmit()").await;
    visitor.browser.until("document.querySelector('#log .line.current')?.textContent === 'a needle'").await;

    visitor.browser.without_scripts().await;
    visitor.go(&run.path()).await;
    let log = visitor.browser.evaluate("document.querySelector('#log').textContent").await;
    assert_eq!(log, format!("{}\n", shown.join("\n")));
    assert_eq!(visitor.browser.evaluate("document.querySelector('#log .f1').textContent").await, "red");
    stage.fixture.stop().await;
}

#[tokio::test]
async fn of_a_long_log_only_what_is_seen_is_in_the_page() {
    let stage = Stage::start(1).await;
    let Some(mut visitor) = Visitor::of(&stage).await else { return };
    let mut run = Begun::of(&stage).await;
    let mut number = 0;
    for _ in 0..12 {
        let mut text = String::new();
        for _ in 0..50_000 {
            number += 1;
            let _ = writeln!(text, "line {number} of many{}", if number == 400_001 { " with a needle" } else { "" });
        }
        run.say(&text).await;
    }
    visitor.go_live(&run.path()).await;
    visitor.browser.until(&format!("{} === 'line 600000 of many'", line(600_000))).await;
    let rows = visitor.browser.evaluate(ROWS).await.as_u64().expect("a number");
    assert!((20..200).contains(&rows), "{rows} lines are in the page");
    // To the middle by the bar, to the beginning by a key would be the same; then to what is sought.
    visitor.browser.evaluate("const log = document.querySelector('#log'); log.scrollTop = log.scrollHeight / 2").await;
    visitor
        .browser
        .until("/^line (29|30)\\d{4} of many$/.test(document.querySelector('#log .line:not(.absent)')?.textContent)")
        .await;
    visitor.browser.evaluate("document.querySelector('#log-text').value = 'NEEDLE'; document.querySelector('#log-search').requestSubmit()").await;
    visitor
        .browser
        .until("document.querySelector('#log .line.current')?.textContent === 'line 400001 of many with a needle'")
        .await;
    assert_eq!(visitor.browser.evaluate("document.querySelector('#log-found').textContent").await, "1 of 1");
    visitor.browser.evaluate("document.querySelector('#log').scrollTop = 0").await;
    visitor.browser.until(&format!("{} === 'line 1 of many'", line(1))).await;
    let rows = visitor.browser.evaluate(ROWS).await.as_u64().expect("a number");
    assert!((20..200).contains(&rows), "{rows} lines are in the page");
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_run_is_read_killed_and_run_again_without_scripts() {
    let stage = Stage::start(1).await;
    let Some(mut visitor) = Visitor::of(&stage).await else { return };
    let mut run = Begun::of(&stage).await;
    let text: String = (1..=1000).map(|number| format!("\u{1b}[32mline {number}\u{1b}[0m <b>\n")).collect();
    run.say(&text).await;
    visitor.browser.without_scripts().await;
    visitor.go(&run.path()).await;
    let log = "document.querySelector('#log').textContent";
    let shown = visitor.browser.evaluate(log).await;
    let shown = shown.as_str().expect("text");
    assert!(shown.starts_with("line 601 <b>\n") && shown.ends_with("line 1000 <b>\n"), "{shown}");
    visitor.browser.click(".pages a").await;
    assert!(visitor.browser.evaluate(log).await.as_str().is_some_and(|text| text.starts_with("line 201 <b>\n")));

    visitor.browser.submit("form[action$=\"/kill\"]", "0").await;
    let notice = "document.querySelector('.notice').textContent";
    assert_eq!(visitor.browser.evaluate(notice).await, format!("Kill of run {} requested.", run.run));
    let kills = stage.store().run_details(&stage.run(run.run).await).await.expect("an answer").expect("a run").kills;
    assert_eq!(kills[0].1.as_ref().map(|by| by.asker), Some(Asker::Dashboard));

    made(stage.change(0, run.run, returned(false)).await);
    visitor.browser.submit("form[action$=\"/again\"]", "0").await;
    let path = visitor.browser.evaluate("location.pathname").await;
    let again = path.as_str().and_then(|path| path.strip_prefix("/runs/")?.parse().ok()).and_then(RunId::new);
    let again = stage.run(again.expect("another run")).await;
    assert_eq!((again.state(), again.is_manual, again.schedule_children), (RunState::Scheduled, true, true));
    visitor.go(&run.path()).await;
    assert_eq!(visitor.browser.evaluate("document.querySelector('.notice')").await, serde_json::Value::Null);
    stage.fixture.stop().await;
}
