//! Fixture: a worker process for our server, ours or the original as it was released.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::fixture::Fixture;
use crate::peer::Peer;
use crate::process::Process;

/// Whose work the worker is.
#[derive(Clone, Copy)]
pub enum Make {
    Ours,
    Original(&'static Peer),
}

impl Make {
    /// What starts it, up to its configuration.
    fn command(self) -> Command {
        match self {
            Self::Ours => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_job_runner_worker"));
                command.arg("--config-path");
                command
            }
            Self::Original(peer) => peer.command("worker"),
        }
    }
}

/// Where the server is.
#[derive(Clone, Copy)]
pub struct Place {
    pub http: SocketAddr,
    pub events: u16,
    pub broadcaster: u16,
}

impl Place {
    pub fn of(fixture: &Fixture) -> Self {
        let server = &fixture.server;
        Self { http: server.http(), events: server.events().port(), broadcaster: server.broadcaster().port() }
    }
}

/// Starts it. Its configuration, log and state are in the folder, under its key.
pub fn start_worker(make: Make, place: Place, key: &str, seats: u32, folder: &Path) -> Process {
    start_worker_with(make, place, key, seats, folder, &[])
}

/// Starts it, with settings of its own, which are stronger.
pub fn start_worker_with(
    make: Make,
    place: Place,
    key: &str,
    seats: u32,
    folder: &Path,
    settings: &[(&str, String)],
) -> Process {
    let config = configure(place, key, seats, folder, settings);
    let mut command = make.command();
    without_settings(&mut command);
    Process::start(key, folder, command.arg(config))
}

fn configure(place: Place, key: &str, seats: u32, folder: &Path, settings: &[(&str, String)]) -> PathBuf {
    let scripts = folder.join(format!("{key}.scripts"));
    fs::create_dir_all(&scripts).expect("a folder for scripts");
    let mut ini = "[job_runner_worker]\n".to_owned();
    for (name, value) in [
        ("api_base_url", format!("http://{}", place.http)),
        ("api_key", key.to_owned()),
        ("secret", "verysecret".to_owned()),
        ("concurrent_jobs", seats.to_string()),
        ("ws_server_hostname", "127.0.0.1".to_owned()),
        ("ws_server_port", place.events.to_string()),
        ("broadcaster_server_hostname", "127.0.0.1".to_owned()),
        ("broadcaster_server_port", place.broadcaster.to_string()),
        ("script_temp_path", scripts.display().to_string()),
        ("state_path", folder.join(format!("{key}.state")).display().to_string()),
    ] {
        if !settings.iter().any(|(other, _)| *other == name) {
            writeln!(ini, "{name} = {value}").expect("a string");
        }
    }
    for (name, value) in settings {
        writeln!(ini, "{name} = {value}").expect("a string");
    }
    let config = folder.join(format!("{key}.ini"));
    fs::write(&config, ini).expect("the configuration");
    config
}

/// What is set for the tests is not meant for what they start.
pub fn without_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("JOB_RUNNER_") || name == "CONFIG_PATH" || name == "STATE_DIRECTORY" {
            command.env_remove(&*name);
        }
    }
}
