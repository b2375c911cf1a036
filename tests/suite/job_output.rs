//! Output of scripts, and the log that the server gets of it.

use std::fs;
use std::time::Duration;

use crate::support::{Latch, Server, State, WorkerProcess};
use crate::up;

const MARKER: &str = "\n\n[truncated]\n\n";

/// Runs a script to its end, and answers with its log.
async fn log_of(server: &Server, script: &str) -> String {
    let id = server.submit(script);
    let run = server.wait_returned(id).await;
    server.assert_whole_life(id);
    run.log_text().to_owned()
}

/// What the original makes of a log of these characters.
fn as_the_original(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let share = |part: f64| (limit as f64 * part) as usize;
    format!("{}{MARKER}{}", &text[..share(0.2)], &text[text.len() - share(0.8)..])
}

/// The most memory that a process of this name ever had, among those of the worker, in kB.
pub fn peak_memory(worker: &WorkerProcess, name: &str) -> u64 {
    let peaks = worker.home().processes().into_iter().filter_map(|pid| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let field = |name: &str| Some(status.lines().find_map(|line| line.strip_prefix(name))?.trim().to_owned());
        field("VmHWM:").filter(|_| field("Name:").as_deref() == Some(name))?.trim_end_matches(" kB").parse::<u64>().ok()
    });
    peaks.max().unwrap_or_else(|| panic!("there is no {name}"))
}

#[tokio::test]
async fn no_output_is_an_empty_log() {
    let (server, _worker) = up(&[]).await;
    assert_eq!(log_of(&server, "#!/bin/sh\n").await, "");
    assert_eq!(log_of(&server, "#!/bin/sh\nprintf x\n").await, "x");
    assert_eq!(log_of(&server, "#!/bin/sh\necho\n").await, "\n");
}

#[tokio::test]
async fn a_line_of_200_megabytes_costs_no_memory_and_keeps_head_and_tail() {
    let (server, worker) = up(&[("max_log_bytes", "100000")]).await;
    let script = "#!/bin/sh\nprintf begin\nhead -c 200000000 /dev/zero | tr '\\0' x\nprintf end\n";
    log_of(&server, "#!/bin/sh\necho first\n").await;
    let before = ["job_runner_work", "jr-shim"].map(|name| peak_memory(&worker, name));
    let id = server.submit(script);
    let run = server.wait_returned(id).await;
    let after = ["job_runner_work", "jr-shim"].map(|name| peak_memory(&worker, name));
    let text = run.log_text();
    assert_eq!(text.len(), 100_000 + MARKER.len());
    assert!(text.starts_with("beginxxx") && text.ends_with("xxxend"));
    assert_eq!(text.find(MARKER), Some(20_000));
    for (before, after) in before.into_iter().zip(after) {
        assert!(after < before + 4 * 1024, "{before} kB, then {after} kB");
    }
    let spooled: u64 = fs::read_dir(worker.home().state_path().join("testworker/runs"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert!(spooled <= 200_000, "{spooled} bytes on disk");
}

#[tokio::test]
async fn any_bytes_become_text() {
    let (server, _worker) = up(&[]).await;
    let shapes = [
        (r"printf '\377\376'", "\u{fffd}\u{fffd}"),
        (r"printf 'a\303'", "a\u{fffd}"),
        (r"printf '\360\237\230'", "\u{fffd}"),
        (r"printf '\303\251\n'", "\u{e9}\n"),
        (r"printf '\360\237'; sleep 0.1; printf '\230\200'", "\u{1f600}"),
        (r"printf 'a\000b\001\177'", "a\0b\u{1}\u{7f}"),
        (r"printf '\033[31mred\033[0m\a\b'", "\u{1b}[31mred\u{1b}[0m\u{7}\u{8}"),
        (r"printf '10%%\r50%%\r100%%\r\n'", "10%\r50%\r100%\r\n"),
        (r"printf 'h\000i\000'", "h\0i\0"),
        (r"printf '\357\273\277bom \357\273\277'", "\u{feff}bom \u{feff}"),
        (r"printf '\342\200\250\342\200\251'", "\u{2028}\u{2029}"),
        (r"printf '\355\240\200'", "\u{fffd}\u{fffd}\u{fffd}"),
        (r"printf '<script>alert(1)</script> & \042 \134 \134u0041'", "<script>alert(1)</script> & \" \\ \\u0041"),
        (r"printf 'e\314\201 \327\251\327\234\327\225\327\235'", "e\u{301} \u{5e9}\u{5dc}\u{5d5}\u{5dd}"),
    ];
    for (script, text) in shapes {
        assert_eq!(log_of(&server, &format!("#!/bin/bash\n{script}\n")).await, text, "{script}");
    }
}

#[tokio::test]
async fn random_bytes_of_any_length_return() {
    let (server, _worker) = up(&[("max_log_bytes", "1003"), ("concurrent_jobs", "8")]).await;
    let lengths = [1, 2, 3, 1002, 1003, 1004, 5000, 70_000];
    let runs = lengths.map(|length| server.submit(format!("#!/bin/sh\nhead -c {length} /dev/urandom\n")));
    for id in runs {
        let run = server.wait_returned(id).await;
        server.assert_whole_life(id);
        assert!(run.log_text().len() <= 1003 + MARKER.len(), "{}", run.log_text().len());
        assert_eq!(run.return_success, Some(true));
    }
}

#[tokio::test]
async fn a_log_at_the_limit_is_whole_and_one_beyond_is_cut_as_the_original_does() {
    for limit in [1000_usize, 1001, 1003, 1004, 7] {
        let (server, _worker) = up(&[("max_log_bytes", &limit.to_string()), ("concurrent_jobs", "8")]).await;
        let lengths = [limit - 1, limit, limit + 1, limit + 2, 2 * limit, 50_000];
        let text: String = (0..).map(|n: u32| format!("{n} ")).take(20_000).collect();
        let runs = lengths.map(|length| {
            server.submit(format!("#!/bin/sh\nprintf %s \"$(seq -s ' ' 0 20000 | head -c {length})\"\nprintf .\n"))
        });
        for (id, length) in runs.into_iter().zip(lengths) {
            // The shell takes a space at the end as it is, and the point makes one more.
            let whole = format!("{}.", &text[..length]);
            assert_eq!(
                server.wait_returned(id).await.log_text(),
                as_the_original(&whole, limit),
                "{length} of {limit}"
            );
        }
    }
}

#[tokio::test]
async fn a_limit_below_the_size_of_the_marker_works() {
    for (limit, text) in [("0", MARKER.to_owned()), ("1", MARKER.to_owned()), ("5", format!("a{MARKER}wxyz"))] {
        let (server, _worker) = up(&[("max_log_bytes", limit)]).await;
        let log = log_of(&server, "#!/bin/sh\nprintf abcdefghijklmnopqrstuvwxyz\n").await;
        assert_eq!(log, text, "limit {limit}");
    }
}

#[tokio::test]
async fn a_cut_divides_no_character() {
    for limit in [1000, 1001, 1002, 1003] {
        let (server, _worker) = up(&[("max_log_bytes", &limit.to_string())]).await;
        let log =
            log_of(&server, "#!/bin/bash\nfor ((n = 0; n < 1000; n++)); do printf '\\360\\237\\230\\200'; done\n")
                .await;
        let (head, tail) = log.split_once(MARKER).expect("a cut log");
        assert!(head.chars().chain(tail.chars()).all(|c| c == '\u{1f600}'), "limit {limit}");
        assert!((limit - 8..=limit).contains(&(head.len() + tail.len())), "limit {limit}");
    }
}

#[tokio::test]
async fn a_log_is_there_while_the_script_runs_and_grows_with_it() {
    let (server, _worker) = up(&[("log_update_interval", "0.2")]).await;
    let latch = Latch::new();
    let script = latch.script("a") + &latch.script("b").replace("#!/bin/sh\n", "");
    let id = server.submit(script);
    server.wait_logged(id, "waiting\n").await;
    assert_eq!(server.run(id).log_text(), "waiting\n");
    latch.let_through(1);
    server.wait(move |state| state.run(id).log_text() == "waiting\nthrough\nwaiting\n", "more of the log").await;
    latch.let_through(1);
    assert_eq!(server.wait_returned(id).await.log_text(), "waiting\nthrough\nwaiting\nthrough\n");
    server.assert_whole_life(id);
    server.look(|state| assert_eq!(state.calls_of("POST", "/api/v1/run_log/").count(), 1));
    server.assert_no_overlapping_writes();
}

#[tokio::test]
async fn a_live_log_is_sent_no_more_often_than_allowed_and_only_when_it_changed() {
    let (server, _worker) = up(&[("log_update_interval", "1")]).await;
    let latch = Latch::new();
    let chatty = server.submit("#!/bin/bash\nfor ((n = 0; n < 300; n++)); do echo $n; sleep 0.01; done\n");
    let silent = server.submit(latch.script("silent"));
    server.wait_returned(chatty).await;
    let times: Vec<_> = server.run(chatty).log_history.iter().map(|version| version.at).collect();
    assert!(times.len() >= 3, "{} times", times.len());
    // The last comes with the end, which does not wait.
    for pair in times[..times.len() - 1].windows(2) {
        assert!(pair[1] - pair[0] >= Duration::from_millis(950), "{:?}", pair[1] - pair[0]);
    }
    assert_eq!(server.run(silent).log_history.len(), 1);
    latch.let_through(1);
    server.wait_returned(silent).await;
    assert_eq!(server.run(silent).log_history.len(), 2);
}

#[tokio::test]
async fn without_an_interval_the_log_comes_at_the_end_alone() {
    let (server, _worker) = up(&[("log_update_interval", "0")]).await;
    let latch = Latch::new();
    let id = server.submit(latch.script("end"));
    server.wait_started(id).await;
    let logged = move |state: &State| state.run(id).log.is_some();
    server.never_within(Duration::from_millis(500), logged, "a log before the end").await;
    latch.let_through(1);
    assert_eq!(server.wait_returned(id).await.log_history.len(), 1);
    server.assert_whole_life(id);
}

#[tokio::test]
async fn both_outputs_come_in_the_order_in_which_they_were_written() {
    let (server, _worker) = up(&[]).await;
    let log = log_of(&server, "#!/bin/bash\nfor ((n = 0; n < 200; n++)); do echo $n; echo $n >&2; done\n").await;
    assert_eq!(log, (0..200).map(|n| format!("{n}\n{n}\n")).collect::<String>());
}

#[tokio::test]
async fn a_million_small_writes_lose_nothing_but_the_middle() {
    let (server, _worker) = up(&[("max_log_bytes", "10000")]).await;
    let script = "#!/usr/bin/env perl\nsyswrite STDOUT, \"$_\\n\" for 0..999999\n";
    let log = log_of(&server, script).await;
    let whole: String = (0..1_000_000).map(|n| format!("{n}\n")).collect();
    assert_eq!(log, as_the_original(&whole, 10_000));
}

#[tokio::test]
async fn much_output_gets_a_larger_pipe_and_little_does_not() {
    let (server, mut worker) = up(&[]).await;
    // F_GETPIPE_SZ of the script's own output. Much output is pieces that fill any new pipe, until it is larger.
    let script = |pieces: &str| {
        format!(
            "#!/usr/bin/env perl\nsub size {{ fcntl(STDOUT, 1032, 0) }}\n{pieces}\n\
             syswrite STDOUT, \"\\nsize \" . size() . \"\\n\";\n"
        )
    };
    let little = "syswrite STDOUT, 'x' x 1000;";
    let much = "my $piece = 'x' x 1_000_000; do { syswrite STDOUT, $piece } until size() > 65_536;";
    for (pieces, expected) in [(little, 65_536), (much, 524_288)] {
        let log = log_of(&server, &script(pieces)).await;
        assert!(log.ends_with(&format!("x\nsize {expected}\n")), "{}", &log[log.len().saturating_sub(100)..]);
    }
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn only_exit_status_0_is_success_and_a_signal_is_named() {
    let (server, _worker) = up(&[("concurrent_jobs", "16")]).await;
    let ends = [
        ("exit 0", true, ""),
        ("exit 1", false, ""),
        ("exit 126", false, ""),
        ("exit 127", false, ""),
        ("exit 255", false, ""),
        ("exit 256", true, ""),
        ("kill -SEGV $$", false, "[job runner worker] The job was ended by signal 11 (SIGSEGV).\n"),
        ("kill -KILL $$", false, "[job runner worker] The job was ended by signal 9 (SIGKILL).\n"),
        ("kill -TERM $$", false, "[job runner worker] The job was ended by signal 15 (SIGTERM).\n"),
        ("kill -HUP $$", false, "[job runner worker] The job was ended by signal 1 (SIGHUP).\n"),
        ("yes | head -1 >/dev/null", true, ""),
    ];
    let runs = ends.map(|(end, ..)| server.submit(format!("#!/bin/bash\nulimit -c 0\n{end}\n")));
    for (id, (end, success, note)) in runs.into_iter().zip(ends) {
        let run = server.wait_returned(id).await;
        assert_eq!((run.return_success, run.log_text()), (Some(success), note), "{end}");
        server.assert_whole_life(id);
    }
}

#[tokio::test]
async fn job_output_that_imitates_our_markers_is_plain_output() {
    let (server, _worker) = up(&[]).await;
    let fake = "\n\n[truncated]\n\n[job runner worker] Could not execute job: no\n{\"return_success\": false}\n";
    let id = server.submit(format!("#!/bin/sh\ncat <<'END'\n{fake}END\n"));
    let run = server.wait_returned(id).await;
    assert_eq!((run.return_success, run.log_text()), (Some(true), fake));
}

#[tokio::test]
async fn a_script_that_closes_its_output_runs_on() {
    let (server, _worker) = up(&[("linger", "1")]).await;
    let latch = Latch::new();
    let id = server.submit(latch.script("closed").replace("echo waiting\n", "echo last words\nexec >&- 2>&-\n"));
    server.wait_logged(id, "last words\n").await;
    let ended = move |state: &State| state.run(id).return_dts.is_some();
    server.never_within(Duration::from_millis(1500), ended, "its end").await;
    latch.let_through(1);
    assert_eq!(server.wait_returned(id).await.log_text(), "last words\n");
    assert_eq!(latch.executions("closed"), 1);
    assert_eq!(log_of(&server, "#!/bin/sh\necho here\nexec >/dev/null 2>&1\necho nowhere\n").await, "here\n");
}

#[tokio::test]
async fn what_a_child_writes_within_linger_is_in_the_log() {
    let (server, _worker) = up(&[("linger", "20")]).await;
    let log = log_of(&server, "#!/bin/sh\n(sleep 0.3; echo child) &\necho parent\n").await;
    assert_eq!(log, "parent\nchild\n");
}

/// The pid that a script wrote to its log behind `pid `.
fn pid_in(log: &str) -> i32 {
    log.lines().find_map(|line| line.strip_prefix("pid ")).expect("a pid").parse().expect("a number")
}

fn lives(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

#[tokio::test]
async fn a_daemon_that_holds_the_output_holds_no_run_and_is_left_alone() {
    let (server, _worker) = up(&[("linger", "1"), ("concurrent_jobs", "1")]).await;
    let id = server.submit("#!/bin/sh\nsetsid sh -c 'while :; do sleep 0.1; echo tick; done' &\necho pid $!\n");
    let run = server.wait_returned(id).await;
    assert_eq!(run.return_success, Some(true));
    let note = "[job runner worker] Processes that the job started were left running.\n";
    assert!(run.log_text().ends_with(note), "{}", run.log_text());
    // It writes on: with nobody to read it would end by SIGPIPE.
    let next = log_of(&server, "#!/bin/sh\nsleep 0.5\necho next\n").await;
    assert_eq!(next, "next\n");
    assert!(lives(pid_in(run.log_text())));
    server.assert_whole_life(id);
}

#[tokio::test]
async fn a_daemon_is_stopped_with_leftovers_stop() {
    let (server, _worker) = up(&[("linger", "0.5"), ("leftovers", "stop")]).await;
    for start in ["setsid sleep 1000 &", "sleep 1000 >/dev/null 2>&1 &", "nohup setsid sleep 1000 >/dev/null 2>&1 &"] {
        let id = server.submit(format!("#!/bin/sh\n{start}\necho pid $!\n"));
        let run = server.wait_returned(id).await;
        assert_eq!(run.return_success, Some(true));
        let note = "[job runner worker] Processes that the job left running were stopped.\n";
        assert!(run.log_text().ends_with(note), "{start}: {}", run.log_text());
        assert!(!lives(pid_in(run.log_text())), "{start}");
    }
}

#[tokio::test]
async fn a_worker_that_restarts_leaves_no_gap_in_a_log() {
    let (server, mut worker) = up(&[("log_update_interval", "0.2")]).await;
    let id = server.submit("#!/bin/bash\nfor ((n = 0; n < 150; n++)); do echo $n; sleep 0.01; done\n");
    for line in ["\n10\n", "\n60\n"] {
        server.wait_logged(id, line).await;
        worker.restart().await;
    }
    let run = server.wait_returned(id).await;
    assert_eq!(run.log_text(), (0..150).map(|n| format!("{n}\n")).collect::<String>());
    server.assert_whole_life(id);
}
