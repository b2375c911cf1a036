//! The worker under a service manager: what it tells one, and the unit that is shipped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::unistd::Uid;
use tempfile::TempDir;
use tokio::net::UnixDatagram;

use crate::support::{Latch, Options, Server, WorkerOptions, WorkerProcess, skip};
use crate::worker;

/// How long a word may take to come.
const DEADLINE: Duration = Duration::from_secs(30);

/// A service manager that listens.
struct Listening {
    socket: UnixDatagram,
    path: PathBuf,
    _folder: TempDir,
}

impl Listening {
    fn new() -> Self {
        let folder = TempDir::with_prefix("notify-").unwrap();
        let path = folder.path().join("socket");
        Self { socket: UnixDatagram::bind(&path).unwrap(), path, _folder: folder }
    }

    fn worker(&self) -> WorkerOptions {
        worker().env("NOTIFY_SOCKET", &self.path)
    }

    /// The lines of the next datagram.
    async fn next(&self) -> Vec<String> {
        let mut datagram = vec![0; 4096];
        let length = tokio::time::timeout(DEADLINE, self.socket.recv(&mut datagram)).await;
        let length = length.expect("the worker says something").unwrap();
        String::from_utf8_lossy(&datagram[..length]).lines().map(str::to_owned).collect()
    }

    /// Listens until something is said that this is true of.
    async fn until(&self, holds: impl Fn(&str) -> bool) -> Vec<String> {
        loop {
            let said = self.next().await;
            if said.iter().any(|line| holds(line)) {
                return said;
            }
        }
    }

    async fn until_said(&self, line: &str) -> Vec<String> {
        self.until(|said| said == line).await
    }
}

/// What `/proc` shows of a process.
fn shown(pid: i64, file: &str) -> String {
    String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/{file}")).unwrap()).into_owned()
}

#[tokio::test]
async fn a_worker_is_ready_while_the_api_is_down_and_reports_its_status() {
    let (server, listening) = (Server::start(Options::default()).await, Listening::new());
    server.refuse_connections(true).await;
    let mut worker = WorkerProcess::start(&server, &listening.worker());
    let first = listening.next().await;
    assert!(first.contains(&"READY=1".to_owned()), "{first:?}");
    assert!(first.iter().any(|line| line.starts_with("STATUS=0 of 4 runs, server ")), "{first:?}");
    assert!(!first.iter().any(|line| line.starts_with("WATCHDOG")), "nobody asked for it: {first:?}");
    server.refuse_connections(false).await;
    server.wait_up().await;
    let latch = Latch::new();
    let run = server.submit(latch.script("a"));
    listening.until(|line| line.starts_with("STATUS=1 of 4 runs")).await;
    worker.sighup();
    let reloading = listening.until_said("RELOADING=1").await;
    assert!(reloading.iter().any(|line| line.starts_with("MONOTONIC_USEC=")), "{reloading:?}");
    listening.until_said("READY=1").await;
    worker.sigterm();
    let stopping = listening.until_said("STOPPING=1").await;
    assert!(!stopping.iter().any(|line| line.starts_with("EXTEND")), "the unit says how long: {stopping:?}");
    let draining = listening.until(|line| line.starts_with("STATUS=draining, 1 of 4 runs")).await;
    assert!(!draining.contains(&"READY=1".to_owned()), "{draining:?}");
    latch.let_through(1);
    server.wait_returned(run).await;
    worker.assert_clean_exit().await;
}

#[tokio::test]
async fn a_limited_drain_asks_for_the_time_it_needs() {
    let (server, listening) = (Server::start(Options::default()).await, Listening::new());
    let options = listening.worker().set("drain_timeout", "1800").set("kill_grace", "100");
    let mut worker = WorkerProcess::start(&server, &options);
    server.wait_up().await;
    worker.sigterm();
    let stopping = listening.until_said("STOPPING=1").await;
    let micros = stopping.iter().find_map(|line| line.strip_prefix("EXTEND_TIMEOUT_USEC=")).expect("more time");
    let asked = Duration::from_micros(micros.parse().unwrap());
    assert!((1950..=1960).contains(&asked.as_secs()), "{asked:?}");
    worker.assert_clean_exit().await;
}

#[tokio::test]
async fn the_watchdog_hears_a_running_worker_and_no_stuck_one() {
    let (server, listening) = (Server::start(Options::default()).await, Listening::new());
    let mut worker = WorkerProcess::start(&server, &listening.worker().env("WATCHDOG_USEC", "400000"));
    for _ in 0..3 {
        listening.until_said("WATCHDOG=1").await;
    }
    worker.sigstop();
    // What was on its way.
    while tokio::time::timeout(Duration::from_millis(600), listening.next()).await.is_ok() {}
    worker.sigcont();
    listening.until_said("WATCHDOG=1").await;
    // Also while it drains.
    server.wait_up().await;
    let latch = Latch::new();
    let run = server.submit(latch.script("a"));
    server.wait_started(run).await;
    worker.sigterm();
    listening.until_said("STOPPING=1").await;
    for _ in 0..3 {
        listening.until_said("WATCHDOG=1").await;
    }
    latch.let_through(1);
    server.wait_returned(run).await;
    worker.assert_clean_exit().await;
}

#[tokio::test]
async fn a_watchdog_of_another_process_is_not_ours() {
    let (server, listening) = (Server::start(Options::default()).await, Listening::new());
    let options = listening.worker().env("WATCHDOG_USEC", "1000").env("WATCHDOG_PID", "1");
    let mut worker = WorkerProcess::start(&server, &options);
    let first = listening.until_said("READY=1").await;
    assert!(!first.contains(&"WATCHDOG=1".to_owned()), "{first:?}");
    server.wait_up().await;
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn neither_shims_nor_jobs_know_of_the_service_manager() {
    let (server, listening) = (Server::start(Options::default()).await, Listening::new());
    let mut worker = WorkerProcess::start(&server, &listening.worker().env("WATCHDOG_USEC", "60000000"));
    server.wait_up().await;
    let latch = Latch::new();
    let run = server.submit(latch.script("a"));
    server.wait_logged(run, "waiting").await;
    let (job, shim) = (server.run(run).pid.unwrap(), worker.home().record(run, 1)[0]["shim"].as_i64().unwrap());
    // Into a shim root alone can look.
    for pid in [job, shim].into_iter().take(if Uid::effective().is_root() { 2 } else { 1 }) {
        let environment = shown(pid, "environ");
        assert!(environment.contains("FIXTURE_HOME="), "{environment}");
        assert!(!environment.contains("NOTIFY_SOCKET") && !environment.contains("WATCHDOG"), "{environment}");
    }
    latch.let_through(1);
    server.wait_returned(run).await;
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn an_unresponsive_service_manager_blocks_nothing() {
    let (server, listening) = (Server::start(Options::default()).await, Listening::new());
    // As many words as nobody keeps.
    let options = listening.worker().env("WATCHDOG_USEC", "2000");
    let mut worker = WorkerProcess::start(&server, &options);
    server.wait_up().await;
    worker.wait_log("service manager was not reached").await;
    let run = server.submit("#!/bin/sh\necho hello\n");
    assert_eq!(server.wait_returned(run).await.log_text(), "hello\n");
    worker.assert_clean_end().await;
}

/// A copy of the unit that names the program that was built, and its drop-in.
fn unit(folder: &Path) -> PathBuf {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("system-integration");
    let unit = folder.join("job-runner-worker.service");
    let text = fs::read_to_string(shipped.join("job-runner-worker.service")).unwrap();
    let installed = "/usr/local/bin/job_runner_worker";
    assert!(text.contains(installed));
    fs::write(&unit, text.replace(installed, env!("CARGO_BIN_EXE_job_runner_worker"))).unwrap();
    let drop_in = folder.join("job-runner-worker.service.d");
    fs::create_dir(&drop_in).unwrap();
    fs::copy(shipped.join("hardened.conf"), drop_in.join("hardened.conf")).unwrap();
    unit
}

#[test]
fn systemd_understands_every_line_of_the_unit_and_its_drop_in() {
    let folder = TempDir::new().unwrap();
    let unit = unit(folder.path());
    let verify =
        || Command::new("systemd-analyze").args(["verify", "--man=no", "--recursive-errors=no"]).arg(&unit).output();
    match verify() {
        Err(_) if std::env::var_os("JOB_RUNNER_REQUIRE_INTEROP").is_none() => skip("no systemd-analyze"),
        verified => {
            let verified = verified.expect("systemd-analyze");
            let said = String::from_utf8_lossy(&verified.stderr).into_owned();
            // It also tells of other units of the machine.
            let ours: Vec<&str> = said.lines().filter(|line| line.contains("job-runner-worker")).collect();
            assert!(ours.is_empty() && verified.status.success(), "{said}");
            // And would tell of a mistake.
            let text = fs::read_to_string(&unit).unwrap();
            fs::write(&unit, text.replace("KillMode=process", "KillMode=everything")).unwrap();
            assert!(!verify().unwrap().status.success());
        }
    }
}

#[test]
fn the_unit_knows_the_exit_codes() {
    let unit = include_str!("../../system-integration/job-runner-worker.service");
    let guide = include_str!("../../docs/worker.rst");
    let codes = |key: &str| {
        let line = unit.lines().find_map(|line| line.strip_prefix(key)).expect(key);
        line.split(' ').map(|code| code.parse::<u8>().expect("a number")).collect::<Vec<_>>()
    };
    assert!(codes("RestartForceExitStatus=").contains(&75));
    // What no restart can mend, and nothing else.
    assert_eq!(codes("RestartPreventExitStatus="), [2, 66, 78]);
    for code in [2, 66, 75, 78] {
        assert!(guide.lines().any(|line| line.starts_with(&format!("{code}  "))), "{code}");
    }
}
