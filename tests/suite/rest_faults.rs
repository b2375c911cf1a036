//! Faults of the REST API, and what becomes of the runs all the same.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{
    Call, Fault, FaultHandle, Latch, Options, RunSpec, Server, State, StepKind, What, WorkerProcess, WorkerSpec, prints,
};
use crate::{up, up_with, worker};

const KEY: &str = "testworker";

/// The calls that a run may need, by what they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Look,
    Claim,
    Job,
    Start,
    NewLog,
    Log,
    Return,
    KillLook,
    KillTaken,
    KillDone,
}

const STEPS: [Step; 10] = [
    Step::Look,
    Step::Claim,
    Step::Job,
    Step::Start,
    Step::NewLog,
    Step::Log,
    Step::Return,
    Step::KillLook,
    Step::KillTaken,
    Step::KillDone,
];

/// Those that write something of a run.
const WRITES: [Step; 5] = [Step::Claim, Step::Start, Step::NewLog, Step::Log, Step::Return];

impl Step {
    fn is_kill(self) -> bool {
        matches!(self, Self::KillLook | Self::KillTaken | Self::KillDone)
    }

    /// This fault for this call of this run, whose log says its name.
    fn fault(self, id: i64, kill: i64, what: What) -> Fault {
        let run = format!("/api/v1/run/{id}/");
        let kill = format!("/api/v1/kill_request/{kill}/");
        match self {
            Self::Look => Fault::on("GET", &run, what),
            Self::Claim => Fault::on("PATCH", &run, what).setting("enqueue_dts"),
            Self::Job => Fault::on("GET", &format!("/api/v1/job/{id}/"), what),
            Self::Start => Fault::on("PATCH", &run, what).setting("pid"),
            Self::NewLog => Fault::on("POST", "/api/v1/run_log/", what).and(move |call| call.body["run"] == run),
            Self::Log => {
                let name = format!("I am run {id}\n");
                Fault::on("PATCH", "/api/v1/run_log/", what)
                    .and(move |call| call.body["content"].as_str().is_some_and(|text| text.contains(&name)))
            }
            Self::Return => Fault::on("PATCH", &run, what).setting("return_dts"),
            Self::KillLook => Fault::on("GET", &kill, what),
            Self::KillTaken => Fault::on("PATCH", &kill, what).setting("enqueue_dts"),
            Self::KillDone => Fault::on("PATCH", &kill, what).setting("execute_dts"),
        }
    }
}

/// A run that says its name and waits at the latch.
fn named_run(server: &Server, latch: &Latch) -> i64 {
    let id = server.add_run("");
    let script =
        latch.script(&id.to_string()).replace("echo waiting\n", &format!("echo 'I am run {id}'\necho waiting\n"));
    server.edit_run(id, |run| run.script = script.into());
    id
}

fn whole_log(id: i64) -> String {
    format!("I am run {id}\nwaiting\nthrough\n")
}

/// How many facts the worker gave up.
async fn dead_letters(worker: &WorkerProcess) -> usize {
    let answer = worker.home().ask(&["--status", "--json"]).await;
    let status: Value = serde_json::from_slice(&answer.stdout).expect("a status");
    status["dead_letters"].as_array().expect("a list").len()
}

/// Everything that was asked or said of this run.
fn calls_for(state: &State, id: i64) -> Vec<&Call> {
    let run = format!("/api/v1/run/{id}/");
    let name = format!("I am run {id}\n");
    let concerns = |call: &&Call| {
        call.path == run
            || call.body["run"] == run.as_str()
            || call.body["content"].as_str().is_some_and(|text| text.contains(&name))
    };
    state.calls.iter().filter(concerns).collect()
}

/// Lets this happen so many times to each kind of call, each of another run and all at once. Every run
/// must have a whole life all the same, and one that nothing happens to must not wait for them.
async fn each_call_survives(what: What, times: usize, settings: &[(&str, &str)]) -> Server {
    let mut all = vec![("concurrent_jobs", "12"), ("log_update_interval", "1")];
    all.extend(settings);
    let (server, worker) = up(&all).await;
    let latch = Latch::new();
    let inject = |step: Step| {
        let id = named_run(&server, &latch);
        let kill = server.add_kill(id);
        (step, id, kill, server.inject(step.fault(id, kill, what.clone()).times(times)))
    };
    let runs: Vec<(Step, i64, i64, FaultHandle)> = STEPS.into_iter().map(inject).collect();
    let ping = server.inject(Fault::on("PATCH", "/api/v1/worker/", what.clone()).times(times));
    runs.iter().for_each(|(_, id, ..)| server.announce(*id));
    server.ping();
    let undisturbed = server.submit(prints("undisturbed"));
    let returned = |state: &State| state.run(undisturbed).return_dts.is_some();
    server.wait_within(Duration::from_secs(10), returned, "the run to which nothing happens").await;
    server.assert_whole_life(undisturbed);
    for (step, id, kill, _) in &runs {
        server.wait_started(*id).await;
        if *step == Step::Log {
            server.wait_logged(*id, "waiting\n").await;
        }
        if step.is_kill() {
            server.announce_kill(*kill);
            server.wait_executed(*kill).await;
        }
    }
    latch.let_through(runs.iter().filter(|(step, ..)| !step.is_kill()).count());
    for (step, id, _, fault) in &runs {
        let run = server.wait_returned(*id).await;
        assert_eq!(fault.hits(), times, "{step:?}");
        server.assert_whole_life(*id);
        assert_eq!(run.return_success, Some(!step.is_kill()), "{step:?}");
        if !step.is_kill() {
            assert_eq!(run.log_text(), whole_log(*id), "{step:?}");
        }
        assert_eq!((run.completions, latch.executions(&id.to_string())), (1, 1), "{step:?}");
    }
    server.wait(|state| state.worker(KEY).patches > 0, "the answer to the ping").await;
    assert_eq!(ping.hits(), times);
    assert_eq!(dead_letters(&worker).await, 0);
    for (_, id, ..) in &runs {
        server.wait_event("returned", *id).await;
        let told = server.events().iter().filter(|event| event.is_run("returned", *id)).count();
        assert_eq!(told, 1, "events of run {id}");
    }
    server
}

#[tokio::test]
async fn a_connection_reset_before_the_server_acted_costs_a_retry() {
    each_call_survives(What::ResetBefore, 2, &[]).await.assert_no_overlapping_writes();
}

#[tokio::test]
async fn p8_a_connection_reset_after_the_server_acted_doubles_nothing() {
    each_call_survives(What::ResetAfterCommit, 1, &[]).await.assert_no_overlapping_writes();
}

#[tokio::test]
async fn a_500_costs_a_retry() {
    let sorry = br#"{"error_message":"Sorry, this request could not be processed. Please try again later."}"#;
    each_call_survives(What::Status(500, Vec::new(), sorry.to_vec()), 2, &[]).await.assert_no_overlapping_writes();
}

#[tokio::test]
async fn a_proxy_without_its_server_costs_a_retry() {
    for status in [502, 503, 504] {
        each_call_survives(What::status(status), 1, &[]).await.assert_no_overlapping_writes();
    }
}

#[tokio::test]
async fn an_error_after_the_server_acted_doubles_nothing() {
    for status in [500, 502, 504] {
        each_call_survives(What::status_after_commit(status), 1, &[]).await.assert_no_overlapping_writes();
    }
}

#[tokio::test]
async fn a_call_that_is_never_answered_is_given_up_and_retried() {
    each_call_survives(What::HangForever, 1, &[("api_timeout", "1")]).await;
}

#[tokio::test]
async fn p8_an_answer_that_never_comes_after_the_server_acted_doubles_nothing() {
    each_call_survives(What::HangAfterCommit, 1, &[("api_timeout", "1")]).await;
}

#[tokio::test]
async fn an_answer_that_comes_too_late_doubles_nothing() {
    let late = What::DelayAfterCommit(Duration::from_millis(1500));
    each_call_survives(late, 1, &[("api_timeout", "1")]).await;
}

#[tokio::test]
async fn a_slow_answer_is_waited_for() {
    let slow = What::Delay(Duration::from_millis(700));
    each_call_survives(slow, 1, &[]).await.assert_no_overlapping_writes();
    let dribbling = What::SlowBody(7, Duration::from_millis(1));
    each_call_survives(dribbling, 1, &[]).await.assert_no_overlapping_writes();
}

#[tokio::test]
async fn an_answer_that_breaks_off_doubles_nothing() {
    each_call_survives(What::Truncate, 1, &[]).await.assert_no_overlapping_writes();
}

#[tokio::test]
async fn a_web_page_in_place_of_an_answer_is_no_answer() {
    each_call_survives(What::html(), 2, &[]).await.assert_no_overlapping_writes();
}

#[tokio::test]
async fn too_many_headers_double_nothing() {
    let headers = (0..500).map(|n| (format!("x-header-{n}"), "x".repeat(20)));
    each_call_survives(What::Headers(headers.collect()), 1, &[]).await.assert_no_overlapping_writes();
}

#[tokio::test]
async fn retry_after_is_honoured_where_it_makes_sense() {
    let asked = |value: &str| What::status_with(429, "retry-after", value);
    let server = each_call_survives(asked("1"), 1, &[]).await;
    server.look(|state| {
        for call in state.calls.iter().filter(|call| call.status == Some(429)) {
            let same = |later: &&Call| {
                later.seq > call.seq && later.is(&call.method, &call.path) && later.body["run"] == call.body["run"]
            };
            let next = state.calls.iter().find(same);
            let pause = next.expect("another try").at - call.at;
            assert!(pause >= Duration::from_secs(1), "{} {}: {pause:?}", call.method, call.path);
        }
    });
    for senseless in ["soon", "-5", "Thu, 01 Jan 1970 00:00:00 GMT"] {
        each_call_survives(asked(senseless), 1, &[]).await;
    }
}

#[tokio::test]
async fn a_redirect_to_another_host_is_not_followed_and_nothing_signed_goes_there() {
    let elsewhere = Server::start(Options::default()).await;
    for status in [301, 302, 307, 308] {
        each_call_survives(What::Redirect(status, elsewhere.api_base_url()), 1, &[]).await;
    }
    assert_eq!(elsewhere.calls().len(), 0);
}

#[tokio::test]
async fn a_read_is_redirected_within_the_server() {
    let (server, _worker) = up(&[]).await;
    for status in [301, 302, 307, 308] {
        let id = server.add_run(prints("found"));
        let run = format!("/api/v1/run/{id}/");
        let to = format!("{run}?moved=1");
        let moved = server.inject(Fault::on("GET", &run, What::Redirect(status, to)).once());
        server.announce(id);
        server.wait_returned(id).await;
        server.assert_whole_life(id);
        assert_eq!(moved.hits(), 1);
        server.look(|state| {
            let queries: Vec<&str> = state.calls_of("GET", &run).map(|call| call.query.as_str()).collect();
            assert_eq!(queries[..2], ["", "moved=1"]);
        });
    }
    let id = server.add_run(prints("in a circle"));
    let run = format!("/api/v1/run/{id}/");
    let circle = server.inject(Fault::on("GET", &run, What::Redirect(302, run.clone())).times(8));
    server.announce(id);
    server.wait_returned(id).await;
    server.assert_whole_life(id);
    assert_eq!(circle.hits(), 8);
}

#[tokio::test]
async fn after_an_unclear_answer_to_a_write_the_run_is_read_first() {
    let (server, _worker) = up(&[("concurrent_jobs", "8"), ("log_update_interval", "1")]).await;
    let latch = Latch::new();
    let runs = WRITES.map(|step| {
        let id = named_run(&server, &latch);
        server.inject(step.fault(id, 0, What::ResetAfterCommit).once());
        server.announce(id);
        (step, id)
    });
    for (_, id) in runs {
        server.wait_logged(id, "waiting\n").await;
    }
    latch.let_through(runs.len());
    for (step, id) in runs {
        server.wait_returned(id).await;
        server.wait_event("returned", id).await;
        server.look(|state| {
            let calls = calls_for(state, id);
            let reset = calls.iter().position(|call| call.status.is_none()).expect("the call that was reset");
            let behind = calls.get(reset + 1).map(|call| (call.method.as_str(), call.path.as_str()));
            assert_eq!(behind, Some(("GET", &*format!("/api/v1/run/{id}/"))), "after {step:?}");
        });
        server.assert_whole_life(id);
        assert_eq!(server.run(id).completions, 1);
    }
}

#[tokio::test]
async fn any_success_is_success() {
    let answers = [(200, ""), (204, ""), (202, r#"{"id": 5}"#), (201, "null")];
    for (status, body) in answers {
        let (server, _worker) = up(&[("concurrent_jobs", "8"), ("log_update_interval", "1")]).await;
        let latch = Latch::new();
        let json = vec![("content-type".to_owned(), "application/json".to_owned())];
        let runs = WRITES.map(|step| {
            let id = named_run(&server, &latch);
            let what = What::StatusAfterCommit(status, json.clone(), body.as_bytes().to_vec());
            let fault = server.inject(step.fault(id, 0, what).once());
            server.announce(id);
            (id, fault)
        });
        for (id, _) in &runs {
            server.wait_logged(*id, "waiting\n").await;
        }
        latch.let_through(runs.len());
        for (id, fault) in &runs {
            let run = server.wait_returned(*id).await;
            server.assert_whole_life(*id);
            assert_eq!((fault.hits(), run.completions, run.log_text()), (1, 1, &*whole_log(*id)));
        }
        server.look(|state| {
            for (id, _) in &runs {
                let writes = state.calls_of("PATCH", &format!("/api/v1/run/{id}/")).count();
                assert_eq!(writes, 3, "writes of run {id} after {status}");
            }
        });
    }
}

#[tokio::test]
async fn a_read_that_makes_no_sense_is_made_again() {
    let huge = [b"{\"id\": ".to_vec(), vec![b' '; 17 << 20]].concat();
    let answers: [&[u8]; 9] =
        [b"", b"null", b"[]", b"{}", b"{\"id\": ", b"\xff\xfe", b"5", br#"{"error_message": "Sorry"}"#, &huge];
    for kind in ["application/json", "text/plain"] {
        let (server, _worker) = up(&[("concurrent_jobs", "12")]).await;
        let runs: Vec<i64> = answers
            .iter()
            .map(|answer| {
                let id = server.add_run(prints("sense"));
                let what = What::Garbage(answer.to_vec(), kind.to_owned());
                server.inject(Fault::on("GET", &format!("/api/v1/run/{id}/"), what).once());
                server.announce(id);
                id
            })
            .collect();
        for (id, answer) in runs.into_iter().zip(answers) {
            let answer = &answer[..answer.len().min(40)];
            let run = server.wait_returned(id).await;
            assert_eq!(run.log_text(), "sense\n", "after {}", answer.escape_ascii());
            server.assert_whole_life(id);
        }
    }
}

#[tokio::test]
async fn a_body_that_never_ends_is_not_waited_for() {
    let (server, _worker) = up(&[("api_timeout", "1")]).await;
    let id = server.add_run(prints("patience"));
    let drop_by_drop = What::SlowBody(1, Duration::from_millis(300));
    server.inject(Fault::on("GET", &format!("/api/v1/run/{id}/"), drop_by_drop).once());
    let begun = Instant::now();
    server.announce(id);
    let other = server.submit(prints("meanwhile"));
    server.wait_returned(other).await;
    server.wait_returned(id).await;
    server.assert_whole_life(id);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn connections_that_the_server_closed_meanwhile_cost_nothing() {
    let (server, _worker) = up(&[]).await;
    for _ in 0..10 {
        let id = server.submit(prints("fresh"));
        server.wait_returned(id).await;
        server.assert_whole_life(id);
        server.reset_connections();
    }
}

#[tokio::test]
async fn a_server_that_is_away_at_the_start_is_waited_for() {
    let server = Server::start(Options::default()).await;
    server.refuse_connections(true).await;
    let worker = WorkerProcess::start(&server, &worker());
    server.wait_up().await;
    let id = server.submit(prints("patient"));
    worker.wait_log("incomplete runs cannot be read").await;
    server.refuse_connections(false).await;
    server.wait_returned(id).await;
    server.assert_whole_life(id);
}

#[tokio::test]
async fn events_during_an_outage_are_reported_later_in_order() {
    let (server, worker) = up(&[]).await;
    let (latch, closed) = (Latch::new(), Latch::new());
    let (runs, killed) = ([(); 2].map(|()| named_run(&server, &latch)), named_run(&server, &closed));
    runs.iter().chain([&killed]).for_each(|id| server.announce(*id));
    for id in runs.iter().chain([&killed]) {
        server.wait_started(*id).await;
    }
    let kill = server.add_kill(killed);
    server.refuse_connections(true).await;
    latch.let_through(2);
    for id in runs {
        worker.wait_log(&format!("run ended run={id} ")).await;
    }
    server.announce_kill(kill);
    server.refuse_connections(false).await;
    for id in runs {
        let run = server.wait_returned(id).await;
        assert_eq!((run.log_text(), run.completions), (&*whole_log(id), 1));
        server.assert_whole_life(id);
    }
    server.wait_executed(kill).await;
    assert_eq!(server.wait_returned(killed).await.return_success, Some(false));
}

#[tokio::test]
async fn p10_a_failing_server_is_called_less_often() {
    let (server, _worker) = up(&[("concurrent_jobs", "16")]).await;
    server.inject(Fault::on("*", "/", What::status(503)));
    let before = server.calls().len();
    for _ in 0..16 {
        server.submit(prints("pressed"));
    }
    let many = |state: &State| state.calls.len() - before > 60;
    server.never_within(Duration::from_secs(5), many, "more than ten calls a second").await;
    server.clear_faults();
    server.wait(|state| state.runs.values().all(|run| run.return_dts.is_some()), "all runs").await;
}

#[tokio::test]
async fn a_log_that_is_always_refused_is_sent_again_with_growing_pauses() {
    let (server, _worker) = up(&[]).await;
    let id = server.add_run(prints("refused"));
    let refused = server.inject(Fault::on("POST", "/api/v1/run_log/", What::status(500)));
    server.announce(id);
    let hits = refused.clone();
    let many = move |_: &State| hits.hits() > 12;
    server.never_within(Duration::from_secs(6), many, "a try each moment").await;
    let other = server.add_run(RunSpec::new(prints("other")).log("there already"));
    server.announce(other);
    server.wait_returned(other).await;
    refused.lift();
    server.wait_returned(id).await;
    server.assert_whole_life(id);
}

#[tokio::test]
async fn a_log_that_there_is_already_is_changed() {
    let (server, _worker) = up(&[]).await;
    let id = server.submit(RunSpec::new(prints("new")).log("old"));
    assert_eq!(server.wait_returned(id).await.log_text(), "new\n");
    server.assert_whole_life(id);
    server.look(|state| assert_eq!(state.calls_of("POST", "/api/v1/run_log/").count(), 0));
}

/// A server that knows another worker of the pool, and our worker.
async fn up_with_another(settings: &[(&str, &str)]) -> (Server, WorkerProcess) {
    let workers = vec![WorkerSpec::new(KEY, "verysecret"), WorkerSpec::new("other", "secret2")];
    up_with(Options { workers, ..Options::default() }, settings).await
}

/// Another run has a whole life: nothing stands in its way.
async fn next_run_goes_on(server: &Server) {
    let id = server.submit(prints("next"));
    server.wait_returned(id).await;
    server.assert_whole_life(id);
}

#[tokio::test]
async fn the_script_of_a_run_that_was_taken_away_is_stopped_and_its_result_told_to_nobody() {
    for status in [401, 403, 409] {
        let (server, worker) = up_with_another(&[("concurrent_jobs", "2"), ("log_update_interval", "0.2")]).await;
        let id = server.submit("#!/bin/sh\nwhile :; do echo tick; sleep 0.1; done\n");
        server.wait_logged(id, "tick\n").await;
        server.edit_run(id, |run| run.worker = Some(2));
        server.inject(Fault::on("PATCH", "/api/v1/run_log/", What::status(status)));
        worker.wait_log(&format!("run ended run={id} ")).await;
        server.clear_faults();
        next_run_goes_on(&server).await;
        next_run_goes_on(&server).await;
        assert_eq!(server.run(id).returns(), 0, "after {status}");
        server.look(|state| {
            let told = calls_for(state, id).iter().filter(|call| call.sets("return_dts")).count();
            assert_eq!(told, 0, "after {status}");
        });
        assert_eq!(dead_letters(&worker).await, 1);
    }
}

#[tokio::test]
async fn a_run_that_was_taken_away_before_its_start_was_told_is_stopped() {
    let (server, worker) = up_with_another(&[]).await;
    let latch = Latch::new();
    let id = named_run(&server, &latch);
    server.inject(Fault::on("GET", &format!("/api/v1/job/{id}/"), What::Delay(Duration::from_millis(300))));
    server.announce(id);
    server.wait_claimed(id).await;
    server.edit_run(id, |run| run.worker = Some(2));
    worker.wait_log(&format!("run ended run={id} ")).await;
    next_run_goes_on(&server).await;
    assert_eq!(server.run(id).kinds(), [StepKind::Claim]);
    assert_eq!(server.run(id).log, None);
}

#[tokio::test]
async fn the_result_of_a_run_that_was_taken_away_is_not_sent_again() {
    for status in [401, 409] {
        let (server, worker) = up(&[]).await;
        let id = server.add_run(prints("refused"));
        let refused = server.inject(Step::Return.fault(id, 0, What::status(status)));
        server.announce(id);
        worker.wait_log("part=result reason=").await;
        for _ in 0..3 {
            next_run_goes_on(&server).await;
        }
        assert_eq!((refused.hits(), server.run(id).returns()), (1, 0), "after {status}");
        assert_eq!(dead_letters(&worker).await, 1);
    }
}

#[tokio::test]
async fn a_claim_that_is_refused_is_not_executed() {
    for status in [400, 401, 404, 409, 413, 422] {
        let (server, _worker) = up(&[("concurrent_jobs", "1")]).await;
        let latch = Latch::new();
        let id = server.add_run(latch.straight_script("refused"));
        let refused = server.inject(Step::Claim.fault(id, 0, What::status(status)));
        server.announce(id);
        next_run_goes_on(&server).await;
        assert_eq!((refused.hits(), latch.executions("refused")), (1, 0), "after {status}");
        refused.lift();
        server.announce(id);
        server.wait_returned(id).await;
        server.assert_whole_life(id);
    }
}

#[tokio::test]
async fn a_refused_read_leaves_the_run_to_a_later_announcement() {
    for status in [400, 401, 403, 404] {
        let (server, _worker) = up(&[("concurrent_jobs", "1")]).await;
        let id = server.add_run(prints("later"));
        server.inject(Step::Look.fault(id, 0, What::status(status)).once());
        server.announce(id);
        next_run_goes_on(&server).await;
        server.announce(id);
        server.wait_returned(id).await;
        server.assert_whole_life(id);
    }
}

#[tokio::test]
async fn refused_credentials_pause_all_calls_until_they_are_accepted() {
    let deadline = Duration::from_secs(75);
    let (server, worker) = up_with(Options { deadline, ..Options::default() }, &[]).await;
    // One ends by itself, the other only by its kill.
    let (ending, killed) = (Latch::new(), Latch::new());
    let runs = [named_run(&server, &ending), named_run(&server, &killed)];
    runs.iter().for_each(|id| server.announce(*id));
    for id in runs {
        server.wait_logged(id, "waiting\n").await;
    }
    let kill = server.add_kill(runs[1]);
    let refused = server.inject(Fault::on("*", "/api/v1/", What::status(401)));
    ending.let_through(1);
    worker.wait_log("server refuses api_key and secret").await;
    let status = worker.home().ask(&["--status", "--json"]).await;
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!((&status["server"], &status["dead_letters"]), (&json!("refused"), &json!([])));
    let hits = refused.clone();
    let many = move |_: &State| hits.hits() > 12;
    server.never_within(Duration::from_secs(3), many, "a try each moment").await;
    refused.lift();
    server.announce_kill(kill);
    server.wait_executed(kill).await;
    for id in runs {
        let run = server.wait_returned(id).await;
        assert_eq!(run.completions, 1);
        server.assert_whole_life(id);
    }
    assert_eq!(dead_letters(&worker).await, 0);
    next_run_goes_on(&server).await;
}

#[tokio::test]
async fn a_run_that_vanished_is_executed_to_its_end_and_forgotten() {
    let (server, worker) = up(&[("log_update_interval", "0.2")]).await;
    let latch = Latch::new();
    let id = named_run(&server, &latch);
    let _later = server.add_run("");
    server.announce(id);
    server.wait_logged(id, "waiting\n").await;
    server.change(|state| {
        state.runs.remove(&id);
        state.log_runs.retain(|_, run| *run != id);
    });
    latch.let_through(1);
    worker.wait_log("the server does not know the run any more").await;
    assert_eq!(latch.trace(), [format!("begin {id}"), format!("end {id}")]);
    next_run_goes_on(&server).await;
    let status: Value =
        serde_json::from_slice(&worker.home().ask(&["--status", "--json"]).await.stdout).expect("a status");
    assert_eq!((&status["undelivered"], &status["seats_taken"]), (&json!(0), &json!(0)));
}

#[tokio::test]
async fn a_log_that_vanished_is_made_again() {
    let (server, _worker) = up(&[("log_update_interval", "0.2")]).await;
    let latch = Latch::new();
    let id = named_run(&server, &latch);
    server.announce(id);
    server.wait_logged(id, "waiting\n").await;
    server.change(|state| {
        state.log_runs.retain(|_, run| *run != id);
        let run = state.runs.get_mut(&id).unwrap();
        (run.log, run.log_id) = (None, None);
    });
    latch.let_through(1);
    assert_eq!(server.wait_returned(id).await.log_text(), whole_log(id));
    assert_eq!(server.run(id).completions, 1);
}

#[tokio::test]
async fn a_log_that_is_there_and_is_not_found_is_given_up_and_the_result_told() {
    let (server, worker) = up(&[]).await;
    let id = server.add_run(RunSpec::new(prints("nowhere")).log("old"));
    let missing = server.inject(Fault::on("PATCH", "/api/v1/run_log/", What::status(404)));
    server.announce(id);
    let run = server.wait_returned(id).await;
    assert_eq!((run.return_success, run.completions, run.log_text()), (Some(true), 1, "old"));
    assert!(missing.hits() <= 4, "{} tries", missing.hits());
    assert_eq!(dead_letters(&worker).await, 1);
    next_run_goes_on(&server).await;
}

/// Refuses logs of more than so many bytes.
fn too_large(bytes: usize) -> Fault {
    let large = move |call: &Call| call.body["content"].as_str().is_some_and(|text| text.len() > bytes);
    Fault::on("*", "/api/v1/run_log/", What::status(413)).and(large)
}

#[tokio::test]
async fn a_log_that_is_too_large_loses_its_middle_and_is_sent_again() {
    let (server, worker) = up(&[("log_update_interval", "0")]).await;
    let refusing = server.inject(too_large(30_000));
    let id = server.submit("#!/bin/sh\necho first\nseq 100000 120000\necho last\n");
    let run = server.wait_returned(id).await;
    let text = run.log_text();
    assert!((10_000..=30_000).contains(&text.len()), "{}", text.len());
    assert!(text.starts_with("first\n100000\n") && text.ends_with("\n120000\nlast\n"));
    assert_eq!(text.matches("\n\n[truncated]\n\n").count(), 1);
    assert!((2..=4).contains(&refusing.hits()), "{} tries", refusing.hits());
    server.assert_whole_life(id);
    assert_eq!(dead_letters(&worker).await, 0);
}

#[tokio::test]
async fn where_only_the_smallest_log_is_taken_its_marker_is_sent() {
    let (server, _worker) = up(&[("log_update_interval", "0")]).await;
    let refusing = server.inject(too_large(100));
    let id = server.submit("#!/bin/sh\nseq 100000 120000\n");
    assert_eq!(server.wait_returned(id).await.log_text(), "\n\n[truncated]\n\n");
    assert!(refusing.hits() < 12, "{} tries", refusing.hits());
    server.assert_whole_life(id);
}

#[tokio::test]
async fn p10_rejected_reports_are_repeated_and_block_no_others() {
    for status in [400, 413, 422] {
        let (server, worker) = up(&[("concurrent_jobs", "2"), ("log_update_interval", "0")]).await;
        let [start, log, result] = [Step::Start, Step::NewLog, Step::Return].map(|step| {
            let id = server.add_run(prints("rejected"));
            let rejected = server.inject(step.fault(id, 0, What::status(status)));
            server.announce(id);
            (id, rejected)
        });
        // The pid is what is rejected, so it is left out.
        let run = server.wait_returned(start.0).await;
        assert_eq!((run.completions, run.start_dts.is_some(), run.log_text()), (1, true, "rejected\n"));
        assert_eq!((start.1.hits(), run.count(StepKind::Pid)), (1, 0));
        // The log alone is, so the result goes without it.
        let run = server.wait_returned(log.0).await;
        assert_eq!((run.completions, run.log), (1, None));
        worker.wait_log(&format!("report was given up run={} execution=1 part=log", log.0)).await;
        worker.wait_log(&format!("report was rejected; retrying run={} execution=1 part=result", result.0)).await;
        next_run_goes_on(&server).await;
        assert_eq!((server.run(result.0).returns(), server.run(result.0).log_text()), (0, "rejected\n"));
        assert_eq!(dead_letters(&worker).await, 2, "after {status}");
        result.1.lift();
        let run = server.wait_returned(result.0).await;
        assert_eq!((run.completions, run.return_success), (1, Some(true)));
        worker.wait_log(&format!("result was accepted after it had been rejected run={}", result.0)).await;
        assert_eq!(dead_letters(&worker).await, 1, "after {status}");
    }
}

#[tokio::test]
async fn an_api_that_rejects_everything_for_a_time_costs_nothing_but_the_time() {
    let (server, worker) = up(&[("concurrent_jobs", "4"), ("log_update_interval", "0.2")]).await;
    let rejecting = server.inject(
        Fault::on("*", "/api/v1/run", What::status(400)).and(|call| call.method != "GET" && !call.sets("enqueue_dts")),
    );
    let runs: Vec<i64> = (0..4).map(|n| server.submit(prints(&format!("run {n}")))).collect();
    for run in &runs {
        worker.wait_log(&format!("report was rejected; retrying run={run} execution=1 part=result")).await;
    }
    assert!(rejecting.hits() >= 4 * 6, "{}", rejecting.hits());
    rejecting.lift();
    for (n, run) in runs.iter().enumerate() {
        let row = server.wait_returned(*run).await;
        assert_eq!((row.completions, row.log_text()), (1, format!("run {n}\n").as_str()));
        server.assert_whole_life(*run);
    }
    until_no_letter(&worker).await;
    server.assert_no_overlapping_writes();
}

async fn until_no_letter(worker: &WorkerProcess) {
    while dead_letters(worker).await > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_live_log_that_is_rejected_costs_the_whole_one_nothing() {
    let (server, worker) = up(&[("log_update_interval", "0.1")]).await;
    let latch = Latch::new();
    let id = server.submit(latch.script("a"));
    let rejected = server.inject(Step::NewLog.fault(id, 0, What::status(400)));
    worker.wait_log(&format!("report was rejected; retrying run={id} execution=1 part=\"live log\"")).await;
    let hits = rejected.clone();
    server.wait(move |_| hits.hits() >= 4, "one more try").await;
    rejected.lift();
    latch.let_through(1);
    assert_eq!(server.wait_returned(id).await.log_text(), "waiting\nthrough\n");
    server.assert_whole_life(id);
    assert_eq!(dead_letters(&worker).await, 0);
}

#[tokio::test]
async fn dead_letters_are_sent_again_on_request_and_at_the_next_start() {
    let (server, mut worker) = up(&[]).await;
    let id = server.add_run(prints("later"));
    let rejected = server.inject(Step::Return.fault(id, 0, What::status(400)));
    server.announce(id);
    worker.wait_log(&format!("report was rejected; retrying run={id} execution=1 part=result")).await;
    let told = async |worker: &WorkerProcess| {
        let before = rejected.hits();
        let said = worker.home().ask(&["--retry-dead-letters"]).await;
        assert_eq!(
            String::from_utf8_lossy(&said.stdout),
            "1 result(s) are told again now; --status says what becomes of them\n"
        );
        let hits = rejected.clone();
        server.wait_within(Duration::from_secs(10), move |_| hits.hits() > before, "a try on request").await;
    };
    // Each try makes the next pause longer: none of these is due by itself.
    for _ in 0..4 {
        told(&worker).await;
    }
    worker.sigkill();
    worker.wait_exit().await;
    let before = rejected.hits();
    worker.restart().await;
    let hits = rejected.clone();
    server.wait(move |_| hits.hits() > before, "a try of the next start").await;
    assert_eq!(dead_letters(&worker).await, 1);
    rejected.lift();
    told_and_taken(&server, &worker, id).await;
}

async fn told_and_taken(server: &Server, worker: &WorkerProcess, id: i64) {
    assert!(worker.home().ask(&["--retry-dead-letters"]).await.status.success());
    assert_eq!(server.wait_returned(id).await.completions, 1);
    server.assert_whole_life(id);
    until_no_letter(worker).await;
    let said = worker.home().ask(&["--retry-dead-letters"]).await;
    assert_eq!(String::from_utf8_lossy(&said.stdout), "no result waits to be told\n");
}

#[tokio::test]
async fn endless_lists_of_runs_block_nothing() {
    let elsewhere = Server::start(Options::default()).await;
    let foreign = format!("{}api/v1/run/?state=started", elsewhere.api_base_url());
    let answers = [
        What::edit(|list| list["meta"]["next"] = json!("/api/v1/run/?state=in_queue&worker__api_key=testworker")),
        What::edit(move |list| list["meta"]["next"] = json!(foreign)),
        What::edit(|list| *list = json!({"objects": []})),
        What::edit(|list| *list = json!({"meta": {"next": null}})),
        What::edit(|list| list["objects"] = json!(5)),
    ];
    for what in answers {
        let server = Server::start(Options::default()).await;
        let left = server.add_run(RunSpec::new(prints("left")).worker(KEY).started(Some(1)));
        let odd =
            server.inject(Fault::on("GET", "/api/v1/run/", what).and(|call| call.path == "/api/v1/run/").times(3));
        let _worker = WorkerProcess::start(&server, &worker());
        server.wait_up().await;
        next_run_goes_on(&server).await;
        server.wait_returned(left).await;
        assert_eq!((odd.hits(), server.run(left).completions), (3, 1));
    }
    assert_eq!(elsewhere.calls().len(), 0);
}

#[tokio::test]
async fn a_long_list_is_read_page_by_page() {
    let server = Server::start(Options { page_size: 2, ..Options::default() }).await;
    let latch = Latch::new();
    let left: Vec<i64> = (0..7)
        .map(|n| server.add_run(RunSpec::new(latch.straight_script(&n.to_string())).worker(KEY).started(Some(1))))
        .collect();
    let _worker = WorkerProcess::start(&server, &worker());
    for id in left {
        let run = server.wait_returned(id).await;
        assert_eq!((run.count(StepKind::Reset), run.claims(), run.completions), (1, 1, 1));
    }
    assert!((0..7).all(|n| latch.executions(&n.to_string()) == 1));
}

#[tokio::test]
async fn the_worker_entity_is_found_by_our_key_without_delaying_runs() {
    let server = Server::start(Options::default()).await;
    let several = What::edit(|list| {
        let other = json!({"api_key": "other", "resource_uri": "/api/v1/worker/2/"});
        list["objects"].as_array_mut().unwrap().insert(0, other);
    });
    let none = What::edit(|list| list["objects"] = json!([]));
    let without = server.inject(Fault::on("GET", "/api/v1/worker/", none).times(2));
    server.inject(Fault::on("GET", "/api/v1/worker/", several));
    let worker = WorkerProcess::start(&server, &worker());
    server.wait_up().await;
    next_run_goes_on(&server).await;
    assert_eq!(without.hits(), 2);
    assert!(worker.log().contains("there is no worker with the api_key testworker"));
}

#[tokio::test]
async fn a_job_on_another_server_is_not_requested() {
    let elsewhere = Server::start(Options::default()).await;
    let (server, _worker) = up(&[]).await;
    let foreign = format!("{}api/v1/job/1/", elsewhere.api_base_url());
    let outside = json!("/admin/job/1/");
    for job in [json!(foreign), json!("//localhost/api/v1/job/1/"), outside, json!("file:///etc/passwd"), json!(null)] {
        let id = server.submit(RunSpec::new(prints("elsewhere")).run_field("job", job.clone()));
        let run = server.wait_returned(id).await;
        assert_eq!((run.return_success, run.completions), (Some(false), 1), "{job}");
        assert!(run.start_dts.is_some(), "{job}");
        let said = "[job runner worker] Could not execute job: The script could not be read: ";
        assert!(run.log_text().starts_with(said), "{job}: {}", run.log_text());
        run.check_order().unwrap();
    }
    assert_eq!(elsewhere.calls().len(), 0);
}

#[tokio::test]
async fn an_invalid_script_fails_its_run_with_the_reason() {
    let (server, _worker) = up(&[]).await;
    // One is longer than a script may be, one than an answer.
    let [long, huge] = [17, 30].map(|megabytes| json!(format!("#!/bin/sh\n#{}\n", "x".repeat(megabytes << 20))));
    for script in [Value::Null, json!(5), json!(["#!/bin/sh"]), json!(true), long, huge] {
        let id = server.submit(RunSpec::new(script));
        let run = server.wait_returned(id).await;
        assert_eq!((run.return_success, run.completions, run.start_dts.is_some()), (Some(false), 1, true));
        let said = "[job runner worker] Could not execute job: The script ";
        assert!(run.log_text().starts_with(said), "{}", run.log_text());
        assert!(run.log_text().len() < 400, "{}", run.log_text());
        run.check_order().unwrap();
    }
}

#[tokio::test]
async fn half_a_character_in_a_script_is_replaced() {
    let (server, _worker) = up(&[]).await;
    let id = server.add_run("");
    let body = br##"{"id": 1, "script_content": "#!/bin/sh\necho 'a\ud800b \ud83d\ude00'\n"}"##;
    let what = What::Garbage(body.to_vec(), "application/json".to_owned());
    server.inject(Fault::on("GET", "/api/v1/job/", what));
    server.announce(id);
    assert_eq!(server.wait_returned(id).await.log_text(), "a\u{fffd}b \u{1f600}\n");
    server.assert_whole_life(id);
}

#[tokio::test]
async fn of_the_times_of_a_run_only_their_presence_matters() {
    let (server, _worker) = up(&[]).await;
    for time in [json!("never"), json!(5), json!("2026-11-23T18:02:01+05:00"), json!({})] {
        let id = server.add_run(RunSpec::new(prints("claimed")).run_field("enqueue_dts", time));
        server.announce(id);
        next_run_goes_on(&server).await;
        assert_eq!(server.run(id).kinds(), []);
    }
}

#[tokio::test]
async fn a_clock_difference_is_logged_once() {
    let (server, worker) = up(&[]).await;
    let date = ("date".to_owned(), "Thu, 01 Jan 2032 00:00:00 GMT".to_owned());
    server.inject(Fault::on("*", "/", What::Headers(vec![date])));
    next_run_goes_on(&server).await;
    next_run_goes_on(&server).await;
    assert_eq!(worker.log().matches("clock of the server differs from ours").count(), 1);
}

#[tokio::test]
async fn a_proxy_of_the_environment_is_used_but_not_for_this_machine() {
    // The fixture takes requests as a proxy gets them too.
    let server = Server::start(Options::default()).await;
    let through = worker().set("api_base_url", "http://job-runner.invalid/").env("HTTP_PROXY", server.api_base_url());
    let first = WorkerProcess::start(&server, &through);
    server.wait_up().await;
    next_run_goes_on(&server).await;
    drop(first);

    let server = Server::start(Options::default()).await;
    let past = worker().env("HTTP_PROXY", "http://127.0.0.1:1/");
    let _second = WorkerProcess::start(&server, &past);
    server.wait_up().await;
    next_run_goes_on(&server).await;
}
