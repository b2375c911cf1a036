//! `job_runner serve`, the program, at the same place in each of its lives.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;

use crate::database;
use crate::process::Process;
use crate::worker_process::{Place, without_settings};

/// How long the process may take to leave.
const LEAVE_SECONDS: u64 = 30;

pub struct Service {
    pub process: Process,
    folder: PathBuf,
}

impl Service {
    /// Starts it. Its configuration and its log are in the folder, as `server.ini` and `server.log`.
    pub fn start(folder: &Path, data: &Path, place: Place) -> Self {
        Self::start_with(folder, data, place, &[])
    }

    /// Starts it with more settings.
    pub fn start_with(folder: &Path, data: &Path, place: Place, settings: &[(&str, &str)]) -> Self {
        let mut ini = "[job_runner]\nwebsocket_listen = none\n".to_owned();
        for (name, value) in [
            ("data_path", data.display().to_string()),
            ("database", database::setting(data)),
            ("listen", place.http.to_string()),
            ("broadcaster_listen", format!("127.0.0.1:{}", place.broadcaster)),
            ("events_listen", format!("127.0.0.1:{}", place.events)),
        ] {
            writeln!(ini, "{name} = {value}").expect("a string");
        }
        for (name, value) in settings {
            writeln!(ini, "{name} = {value}").expect("a string");
        }
        fs::write(folder.join("server.ini"), ini).expect("the configuration");
        Self { process: Self::spawn(folder), folder: folder.to_owned() }
    }

    /// Asks it to leave; the next one begins at once, with more in its environment.
    pub fn again_with(&mut self, variables: &[(&str, &str)]) {
        self.leave();
        let mut command = Self::command(&self.folder);
        self.process = Process::start("server", &self.folder, command.envs(variables.iter().copied()));
    }

    fn spawn(folder: &Path) -> Process {
        Process::start("server", folder, &mut Self::command(folder))
    }

    fn command(folder: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_job_runner"));
        without_settings(&mut command);
        command.arg("serve").arg("--config").arg(folder.join("server.ini"));
        command
    }

    /// Kills it; the next one begins at once.
    pub fn kill(&mut self) {
        assert!(self.process.ended().is_none(), "the server left by itself");
        self.process.signal(Signal::SIGKILL);
        self.process.end_within(LEAVE_SECONDS);
        self.process = Self::spawn(&self.folder);
    }

    /// Asks it to leave, and waits until it has.
    pub fn leave(&mut self) {
        self.process.signal(Signal::SIGTERM);
        self.process.end_within(LEAVE_SECONDS);
    }
}
