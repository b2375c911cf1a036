//! Supervising process of a run (the shim): whatever its job does to it and however it ends, the run ends, and nothing else is
//! touched.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::kill::{alive, marker, until_alive};
use crate::kill_trees::{end, modes, up};
use crate::support::{
    Call, Fault, Latch, Options, Server, What, WorkerHome, WorkerOptions, WorkerProcess, has_python, skip,
};
use crate::{until, up as plainly_up};

/// What a signal does by default.
fn is_deadly(signal: i32) -> bool {
    // CHLD, CONT, the four that stop, URG and WINCH; two that the C library keeps for itself, so that shells refuse them.
    !matches!(signal, 17..=23 | 28 | 32 | 33)
}

async fn die(worker: &mut WorkerProcess) {
    worker.sigkill();
    worker.wait_exit().await;
}

/// The next worker is up: what is announced before it listens nobody hears.
async fn come_back(server: &Server, worker: &mut WorkerProcess) {
    let before = server.look(|state| state.subscribed("testworker"));
    worker.restart().await;
    server.wait(move |state| state.subscribed("testworker") > before, "the next worker to listen").await;
}

fn pid_of(record: &[Value], field: &str) -> Pid {
    let number = record.iter().find_map(|line| line[field].as_i64()).expect("a pid");
    Pid::from_raw(i32::try_from(number).unwrap())
}

/// The supervising process of a run's first attempt.
fn shim(worker: &WorkerProcess, run: i64) -> Pid {
    pid_of(&worker.home().record(run, 1), "shim")
}

fn is_stopped(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" T"))
}

#[tokio::test]
async fn every_signal_that_ends_a_script_ends_its_run_and_its_log_says_which() {
    let (server, mut worker) = plainly_up(&[("concurrent_jobs", "8")]).await;
    let script = |signal: i32| format!("#!/bin/sh\nulimit -c 0\nkill -{signal} $$\nsleep 60\n");
    let runs: Vec<(i32, i64)> =
        (1..=64).filter(|signal| is_deadly(*signal)).map(|signal| (signal, server.submit(script(signal)))).collect();
    for (signal, run) in runs {
        let row = server.wait_returned(run).await;
        let text = row.log_text();
        assert_eq!(row.return_success, Some(false), "signal {signal}: {text}");
        assert!(text.contains(&format!("was ended by signal {signal} (")), "signal {signal}: {text}");
    }
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn a_script_that_has_itself_traced_by_its_supervisor_goes_on_and_ends() {
    if !has_python() {
        return;
    }
    let (server, mut worker) = plainly_up(&[]).await;
    // Where its parent does not let it go on, it stands still at the first signal, and at every `execve`.
    let script = "#!/usr/bin/env python3\nimport ctypes, os, signal\nctypes.CDLL(None).ptrace(0, 0, 0, 0)\n\
                  signal.signal(signal.SIGUSR1, lambda *_: print('heard', flush=True))\n\
                  os.kill(os.getpid(), signal.SIGUSR1)\nos.execvp('echo', ['echo', 'through'])\n";
    let run = server.submit(script);
    let row = server.wait_returned(run).await;
    assert_eq!((row.return_success, row.log_text()), (Some(true), "heard\nthrough\n"));
    worker.assert_clean_end().await;
}

fn score(pid: impl std::fmt::Display) -> i32 {
    fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).expect("a score").trim().parse().expect("a number")
}

#[tokio::test]
async fn what_a_script_starts_first_is_chosen_before_the_worker_when_memory_runs_out() {
    for mode in modes() {
        let Some((server, mut worker)) = up(&mode, &[("concurrent_jobs", "4")]).await else { continue };
        let ours = score(worker.id().expect("a worker"));
        let runs: Vec<i64> = (0..60).map(|_| server.submit("#!/bin/sh\ncat /proc/self/oom_score_adj\n:\n")).collect();
        for run in runs {
            let text = server.wait_returned(run).await.log_text().to_owned();
            assert_eq!(text, format!("{}\n", (ours + 300).min(1000)), "{}", mode.name);
        }
        let marker = marker(&format!("score {}", mode.name));
        let run = server.submit(format!("#!/bin/sh\nsleep {marker}\n"));
        until_alive(&marker, 1).await;
        // It raises its own for the moment in which the script is made of it.
        until("the supervisor's own score", || score(shim(&worker, run)) == ours).await;
        end(&marker);
        server.wait_returned(run).await;
        worker.assert_clean_end().await;
    }
}

/// Makes groups below the one that its job is in, and says which that is.
const NEST: &str = "#!/bin/sh\n\
    mount=$(awk '/ - cgroup2 /{print $5; exit}' /proc/self/mountinfo)\n\
    group=$mount$(sed -n 's/^0:://p' /proc/self/cgroup)\n\
    mkdir -p $group/a/b $group/c && echo $group\n";

#[tokio::test]
async fn groups_that_a_job_made_below_its_own_are_removed_with_it() {
    let Some((server, mut worker)) = up(&modes()[0], &[]).await else { return };
    // Where the supervisor cannot do it itself.
    let run = server.submit(format!("{NEST}[ $JOB_RUNNER_ATTEMPT -gt 1 ] || sleep 1000\n"));
    server.wait_logged(run, "job-runner.").await;
    let group = PathBuf::from(server.run(run).log_text().trim_end());
    assert!(group.join("a/b").is_dir(), "{}", group.display());
    kill(shim(&worker, run), Signal::SIGKILL).unwrap();
    let again = PathBuf::from(server.wait_returned(run).await.log_text().trim_end());
    until("the end of the group", || !group.exists()).await;
    // And where it can.
    assert!(again != group && again.join("a/b").is_dir(), "{}", again.display());
    worker.assert_clean_end().await;
    until("the end of the group", || !again.exists()).await;
}

/// Makes the record of a run say what it would say if its supervisor had had the pid of another's.
fn with_pid_of(home: &WorkerHome, run: i64, other: Pid) {
    let path = home.record_path(run, 1);
    let mut lines: Vec<Value> =
        fs::read_to_string(&path).unwrap().lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let pid = lines[0]["shim"].as_i64().unwrap();
    lines[0]["shim"] = json!(other.as_raw());
    for field in ["socket", "cgroup"] {
        let Some(named) = lines[0][field].as_str() else { continue };
        let (folder, name) = named.rsplit_once('/').unwrap();
        lines[0][field] = json!(format!("{folder}/{}", name.replace(&pid.to_string(), &other.to_string())));
    }
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    fs::write(path, text).unwrap();
}

#[tokio::test]
async fn what_a_dead_supervisor_left_is_ended_and_not_the_job_of_who_has_its_pid_now() {
    for mode in modes() {
        let Some((server, mut worker)) = up(&mode, &[]).await else { continue };
        let [lost, other] = ["lost", "other"].map(|name| marker(&format!("{name} pid {}", mode.name)));
        let again = "[ $JOB_RUNNER_ATTEMPT -gt 1 ] && exec echo again";
        let run = server.submit(format!("#!/bin/sh\n{again}\nsleep {lost} &\nwait\n"));
        let bystander = server.submit(format!("#!/bin/sh\nsleep {other} &\nwait\n"));
        for (run, marker) in [(run, &lost), (bystander, &other)] {
            server.wait_started(run).await;
            until_alive(marker, 1).await;
        }
        die(&mut worker).await;
        let (gone, lives) = (shim(&worker, run), shim(&worker, bystander));
        kill(gone, Signal::SIGKILL).unwrap();
        until("its death", || !Path::new(&format!("/proc/{gone}/fd/0")).exists()).await;
        with_pid_of(worker.home(), run, lives);
        worker.restart().await;
        assert_eq!(server.wait_returned(run).await.log_text(), "again\n");
        assert_eq!((alive(&lost), alive(&other)), (0, 1), "{}", mode.name);
        // Its supervisor can be found by another worker still.
        die(&mut worker).await;
        come_back(&server, &mut worker).await;
        let kill = server.kill(bystander);
        server.wait_executed(kill).await;
        assert_eq!(alive(&other), 0, "{}", mode.name);
        let row = server.wait_returned(bystander).await;
        assert!(row.log_text().contains("at the server's request"), "{}: {}", mode.name, row.log_text());
        worker.assert_clean_end().await;
    }
}

/// How often the server may be told of a kill until that is looked at.
const TOLD: usize = 16;

/// Asks for a kill and tells how many lived when the server was told that nobody does.
async fn left_by_kill(server: &Server, run: i64, marker: &str) -> usize {
    let request = server.add_kill(run);
    let path = format!("/api/v1/kill_request/{request}/");
    let (tell, told) = std::sync::mpsc::sync_channel(TOLD);
    let carried = marker.to_owned();
    // A fault that befalls nobody: it is considered before the request is answered.
    let consider = move |call: &Call| {
        if call.is("PATCH", &path) && call.sets("execute_dts") {
            let _ = tell.try_send(alive(&carried));
        }
        false
    };
    server.inject(Fault::when(consider, What::status(500)));
    server.announce_kill(request);
    server.wait_executed(request).await;
    told.recv().expect("a count")
}

#[tokio::test]
async fn a_kill_ends_what_a_script_left_running_also_while_its_result_waits_to_be_told() {
    for mode in modes() {
        for dies in [false, true] {
            let Some((server, mut worker)) = up(&mode, &[("leftovers", "keep")]).await else { continue };
            let marker = marker(&format!("kept {} {dies}", mode.name));
            let refused = server.inject(Fault::on("PATCH", "/api/v1/run/", What::status(503)).setting("return_dts"));
            let run = server.submit(format!("#!/bin/sh\nsetsid sleep {marker} >/dev/null 2>&1 &\n"));
            let hits = refused.clone();
            server.wait(move |_| hits.hits() > 0, "the return to be refused").await;
            until_alive(&marker, 1).await;
            if dies {
                die(&mut worker).await;
                come_back(&server, &mut worker).await;
            }
            assert_eq!(left_by_kill(&server, run, &marker).await, 0, "{} {dies}", mode.name);
            refused.lift();
            assert_eq!(server.wait_returned(run).await.return_success, Some(true));
            worker.assert_clean_end().await;
        }
    }
}

/// The records of runs that are over and have left somebody running.
fn leftovers(worker: &WorkerProcess) -> Vec<PathBuf> {
    let listed = fs::read_dir(worker.home().own_state_path().join("leftovers"));
    listed.into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

#[tokio::test]
async fn p5_a_kill_ends_what_a_script_left_running_also_when_its_result_was_told() {
    for mode in modes() {
        for dies in [false, true] {
            let Some((server, mut worker)) = up(&mode, &[("leftovers", "keep")]).await else { continue };
            let marker = marker(&format!("kept and told {} {dies}", mode.name));
            let run = server.submit(format!("#!/bin/sh\nsetsid sleep {marker} >/dev/null 2>&1 &\n"));
            server.wait_returned(run).await;
            until("the end of the record", || worker.home().run_files().is_empty()).await;
            until_alive(&marker, 1).await;
            if dies {
                die(&mut worker).await;
                come_back(&server, &mut worker).await;
            }
            assert_eq!(left_by_kill(&server, run, &marker).await, 0, "{} {dies}", mode.name);
            until("the end of what is known of it", || leftovers(&worker).is_empty()).await;
            worker.assert_clean_end().await;
        }
    }
}

#[tokio::test]
async fn records_of_leftovers_are_removed_with_them() {
    for (worker_dies, shim_dies) in [(false, false), (true, false), (true, true)] {
        let (server, mut worker) = plainly_up(&[("leftovers", "keep")]).await;
        let marker = marker(&format!("known {worker_dies} {shim_dies}"));
        let run = server.submit(format!("#!/bin/sh\nsetsid sleep {marker} >/dev/null 2>&1 &\n"));
        server.wait_returned(run).await;
        until("a record of leftovers", || leftovers(&worker).len() == 1).await;
        if worker_dies {
            die(&mut worker).await;
        }
        if shim_dies {
            let text = fs::read_to_string(&leftovers(&worker)[0]).expect("a record");
            let begun: Value = serde_json::from_str(text.lines().next().expect("a line")).expect("its beginning");
            kill(pid_of(&[begun], "shim"), Signal::SIGKILL).unwrap();
        }
        end(&marker);
        if shim_dies {
            // Nobody is there who could notice, before the next worker is.
            worker.home().wait_deserted().await;
            assert_eq!(leftovers(&worker).len(), 1);
            come_back(&server, &mut worker).await;
        }
        until("the end of what is known of them", || leftovers(&worker).is_empty()).await;
        if shim_dies || !worker_dies {
            worker.assert_clean_end().await;
        }
    }
}

/// One stays for what its run left behind, long after the worker has let go of it.
#[tokio::test]
async fn leftovers_of_a_killed_supervisor_are_cleared_away() {
    let (server, mut worker) = plainly_up(&[("leftovers", "keep"), ("concurrent_jobs", "2")]).await;
    let marker = marker("killed over leftovers");
    let held = server.inject(Fault::on("PATCH", "/api/v1/run/", What::status(503)).setting("return_dts"));
    let run = server.submit(format!("#!/bin/sh\nsetsid sleep {marker} >/dev/null 2>&1 &\n"));
    let hits = held.clone();
    server.wait(move |_| hits.hits() > 0, "the return to be refused").await;
    let (supervisor, begun) = (shim(&worker, run), worker.home().record(run, 1).swap_remove(0));
    held.lift();
    server.wait_returned(run).await;
    // Longer than anybody waits who takes it for about to go.
    let other = server.submit("#!/bin/sh\nsleep 3\n");
    server.wait_returned(other).await;
    let socket = PathBuf::from(begun["socket"].as_str().expect("a socket"));
    assert!(socket.exists(), "{}", socket.display());
    kill(supervisor, Signal::SIGKILL).unwrap();
    until("the end of its socket", || !socket.exists()).await;
    end(&marker);
    worker.assert_clean_end().await;
}

/// Stops its supervisor, and goes on in its own way.
fn stops_its_supervisor(then: &str) -> String {
    format!("#!/bin/sh\n[ $JOB_RUNNER_ATTEMPT -gt 1 ] && exec echo again\necho up\nkill -STOP $PPID\n{then}\n")
}

const STILL_STOPS: &str = "while :; do kill -STOP $PPID; done";

#[tokio::test]
async fn a_job_that_stops_its_supervisor_is_killed_all_the_same() {
    for mode in modes() {
        let Some((server, mut worker)) = up(&mode, &[("concurrent_jobs", "4")]).await else { continue };
        for (name, then) in [("once", "sleep"), ("always", STILL_STOPS), ("deaf", "trap '' TERM; sleep")] {
            let marker = marker(&format!("stops {name} {}", mode.name));
            let then =
                if then == STILL_STOPS { format!("sleep {marker} &\n{then}") } else { format!("{then} {marker}") };
            let run = server.submit(stops_its_supervisor(&then));
            until_alive(&marker, 1).await;
            assert_eq!(left_by_kill(&server, run, &marker).await, 0, "{} {name}", mode.name);
            assert_eq!(server.wait_returned(run).await.return_success, Some(false), "{} {name}", mode.name);
        }
        worker.assert_clean_end().await;
    }
}

#[tokio::test]
async fn a_job_that_stops_its_supervisor_ends_by_itself_and_by_its_time_out() {
    for mode in modes() {
        let Some((server, mut worker)) = up(&mode, &[("run_timeout", "1"), ("concurrent_jobs", "4")]).await else {
            continue;
        };
        let ends = server.submit(stops_its_supervisor("exit 3"));
        let late = server.submit(stops_its_supervisor("sleep 1000"));
        let loud = server.submit(stops_its_supervisor("yes | head -c 300000"));
        for run in [ends, loud] {
            let row = server.wait_returned(run).await;
            assert!(row.log_text().starts_with("up\n"), "{}: {}", mode.name, row.log_text());
        }
        let row = server.wait_returned(late).await;
        assert!(row.log_text().contains("it ran longer than"), "{}: {}", mode.name, row.log_text());
        worker.assert_clean_end().await;
    }
}

#[tokio::test]
async fn a_supervisor_that_a_job_stopped_keeps_neither_a_drain_nor_the_next_worker_waiting() {
    for mode in modes() {
        let Some((server, mut worker)) = up(&mode, &[("concurrent_jobs", "4")]).await else { continue };
        let marker = marker(&format!("drained {}", mode.name));
        let run = server.submit(format!("#!/bin/sh\nkill -STOP $PPID\nsleep {marker}\nexit 0\n"));
        until_alive(&marker, 1).await;
        die(&mut worker).await;
        let supervisor = shim(&worker, run);
        if !is_stopped(supervisor) {
            kill(supervisor, Signal::SIGSTOP).unwrap();
        }
        worker.restart().await;
        worker.wait_log("running script is taken up again").await;
        kill(supervisor, Signal::SIGSTOP).unwrap();
        worker.sigterm();
        worker.wait_log("the next TERM stops its runs runs=1").await;
        end(&marker);
        assert_eq!(server.wait_returned(run).await.return_success, Some(true), "{}", mode.name);
        worker.assert_clean_exit().await;
    }
}

#[tokio::test]
async fn a_supervisor_that_somebody_stops_is_continued_and_its_run_is_not_lost() {
    let (server, mut worker) = plainly_up(&[]).await;
    let latch = Latch::new();
    let run = server.submit(latch.script("held"));
    until("the script", || latch.trace().len() == 1).await;
    let supervisor = shim(&worker, run);
    for _ in 0..4 {
        kill(supervisor, Signal::SIGSTOP).unwrap();
        until("the stop", || is_stopped(supervisor)).await;
        until("its end", || !is_stopped(supervisor)).await;
    }
    latch.let_through(1);
    assert_eq!(server.wait_returned(run).await.return_success, Some(true));
    // One that waits for work is given it, and answers when it is continued.
    kill(supervisor, Signal::SIGSTOP).unwrap();
    let next = server.submit("#!/bin/sh\necho next\n");
    assert_eq!(server.wait_returned(next).await.log_text(), "next\n");
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn a_kill_gives_grace_to_what_holds_the_output_of_a_script_that_ended() {
    let (server, mut worker) = plainly_up(&[("linger", "60"), ("kill_grace", "20"), ("leftovers", "keep")]).await;
    let text = "#!/bin/sh\n(trap 'echo cleaned up; exit' TERM; echo up; while :; do sleep 0.01; done) &\n";
    let run = server.submit(text);
    server.wait_logged(run, "up\n").await;
    let kill = server.kill(run);
    server.wait_executed(kill).await;
    let log = server.wait_returned(run).await.log_text().to_owned();
    // The shell may say of its `sleep` that it was terminated.
    assert!(log.starts_with("up\n") && log.contains("cleaned up\n"), "{log}");
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn a_time_out_leaves_alone_what_a_script_that_ended_in_time_may_leave() {
    let (server, mut worker) = plainly_up(&[("linger", "2"), ("run_timeout", "0.5"), ("leftovers", "keep")]).await;
    let marker = marker("outlives the time-out");
    let run = server.submit(format!("#!/bin/sh\nsetsid sleep {marker} &\necho over\n"));
    let row = server.wait_returned(run).await;
    assert_eq!((row.return_success, alive(&marker)), (Some(true), 1), "{}", row.log_text());
    end(&marker);
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn a_run_is_taken_up_again_whose_socket_was_removed_or_whose_state_directory_was_moved() {
    let (server, mut worker) = plainly_up(&[("concurrent_jobs", "4")]).await;
    let latch = Latch::new();
    let run = server.submit(latch.script("held"));
    until("the script", || latch.trace().len() == 1).await;
    let (state, own) = (worker.home().state_path(), worker.home().own_state_path());
    for removed in [true, false] {
        die(&mut worker).await;
        if removed {
            fs::remove_dir_all(own.join("shims")).unwrap();
        } else {
            let moved = state.with_file_name("moved");
            fs::rename(&state, &moved).unwrap();
            let ini = fs::read_to_string(worker.home().ini_path()).unwrap();
            worker.home().write_ini(&ini.replace(state.to_str().unwrap(), moved.to_str().unwrap()));
        }
        come_back(&server, &mut worker).await;
        worker.wait_log_times("running script is taken up again", if removed { 1 } else { 2 }).await;
    }
    let kill = server.kill(run);
    server.wait_executed(kill).await;
    let row = server.wait_returned(run).await;
    assert!(row.log_text().contains("at the server's request"), "{}", row.log_text());
    assert_eq!(worker.stop().await, 0);
}

#[tokio::test]
async fn a_script_is_removed_from_where_it_was_written_when_that_is_another_place_by_now() {
    let (server, mut worker) = plainly_up(&[]).await;
    let scripts = worker.home().scripts_path();
    let latch = Latch::new();
    let run = server.submit(latch.script("held"));
    server.wait_started(run).await;
    until("the script", || latch.trace().len() == 1).await;
    die(&mut worker).await;
    // As if the order had never reached a supervisor: nothing of the attempt is there but its script.
    let supervisor = shim(&worker, run);
    let script = fs::read_dir(&scripts).unwrap().flatten().next().expect("a script").path();
    let copy = fs::read(&script).unwrap();
    let main = pid_of(&worker.home().record(run, 1), "pid");
    kill(supervisor, Signal::SIGKILL).unwrap();
    kill(main, Signal::SIGKILL).unwrap();
    until("their end", || [supervisor, main].iter().all(|pid| !Path::new(&format!("/proc/{pid}/fd/0")).exists())).await;
    fs::remove_file(worker.home().record_path(run, 1)).unwrap();
    fs::write(&script, copy).unwrap();
    let elsewhere = worker.home().path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let ini = fs::read_to_string(worker.home().ini_path()).unwrap();
    worker.home().write_ini(&ini.replace(scripts.to_str().unwrap(), elsewhere.to_str().unwrap()));
    latch.let_through(2);
    worker.restart().await;
    server.wait_returned(run).await;
    assert!(!script.exists(), "{}", script.display());
    assert_eq!(worker.stop().await, 0);
}

#[tokio::test]
async fn the_worker_does_not_follow_what_others_put_into_its_state_directory() {
    if !nix::unistd::geteuid().is_root() {
        return skip("only root can give a file to somebody else");
    }
    let nobody = Some(nix::unistd::Uid::from_raw(65_534));
    for (name, is_link) in [("worker.lock", true), ("ballast", true), ("runs", true), ("outbox.db", true), (".", false)]
    {
        let (_server, mut worker) = plainly_up(&[]).await;
        worker.assert_clean_end().await;
        let state = worker.home().own_state_path();
        let victim = worker.home().path().join("victim");
        fs::write(&victim, "untouched").unwrap();
        let trap = state.join(name);
        if is_link {
            let _ = fs::remove_file(&trap).or_else(|_| fs::remove_dir_all(&trap));
            std::os::unix::fs::symlink(&victim, &trap).unwrap();
            let group = None;
            nix::unistd::fchownat(nix::fcntl::AT_FDCWD, &trap, nobody, group, nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW)
                .unwrap();
        } else {
            nix::unistd::chown(&state, nobody, None).unwrap();
        }
        let mut next = WorkerProcess::start_in(worker.home().clone());
        let status = next.wait_exit_within(Duration::from_secs(20)).await;
        assert_eq!(status.code(), Some(73), "{name}: {}", next.log());
        next.wait_log("state_path: ").await;
        assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched", "{name}");
    }
}

#[tokio::test]
async fn a_state_directory_that_others_may_write_is_closed_to_them() {
    let server = Server::start(Options::default()).await;
    let home = WorkerHome::new(&server, &crate::worker());
    let state = home.own_state_path();
    fs::create_dir_all(&state).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o777)).unwrap();
    let mut worker = WorkerProcess::start_in(home);
    server.wait_up().await;
    let run = server.submit("#!/bin/sh\necho works\n");
    assert_eq!(server.wait_returned(run).await.log_text(), "works\n");
    assert_eq!(fs::metadata(&state).unwrap().permissions().mode() & 0o022, 0);
    worker.wait_log("could be written by others").await;
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn an_interpreter_that_cannot_be_executed_for_want_of_something_is_waited_for() {
    if !has_python() {
        return;
    }
    for errno in [Errno::ENOMEM, Errno::ENFILE, Errno::EMFILE] {
        let folder = tempfile::TempDir::new().unwrap();
        let [fixture, mount, program] = ["fuse.py", "mount", "program"].map(|name| folder.path().join(name));
        fs::write(&fixture, include_str!("../fixtures/scripts/refusing_fuse.py")).unwrap();
        fs::create_dir(&mount).unwrap();
        let mut command = tokio::process::Command::new("python3");
        command.arg(&fixture).arg(&mount).arg((errno as i32).to_string()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut refusing = command.kill_on_drop(true).spawn().unwrap();
        let said = BufReader::new(refusing.stdout.take().unwrap()).lines().next_line().await.unwrap();
        if said.as_deref() != Some("mounted") {
            return skip("no file system in user space may be mounted");
        }
        // The worker sees what the file system's own process sees.
        let worker = env!("CARGO_BIN_EXE_job_runner_worker");
        let text = format!("#!/bin/sh\nexec nsenter -t {} -m {worker} \"$@\"\n", refusing.id().unwrap());
        fs::write(&program, text).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
        let server = Server::start(Options::default()).await;
        let mut worker = WorkerProcess::start(&server, &WorkerOptions::new(program));
        server.wait_up().await;
        let run = server.submit(format!("#!{}/sh\n", mount.display()));
        worker.wait_log("claimed run waits until it can be launched").await;
        assert_eq!(server.run(run).return_dts, None, "{errno}");
        let kill = server.kill(run);
        server.wait_executed(kill).await;
        server.wait_returned(run).await;
        worker.assert_clean_end().await;
    }
}
