//! One test's own Job-Runner: a fresh database and the original's processes around it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::feed::Feed;
use crate::original_database::{Database, Picture, Run};
use crate::peer::Peer;
use crate::port;
use crate::process::Process;
use crate::wait::{pause, until};
use crate::worker::{SECRET, Worker};

/// Seconds until Python has started on a busy machine.
const START: u64 = 60;

/// Two cores do not bear two of these at once.
static TURN: Mutex<()> = Mutex::new(());

/// Tells something also when the test passes: the harness captures the print macros only.
pub fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Runs a test on a stage of its own, or skips it without a Python 2.7.
pub fn on_stage(test: impl FnOnce(&mut Stage)) {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(peer) = Peer::installed() {
        let mut stage = Stage::build(peer);
        test(&mut stage);
    } else {
        tell("SKIPPED: no Python 2.7");
    }
    drop(turn);
}

/// The ports of the original's servers.
#[derive(Clone, Copy)]
pub struct Ports {
    pub rest: u16,
    pub broadcaster: u16,
    pub events: u16,
    pub websocket: u16,
}

/// The original, running. Fields are dropped in order: first who could still write.
pub struct Stage {
    peer: &'static Peer,
    pub ports: Ports,
    pub database: Database,
    pub feed: Feed,
    pub broadcaster: Option<Process>,
    _websocket: Process,
    rest: Option<Process>,
    mark: String,
    folder: TempDir,
}

impl Stage {
    fn build(peer: &'static Peer) -> Self {
        let folder = tempfile::Builder::new().prefix("interop-").tempdir().expect("a folder");
        let path = folder.path();
        fs::copy(peer.database(), path.join("db.sqlite")).expect("a database");
        let ports =
            Ports { rest: port::free(), broadcaster: port::free(), events: port::free(), websocket: port::free() };
        let rest = start_rest(peer, path, ports);
        let websocket = Process::start(
            "websocket",
            path,
            peer.command("websocket").arg(ports.events.to_string()).arg(ports.websocket.to_string()),
        );
        let database = Database::start(with_database(&mut peer.command("answer"), path));
        let broadcaster = start_broadcaster(peer, path, ports);
        for (name, port) in [
            ("REST", ports.rest),
            ("events", ports.events),
            ("WebSocket", ports.websocket),
            ("broadcaster", ports.broadcaster),
        ] {
            until(&format!("{name} listens"), START, || port::is_open(port).then_some(()));
        }
        let feed = Feed::open(ports.websocket);
        Self {
            peer,
            ports,
            database,
            feed,
            broadcaster: Some(broadcaster),
            _websocket: websocket,
            rest: Some(rest),
            mark: format!("{}-{}", std::process::id(), ports.rest),
            folder,
        }
    }

    /// A folder for scripts to write into.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A file for a script to write into.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the broadcaster again, on the same port, and waits until it listens.
    pub fn restart_broadcaster(&mut self) {
        self.broadcaster = Some(start_broadcaster(self.peer, self.path(), self.ports));
        let port = self.ports.broadcaster;
        until("the broadcaster listens again", START, || port::is_open(port).then_some(()));
    }

    /// Kills the REST API: who calls is refused, or cut off.
    pub fn stop_rest(&mut self) {
        drop(self.rest.take());
        let port = self.ports.rest;
        until("the REST API is gone", START, || (!port::is_open(port)).then_some(()));
    }

    /// Starts the REST API again, on the same port, and waits until it listens.
    pub fn restart_rest(&mut self) {
        self.rest = Some(start_rest(self.peer, self.path(), self.ports));
        let port = self.ports.rest;
        until("the REST API listens again", START, || port::is_open(port).then_some(()));
    }

    /// Starts a worker; `changes` come after, and so win over, what every worker here gets.
    pub fn start_worker(&self, api_key: &str, changes: &[(&str, String)]) -> Worker {
        let scripts = self.file("scripts");
        fs::create_dir_all(&scripts).expect("a folder");
        let mut settings = vec![
            ("api_base_url", format!("http://127.0.0.1:{}", self.ports.rest)),
            ("api_key", api_key.to_owned()),
            ("secret", SECRET.to_owned()),
            ("ws_server_hostname", "127.0.0.1".into()),
            ("ws_server_port", self.ports.events.to_string()),
            ("broadcaster_server_hostname", "127.0.0.1".into()),
            ("broadcaster_server_port", self.ports.broadcaster.to_string()),
            ("concurrent_jobs", "8".into()),
            ("log_level", "debug".into()),
            ("script_temp_path", scripts.display().to_string()),
            ("state_path", self.file("state").display().to_string()),
            ("log_update_interval", "1".into()),
            ("linger", "2".into()),
        ];
        for (key, value) in changes {
            settings.retain(|(known, _)| known != key);
            settings.push((key, value.clone()));
        }
        Worker::start(self.peer, self.path(), &self.mark, &settings)
    }

    /// Starts a worker and waits for its answer to a ping of the broadcaster.
    pub fn ready_worker(&self, api_key: &str, changes: &[(&str, String)]) -> Worker {
        let before = self.database.picture().worker(api_key).ping_response_dts.clone();
        let mut worker = self.start_worker(api_key, changes);
        until(&format!("{api_key} answers a ping"), 30, || {
            let ended = worker.ended();
            assert!(ended.is_none(), "{api_key} left: {ended:?}");
            let now = self.database.picture().worker(api_key).ping_response_dts.clone();
            (now != before).then_some(())
        });
        worker
    }

    /// Waits until all of these runs have returned, and gives everything as it is then.
    pub fn returned(&self, runs: &[u64], seconds: u64) -> Picture {
        self.all(runs, seconds, "returned", |run| run.return_dts.is_some())
    }

    /// Waits until the scripts of all of these runs have a pid in the database.
    pub fn running(&self, runs: &[u64], seconds: u64) -> Picture {
        self.all(runs, seconds, "running", |run| run.pid.is_some() && run.start_dts.is_some())
    }

    fn all(&self, runs: &[u64], seconds: u64, what: &str, is: fn(&Run) -> bool) -> Picture {
        let mut missing = Vec::new();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(seconds);
        until(what, seconds + 5, || {
            let picture = self.database.picture();
            missing = runs.iter().map(|id| picture.run(*id)).filter(|run| !is(run)).cloned().collect();
            if missing.is_empty() {
                return Some(picture);
            }
            let titles: Vec<_> = missing.iter().map(|run: &Run| (&picture.job(run.job).title, run)).collect();
            assert!(std::time::Instant::now() < deadline, "not {what} within {seconds} s: {titles:#?}");
            None
        })
    }
}

impl Drop for Stage {
    /// Ends whatever descends from the workers: shims, scripts and what scripts left behind.
    fn drop(&mut self) {
        let mark = format!("INTEROP_MARK={}", self.mark);
        for _ in 0..20 {
            let descendants = marked(mark.as_bytes());
            if descendants.is_empty() {
                break;
            }
            for pid in descendants {
                let _ = kill(pid, Signal::SIGKILL);
            }
            pause();
        }
        if std::thread::panicking() {
            self.folder.disable_cleanup(true);
            eprintln!("what happened is kept in {}", self.path().display());
        }
    }
}

/// The processes that have this in their environment; not the dead that nobody has reaped.
fn marked(mark: &[u8]) -> Vec<Pid> {
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let environment = fs::read(entry.path().join("environ")).ok()?;
            environment.split(|byte| *byte == 0).any(|line| line == mark).then(|| Pid::from_raw(pid))
        })
        .collect()
}

/// Whether a process lives; the dead that nobody has reaped do not.
pub fn is_alive(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        let state = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().next());
        !matches!(state, Some("Z" | "X"))
    })
}

fn with_database<'a>(command: &'a mut Command, folder: &Path) -> &'a mut Command {
    command.env("JOB_RUNNER_PEER_DB", folder.join("db.sqlite"))
}

fn start_rest(peer: &Peer, folder: &Path, ports: Ports) -> Process {
    Process::start("rest", folder, with_database(peer.command("rest").arg(ports.rest.to_string()), folder))
}

fn start_broadcaster(peer: &Peer, folder: &Path, ports: Ports) -> Process {
    Process::start(
        "broadcaster",
        folder,
        with_database(&mut peer.command("broadcast"), folder)
            .env("JOB_RUNNER_PEER_BROADCASTER_PORT", ports.broadcaster.to_string())
            .env("JOB_RUNNER_PEER_PING_INTERVAL", "2")
            .env("JOB_RUNNER_PEER_POLL", "0.5"),
    )
}
