//! A worker process under measurement: ours, or the original.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::failure::Failure;
use super::process_sweep::end_everything_marked;

/// How much of a worker's log is shown when something went wrong, in bytes.
const TAIL: usize = 2000;

/// Whose worker it is.
#[derive(Clone, Debug)]
pub enum Make {
    /// Ours: its program.
    Ours(PathBuf),
    /// The original: what starts it, up to its configuration.
    Original(Vec<OsString>),
}

/// A running worker in a folder of its own. When it is dropped, everything that it started is gone.
pub struct Worker {
    child: Child,
    pub pid: i32,
    /// When it was started.
    pub began: Instant,
    folder: TempDir,
}

impl Worker {
    /// Makes a folder with the worker's ini file in it, and lets something happen there before the worker starts.
    pub async fn start(
        make: &Make,
        settings: &[(&str, String)],
        prepare: impl AsyncFnOnce(&Path) -> Result<(), Failure>,
    ) -> Result<Self, Failure> {
        let folder = TempDir::with_prefix("job-runner-bench-")?;
        for name in ["scripts", "state"] {
            fs::create_dir(folder.path().join(name))?;
        }
        let mut ini = "[job_runner_worker]\n".to_owned();
        let own = ["script_temp_path", "state_path"].map(|key| {
            let name = key.split('_').next().unwrap_or_default();
            (key, folder.path().join(if name == "script" { "scripts" } else { "state" }).display().to_string())
        });
        for (key, value) in own.iter().chain(settings) {
            writeln!(ini, "{key} = {value}")?;
        }
        let path = folder.path().join("worker.ini");
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?.write_all(ini.as_bytes())?;
        prepare(folder.path()).await?;
        let began = Instant::now();
        let child = spawn(make, folder.path(), &path)?;
        let pid = child.id().and_then(|pid| pid.try_into().ok()).ok_or_else(|| Failure("no worker".to_owned()))?;
        Ok(Self { child, pid, began, folder })
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// TERM: finish what runs, then leave.
    pub fn drain(&self) -> Result<(), Failure> {
        Ok(kill(Pid::from_raw(self.pid), Signal::SIGTERM)?)
    }

    /// Waits for its end.
    pub async fn ended(&mut self, patience: Duration) -> Result<ExitStatus, Failure> {
        let ended = tokio::time::timeout(patience, self.child.wait()).await;
        Ok(ended.map_err(|_| Failure(format!("the worker does not end{}", self.last_words())))??)
    }

    /// Its living shims, those without a run too.
    pub fn shims(&self) -> Vec<i32> {
        let all = super::process_sweep::marked_processes(self.folder());
        let is_shim = |pid: &i32| super::proc::command(*pid).get(1).is_some_and(|word| word == "--shim");
        all.into_iter().filter(is_shim).collect()
    }

    /// The end of what it has said.
    pub fn last_words(&self) -> String {
        let log = fs::read(self.folder().join("worker.log")).unwrap_or_default();
        let tail = &log[log.len().saturating_sub(TAIL)..];
        if tail.is_empty() { String::new() } else { format!(":\n{}", String::from_utf8_lossy(tail)) }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        end_everything_marked(self.folder.path());
    }
}

fn spawn(make: &Make, folder: &Path, ini: &Path) -> Result<Child, Failure> {
    let mut command = match make {
        Make::Ours(program) => {
            let mut command = Command::new(program);
            command.arg("--config-path");
            command
        }
        Make::Original(words) => {
            let mut command = Command::new(&words[0]);
            command.args(&words[1..]);
            command
        }
    };
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("JOB_RUNNER_") || name == "CONFIG_PATH" || name == "STATE_DIRECTORY" {
            command.env_remove(&*name);
        }
    }
    let log = File::create(folder.join("worker.log"))?;
    command.arg(ini).env("BENCH_FOLDER", folder).current_dir(folder);
    Ok(command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true).spawn()?)
}
