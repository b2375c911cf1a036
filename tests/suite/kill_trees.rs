//! Kills of process trees that resist, with a cgroup and without one: nothing of the tree is alive when the server hears of
//! it, and nothing else is touched.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use crate::kill::{alive, marker, until_alive};
use crate::support::{Call, Fault, Options, RunSpec, Server, What, WorkerOptions, WorkerProcess, has_python, skip};
use crate::{until, worker};

const TREES: [(&str, &str); 11] = [
    ("child", include_str!("../fixtures/scripts/trees/child.sh")),
    ("pipeline", include_str!("../fixtures/scripts/trees/pipeline.sh")),
    ("session", include_str!("../fixtures/scripts/trees/session.sh")),
    ("nohup, disown", include_str!("../fixtures/scripts/trees/nohup_disown.sh")),
    ("double fork", include_str!("../fixtures/scripts/trees/double_fork.sh")),
    ("clean environment", include_str!("../fixtures/scripts/trees/clean_environment.sh")),
    ("deaf", include_str!("../fixtures/scripts/trees/deaf.sh")),
    ("stopped", include_str!("../fixtures/scripts/trees/stopped.sh")),
    ("traced", include_str!("../fixtures/scripts/trees/traced.py")),
    ("vfork", include_str!("../fixtures/scripts/trees/vfork.py")),
    ("fork loop", include_str!("../fixtures/scripts/trees/fork_loop.sh")),
];
const DEAF: &str = TREES[6].1;

/// A worker, with a way to make sure of kills that it was seen to have: by cgroup as root, who may make one, and by
/// adoption alone as nobody, who may not.
pub struct Mode {
    pub name: &'static str,
    options: WorkerOptions,
}

pub fn modes() -> [Mode; 2] {
    [Mode { name: "cgroup", options: worker() }, Mode { name: "subreaper", options: worker().unprivileged() }]
}

/// `None` where this machine does not have the mode.
pub async fn up(mode: &Mode, settings: &[(&str, &str)]) -> Option<(Server, WorkerProcess)> {
    let server = Server::start(Options::default()).await;
    let options = settings.iter().fold(mode.options.clone(), |options, (key, value)| options.set(key, value));
    let worker = WorkerProcess::start(&server, &options);
    server.wait_up().await;
    let first = server.submit("#!/bin/sh\n");
    server.wait_returned(first).await;
    let status = worker.home().ask(&["--status", "--json"]).await.stdout;
    let status: serde_json::Value = serde_json::from_slice(&status).expect("a status");
    if status["supervision"] != mode.name {
        skip(&format!("kills cannot be made sure of by {} here", mode.name));
        return None;
    }
    Some((server, worker))
}

#[tokio::test]
async fn p4_a_kill_ends_the_whole_tree_and_nobody_else() {
    let python = has_python();
    for mode in modes() {
        for grace in ["0", "0.3"] {
            let Some((server, mut worker)) = up(&mode, &[("concurrent_jobs", "16"), ("kill_grace", grace)]).await
            else {
                continue;
            };
            let mut bystander = Command::new("sleep").arg("1000").spawn().unwrap();
            let pids = [json!(bystander.id()), json!(0), json!(-1), json!(1), json!(null)];
            let mut trees = TREES.to_vec();
            trees.retain(|(_, tree)| python || !tree.contains("python3"));
            if Uid::effective().is_root() && mode.name == "cgroup" {
                trees.push(("other user", include_str!("../fixtures/scripts/trees/other_user.sh")));
            }
            let runs: Vec<_> = trees
                .into_iter()
                .enumerate()
                .map(|(n, (name, tree))| {
                    let marker = marker(&format!("{} {name} {grace}", mode.name));
                    let script = tree.replace("@MARK@", &marker);
                    (name, server.submit(RunSpec::new(script).run_field("pid", pids[n % pids.len()].clone())), marker)
                })
                .collect();
            for (name, run, marker) in &runs {
                server.wait_logged(*run, "up\n").await;
                until_alive(marker, if *name == "fork loop" { 20 } else { 1 }).await;
            }
            for (name, run, marker) in &runs {
                let begun = Instant::now();
                let kill = server.kill(*run);
                server.wait_executed(kill).await;
                assert_eq!(alive(marker), 0, "{}, {name}, grace {grace}", mode.name);
                assert_eq!(server.wait_returned(*run).await.return_success, Some(false), "{name}");
                server.assert_whole_life(*run);
                eprintln!("{}, grace {grace}, {name}: {:?}", mode.name, begun.elapsed());
            }
            assert!(bystander.try_wait().unwrap().is_none(), "a bystander was killed");
            assert!(worker.is_running());
            bystander.kill().unwrap();
            bystander.wait().unwrap();
            worker.assert_clean_end().await;
        }
    }
}

#[tokio::test]
async fn p4_a_kill_wins_against_a_fork_bomb() {
    let mode = &modes()[1];
    let Some((server, mut worker)) = up(mode, &[]).await else { return };
    let marker = marker("bomb");
    let script = include_str!("../fixtures/scripts/trees/fork_bomb.sh").replace("@MARK@", &marker);
    let run = server.submit(script);
    server.wait_logged(run, "up\n").await;
    until_alive(&marker, 5).await;
    let scripts = worker.home().scripts_path();
    let bombs = || worker.home().processes().into_iter().filter(|pid| carries(*pid, scripts.to_str().unwrap())).count();
    assert!(bombs() > 5);
    let kill = server.kill(run);
    server.wait_executed(kill).await;
    assert_eq!((alive(&marker), bombs()), (0, 0));
    server.wait_returned(run).await;
    worker.assert_clean_end().await;
}

fn carries(pid: i32, word: &str) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.windows(word.len()).any(|window| window == word.as_bytes())
}

#[tokio::test]
async fn p5_no_process_is_alive_when_a_kill_is_reported() {
    for mode in modes() {
        let Some((server, mut worker)) = up(&mode, &[("concurrent_jobs", "8"), ("kill_grace", "0.1")]).await else {
            continue;
        };
        let trees = [0, 3, 4, 5, 6, 7, 10].map(|n| {
            let marker = marker(&format!("heard {} {n}", mode.name));
            (server.submit(TREES[n].1.replace("@MARK@", &marker)), marker)
        });
        for (run, marker) in &trees {
            server.wait_logged(*run, "up\n").await;
            until_alive(marker, 1).await;
        }
        let kills =
            trees.clone().map(|(run, marker)| (format!("/api/v1/kill_request/{}/", server.add_kill(run)), marker));
        let (heard, left) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (count, sum, of) = (Arc::clone(&heard), Arc::clone(&left), kills.clone());
        // A fault that befalls nobody: it is considered before the request is answered.
        let consider = move |call: &Call| {
            if let Some((_, marker)) = of.iter().find(|(path, _)| call.is("PATCH", path) && call.sets("execute_dts")) {
                count.fetch_add(1, Ordering::SeqCst);
                sum.fetch_add(alive(marker), Ordering::SeqCst);
            }
            false
        };
        server.inject(Fault::when(consider, What::status(500)));
        let ids: Vec<i64> = server.look(|state| state.kills.keys().copied().collect());
        ids.iter().for_each(|kill| server.announce_kill(*kill));
        for kill in &ids {
            server.wait_executed(*kill).await;
        }
        let heard_and_left = (heard.load(Ordering::SeqCst), left.load(Ordering::SeqCst));
        assert_eq!((ids.len(), heard_and_left), (trees.len(), (trees.len(), 0)), "{}", mode.name);
        worker.assert_clean_end().await;
    }
}

/// A file system that never answers: who asks it cannot be killed while it lives.
struct Hanging {
    process: Child,
    said: Lines<BufReader<ChildStdout>>,
    folder: TempDir,
}

impl Hanging {
    /// `None` where none may be had.
    async fn mount() -> Option<Self> {
        if !has_python() {
            return None;
        }
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("hanging_fuse.py");
        fs::write(&path, include_str!("../fixtures/scripts/hanging_fuse.py")).unwrap();
        let mut command = tokio::process::Command::new("python3");
        command.arg(&path).arg(folder.path()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut process = command.spawn().unwrap();
        let mut said = BufReader::new(process.stdout.take().unwrap()).lines();
        if said.next_line().await.unwrap().as_deref() != Some("mounted") {
            skip("no file system in user space may be mounted");
            return None;
        }
        Some(Self { process, said, folder })
    }

    /// A command that asks it.
    fn ask(&self) -> String {
        format!("nsenter -t {} -m cat {}/file", self.process.id().unwrap(), self.folder.path().display())
    }

    async fn asked(&mut self) {
        assert_eq!(self.said.next_line().await.unwrap().as_deref(), Some("asked"));
    }
}

/// The processes that the worker said cannot be killed. Panics if they could.
fn uninterruptible(worker: &WorkerProcess) -> Vec<i32> {
    let log = worker.log();
    let stuck = log.lines().find(|line| line.contains("cannot be killed")).expect("a line");
    let pids = stuck.split("pids=").nth(1).expect("a list").split(',');
    let pids: Vec<i32> = pids.map(|pid| pid.parse().expect("a number")).collect();
    for pid in &pids {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        assert!(stat.contains(") D "), "{stat}");
    }
    pids
}

#[tokio::test]
async fn p5_a_process_that_cannot_be_killed_is_reported_and_never_said_to_be_dead() {
    let Some(mut hanging) = Hanging::mount().await else { return };
    let server = Server::start(Options::default()).await;
    let mut worker = WorkerProcess::start(&server, &worker());
    server.wait_up().await;
    let run = server.submit(format!("#!/bin/sh\necho up\n{}\n", hanging.ask()));
    server.wait_logged(run, "up\n").await;
    hanging.asked().await;
    let kill = server.kill(run);
    server.wait(move |state| state.kill(kill).enqueue_dts.is_some(), "the kill to be taken").await;
    worker.wait_log("cannot be killed").await;
    let row = server.kill_request(kill);
    assert_eq!((row.executed.len(), server.run(run).return_dts), (0, None));
    assert_eq!(uninterruptible(&worker).len(), 1);
    // Others are not held up.
    let next = server.submit("#!/bin/sh\necho next\n");
    assert_eq!(server.wait_returned(next).await.log_text(), "next\n");
    // What it waited for ends, and so does it.
    hanging.process.kill().await.unwrap();
    server.wait_executed(kill).await;
    assert_eq!(server.wait_returned(run).await.return_success, Some(false));
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn p5_neither_a_kill_nor_another_attempt_passes_over_a_lost_process_that_cannot_be_killed() {
    let Some(mut hanging) = Hanging::mount().await else { return };
    let server = Server::start(Options::default()).await;
    let mut worker = WorkerProcess::start(&server, &worker());
    server.wait_up().await;
    let again = "[ $JOB_RUNNER_ATTEMPT -gt 1 ] && exec echo again";
    let run = server.submit(format!("#!/bin/sh\n{again}\necho up\n{}\n", hanging.ask()));
    server.wait_logged(run, "up\n").await;
    hanging.asked().await;
    let shim = worker.home().record(run, 1)[0]["shim"].as_i64().unwrap();
    kill(Pid::from_raw(i32::try_from(shim).unwrap()), Signal::SIGKILL).unwrap();
    worker.wait_log("cannot be killed").await;
    assert_eq!(uninterruptible(&worker).len(), 1);
    let kill = server.kill(run);
    server.wait(move |state| state.kill(kill).enqueue_dts.is_some(), "the kill to be taken").await;
    assert_eq!((server.kill_request(kill).executed.len(), server.run(run).return_dts), (0, None));
    assert!(!worker.home().record_path(run, 2).exists());
    hanging.process.kill().await.unwrap();
    server.wait_executed(kill).await;
    let row = server.wait_returned(run).await;
    assert_eq!(row.return_success, Some(false));
    assert!(!row.log_text().contains("again"), "{}", row.log_text());
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn p6_kills_that_were_taken_are_executed_by_the_next_worker() {
    for mode in modes() {
        let Some((server, mut worker)) = up(&mode, &[("concurrent_jobs", "8"), ("kill_grace", "2")]).await else {
            continue;
        };
        let marker = marker(&format!("taken {}", mode.name));
        let runs: Vec<i64> = (0..8).map(|_| server.submit(DEAF.replace("@MARK@", &marker))).collect();
        for run in &runs {
            server.wait_logged(*run, "up\n").await;
        }
        let kills: Vec<i64> = runs.iter().map(|run| server.kill(*run)).collect();
        let all = kills.clone();
        let taken = move |state: &crate::support::State| all.iter().all(|kill| state.kill(*kill).enqueue_dts.is_some());
        server.wait(taken, "the kills to be taken").await;
        worker.sigkill();
        worker.wait_exit().await;
        assert!(alive(&marker) > 0, "they were executed already");
        worker.restart().await;
        for (kill, run) in kills.into_iter().zip(runs) {
            let row = server.wait_executed(kill).await;
            assert_eq!((row.enqueued.len(), row.executed.len()), (1, 1));
            assert_eq!(server.wait_returned(run).await.return_success, Some(false));
        }
        assert_eq!(alive(&marker), 0, "{}", mode.name);
        worker.assert_clean_end().await;
    }
}

#[tokio::test]
async fn p6_kills_are_executed_during_a_drain() {
    for mode in modes() {
        let Some((server, mut worker)) = up(&mode, &[("concurrent_jobs", "8")]).await else { continue };
        let marker = marker(&format!("drain {}", mode.name));
        let runs: Vec<i64> = (0..8).map(|_| server.submit(DEAF.replace("@MARK@", &marker))).collect();
        for run in &runs {
            server.wait_logged(*run, "up\n").await;
        }
        worker.sigterm();
        worker.wait_log("the next TERM stops its runs runs=8").await;
        for run in runs {
            let kill = server.kill(run);
            server.wait_executed(kill).await;
            assert_eq!(server.wait_returned(run).await.return_success, Some(false));
        }
        assert_eq!(alive(&marker), 0, "{}", mode.name);
        worker.assert_clean_exit().await;
    }
}

#[tokio::test]
async fn what_a_dead_shim_left_is_found_by_cgroup_recorded_process_and_token() {
    for mode in modes() {
        let Some((server, mut worker)) = up(&mode, &[]).await else { continue };
        let [token, child, orphan] = ["token", "child", "orphan"].map(|name| marker(&format!("{name} {}", mode.name)));
        let script = include_str!("../fixtures/scripts/leftover_kinds.sh")
            .replace("@TOKEN@", &token)
            .replace("@CHILD@", &child)
            .replace("@ORPHAN@", &orphan);
        let run = server.submit(script);
        server.wait_logged(run, "up\n").await;
        for kind in [&token, &child, &orphan] {
            until_alive(kind, 1).await;
        }
        let shim = worker.home().record(run, 1)[0]["shim"].as_i64().unwrap();
        kill(Pid::from_raw(i32::try_from(shim).unwrap()), Signal::SIGKILL).unwrap();
        assert_eq!(server.wait_returned(run).await.log_text(), "again\n");
        // Who left its session, its parent and its environment is found by cgroup alone.
        let escapes = usize::from(mode.name == "subreaper");
        assert_eq!([&token, &child, &orphan].map(|kind| alive(kind)), [0, 0, escapes], "{}", mode.name);
        end(&orphan);
        until("its end", || alive(&orphan) == 0).await;
        worker.assert_clean_end().await;
    }
}

/// Ends who carries the marker.
pub fn end(marker: &str) {
    let pids = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    for pid in pids.filter(|pid| carries(*pid, marker)) {
        if pid != i32::try_from(std::process::id()).unwrap() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}
