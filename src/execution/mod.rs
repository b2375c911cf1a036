//! Execution: runs scripts under shims and finds them again after a restart of the worker.
//!
//! [`Execution::launch`] writes the script, hands the order to a shim and returns a [`Running`]. The shim owns the
//! process and its record on disk, so nothing is lost with this process: [`Execution::remains`] reads how far an
//! attempt came, and [`Execution::attach`] continues one that still runs.

mod connection;
mod environment;
mod free_resources;
mod left_behind;
mod logs;
mod patience;
mod pool;
mod remains;
mod script_directories;
mod script_files;
pub mod shim;
mod spares;
pub mod steps;
mod task_plan;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

pub use connection::{Control, Progress, Running};
pub use environment::{Environment, of_jobs};
pub use free_resources::{DiskRoom, FreeResources, descriptors_allowed, descriptors_open};
pub use logs::RunFiles;
pub use pool::ShimProgram;
pub use remains::{ExecutionRemains, start as recorded_start};
pub use shim::random_token;
pub use task_plan::{StepsSettings, TaskDefect};

use crate::report::Durability;
use crate::run::script::Script;
use crate::run::{Attempt, LeftoverPolicy, RunId, Secret, chain_of, errno, excerpt};
use crate::wire::disk::Record;
use crate::wire::shim as wire;
use left_behind::LeftBehind;
use pool::ShimPool;
use remains::LeftBy;
use script_files::ScriptFiles;

/// First pause before an unreadable record is tried again; doubled up to [`LAST_LOOK`].
const FIRST_LOOK: Duration = Duration::from_secs(1);
const LAST_LOOK: Duration = Duration::from_secs(60);

/// Settings of the execution, from the worker's configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Directory of the scripts of running attempts.
    pub script_temp_path: PathBuf,
    /// Time between TERM and KILL; zero kills at once, as the original does.
    pub kill_grace: Duration,
    /// Time that a run stays open after its main process has ended while its output is still held open.
    pub linger: Duration,
    /// Fate of processes that outlive the script: stopped or kept.
    pub leftovers: LeftoverPolicy,
    /// Longest time a script may run; `None` for no limit.
    pub run_timeout: Option<Duration>,
    /// Environment that jobs start with: the worker's or a minimal one.
    pub environment: Environment,
    /// Most bytes of a run's output that are kept; see [`excerpt`].
    pub max_log_bytes: u64,
    /// Secrets that are masked in the output of jobs before it is written.
    pub redact: Vec<Secret>,
    /// Failure that records and outputs must survive: a crash of the process, or a loss of power.
    pub durability: Durability,
    /// Settings for the commands of tasks.
    pub steps: StepsSettings,
}

/// Order to execute one attempt of a run.
#[derive(Clone, Debug)]
pub struct Launch {
    /// Number of the run.
    pub run: RunId,
    /// Attempt of the run, which names its files.
    pub attempt: Attempt,
    /// Number of the attempt in the job's environment.
    pub told_attempt: u32,
    /// Random token that the job's processes carry in their environment.
    pub token: String,
    /// Script with its interpreter.
    pub script: Script,
    /// Time limit of this run; the shorter one of this and [`Settings::run_timeout`] applies.
    pub run_timeout: Option<Duration>,
    /// Further variables of the job's environment, as name and value.
    pub environment: Vec<(String, String)>,
}

/// Error of a launch: no process was started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The script file could not be written.
    #[error("The script could not be written to {path}: {source}.")]
    Script {
        /// Path of the script file.
        path: PathBuf,
        /// Error of the file system.
        source: io::Error,
    },
    /// No shim could be started to supervise the script.
    #[error("Its supervising process could not be started: {0}.")]
    Shim(#[source] io::Error),
}

impl LaunchError {
    /// Returns whether the cause is a shortage of a system resource, which passes by itself.
    #[must_use]
    pub fn is_shortage(&self) -> bool {
        let (Self::Script { source, .. } | Self::Shim(source)) = self;
        source.raw_os_error().is_some_and(|errno| errno::shortage_of(errno).is_some())
    }
}

/// Handle to launch scripts and to find those of earlier workers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Execution {
    settings: watch::Sender<Arc<Settings>>,
    state: PathBuf,
    logs: RunFiles,
    scripts: ScriptFiles,
    pool: ShimPool,
    /// Present directory of the scripts, followed by those that earlier workers used.
    places: Arc<[PathBuf]>,
}

impl Execution {
    /// Creates an execution with its files in the state directory. Keeps up to `idle` shims for the next runs.
    ///
    /// # Errors
    /// If a directory in the state directory cannot be created or, for durability against power loss, synced.
    pub fn new(settings: Settings, state: &Path, shim: ShimProgram, idle: usize) -> io::Result<Self> {
        let logs = RunFiles::new(state)?;
        if settings.durability == Durability::Power {
            File::open(state)?.sync_all()?;
        }
        let scripts = ScriptFiles::new(state);
        let pool = ShimPool::new(shim, state, settings.environment, scripts.spares(), idle);
        let places = script_directories::with_present(state, &settings.script_temp_path).into();
        Ok(Self {
            settings: watch::Sender::new(Arc::new(settings)),
            state: state.to_owned(),
            logs,
            scripts,
            pool,
            places,
        })
    }

    /// Applies other settings to the next runs; running ones keep those they were started with. The list of script
    /// directories and the environment of jobs are fixed at the start.
    pub fn reconfigure(&self, settings: Settings, idle: usize) {
        self.settings.send_replace(Arc::new(settings));
        self.pool.keep(idle);
    }

    fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.borrow())
    }

    /// Returns the files of records and outputs.
    #[must_use]
    pub fn logs(&self) -> &RunFiles {
        &self.logs
    }

    /// Returns the means of supervision, `cgroup` or `subreaper`; `None` until a first shim has reported it.
    #[must_use]
    pub fn supervision(&self) -> Option<String> {
        self.pool.supervision()
    }

    /// Returns the free space on the disks of the state directory and the scripts.
    #[must_use]
    pub fn rooms(&self) -> Vec<DiskRoom> {
        free_resources::rooms(&self.state, &self.settings().script_temp_path)
    }

    /// Returns the time between TERM and KILL.
    #[must_use]
    pub fn kill_grace(&self) -> Duration {
        self.settings().kill_grace
    }

    /// Writes the script and hands the run to a shim.
    ///
    /// # Errors
    /// If the script cannot be written or no shim takes it; the message is one sentence for the log of the failed run.
    pub async fn launch(&self, launch: &Launch) -> Result<Running, LaunchError> {
        let path = self.script_path(launch.run, launch.attempt, &launch.token);
        self.scripts
            .write(&path, launch.script.body().as_bytes())
            .map_err(|source| LaunchError::Script { path: path.clone(), source })?;
        self.logs.restore();
        crash_point!(ScriptWritten);
        let order = self.order(launch, &path);
        self.pool.execute(order).await.map_err(|source| {
            // No shim has taken the order, so nobody else removes the script.
            let _ = std::fs::remove_file(&path);
            LaunchError::Shim(source)
        })
    }

    fn order(&self, launch: &Launch, script: &Path) -> wire::ExecutionOrder {
        let settings = self.settings();
        let durable = settings.durability == Durability::Power;
        let (head, tail) = excerpt::shares(settings.max_log_bytes);
        let mut command = launch.script.interpreter().to_vec();
        command.push(script.to_string_lossy().into_owned());
        let mut environment = vec![
            ("JOB_RUNNER_RUN_ID".to_owned(), launch.run.to_string()),
            ("JOB_RUNNER_ATTEMPT".to_owned(), launch.told_attempt.to_string()),
            ("JOB_RUNNER_RUN_TOKEN".to_owned(), launch.token.clone()),
        ];
        environment.extend(launch.environment.iter().cloned());
        wire::ExecutionOrder {
            run: launch.run.get(),
            attempt: launch.attempt.0,
            token: launch.token.clone(),
            command,
            script: script.to_owned(),
            record: self.logs.record_path(launch.run, launch.attempt),
            // A renamed spare is not enough here: what must survive a loss of power is created and synced anew.
            spare: if durable { None } else { self.logs.spare() },
            script_spare: self.scripts.spare_of(script),
            output: self.logs.output_path(launch.run, launch.attempt),
            head,
            // One byte more than is ever shown, so that a reader can tell whether something is missing.
            tail: tail + u64::from(head + tail < settings.max_log_bytes),
            linger_ms: millis(settings.linger),
            stop_leftovers: settings.leftovers == LeftoverPolicy::Stop,
            grace_ms: millis(settings.kill_grace),
            timeout_ms: settings.run_timeout.into_iter().chain(launch.run_timeout).min().map(millis),
            durable,
            environment,
            redact: settings.redact.clone(),
        }
    }

    /// Waits until the record of an attempt can be read or does not exist. Logs once that it waits.
    pub async fn readable(&self, run: RunId, attempt: Attempt) {
        let path = self.logs.record_path(run, attempt);
        let (mut pause, mut told) = (FIRST_LOOK, false);
        while let Err(e) = remains::readable(&path) {
            if !std::mem::replace(&mut told, true) {
                let path = path.display();
                tracing::error!(
                    target: "job_runner_worker.cleanup",
                    %run,
                    execution = attempt.0,
                    %path,
                    error = %chain_of(&e),
                    "record cannot be read; retrying"
                );
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LAST_LOOK);
        }
    }

    /// Determines how far an attempt came whose entry is in the outbox. Waits while that cannot be told.
    pub async fn remains(&self, run: RunId, attempt: Attempt, token: &str) -> ExecutionRemains {
        let record = self.logs.record_path(run, attempt);
        let name = script_name(run, attempt, token);
        let scripts: Vec<PathBuf> = self.places.iter().map(|place| place.join(&name)).collect();
        let mut told = false;
        loop {
            match remains::of(&record, &scripts) {
                // A shim holds the record and is about to write its first line, which takes milliseconds.
                Ok(Some(remains)) => return remains,
                Ok(None) => tokio::time::sleep(Duration::from_millis(10)).await,
                Err(e) => {
                    self.logs.restore();
                    if !std::mem::replace(&mut told, true) {
                        tracing::error!(
                            target: "job_runner_worker.cleanup",
                            %run,
                            execution = attempt.0,
                            path = %record.display(),
                            error = %chain_of(&e),
                            "record cannot be read; retrying"
                        );
                    }
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    /// Connects to the living shim of a run of an earlier worker.
    ///
    /// # Errors
    /// If the shim is gone by now: [`Self::remains`] tells how far it came.
    pub async fn attach(&self, record: &Record) -> io::Result<Running> {
        connection::attach(record, self.pool.state()).await
    }

    /// Kills the processes that a dead shim left alive. Returns when none is left.
    pub async fn clean_up(&self, record: Box<Record>) {
        let _ = tokio::task::spawn_blocking(move || remains::clean_up(&record, LeftBy::DeadShim)).await;
    }

    /// Kills the processes that scripts of a run left running when they ended, also after the run is finished. Returns
    /// when none is left.
    pub async fn end_leftovers(&self, run: RunId) {
        let logs = self.logs.clone();
        let end = move || {
            for (_, attempt) in logs.all().into_iter().filter(|(listed, _)| *listed == run) {
                if let Some(record) = remains::with_leftovers(&logs.record_path(run, attempt)) {
                    remains::clean_up(&record, LeftBy::Script);
                }
            }
            // The order of the two searches matters: records move from the first directory to this one, never back.
            for path in logs.left_behind().of(run) {
                if let Some(record) = remains::with_leftovers(&path) {
                    remains::clean_up(&record, LeftBy::Script);
                }
                let _ = std::fs::remove_file(&path);
            }
        };
        let _ = tokio::task::spawn_blocking(end).await;
    }

    /// Removes the files and cgroups that dead shims could not remove.
    pub fn clear_away_dead(&self) {
        clear_away_dead(&self.state);
    }

    /// Returns the path of the script of an attempt while it runs.
    fn script_path(&self, run: RunId, attempt: Attempt, token: &str) -> PathBuf {
        self.settings().script_temp_path.join(script_name(run, attempt, token))
    }
}

/// Removes what dead shims could not remove: their sockets and cgroups, and records of leftovers that are gone.
fn clear_away_dead(state: &Path) {
    shim::clear_away_dead(state);
    LeftBehind::new(state).clear_deserted();
}

/// Returns the file name of a script. The token makes it impossible to guess in a directory that others may write to.
fn script_name(run: RunId, attempt: Attempt, token: &str) -> String {
    let token = token.get(..16).unwrap_or(token);
    format!("job-runner-{run}.{attempt}-{token}")
}

/// Returns process ids as the value of a log field, separated by commas.
pub(crate) fn shown_pids(pids: &[i32]) -> String {
    pids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
