//! A run's way from its announcement to its return.

use std::os::unix::fs::PermissionsExt;

use crate::support::{Latch, Options, Server, WorkerProcess};
use crate::{up, worker};

#[tokio::test]
async fn an_announced_run_is_claimed_executed_logged_and_returned() {
    let (server, mut worker) = up(&[]).await;
    let id = server.submit("#!/bin/sh\necho hello\necho there >&2\n");
    let run = server.wait_returned(id).await;
    assert_eq!((run.log_text(), run.return_success), ("hello\nthere\n", Some(true)));
    server.wait_event("returned", id).await;
    server.assert_whole_life(id);
    assert_eq!(worker.stop().await, 0);
}

/// What of a run's log says why it was not started.
fn refusal(log: &str) -> &str {
    log.strip_prefix("[job runner worker] Could not execute job: ").unwrap_or_else(|| panic!("{log}"))
}

#[tokio::test]
async fn the_first_line_is_read_as_the_original_read_it() {
    let (server, _worker) = up(&[("concurrent_jobs", "16")]).await;
    let scripts = [
        ("#!/bin/sh\necho plain\n", "plain\n"),
        ("#!/bin/sh\r\necho crlf\r\n", "crlf\n"),
        ("#!/bin/bash\nprintf 'a\rb'\n", "a\rb"),
        ("\u{feff}#!/bin/sh\necho marked\n", "marked\n"),
        ("#!/bin/bash -e -u\necho two; false; echo never\n", "two\n"),
        ("#!/usr/bin/env perl\nprint \"perl\\n\"\n", "perl\n"),
        ("#!/usr/bin/env perl -w\nprint \"warns: $^W\\n\"\n", "warns: 1\n"),
        ("#! /bin/sh\necho spaced\n", "spaced\n"),
        ("#!/bin/echo 'one word' \"two words\" a\\ b\n", ""),
        ("#!sh\necho searched\n", "searched\n"),
        ("#!/bin/cat\nno newline at the end", "#!/bin/cat\nno newline at the end"),
        ("#!/bin/sh\necho 'gr\u{fc}\u{df}e \u{1f600}'\n", "gr\u{fc}\u{df}e \u{1f600}\n"),
        ("#!/bin/sh\necho '#!not the first'\n", "#!not the first\n"),
    ];
    let runs = scripts.map(|(script, _)| server.submit(script));
    for (id, (script, log)) in runs.into_iter().zip(scripts) {
        let run = server.wait_returned(id).await;
        server.assert_whole_life(id);
        if script.starts_with("#!/bin/echo") {
            assert!(run.log_text().starts_with("one word two words a b /"), "{}", run.log_text());
        } else {
            assert_eq!(run.log_text(), log, "{script:?}");
        }
    }
}

#[tokio::test]
async fn a_script_that_cannot_be_started_fails_its_run_with_the_reason() {
    let (server, _worker) = up(&[("concurrent_jobs", "16")]).await;
    let long = format!("#!/bin/sh {}\n", "x".repeat(5000));
    let scripts = [
        ("", "The first line of the job to run needs to start with a shebang (#!)."),
        ("\n#!/bin/sh\n", "The first line of the job to run needs to start with a shebang (#!)."),
        ("echo hello\n", "The first line of the job to run needs to start with a shebang (#!)."),
        (" #!/bin/sh\n", "The first line of the job to run needs to start with a shebang (#!)."),
        ("#!\n", "The first line names an empty interpreter."),
        ("#!   \n", "The first line names an empty interpreter."),
        ("#!/bin/sh -c \"x\n", "The first line has a quotation without an end"),
        ("#!/bin/sh\0\n", "The first line contains a NUL character."),
        (&long, "The first line is 5010 bytes long"),
        ("#!/no/such/interpreter\n", "The interpreter \"/no/such/interpreter\" could not be executed: No such file"),
        ("#!/bin/b\u{e4}sh\n", "The interpreter \"/bin/b\u{e4}sh\" could not be executed: No such file"),
        ("#!/tmp\n", "The interpreter \"/tmp\" could not be executed: Permission denied"),
        ("#!/etc/passwd\n", "The interpreter \"/etc/passwd\" could not be executed: Permission denied"),
        ("#!no-such-name\n", "The interpreter \"no-such-name\" was not found."),
    ];
    let runs = scripts.map(|(script, _)| server.submit(script));
    for (id, (script, why)) in runs.into_iter().zip(scripts) {
        let run = server.wait_returned(id).await;
        let log = refusal(run.log_text());
        assert!(log.starts_with(why), "{script:?}: {log}");
        assert!(log.len() < 400, "{log}");
        let told = (run.return_success, run.start_dts.is_some(), run.pid, run.completions);
        assert_eq!(told, (Some(false), true, None, 1), "{script:?}");
        run.check_order().unwrap();
    }
    let next = server.submit("#!/bin/sh\necho next\n");
    server.wait_returned(next).await;
    server.assert_whole_life(next);
}

#[tokio::test]
async fn a_file_that_is_no_program_is_no_interpreter() {
    let (server, worker) = up(&[]).await;
    let file = worker.home().path().join("no-program");
    std::fs::write(&file, "\x7fELF but not really").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o700)).unwrap();
    let id = server.submit(format!("#!{}\n", file.display()));
    let run = server.wait_returned(id).await;
    assert!(refusal(run.log_text()).contains("could not be executed: Exec format error"), "{}", run.log_text());
}

#[tokio::test]
async fn a_script_of_seven_megabytes_is_executed() {
    let (server, _worker) = up(&[]).await;
    let id = server.submit(format!("#!/bin/sh\necho begin\n{}\necho end\n", "# filler\n".repeat(800_000)));
    assert_eq!(server.wait_returned(id).await.log_text(), "begin\nend\n");
    server.assert_whole_life(id);
}

#[tokio::test]
async fn a_script_knows_its_run_and_nothing_of_the_workers_settings() {
    let server = Server::start(Options::default()).await;
    let options = worker()
        .env("JOB_RUNNER_WORKER_LOG_LEVEL", "debug")
        .env("CREDENTIALS_DIRECTORY", "/nowhere")
        .env("CONFIG_PATH", "/nowhere/at/all")
        .env("WATCHDOG_USEC", "1")
        .env("A_VARIABLE_OF_THE_OPERATOR", "kept");
    let _worker = WorkerProcess::start(&server, &options);
    server.wait_up().await;
    let id = server.submit("#!/usr/bin/env bash\nenv\n");
    let log = server.wait_returned(id).await.log.expect("a log");
    let has = |name: &str| log.lines().any(|line| line.split('=').next() == Some(name));
    assert!(log.lines().any(|line| line == format!("JOB_RUNNER_RUN_ID={id}")), "{log}");
    assert!(has("A_VARIABLE_OF_THE_OPERATOR") && has("PATH") && has("JOB_RUNNER_ATTEMPT"), "{log}");
    for name in ["CONFIG_PATH", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_USEC"] {
        assert!(!has(name), "{name} in {log}");
    }
    assert!(!log.contains("JOB_RUNNER_WORKER_") && !log.contains("verysecret"), "{log}");
}

#[tokio::test]
async fn a_clean_environment_is_a_small_one() {
    let server = Server::start(Options::default()).await;
    let options = worker().set("environment", "clean").env("A_VARIABLE_OF_THE_OPERATOR", "kept");
    let _worker = WorkerProcess::start(&server, &options);
    server.wait_up().await;
    let id = server.submit("#!/usr/bin/perl\nprint \"$_\\n\" for sort keys %ENV\n");
    let log = server.wait_returned(id).await.log.expect("a log");
    let usual = ["PATH", "HOME", "LANG", "TZ", "USER", "LOGNAME", "SHELL", "LC_CTYPE"];
    for name in log.lines() {
        assert!(usual.contains(&name) || name.starts_with("JOB_RUNNER_"), "{name}");
    }
}

#[tokio::test]
async fn a_script_reads_nothing_and_inherits_no_open_file() {
    let (server, _worker) = up(&[]).await;
    let id = server.submit("#!/bin/bash\nread -r line; echo \"read $? <$line>\"\nreadlink /proc/$$/fd/0\ntty\n");
    let run = server.wait_returned(id).await;
    assert_eq!(run.log_text(), "read 1 <>\n/dev/null\nnot a tty\n");
    let script =
        "#!/usr/bin/perl\nfor (3..1023) { my $to = readlink \"/proc/self/fd/$_\"; print \"$_ $to\\n\" if $to }\n";
    let id = server.submit(script);
    // The interpreter has closed the script itself by then or keeps it: nothing else may be there.
    let log = server.wait_returned(id).await.log.expect("a log");
    assert!(log.lines().all(|line| line.contains("/job-runner-")), "{log}");
    let id = server
        .submit("#!/bin/bash\nfor fd in 3 4 5 6 7 8 9; do (echo leak >&$fd) 2>/dev/null && echo $fd; done; true\n");
    assert_eq!(server.wait_returned(id).await.log_text(), "");
}

#[tokio::test]
async fn a_script_has_a_session_of_its_own_and_the_workers_place_and_mask() {
    let (server, worker) = up(&[]).await;
    let pid = worker.id().unwrap();
    let id = server.submit("#!/bin/bash\ncut -d' ' -f6 /proc/$$/stat; echo $$; pwd -P; umask; trap -p; ulimit -n\n");
    let log = server.wait_returned(id).await.log.expect("a log");
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines[0], lines[1], "{log}");
    assert_eq!(lines[2], std::env::current_dir().unwrap().canonicalize().unwrap().to_str().unwrap());
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("Umask:")).unwrap().trim();
    assert_eq!(lines[3], mask);
    assert_eq!(lines.len(), 5, "ignored signals: {log}");
}

#[tokio::test]
async fn no_signal_is_blocked_or_ignored_in_a_script() {
    let (server, _worker) = up(&[]).await;
    let id = server.submit("#!/bin/cat /proc/self/status\n");
    let log = server.wait_returned(id).await.log.expect("a log");
    for mask in ["SigBlk", "SigIgn"] {
        let value = log.lines().find_map(|line| line.strip_prefix(&format!("{mask}:"))).unwrap().trim();
        // Those above are nobody's but the C library's, and are as they were around us.
        assert_eq!(u64::from_str_radix(value, 16).unwrap() & 0x7fff_ffff, 0, "{mask}");
    }
}

#[tokio::test]
async fn the_file_of_a_script_is_private_while_it_runs_and_gone_afterwards() {
    let (server, worker) = up(&[("log_update_interval", "0")]).await;
    let scripts = worker.home().scripts_path();
    let latch = Latch::new();
    let id = server.submit(latch.script("private"));
    server.wait_started(id).await;
    let files: Vec<_> = std::fs::read_dir(&scripts).unwrap().map(Result::unwrap).collect();
    assert_eq!(files.len(), 1);
    assert_eq!(files[0].metadata().unwrap().permissions().mode() & 0o7777, 0o600);
    latch.let_through(1);
    server.wait_returned(id).await;
    for script in ["#!/bin/sh\nrm \"$0\"\n", "#!/no/such\n", "#!/bin/sh\nexit 3\n", "#!/bin/sh\nkill -9 $$\n"] {
        let id = server.submit(script);
        server.wait_returned(id).await;
    }
    assert_eq!(std::fs::read_dir(&scripts).unwrap().count(), 0);
    let removed = server.submit("#!/bin/sh\nrm \"$0\"\necho done\n");
    let run = server.wait_returned(removed).await;
    assert_eq!((run.return_success, run.log_text()), (Some(true), "done\n"));
}

#[tokio::test]
async fn scripts_may_lie_in_a_folder_with_a_space_in_its_name() {
    let server = Server::start(Options::default()).await;
    let folder = tempfile::Builder::new().prefix("a folder with 'spaces' ").tempdir().unwrap();
    let _worker = WorkerProcess::start(&server, &worker().set("script_temp_path", folder.path().display()));
    server.wait_up().await;
    let id = server.submit("#!/bin/sh -e\necho \"$0\"; cd \"$(dirname \"$0\")\"; pwd\n");
    let run = server.wait_returned(id).await;
    let (path, place) = run.log_text().trim_end().split_once('\n').expect("two lines");
    assert_eq!(place, folder.path().to_str().unwrap());
    assert!(path.starts_with(place), "{path}");
    server.assert_whole_life(id);
}

#[tokio::test]
async fn a_script_that_stops_itself_can_be_killed() {
    let (server, _worker) = up(&[]).await;
    let id = server.submit("#!/bin/sh\necho up\nkill -STOP $$\necho never\n");
    server.wait_logged(id, "up\n").await;
    let kill = server.kill(id);
    server.wait_executed(kill).await;
    assert_eq!(server.wait_returned(id).await.return_success, Some(false));
    server.assert_whole_life(id);
}

#[tokio::test]
async fn the_run_after_a_killed_one_is_not_touched() {
    let (server, mut worker) = up(&[("concurrent_jobs", "1")]).await;
    for _ in 0..3 {
        let doomed = server.submit("#!/bin/sh\necho waiting\nsleep 600\n");
        server.wait_logged(doomed, "waiting").await;
        let kill = server.kill(doomed);
        server.wait_executed(kill).await;
        assert_eq!(server.wait_returned(doomed).await.return_success, Some(false));
        let next = server.submit("#!/bin/sh\nsleep 0.1\necho fine\n");
        let run = server.wait_returned(next).await;
        assert_eq!((run.log_text(), run.return_success), ("fine\n", Some(true)));
    }
    assert_eq!(worker.stop().await, 0);
}
