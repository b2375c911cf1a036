//! The end of a worker: a drain, a drain that is hurried, a hand-over.

use std::time::{Duration, Instant};

use crate::support::{Fault, Latch, Options, Server, State, StepKind, What, WorkerOptions, WorkerProcess, prints};
use crate::{until, worker};

async fn up(options: &WorkerOptions) -> (Server, WorkerProcess) {
    let server = Server::start(Options::default()).await;
    let worker = WorkerProcess::start(&server, options);
    server.wait_up().await;
    (server, worker)
}

/// Runs of latched scripts that wait.
async fn waiting(server: &Server, latch: &Latch, count: usize) -> Vec<i64> {
    let runs: Vec<i64> = (0..count).map(|n| server.submit(latch.script(&n.to_string()))).collect();
    for run in &runs {
        server.wait_started(*run).await;
    }
    wait_begun(latch, count).await;
    runs
}

/// The start is told when the script's process is there; its first line comes a moment later.
async fn wait_begun(latch: &Latch, count: usize) {
    let begun = || latch.trace().iter().filter(|line| line.starts_with("begin")).count();
    until("scripts to begin", || begun() >= count).await;
}

fn claim_of(run: i64) -> impl Fn(&State) -> bool {
    move |state| state.calls.iter().any(|c| c.is("PATCH", &format!("/api/v1/run/{run}/")) && c.sets("enqueue_dts"))
}

#[tokio::test]
async fn an_idle_worker_drains_at_once() {
    for signal in [WorkerProcess::sigterm, WorkerProcess::sigint] {
        let (_server, mut worker) = up(&worker()).await;
        let begun = Instant::now();
        signal(&worker);
        assert_eq!(worker.wait_exit().await.code(), Some(0));
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn running_runs_finish_and_no_new_ones_begin() {
    let (server, mut worker) = up(&worker().set("concurrent_jobs", 3)).await;
    let latch = Latch::new();
    let runs = waiting(&server, &latch, 2).await;
    worker.sigterm();
    worker.wait_log("the next TERM stops its runs runs=2").await;
    let late = server.submit(prints("late"));
    // Answered after the order above was heard: one connection, one order.
    server.ping();
    server.wait(|state| state.worker("testworker").ping_response_dts.is_some(), "the answer to a ping").await;
    let kill = server.kill(runs[0]);
    server.wait_executed(kill).await;
    server.wait_kill_event("executed", kill).await;
    let killed = server.wait_returned(runs[0]).await;
    assert_eq!(killed.return_success, Some(false));
    assert!(worker.is_running());
    latch.let_through(1);
    worker.assert_clean_exit().await;
    let finished = server.run(runs[1]);
    assert_eq!((finished.log_text(), finished.return_success), ("waiting\nthrough\n", Some(true)));
    server.assert_whole_life(runs[0]);
    server.assert_whole_life(runs[1]);
    assert_eq!(server.run(late).enqueue_dts, None);
    // What was told last was not lost with the worker.
    server.wait_event("returned", runs[1]).await;
}

#[tokio::test]
async fn runs_that_wait_for_a_slot_are_left_to_other_workers() {
    let (server, mut worker) = up(&worker().set("concurrent_jobs", 1)).await;
    let latch = Latch::new();
    let run = waiting(&server, &latch, 1).await[0];
    let hinted: Vec<i64> = (0..5).map(|_| server.submit(latch.script("hinted"))).collect();
    server.ping();
    server.wait(|state| state.worker("testworker").ping_response_dts.is_some(), "the answer to a ping").await;
    worker.sigterm();
    worker.wait_log("worker drains").await;
    latch.let_through(6);
    worker.assert_clean_exit().await;
    server.assert_whole_life(run);
    assert!(hinted.iter().all(|run| server.run(*run).enqueue_dts.is_none()));
    assert_eq!(latch.executions("hinted"), 0);
}

#[tokio::test]
async fn p13_a_drain_at_any_moment_forgets_nothing_that_was_claimed() {
    for claimed in 0..8 {
        let (server, mut worker) = up(&worker().set("concurrent_jobs", 2)).await;
        let latch = Latch::new();
        let runs: Vec<i64> = (0..8).map(|n| server.submit(latch.straight_script(&n.to_string()))).collect();
        let claims = |state: &State| state.runs.values().filter(|run| run.enqueue_dts.is_some()).count();
        server.wait(|state| claims(state) >= claimed, format!("{claimed} claims")).await;
        worker.assert_clean_end().await;
        for (n, run) in runs.iter().enumerate() {
            let row = server.run(*run);
            let times = usize::from(row.enqueue_dts.is_some());
            let found = (latch.executions(&n.to_string()), row.returns());
            assert_eq!(found, (times, times), "run {run} after {claimed} claims");
        }
    }
}

#[tokio::test]
async fn p13_a_claim_in_flight_is_executed() {
    for what in [What::Delay(Duration::from_millis(300)), What::DelayAfterCommit(Duration::from_millis(300))] {
        let (server, mut worker) = up(&worker()).await;
        server.inject(Fault::on("PATCH", "/api/v1/run/", what).setting("enqueue_dts").once());
        let run = server.submit(prints("hello"));
        server.wait(claim_of(run), "the claim").await;
        worker.sigterm();
        worker.wait_log("the next TERM stops its runs runs=1").await;
        worker.assert_clean_exit().await;
        server.assert_whole_life(run);
    }
}

#[tokio::test]
async fn a_claim_whose_answer_never_came_is_executed() {
    let (server, mut worker) = up(&worker().set("api_timeout", 1)).await;
    server.inject(Fault::on("PATCH", "/api/v1/run/", What::HangAfterCommit).setting("enqueue_dts").once());
    let run = server.submit(prints("hello"));
    server.wait(claim_of(run), "the claim").await;
    worker.sigterm();
    worker.assert_clean_exit().await;
    server.assert_whole_life(run);
}

#[tokio::test]
async fn a_run_that_was_read_but_not_claimed_is_left_to_other_workers() {
    let (server, mut worker) = up(&worker()).await;
    let run = server.add_run(prints("hello"));
    let path = format!("/api/v1/run/{run}/");
    server.inject(Fault::on("GET", &path, What::Delay(Duration::from_secs(1))).once());
    server.announce(run);
    server.wait(|state| state.calls_of("GET", &path).count() == 1, "a look at it").await;
    worker.sigterm();
    worker.wait_log("the next TERM stops its runs runs=1").await;
    worker.assert_clean_exit().await;
    assert_eq!(server.run(run).kinds(), []);
}

#[tokio::test]
async fn a_slow_kill_is_reported_before_the_drain_ends() {
    // Longer than a server may be silent, and nothing else to tell it meanwhile.
    let (server, mut worker) = up(&worker().set("kill_grace", 11).set("log_update_interval", 0)).await;
    let latch = Latch::new();
    let run = server.submit(latch.script("a").replace("#!/bin/sh\n", "#!/bin/sh\ntrap '' TERM\n"));
    server.wait_started(run).await;
    wait_begun(&latch, 1).await;
    worker.sigterm();
    worker.wait_log("the next TERM stops its runs runs=1").await;
    let kill = server.kill(run);
    server.wait(|state| state.kills[&kill].enqueue_dts.is_some(), "the kill to be taken").await;
    let late = What::Delay(Duration::from_secs(1));
    server.inject(Fault::on("PATCH", "/api/v1/kill_request/", late).setting("execute_dts"));
    assert_eq!(worker.wait_exit_within(Duration::from_secs(30)).await.code(), Some(0));
    assert!(server.kill_request(kill).execute_dts.is_some());
    server.assert_whole_life(run);
}

#[tokio::test]
async fn the_second_signal_kills_and_reports() {
    for signal in [WorkerProcess::sigterm, WorkerProcess::sigint] {
        let (server, mut worker) = up(&worker()).await;
        let latch = Latch::new();
        let runs = waiting(&server, &latch, 2).await;
        signal(&worker);
        worker.wait_log("the next TERM stops its runs runs=2").await;
        signal(&worker);
        worker.assert_clean_exit().await;
        for run in runs {
            server.assert_whole_life(run);
            let row = server.run(run);
            assert_eq!(row.return_success, Some(false));
            let note =
                "waiting\n[job runner worker] The job was stopped: the worker was told to stop without waiting.\n";
            assert_eq!(row.log_text(), note);
            server.wait_event("returned", run).await;
        }
    }
}

#[tokio::test]
async fn the_third_signal_exits_at_once_and_the_next_start_reports() {
    let (server, mut worker) = up(&worker().set("kill_grace", 600)).await;
    let latch = Latch::new();
    // It ignores TERM itself; its child does not, by which one sees that TERM came.
    let pid = latch.trace_path().with_file_name("child");
    let preface = format!("#!/bin/sh\nsleep 1000 >/dev/null 2>&1 &\necho $! > {}\ntrap '' TERM\n", pid.display());
    let run = server.submit(latch.script("a").replace("#!/bin/sh\n", &preface));
    server.wait_started(run).await;
    wait_begun(&latch, 1).await;
    let stat = format!("/proc/{}/stat", std::fs::read_to_string(pid).unwrap().trim());
    let child_lives = || std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
    assert!(child_lives());
    worker.sigterm();
    worker.wait_log("the next TERM stops its runs runs=1").await;
    worker.sigterm();
    worker.wait_log("the next TERM leaves at once").await;
    until("TERM to reach the tree", || !child_lives()).await;
    worker.sigterm();
    assert_eq!(worker.wait_exit_within(Duration::from_secs(5)).await.code(), Some(1));
    assert_eq!(server.run(run).return_dts, None);
    latch.let_through(1);
    worker.restart().await;
    let row = server.wait_returned(run).await;
    // It was told to end before it did.
    assert_eq!(row.return_success, Some(false));
    assert!(row.log_text().starts_with("waiting\nthrough\n[job runner worker] The job was stopped: "));
    server.assert_whole_life(run);
    assert_eq!(latch.executions("a"), 1);
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn p13_a_drain_may_be_limited() {
    let (server, mut worker) = up(&worker().set("drain_timeout", "0.3")).await;
    let latch = Latch::new();
    let run = waiting(&server, &latch, 1).await[0];
    worker.sigterm();
    worker.assert_clean_exit().await;
    assert!(worker.log().contains("drain_timeout is over"));
    server.assert_whole_life(run);
    assert_eq!(server.run(run).return_success, Some(false));
}

/// How long a worker may take to leave when the API says nothing: its last attempt, twice, and some.
const WITHOUT_API: Duration = Duration::from_secs(25);

#[tokio::test]
async fn p13_with_the_api_down_a_drain_ends_and_the_next_start_reports() {
    let (server, mut worker) = up(&worker()).await;
    let latch = Latch::new();
    let runs = waiting(&server, &latch, 2).await;
    server.refuse_connections(true).await;
    worker.sigterm();
    worker.wait_log("the next TERM stops its runs runs=2").await;
    latch.let_through(2);
    assert_eq!(worker.wait_exit_within(WITHOUT_API).await.code(), Some(0));
    server.refuse_connections(false).await;
    worker.restart().await;
    for run in runs {
        assert_eq!(server.wait_returned(run).await.log_text(), "waiting\nthrough\n");
        server.assert_whole_life(run);
    }
    assert_eq!((latch.executions("0"), latch.executions("1")), (1, 1));
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn with_the_api_hanging_a_drain_ends_and_the_next_start_reports() {
    let (server, mut worker) = up(&worker()).await;
    let latch = Latch::new();
    let run = waiting(&server, &latch, 1).await[0];
    server.inject(Fault::on("*", "/", What::HangForever));
    // A claim hangs as well.
    let hanging = server.submit(latch.straight_script("hanging"));
    let path = format!("/api/v1/run/{hanging}/");
    server.wait(|state| state.calls_of("GET", &path).count() == 1, "a look at it").await;
    worker.sigterm();
    worker.wait_log("the next TERM stops its runs runs=2").await;
    latch.let_through(1);
    assert_eq!(worker.wait_exit_within(WITHOUT_API).await.code(), Some(0));
    server.clear_faults();
    worker.restart().await;
    assert_eq!(server.wait_returned(run).await.log_text(), "waiting\nthrough\n");
    server.assert_whole_life(run);
    worker.assert_clean_end().await;
    assert_eq!((server.run(hanging).claims(), latch.executions("hanging")), (0, 0));
}

#[tokio::test]
async fn p3_a_hand_over_disturbs_no_run() {
    let (server, mut worker) = up(&worker()).await;
    let latch = Latch::new();
    let runs = waiting(&server, &latch, 3).await;
    worker.sigusr2();
    let begun = Instant::now();
    assert_eq!(worker.wait_exit().await.code(), Some(75));
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert!(runs.iter().all(|run| server.run(*run).return_dts.is_none()));
    // One ends between the two workers, the others under the second.
    latch.let_through(1);
    worker.restart().await;
    latch.let_through(2);
    for (n, run) in runs.iter().enumerate() {
        assert_eq!(server.wait_returned(*run).await.log_text(), "waiting\nthrough\n");
        server.assert_whole_life(*run);
        assert_eq!(latch.executions(&n.to_string()), 1);
        assert_eq!(server.run(*run).count(StepKind::Reset), 0);
    }
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn a_hand_over_works_during_a_drain() {
    let (server, mut worker) = up(&worker()).await;
    let latch = Latch::new();
    let run = waiting(&server, &latch, 1).await[0];
    worker.sigterm();
    worker.wait_log("the next TERM stops its runs runs=1").await;
    worker.sigusr2();
    assert_eq!(worker.wait_exit().await.code(), Some(75));
    worker.restart().await;
    latch.let_through(1);
    server.wait_returned(run).await;
    server.assert_whole_life(run);
    worker.assert_clean_end().await;
}
