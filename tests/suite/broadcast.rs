//! Orders over the broadcaster and the WebSocket, well-formed and not, and their effects.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{
    Fault, Latch, Options, RunSpec, Server, State, What, WorkerProcess, WorkerSpec, exits_with, prints,
};
use crate::{up, up_with, worker};

const KEY: &str = "testworker";
const TOPIC: &[u8] = b"master.broadcast.testworker";

/// Everything the worker asked of a run or kill request with another id than these.
fn strange_calls(state: &State, ids: &[i64]) -> Vec<String> {
    let known = |path: &str| {
        ids.iter().any(|id| ["run", "job", "kill_request"].iter().any(|kind| path == format!("/api/v1/{kind}/{id}/")))
            || path.starts_with("/api/v1/run_log/")
            || path.starts_with("/api/v1/worker/")
            || path == "/api/v1/run/"
    };
    state.calls.iter().filter(|call| !known(&call.path)).map(|call| format!("{} {}", call.method, call.path)).collect()
}

/// A run announced now is executed, on the connection that there was from the start.
async fn still_hears(server: &Server) -> i64 {
    let id = server.submit(prints("still here"));
    server.wait_returned(id).await;
    server.assert_whole_life(id);
    server.look(|state| {
        assert_eq!(state.subscribed(KEY), 1, "it subscribed again");
        assert_eq!(state.broadcaster_link.opened, 1, "it connected again");
    });
    id
}

#[tokio::test]
async fn p7_a_message_of_the_wrong_shape_is_dropped_and_the_next_one_heard() {
    let (server, mut worker) = up(&[]).await;
    let frames = |count: usize| {
        let mut frames = vec![TOPIC.to_vec()];
        frames.resize(count, br#"{"action": "ping"}"#.to_vec());
        frames
    };
    for count in [1, 3, 4, 1000] {
        server.announce_raw(frames(count));
    }
    let deep = "[".repeat(10_000);
    let deep_object = format!(r#"{{"action": {}1{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    let utf16: Vec<u8> = r#"{"action": "ping"}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let texts: [&[u8]; 21] = [
        b"",
        b" ",
        b"null",
        b"[]",
        b"\"ping\"",
        b"1",
        b"NaN",
        b"{",
        br#"{"action": "ping"} and more"#,
        br#"{"action": "ping"}{"action": "ping"}"#,
        br#"{"action": "ping", "action": "ping"}"#,
        br#"{"action": NaN}"#,
        br#"{"action": "p\xff"}"#,
        b"{\"action\": \"\xff\xfe\"}",
        &utf16,
        deep.as_bytes(),
        deep_object.as_bytes(),
        b"{}",
        br#"{"action": ["ping"]}"#,
        br#"{"action": "PING"}"#,
        br#"{"action": "dance"}"#,
    ];
    for text in texts {
        server.tell(KEY, text);
    }
    let id = still_hears(&server).await;
    server.look(|state| {
        assert_eq!(strange_calls(state, &[id]), [""; 0]);
        assert_eq!(state.worker(KEY).patches, 0, "something was taken for a ping");
    });
    assert!(worker.is_running());
    let warnings = worker.log().lines().filter(|line| line.contains("message is not an order")).count();
    assert!((1..=2).contains(&warnings), "{warnings} warnings");
}

#[tokio::test]
async fn an_id_that_is_no_positive_integer_is_never_made_into_a_request() {
    let (server, worker) = up(&[]).await;
    let ids = [
        r#""../kill_request/1""#,
        r#""1/?x=""#,
        r#""7 HTTP/1.0\r\nX:""#,
        r#""%2e%2e""#,
        r#""7/../""#,
        r#"" 7""#,
        r#""+7""#,
        r#""""#,
        "0",
        "-1",
        "1.5",
        "1e3",
        "true",
        "null",
        "[1]",
        r#"{"id": 1}"#,
        "18446744073709551616",
        r#""99999999999999999999""#,
    ];
    server.tell(KEY, r#"{"action": "enqueue"}"#);
    server.tell(KEY, r#"{"action": "kill"}"#);
    for id in ids {
        server.tell(KEY, format!(r#"{{"action": "enqueue", "run_id": {id}}}"#));
        server.tell(KEY, format!(r#"{{"action": "kill", "kill_request_id": {id}}}"#));
    }
    let id = still_hears(&server).await;
    server.look(|state| assert_eq!(strange_calls(state, &[id]), [""; 0]));
    drop(worker);
}

#[tokio::test]
async fn what_the_original_accepted_is_still_accepted() {
    let (server, _worker) = up(&[]).await;
    let quoted = server.add_run(prints("quoted"));
    server.tell(KEY, format!(r#"{{"action": "enqueue", "run_id": "{quoted}"}}"#));
    let marked = server.add_run(prints("marked"));
    server.tell(KEY, format!("\u{feff}{{\"action\": \"enqueue\", \"run_id\": {marked}}}"));
    let more = server.add_run(prints("more"));
    server.tell(KEY, format!(r#"{{"seq": [1], "run_id": {more}, "action": "enqueue", "sig": null}}"#));
    for id in [quoted, marked, more] {
        server.wait_returned(id).await;
        server.assert_whole_life(id);
    }
}

#[tokio::test]
async fn orders_to_a_key_that_ours_is_a_prefix_of_are_not_ours() {
    let workers = vec![WorkerSpec::new(KEY, "verysecret"), WorkerSpec::new("testworker2", "other")];
    let (server, worker) = up_with(Options { workers, ..Options::default() }, &[]).await;
    let theirs = server.add_run(prints("theirs"));
    for _ in 0..10 {
        server.announce_to("testworker2", theirs);
        server.tell("testworker2", r#"{"action": "ping"}"#);
        server.tell("testworker.", r#"{"action": "ping"}"#);
    }
    let id = still_hears(&server).await;
    server.look(|state| {
        assert_eq!(strange_calls(state, &[id]), [""; 0]);
        assert_eq!(state.worker(KEY).patches, 0);
    });
    assert!(!worker.log().contains("message is not an order"), "{}", worker.log());
}

#[tokio::test]
async fn p7_a_run_of_another_worker_is_not_touched() {
    let workers = vec![WorkerSpec::new(KEY, "verysecret"), WorkerSpec::new("other", "secret2")];
    let (server, worker) = up_with(Options { workers, ..Options::default() }, &[]).await;
    let latch = Latch::new();
    let script = || latch.straight_script("forbidden");
    let untouchable: Vec<i64> = [
        RunSpec::new(script()).worker("other"),
        RunSpec::new(script()).worker("other").enqueued(),
        RunSpec::new(script()).worker("other").started(Some(1)),
        RunSpec::new(script()).worker("other").returned(true),
        RunSpec::new(script()).worker(KEY).returned(true),
        RunSpec::new(script()).returned(false),
        RunSpec::new(script()).pool(2),
        RunSpec::new(script()).schedule_dts("2099-01-01T00:00:00"),
    ]
    .into_iter()
    .map(|spec| server.add_run(spec))
    .collect();
    for id in untouchable.iter().copied().chain([1_000_000, i64::MAX]) {
        server.announce_to(KEY, id);
    }
    still_hears(&server).await;
    // Each of them was looked at: the seats are free again when the last answer is there.
    server
        .wait(
            |state| untouchable.iter().all(|id| state.calls_of("GET", &format!("/api/v1/run/{id}/")).count() > 0),
            "a look at each",
        )
        .await;
    still_hears_more(&server, 5).await;
    for id in &untouchable {
        assert_eq!(server.run(*id).kinds(), [], "run {id}");
    }
    assert_eq!(latch.executions("forbidden"), 0);
    // Whoever announces what is another's, or not due for long, is told of.
    for (id, why) in [(untouchable[0], "it is another worker's"), (untouchable[7], "it is due at 2099-01-01T00:00:00")]
    {
        worker.wait_log(&format!("announced run is left alone run={id} reason=\"{why}\"")).await;
    }
}

/// So many runs one after the other: whatever was under way before is through.
async fn still_hears_more(server: &Server, count: usize) {
    for _ in 0..count {
        let id = server.submit(prints("more"));
        server.wait_returned(id).await;
    }
}

#[tokio::test]
async fn a_run_that_is_due_now_is_executed_whatever_the_time_zone_of_the_server() {
    for utc_offset_hours in [14, -12] {
        let (server, _worker) = up_with(Options { utc_offset_hours, ..Options::default() }, &[]).await;
        still_hears(&server).await;
    }
}

#[tokio::test]
async fn a_schedule_that_makes_no_sense_counts_as_due() {
    let (server, _worker) = up(&[]).await;
    for schedule in [json!("tomorrow"), json!(5), json!(null), json!({})] {
        let id = server.submit(RunSpec::new(prints("due")).run_field("schedule_dts", schedule));
        server.wait_returned(id).await;
        server.assert_whole_life(id);
    }
}

#[tokio::test]
async fn p7_a_run_announced_a_thousand_times_is_looked_up_and_executed_once() {
    let (server, _worker) = up(&[]).await;
    let latch = Latch::new();
    let id = server.add_run(latch.script("once"));
    for _ in 0..1000 {
        server.announce(id);
    }
    server.wait_started(id).await;
    for _ in 0..1000 {
        server.announce(id);
    }
    let behind = still_hears(&server).await;
    assert_eq!(server.look(|state| state.calls_of("GET", &format!("/api/v1/run/{id}/")).count()), 1);
    latch.let_through(1);
    server.wait_returned(id).await;
    for _ in 0..100 {
        server.announce(id);
        server.announce(behind);
    }
    still_hears(&server).await;
    server.assert_whole_life(id);
    assert_eq!(latch.executions("once"), 1);
}

#[tokio::test]
async fn a_flood_of_announcements_is_bounded_and_kills_and_pings_pass() {
    let (server, worker) = up(&[("concurrent_jobs", "1"), ("log_level", "info")]).await;
    let latch = Latch::new();
    let held = server.submit(latch.script("held"));
    server.wait_started(held).await;
    let memory = peak_memory(&worker);
    for id in 1_000_000..1_012_000 {
        server.announce_to(KEY, id);
    }
    worker.wait_log("is left to be announced again").await;
    server.ping();
    server.wait(|state| state.worker(KEY).patches == 1, "the answer to a ping").await;
    let status: Value = serde_json::from_slice(&worker.home().ask(&["--status", "--json"]).await.stdout).unwrap();
    assert!(status["hints"].as_u64().unwrap() <= 10_000, "{status}");
    let kill = server.kill(held);
    server.wait_executed(kill).await;
    server.wait_returned(held).await;
    assert!(peak_memory(&worker) < memory + 16 * 1024, "{memory} kB, then {} kB", peak_memory(&worker));
    assert_eq!(server.look(|state| state.subscribed(KEY)), 1);
}

#[tokio::test]
async fn forged_hints_cost_few_lines_and_few_calls_and_true_ones_get_through() {
    let (server, worker) = up(&[("concurrent_jobs", "8"), ("log_level", "info")]).await;
    let latch = Latch::new();
    let killed = server.submit(latch.script("killed"));
    server.wait_started(killed).await;
    let begun = std::time::Instant::now();
    let calls = server.look(|state| state.calls.len());
    let flood = async {
        for id in 1_000_000_i64.. {
            server.announce_to(KEY, id);
            server.tell(KEY, format!(r#"{{"action": "kill", "kill_request_id": {id}}}"#));
            if id % 100 == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    };
    let honest = async {
        // Long enough for every look in vain that is allowed at once to be made.
        tokio::time::sleep(Duration::from_secs(3)).await;
        for _ in 0..2 {
            server.wait_returned(server.submit(prints("true"))).await;
        }
        let kill = server.kill(killed);
        server.wait_executed(kill).await;
        server.wait_returned(killed).await;
    };
    tokio::select! {
        () = flood => {}
        () = honest => {}
    }
    let seconds = begun.elapsed().as_secs_f64();
    let made = server.look(|state| state.calls.len()) - calls;
    // 64 looks in vain at once and 5 a second, each with a second call to make sure; for runs and for kills; what waits; and
    // the three runs.
    let allowed = 2.0 * (64.0 + 5.0 * seconds) * 2.0 + 5.0 * seconds + 100.0;
    assert!((made as f64) < allowed, "{made} calls in {seconds:.1} s");
    let lines = worker.log().lines().filter(|line| line.starts_with("WARN") || line.starts_with("ERROR")).count();
    assert!(lines <= 15, "{lines} lines:\n{}", worker.log());
}

/// The most resident memory that the worker ever had, in kB.
fn peak_memory(worker: &WorkerProcess) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", worker.id().unwrap())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test]
async fn a_kill_request_for_another_worker_is_not_taken() {
    let workers = vec![WorkerSpec::new(KEY, "verysecret"), WorkerSpec::new("other", "secret2")];
    let (server, _worker) = up_with(Options { workers, ..Options::default() }, &[]).await;
    let runs = [
        server.add_run(RunSpec::new("").worker("other").started(Some(1))),
        server.add_run(RunSpec::new("").worker("other").returned(true)),
        server.add_run(RunSpec::new("")),
        server.add_run(RunSpec::new("").pool(2)),
    ];
    let kills = runs.map(|run| server.add_kill(run));
    let unknown = server.add_kill(1_000_000);
    for id in kills.into_iter().chain([unknown, 999_999]) {
        server.tell(KEY, format!(r#"{{"action": "kill", "kill_request_id": {id}}}"#));
    }
    let looked = |state: &State, id: i64| state.calls_of("GET", &format!("/api/v1/kill_request/{id}/")).count() > 0;
    server.wait(|state| kills.iter().chain([&unknown, &999_999]).all(|id| looked(state, *id)), "a look at each").await;
    let mine = server.submit(prints("mine"));
    server.wait_returned(mine).await;
    still_hears_more(&server, 3).await;
    for id in kills.into_iter().chain([unknown]) {
        let kill = server.kill_request(id);
        assert_eq!((kill.enqueue_dts, kill.execute_dts), (None, None), "kill request {id}");
    }
}

#[tokio::test]
async fn a_flood_of_pings_is_answered_once_in_five_seconds() {
    let (server, _worker) = up(&[("concurrent_jobs", "7")]).await;
    for _ in 0..500 {
        server.ping();
    }
    server.wait(|state| state.worker(KEY).patches == 1, "the answer").await;
    let row = server.worker(KEY);
    assert_eq!((row.worker_version.as_deref(), row.concurrent_jobs), (Some(env!("CARGO_PKG_VERSION")), Some(7)));
    assert!(row.ping_response_dts.is_some());
    still_hears(&server).await;
    let again = |state: &State| state.worker(KEY).patches > 1;
    server.never_within(Duration::from_secs(5), again, "another answer").await;
    server.ping();
    server.wait(again, "the answer to a later ping").await;
}

/// The original server does not tell two workers of one key apart; what it shows of pings does.
#[tokio::test]
async fn another_worker_that_answers_pings_with_our_key_is_warned_of() {
    const WARNED: &str = "another worker uses this api_key";
    let (server, mut worker) = up(&[]).await;
    let answers = |count: usize| move |state: &State| state.worker(KEY).patches == count;
    for count in 1..=3 {
        server.ping();
        server.wait(answers(count), "the answer to a ping").await;
        server.never_within(Duration::from_secs(5), |state| state.worker(KEY).patches > count, "another answer").await;
        if count == 2 {
            assert!(!worker.log().contains(WARNED), "{}", worker.log());
            server.change(|state| {
                let row = state.workers.iter_mut().find(|row| row.api_key == KEY).expect("a worker");
                row.ping_response_dts = Some("2026-11-30T09:00:00.000001".to_owned());
            });
        }
    }
    worker.wait_log(WARNED).await;
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn while_draining_runs_are_not_claimed_and_kills_and_pings_are_served() {
    let (server, mut worker) = up(&[]).await;
    let latch = Latch::new();
    let held = server.submit(latch.script("held"));
    server.wait_started(held).await;
    worker.sigterm();
    worker.wait_log("worker drains").await;
    let late = server.submit(latch.straight_script("late"));
    server.ping();
    server.wait(|state| state.worker(KEY).patches == 1, "the answer to a ping").await;
    let kill = server.kill(held);
    server.wait_executed(kill).await;
    assert_eq!(worker.wait_exit().await.code(), Some(0));
    server.assert_whole_life(held);
    assert_eq!(server.run(late).kinds(), []);
    assert_eq!(latch.executions("late"), 0);
}

#[tokio::test]
async fn runs_are_executed_in_the_order_of_their_announcement() {
    let (server, _worker) = up(&[("concurrent_jobs", "1")]).await;
    let latch = Latch::new();
    let names: Vec<String> = (0..12).map(|n| n.to_string()).collect();
    let runs: Vec<i64> = names.iter().map(|name| server.submit(latch.straight_script(name))).collect();
    for id in runs {
        server.wait_returned(id).await;
        server.assert_whole_life(id);
    }
    let trace: Vec<String> = names.iter().flat_map(|n| [format!("begin {n}"), format!("end {n}")]).collect();
    assert_eq!(latch.trace(), trace);
}

#[tokio::test]
async fn an_announcement_is_remembered_until_a_slot_is_free_for_the_claim() {
    let (server, _worker) = up(&[("concurrent_jobs", "1")]).await;
    let latch = Latch::new();
    let first = server.submit(latch.script("first"));
    server.wait_started(first).await;
    let second = server.submit(latch.straight_script("second"));
    server.ping();
    server.wait(|state| state.worker(KEY).patches == 1, "the ping behind the second announcement").await;
    assert_eq!(server.run(second).kinds(), []);
    latch.let_through(1);
    server.wait_returned(second).await;
    server.wait_returned(first).await;
    assert_eq!(latch.trace(), ["begin first", "end first", "begin second", "end second"]);
    assert_eq!(server.look(|state| state.announcements.len()), 3);
    server.assert_whole_life(second);
}

#[tokio::test]
async fn a_frame_of_64_megabytes_costs_the_connection_and_not_the_worker() {
    let (server, mut worker) = up(&[]).await;
    let memory = peak_memory(&worker);
    server.tell(KEY, vec![b' '; 64 << 20]);
    server.wait(|state| state.subscribed(KEY) == 2, "a new subscription").await;
    let id = server.submit(prints("after it"));
    server.wait_returned(id).await;
    server.assert_whole_life(id);
    assert!(worker.is_running());
    assert!(peak_memory(&worker) < memory + 16 * 1024, "{memory} kB, then {} kB", peak_memory(&worker));
}

#[tokio::test]
async fn p18_a_silent_broadcaster_connection_is_replaced() {
    let (server, worker) = up(&[("reconnect_after_inactivity", "1")]).await;
    server.broadcaster().freeze();
    let connections = server.look(|state| state.broadcaster_link.opened);
    server.wait(|state| state.broadcaster_link.opened > connections, "another connection").await;
    server.broadcaster().thaw();
    let before = server.look(|state| state.subscribed(KEY));
    server.wait(|state| state.subscribed(KEY) > before, "another subscription").await;
    let id = server.submit(prints("heard again"));
    server.wait_returned(id).await;
    server.assert_whole_life(id);
    worker.wait_log("no activity from the broadcaster; reconnecting inactive_s=1").await;
}

#[tokio::test]
async fn a_worker_out_of_descriptors_keeps_receiving_and_connects_when_it_can() {
    let (server, worker) = up(&[("reconnect_after_inactivity", "1")]).await;
    let limit = |most: u32| {
        let pid = worker.id().unwrap().to_string();
        let limited =
            std::process::Command::new("prlimit").args(["--pid", &pid, &format!("--nofile={most}:")]).status();
        assert!(limited.unwrap().success());
    };
    // Fewer than it has: it keeps those, and gets no other.
    limit(8);
    worker.wait_log("no new connection to the broadcaster").await;
    limit(1024);
    let before = server.look(|state| state.subscribed(KEY));
    server.wait(|state| state.subscribed(KEY) > before, "another subscription").await;
    let id = server.submit(prints("heard"));
    server.wait_returned(id).await;
    server.assert_whole_life(id);
}

#[tokio::test]
async fn p18_a_restarted_broadcaster_is_received_again() {
    let (server, _worker) = up(&[]).await;
    for round in 2..4 {
        server.broadcaster().close().await;
        server.broadcaster().reopen().await;
        server.wait(|state| state.subscribed(KEY) == round, "another subscription").await;
        let id = server.submit(prints("heard again"));
        server.wait_returned(id).await;
        server.assert_whole_life(id);
    }
}

#[tokio::test]
async fn a_worker_started_before_its_broadcaster_receives_it_once_it_is_up() {
    let server = Server::start(Options::default()).await;
    server.broadcaster().close().await;
    server.event_intake().close().await;
    let _worker = WorkerProcess::start(&server, &worker());
    server.wait(|state| state.calls_of("GET", "/api/v1/run/").count() == 2, "the worker").await;
    server.broadcaster().reopen().await;
    server.event_intake().reopen().await;
    server.wait_up().await;
    let id = server.submit(prints("heard"));
    server.wait_event("returned", id).await;
    server.assert_whole_life(id);
}

#[tokio::test]
async fn an_order_over_both_transports_acts_once() {
    const RUNS: usize = 1000;
    let deadline = Duration::from_secs(60);
    let server = Server::start(Options { deadline, ..Options::default() }).await;
    let options = worker().set("concurrent_jobs", 16).set("log_level", "warning").set("log_update_interval", 0);
    let _worker = WorkerProcess::start(&server, &options.with_websocket(&server));
    server.wait_up().await;
    server.wait_websockets(1).await;
    let latch = Latch::new();
    let runs: Vec<i64> = (0..RUNS).map(|n| server.add_run(latch.straight_script(&n.to_string()))).collect();
    let begun = Instant::now();
    for id in &runs {
        server.announce(*id);
        server.push_ws(&json!({"action": "enqueue", "run_id": id}));
    }
    server.wait(|state| state.runs.values().all(|run| run.return_dts.is_some()), "the last return").await;
    eprintln!("{RUNS} orders on both transports: {:.1} s", begun.elapsed().as_secs_f64());
    for id in &runs {
        server.assert_whole_life(*id);
    }
    let trace = latch.trace();
    assert_eq!(trace.iter().filter(|line| line.starts_with("begin")).count(), RUNS);
    assert!((0..RUNS).all(|n| trace.contains(&format!("begin {n}"))));
    server.look(|state| assert!(state.runs.values().all(|run| run.completions == 1)));
}

#[tokio::test]
async fn without_a_broadcaster_everything_works_over_the_websocket() {
    let server = Server::start(Options::default()).await;
    server.broadcaster().close().await;
    let _worker = WorkerProcess::start(&server, &worker().with_websocket(&server));
    server.wait_websockets(1).await;
    let latch = Latch::new();
    let runs: Vec<i64> = (0..20).map(|n| server.add_run(latch.straight_script(&n.to_string()))).collect();
    let held = server.add_run(latch.script("held"));
    server.push_ws(&json!({"action": "enqueue", "run_id": held}));
    for id in &runs {
        server.push_ws(&json!({"run_id": id, "action": "enqueue"}));
        // What the original server repeats there, and what is for nobody.
        server.push_ws(&json!({"event": "enqueued", "run_id": id, "kind": "run"}));
        server.push_ws_text("hello");
        server.push_ws(&json!([1]));
        server.push_ws(&json!({"action": "enqueue", "run_id": "../1"}));
    }
    server.push_ws_binary(br#"{"action": "ping"}"#.to_vec());
    for id in &runs {
        server.wait_returned(*id).await;
        server.assert_whole_life(*id);
    }
    server.wait(|state| state.worker(KEY).patches == 1, "the answer to a ping").await;
    server.wait_started(held).await;
    let kill = server.add_kill(held);
    server.push_ws(&json!({"action": "kill", "kill_request_id": kill}));
    server.wait_executed(kill).await;
    assert_eq!(server.wait_returned(held).await.return_success, Some(false));
    server.look(|state| assert_eq!(state.websockets.len(), 1, "it connected again"));
}

#[tokio::test]
async fn a_websocket_that_does_not_answer_pings_is_replaced() {
    let deadline = Duration::from_secs(60);
    let server = Server::start(Options { deadline, ..Options::default() }).await;
    let worker = WorkerProcess::start(&server, &worker().with_websocket(&server));
    server.wait_up().await;
    server.wait_websockets(1).await;
    worker.wait_log("connected address=ws://").await;
    server.websocket().freeze();
    worker.wait_log("nothing came for").await;
    server.websocket().thaw();
    server.wait(|state| state.websockets.len() == 2, "another connection").await;
    let id = server.add_run(prints("heard again"));
    server.push_ws(&json!({"action": "enqueue", "run_id": id}));
    server.wait_returned(id).await;
    server.assert_whole_life(id);
}

#[tokio::test]
async fn a_refused_websocket_is_retried_with_back_off() {
    let server = Server::start(Options::default()).await;
    server.refuse_websockets(Some(503));
    let worker = WorkerProcess::start(&server, &worker().with_websocket(&server));
    server.wait(|state| state.websocket_link.opened >= 3, "three tries").await;
    let many = |state: &State| state.websocket_link.opened > 12;
    server.never_within(Duration::from_secs(3), many, "a try each moment").await;
    worker.wait_log("no WebSocket connection").await;
    server.refuse_websockets(None);
    server.wait_websockets(1).await;
    server.close_ws(1012, "restart");
    server.wait(|state| state.websockets.len() == 2, "another connection").await;
    let id = server.add_run(exits_with(0));
    server.push_ws(&json!({"action": "enqueue", "run_id": id}));
    server.wait_returned(id).await;
    server.assert_whole_life(id);
}

#[tokio::test]
async fn a_claim_that_took_long_is_read_again_before_the_script_runs() {
    let workers = vec![WorkerSpec::new(KEY, "verysecret"), WorkerSpec::new("other", "secret2")];
    let (server, _worker) = up_with(Options { workers, ..Options::default() }, &[]).await;
    let latch = Latch::new();
    let slow = |id: i64| {
        Fault::on("PATCH", &format!("/api/v1/run/{id}/"), What::DelayAfterCommit(Duration::from_millis(1200)))
            .setting("enqueue_dts")
    };
    let ours = server.add_run(latch.straight_script("ours"));
    let theirs = server.add_run(latch.straight_script("theirs"));
    server.inject(slow(ours));
    server.inject(slow(theirs));
    server.announce(ours);
    server.announce(theirs);
    server.wait_claimed(theirs).await;
    server.edit_run(theirs, |run| run.worker = Some(2));
    server.wait_returned(ours).await;
    server.assert_whole_life(ours);
    server
        .wait(
            |state| {
                state.calls_of("GET", &format!("/api/v1/run/{theirs}/")).filter(|c| c.status.is_some()).count() == 2
            },
            "a second look",
        )
        .await;
    still_hears(&server).await;
    assert_eq!((latch.executions("ours"), latch.executions("theirs")), (1, 0));
    assert_eq!(server.run(theirs).log, None);
}
