//! Shortages of disk space, descriptors and processes: no new claims, running runs go on, and it passes.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use serde_json::Value;

use crate::support::{
    Fault, Latch, Options, Server, Tmpfs, What, WorkerHome, WorkerOptions, WorkerProcess, connect_read_only, prints,
    skip,
};
use crate::{until, worker};

const HELD: &str = "no runs are claimed for now; running scripts continue";
const RELEASED: &str = "resources suffice; runs are claimed again";

/// What keeps new runs from being claimed.
async fn held(home: &WorkerHome) -> Vec<String> {
    let answer = home.ask(&["--status", "--json"]).await;
    let status: Value = serde_json::from_slice(&answer.stdout).expect("a status");
    status["held"].as_array().expect("a list").iter().map(|why| why.as_str().expect("a text").to_owned()).collect()
}

/// A worker with a small disk where its home says; `None` where none can be had.
async fn up_on(
    place: impl Fn(&WorkerHome) -> PathBuf,
    disk: &str,
    options: WorkerOptions,
) -> Option<(Server, WorkerProcess, Tmpfs)> {
    let server = Server::start(Options::default()).await;
    let home = WorkerHome::new(&server, &options);
    let disk = match Tmpfs::mount(&place(&home), disk) {
        Ok(disk) => disk,
        Err(why) => {
            skip(&why);
            return None;
        }
    };
    let worker = WorkerProcess::start_in(home);
    server.wait_up().await;
    Some((server, worker, disk))
}

fn claimed(server: &Server, runs: &[i64]) -> usize {
    server.look(|state| runs.iter().filter(|run| state.run(**run).claims() > 0).count())
}

async fn all_returned(server: &Server, runs: &[i64]) {
    for run in runs {
        assert_eq!(server.wait_returned(*run).await.return_success, Some(true), "run {run}");
        server.assert_whole_life(*run);
    }
}

async fn wait_begun(latch: &Latch) {
    until("a script to begin", || !latch.trace().is_empty()).await;
}

/// What SQLite says of the outbox's file.
fn soundness(home: &WorkerHome) -> String {
    let connection = connect_read_only(&home.own_state_path().join("outbox.sqlite")).expect("a connection");
    connection.query_row("PRAGMA integrity_check", (), |row| row.get(0)).expect("an answer")
}

#[tokio::test]
async fn p15_a_full_disk_loses_nothing_and_passes() {
    let options = worker().set("min_free_bytes", 1_000_000).set("concurrent_jobs", 8).set("log_level", "info");
    let Some((server, mut worker, disk)) = up_on(WorkerHome::state_path, "size=8m", options).await else { return };
    let home = Arc::clone(worker.home());
    let ballast = home.own_state_path().join("ballast");
    assert_eq!(fs::metadata(&ballast).unwrap().len(), 65_536);
    let latches: Vec<Latch> = (0..3).map(|_| Latch::new()).collect();
    let [ends, is_killed, lasts] = [0, 1, 2].map(|n| server.submit(latches[n].script("a")));
    for (run, latch) in [ends, is_killed, lasts].into_iter().zip(&latches) {
        server.wait_started(run).await;
        wait_begun(latch).await;
    }
    // Results that have to leave the outbox on a full disk, and one run that fills it: it can be killed all the same.
    let refused = server.inject(Fault::on("PATCH", "/api/v1/run/", What::status(503)).setting("return_dts"));
    let over: Vec<i64> = (0..20).map(|n| server.submit(prints(&n.to_string()))).collect();
    server.wait(|state| over.iter().all(|run| state.run(*run).log.is_some()), "logs").await;
    let filler = server.submit(format!("#!/bin/sh\ncat /dev/zero > {}/job\nsleep 1000\n", home.state_path().display()));
    until("a full disk", || disk.free() == 0).await;
    disk.fill();

    let runs: Vec<i64> = (0..50).map(|n| server.submit(prints(&n.to_string()))).collect();
    worker.wait_log(HELD).await;
    assert!(held(&home).await.iter().any(|why| why.ends_with(" bytes are free where state_path is")));
    latches[0].let_through(1);
    let kills = [server.kill(is_killed), server.kill(filler)];
    for kill in kills {
        server.wait_executed(kill).await;
    }
    refused.lift();
    all_returned(&server, &over).await;
    all_returned(&server, &[ends]).await;
    for run in [is_killed, filler] {
        assert_eq!(server.wait_returned(run).await.return_success, Some(false));
    }
    // A worker that dies comes back, and finds what goes on.
    worker.sigkill();
    worker.wait_exit().await;
    worker.restart().await;
    worker.wait_log(&format!("running script is taken up again run={lasts}")).await;
    server.wait(|state| state.subscribed("testworker") == 2, "the next worker").await;
    assert_eq!(claimed(&server, &runs), 0, "{}", worker.log());
    for run in &runs {
        server.announce(*run);
    }
    worker.wait_log_times(HELD, 2).await;
    assert_eq!(claimed(&server, &runs), 0, "{}", worker.log());

    disk.clear();
    fs::remove_file(home.state_path().join("job")).unwrap();
    worker.wait_log(RELEASED).await;
    latches[2].let_through(1);
    all_returned(&server, &runs).await;
    all_returned(&server, &[lasts]).await;
    assert_eq!(latches.iter().map(|latch| latch.executions("a")).collect::<Vec<_>>(), [1, 1, 1]);
    assert_eq!(fs::metadata(&ballast).unwrap().len(), 65_536);
    worker.assert_clean_end().await;
    assert_eq!(soundness(&home), "ok");
}

#[tokio::test]
async fn p15_what_a_full_disk_has_no_room_for_is_counted() {
    let options = worker().set("min_free_bytes", 1_000_000).set("log_update_interval", 0.1);
    let Some((server, mut worker, disk)) = up_on(WorkerHome::state_path, "size=8m", options).await else { return };
    let latch = Latch::new();
    let script = latch.script("a").replace("echo through", "head -c 3000000 /dev/zero | tr '\\0' x");
    let run = server.submit(script.replace("echo waiting", "echo waiting; head -c 10000 /dev/zero | tr '\\0' y"));
    wait_begun(&latch).await;
    server.wait(|state| state.run(run).log.as_ref().is_some_and(|log| log.len() > 10_000), "the first output").await;
    disk.fill();
    latch.let_through(1);
    // The script itself is not held up.
    let row = server.wait_returned(run).await;
    assert_eq!(row.return_success, Some(true));
    let log = row.log_text();
    assert!(log.starts_with(&format!("waiting\n{}", "y".repeat(10_000))), "{}", log.len());
    let (kept, note) = log.rsplit_once("\n[job runner worker] ").expect("a note");
    let lost = note.strip_suffix(" bytes of output could not be kept.\n").expect("a number");
    assert_eq!(kept.len() + lost.parse::<usize>().expect("a number"), "waiting\n".len() + 10_000 + 3_000_000);
    disk.clear();
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn p15_a_live_log_that_lost_something_is_not_sent_again_unchanged() {
    let options =
        worker().set("min_free_bytes", 1_000_000).set("log_update_interval", 0.1).set("max_log_bytes", 100_000);
    let Some((server, mut worker, disk)) = up_on(WorkerHome::state_path, "size=8m", options).await else { return };
    let latch = Latch::new();
    let full = latch.trace_path().with_file_name("full");
    let script = latch.script("a").replace(
        "echo waiting\n",
        &format!(
            "echo first\nwhile [ ! -e {} ]; do sleep 0.02; done\nhead -c 20000 /dev/zero | tr '\\0' x\necho passed >> {}\necho waiting\n",
            full.display(),
            latch.trace_path().display()
        ),
    );
    let run = server.submit(script);
    server.wait_logged(run, "first\n").await;
    disk.fill();
    fs::write(&full, "").expect("a mark");
    until("the output to be written", || latch.trace().iter().any(|line| line == "passed")).await;
    disk.clear();
    // What was kept may be sent once more.
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let sent = |state: &crate::support::State| {
        state.calls.iter().filter(|call| call.path.starts_with("/api/v1/run_log/")).count()
    };
    let before = server.look(sent);
    let again = move |state: &crate::support::State| sent(state) > before + 1;
    server.never_within(std::time::Duration::from_secs(3), again, "the same log again and again").await;
    latch.let_through(1);
    let row = server.wait_returned(run).await;
    assert!(row.log_text().contains("bytes of output could not be kept"), "{}", row.log_text());
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn p15_a_full_disk_of_the_scripts_holds_claims_back() {
    let options = worker().set("min_free_bytes", 500_000);
    let Some((server, mut worker, disk)) = up_on(WorkerHome::scripts_path, "size=2m", options).await else { return };
    disk.fill();
    let run = server.submit(prints("hello"));
    worker.wait_log(HELD).await;
    assert_eq!(held(worker.home()).await, ["0 bytes are free where script_temp_path is"]);
    assert_eq!(claimed(&server, &[run]), 0);
    disk.clear();
    all_returned(&server, &[run]).await;
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn p15_a_claimed_run_without_room_for_its_script_waits_for_it() {
    let options = worker().set("min_free_bytes", 0);
    let Some((server, mut worker, disk)) = up_on(WorkerHome::scripts_path, "size=2m", options).await else { return };
    disk.fill();
    let first = server.submit(prints("first"));
    worker
        .wait_log(&format!(
            "claimed run waits until it can be launched run={first} execution=1 reason=\"The script could not be written"
        ))
        .await;
    let second = server.submit(prints("second"));
    worker.wait_log(HELD).await;
    assert!(held(worker.home()).await[0].contains("No space left on device"));
    assert_eq!((claimed(&server, &[first]), claimed(&server, &[second])), (1, 0));
    // Whoever waits can be killed, and then nobody waits any more.
    let kill = server.kill(first);
    server.wait_executed(kill).await;
    let row = server.wait_returned(first).await;
    assert!(
        row.log_text().ends_with("it was stopped before its start: it was killed at the server's request."),
        "{}",
        row.log_text()
    );
    disk.clear();
    all_returned(&server, &[second]).await;
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn p15_a_run_that_waits_for_its_launch_in_a_drain_is_left_to_the_next_start() {
    let options = worker().set("min_free_bytes", 0);
    let Some((server, mut worker, disk)) = up_on(WorkerHome::scripts_path, "size=2m", options).await else { return };
    disk.fill();
    let run = server.submit(prints("hello"));
    worker.wait_log("claimed run waits until it can be launched").await;
    assert_eq!(worker.stop().await, 0);
    disk.clear();
    worker.restart().await;
    all_returned(&server, &[run]).await;
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn p15_a_disk_without_inodes_holds_claims_back() {
    let options = worker().set("min_free_bytes", 1_000_000);
    let disk = up_on(WorkerHome::state_path, "size=8m,nr_inodes=70", options).await;
    let Some((server, mut worker, disk)) = disk else { return };
    let run = server.submit(prints("hello"));
    worker.wait_log(HELD).await;
    assert!(held(worker.home()).await[0].ends_with(" more files can be made where state_path is"));
    assert_eq!(claimed(&server, &[run]), 0);
    disk.remount("nr_inodes=1000");
    all_returned(&server, &[run]).await;
    worker.assert_clean_end().await;
}

/// Sets a limit of a process that runs, as its own user; says why not where that cannot be done.
fn limit(pid: i32, what: &str, to: usize) -> Result<(), String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).map_err(|e| format!("process {pid}: {e}"))?;
    let id = |name| status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()).unwrap_or("0");
    let mut command = Command::new("setpriv");
    if id("Uid:") != nix::unistd::geteuid().to_string() {
        command.args(["--reuid", id("Uid:"), "--regid", id("Gid:"), "--clear-groups"]);
    }
    match command.arg("prlimit").arg(format!("--pid={pid}")).arg(format!("--{what}={to}:")).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("prlimit: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(e) => Err(format!("setpriv: {e}")),
    }
}

/// How many files a process has open; why that cannot be seen, where it cannot: a worker hides from its own user.
fn open_files(pid: i32) -> Result<usize, String> {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).map_err(|e| format!("open files of a process: {e}"))?;
    Ok(files.count())
}

#[tokio::test]
async fn p15_without_descriptors_claims_stop_what_runs_goes_on_and_it_passes() {
    let server = Server::start(Options::default()).await;
    let mut worker = WorkerProcess::start(&server, &worker().set("log_level", "info"));
    server.wait_up().await;
    let (pid, latch) = (worker.id().unwrap(), Latch::new());
    let runs: Vec<i64> = (0..2).map(|n| server.submit(latch.script(&n.to_string()))).collect();
    for run in &runs {
        server.wait_started(*run).await;
    }
    until("two scripts", || latch.trace().len() == 2).await;
    // Few are left: nothing new.
    if let Err(why) = open_files(pid).and_then(|open| limit(pid, "nofile", open + 12)) {
        return skip(&why);
    }
    let next = server.submit(prints("next"));
    worker.wait_log(HELD).await;
    assert!(held(worker.home()).await[0].ends_with(" more files can be opened"));
    // None is left, and no connection: a result waits.
    server.refuse_connections(true).await;
    limit(pid, "nofile", 3).unwrap();
    server.broadcaster().cut();
    latch.let_through(2);
    until("the scripts to end", || latch.trace().len() == 4).await;
    worker.wait_log_times("run ended", 2).await;
    server.refuse_connections(false).await;
    assert_eq!(claimed(&server, &[next]), 0);
    assert!(runs.iter().all(|run| server.run(*run).return_dts.is_none()));
    limit(pid, "nofile", 1024).unwrap();
    all_returned(&server, &runs).await;
    for run in &runs {
        assert_eq!(server.run(*run).log_text(), "waiting\nthrough\n");
    }
    all_returned(&server, &[next]).await;
    // It hears again what is ordered.
    server.wait(|state| state.subscribed("testworker") >= 2, "the next subscription").await;
    let last = server.submit(prints("last"));
    all_returned(&server, &[last]).await;
    worker.assert_clean_end().await;
}

/// The supervisors that wait for a run.
fn shims(worker: &WorkerProcess) -> Vec<i32> {
    let own = worker.id().unwrap();
    worker.home().processes().into_iter().filter(|pid| *pid != own).collect()
}

#[tokio::test]
async fn p15_without_processes_a_claimed_run_waits_and_nothing_else_is_claimed() {
    let server = Server::start(Options::default()).await;
    let mut worker = WorkerProcess::start(&server, &worker().unprivileged().set("concurrent_jobs", 2));
    server.wait_up().await;
    // None for a supervisor.
    if let Err(why) = limit(worker.id().unwrap(), "nproc", 1) {
        return skip(&why);
    }
    let first = server.submit(prints("first"));
    worker
        .wait_log(&format!(
            "claimed run waits until it can be launched run={first} execution=1 reason=\"Its supervising process"
        ))
        .await;
    let second = server.submit(prints("second"));
    worker.wait_log(HELD).await;
    assert_eq!(claimed(&server, &[second]), 0);
    limit(worker.id().unwrap(), "nproc", 10_000).unwrap();
    all_returned(&server, &[first, second]).await;
    until("an idle supervisor", || !shims(&worker).is_empty()).await;

    // None for a script.
    for pid in shims(&worker) {
        limit(pid, "nproc", 1).unwrap();
    }
    let third = server.submit(prints("third"));
    worker
        .wait_log(&format!(
            "claimed run waits until it can be launched run={third} execution=1 reason=\"No process could be made"
        ))
        .await;
    for pid in shims(&worker) {
        limit(pid, "nproc", 10_000).unwrap();
    }
    all_returned(&server, &[third]).await;
    assert!(shims(&worker).len() <= 2, "{:?}", shims(&worker));
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn p14_a_job_that_takes_its_supervisor_down_fails_in_the_end_and_disturbs_nobody() {
    let server = Server::start(Options::default()).await;
    let mut worker = WorkerProcess::start(&server, &worker().set("concurrent_jobs", 4));
    server.wait_up().await;
    let latch = Latch::new();
    let others: Vec<i64> = (0..3).map(|n| server.submit(latch.script(&n.to_string()))).collect();
    until("three scripts", || latch.trace().len() == 3).await;
    let before = worker.id();
    let poison = server.submit("#!/bin/sh\necho attempt $JOB_RUNNER_ATTEMPT\nkill -9 $PPID\nsleep 1000\n");
    let row = server.wait_returned(poison).await;
    assert_eq!((row.return_success, row.returns(), row.completions), (Some(false), 1, 1));
    assert!(
        row.log_text().ends_with("[job runner worker] The run was lost 3 times: its supervising process died.\n"),
        "{}",
        row.log_text()
    );
    assert_eq!((worker.is_running(), worker.id()), (true, before));
    latch.let_through(3);
    all_returned(&server, &others).await;
    for (n, run) in others.iter().enumerate() {
        assert_eq!((server.run(*run).log_text(), latch.executions(&n.to_string())), ("waiting\nthrough\n", 1));
    }
    worker.assert_clean_end().await;
}

const TOO_LONG: &str = "[job runner worker] The job was stopped: it ran longer than its time limit allows.\n";

#[tokio::test]
async fn a_run_that_takes_too_long_gets_term_grace_and_kill_and_its_log_says_so() {
    let server = Server::start(Options::default()).await;
    let options = worker().set("run_timeout", 0.3).set("kill_grace", 0.3);
    let mut worker = WorkerProcess::start(&server, &options);
    server.wait_up().await;
    let deaf = server.submit("#!/bin/sh\ntrap 'echo TERM' TERM\nsleep 1000 &\nwhile :; do wait; done\n");
    let polite = server.submit("#!/bin/sh\ntrap 'echo bye; exit 0' TERM\nsleep 1000 &\nwait\n");
    let quick = server.submit(prints("quick"));
    for (run, said) in [(deaf, "TERM\n"), (polite, "bye\n")] {
        let row = server.wait_returned(run).await;
        assert_eq!(row.log_text(), format!("{said}{TOO_LONG}"));
        assert_eq!(row.return_success, Some(false));
        server.assert_whole_life(run);
    }
    all_returned(&server, &[quick]).await;
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn the_time_of_a_run_is_up_also_where_no_worker_is_there() {
    let server = Server::start(Options::default()).await;
    let mut worker = WorkerProcess::start(&server, &worker().set("run_timeout", 1).set("kill_grace", 0.1));
    server.wait_up().await;
    let latch = Latch::new();
    let runs = [0, 1].map(|n| server.submit(latch.script(&n.to_string())));
    until("two scripts", || latch.trace().len() == 2).await;
    worker.sigkill();
    worker.wait_exit().await;
    until("the end of both", || worker.home().processes().is_empty()).await;
    worker.restart().await;
    for run in runs {
        let row = server.wait_returned(run).await;
        assert_eq!((row.log_text(), row.return_success), (format!("waiting\n{TOO_LONG}").as_str(), Some(false)));
    }
    assert_eq!((latch.executions("0"), latch.executions("1")), (1, 1));
    // And under the next worker, whose limit is another one. An announcement is made once, and only a subscriber receives it.
    server.wait_up().await;
    let run = server.submit(latch.script("2"));
    server.wait_started(run).await;
    worker.sigkill();
    worker.wait_exit().await;
    let ini = fs::read_to_string(worker.home().ini_path()).unwrap();
    worker.home().write_ini(&ini.replace("run_timeout = 1\n", "run_timeout = 1000\n"));
    worker.restart().await;
    assert!(server.wait_returned(run).await.log_text().ends_with(TOO_LONG));
    worker.assert_clean_end().await;
}

/// A group with little memory for a process and its descendants, removed when it is dropped.
struct MemoryGroup(PathBuf);

impl MemoryGroup {
    fn new(pid: i32, bytes: u64) -> Result<Self, String> {
        let group = PathBuf::from(format!("/sys/fs/cgroup/memory/job-runner-test-{pid}"));
        let told = |e: std::io::Error| format!("no memory cgroup: {e}");
        fs::create_dir(&group).map_err(told)?;
        let group = Self(group);
        fs::write(group.0.join("memory.limit_in_bytes"), bytes.to_string()).map_err(told)?;
        // Nothing is put away instead.
        let _ = fs::write(group.0.join("memory.swappiness"), "0");
        fs::write(group.0.join("cgroup.procs"), pid.to_string()).map_err(told)?;
        Ok(group)
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        for pid in fs::read_to_string(self.0.join("cgroup.procs")).unwrap_or_default().lines() {
            let _ = fs::write("/sys/fs/cgroup/memory/cgroup.procs", pid);
        }
        let _ = fs::remove_dir(&self.0);
    }
}

#[tokio::test]
async fn p14_a_job_that_takes_all_memory_goes_before_anybody_else() {
    let server = Server::start(Options::default()).await;
    let mut worker = WorkerProcess::start(&server, &worker());
    server.wait_up().await;
    let _group = match MemoryGroup::new(worker.id().unwrap(), 96 << 20) {
        Ok(group) => group,
        Err(why) => return skip(&why),
    };
    let before = worker.id();
    let latch = Latch::new();
    let others: Vec<i64> = (0..2).map(|n| server.submit(latch.script(&n.to_string()))).collect();
    until("two scripts", || latch.trace().len() == 2).await;
    let greedy = server.submit("#!/bin/sh\nexec tail /dev/zero\n");
    let row = server.wait_returned(greedy).await;
    assert_eq!(row.return_success, Some(false));
    assert_eq!(row.log_text(), "[job runner worker] The job was ended by signal 9 (SIGKILL).\n");
    latch.let_through(2);
    all_returned(&server, &others).await;
    assert_eq!((worker.is_running(), worker.id()), (true, before));
    worker.assert_clean_end().await;
}
