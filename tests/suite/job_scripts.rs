//! Scripts that behave badly, and what becomes of them.

use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};

use crate::job_output::peak_memory;
use crate::kill::{alive, marker, until_alive};
use crate::support::{Latch, Options, Server, WorkerProcess, prints, skip};
use crate::{until, up, worker};

const DAEMONS: [(&str, &str); 6] = [
    ("plain", include_str!("../fixtures/scripts/daemons/plain.sh")),
    ("silent", include_str!("../fixtures/scripts/daemons/silent.sh")),
    ("session", include_str!("../fixtures/scripts/daemons/session.sh")),
    ("double fork", include_str!("../fixtures/scripts/daemons/double_fork.sh")),
    ("nohup", include_str!("../fixtures/scripts/daemons/nohup.sh")),
    ("deaf", include_str!("../fixtures/scripts/daemons/deaf.sh")),
];

/// Ends who carries the marker.
fn end(marker: &str) {
    let pids = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    for pid in pids {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if line.split(|byte| *byte == 0).any(|word| word == marker.as_bytes()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

#[tokio::test]
async fn p12_a_daemon_left_behind_keeps_no_run_open() {
    const LINGER: Duration = Duration::from_secs(1);
    for (leftovers, note) in [
        ("keep", "[job runner worker] Processes that the job started were left running.\n"),
        ("stop", "[job runner worker] Processes that the job left running were stopped.\n"),
    ] {
        let (server, mut worker) = up(&[("linger", "1"), ("leftovers", leftovers), ("concurrent_jobs", "1")]).await;
        for (name, daemon) in DAEMONS {
            let marker = marker(&format!("{leftovers} {name}"));
            let id = server.submit(daemon.replace("@MARK@", &marker));
            server.wait_started(id).await;
            let begun = std::time::Instant::now();
            let run = server.wait_returned(id).await;
            assert!(begun.elapsed() < LINGER + Duration::from_secs(5), "{name}: {:?}", begun.elapsed());
            assert_eq!(run.return_success, Some(true), "{name}");
            assert!(run.log_text().contains("over\n") && run.log_text().ends_with(note), "{name}: {}", run.log_text());
            server.assert_whole_life(id);
            if leftovers == "keep" {
                until_alive(&marker, 1).await;
                end(&marker);
                until("its end", || alive(&marker) == 0).await;
            } else {
                assert_eq!(alive(&marker), 0, "{name}");
            }
        }
        worker.assert_clean_end().await;
    }
}

#[tokio::test]
async fn p11_gigabytes_of_output_in_lines_or_in_one_cost_no_memory() {
    let server = Server::start(Options { deadline: Duration::from_secs(300), ..Options::default() }).await;
    let mut worker =
        WorkerProcess::start(&server, &worker().set("concurrent_jobs", "1").set("log_update_interval", "1"));
    server.wait_up().await;
    // All of a log that is not cut goes through worker and shim before anything is measured.
    for _ in 0..3 {
        let first = server.submit("#!/bin/sh\necho begin\nhead -c 900000 /dev/zero\necho end\n");
        server.wait_returned(first).await;
    }
    let names = ["job_runner_work", "jr-shim"];
    let before: u64 = names.iter().map(|name| peak_memory(&worker, name)).sum();
    let scripts = [
        (include_str!("../fixtures/scripts/ten_gigabytes.sh"), 10_000_000_000_u64, "begin\n", "end\n"),
        (include_str!("../fixtures/scripts/one_line.sh"), 3_000_000_000, "begin", "end"),
    ];
    for (script, bytes, begin, last) in scripts {
        let begun = std::time::Instant::now();
        let id = server.submit(script.replace("@BYTES@", &bytes.to_string()));
        let run = server.wait_returned(id).await;
        let after: u64 = names.iter().map(|name| peak_memory(&worker, name)).sum();
        eprintln!("{bytes} bytes: {:?}, worker and shim had {before} kB, then {after} kB", begun.elapsed());
        let text = run.log_text();
        assert!(text.starts_with(begin) && text.ends_with(last), "{bytes}");
        assert_eq!((text.len(), run.return_success), (819_200 + "\n\n[truncated]\n\n".len(), Some(true)));
        assert!(after < before + 8 * 1024, "{before} kB, then {after} kB");
        server.assert_whole_life(id);
    }
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn p14_a_script_that_kills_its_supervisor_is_lost_a_few_times_and_disturbs_nobody() {
    let (server, mut worker) = up(&[("max_attempts", "3"), ("concurrent_jobs", "4")]).await;
    let latch = Latch::new();
    let others = ["a", "b", "c"].map(|name| server.submit(latch.script(name)));
    for run in others {
        server.wait_logged(run, "waiting").await;
    }
    let id = server.submit(include_str!("../fixtures/scripts/kills_its_parent.sh"));
    let run = server.wait_returned(id).await;
    assert_eq!((run.return_success, run.returns(), run.completions), (Some(false), 1, 1));
    let note = "[job runner worker] The run was lost 3 times: its supervising process died.\n";
    assert_eq!(run.log_text(), format!("attempt 3\n{note}"));
    assert!(worker.is_running());
    latch.let_through(3);
    for run in others {
        assert_eq!(server.wait_returned(run).await.log_text(), "waiting\nthrough\n");
        server.assert_whole_life(run);
    }
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn p14_a_script_that_kills_all_of_its_user_is_lost_a_few_times() {
    if !Uid::effective().is_root() {
        return skip("a user with nothing to lose is root's to make");
    }
    let server = Server::start(Options::default()).await;
    let mut worker = WorkerProcess::start(&server, &worker().unprivileged().set("max_attempts", "2"));
    server.wait_up().await;
    let trace = worker.home().path().join("trace");
    let script = include_str!("../fixtures/scripts/kills_everybody.sh").replace("@TRACE@", trace.to_str().unwrap());
    let id = server.submit(script);
    for _ in 0..2 {
        // As a service manager does.
        worker.wait_exit().await;
        worker.restart().await;
    }
    let run = server.wait_returned(id).await;
    assert_eq!((run.return_success, run.returns()), (Some(false), 1));
    assert!(
        run.log_text().ends_with("The run was lost 2 times: its supervising process died.\n"),
        "{}",
        run.log_text()
    );
    assert_eq!(fs::read_to_string(trace).unwrap(), "attempt 1\nattempt 2\n");
    let next = server.submit(prints("next"));
    assert_eq!(server.wait_returned(next).await.log_text(), "next\n");
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn a_script_that_deletes_itself_and_the_files_of_its_run_is_reported() {
    let (server, mut worker) = up(&[]).await;
    let home = worker.home();
    let state = home.own_state_path();
    let script = include_str!("../fixtures/scripts/deletes_everything.sh")
        .replace("@RUNS@", state.join("runs").to_str().unwrap())
        .replace("@STATE@", state.to_str().unwrap());
    let id = server.submit(script);
    let run = server.wait_returned(id).await;
    assert_eq!((run.return_success, run.returns()), (Some(false), 1));
    server.assert_whole_life(id);
    for _ in 0..2 {
        let next = server.submit(prints("next"));
        assert_eq!(server.wait_returned(next).await.log_text(), "next\n");
    }
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn a_script_has_its_rights_no_terminal_and_a_file_that_is_there() {
    let (server, worker) = up(&[]).await;
    let id = server.submit(include_str!("../fixtures/scripts/rights.sh"));
    let scripts = worker.home().scripts_path();
    let expected = format!("NoNewPrivs:\t0\n/dev/null\n{}\nreadable\n", scripts.display());
    assert_eq!(server.wait_returned(id).await.log_text(), expected);
}

#[tokio::test]
async fn the_longest_durations_are_accepted() {
    let longest = [("run_timeout", "1000000000"), ("kill_grace", "86400"), ("linger", "86400")];
    let (server, mut worker) = up(&longest).await;
    let id = server.submit(prints("short"));
    assert_eq!(server.wait_returned(id).await.log_text(), "short\n");
    let id = server.submit("#!/bin/sh\ntrap 'echo told; exit' TERM\necho up\nwhile :; do sleep 0.05; done\n");
    server.wait_logged(id, "up\n").await;
    let kill = server.kill(id);
    server.wait_executed(kill).await;
    assert!(server.wait_returned(id).await.log_text().contains("told\n"));
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn a_script_that_runs_too_long_is_stopped_and_the_log_says_so() {
    let (server, mut worker) = up(&[("run_timeout", "0.5"), ("kill_grace", "0.3"), ("concurrent_jobs", "8")]).await;
    let deaf = include_str!("../fixtures/scripts/trees/deaf.sh");
    let marker = marker("too long");
    let id = server.submit(deaf.replace("@MARK@", &marker));
    let run = server.wait_returned(id).await;
    let note = "[job runner worker] The job was stopped: it ran longer than its time limit allows.\n";
    assert_eq!((run.log_text(), run.return_success), (format!("up\n{note}").as_str(), Some(false)));
    assert_eq!(alive(&marker), 0);
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn a_script_of_ten_megabytes_is_executed() {
    let (server, mut worker) = up(&[]).await;
    let filler = |megabytes: usize| format!("#!/bin/sh\n{}\necho end\n", "# filler\n".repeat(megabytes * 111_112));
    let id = server.submit(filler(10));
    assert_eq!(server.wait_returned(id).await.log_text(), "end\n");
    server.assert_whole_life(id);
    worker.assert_clean_end().await;
}
