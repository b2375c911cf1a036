//! The worker under test, as an operator starts it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitStatus};

use nix::sys::signal::Signal;

use crate::peer::Peer;
use crate::process::Process;

/// The secret of every worker on the stage.
pub const SECRET: &str = "verysecret";

/// A running worker.
pub struct Worker {
    process: Process,
}

/// Whether the worker under test is the one that this package builds.
pub fn is_ours() -> bool {
    std::env::var_os("JOB_RUNNER_INTEROP_WORKER").is_none()
}

impl Worker {
    /// Starts it in `folder` with these settings; state and logs of an earlier one are kept.
    pub fn start(peer: &Peer, folder: &Path, mark: &str, settings: &[(&str, String)]) -> Self {
        let api_key =
            settings.iter().find(|(key, _)| *key == "api_key").map(|(_, value)| value.clone()).expect("an api_key");
        let config = folder.join(format!("{api_key}.ini"));
        let mut text = "[job_runner_worker]\n".to_owned();
        for (key, value) in settings {
            writeln!(text, "{key} = {value}").expect("a string");
        }
        fs::write(&config, text).expect("the configuration");

        let other = std::env::var("JOB_RUNNER_INTEROP_WORKER").ok();
        let mut command = match other.as_deref() {
            None => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_job_runner_worker"));
                command.arg("--config-path");
                command
            }
            Some("original") => peer.command("worker"),
            Some(line) => {
                let mut words = line.split_whitespace();
                let mut command = Command::new(words.next().expect("a command line"));
                command.args(words).arg("--config-path");
                command
            }
        };
        command.arg(&config);
        for (key, _) in std::env::vars_os() {
            let key = key.to_string_lossy();
            if key.starts_with("JOB_RUNNER_") || key == "CONFIG_PATH" || key == "STATE_DIRECTORY" {
                command.env_remove(&*key);
            }
        }
        // Everything that descends from the worker is known by this at the end.
        command.env("INTEROP_MARK", mark);
        command.env("RUST_BACKTRACE", "1");
        Self { process: Process::start(&api_key, folder, &mut command) }
    }

    /// SIGTERM: finish what runs, then leave.
    pub fn drain(&self) {
        self.process.signal(Signal::SIGTERM);
    }

    /// SIGUSR2: leave at once; what runs goes on.
    pub fn hand_over(&self) {
        self.process.signal(Signal::SIGUSR2);
    }

    /// How often its log says something.
    pub fn said(&self, what: &str) -> usize {
        self.process.text().matches(what).count()
    }

    /// SIGKILL, and gone.
    pub fn crash(mut self) {
        self.process.signal(Signal::SIGKILL);
        self.process.end_within(10);
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.ended()
    }

    /// Waits for its end.
    pub fn end_within(&mut self, seconds: u64) -> ExitStatus {
        self.process.end_within(seconds)
    }
}
