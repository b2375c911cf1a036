//! Kill requests: the whole tree, nobody else, and never forgotten.

use std::fs;
use std::time::Duration;

use serde_json::json;

use crate::support::{Fault, Latch, RunSpec, Server, State, StepKind, What, prints};
use crate::up;

/// A word that stands on the command line of whoever shall be found again.
pub fn marker(name: &str) -> String {
    format!(
        "31{:05}.{}",
        std::process::id(),
        u64::from(name.bytes().map(u32::from).fold(7, |a, b| a * 31 % 65_521 + b))
    )
}

/// How many living processes carry the marker on their command line.
pub fn alive(marker: &str) -> usize {
    let pids = fs::read_dir("/proc").unwrap().flatten().filter(|entry| {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|word| word == marker.as_bytes())
    });
    pids.count()
}

/// Until so many of them live. Nobody tells: the process table has to be asked.
pub async fn until_alive(marker: &str, count: usize) {
    let mut pause = tokio::time::interval(Duration::from_millis(10));
    let looking = async {
        while alive(marker) < count {
            pause.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), looking).await.unwrap_or_else(|_| panic!("{marker} does not live"));
}

/// Kills the run, and looks at once who is left when the server hears that nobody is.
async fn killed(server: &Server, run: i64, marker: &str) -> i64 {
    until_alive(marker, 1).await;
    let kill = server.kill(run);
    server.wait_executed(kill).await;
    assert_eq!(alive(marker), 0, "survivors of kill request {kill}");
    kill
}

#[tokio::test]
async fn a_killed_run_ends_failed_and_keeps_what_it_said() {
    let (server, _worker) = up(&[]).await;
    let marker = marker("plain");
    let id = server.submit(format!("#!/bin/sh\necho begun\nprintf 'half a line'\nsleep {marker}\necho never\n"));
    server.wait_logged(id, "half a line").await;
    let kill = killed(&server, id, &marker).await;
    let run = server.wait_returned(id).await;
    assert_eq!(run.return_success, Some(false));
    assert_eq!(
        run.log_text(),
        "begun\nhalf a line\n[job runner worker] The job was stopped: it was killed at the server's request.\n"
    );
    server.assert_whole_life(id);
    server.wait_kill_event("enqueued", kill).await;
    server.wait_kill_event("executed", kill).await;
    let row = server.kill_request(kill);
    assert_eq!((row.enqueued.len(), row.executed.len()), (1, 1));
    assert!(row.enqueued[0] < row.executed[0]);
}

#[tokio::test]
async fn a_kill_reaches_every_shape_of_tree() {
    let shapes = [
        ("child", "sleep @ & wait"),
        ("pipeline", "sleep @ | sleep @ | sleep @"),
        ("session", "setsid sleep @ & wait"),
        ("grandchild", "sh -c 'sh -c \"sleep @; :\"; :' & wait"),
        ("nohup", "nohup sleep @ >/dev/null 2>&1 & wait"),
        ("double fork", "(setsid sh -c 'sleep @ & exec sleep @' >/dev/null 2>&1 &); sleep @"),
        ("clean environment", "env -i setsid sleep @ & sleep @"),
        ("deaf", "trap '' TERM HUP INT; sh -c 'trap \"\" TERM; sleep @; :' & wait"),
        ("stopped", "sleep @ & sleep 0.2; kill -STOP $!; kill -STOP $$; sleep @"),
    ];
    for grace in ["0", "0.3"] {
        let (server, _worker) = up(&[("concurrent_jobs", "16"), ("kill_grace", grace)]).await;
        let runs = shapes.map(|(name, shape)| {
            let marker = marker(&format!("{name} {grace}"));
            (name, server.submit(format!("#!/bin/sh\necho up\n{}\n", shape.replace('@', &marker))), marker)
        });
        for (name, id, marker) in runs {
            server.wait_logged(id, "up\n").await;
            killed(&server, id, &marker).await;
            let run = server.wait_returned(id).await;
            assert_eq!(run.return_success, Some(false), "{name}");
            server.assert_whole_life(id);
        }
    }
}

#[tokio::test]
async fn a_kill_wins_against_a_script_that_forks_without_end() {
    let (server, _worker) = up(&[("concurrent_jobs", "2")]).await;
    let marker = marker("forks");
    let script =
        format!("#!/bin/bash\necho up\nfor ((n = 0; n < 3000; n++)); do setsid sleep {marker} & sleep 0.002; done\n");
    let id = server.submit(script);
    server.wait_logged(id, "up\n").await;
    until_alive(&marker, 20).await;
    killed(&server, id, &marker).await;
    assert_eq!(server.wait_returned(id).await.return_success, Some(false));
}

#[tokio::test]
async fn with_grace_a_script_may_clean_up_first() {
    let (server, _worker) = up(&[("kill_grace", "20")]).await;
    let id = server.submit("#!/bin/bash\ntrap 'echo cleaned up; exit 0' TERM\necho up\nwhile :; do sleep 0.05; done\n");
    server.wait_logged(id, "up\n").await;
    let kill = server.kill(id);
    server.wait_executed(kill).await;
    let run = server.wait_returned(id).await;
    assert_eq!(run.return_success, Some(false));
    assert!(run.log_text().contains("\ncleaned up\n"), "{}", run.log_text());
}

#[tokio::test]
async fn without_grace_a_script_that_traps_is_killed_at_once() {
    let (server, _worker) = up(&[]).await;
    let marker = marker("traps");
    let id = server.submit(format!("#!/bin/bash\ntrap 'echo cleaned up' TERM\necho up\nsleep {marker}\n"));
    server.wait_logged(id, "up\n").await;
    killed(&server, id, &marker).await;
    assert!(!server.wait_returned(id).await.log_text().contains("cleaned up"));
}

#[tokio::test]
async fn a_kill_of_a_run_that_has_ended_is_executed_and_changes_nothing() {
    let (server, _worker) = up(&[]).await;
    let id = server.submit(prints("over"));
    server.wait_returned(id).await;
    let kill = server.kill(id);
    server.wait_executed(kill).await;
    let run = server.run(id);
    assert_eq!((run.return_success, run.log_text(), run.completions), (Some(true), "over\n", 1));
    server.assert_whole_life(id);
}

#[tokio::test]
async fn several_kills_of_one_run_are_all_executed() {
    let (server, _worker) = up(&[("kill_grace", "0.5")]).await;
    let marker = marker("several");
    let id = server.submit(format!("#!/bin/sh\ntrap '' TERM\necho up\nsleep {marker}\nsleep {marker}\n"));
    server.wait_logged(id, "up\n").await;
    let kills = [(); 3].map(|()| server.kill(id));
    kills.iter().for_each(|kill| (0..50).for_each(|_| server.announce_kill(*kill)));
    for kill in kills {
        let row = server.wait_executed(kill).await;
        assert_eq!((row.enqueued.len(), row.executed.len()), (1, 1));
    }
    assert_eq!(alive(&marker), 0);
    server.wait_returned(id).await;
    server.assert_whole_life(id);
}

#[tokio::test]
async fn a_kill_during_the_upload_of_the_log_is_executed() {
    let (server, _worker) = up(&[]).await;
    let id = server.add_run(prints("uploading"));
    let slow = server.inject(Fault::on("POST", "/api/v1/run_log/", What::Delay(Duration::from_millis(500))));
    server.announce(id);
    let hits = slow.clone();
    server.wait(move |_| hits.hits() > 0, "the upload").await;
    let kill = server.kill(id);
    server.wait_executed(kill).await;
    let run = server.wait_returned(id).await;
    assert_eq!((run.return_success, run.completions), (Some(true), 1));
}

#[tokio::test]
async fn a_kill_while_a_daemon_holds_the_output_ends_the_run() {
    let (server, _worker) = up(&[("linger", "60")]).await;
    let marker = marker("linger");
    let id = server.submit(format!("#!/bin/sh\nsetsid sleep {marker} &\necho over\n"));
    server.wait_logged(id, "over\n").await;
    killed(&server, id, &marker).await;
    server.wait_returned(id).await;
    server.assert_whole_life(id);
}

#[tokio::test]
async fn a_slow_server_does_not_hold_up_the_killing() {
    let (server, worker) = up(&[]).await;
    let marker = marker("slow server");
    let id = server.submit(format!("#!/bin/sh\necho up\nsleep {marker}\n"));
    server.wait_logged(id, "up\n").await;
    let kill = server.add_kill(id);
    server.inject(Fault::on("PATCH", "/api/v1/", What::HangForever));
    server.announce_kill(kill);
    worker.wait_log(&format!("run ended run={id} ")).await;
    assert_eq!(alive(&marker), 0);
}

#[tokio::test]
async fn a_run_killed_between_its_claim_and_its_start_is_never_started() {
    let (server, _worker) = up(&[]).await;
    let latch = Latch::new();
    let id = server.add_run(latch.straight_script("never"));
    let held = server.inject(Fault::on("GET", &format!("/api/v1/job/{id}/"), What::HangForever));
    server.announce(id);
    let hits = held.clone();
    server.wait(move |state| hits.hits() == 1 && state.run(id).claims() == 1, "the script to be asked for").await;
    let kill = server.kill(id);
    server.wait_executed(kill).await;
    let run = server.wait_returned(id).await;
    assert_eq!((run.return_success, run.start_dts.is_some(), run.pid), (Some(false), true, None));
    assert_eq!(
        run.log_text(),
        "[job runner worker] Could not execute job: it was stopped before its start: it was killed at the server's request."
    );
    assert_eq!(run.kinds(), [StepKind::Claim, StepKind::Log, StepKind::Start, StepKind::Return]);
    assert_eq!((latch.executions("never"), run.completions), (0, 1));
}

#[tokio::test]
async fn a_run_killed_before_its_start_was_reported_is_killed() {
    let (server, _worker) = up(&[]).await;
    let marker = marker("untold");
    let id = server.add_run(format!("#!/bin/sh\nsleep {marker}\n"));
    let starts = Fault::on("PATCH", &format!("/api/v1/run/{id}/"), What::Delay(Duration::from_millis(500)));
    server.inject(starts.setting("pid"));
    server.announce(id);
    killed(&server, id, &marker).await;
    server.wait_returned(id).await;
    server.assert_whole_life(id);
}

#[tokio::test]
async fn a_kill_that_was_taken_is_executed_by_the_next_worker() {
    let (server, mut worker) = up(&[("kill_grace", "2")]).await;
    let marker = marker("restart");
    let id = server.submit(format!("#!/bin/sh\ntrap '' TERM\necho up\nsleep {marker}\nsleep {marker}\n"));
    server.wait_logged(id, "up\n").await;
    until_alive(&marker, 1).await;
    let kill = server.kill(id);
    server.wait(move |state| state.kill(kill).enqueue_dts.is_some(), "the kill to be taken").await;
    worker.sigkill();
    worker.wait_exit().await;
    assert!(alive(&marker) > 0);
    worker.restart().await;
    server.wait_executed(kill).await;
    assert_eq!(alive(&marker), 0);
    assert_eq!(server.wait_returned(id).await.return_success, Some(false));
    server.assert_whole_life(id);
}

#[tokio::test]
async fn a_kill_that_could_not_be_reported_is_reported_by_the_next_worker() {
    let (server, mut worker) = up(&[]).await;
    let marker = marker("untold kill");
    let id = server.submit(format!("#!/bin/sh\necho up\nsleep {marker}\n"));
    server.wait_logged(id, "up\n").await;
    let kill = server.add_kill(id);
    let done = Fault::on("PATCH", &format!("/api/v1/kill_request/{kill}/"), What::HangForever).setting("execute_dts");
    let silent = server.inject(done);
    server.announce_kill(kill);
    let hits = silent.clone();
    server.wait(move |_| hits.hits() == 1, "the execution to be told").await;
    assert_eq!(alive(&marker), 0);
    worker.sigkill();
    worker.wait_exit().await;
    server.clear_faults();
    worker.restart().await;
    server.wait_executed(kill).await;
    server.wait_returned(id).await;
    server.assert_whole_life(id);
}

#[tokio::test]
async fn a_pid_named_by_the_server_is_never_killed() {
    let (server, mut worker) = up(&[("concurrent_jobs", "8")]).await;
    let mut bystander = std::process::Command::new("sleep").arg("1000").spawn().expect("a bystander");
    let named =
        [json!(bystander.id()), json!(0), json!(-1), json!(1), json!("1"), json!(99_999_999_999_i64), json!(null)];
    for pid in named {
        let marker = marker(&format!("pid {pid}"));
        let spec = RunSpec::new(format!("#!/bin/sh\necho up\nsleep {marker}\n")).run_field("pid", pid.clone());
        let id = server.submit(spec);
        server.wait_logged(id, "up\n").await;
        killed(&server, id, &marker).await;
        assert_eq!(server.wait_returned(id).await.return_success, Some(false), "{pid}");
        assert!(worker.is_running(), "{pid}");
        assert!(bystander.try_wait().unwrap().is_none(), "{pid} was killed");
    }
    // One of an earlier time, of a run that has ended.
    let over = server.add_run(RunSpec::new("").worker("testworker").returned(true));
    server.edit_run(over, |run| run.pid = Some(i64::from(bystander.id())));
    let kill = server.kill(over);
    server.wait_executed(kill).await;
    assert!(bystander.try_wait().unwrap().is_none(), "the process of that number was killed");
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

#[tokio::test]
async fn the_other_runs_are_not_disturbed_by_a_kill() {
    let (server, _worker) = up(&[("concurrent_jobs", "4")]).await;
    let latch = Latch::new();
    let others = ["a", "b", "c"].map(|name| server.submit(latch.script(name)));
    let marker = marker("among others");
    let id = server.submit(format!("#!/bin/sh\necho up\nsleep {marker}\n"));
    for run in others.iter().chain([&id]) {
        server.wait_started(*run).await;
    }
    server.wait_logged(id, "up\n").await;
    killed(&server, id, &marker).await;
    let ended = move |state: &State| others.iter().any(|run| state.run(*run).return_dts.is_some());
    assert!(!server.look(ended));
    latch.let_through(3);
    for run in others {
        assert_eq!(server.wait_returned(run).await.return_success, Some(true));
        server.assert_whole_life(run);
    }
}
