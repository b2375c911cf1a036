//! The worker's process handle, tried with a shell script in the worker's place.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::support::{Latch, Options, Server, WorkerOptions, WorkerProcess, marked_processes};

/// A program that takes `--config-path FILE`.
fn program(folder: &TempDir, text: &str) -> PathBuf {
    let path = folder.path().join("program");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    path
}

#[tokio::test]
async fn the_ini_file_names_the_server() {
    let (server, folder) = (Server::start(Options::default()).await, TempDir::new().unwrap());
    let binary = program(&folder, r#"cat "$2" >&2; trap 'exit 3' TERM; echo up >&2; while :; do sleep 0.01; done"#);
    let options = WorkerOptions::new(binary).set("concurrent_jobs", 2).unset("log_level").with_websocket(&server);
    let mut worker = WorkerProcess::start(&server, &options);
    worker.wait_log("up\n").await;
    let log = worker.log();
    for line in [
        "[job_runner_worker]".to_owned(),
        format!("api_base_url = {}", server.api_base_url()),
        "api_key = testworker".to_owned(),
        "concurrent_jobs = 2".to_owned(),
        format!("broadcaster_server_port = {}", server.broadcaster().port()),
        format!("ws_url = {}", server.ws_url()),
    ] {
        assert!(log.contains(&format!("{line}\n")), "{line} is missing in {log}");
    }
    assert!(!log.contains("log_level"));
    assert_eq!(fs::metadata(worker.home().ini_path()).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(worker.stop().await, 3);
}

#[tokio::test]
async fn a_restart_keeps_the_home() {
    let (server, folder) = (Server::start(Options::default()).await, TempDir::new().unwrap());
    let binary = program(&folder, r#"echo x >> "$2.count"; echo "up $(wc -l < "$2.count")" >&2; sleep 60"#);
    let mut worker = WorkerProcess::start(&server, &WorkerOptions::new(binary));
    worker.wait_log("up 1\n").await;
    worker.sigkill();
    assert_eq!(worker.wait_exit().await.signal(), Some(9));
    worker.restart().await;
    worker.wait_log("up 2\n").await;
}

#[tokio::test]
async fn nothing_outlives_the_handle() {
    let (server, folder) = (Server::start(Options::default()).await, TempDir::new().unwrap());
    let binary = program(
        &folder,
        r#"setsid sleep 1000 & a=$!; env -i setsid sleep 1000 & b=$!; echo "pids $a $b" >&2; echo up >&2; wait"#,
    );
    let worker = WorkerProcess::start(&server, &WorkerOptions::new(binary));
    worker.wait_log("up\n").await;
    let log = worker.log();
    let pids = log.lines().find_map(|line| line.strip_prefix("pids ")).unwrap();
    let pids: Vec<i32> = pids.split(' ').map(|pid| pid.parse().unwrap()).collect();
    let home = worker.home().path().to_owned();
    let processes = marked_processes(&home);
    assert!(pids.iter().all(|pid| processes.contains(pid)), "{pids:?} in {processes:?}");
    drop(worker);
    assert!(!home.exists());
    for pid in pids {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
    }
}

#[tokio::test]
async fn a_latch_holds_scripts_back() {
    let (latch, folder) = (Latch::new(), TempDir::new().unwrap());
    let path = folder.path().join("script");
    let start = |name: &str| {
        fs::write(&path, latch.script(name)).unwrap();
        tokio::process::Command::new("/bin/sh").arg(&path).kill_on_drop(true).output()
    };
    latch.let_through(1);
    assert_eq!(start("a").await.unwrap().stdout, b"waiting\nthrough\n");
    assert_eq!((latch.executions("a"), latch.executions("b"), latch.most_at_once()), (1, 0, 1));
    assert_eq!(latch.trace(), ["begin a", "end a"]);
    let held = tokio::time::timeout(std::time::Duration::from_millis(50), start("b")).await;
    assert!(held.is_err());
}

#[tokio::test]
async fn the_binary_answers_its_command_line() {
    let (server, folder) = (Server::start(Options::default()).await, TempDir::new().unwrap());
    let binary = program(&folder, r#"echo "$3"; exit 4"#);
    let worker = WorkerProcess::start(&server, &WorkerOptions::new(binary));
    let answer = worker.home().ask(&["--status"]).await;
    assert_eq!((answer.status.code(), &answer.stdout[..]), (Some(4), &b"--status\n"[..]));
}
