//! Runs and a worker that dies: nothing is executed twice at once, nothing claimed is forgotten.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    Fault, Latch, Options, RunSpec, Server, StepKind, What, WorkerOptions, WorkerProcess, WorkerSpec, prints,
};
use crate::{until, worker};

const KEY: &str = "testworker";

async fn up(options: &WorkerOptions) -> (Server, WorkerProcess) {
    let server = Server::start(Options::default()).await;
    let worker = WorkerProcess::start(&server, options);
    server.wait_up().await;
    (server, worker)
}

async fn die(worker: &mut WorkerProcess) {
    worker.sigkill();
    worker.wait_exit().await;
}

async fn wait_begun(latch: &Latch, count: usize) {
    let begun = || latch.trace().iter().filter(|line| line.starts_with("begin")).count() >= count;
    until("scripts to begin", begun).await;
}

/// Latched scripts that run.
async fn waiting(server: &Server, latch: &Latch, count: usize) -> Vec<i64> {
    let runs: Vec<i64> = (0..count).map(|n| server.submit(latch.script(&n.to_string()))).collect();
    for run in &runs {
        server.wait_started(*run).await;
    }
    wait_begun(latch, count).await;
    runs
}

fn signal(pid: i64, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
}

/// Whether a process does something still.
fn alive(pid: i64) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.starts_with(" Z") && !rest.starts_with(" X"))
}

/// The supervising process of a run.
fn shim(worker: &WorkerProcess, run: i64, attempt: u32) -> i64 {
    worker.home().record(run, attempt)[0]["shim"].as_i64().unwrap()
}

/// A script that leaves a process in a session of its own, writes both pids to a file named after the attempt, and
/// waits; from the given attempt on it ends instead. Each attempt says who of the one before lives.
struct Clinging {
    folder: TempDir,
}

impl Clinging {
    fn new() -> Self {
        Self { folder: TempDir::with_prefix("clinging-").unwrap() }
    }

    fn script(&self, ends_at: u32) -> String {
        let folder = self.folder.path().display();
        format!(
            "#!/bin/sh\n\
             for pid in $(cat {folder}/$((JOB_RUNNER_ATTEMPT - 1)).pids 2>/dev/null); do\n\
             case $(cut -d')' -f2 /proc/$pid/stat 2>/dev/null) in ''|' Z'*) echo gone;; *) echo \"$pid lives\";; esac\n\
             done\n\
             echo attempt $JOB_RUNNER_ATTEMPT\n\
             [ $JOB_RUNNER_ATTEMPT -ge {ends_at} ] && exit 0\n\
             setsid sleep 1000 &\n\
             echo $$ $! > {folder}/new\n\
             mv {folder}/new {folder}/$JOB_RUNNER_ATTEMPT.pids\n\
             wait\n"
        )
    }

    /// The pids of an attempt, once it waits.
    async fn pids(&self, attempt: u32) -> Vec<i64> {
        let path = self.folder.path().join(format!("{attempt}.pids"));
        until("the pids of an attempt", || path.exists()).await;
        let text = fs::read_to_string(path).unwrap();
        text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
    }

    fn attempts(&self) -> usize {
        fs::read_dir(self.folder.path()).unwrap().count()
    }
}

#[tokio::test]
async fn a_killed_worker_disturbs_no_run() {
    let (server, mut worker) = up(&worker()).await;
    let latch = Latch::new();
    let runs = waiting(&server, &latch, 3).await;
    die(&mut worker).await;
    worker.restart().await;
    for n in 1..=3 {
        worker.wait_log(&format!("running script is taken up again run={n}")).await;
    }
    latch.let_through(3);
    for (n, run) in runs.iter().enumerate() {
        let row = server.wait_returned(*run).await;
        assert_eq!((row.log_text(), row.return_success), ("waiting\nthrough\n", Some(true)));
        server.wait_event("returned", *run).await;
        server.assert_whole_life(*run);
        assert_eq!((latch.executions(&n.to_string()), row.completions), (1, 1));
    }
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn a_run_may_outlive_several_workers() {
    let (server, mut worker) = up(&worker()).await;
    let latch = Latch::new();
    let run = waiting(&server, &latch, 1).await[0];
    for times in 1..=3 {
        die(&mut worker).await;
        worker.restart().await;
        server.wait(|state| state.subscribed(KEY) == times + 1, "the next worker to be up").await;
        worker.wait_log_times("running script is taken up again", times).await;
    }
    // It is still ours to kill.
    let kill = server.kill(run);
    server.wait_executed(kill).await;
    let row = server.wait_returned(run).await;
    assert_eq!(row.return_success, Some(false));
    server.assert_whole_life(run);
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn a_run_that_ended_meanwhile_is_reported_whole() {
    let (server, mut worker) = up(&worker()).await;
    let latch = Latch::new();
    let script =
        latch.script("a").replace("echo through", "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done");
    let run = server.submit(script);
    server.wait_started(run).await;
    wait_begun(&latch, 1).await;
    let (script, supervisor) = (server.run(run).pid.unwrap(), shim(&worker, run, 1));
    die(&mut worker).await;
    latch.let_through(1);
    until("the end of script and shim", || !alive(script) && !alive(supervisor)).await;
    assert_eq!(server.run(run).return_dts, None);
    worker.restart().await;
    let row = server.wait_returned(run).await;
    let expected: String = (0..2000).map(|n| format!("line {n}\n")).collect();
    assert_eq!(row.log_text(), format!("waiting\n{expected}"));
    assert_eq!((row.return_success, latch.executions("a")), (Some(true), 1));
    server.assert_whole_life(run);
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn a_result_that_waits_for_the_api_survives() {
    let (server, mut worker) = up(&worker()).await;
    let down = server.inject(Fault::on("PATCH", "/api/v1/run/", What::status(503)).setting("return_dts"));
    // One ran, one could not be started: neither is executed again.
    let latch = Latch::new();
    let ran = server.submit(latch.straight_script("a"));
    let failed = server.submit("#!/no/such/interpreter\n");
    server.wait(|_| down.hits() >= 2, "two results refused").await;
    for run in [ran, failed] {
        server.wait(|state| state.run(run).log.is_some(), "a log").await;
    }
    die(&mut worker).await;
    server.clear_faults();
    worker.restart().await;
    assert_eq!(server.wait_returned(ran).await.return_success, Some(true));
    let row = server.wait_returned(failed).await;
    assert_eq!(row.return_success, Some(false));
    assert!(row.log_text().starts_with("[job runner worker] Could not execute job: "), "{}", row.log_text());
    for run in [ran, failed] {
        let row = server.run(run);
        assert_eq!((row.claims(), row.returns(), row.completions, row.count(StepKind::Reset)), (1, 1, 1, 0));
    }
    assert_eq!(latch.executions("a"), 1);
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn a_claimed_run_is_executed_after_the_restart() {
    let (server, mut worker) = up(&worker()).await;
    let latch = Latch::new();
    let hanging = server.inject(Fault::on("GET", "/api/v1/job/", What::HangForever).once());
    let run = server.submit(latch.straight_script("a"));
    server.wait(|state| hanging.hits() == 1 && state.run(run).claims() == 1, "the claim and the look at the job").await;
    assert_eq!(latch.executions("a"), 0);
    die(&mut worker).await;
    worker.restart().await;
    server.wait_returned(run).await;
    assert_eq!(latch.executions("a"), 1);
    server.assert_whole_life(run);
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn a_claim_without_an_answer_is_looked_up() {
    for what in [What::HangForever, What::HangAfterCommit] {
        let (server, mut worker) = up(&worker()).await;
        let latch = Latch::new();
        let hanging = server.inject(Fault::on("PATCH", "/api/v1/run/", what).setting("enqueue_dts").once());
        let run = server.submit(latch.straight_script("a"));
        server.wait(|_| hanging.hits() == 1, "the claim").await;
        die(&mut worker).await;
        worker.restart().await;
        server.wait_returned(run).await;
        assert_eq!(latch.executions("a"), 1);
        server.assert_whole_life(run);
        worker.assert_clean_end().await;
    }
}

#[tokio::test]
async fn what_a_dead_shim_left_is_gone_before_the_next_try() {
    let (server, mut worker) = up(&worker()).await;
    let clinging = Clinging::new();
    let run = server.submit(clinging.script(2));
    server.wait_started(run).await;
    let pids = clinging.pids(1).await;
    assert!(pids.iter().all(|pid| alive(*pid)));
    signal(shim(&worker, run, 1), Signal::SIGKILL);
    let row = server.wait_returned(run).await;
    assert_eq!((row.log_text(), row.return_success), ("gone\ngone\nattempt 2\n", Some(true)));
    assert!(!pids.iter().any(|pid| alive(*pid)));
    assert_eq!((row.returns(), row.completions, clinging.attempts()), (1, 1, 1));
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn a_run_that_is_lost_too_often_has_failed() {
    let (server, mut worker) = up(&worker().set("max_attempts", 2)).await;
    let clinging = Clinging::new();
    let run = server.submit(clinging.script(9));
    for attempt in 1..=2 {
        clinging.pids(attempt).await;
        signal(shim(&worker, run, attempt), Signal::SIGKILL);
    }
    let row = server.wait_returned(run).await;
    assert_eq!(row.return_success, Some(false));
    assert!(row.log_text().ends_with("[job runner worker] The run was lost 2 times: its supervising process died.\n"));
    assert_eq!((row.returns(), row.completions, clinging.attempts()), (1, 1, 2));
    assert!(!clinging.pids(2).await.iter().any(|pid| alive(*pid)));
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn incomplete_runs_may_fail_instead() {
    let (server, mut worker) = up(&worker().set("incomplete_runs", "fail")).await;
    let clinging = Clinging::new();
    let run = server.submit(clinging.script(9));
    // What the shim has read is kept.
    server.wait_logged(run, "attempt 1").await;
    let pids = clinging.pids(1).await;
    signal(shim(&worker, run, 1), Signal::SIGKILL);
    let row = server.wait_returned(run).await;
    assert_eq!(row.return_success, Some(false));
    assert!(row.log_text().ends_with("The run was lost 1 time: its supervising process died.\n"), "{}", row.log_text());
    assert!(row.log_text().starts_with("attempt 1\n"), "{}", row.log_text());
    assert_eq!((row.returns(), row.completions, clinging.attempts()), (1, 1, 1));
    assert!(!pids.iter().any(|pid| alive(*pid)));
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn a_run_whose_worker_and_shim_were_both_killed_is_executed_again() {
    let (server, mut worker) = up(&worker()).await;
    let clinging = Clinging::new();
    let run = server.submit(clinging.script(2));
    server.wait_started(run).await;
    let pids = clinging.pids(1).await;
    let supervisor = shim(&worker, run, 1);
    die(&mut worker).await;
    signal(supervisor, Signal::SIGKILL);
    until("the end of the shim", || !alive(supervisor)).await;
    assert!(pids.iter().all(|pid| alive(*pid)));
    worker.restart().await;
    let row = server.wait_returned(run).await;
    assert_eq!((row.log_text(), row.return_success), ("gone\ngone\nattempt 2\n", Some(true)));
    assert_eq!((row.returns(), row.completions, row.count(StepKind::Reset)), (1, 1, 0));
    worker.assert_clean_end().await;
}

/// Somebody whose pid stands in an old record.
struct Decoy(Child);

impl Decoy {
    fn new() -> Self {
        Self(Command::new("sleep").arg("1000").spawn().unwrap())
    }
}

impl Drop for Decoy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_pid_in_a_record_that_was_reused_is_left_alone() {
    for reboot in [true, false] {
        let (server, mut worker) = up(&worker()).await;
        let clinging = Clinging::new();
        let run = server.submit(clinging.script(2));
        server.wait_started(run).await;
        let mut dead = clinging.pids(1).await;
        dead.push(shim(&worker, run, 1));
        die(&mut worker).await;
        dead.iter().rev().for_each(|pid| signal(*pid, Signal::SIGKILL));
        until("everybody's end", || !dead.iter().any(|pid| alive(*pid))).await;
        let mut decoy = Decoy::new();
        let mut record = worker.home().record(run, 1);
        record[1]["pid"] = decoy.0.id().into();
        if reboot {
            record[0]["boot_id"] = "00000000-0000-0000-0000-000000000000".into();
        }
        let text: String = record.iter().map(|line| format!("{line}\n")).collect();
        fs::write(worker.home().record_path(run, 1), text).unwrap();
        worker.restart().await;
        let row = server.wait_returned(run).await;
        assert_eq!((row.log_text(), row.returns()), ("gone\ngone\nattempt 2\n", 1), "reboot: {reboot}");
        assert!(decoy.0.try_wait().unwrap().is_none(), "reboot: {reboot}");
        worker.assert_clean_end().await;
    }
}

/// A server that takes two runs for this worker's, and the worker that never heard of them.
async fn forgotten(options: &WorkerOptions, latch: &Latch) -> (Server, WorkerProcess, [i64; 2]) {
    let workers = vec![WorkerSpec::new(KEY, "verysecret"), WorkerSpec::new("other", "secret2")];
    let server = Server::start(Options { workers, ..Options::default() }).await;
    let queued = server.add_run(RunSpec::new(latch.straight_script("queued")).worker(KEY).enqueued());
    let started = server.add_run(RunSpec::new(latch.straight_script("started")).worker(KEY).started(Some(4711)));
    // Nobody else's business of ours.
    server.add_run(RunSpec::new(latch.straight_script("returned")).worker(KEY).returned(true));
    server.add_run(RunSpec::new(latch.straight_script("other")).worker("other").enqueued());
    let worker = WorkerProcess::start(&server, options);
    (server, worker, [queued, started])
}

#[tokio::test]
async fn claimed_runs_without_a_local_record_are_reset_once_and_executed() {
    let latch = Latch::new();
    let (server, mut worker, runs) = forgotten(&worker(), &latch).await;
    for (run, name) in runs.into_iter().zip(["queued", "started"]) {
        let row = server.wait_returned(run).await;
        assert_eq!(row.return_success, Some(true));
        let counts = (row.count(StepKind::Reset), row.claims(), row.returns(), latch.executions(name));
        assert_eq!(counts, (1, 1, 1, 1), "{:?}", row.kinds());
        let path = format!("/api/v1/run/{run}/");
        let resets: Vec<Value> = server.look(|state| {
            state.calls_of("PATCH", &path).map(|c| c.body.clone()).filter(|b| b["enqueue_dts"].is_null()).collect()
        });
        let resets: Vec<&Value> = resets.iter().filter(|body| body.get("enqueue_dts").is_some()).collect();
        assert_eq!(resets, [&json!({"enqueue_dts": null, "start_dts": null, "pid": null})]);
    }
    for (run, name) in [(3, "returned"), (4, "other")] {
        assert_eq!((server.run(run).steps.len(), latch.executions(name)), (0, 0));
    }
    let log = worker.log();
    for run in runs {
        let warned = format!(
            "this state directory is new; if another worker uses this api_key, the run is taken from it run={run} "
        );
        assert!(log.contains(&warned), "{log}");
    }
    // Only at the start, and nothing is left to be reset at the next.
    worker.assert_clean_end().await;
    let reset =
        |state: &crate::support::State| state.runs.values().map(|run| run.count(StepKind::Reset)).sum::<usize>();
    assert_eq!(server.look(reset), 2);
    let lists = |state: &crate::support::State| state.calls.iter().filter(|call| call.query.contains("state=")).count();
    let before = server.look(lists);
    worker.restart().await;
    server.wait(|state| lists(state) == before + 2, "a look at the lists").await;
    worker.assert_clean_end().await;
    assert_eq!(server.look(reset), 2);
}

#[tokio::test]
async fn claimed_runs_without_a_local_record_may_fail_instead() {
    let latch = Latch::new();
    let (server, mut worker, runs) = forgotten(&worker().set("incomplete_runs", "fail"), &latch).await;
    for run in runs {
        let row = server.wait_returned(run).await;
        assert_eq!((row.return_success, row.returns(), row.count(StepKind::Reset)), (Some(false), 1, 0));
        assert!(row.log_text().contains("The run was lost"), "{}", row.log_text());
    }
    worker.assert_clean_end().await;
    assert!(latch.trace().is_empty());
}

#[tokio::test]
async fn the_reset_waits_for_the_api() {
    let latch = Latch::new();
    let server = Server::start(Options::default()).await;
    let run = server.add_run(RunSpec::new(latch.straight_script("a")).worker(KEY).started(None));
    server.inject(Fault::when(|call| call.query.contains("state="), What::status(503)).times(2));
    let mut worker = WorkerProcess::start(&server, &worker());
    let row = server.wait_returned(run).await;
    assert_eq!((row.count(StepKind::Reset), latch.executions("a")), (1, 1));
    worker.assert_clean_end().await;
}

/// A run whose first shim is killed, and whose result is rejected as often as it is told. The next worker cannot read the
/// lists of its runs until that has happened to it too.
async fn rejected_and_taken_up(policy: &str) {
    let (server, mut worker) = up(&worker().set("incomplete_runs", policy)).await;
    let latch = Latch::new();
    let run = waiting(&server, &latch, 1).await[0];
    if policy == "reset" {
        signal(shim(&worker, run, 1), Signal::SIGKILL);
        wait_begun(&latch, 2).await;
    }
    let path = format!("/api/v1/run/{run}/");
    let rejecting = server.inject(Fault::on("PATCH", &path, What::status(400)).setting("return_dts"));
    latch.let_through(1);
    worker.wait_log("report was ").await;
    die(&mut worker).await;
    let is_list = |call: &crate::support::Call| call.query.contains("state=");
    let listing = server.inject(Fault::when(is_list, What::status(500)));
    worker.restart().await;
    let told = |state: &crate::support::State| state.calls.iter().filter(|call| call.sets("return_dts")).count();
    server.wait(move |state| told(state) >= 6, "six rejections").await;
    let lists = server.look(|state| state.calls.len());
    listing.lift();
    let both = |state: &crate::support::State| state.calls[lists..].iter().filter(|call| is_list(call)).count() >= 2;
    server.wait(both, "both lists").await;
    let again =
        move |state: &crate::support::State| state.run(run).count(StepKind::Reset) > 0 || state.run(run).returns() > 0;
    server.never_within(Duration::from_millis(500), again, "another fate of the run").await;
    rejecting.lift();
    let row = server.wait_returned(run).await;
    assert_eq!((row.return_success, row.completions, row.count(StepKind::Reset)), (Some(true), 1, 0), "{policy}");
    assert!(row.log_text().ends_with("through\n"), "{}", row.log_text());
    assert_eq!(latch.executions("0"), if policy == "reset" { 2 } else { 1 });
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn a_run_whose_end_is_on_disk_is_not_executed_again_though_its_result_is_rejected() {
    rejected_and_taken_up("reset").await;
}

#[tokio::test]
async fn a_true_result_that_is_rejected_is_not_replaced_by_a_loss() {
    rejected_and_taken_up("fail").await;
}

#[tokio::test]
async fn a_list_that_is_out_of_date_resets_nothing() {
    let server = Server::start(Options::default()).await;
    let run = server.add_run(RunSpec::new(prints("again?")).worker(KEY).returned(true));
    let row = server.run(run);
    let mut stale = row.to_json();
    for field in ["return_dts", "return_success"] {
        stale[field] = Value::Null;
    }
    let list = What::edit(move |page| page["objects"] = json!([stale.clone()]));
    let seen = server.inject(Fault::when(|call| call.query.contains("state=started"), list));
    let mut worker = WorkerProcess::start(&server, &worker());
    let path = format!("/api/v1/run/{run}/");
    server.wait(|state| seen.hits() == 1 && state.calls_of("GET", &path).count() == 1, "a fresh look").await;
    worker.assert_clean_end().await;
    assert!(server.run(run).steps.is_empty());
}

#[tokio::test]
async fn runs_of_a_lost_store_are_found_by_their_records() {
    let (server, mut worker) = up(&worker()).await;
    let latch = Latch::new();
    let runs = waiting(&server, &latch, 2).await;
    die(&mut worker).await;
    for file in ["outbox.sqlite", "outbox.sqlite-wal", "outbox.sqlite-shm"] {
        let _ = fs::remove_file(worker.home().own_state_path().join(file));
    }
    // Either may come first.
    latch.let_through(1);
    let ended = |worker: &WorkerProcess, run| worker.home().record(run, 1).iter().any(|line| line["is"] == "ended");
    until("the end of one", || runs.iter().any(|run| ended(&worker, *run))).await;
    worker.restart().await;
    latch.let_through(1);
    for (n, run) in runs.iter().enumerate() {
        let row = server.wait_returned(*run).await;
        assert_eq!((row.log_text(), row.return_success), ("waiting\nthrough\n", Some(true)));
        assert_eq!((row.returns(), row.count(StepKind::Reset), latch.executions(&n.to_string())), (1, 0, 1));
    }
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn a_kill_survives_the_worker() {
    let (server, mut worker) = up(&worker()).await;
    let latch = Latch::new();
    let run = waiting(&server, &latch, 1).await[0];
    let path = "/api/v1/kill_request/";
    let hanging = server.inject(Fault::on("GET", path, What::HangForever).once());
    let kill = server.kill(run);
    server.wait(|_| hanging.hits() == 1, "the look at the kill request").await;
    die(&mut worker).await;
    worker.restart().await;
    let row = server.wait_executed(kill).await;
    assert_eq!((row.enqueued.len(), row.executed.len()), (1, 1));
    assert_eq!(server.wait_returned(run).await.return_success, Some(false));
    server.assert_whole_life(run);
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn a_taken_kill_that_was_not_reported_is_reported_by_the_next_worker() {
    let (server, mut worker) = up(&worker()).await;
    let latch = Latch::new();
    let run = waiting(&server, &latch, 1).await[0];
    let unsaid = Fault::on("PATCH", "/api/v1/kill_request/", What::HangForever).setting("enqueue_dts").once();
    let hanging = server.inject(unsaid);
    let kill = server.kill(run);
    server.wait(|_| hanging.hits() == 1, "the acknowledgement").await;
    die(&mut worker).await;
    worker.restart().await;
    let row = server.wait_executed(kill).await;
    assert_eq!((row.enqueued.len(), row.executed.len()), (1, 1));
    assert!(row.enqueued[0] < row.executed[0]);
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn a_script_of_a_dead_worker_is_removed() {
    let (server, mut worker) = up(&worker()).await;
    let latch = Latch::new();
    let run = waiting(&server, &latch, 1).await[0];
    let scripts = |worker: &WorkerProcess| -> Vec<PathBuf> {
        fs::read_dir(worker.home().scripts_path()).unwrap().flatten().map(|entry| entry.path()).collect()
    };
    let written = scripts(&worker);
    assert_eq!(written.len(), 1);
    assert!(written[0].file_name().unwrap().to_str().unwrap().starts_with(&format!("job-runner-{run}.1-")));
    let dead = [shim(&worker, run, 1), server.run(run).pid.unwrap()];
    die(&mut worker).await;
    dead.iter().for_each(|pid| signal(*pid, Signal::SIGKILL));
    until("everybody's end", || !dead.iter().any(|pid| alive(*pid))).await;
    assert_eq!(scripts(&worker), written);
    worker.restart().await;
    wait_begun(&latch, 2).await;
    assert!(!written[0].exists());
    latch.let_through(1);
    server.wait_returned(run).await;
    worker.assert_clean_end().await;
}

/// A small generator with a fixed seed: what fails once fails again.
fn drawn(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % below
}

/// The worker is killed at moments that are counted in calls, so that each is another point of some run's way.
#[tokio::test]
async fn p1_runs_survive_a_worker_that_is_killed_again_and_again() {
    const RUNS: usize = 40;
    let server = Server::start(Options { reannounce: Some(Duration::from_millis(100)), ..Options::default() }).await;
    let folder = TempDir::new().unwrap();
    let script = |n: usize| {
        let trace = folder.path().join(n.to_string());
        format!(
            "#!/bin/bash\nexec 9>>{0}.lock; flock -n 9 || echo overlap >>{0}\necho begin >>{0}\nfor i in 1 2 3; do echo line $i; sleep 0.{1}; done\nexit {2}\n",
            trace.display(),
            n % 3 + 1,
            n % 3
        )
    };
    let runs: Vec<i64> = (0..RUNS).map(|n| server.submit(script(n))).collect();
    let mut worker =
        WorkerProcess::start(&server, &worker().set("concurrent_jobs", 6).set("log_update_interval", "0.1"));
    let (mut seed, mut deaths, mut said) = (20_261_123, 0, 0);
    while server.look(|state| state.runs.values().any(|run| run.return_dts.is_none())) {
        // Lives grow longer: in one of 25 calls, a worker with many runs to read and to report again would never come to
        // the call that ends one.
        let goal = server.calls().len() + 1 + usize::try_from(drawn(&mut seed, 25 + deaths)).unwrap();
        let over = |state: &crate::support::State| {
            state.calls.len() >= goal || state.runs.values().all(|run| run.return_dts.is_some())
        };
        server.wait(over, "calls or the end").await;
        die(&mut worker).await;
        // What a worker has said and not written when it is killed is lost.
        said = worker.log().matches("worker started").count();
        worker.restart().await;
        deaths += 1;
    }
    assert!(deaths >= 10, "only {deaths} deaths");
    for (n, id) in runs.iter().enumerate() {
        let run = server.wait_returned(*id).await;
        let trace = fs::read_to_string(folder.path().join(n.to_string())).unwrap();
        assert_eq!((trace.as_str(), run.completions, run.return_success), ("begin\n", 1, Some(n % 3 == 0)), "run {id}");
        assert_eq!(run.log_text(), "line 1\nline 2\nline 3\n", "run {id}");
    }
    eprintln!("{deaths} deaths of the worker, {RUNS} runs, each executed once");
    worker.wait_log_times("worker started", said + 1).await;
    worker.assert_clean_end().await;
}

/// The socket and, where one could be had, the cgroup of a run's shim.
fn belongings(worker: &WorkerProcess, run: i64) -> Vec<PathBuf> {
    let begun = &worker.home().record(run, 1)[0];
    let named = [&begun["socket"], &begun["cgroup"]];
    let paths: Vec<PathBuf> = named.iter().filter_map(|path| path.as_str()).map(PathBuf::from).collect();
    assert!(paths.iter().all(|path| path.exists()), "{paths:?}");
    paths
}

#[tokio::test]
async fn what_a_dead_shim_could_not_remove_is_cleared_away() {
    let (server, mut worker) = up(&worker()).await;
    let latch = Latch::new();
    for is_worker_alive in [true, false] {
        let run = waiting(&server, &latch, 1).await[0];
        let (supervisor, left) = (shim(&worker, run, 1), belongings(&worker, run));
        latch.let_through(1);
        server.wait_returned(run).await;
        // Nothing is recorded of a shim without a run.
        until("the record's end", || worker.home().run_files().is_empty()).await;
        if is_worker_alive {
            signal(supervisor, Signal::SIGKILL);
        } else {
            worker.sigstop();
            signal(supervisor, Signal::SIGKILL);
            die(&mut worker).await;
            worker.restart().await;
        }
        until("the end of what is left", || left.iter().all(|path| !path.exists())).await;
    }
    worker.assert_clean_end().await;
}

/// The clock is set back by a day between the start of a script and its end, as its record has them.
#[tokio::test]
async fn p20_a_clock_that_is_set_back_makes_no_run_that_ends_before_it_starts() {
    let (server, mut worker) = up(&worker()).await;
    let latch = Latch::new();
    let run = waiting(&server, &latch, 1).await[0];
    die(&mut worker).await;
    latch.let_through(1);
    let record = worker.home().record_path(run, 1);
    let ends = || fs::read_to_string(&record).unwrap().contains(r#""is":"ended""#);
    until("the end in the record", ends).await;
    let mut lines = worker.home().record(run, 1);
    lines[2]["at"] = json!("2001-01-01 00:00:00.000000+00:00");
    fs::write(&record, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    worker.restart().await;
    let row = server.wait_returned(run).await;
    assert!(row.start_dts.is_some());
    assert_eq!((row.return_dts, row.return_success), (row.start_dts, Some(true)));
    worker.assert_clean_end().await;
}

/// The lines in which it is said that a run is left alone.
fn left_alone(worker: &WorkerProcess) -> Vec<String> {
    worker.log().lines().filter(|line| line.contains("record cannot be read; retrying")).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_record_that_cannot_be_read_holds_up_nothing_else() {
    let (server, mut worker) = up(&worker().unprivileged()).await;
    let latch = Latch::new();
    // Whoever the worker is.
    Command::new("chmod").args(["-R", "a+rwX"]).arg(latch.trace_path().parent().unwrap()).status().unwrap();
    let run = waiting(&server, &latch, 1).await[0];
    die(&mut worker).await;
    let runs = worker.home().own_state_path().join("runs");
    fs::create_dir(runs.join("999.1.record")).unwrap();
    nix::unistd::mkfifo(&runs.join("998.1.record"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    fs::write(runs.join("997.1.record"), "").unwrap();
    fs::set_permissions(runs.join("997.1.record"), std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    worker.restart().await;
    worker.wait_log("running script is taken up again").await;
    server.wait(|state| state.subscribed(KEY) == 2, "the next worker").await;
    let next = server.submit(prints("next"));
    assert_eq!(server.wait_returned(next).await.return_success, Some(true));
    latch.let_through(1);
    assert_eq!(server.wait_returned(run).await.log_text(), "waiting\nthrough\n");
    let said = left_alone(&worker);
    assert_eq!(said.len(), 3, "{said:?}");
    for record in [997, 998, 999] {
        assert!(said.iter().any(|line| line.contains(&format!("{record}.1.record error="))), "{said:?}");
    }
    assert_eq!(worker.stop().await, 0);
}

#[tokio::test]
async fn unkillable_processes_block_neither_start_nor_exit() {
    let (server, mut worker) = up(&worker()).await;
    let latch = Latch::new();
    let run = waiting(&server, &latch, 1).await[0];
    die(&mut worker).await;
    signal(shim(&worker, run, 1), Signal::SIGKILL);
    // A group in which somebody always is, and a later attempt, so that this one is to be cleared away.
    let group = TempDir::with_prefix("populated-").unwrap();
    let path = worker.home().record_path(run, 1);
    let text = fs::read_to_string(&path).unwrap();
    let (first, rest) = text.trim_start_matches('\n').split_once('\n').unwrap();
    let mut begun: Value = serde_json::from_str(first).unwrap();
    fs::write(worker.home().record_path(run, 2), &text).unwrap();
    let name = begun["cgroup"].as_str().and_then(|path| path.rsplit('/').next()).unwrap_or("job-runner.1").to_owned();
    let populated = group.path().join(name);
    fs::create_dir(&populated).unwrap();
    fs::write(populated.join("cgroup.events"), "populated 1\nfrozen 0\n").unwrap();
    begun["cgroup"] = json!(populated);
    fs::write(&path, format!("{begun}\n{rest}")).unwrap();
    worker.restart().await;
    server.wait(|state| state.subscribed(KEY) == 2, "the next worker").await;
    let next = server.submit(prints("next"));
    assert_eq!(server.wait_returned(next).await.return_success, Some(true));
    let row = server.run(run);
    assert_eq!((row.returns(), row.count(StepKind::Reset)), (0, 0), "it is known, and left alone");
    assert_eq!(worker.stop().await, 0);
}
