//! Tests of the courier: a run's events and a server's failures go in, and the calls come out, exactly these and in
//! this order. Each test ends the couriers before it compares, so that nothing else can be said afterwards.

mod recording_server;
mod tells;

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::report::{
    CourierRequest, Durability, EventPublisher, KeptOutput, LogSource, Outbox, OutboxEntry, OutboxLocation, Recipient,
    Reporter, RunReport, Settings, Start, StoredEnd, plan,
};
use crate::run::{ApiKey, Attempt, Cause, Left, Outcome as RunOutcome, ProcessExit, RunId, Secret};
use crate::upstream::job_runner::RestClient;
use recording_server::{Fault, RecordingServer};

/// Longest wait of a flush for one more run to be delivered.
const BOUND: Duration = Duration::from_secs(20);

/// Rejections after which a part of the report no longer holds up the rest.
const REJECTED: usize = plan::REJECTIONS as usize;

/// Output of the run, as a test sets it.
#[derive(Default)]
struct FakeLogs {
    text: Mutex<String>,
    /// Errors of the next reads.
    errors: Mutex<Vec<i32>>,
    forgotten: Mutex<Vec<Attempt>>,
    /// Whether the output can be read in pieces.
    has_pieces: AtomicBool,
}

impl LogSource for FakeLogs {
    fn text(&self, _: RunId, _: Attempt, _: u64) -> io::Result<(String, u64)> {
        if let Some(error) = self.errors.lock().unwrap().pop() {
            return Err(io::Error::from_raw_os_error(error));
        }
        let text = self.text.lock().unwrap().clone();
        let length = text.len() as u64;
        Ok((text, length))
    }

    fn piece(&self, _: RunId, _: Attempt, from: u64, _: u64) -> io::Result<Option<Vec<u8>>> {
        let piece = || self.text.lock().unwrap().as_bytes()[usize::try_from(from).unwrap()..].to_vec();
        Ok(self.has_pieces.load(Ordering::Relaxed).then(piece))
    }

    fn kept(&self, _: RunId, _: Attempt, _: u64, _: u64) -> io::Result<KeptOutput> {
        Ok(KeptOutput::Bytes(Vec::new()))
    }

    fn journal(&self, _: RunId, _: Attempt) -> io::Result<Vec<u8>> {
        Ok(Vec::new())
    }

    fn forget(&self, _: RunId, attempt: Attempt) {
        self.forgotten.lock().unwrap().push(attempt);
    }
}

/// Reporter of one run against a server that records its calls.
struct Scene {
    server: RecordingServer,
    client: RestClient,
    reporter: Reporter,
    logs: Arc<FakeLogs>,
    _directory: TempDir,
}

impl Scene {
    /// Sets the scene: the script prints `hello`, and its log is sent at the end only.
    async fn set() -> Self {
        Self::with_interval(Duration::ZERO).await
    }

    /// Sets the scene with live logs, where the interval is not zero.
    async fn with_interval(log_update_interval: Duration) -> Self {
        let scene = Self::without_ping(log_update_interval).await;
        // The server does not take this worker for dead.
        scene.client.health().pinged();
        scene
    }

    /// Sets the scene for a worker that never answered a ping.
    async fn without_ping(log_update_interval: Duration) -> Self {
        let server = RecordingServer::start().await;
        let directory = tempfile::tempdir().expect("a directory");
        let (outbox, _) = Outbox::open(OutboxLocation {
            path: directory.path().join("outbox.sqlite"),
            server: server.url.to_string(),
            durability: Durability::Process,
            reserve: 0,
        })
        .await
        .expect("an outbox");
        let client = RestClient::new(rest_settings(&server)).expect("a client");
        let settings = Settings {
            max_log_bytes: 1 << 20,
            log_update_interval,
            ws_server_hostname: "127.0.0.1".to_owned(),
            ws_server_port: 1,
            durability: Durability::Process,
        };
        let (event_publisher, _) = EventPublisher::start(settings.ws_server()).expect("a publisher");
        let logs = Arc::new(FakeLogs::default());
        *logs.text.lock().unwrap() = "hello\n".to_owned();
        let recipient = Recipient::JobRunner { client: client.clone(), event_publisher };
        let source = Arc::<FakeLogs>::clone(&logs);
        let reporter = Reporter::new(recipient, outbox, source, settings, Vec::new());
        Self { server, client, reporter, logs, _directory: directory }
    }

    /// Writes the entry of the run, and begins to serve it.
    async fn serve(&self, entry: OutboxEntry) -> RunReport {
        self.reporter.outbox().run(&entry).await;
        self.reporter.serve(entry, false)
    }

    /// Waits until all is delivered, and returns all calls.
    async fn all_calls(&self) -> Vec<String> {
        self.reporter.flush(BOUND).await;
        self.server.calls()
    }

    /// Returns whether everything that was stored of the run is removed.
    fn is_forgotten(&self) -> bool {
        !self.reporter.outbox().holds(run()) && !self.logs.forgotten.lock().unwrap().is_empty()
    }

    fn letters(&self) -> Vec<String> {
        self.reporter.dead_letters().into_iter().map(|letter| letter.what).collect()
    }
}

fn rest_settings(server: &RecordingServer) -> crate::upstream::job_runner::Settings {
    crate::upstream::job_runner::Settings {
        api_base_url: server.url.clone(),
        api_key: ApiKey::parse("testworker").expect("a key"),
        secret: Secret::new(b"verysecret".to_vec()),
        run_resource: "/api/v1/run/".to_owned(),
        worker_resource: "/api/v1/worker/".to_owned(),
        run_log_resource: "/api/v1/run_log/".to_owned(),
        kill_request_resource: "/api/v1/kill_request/".to_owned(),
        tls_verify: false,
        ca_file: None,
        api_timeout: Duration::from_secs(20),
    }
}

fn run() -> RunId {
    RunId::new(2).expect("a run")
}

fn claimed() -> OutboxEntry {
    OutboxEntry {
        run: run(),
        attempt: Attempt::FIRST,
        claim: None,
        losses: 0,
        token: "token".to_owned(),
        run_log: None,
        start: None,
        end: None,
    }
}

fn start() -> Start {
    Start { pid: 7, at: "2026-11-23T18:02:02.101230".to_owned() }
}

fn end() -> StoredEnd {
    let outcome = RunOutcome::Ran { exit: ProcessExit::Code(0), cause: None, left: Left::Nobody };
    StoredEnd { outcome, output: 6, at: "2026-11-23T18:02:03.228055".to_owned() }
}

fn given_back() -> StoredEnd {
    StoredEnd { outcome: RunOutcome::Cancelled(Cause::GivenBack), output: 0, ..end() }
}

/// Waits for the next request of the courier.
async fn asked(report: &mut RunReport) -> CourierRequest {
    tokio::time::timeout(BOUND, report.asked()).await.expect("a request of the courier")
}

const LOG: &str = r#"new log "hello\n""#;

#[tokio::test]
async fn start_log_and_result_are_told_in_this_order_and_nothing_else() {
    let scene = Scene::set().await;
    let mut report = scene.serve(claimed()).await;
    report.started(start()).await;
    report.ended(end()).await;
    assert_eq!(scene.all_calls().await, ["start with pid 7", LOG, "result true"]);
    assert!(scene.is_forgotten() && scene.letters().is_empty());
}

#[tokio::test]
async fn a_run_that_was_over_at_the_start_is_read_and_what_the_server_has_is_not_told() {
    let scene = Scene::set().await;
    scene.server.set("start_dts", json!("2026-11-23T18:02:02.101230"));
    scene.reporter.deliver(OutboxEntry { start: Some(start()), end: Some(end()), ..claimed() });
    assert_eq!(scene.all_calls().await, ["read worker", "read run", LOG, "result true"]);
}

#[tokio::test]
async fn after_a_restart_a_start_that_the_server_lacks_is_told() {
    let scene = Scene::set().await;
    scene.reporter.deliver(OutboxEntry { start: Some(start()), end: Some(end()), ..claimed() });
    assert_eq!(scene.all_calls().await, ["read worker", "read run", "start with pid 7", LOG, "result true"]);
}

#[tokio::test]
async fn a_start_at_the_server_that_may_be_of_a_lost_execution_does_not_count() {
    let scene = Scene::set().await;
    scene.server.set("start_dts", json!("2026-11-23T18:02:02.101230"));
    let entry = OutboxEntry { attempt: Attempt(2), losses: 1, start: Some(start()), end: Some(end()), ..claimed() };
    scene.reporter.deliver(entry);
    assert_eq!(scene.all_calls().await, ["read worker", "read run", "start with pid 7", LOG, "result true"]);
}

#[tokio::test]
async fn after_a_restart_a_server_that_counts_no_attempts_is_told_nothing_of_another_workers_run() {
    let scene = Scene::set().await;
    scene.server.set("worker", json!("/api/v1/worker/9/"));
    scene.reporter.deliver(OutboxEntry { start: Some(start()), end: Some(end()), ..counted() });
    assert_eq!(scene.all_calls().await, ["read worker", "read run"]);
    assert_eq!(scene.letters(), ["result"]);
    assert!(scene.is_forgotten());
}

#[tokio::test]
async fn whatever_is_told_names_the_attempt_that_was_claimed() {
    let scene = Scene::set().await;
    let mut report = scene.serve(claimed()).await;
    report.claimed(Some(Attempt(4))).await;
    report.started(start()).await;
    report.ended(end()).await;
    let calls = ["start with pid 7", LOG, "result true"].map(|call| format!("{call} of attempt 4"));
    assert_eq!(scene.all_calls().await, calls);
}

#[tokio::test]
async fn a_run_that_never_started_is_told_with_a_start() {
    let scene = Scene::set().await;
    let report = scene.serve(claimed()).await;
    report.ended(end()).await;
    assert_eq!(scene.all_calls().await, [LOG, "result true with start"]);
}

#[tokio::test]
async fn a_run_does_not_return_before_its_start_though_the_clock_was_set_back() {
    let scene = Scene::set().await;
    let mut report = scene.serve(claimed()).await;
    report.started(start()).await;
    report.ended(StoredEnd { at: "2026-11-23T17:02:02.101230".to_owned(), ..end() }).await;
    assert_eq!(scene.all_calls().await.last().unwrap(), "result true");
    assert_eq!(scene.server.field("return_dts"), scene.server.field("start_dts"));
}

#[tokio::test]
async fn a_log_that_cannot_be_read_for_want_of_a_resource_is_read_again_and_else_says_so() {
    let scene = Scene::set().await;
    let (no_memory, broken) = (12, 5);
    *scene.logs.errors.lock().unwrap() = vec![broken, no_memory];
    let mut report = scene.serve(claimed()).await;
    report.started(start()).await;
    report.ended(end()).await;
    let calls = scene.all_calls().await;
    assert!(calls[1].contains("The output cannot be read"), "{calls:?}");
    assert!(calls[1].contains("6 bytes of output could not be kept"), "{calls:?}");
    assert_eq!([&calls[0], &calls[2]], ["start with pid 7", "result true"], "{calls:?}");
    assert!(scene.logs.errors.lock().unwrap().is_empty(), "it is read again");
}

#[tokio::test]
async fn the_note_about_the_end_follows_the_output_also_where_that_was_told_before() {
    let scene = Scene::with_interval(Duration::from_millis(1)).await;
    let mut report = scene.serve(claimed()).await;
    report.started(start()).await;
    report.output(6).await;
    scene.server.wait_for_calls(2).await;
    let outcome = RunOutcome::Ran { exit: ProcessExit::Code(0), cause: Some(Cause::Killed), left: Left::Nobody };
    report.ended(StoredEnd { outcome, ..end() }).await;
    let calls = scene.all_calls().await;
    assert!(calls[2].starts_with(r#"log "hello\n[job runner worker] The job was stopped: "#), "{calls:?}");
}

#[tokio::test]
async fn a_log_that_is_too_large_is_told_shorter_as_often_as_it_takes() {
    let scene = Scene::set().await;
    *scene.logs.text.lock().unwrap() = "x".repeat(20_000);
    for _ in 0..REJECTED {
        scene.server.fail("new log", Fault::Refused(413));
    }
    let mut report = scene.serve(claimed()).await;
    report.started(start()).await;
    report.ended(StoredEnd { output: 20_000, ..end() }).await;
    let calls = scene.all_calls().await;
    let lengths: Vec<usize> = calls.iter().filter(|call| call.starts_with("new log")).map(String::len).collect();
    assert!(lengths.len() == REJECTED + 1 && lengths.is_sorted_by(|before, next| next < before), "{lengths:?}");
    assert_eq!(calls.last().unwrap(), "result true");
    assert!(scene.letters().is_empty());
}

#[tokio::test]
async fn a_result_whose_answer_was_lost_is_not_told_twice() {
    let scene = Scene::set().await;
    scene.server.fail("result", Fault::AnswerLost);
    let mut report = scene.serve(claimed()).await;
    report.started(start()).await;
    report.ended(end()).await;
    let calls = ["start with pid 7", LOG, "result true", "read worker", "read run"];
    assert_eq!(scene.all_calls().await, calls);
    assert!(scene.is_forgotten() && scene.letters().is_empty());
}

#[tokio::test]
async fn a_result_that_is_rejected_three_times_has_a_dead_letter_until_it_is_taken() {
    let scene = Scene::set().await;
    for _ in 0..=REJECTED {
        scene.server.fail("result", Fault::Refused(400));
    }
    let mut report = scene.serve(claimed()).await;
    report.started(start()).await;
    report.ended(end()).await;
    scene.server.wait_for_calls(2 + REJECTED + 1).await;
    assert_eq!(scene.letters(), ["result"]);
    assert_eq!(scene.all_calls().await.last().unwrap(), "result true");
    assert!(scene.is_forgotten() && scene.letters().is_empty());
}

#[tokio::test]
async fn a_call_that_was_not_carried_out_is_made_again_after_a_read() {
    let scene = Scene::set().await;
    scene.server.fail("new log", Fault::Refused(503));
    let mut report = scene.serve(claimed()).await;
    report.started(start()).await;
    report.ended(end()).await;
    let calls = ["start with pid 7", LOG, "read worker", "read run", LOG, "result true"];
    assert_eq!(scene.all_calls().await, calls);
}

#[tokio::test]
async fn a_server_that_is_back_gets_at_once_what_it_was_to_get_later() {
    let scene = Scene::set().await;
    scene.server.fail("result", Fault::Away);
    let mut report = scene.serve(claimed()).await;
    report.started(start()).await;
    report.ended(end()).await;
    scene.server.wait_for_calls(3).await;
    // What another courier finds out.
    scene.client.health().recovered();
    let calls = ["start with pid 7", LOG, "result true", "read worker", "read run", "result true"];
    assert_eq!(scene.all_calls().await, calls);
}

#[tokio::test]
async fn a_start_that_is_rejected_three_times_is_told_with_the_result() {
    let scene = Scene::set().await;
    for _ in 0..REJECTED {
        scene.server.fail("start", Fault::Refused(400));
    }
    let mut report = scene.serve(claimed()).await;
    report.started(start()).await;
    scene.server.wait_for_calls(REJECTED).await;
    report.ended(end()).await;
    let calls = ["start with pid 7", "start", "start with pid 7", LOG, "result true with start"];
    assert_eq!(scene.all_calls().await, calls);
}

#[tokio::test]
async fn a_log_that_is_rejected_three_times_does_not_hold_up_the_result() {
    let scene = Scene::set().await;
    for _ in 0..REJECTED {
        scene.server.fail("new log", Fault::Refused(400));
    }
    let mut report = scene.serve(claimed()).await;
    report.started(start()).await;
    report.ended(end()).await;
    assert_eq!(scene.all_calls().await, ["start with pid 7", LOG, LOG, LOG, "result true"]);
    assert_eq!(scene.letters(), ["log"]);
}

#[tokio::test]
async fn a_run_of_another_worker_is_stopped_and_nothing_more_is_told() {
    let scene = Scene::set().await;
    scene.server.fail("start", Fault::Refused(409));
    let mut report = scene.serve(claimed()).await;
    report.started(start()).await;
    assert_eq!(asked(&mut report).await, CourierRequest::Stop);
    assert!(!scene.is_forgotten(), "its script is not over");
    report.ended(end()).await;
    assert_eq!(scene.all_calls().await, ["start with pid 7"]);
    assert!(scene.is_forgotten());
    assert_eq!(scene.letters(), ["result"]);
}

/// Entry of a run that was claimed from a server that counts attempts.
fn counted() -> OutboxEntry {
    OutboxEntry { claim: Some(Attempt(1)), ..claimed() }
}

fn of_attempt_1<const N: usize>(calls: [&str; N]) -> [String; N] {
    calls.map(|call| if call.starts_with("read") { call.to_owned() } else { format!("{call} of attempt 1") })
}

#[tokio::test]
async fn the_late_result_is_told_once_though_the_end_of_its_log_is_refused() {
    for status in [409, 401] {
        let scene = Scene::set().await;
        scene.server.fail("new log", Fault::Refused(status));
        scene.server.fail("result", Fault::Refused(status));
        let mut report = scene.serve(counted()).await;
        report.started(start()).await;
        report.ended(end()).await;
        let mut calls = scene.all_calls().await;
        // A 401 may be about the credentials, so these are tried.
        calls.retain(|call| call != "read worker");
        assert_eq!(calls, of_attempt_1(["start with pid 7", LOG, "result true"]), "{status}");
        assert!(scene.is_forgotten(), "{status}");
        assert_eq!(scene.letters(), ["log", "result"], "{status}");
    }
}

#[tokio::test]
async fn a_late_result_that_is_not_answered_is_told_again_without_a_read() {
    let scene = Scene::set().await;
    scene.server.fail("new log", Fault::Refused(409));
    scene.server.fail("result", Fault::Refused(503));
    scene.server.fail("result", Fault::Refused(409));
    let mut report = scene.serve(counted()).await;
    report.started(start()).await;
    report.ended(end()).await;
    let calls = ["start with pid 7", LOG, "result true", "result true"];
    assert_eq!(scene.all_calls().await, of_attempt_1(calls));
}

#[tokio::test]
async fn a_server_that_counts_no_attempts_is_not_told_the_result_of_a_run_whose_log_it_refuses() {
    let scene = Scene::set().await;
    scene.server.fail("new log", Fault::Refused(409));
    let mut report = scene.serve(claimed()).await;
    report.started(start()).await;
    report.ended(end()).await;
    assert_eq!(scene.all_calls().await, ["start with pid 7", LOG]);
    assert!(scene.is_forgotten());
    assert_eq!(scene.letters(), ["result"]);
}

#[tokio::test]
async fn a_script_that_is_stopped_for_a_refusal_has_its_result_told() {
    let scene = Scene::with_interval(Duration::from_millis(1)).await;
    scene.server.fail("new log", Fault::Refused(409));
    scene.server.fail("result", Fault::Refused(409));
    let mut report = scene.serve(counted()).await;
    report.started(start()).await;
    assert_eq!(asked(&mut report).await, CourierRequest::Watch(0));
    report.output(6).await;
    assert_eq!(asked(&mut report).await, CourierRequest::Stop);
    report.ended(end()).await;
    assert_eq!(scene.all_calls().await, of_attempt_1(["start with pid 7", LOG, "result true"]));
    assert!(scene.is_forgotten());
}

#[tokio::test]
async fn a_read_that_shows_the_run_as_over_or_another_workers_does_not_lose_the_late_result() {
    let over = Value::from("2026-11-23T18:02:02.228055");
    for (field, value) in [("attempt", json!(2)), ("worker", json!("/api/v1/worker/9/")), ("return_dts", over)] {
        let scene = Scene::set().await;
        scene.server.set("attempt", json!(1));
        scene.server.set(field, value);
        scene.server.fail("result", Fault::Refused(409));
        scene.reporter.deliver(OutboxEntry { start: Some(start()), end: Some(end()), ..counted() });
        assert_eq!(scene.all_calls().await, of_attempt_1(["read worker", "read run", "result true"]), "{field}");
        assert!(scene.is_forgotten(), "{field}");
        assert!(scene.letters().contains(&"result".to_owned()), "{field}");
    }
}

#[tokio::test]
async fn a_run_that_is_given_back_is_told_with_one_call() {
    let scene = Scene::set().await;
    let report = scene.serve(claimed()).await;
    report.ended(given_back()).await;
    assert_eq!(scene.all_calls().await, ["give back"]);
    assert!(scene.is_forgotten() && scene.letters().is_empty());
}

#[tokio::test]
async fn a_run_whose_giving_back_was_not_answered_is_read_and_not_given_back_twice() {
    let scene = Scene::set().await;
    scene.server.fail("give back", Fault::AnswerLost);
    let report = scene.serve(claimed()).await;
    report.ended(given_back()).await;
    assert_eq!(scene.all_calls().await, ["give back", "read worker", "read run"]);
    assert!(scene.is_forgotten() && scene.letters().is_empty());
}

#[tokio::test]
async fn a_run_that_is_gone_when_it_is_given_back_leaves_no_dead_letter() {
    let scene = Scene::set().await;
    scene.server.fail("give back", Fault::Refused(404));
    let report = scene.serve(claimed()).await;
    report.ended(given_back()).await;
    assert_eq!(scene.all_calls().await, ["give back", "read worker"]);
    assert!(scene.is_forgotten() && scene.letters().is_empty());
}

#[tokio::test]
async fn a_worker_that_was_silent_for_long_reads_the_run_before_its_result() {
    let scene = Scene::without_ping(Duration::ZERO).await;
    let mut report = scene.serve(claimed()).await;
    report.started(start()).await;
    report.ended(end()).await;
    assert_eq!(scene.all_calls().await, ["start with pid 7", LOG, "read worker", "read run", "result true"]);
}

#[tokio::test]
async fn output_is_told_while_the_run_lasts_and_not_again_at_its_end() {
    let scene = Scene::with_interval(Duration::from_millis(1)).await;
    let mut report = scene.serve(claimed()).await;
    report.started(start()).await;
    assert_eq!(asked(&mut report).await, CourierRequest::Watch(0));
    report.output(6).await;
    scene.server.wait_for_calls(2).await;
    assert_eq!(asked(&mut report).await, CourierRequest::Watch(6));
    report.ended(end()).await;
    assert_eq!(scene.all_calls().await, ["start with pid 7", LOG, "result true"]);
}

#[tokio::test]
async fn a_log_whose_path_is_unknown_is_looked_for_before_it_is_changed() {
    let scene = Scene::with_interval(Duration::from_millis(1)).await;
    scene.server.fail("new log", Fault::PathUnnamed);
    let mut report = scene.serve(claimed()).await;
    report.started(start()).await;
    report.output(6).await;
    scene.server.wait_for_calls(4).await;
    *scene.logs.text.lock().unwrap() = "hello\nworld\n".to_owned();
    report.ended(StoredEnd { output: 12, ..end() }).await;
    let calls = ["start with pid 7", LOG, "read worker", "read run", r#"log "hello\nworld\n""#, "result true"];
    assert_eq!(scene.all_calls().await, calls);
}

#[tokio::test]
async fn a_log_that_was_deleted_is_made_anew_after_a_read() {
    let scene = Scene::set().await;
    scene.server.fail("log", Fault::Refused(404));
    let run_log = Some("/api/v1/run_log/9/".to_owned());
    let mut report = scene.serve(OutboxEntry { run_log, ..claimed() }).await;
    report.started(start()).await;
    report.ended(end()).await;
    let calls = ["start with pid 7", r#"log "hello\n""#, "read worker", "read run", LOG, "result true"];
    assert_eq!(scene.all_calls().await, calls);
}

#[tokio::test]
async fn each_execution_tells_its_own_start() {
    let scene = Scene::set().await;
    let mut report = scene.serve(claimed()).await;
    report.started(start()).await;
    scene.server.wait_for_calls(1).await;
    report.relaunched(OutboxEntry { attempt: Attempt(2), losses: 1, ..claimed() }).await;
    report.started(Start { pid: 8, ..start() }).await;
    report.ended(end()).await;
    assert_eq!(scene.all_calls().await, ["start with pid 7", "start with pid 8", LOG, "result true"]);
    assert_eq!(*scene.logs.forgotten.lock().unwrap(), [Attempt(2)]);
}

#[tokio::test]
async fn a_server_that_refuses_the_credentials_is_asked_for_nothing_else() {
    let scene = Scene::set().await;
    scene.server.fail("start", Fault::Refused(401));
    scene.server.fail("read worker", Fault::Refused(401));
    let mut report = scene.serve(claimed()).await;
    report.started(start()).await;
    scene.server.wait_for_calls(2).await;
    report.ended(end()).await;
    scene.reporter.leave(BOUND).await;
    assert_eq!(scene.server.calls(), ["start with pid 7", "read worker"]);
    assert!(scene.reporter.outbox().holds(run()), "it waits on disk");
    assert!(scene.letters().is_empty());
}

#[tokio::test]
async fn a_call_that_is_forbidden_while_the_credentials_are_good_is_of_another_workers_run() {
    let scene = Scene::set().await;
    scene.server.fail("start", Fault::Refused(403));
    let mut report = scene.serve(claimed()).await;
    report.started(start()).await;
    assert_eq!(asked(&mut report).await, CourierRequest::Stop);
    report.ended(end()).await;
    assert_eq!(scene.all_calls().await, ["start with pid 7", "read worker"]);
    assert_eq!(scene.letters(), ["result"]);
}

#[tokio::test]
async fn a_run_that_is_not_found_is_given_up_only_where_the_server_answers_otherwise() {
    let scene = Scene::set().await;
    scene.server.fail("result", Fault::Refused(404));
    scene.server.fail("read worker", Fault::Refused(404));
    let mut report = scene.serve(claimed()).await;
    report.started(start()).await;
    report.ended(end()).await;
    assert_eq!(scene.all_calls().await.last().unwrap(), "result true");
    assert!(scene.is_forgotten() && scene.letters().is_empty());
}

#[tokio::test]
async fn a_reporter_that_leaves_makes_no_further_call() {
    let scene = Scene::set().await;
    let mut report = scene.serve(claimed()).await;
    report.started(start()).await;
    scene.server.wait_for_calls(1).await;
    scene.reporter.leave(BOUND).await;
    report.ended(end()).await;
    assert_eq!(scene.server.calls(), ["start with pid 7"]);
    assert!(scene.reporter.outbox().holds(run()), "its end waits on disk");
}

#[tokio::test]
async fn a_run_that_the_server_ended_by_itself_is_told_nothing() {
    let scene = Scene::set().await;
    scene.server.set("return_dts", Value::from("2026-11-23T18:02:02.228055"));
    scene.server.fail("start", Fault::Refused(503));
    let mut report = scene.serve(claimed()).await;
    report.started(start()).await;
    scene.server.wait_for_calls(3).await;
    report.ended(end()).await;
    assert_eq!(scene.all_calls().await, ["start with pid 7", "read worker", "read run"]);
    assert!(scene.is_forgotten());
    assert_eq!(scene.letters(), ["result"]);
}
