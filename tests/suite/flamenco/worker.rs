//! The binary `flamenco-worker` as a child process with a home of its own.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::manager::Manager;
use crate::support::{end_everything_marked, marked_processes};

const PATIENCE: Duration = Duration::from_secs(40);

pub struct FlamencoWorker {
    home: TempDir,
    arguments: Vec<String>,
    child: Child,
}

impl FlamencoWorker {
    pub fn start(manager: &Manager, keys: &[(&str, &str)]) -> Self {
        Self::start_with(manager, keys, &[])
    }

    pub fn start_with(manager: &Manager, keys: &[(&str, &str)], arguments: &[&str]) -> Self {
        let home = tempfile::Builder::new().prefix("flamenco-test-").tempdir().unwrap();
        fs::create_dir(home.path().join("scripts")).unwrap();
        let mut text = format!(
            "[flamenco-worker]\nmanager_url = {}\nstate_path = {}\nscript_temp_path = {}\n\
             may_i_run_interval_seconds = 0.2\nlog_level = debug\n",
            manager.url(),
            home.path().join("state").display(),
            home.path().join("scripts").display(),
        );
        for (key, value) in keys {
            text.push_str(&format!("{key} = {value}\n"));
        }
        fs::write(home.path().join(".flamenco-worker.cfg"), text).unwrap();
        mkfifo(&home.path().join("gate"), Mode::S_IRWXU).unwrap();
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let child = spawned(home.path(), &arguments);
        Self { home, arguments, child }
    }

    pub fn directory(&self) -> &Path {
        self.home.path()
    }

    /// A pipe at which a command waits until [`Self::open_gate`].
    pub fn gate(&self) -> PathBuf {
        self.home.path().join("gate")
    }

    /// Prints `open` through the gate.
    pub async fn open_gate(&self) {
        let gate = self.gate();
        let opened = move || OpenOptions::new().write(true).open(gate).and_then(|mut gate| gate.write_all(b"open\n"));
        tokio::task::spawn_blocking(opened).await.unwrap().unwrap();
    }

    /// Processes of the worker and its tasks.
    pub fn processes(&self) -> Vec<i32> {
        marked_processes(self.home.path())
    }

    pub fn signal(&self, signal: Signal) {
        let pid = self.child.id().expect("the worker runs");
        kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
    }

    pub async fn wait_exit(&mut self) -> Option<i32> {
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        status.unwrap_or_else(|_| panic!("the worker does not end:\n{}", self.log())).unwrap().code()
    }

    pub async fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.wait_exit().await;
    }

    /// Sends TERM and waits for the exit.
    pub async fn terminate(&mut self) -> Option<i32> {
        self.signal(Signal::SIGTERM);
        self.wait_exit().await
    }

    pub fn restart(&mut self) {
        self.child = spawned(self.home.path(), &self.arguments);
    }

    fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }
}

impl Drop for FlamencoWorker {
    fn drop(&mut self) {
        end_everything_marked(self.home.path());
        if std::thread::panicking() {
            let log = self.log();
            let from = log.lines().count().saturating_sub(80);
            log.lines().skip(from).for_each(|line| eprintln!("worker: {line}"));
        }
    }
}

fn spawned(home: &Path, arguments: &Vec<String>) -> Child {
    let log = OpenOptions::new().create(true).append(true).open(home.join("log")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_flamenco-worker"));
    command.args(arguments).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("HOME", home).env("FIXTURE_HOME", home).current_dir(home);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).kill_on_drop(true);
    command.spawn().expect("the worker starts")
}
