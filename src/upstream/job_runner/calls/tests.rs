//! Tests of the calls: the requests that each call sends, and the reading of their answers.

mod lists;
mod paths;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;

use super::super::tests::{JOB, KILL, RUN, Server, WORKERS, answer, client, settings, signed};
use super::*;
use crate::run::{ApiKey, Cause, Left, ProcessExit};
use crate::upstream::health::ServerHealth;
use crate::upstream::job_runner::Settings;
use crate::wire::uplink::job_versions::JobVersion;

fn run_2() -> RunId {
    RunId::new(2).expect("a run")
}

fn old_claim() -> AttemptClaim {
    AttemptClaim { run: run_2(), attempt: None }
}

fn failed() -> Outcome {
    Outcome::Ran { exit: ProcessExit::Code(3), cause: None, left: Left::Nobody }
}

fn kill_1() -> KillId {
    KillId::new(1).expect("a kill request")
}

#[tokio::test]
async fn every_call_is_signed_and_goes_where_the_original_goes() {
    let server = Server::that(|call| match (call.method.as_str(), call.path.as_str()) {
        ("GET", path) if path.starts_with("/api/v1/run/") => answer(200, &[], RUN),
        ("GET", path) if path.starts_with("/api/v1/job/") => answer(200, &[], JOB),
        ("GET", path) if path.starts_with("/api/v1/worker/") => answer(200, &[], WORKERS),
        ("GET", _) => answer(200, &[], KILL),
        ("POST", _) => answer(201, &[("location", "http://other/api/v1/run_log/7/")], ""),
        _ => answer(202, &[], ""),
    })
    .await;
    let client = server.client();

    let seen = client.look(run_2()).await.expect("a run");
    assert_eq!((seen.seen, seen.job.as_deref()), (RunSight::Returned, Some("/api/v1/job/1/")));
    let job = client.job("/api/v1/job/1/").await.expect("a job");
    assert_eq!(job.run_timeout, None);
    assert_eq!(job.script.as_deref(), Some("#!/usr/bin/env bash\necho hello\n"));
    client.credentials().await.expect("accepted");
    let kill = client.kill_request(kill_1()).await.expect("a kill request");
    assert_eq!((kill.run, kill.taken, kill.executed), (Some(run_2()), false, false));
    assert_eq!(client.claim(run_2(), Utc::now()).await, Ok(None), "an old server does not count");
    client.tell_start(old_claim(), "at", Some(7)).await.expect("accepted");
    client.tell_result(old_claim(), "later", ToldResult::Exit(&failed()), None).await.expect("accepted");
    client.reset(run_2()).await.expect("accepted");
    let log = client.new_log(old_claim(), "héllo\n").await.expect("accepted");
    assert_eq!(log.as_deref(), Some("/api/v1/run_log/7/"));
    client.change_log(old_claim(), "/api/v1/run_log/7/", "x").await.expect("accepted");
    client.tell_kill_taken(kill_1()).await.expect("accepted");
    client.tell_kill_executed(kill_1()).await.expect("accepted");
    let facts = StatusReport {
        held: Vec::new(),
        concurrent_jobs: 4,
        duty: WorkerState::Awake,
        seats_taken: 1,
        outbox: 0,
        restarts: true,
        follows: None,
        done: None,
    };
    assert_eq!(client.tell(&facts, false).await, Ok(None), "an old server is told nothing that it has not asked for");
    assert_eq!(client.tell(&facts, true).await, Ok(None), "and nothing that it does not know");

    let calls = server.calls();
    let made: Vec<_> = calls.iter().map(|call| format!("{} {}", call.method, call.path)).collect();
    assert_eq!(
        made,
        [
            "GET /api/v1/worker/",
            "GET /api/v1/run/2/",
            "GET /api/v1/job/1/",
            "GET /api/v1/worker/",
            "GET /api/v1/kill_request/1/",
            "PATCH /api/v1/run/2/",
            "PATCH /api/v1/run/2/",
            "PATCH /api/v1/run/2/",
            "PATCH /api/v1/run/2/",
            "POST /api/v1/run_log/",
            "PATCH /api/v1/run_log/7/",
            "PATCH /api/v1/kill_request/1/",
            "PATCH /api/v1/kill_request/1/",
            // The status report to a server without commands: the ping's timestamp is read before and after the write.
            "GET /api/v1/worker/",
            "PATCH /api/v1/worker/1/",
            "GET /api/v1/worker/",
        ]
    );
    for call in &calls {
        assert_eq!(call.authorization, signed(call), "{call:?}");
        assert_eq!(call.content_type, "application/json");
    }
    let told = |at: usize| -> Value { serde_json::from_slice(&calls[at].body).expect("JSON") };
    assert_eq!(told(5)["worker"], "/api/v1/worker/1/");
    assert_eq!(told(6), json!({"start_dts": "at", "pid": 7}));
    assert_eq!(told(7), json!({"return_dts": "later", "return_success": false}));
    assert_eq!(told(8), json!({"enqueue_dts": null, "start_dts": null, "pid": null}));
    assert_eq!(calls[9].body, "{\"run\":\"/api/v1/run/2/\",\"content\":\"héllo\\n\"}".as_bytes());
    assert_eq!(told(10), json!({"content": "x"}));
    let fields = |at: usize| -> Vec<String> { told(at).as_object().expect("an object").keys().cloned().collect() };
    assert_eq!((fields(11), fields(12)), (vec!["enqueue_dts".to_owned()], vec!["execute_dts".to_owned()]));
    assert_eq!(
        (&told(14)["worker_version"], &told(14)["concurrent_jobs"]),
        (&env!("CARGO_PKG_VERSION").into(), &4.into())
    );
}

#[tokio::test]
async fn a_server_that_counts_attempts_is_told_which_one_and_how_it_ended() {
    let server = Server::that(|call| match (call.method.as_str(), call.path.as_str()) {
        ("GET", path) if path.starts_with("/api/v1/job/") => answer(200, &[], r#"{"run_timeout": 90}"#),
        ("GET", _) => answer(200, &[], WORKERS),
        ("POST", _) => answer(201, &[("location", "/api/v1/run_log/7/")], ""),
        _ if call.attempt == "4" => answer(409, &[], ""),
        _ => answer(202, &[("job-runner-attempt", "5")], ""),
    })
    .await;
    let client = server.client();
    let claim = AttemptClaim { run: run_2(), attempt: client.claim(run_2(), Utc::now()).await.expect("accepted") };
    assert_eq!(claim.attempt, Some(Attempt(5)));
    client.tell_start(claim, "at", Some(7)).await.expect("accepted");
    client.new_log(claim, "x").await.expect("accepted");
    client.change_log(claim, "/api/v1/run_log/7/", "x").await.expect("accepted");
    client.tell_result(claim, "later", ToldResult::Exit(&failed()), None).await.expect("accepted");
    let killed = Outcome::Ran { exit: ProcessExit::Signal(9), cause: Some(Cause::TimedOut), left: Left::Nobody };
    client.tell_result(claim, "later", ToldResult::Exit(&killed), None).await.expect("accepted");
    let old = AttemptClaim { run: run_2(), attempt: Some(Attempt(4)) };
    assert_eq!(client.tell_start(old, "at", Some(7)).await, Err(CallFailure::Conflict));
    assert_eq!(client.job("/api/v1/job/1/").await.expect("a job").run_timeout, Some(Duration::from_secs(90)));

    let calls = server.calls();
    let attempts: Vec<_> = calls.iter().map(|call| call.attempt.as_str()).collect();
    assert_eq!(attempts, ["", "", "5", "5", "5", "5", "5", "4", ""]);
    let told = |at: usize| -> Value { serde_json::from_slice(&calls[at].body).expect("JSON") };
    assert_eq!(told(5), json!({"return_dts": "later", "return_success": false, "exit_code": 3}));
    assert_eq!(
        told(6),
        json!({"return_dts": "later", "return_success": false, "exit_signal": 9, "exit_cause": "timed_out"})
    );
}

#[tokio::test]
async fn who_we_are_is_asked_once() {
    let server = Server::with(200, WORKERS).await;
    let client = server.client();
    let (one, other) = tokio::join!(client.me(), client.me());
    assert_eq!((one, other), (Ok("/api/v1/worker/1/"), Ok("/api/v1/worker/1/")));
    assert_eq!(client.clone().me().await, Ok("/api/v1/worker/1/"));
    assert_eq!(server.calls().len(), 1);
}

#[tokio::test]
async fn a_location_may_be_a_path() {
    let server = Server::that(|_| answer(201, &[("location", "/api/v1/run_log/7/")], "")).await;
    assert_eq!(server.client().new_log(old_claim(), "").await, Ok(Some("/api/v1/run_log/7/".to_owned())));
}

#[tokio::test]
async fn a_log_that_the_server_does_not_name_has_no_path() {
    for status in [200, 201, 202, 204] {
        assert_eq!(Server::with(status, "").await.client().new_log(old_claim(), "").await, Ok(None), "{status}");
    }
}

#[tokio::test]
async fn a_run_that_is_not_the_one_asked_for_makes_no_sense() {
    for shown in
        ["{}", r#"{"id": 0}"#, r#"{"id": 3}"#, r#"{"id": -2}"#, r#"{"id": 3, "resource_uri": "/api/v1/run/2/"}"#]
    {
        let server = Server::that(move |call| {
            answer(200, &[], if call.path.starts_with("/api/v1/worker/") { WORKERS } else { shown })
        })
        .await;
        let answer = server.client().look(run_2()).await;
        assert!(matches!(answer, Err(CallFailure::Nonsense(_))), "{shown}: {answer:?}");
    }
}

#[tokio::test]
async fn a_lone_surrogate_in_a_script_is_no_obstacle() {
    let at = Server::with(200, r##"{"script_content": "#!/bin/sh\necho \ud800\n"}"##).await;
    let job = at.client().job("/api/v1/job/1/").await.expect("a job");
    assert_eq!(job.script.as_deref(), Some("#!/bin/sh\necho \u{fffd}\n"));
}

#[tokio::test]
async fn refused_credentials_are_known_until_they_are_accepted() {
    let accepts = Arc::new(AtomicBool::new(false));
    let at = Server::that({
        let accepts = Arc::clone(&accepts);
        move |call| {
            let about_us = call.path.starts_with("/api/v1/worker/");
            if about_us && accepts.load(Ordering::Relaxed) { answer(200, &[], WORKERS) } else { answer(401, &[], "") }
        }
    })
    .await;
    let client = at.client();
    assert_eq!(client.reset(run_2()).await, Err(CallFailure::Unauthorised(401)));
    assert_eq!(client.health().verdict(), ServerHealth::Ok, "a 401 on a run is about that run");
    assert_eq!(client.credentials().await, Err(CallFailure::Unauthorised(401)));
    assert_eq!(client.health().verdict(), ServerHealth::Refused);
    accepts.store(true, Ordering::Relaxed);
    client.credentials().await.expect("accepted");
    assert_eq!(client.health().verdict(), ServerHealth::Ok);
}

#[tokio::test]
async fn a_job_that_was_sent_before_is_taken_from_those_that_are_kept_and_else_is_still_to_be_read() {
    let server = Server::that(|_| answer(200, &[], WORKERS)).await;
    let client = server.client();
    let shown = br#"{"id":2,"job":"/api/v1/job/1/"}"#;
    let job = br##"{"script_content":"#!/bin/sh\n","run_timeout":9}"##;
    let version = JobVersion::of(1, job);
    let announce = |run: &[u8], job: &[u8], version: &JobVersion| {
        client.announce(run_2(), DueContent { run, job, version: Some(version.clone()) });
    };
    let announced = async || client.announced(run_2()).await.expect("an answer").map(|(view, job)| (view.job, job));
    let path = Some("/api/v1/job/1/".to_owned());
    announce(shown, b"", &version);
    assert_eq!(announced().await, Some((path.clone(), None)), "it was never sent");
    announce(shown, job, &version);
    let kept = JobView { script: Some("#!/bin/sh\n".to_owned()), run_timeout: Some(Duration::from_secs(9)) };
    assert_eq!(announced().await, Some((path.clone(), Some(kept.clone()))));
    announce(shown, b"", &version);
    assert_eq!(announced().await, Some((path.clone(), Some(kept))));
    announce(shown, b"", &JobVersion::of(1, b"another"));
    assert_eq!(announced().await, Some((path, None)), "another version of it");
    // The last one is what a refusal says, which is no job.
    let refusal = &br#"{"error_message":"the store is away"}"#[..];
    for (run, job) in [(&b"{}"[..], &b""[..]), (shown, b"no JSON"), (shown, refusal)] {
        announce(run, job, &version);
        assert_eq!(announced().await, None);
    }
}
