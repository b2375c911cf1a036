//! The program `job_runner` end to end: a server and a worker in one process, real scripts.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;
use tokio::time::timeout;

use crate::program::Place;

/// A script that lasts, and says so.
const LASTING: &str = "#!/bin/sh\necho begun\nexec sleep 1000\n";

#[tokio::test]
async fn run_ends_as_the_script_does_and_leaves_nothing() {
    let place = Place::new();
    for (name, script, args, code, out) in [
        ("well", "#!/bin/sh\necho one; echo two >&2\n", &[][..], 0, "one\ntwo\n"),
        ("three", "#!/bin/sh\necho out; exit 3\n", &[], 3, "out\n"),
        ("signal", "#!/bin/sh\nkill -SEGV $$\n", &[], 128 + 11, "SIGSEGV"),
        ("long", "#!/bin/sh\nexec sleep 1000\n", &["--timeout", "1"], 124, "longer than"),
    ] {
        let script = place.script(name, script);
        let args = [&["run"], args, &[script.to_str().expect("text")]].concat();
        let done = place.run(&args).await;
        assert_eq!(done.code, code, "{name}: {done:?}");
        assert!(done.out.contains(out), "{name}: {done:?}");
        assert!(done.err.starts_with("job_runner: run 1 ("), "{name}: {done:?}");
    }
    assert!(place.temporary_files().is_empty(), "{:?}", place.temporary_files());
}

#[tokio::test]
async fn ctrl_c_kills_the_run_and_leaves_nothing() {
    let place = Place::new();
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let script = "#!/bin/sh\nsleep 1000 &\necho begun $!\nwait\n";
        place.script("lasting", script);
        let mut run = place.start(&["run", "--quiet", "lasting"]);
        let child = run.line_with("begun").await.replace("begun ", "");
        run.signal(signal);
        let done = run.end().await;
        assert_eq!(done.code, code, "{done:?}");
        assert!(!std::path::Path::new("/proc").join(&child).exists(), "process {child} goes on");
    }
    assert!(place.temporary_files().is_empty(), "{:?}", place.temporary_files());
}

#[tokio::test]
async fn every_refusal_is_one_line() {
    let place = Place::new();
    place.script("plain", "echo hello\n");
    place.script("good", "#!/bin/sh\n");
    for (args, code, said) in [
        (&["run", "nosuch"][..], 66, "nosuch: No such file"),
        (&["run", "plain"], 1, "shebang"),
        (&["run", "--detach", "good"], 69, "standalone"),
        (&["jobs"], 69, "standalone"),
        (&["logs", "--server", "ftp://x", "1"], 2, "http://"),
        (&["jobs", "--server", "http://127.0.0.1:1"], 77, "token"),
        (&["standalone", "--listen", "0.0.0.0:0"], 2, "this machine alone"),
        (&["serve", "--config", "nosuch.ini"], 66, "nosuch.ini"),
    ] {
        let done = place.run(args).await;
        assert_eq!(done.code, code, "{args:?}: {done:?}");
        assert!(done.err.contains(said), "{args:?}: {done:?}");
        assert_eq!(done.err.lines().count(), 1, "{args:?}: {done:?}");
        assert!(done.out.is_empty(), "{args:?}: {done:?}");
    }
    for args in [&[][..], &["run"], &["nonsense"], &["kill", "x"]] {
        assert_eq!(place.run(args).await.code, 2, "{args:?}");
    }
}

#[tokio::test]
async fn standalone_shows_its_first_finished_run_within_three_seconds() {
    let place = Place::new();
    let begun = Instant::now();
    let (standalone, _) = place.standalone().await;
    let followed = place.run(&["logs", "-f", "1"]).await;
    let took = begun.elapsed();
    println!("first start to first finished run: {took:?}");
    assert!(followed.out.contains("Hello from run 1"), "{followed:?}");
    assert!(took < Duration::from_secs(3), "{took:?}");

    let runs = place.run(&["runs", "--json", "--job", "hello"]).await.json();
    let first = runs["runs"].as_array().and_then(|runs| runs.last()).expect("a run");
    assert_eq!((&first["id"], &first["state"], &first["exit_code"]), (&json!(1), &json!("succeeded"), &json!(0)));
    let jobs = place.run(&["jobs", "--json"]).await.json();
    assert_eq!(jobs["jobs"][0]["schedule"], "every hour");
    let workers = place.run(&["workers", "--json"]).await.json();
    assert_eq!((&workers["workers"][0]["title"], &workers["workers"][0]["enabled"]), (&json!("local"), &json!(true)));

    standalone.signal(Signal::SIGINT);
    assert_eq!(standalone.end().await.code, 0);
}

#[tokio::test]
async fn commands_in_the_same_directory_reach_a_standalone_server() {
    let place = Place::new();
    let (standalone, _) = place.standalone().await;
    // Another one on the same data is refused.
    let second = place.run(&["standalone"]).await;
    assert_eq!(second.code, 75, "{second:?}");

    place.script("three", "#!/bin/sh\necho three\nexit 3\n");
    let done = place.run(&["run", "three"]).await;
    assert_eq!((done.code, done.out.as_str()), (3, "three\n"), "{done:?}");

    place.script("lasting", LASTING);
    let made = place.run(&["job", "add", "lasting", "--name", "nightly", "--cron", "0 3 * * *", "--json"]).await.json();
    assert_eq!(made["title"], "nightly");
    let run = place.run(&["schedule", "nightly", "--json"]).await.json();
    assert_eq!((&run["title"], &run["manual"]), (&json!("nightly"), &json!(true)));
    let id = run["id"].to_string();
    let mut logs = place.start(&["logs", "-f", &id]);
    logs.line_with("begun").await;
    let why = place.run(&["why", "nightly"]).await;
    assert!(why.out.contains(&format!("run {id} is running on local")), "{why:?}");
    let killed = place.run(&["kill", &id, "--json"]).await.json();
    assert_eq!(killed["what"], "kill");
    assert_eq!(logs.end().await.code, 0);
    let runs = place.run(&["runs", "--json", "--job", "nightly"]).await.json();
    let ended = runs["runs"].as_array().and_then(|runs| runs.iter().find(|run| run["id"].as_i64() == id.parse().ok()));
    assert_eq!(ended.expect("the run")["state"], "killed");
    assert_eq!(place.run(&["kill", &id, "--json"]).await.json()["what"], "over");

    let off = place.run(&["disable", "nightly", "--reason", "the disk is full", "--json"]).await.json();
    assert_eq!((&off["enabled"], &off["disabled_reason"]), (&json!(false), &json!("the disk is full")));
    let why = place.run(&["why", "nightly", "--json"]).await.json();
    assert_eq!(why["now"][0], "the job is disabled: the disk is full");
    assert_eq!(place.run(&["enable", "nightly", "--json"]).await.json()["enabled"], true);

    let detached = place.run(&["run", "--detach", "lasting"]).await;
    let cancelled = detached.out.trim();
    assert!(cancelled.parse::<i64>().is_ok(), "{detached:?}");
    assert_eq!(place.run(&["kill", cancelled]).await.code, 0);
    for args in [&["why", "nosuch"][..], &["logs", "999"], &["kill", "999"], &["schedule", "nosuch"]] {
        let done = place.run(args).await;
        assert_eq!((done.code, done.err.lines().count()), (1, 1), "{args:?}: {done:?}");
    }
    // Who is no operator is told so.
    let other = place.script("other.token", "0123456789abcdef0123456789\n");
    let address = std::fs::read_to_string(place.path().join("job_runner_data/server.lock")).expect("an address");
    let server = format!("http://{}/", address.trim());
    let token = other.to_str().expect("text");
    let refused = place.run(&["jobs", "--server", &server, "--token-file", token]).await;
    assert_eq!(refused.code, 77, "{refused:?}");

    standalone.signal(Signal::SIGTERM);
    assert_eq!(standalone.end().await.code, 0);
}

#[tokio::test]
async fn a_drain_waits_for_running_runs_and_the_next_start_keeps_all_data() {
    let place = Place::new();
    let (standalone, _) = place.standalone().await;
    let end = place.path().join("end");
    let script = format!("#!/bin/sh\nmkfifo {0}\necho begun\nread line < {0}\necho \"$line\"\n", end.display());
    place.script("waits", &script);
    let mut run = place.start(&["run", "waits"]);
    run.line_with("begun").await;
    standalone.signal(Signal::SIGINT);
    // The server still answers while it drains: the run that is under way is seen to its end.
    let write = tokio::fs::write(&end, "to the end\n");
    write.await.expect("the script reads");
    let seen = run.end().await;
    assert_eq!((seen.code, seen.out.as_str()), (0, "to the end\n"), "{seen:?}");
    let ended = standalone.end().await;
    assert_eq!(ended.code, 0, "{ended:?}");
    // Another port, the same data and the same worker.
    let (standalone, _) = place.standalone().await;
    let runs = place.run(&["runs", "--json", "--job", "waits"]).await.json();
    assert_eq!(runs["runs"][0]["state"], "succeeded");
    let again = place.run(&["schedule", "hello", "--json"]).await.json();
    let followed = place.run(&["logs", "-f", &again["id"].to_string()]).await;
    assert!(followed.out.contains("Hello from run"), "{followed:?}");
    standalone.signal(Signal::SIGINT);
    assert_eq!(standalone.end().await.code, 0);
}

#[tokio::test]
async fn a_taken_port_is_reported_and_replaced() {
    let place = Place::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let listen = format!("127.0.0.1:{port}");
    let mut standalone = place.start(&["standalone", "--listen", &listen]);
    let login = standalone.line_with("/login?token=").await;
    assert!(!login.contains(&format!(":{port}/")), "{login}");
    assert_eq!(place.run(&["jobs"]).await.code, 0);
    standalone.signal(Signal::SIGINT);
    let done = standalone.end().await;
    assert!(done.err.contains(&format!("port {port} is taken; port ")), "{done:?}");
}

#[tokio::test]
async fn serve_reports_every_mistake_at_once() {
    let place = Place::new();
    place.script("bad.ini", "[job_runner]\nlisten = 0.0.0.0:80\nping_interval = soon\nmax_losses = 0\n");
    for args in [&["serve", "--config", "bad.ini", "--check-config"][..], &["serve", "--config", "bad.ini"]] {
        let done = place.run(args).await;
        assert_eq!(done.code, 78, "{done:?}");
        assert_eq!(done.err.lines().count(), 3, "{done:?}");
        assert!(done.err.contains("bad.ini:2: listen: "), "{done:?}");
    }
    place.script("good.ini", "[job_runner]\nlisten = 127.0.0.1:0\n");
    let done = place.run(&["serve", "--config", "good.ini", "--check-config"]).await;
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.out.contains("listen = 127.0.0.1:0  (good.ini:2)"), "{done:?}");
}

#[tokio::test]
async fn a_worker_that_is_added_runs_jobs_with_the_file_that_is_printed() {
    let place = Place::new();
    place.script(
        "server.ini",
        "[job_runner]\ndata_path = data\nlisten = 127.0.0.1:0\nbroadcaster_listen = 127.0.0.1:0\nevents_listen = 127.0.0.1:0\n",
    );
    let serve = place.start(&["serve", "--config", "server.ini", "--log-format", "text"]);
    // Up when the address stands in the lock file.
    let up = async { while place.run(&["workers", "--data", "data"]).await.code != 0 {} };
    tokio::time::timeout(Duration::from_secs(30), up).await.expect("a server");
    let ini = place.run(&["worker", "add", "web1", "--data", "data"]).await;
    assert_eq!(ini.code, 0, "{ini:?}");
    let file = place.script("worker.ini", &format!("{}log_update_interval = 0.1\n", ini.out));
    let worker = tokio::process::Command::new(env!("CARGO_BIN_EXE_job_runner_worker"))
        .arg("--config-path")
        .arg(file)
        .env("JOB_RUNNER_WORKER_STATE_PATH", place.path().join("state"))
        .env("JOB_RUNNER_WORKER_SCRIPT_TEMP_PATH", place.path().join("tmp"))
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("a worker");
    place.script("who", "#!/bin/sh\necho here\nexit 7\n");
    let done = place.run(&["run", "who", "--data", "data"]).await;
    assert_eq!((done.code, done.out.as_str()), (7, "here\n"), "{done:?}");
    // The same name again is refused.
    assert_eq!(place.run(&["worker", "add", "web1", "--data", "data"]).await.code, 1);
    let id = nix::unistd::Pid::from_raw(i32::try_from(worker.id().expect("it works")).expect("a pid"));
    nix::sys::signal::kill(id, Signal::SIGTERM).expect("it works");
    let output = tokio::time::timeout(Duration::from_secs(30), worker.wait_with_output()).await.expect("an end");
    assert_eq!(output.expect("an end").status.code(), Some(0));
    serve.signal(Signal::SIGTERM);
    let ended = serve.end().await;
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.err.contains("server stopped"), "{ended:?}");
}

#[tokio::test]
async fn worker_commands_name_workers_by_title_or_id() {
    let place = Place::new();
    let (standalone, _) = place.standalone().await;
    let until = async |state: &str| {
        let seen = async {
            loop {
                let workers = place.run(&["workers", "--json"]).await.json();
                let local = &workers["workers"][0];
                if local["state"] == state && (local["request"].is_null() || !local["request"]["over"].is_null()) {
                    return local.clone();
                }
            }
        };
        timeout(Duration::from_secs(30), seen).await.unwrap_or_else(|_| panic!("a worker that is {state}"))
    };
    let local = until("awake").await;
    assert_eq!(local["actions"], json!(["shutdown", "sleep", "wake"]), "nobody would start it again");
    let asked = place.run(&["workers", "sleep", "local", "--reason", "a new disk"]).await;
    assert_eq!((asked.code, asked.out.as_str()), (0, "worker local (awake): sleep is requested\n"), "{asked:?}");
    let local = until("asleep").await;
    assert_eq!((&local["request"]["action"], &local["request"]["reason"]), (&json!("sleep"), &json!("a new disk")));
    let again = place.run(&["workers", "sleep", "--now", "local"]).await;
    assert_eq!((again.code, again.out.as_str()), (0, "worker local is asleep already\n"), "{again:?}");
    let list = place.run(&["workers"]).await;
    let headings: Vec<_> = list.out.lines().next().unwrap_or_default().split_whitespace().collect();
    let expected =
        ["ID", "TITLE", "POOLS", "ENABLED", "STATE", "ANSWERED", "VERSION", "RUNS", "SLOTS", "OUTBOX", "REQUESTED"];
    assert_eq!(headings, expected);
    assert!(list.out.contains(" asleep ") && list.out.contains("4 of 4 free"), "{list:?}");

    for (args, said) in [
        (&["workers", "restart", "local"][..], "worker local cannot restart: restart_exit_code is not set there"),
        (&["workers", "wake", "nobody"], "there is no worker \"nobody\""),
    ] {
        let refused = place.run(args).await;
        assert_eq!((refused.code, refused.out.as_str()), (1, ""), "{refused:?}");
        assert_eq!(refused.err, format!("job_runner: {said}\n"));
    }
    for args in [&["workers", "sleep"][..], &["workers", "wake", "--now", "local"], &["workers", "nap", "local"]] {
        assert_eq!(place.run(args).await.code, 2, "{args:?}");
    }
    let woken = place.run(&["workers", "wake", "local", "--json"]).await.json();
    assert_eq!(woken["workers"][0]["what"], "requested");
    until("awake").await;
    assert_eq!(place.run(&["workers", "shutdown", "local"]).await.code, 0);
    assert_eq!(standalone.end().await.code, 0, "the only worker goes, and the server with it");
}
