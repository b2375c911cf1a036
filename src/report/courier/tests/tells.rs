//! Tests of tells: what a courier says in one call to a server that takes tells, and what follows from the answers.

use std::collections::VecDeque;

use super::*;
use crate::upstream::job_runner::{Outgoing, Uplink};
use crate::wire::uplink::{self, AnswerHead, ELSEWHERE, OVER_HTTP, TELL, TellPart, UplinkVersion};

/// Answer to a tell, as a test sets it.
enum TellAnswer {
    Refused(TellPart, u16),
    Failed(u16),
    Lost,
}

/// Server at the other end of an uplink; it accepts what it is not told to refuse.
#[derive(Clone, Default)]
struct FarEnd {
    calls: Arc<Mutex<Vec<String>>>,
    answers: Arc<Mutex<VecDeque<TellAnswer>>>,
    heard: Arc<tokio::sync::Notify>,
}

impl FarEnd {
    async fn wait_for_calls(&self, count: usize) {
        let enough = async {
            while self.calls.lock().unwrap().len() < count {
                self.heard.notified().await;
            }
        };
        tokio::time::timeout(BOUND, enough).await.expect("so many calls");
    }

    fn answer(&self, answer: TellAnswer) {
        self.answers.lock().unwrap().push_back(answer);
    }

    fn hear(&self, call: Outgoing) {
        let accepted =
            AnswerHead { answer: 0, status: 202, location: None, attempt: None, request: None, refused: None };
        if call.call.method == "GET" {
            // Read over HTTP, where the recording server shows the run.
            let _ = call.answer.send((AnswerHead { status: OVER_HTTP, ..accepted }, Vec::new()));
            return;
        }
        self.calls.lock().unwrap().push(described(&call));
        self.heard.notify_one();
        let scripted = if call.call.method == TELL { self.answers.lock().unwrap().pop_front() } else { None };
        let head = match scripted {
            None => AnswerHead { location: Some("/api/v1/run_log/9/".to_owned()), ..accepted },
            Some(TellAnswer::Refused(part, status)) => AnswerHead { status, refused: Some(part), ..accepted },
            Some(TellAnswer::Failed(status)) => AnswerHead { status, ..accepted },
            Some(TellAnswer::Lost) => return,
        };
        let _ = call.answer.send((head, Vec::new()));
    }
}

fn described(call: &Outgoing) -> String {
    let (head, text) = uplink::parts(&call.body);
    let fields: Value = serde_json::from_slice(head).expect("JSON");
    let text = call.call.from.map(|from| format!("log from {from} {:?}", String::from_utf8_lossy(text)));
    let part = |field: &str, name: &str| fields.get(field).map(|_| name.to_owned());
    let parts = [part("start_dts", "start"), text, part("content", "whole log"), part("return_dts", "result")];
    let parts = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
    format!("{}: {parts}", call.call.method)
}

/// Sets the scene with an uplink of a version.
async fn with_uplink(version: UplinkVersion, log_update_interval: Duration) -> (Scene, FarEnd) {
    let scene = Scene::with_interval(log_update_interval).await;
    scene.logs.has_pieces.store(true, Ordering::Relaxed);
    scene.server.set("attempt", json!(1));
    let (uplink, mut calls) = Uplink::new(version);
    scene.client.set_uplink(Some(uplink));
    let far_end = FarEnd::default();
    let hearing = far_end.clone();
    tokio::spawn(async move {
        while let Some(call) = calls.next().await {
            hearing.hear(call);
        }
    });
    (scene, far_end)
}

impl FarEnd {
    /// Waits until all is delivered, and returns all calls but reads.
    async fn all_calls(&self, scene: &Scene) -> Vec<String> {
        scene.reporter.flush(BOUND).await;
        self.calls.lock().unwrap().clone()
    }
}

const ALL: &str = r#"TELL: start, log from 0 "hello\n", result"#;

#[tokio::test]
async fn start_log_and_result_of_a_short_run_are_one_call() {
    let (scene, far_end) = with_uplink(UplinkVersion::Two, Duration::ZERO).await;
    let mut report = scene.serve(counted()).await;
    report.started(start()).await;
    report.ended(end()).await;
    assert_eq!(far_end.all_calls(&scene).await, [ALL]);
    assert!(scene.is_forgotten() && scene.letters().is_empty());
}

#[tokio::test]
async fn to_a_server_of_version_1_each_is_a_call_of_its_own() {
    let (scene, far_end) = with_uplink(UplinkVersion::One, Duration::ZERO).await;
    let mut report = scene.serve(counted()).await;
    report.started(start()).await;
    report.ended(end()).await;
    assert_eq!(far_end.all_calls(&scene).await, ["PATCH: start", "POST: whole log", "PATCH: result"]);
}

#[tokio::test]
async fn a_start_does_not_wait_for_the_end_of_a_long_run() {
    let (scene, far_end) = with_uplink(UplinkVersion::Two, Duration::ZERO).await;
    let mut report = scene.serve(counted()).await;
    report.started(start()).await;
    far_end.wait_for_calls(1).await;
    report.ended(end()).await;
    assert_eq!(far_end.all_calls(&scene).await, ["TELL: start", r#"TELL: log from 0 "hello\n", result"#]);
}

#[tokio::test]
async fn output_of_a_run_that_lasts_is_told_with_its_start_and_the_rest_with_its_result() {
    let (scene, far_end) = with_uplink(UplinkVersion::Two, Duration::from_secs(60)).await;
    let mut report = scene.serve(counted()).await;
    report.started(start()).await;
    assert_eq!(asked(&mut report).await, CourierRequest::Watch(0));
    report.output(6).await;
    far_end.wait_for_calls(1).await;
    *scene.logs.text.lock().unwrap() = "hello\nworld".to_owned();
    let outcome = RunOutcome::Ran { exit: ProcessExit::Code(0), cause: Some(Cause::Killed), left: Left::Nobody };
    report.ended(StoredEnd { outcome, output: 11, ..end() }).await;
    let calls = far_end.all_calls(&scene).await;
    let first = calls[0].as_str();
    // Where the machine is slow, the start is not with the output.
    assert!([r#"TELL: start, log from 0 "hello\n""#, "TELL: start"].contains(&first), "{calls:?}");
    let last = calls.last().unwrap();
    assert!(last.contains(r#"world\n[job runner worker] The job was stopped"#), "{calls:?}");
    assert!(last.ends_with(", result"), "{calls:?}");
}

#[tokio::test]
async fn a_run_that_never_started_is_told_in_one_call_with_a_start() {
    let (scene, far_end) = with_uplink(UplinkVersion::Two, Duration::ZERO).await;
    let report = scene.serve(counted()).await;
    report.ended(end()).await;
    assert_eq!(far_end.all_calls(&scene).await, [ALL]);
}

#[tokio::test]
async fn a_tell_that_was_not_carried_out_is_made_again_after_a_read() {
    for failure in [TellAnswer::Lost, TellAnswer::Failed(503)] {
        let (scene, far_end) = with_uplink(UplinkVersion::Two, Duration::ZERO).await;
        far_end.answer(failure);
        let mut report = scene.serve(counted()).await;
        report.started(start()).await;
        report.ended(end()).await;
        assert_eq!(far_end.all_calls(&scene).await, [ALL, ALL]);
        assert_eq!(scene.server.calls(), ["read worker", "read run"]);
        assert!(scene.is_forgotten() && scene.letters().is_empty());
    }
}

#[tokio::test]
async fn a_tell_whose_answer_was_lost_is_confirmed_by_its_result_alone() {
    let (scene, far_end) = with_uplink(UplinkVersion::Two, Duration::ZERO).await;
    far_end.answer(TellAnswer::Lost);
    scene.server.set("return_dts", json!(end().at));
    let mut report = scene.serve(counted()).await;
    report.started(start()).await;
    report.ended(end()).await;
    assert_eq!(far_end.all_calls(&scene).await, [ALL, "PATCH: result"]);
    assert!(scene.is_forgotten() && scene.letters().is_empty());
}

#[tokio::test]
async fn a_log_that_contradicts_the_servers_is_sent_whole_and_the_start_not_again() {
    for status in [ELSEWHERE, 413] {
        let (scene, far_end) = with_uplink(UplinkVersion::Two, Duration::ZERO).await;
        far_end.answer(TellAnswer::Refused(TellPart::Log, status));
        let mut report = scene.serve(counted()).await;
        report.started(start()).await;
        report.ended(end()).await;
        assert_eq!(far_end.all_calls(&scene).await, [ALL, "POST: whole log", "TELL: result"], "{status}");
        assert!(scene.is_forgotten() && scene.letters().is_empty(), "{status}");
    }
}

#[tokio::test]
async fn after_a_refused_attempt_its_result_alone_is_told() {
    let (scene, far_end) = with_uplink(UplinkVersion::Two, Duration::ZERO).await;
    far_end.answer(TellAnswer::Refused(TellPart::Start, 409));
    let mut report = scene.serve(counted()).await;
    report.started(start()).await;
    report.ended(end()).await;
    assert_eq!(far_end.all_calls(&scene).await, [ALL, "PATCH: result"]);
    assert_eq!(scene.letters(), ["log"], "as after a single call");
}

#[tokio::test]
async fn a_part_that_is_rejected_is_told_by_itself_and_holds_up_no_other() {
    let (scene, far_end) = with_uplink(UplinkVersion::Two, Duration::ZERO).await;
    far_end.answer(TellAnswer::Refused(TellPart::Result, 400));
    let mut report = scene.serve(counted()).await;
    report.started(start()).await;
    report.ended(end()).await;
    assert_eq!(far_end.all_calls(&scene).await, [ALL, "PATCH: result"]);
    assert!(scene.is_forgotten() && scene.letters().is_empty());
}
