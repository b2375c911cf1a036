//! The daemon around the work: its log, its status, its state directory, its signals.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    Fault, Latch, Options, Server, What, WorkerHome, WorkerOptions, WorkerProcess, WorkerSpec, prints,
};
use crate::{until, worker};

const BINARY: &str = env!("CARGO_BIN_EXE_job_runner_worker");
const SECRET: &str = "verysecret";

async fn up(options: &WorkerOptions) -> (Server, WorkerProcess) {
    let server = Server::start(Options::default()).await;
    let worker = WorkerProcess::start(&server, options);
    server.wait_up().await;
    (server, worker)
}

/// One run from end to end.
async fn one_run(server: &Server) {
    let run = server.submit(prints("hello"));
    assert_eq!(server.wait_returned(run).await.log_text(), "hello\n");
}

/// Level, time, name and message of a line of the classic format.
fn classic(line: &str) -> Option<(&str, chrono::NaiveDateTime, &str, &str)> {
    let (level, rest) = line.split_once(" - ")?;
    let (at, rest) = rest.split_once(" - ")?;
    let (name, message) = rest.split_once(": ")?;
    let digits: String = at.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let at = chrono::NaiveDateTime::parse_from_str(at, "%Y-%m-%d %H:%M:%S,%3f").ok()?;
    (digits == "0000-00-00 00:00:00,000").then_some((level, at, name, message))
}

#[tokio::test]
async fn the_classic_log_is_the_originals_to_the_letter() {
    let before = chrono::Local::now().naive_local() - chrono::TimeDelta::milliseconds(1);
    let (server, mut worker) = up(&worker()).await;
    one_run(&server).await;
    worker.assert_clean_end().await;
    let after = chrono::Local::now().naive_local();
    let log = worker.log();
    for line in log.lines() {
        let (level, at, name, message) = classic(line).unwrap_or_else(|| panic!("{line:?}"));
        assert!(["DEBUG", "INFO", "WARNING", "ERROR"].contains(&level), "{line}");
        assert!(before <= at && at <= after, "{line}");
        assert!(name.starts_with("job_runner_worker.") && !message.is_empty(), "{line}");
    }
    assert!(log.lines().any(|line| line.starts_with("DEBUG - ")), "{log}");
}

#[tokio::test]
async fn text_and_json_logs_have_the_same_content() {
    let (server, mut worker) = up(&worker().arg("--log-format").arg("text")).await;
    one_run(&server).await;
    worker.assert_clean_end().await;
    for line in worker.log().lines() {
        let (at, rest) = line.split_once(' ').unwrap();
        assert!(at.ends_with('Z') && chrono::DateTime::parse_from_rfc3339(at).is_ok(), "{line}");
        let (level, rest) = rest.trim_start().split_once(' ').unwrap();
        assert!(["DEBUG", "INFO", "WARN", "ERROR"].contains(&level), "{line}");
        assert!(rest.starts_with("job_runner_worker.") && rest.contains(": "), "{line}");
    }

    let (server, mut worker) = up(&self::worker().arg("--log-format").arg("json")).await;
    one_run(&server).await;
    worker.assert_clean_end().await;
    let log = worker.log();
    assert!(log.lines().count() > 3, "{log}");
    for line in log.lines() {
        let fields: BTreeMap<String, Value> = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        let [ts, level, target, msg] = ["ts", "level", "target", "msg"].map(|name| fields[name].as_str().unwrap());
        assert!(chrono::DateTime::parse_from_rfc3339(ts).is_ok(), "{line}");
        assert!(["debug", "info", "warning", "error"].contains(&level), "{line}");
        assert!(target.starts_with("job_runner_worker.") && !msg.is_empty(), "{line}");
    }
}

#[tokio::test]
async fn the_log_level_filters_lines() {
    let levels = |log: &str| {
        let mut levels: Vec<String> = log.lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
        levels.sort();
        levels.dedup();
        levels
    };
    // A drain is told as a warning, as the original does.
    for (level, expected) in
        [("info", &["INFO", "WARNING"][..]), ("warning", &["WARNING"]), ("error", &[]), ("critical", &[])]
    {
        let (server, mut worker) = up(&worker().set("log_level", level)).await;
        one_run(&server).await;
        worker.assert_clean_end().await;
        assert_eq!(levels(&worker.log()), expected, "{level}: {}", worker.log());
    }
}

#[tokio::test]
async fn the_secret_appears_in_no_log_and_no_file() {
    let options = worker()
        .unset("secret")
        .env("JOB_RUNNER_WORKER_SECRET", SECRET)
        .env("CONFIG_PATH", "/no/such/file")
        .env("NOTIFY_SOCKET", "/no/such/socket")
        .env("LEFT_ALONE", "yes");
    let reannounce = Some(std::time::Duration::from_millis(50));
    let server = Server::start(Options { reannounce, ..Options::default() }).await;
    let mut worker = WorkerProcess::start(&server, &options);
    server.wait_up().await;
    // Trouble is what tempts to tell too much.
    server.inject(Fault::on("PATCH", "/api/v1/run/", What::status(401)).once());
    server.inject(Fault::on("GET", "/api/v1/job/", What::status(503)).once());
    let latch = Latch::new();
    let run = server.submit(latch.script("a").replace("echo waiting", "env; echo waiting"));
    server.wait_logged(run, "waiting").await;
    let main = worker.id().unwrap();
    let (mut shims, mut others) = (0, 0);
    for pid in worker.home().processes() {
        let read = |file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let has = |bytes: &[u8]| bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
        let command_line = String::from_utf8_lossy(&read("cmdline")).into_owned();
        assert!(!has(&read("cmdline")), "{command_line}");
        assert!(pid == main || !has(&read("environ")), "{command_line}");
        shims += usize::from(command_line.contains("--shim"));
        others += usize::from(pid != main);
    }
    assert!(shims >= 1 && others > shims, "{shims} shims, {others} processes");
    latch.let_through(1);
    let log = server.wait_returned(run).await;
    let environment: Vec<&str> = log.log_text().lines().collect();
    assert!(environment.contains(&"LEFT_ALONE=yes"), "{environment:?}");
    assert!(environment.contains(&format!("JOB_RUNNER_RUN_ID={run}").as_str()), "{environment:?}");
    for ours in ["CONFIG_PATH=", "NOTIFY_SOCKET=", "JOB_RUNNER_WORKER_", SECRET] {
        assert!(!environment.iter().any(|line| line.contains(ours)), "{ours} in {environment:?}");
    }
    worker.sigusr1();
    worker.wait_log("status of the worker status=").await;
    let status = worker.home().ask(&["--status", "--json"]).await.stdout;
    assert!(!String::from_utf8_lossy(&status).contains(SECRET));
    worker.assert_clean_end().await;
    assert!(server.calls().iter().any(|call| call.status == Some(401)));
    assert!(!worker.log().contains(SECRET));
    // Nor on disk.
    for entry in fs::read_dir(worker.home().own_state_path()).unwrap().flatten().filter(|e| e.path().is_file()) {
        let bytes = fs::read(entry.path()).unwrap();
        assert!(!bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()), "{entry:?}");
    }
}

#[tokio::test]
async fn a_job_knows_its_run() {
    let (server, mut worker) = up(&worker()).await;
    let run = server.submit("#!/bin/sh\nenv | grep '^JOB_RUNNER_' | sort\n");
    let row = server.wait_returned(run).await;
    let lines: Vec<(&str, &str)> = row.log_text().lines().filter_map(|line| line.split_once('=')).collect();
    let names: Vec<&str> = lines.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names,
        ["JOB_RUNNER_ATTEMPT", "JOB_RUNNER_RUN_ID", "JOB_RUNNER_RUN_TOKEN", "JOB_RUNNER_SCHEDULED_AT"],
        "{}",
        row.log_text()
    );
    assert_eq!((lines[0].1, lines[1].1, lines[3].1), ("1", "1", row.schedule_dts.as_str()));
    assert!(lines[2].1.len() >= 32, "{}", lines[2].1);
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn a_closed_log_pipe_does_not_stop_the_worker() {
    let folder = TempDir::new().unwrap();
    let wrapped = folder.path().join("closed");
    fs::write(&wrapped, format!("#!/bin/sh\nexec {BINARY} \"$@\" >&- 2>&-\n")).unwrap();
    fs::set_permissions(&wrapped, fs::Permissions::from_mode(0o700)).unwrap();
    let (reader, gone) = std::io::pipe().unwrap();
    drop(reader);
    let full = File::options().write(true).open("/dev/full").unwrap();
    for (what, binary, stderr) in [
        ("full", Path::new(BINARY), Stdio::from(full)),
        ("a pipe without a reader", Path::new(BINARY), Stdio::from(gone)),
        ("closed", &wrapped, Stdio::null()),
    ] {
        let server = Server::start(Options::default()).await;
        let home = WorkerHome::new(&server, &WorkerOptions::new(binary));
        let mut child = home.command().stdin(Stdio::null()).stderr(stderr).kill_on_drop(true).spawn().unwrap();
        server.wait_up().await;
        one_run(&server).await;
        let failed = server.submit("#!/no/such/interpreter\n");
        assert_eq!(server.wait_returned(failed).await.return_success, Some(false));
        kill(Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()), Signal::SIGTERM).unwrap();
        assert_eq!(child.wait().await.unwrap().code(), Some(0), "{what}");
        assert!(home.run_files().is_empty(), "{what}");
    }
}

#[tokio::test]
async fn an_unread_log_pipe_blocks_neither_runs_nor_signals() {
    let server = Server::start(Options::default()).await;
    let mut worker = WorkerProcess::start(&server, &worker().set("log_level", "debug"));
    worker.leave_unread(true);
    server.wait_up().await;
    let runs: Vec<i64> = (0..60).map(|n| server.submit(prints(&format!("run {n}")))).collect();
    for run in runs {
        assert_eq!(server.wait_returned(run).await.return_success, Some(true));
    }
    worker.sigterm();
    let status = worker.wait_exit_within(std::time::Duration::from_secs(20)).await;
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn status_queries_reach_the_running_worker() {
    let (server, mut worker) = up(&worker().set("concurrent_jobs", 1)).await;
    let latch = Latch::new();
    let run = server.submit(latch.script("a"));
    server.wait_started(run).await;
    let waiting = server.submit(latch.script("b"));
    let home = Arc::clone(worker.home());
    let answer = home.ask(&["--status", "--json"]).await;
    assert_eq!((answer.status.code(), &answer.stderr[..]), (Some(0), &b""[..]));
    let status: Value = serde_json::from_slice(&answer.stdout).unwrap();
    for (name, value) in [
        ("version", Value::from("3.0.0")),
        ("pid", worker.id().into()),
        ("api_key", "testworker".into()),
        ("server", "ok".into()),
        ("draining", false.into()),
        ("concurrent_jobs", 1.into()),
        ("seats_taken", 1.into()),
        ("runs", vec![run].into()),
        ("kills", Value::Array(Vec::new())),
        ("undelivered", 1.into()),
        ("dead_letters", Value::Array(Vec::new())),
        ("backlog", 0.into()),
        ("held", Value::Array(Vec::new())),
    ] {
        assert_eq!(status[name], value, "{name} in {status}");
    }
    assert!(["cgroup", "subreaper"].contains(&status["supervision"].as_str().unwrap()), "{status}");
    let text = String::from_utf8(home.ask(&["--status"]).await.stdout).unwrap();
    let shown = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap_or_default();
        line.rsplit(' ').next().unwrap_or_default().to_owned()
    };
    assert_eq!((shown("version"), shown("runs"), shown("seats taken")), ("3.0.0".into(), run.to_string(), "1".into()));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let socket = home.own_state_path().join("status.sock");
    assert_eq!((mode(&socket), mode(&home.own_state_path())), (0o600, 0o700));
    latch.let_through(2);
    server.wait_returned(waiting).await;
    worker.assert_clean_end().await;
    assert!(!socket.exists());
    assert_eq!(home.ask(&["--status"]).await.status.code(), Some(69));
}

#[tokio::test]
async fn usr1_logs_the_status() {
    let (server, mut worker) = up(&worker()).await;
    worker.sigusr1();
    worker.wait_log("status of the worker status=").await;
    let log = worker.log();
    let dump = log.lines().find_map(|line| line.split_once("status of the worker status=")).unwrap().1;
    // Quoted, because it has quotes in it.
    let dump: String = serde_json::from_str(dump).unwrap();
    let dump: Value = serde_json::from_str(&dump).unwrap();
    assert_eq!((&dump["pid"], &dump["draining"]), (&worker.id().into(), &false.into()));
    one_run(&server).await;
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn the_pid_file_lasts_as_long_as_the_worker() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("worker.pid");
    let (_server, mut worker) = up(&worker().set("pid_file", path.display())).await;
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", worker.id().unwrap()));
    worker.assert_clean_end().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn a_worker_run_by_root_warns_about_its_jobs() {
    let (server, worker) = up(&worker()).await;
    one_run(&server).await;
    let told = worker.log().matches("worker runs as root, and so does every job").count();
    assert_eq!(told, usize::from(nix::unistd::geteuid().is_root()));
}

/// A worker that asks a name server which says nothing; `None` where nobody but root could have one.
async fn up_without_names(folder: &Path, silent: &UdpSocket) -> Option<(Server, WorkerProcess)> {
    let names = folder.join("resolv.conf");
    fs::write(&names, format!("nameserver {}\n", silent.local_addr().unwrap().ip())).unwrap();
    let program = folder.join("worker");
    let mount = format!("mount --bind '{}' /etc/resolv.conf", names.display());
    fs::write(
        &program,
        format!("#!/bin/sh\nexec unshare -m sh -c \"{mount} && exec {BINARY} \\\"\\$@\\\"\" sh \"$@\"\n"),
    )
    .unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    if !std::process::Command::new(&program).arg("--version").status().is_ok_and(|status| status.success()) {
        return None;
    }
    let server = Server::start(Options::default()).await;
    let options = WorkerOptions::new(&program)
        .set("broadcaster_server_hostname", "broadcaster.example.org")
        .set("ws_server_hostname", "events.example.org")
        .with_websocket(&server);
    let worker = WorkerProcess::start(&server, &options);
    Some((server, worker))
}

#[tokio::test]
async fn an_unresponsive_name_server_blocks_nothing() {
    let folder = TempDir::new().unwrap();
    let [.., high, low] = std::process::id().to_be_bytes();
    let up = match UdpSocket::bind((Ipv4Addr::new(127, 53, high, low), 53)) {
        // Bound and never read from.
        Ok(silent) => up_without_names(folder.path(), &silent).await.map(|up| (up, silent)),
        Err(_) => None,
    };
    let Some(((server, mut worker), _silent)) = up else {
        writeln!(std::io::stderr(), "SKIPPED: root alone can be a name server").unwrap();
        return;
    };
    // A name is given up after ten seconds and more.
    let begun = Instant::now();
    server.wait_websockets(1).await;
    let run = server.add_run(prints("hello"));
    server.push_ws(&json!({"action": "enqueue", "run_id": run}));
    server.wait_returned(run).await;
    assert_eq!(worker.stop().await, 0);
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn events_go_on_when_their_receiver_comes_back() {
    let (server, _worker) = up(&worker()).await;
    for peers in 2..4 {
        server.event_intake().close().await;
        // Nobody hears of this one, and nothing waits for that.
        one_run(&server).await;
        server.event_intake().reopen().await;
        server.wait(|state| state.event_peers == peers, "another connection").await;
        let run = server.submit(prints("hello"));
        for name in ["enqueued", "started", "returned"] {
            server.wait_event(name, run).await;
        }
    }
}

#[tokio::test]
async fn a_second_worker_on_a_state_directory_is_refused() {
    let folder = TempDir::new().unwrap();
    let pid_file = folder.path().join("worker.pid");
    let (server, mut worker) = up(&worker().set("pid_file", pid_file.display())).await;
    server.wait(|state| state.calls.len() >= 3, "both lists of incomplete runs, and who it is").await;
    let calls = server.calls().len();
    let answer = worker.home().ask(&[]).await;
    let said = String::from_utf8(answer.stderr).unwrap();
    assert_eq!((answer.status.code(), answer.stdout.len()), (Some(75), 0), "{said}");
    let own = said.lines().filter(|line| line.contains("another worker")).collect::<Vec<_>>();
    assert!(own.len() == 1 && said.lines().count() == 1, "{said}");
    assert!(own[0].contains(&format!("pid {} on ", worker.id().unwrap())), "{said}");
    // It disturbed nobody, and asked nobody.
    assert!(pid_file.exists());
    assert_eq!(server.calls().len(), calls);
    assert_eq!(worker.home().ask(&["--status"]).await.status.code(), Some(0));
    one_run(&server).await;
    worker.assert_clean_end().await;
}

/// What the worker before has forked holds its lock until it executes something.
#[tokio::test]
async fn a_worker_starts_as_soon_as_the_lock_of_the_one_that_was_killed_is_released() {
    let (server, mut worker) = up(&worker()).await;
    worker.sigkill();
    worker.wait_exit().await;
    let path = fs::canonicalize(worker.home().state_path().join("testworker/worker.lock")).unwrap();
    let held = Flock::lock(fs::File::open(&path).unwrap(), FlockArg::LockExclusiveNonblock).unwrap();
    let inode = fs::metadata(&path).unwrap().ino().to_string();
    worker.restart().await;
    let waits = || {
        let locks = fs::read_to_string("/proc/locks").unwrap();
        locks.lines().any(|line| line.contains("->") && line.contains(&format!(":{inode} ")))
    };
    until("the worker waits for the lock", waits).await;
    drop(held);
    server.wait(|state| state.subscribed("testworker") == 2, "the second subscription").await;
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn a_state_directory_belongs_to_one_server() {
    let (server, mut worker) = up(&worker()).await;
    worker.assert_clean_end().await;
    let other = Server::start(Options::default()).await;
    let home = Arc::clone(worker.home());
    let ini = fs::read_to_string(home.ini_path()).unwrap();
    let lines = ini.lines().map(|line| match line.split_once(" = ") {
        Some(("api_base_url", _)) => format!("api_base_url = {}\n", other.api_base_url()),
        _ => format!("{line}\n"),
    });
    home.write_ini(&lines.collect::<String>());
    let answer = home.ask(&[]).await;
    let said = String::from_utf8(answer.stderr).unwrap();
    assert_eq!(answer.status.code(), Some(78), "{said}");
    assert!(said.contains(&other.api_base_url()) && said.contains("the state directory belongs to"), "{said}");
    assert!(other.calls().is_empty());
    // The first one may come back.
    home.write_ini(&ini);
    worker.restart().await;
    server.wait(|state| state.subscribed("testworker") == 2, "the second subscription").await;
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn two_workers_may_share_a_state_base_directory() {
    let folder = TempDir::new().unwrap();
    let workers = vec![WorkerSpec::new("one", "a"), WorkerSpec::new("two", "b")];
    let server = Server::start(Options { workers, ..Options::default() }).await;
    let start = |index| {
        let options = worker().worker(index).set("state_path", folder.path().display());
        WorkerProcess::start(&server, &options)
    };
    let (mut one, mut two) = (start(0), start(1));
    server.wait_subscribed_as("one").await;
    server.wait_subscribed_as("two").await;
    assert!(folder.path().join("one/worker.lock").exists() && folder.path().join("two/worker.lock").exists());
    assert_eq!((one.stop().await, two.stop().await), (0, 0));
}

#[tokio::test]
async fn a_job_starts_as_the_readme_says() {
    let (server, mut worker) = up(&worker()).await;
    let script = "#!/bin/sh\n\
        readlink /proc/$$/fd/0\n\
        echo \"session $(cut -d')' -f2 /proc/$$/stat | cut -d' ' -f5) of $$\"\n\
        stat -c %a \"$0\"\n\
        pwd; umask\n\
        yes | head -1\n\
        for fd in /proc/$$/fd/*; do case $(readlink $fd) in /dev/null|pipe:*|\"$0\"|'') ;; *) ls -l $fd;; esac; done\n";
    let run = server.submit(script);
    let row = server.wait_returned(run).await;
    let pid = row.pid.unwrap();
    let pwd = std::env::current_dir().unwrap();
    let umask = fs::read_to_string("/proc/self/status").unwrap();
    let umask = umask.lines().find_map(|line| line.strip_prefix("Umask:\t")).unwrap();
    let expected = format!("/dev/null\nsession {pid} of {pid}\n600\n{}\n{umask}\ny\n", pwd.display());
    assert_eq!(row.log_text(), expected);
    worker.assert_clean_end().await;
}
