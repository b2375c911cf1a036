//! Results that come too late to count are kept, and shown to people.

use chrono::{TimeDelta, Utc};
use jobrunner::run::{Attempt, RunId};
use jobrunner::server::domain::life::late::LateReason;
use jobrunner::server::domain::life::{LifeRefusal, Patch};
use jobrunner::server::domain::model::{Asker, OnLost, RunExit, RunState};
use jobrunner::server::domain::title::Title;
use jobrunner::server::store::{LateReport, NewRun, RunChange, Store};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use serde_json::Value;

use crate::http::ask;
use crate::program::Place;
use crate::stage::{Stage, made, returned};
use crate::worker_process::{self, Make, start_worker};

/// A run that the first worker had in its first attempt and lost, and that the second has now.
async fn taken_over(stage: &Stage) -> RunId {
    let job = stage.job(|_| {}).await;
    let run = stage.due(&job).await.id;
    made(stage.claim(0, run).await);
    stage.begin(0, run).await;
    stage.store().mark_lost(stage.worker(0), 9, Utc::now()).await.expect("lost");
    made(stage.claim(1, run).await);
    run
}

/// A worker reports a failure that ended just now.
async fn report(stage: &Stage, worker: usize, run: RunId, attempt: Option<u32>) -> RunChange {
    stage.change_in(worker, run, attempt.map(Attempt), returned(false)).await
}

async fn late(stage: &Stage, run: RunId) -> Vec<LateReport> {
    stage.store().late_results_of_run(run).await.expect("an answer")
}

#[tokio::test]
async fn the_page_the_api_and_the_command_show_a_result_that_was_not_counted() {
    let stage = Stage::start(2).await;
    let run = taken_over(&stage).await;
    let mut report = returned(false);
    report.exit = Some(RunExit::Code(7));
    let refused = stage.change_in(0, run, Some(Attempt(1)), report).await;
    assert_eq!(refused, RunChange::Refused(LifeRefusal::Theirs));
    let text = "attempt 1 on worker worker1 failed with exit code 7; not counted: the run was given to another worker";

    let (http, token) = (stage.fixture.http(), stage.fixture.app_state().token.expose().to_owned());
    let bearer = [("Authorization".to_owned(), format!("Bearer {token}"))];
    let shown = ask(http, "GET", &format!("/operator/v1/runs/{run}"), &bearer, None).await;
    let shown: Value = serde_json::from_slice(&shown.body).expect("JSON");
    let shown = &shown["late"][0];
    assert_eq!((&shown["run"], &shown["attempt"], &shown["worker"]), (&run.get().into(), &1.into(), &"worker1".into()));
    assert_eq!((&shown["success"], &shown["exit_code"]), (&false.into(), &7.into()));
    assert_eq!((&shown["reason"], &shown["text"]), (&"another_worker".into(), &text.into()));
    assert!(shown["returned"].is_string() && shown["reported"].is_string(), "{shown}");
    let listed = ask(http, "GET", "/operator/v1/runs", &bearer, None).await;
    let listed: Value = serde_json::from_slice(&listed.body).expect("JSON");
    assert!(listed["runs"][0].get("late").is_none(), "lists leave it out: {listed}");

    let login = ask(http, "GET", &format!("/login?token={token}"), &[], None).await;
    let cookie = login.headers["set-cookie"].split(';').next().expect("a cookie").to_owned();
    let page = ask(http, "GET", &format!("/runs/{run}"), &[("Cookie".to_owned(), cookie)], None).await;
    let page = String::from_utf8(page.body).expect("text");
    assert!(page.contains("attempt 1 on worker worker1, returned "), "{page}");
    assert!(page.contains(": failed with exit code 7, but the run was given to another worker"), "{page}");

    let place = Place::new();
    let token_file = place.script("token", &token);
    let (server, token_file) = (format!("http://{http}"), token_file.to_str().expect("text"));
    let why = place.run(&["why", "job", "--server", &server, "--token-file", token_file]).await;
    assert!(why.out.contains(text), "{why:?}");
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_late_result_is_kept_once_however_often_it_is_reported_and_with_its_own_reason() {
    let stage = Stage::start(2).await;
    let run = taken_over(&stage).await;
    let early = returned(true);
    for _ in 0..3 {
        stage.change_in(0, run, Some(Attempt(1)), early.clone()).await;
    }
    made(stage.finish(1, run, true).await);
    stage.change_in(1, run, Some(Attempt(2)), returned(false)).await;
    let short: Vec<_> = late(&stage, run).await.iter().map(|late| (late.result.success, late.result.reason)).collect();
    assert_eq!(short, [(Some(true), Some(LateReason::AnotherWorker)), (Some(false), Some(LateReason::Over))]);
    stage.fixture.stop().await;
}

#[tokio::test]
async fn of_a_worker_that_goes_on_reporting_the_first_results_are_kept() {
    let stage = Stage::start(2).await;
    let run = taken_over(&stage).await;
    let begin = Utc::now();
    for second in 0..30 {
        let mut report = returned(false);
        report.return_dts = Some(Some(begin + TimeDelta::seconds(second)));
        assert_eq!(stage.change(0, run, report).await, RunChange::Refused(LifeRefusal::Theirs));
    }
    let kept = late(&stage, run).await;
    assert_eq!(kept.len(), 20);
    let last = kept[19].result.returned.expect("a time");
    assert_eq!((last - kept[0].result.returned.expect("a time")).num_seconds(), 19);
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_result_of_an_attempt_that_the_worker_never_had_is_refused_and_not_recorded() {
    let stage = Stage::start(3).await;
    let run = taken_over(&stage).await;
    let (had_first, has_second, stranger) = (0, 1, 2);
    let forged = [
        (stranger, None, LifeRefusal::Theirs),
        (stranger, Some(1), LifeRefusal::Theirs),
        (stranger, Some(2), LifeRefusal::Theirs),
        (stranger, Some(u32::MAX), LifeRefusal::Theirs),
        (had_first, Some(0), LifeRefusal::Theirs),
        (had_first, Some(2), LifeRefusal::Theirs),
        (had_first, Some(u32::MAX), LifeRefusal::Theirs),
        (has_second, Some(1), LifeRefusal::OldAttempt),
        (has_second, Some(3), LifeRefusal::OldAttempt),
    ];
    for (worker, attempt, refusal) in forged {
        assert_eq!(report(&stage, worker, run, attempt).await, RunChange::Refused(refusal), "{worker} {attempt:?}");
    }
    made(stage.finish(has_second, run, true).await);
    for (worker, attempt, _) in forged {
        assert!(matches!(report(&stage, worker, run, attempt).await, RunChange::Refused(_)), "{worker} {attempt:?}");
    }
    assert_eq!(late(&stage, run).await, []);
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_result_of_a_run_that_no_worker_ever_had_is_refused_and_not_recorded() {
    let stage = Stage::start(1).await;
    let job = stage.job(|_| {}).await;
    let unclaimed = stage.due(&job).await.id;
    let new = NewRun { pinned: Some(stage.worker(0)), ..NewRun::due(job.id, Utc::now()) };
    let pinned = stage.store().new_run(&new).await.expect("a run").id;
    for attempt in [None, Some(0), Some(1), Some(u32::MAX)] {
        for run in [unclaimed, pinned] {
            assert!(matches!(report(&stage, 0, run, attempt).await, RunChange::Refused(_)), "{run} {attempt:?}");
        }
    }
    for run in [unclaimed, pinned] {
        stage.store().end_run(run, Asker::Dashboard, Utc::now()).await.expect("cancelled");
        for attempt in [None, Some(0), Some(1)] {
            assert!(matches!(report(&stage, 0, run, attempt).await, RunChange::Refused(_)), "{run} {attempt:?}");
        }
        assert_eq!(late(&stage, run).await, []);
    }
    stage.fixture.stop().await;
}

#[tokio::test]
async fn no_flood_of_false_results_keeps_the_true_one_from_being_recorded() {
    let stage = Stage::start(3).await;
    let run = taken_over(&stage).await;
    let begin = Utc::now();
    for second in 0..21 {
        let mut forged = returned(true);
        forged.return_dts = Some(Some(begin + TimeDelta::seconds(second)));
        let refused = stage.change_in(2, run, Some(Attempt(u32::MAX)), forged).await;
        assert_eq!(refused, RunChange::Refused(LifeRefusal::Theirs));
    }
    report(&stage, 0, run, Some(1)).await;
    let kept = late(&stage, run).await;
    let kept: Vec<_> = kept.iter().map(|late| (late.result.worker, late.result.attempt, late.result.success)).collect();
    assert_eq!(kept, [(stage.worker(0), Some(Attempt(1)), Some(false))]);
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_worker_that_names_no_attempt_is_known_by_one_that_it_lost_or_gave_back() {
    let stage = Stage::start(2).await;
    let lost = taken_over(&stage).await;
    made(stage.finish(1, lost, true).await);
    let job = stage.job(|job| job.title = Title::fixed("given back")).await;
    let given_back = stage.due(&job).await.id;
    made(stage.claim(0, given_back).await);
    let back = Patch { enqueue_dts: Some(None), start_dts: Some(None), ..Patch::default() };
    made(stage.change(0, given_back, back).await);
    for run in [lost, given_back] {
        assert!(matches!(report(&stage, 0, run, None).await, RunChange::Refused(_)));
        let kept = late(&stage, run).await;
        let kept: Vec<_> = kept.iter().map(|late| (late.result.worker, late.result.attempt)).collect();
        assert_eq!(kept, [(stage.worker(0), None)]);
    }
    stage.fixture.stop().await;
}

/// A run that is lost meanwhile is another worker's by then, or failed: the end of its log is refused in both cases.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_was_stopped_until_it_was_lost_reports_late_results_though_their_logs_are_refused() {
    let stage = Stage::start(2).await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut runs = Vec::new();
    for (title, on_lost) in [("again", OnLost::Retry), ("fails", OnLost::Fail)] {
        let (gate, done) = (folder.path().join(title), folder.path().join(format!("{title}.done")));
        nix::unistd::mkfifo(&gate, Mode::S_IRWXU).expect("a pipe");
        let script = format!("read line < {}\necho the end\n: > {}", gate.display(), done.display());
        let job = stage.job(|new| (new.title, new.script, new.on_lost) = (Title::fixed(title), script, on_lost)).await;
        runs.push((stage.due(&job).await.id, gate, done));
    }
    let place = worker_process::Place::of(&stage.fixture);
    let worker = start_worker(Make::Ours, place, "worker1", 2, folder.path());
    for (run, ..) in &runs {
        let started =
            async |store: &Store| store.run(*run).await.unwrap().filter(|run| run.state() == RunState::Started);
        stage.until("a start", started).await;
    }
    worker.signal(Signal::SIGSTOP);
    stage.store().mark_lost(stage.worker(0), 9, Utc::now()).await.expect("lost");
    made(stage.claim(1, runs[0].0).await);
    for (_, gate, done) in &runs {
        let gate = gate.clone();
        tokio::task::spawn_blocking(move || std::fs::write(gate, "go\n")).await.expect("a thread").expect("a pipe");
        stage.until("the end of the script", async |_| done.exists().then_some(())).await;
    }
    worker.signal(Signal::SIGCONT);
    for ((run, ..), reason) in runs.iter().zip([LateReason::AnotherWorker, LateReason::Over]) {
        let shown = async |store: &Store| store.late_results_of_run(*run).await.unwrap().pop();
        let late = stage.until("a late result", shown).await;
        assert_eq!((late.result.attempt, late.result.worker), (Some(Attempt(1)), stage.worker(0)));
        assert_eq!(late.result.reason, Some(reason));
    }
    let taken = stage.run(runs[0].0).await;
    assert_eq!((taken.worker, taken.attempt, taken.return_dts), (Some(stage.worker(1)), Attempt(2), None));
    drop(worker);
    stage.fixture.stop().await;
}
