//! The execution: runs a script under a shim, and finds it again after a restart.
//!
//! [`Execution::launch`] writes the script, gives the order to a shim and answers with a [`Running`]. The
//! shim owns the process and its record on disk, so that nothing here is lost with this process:
//! [`Execution::remains`] reads what is left of a run, and [`Execution::attach`] goes on with one that lives.

mod connection;
mod environment;
mod left_behind;
mod logs;
mod patience;
mod places;
mod pool;
mod remains;
mod room;
pub mod shim;
mod spares;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

pub use connection::{Control, Progress, Running};
pub use environment::{Environment, of_jobs};
pub use logs::RunFiles;
pub use pool::ShimProgram;
pub use remains::{ExecutionRemains, start as recorded_start};
pub use room::{DiskRoom, Means, descriptors_allowed, descriptors_open};

use crate::report::Durability;
use crate::run::script::Script;
use crate::run::{Attempt, LeftoverPolicy, RunId, Secret, excerpt, shortage};
use crate::wire::disk::Record;
use crate::wire::shim as wire;
use left_behind::LeftBehind;
use pool::ShimPool;
use remains::LeftBy;

/// How long until it is looked again whether a record can be read; doubled up to the last.
const FIRST_LOOK: Duration = Duration::from_secs(1);
const LAST_LOOK: Duration = Duration::from_secs(60);

/// What the execution needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where scripts are written while they run.
    pub script_temp_path: PathBuf,
    /// Between TERM and KILL; zero: KILL at once, as the original does.
    pub kill_grace: Duration,
    /// How long a run stays open after its main process ended while its output is still held open.
    pub linger: Duration,
    /// What becomes of processes that outlive the script.
    pub leftovers: LeftoverPolicy,
    /// The longest a script may run.
    pub run_timeout: Option<Duration>,
    /// Whether jobs start with the worker's environment or a minimal one.
    pub environment: Environment,
    /// The most bytes of a run's output that are kept; see [`excerpt`].
    pub max_log_bytes: u64,
    /// What is taken out of the output of jobs before it is kept.
    pub redact: Vec<Secret>,
    /// What records and outputs must survive.
    pub durability: Durability,
}

/// What is to be executed.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The run.
    pub run: RunId,
    /// Which execution of it this is.
    pub attempt: Attempt,
    /// What the job's processes carry in their environment.
    pub token: String,
    /// The script.
    pub script: Script,
    /// The longest it may run, besides what is set here.
    pub run_timeout: Option<Duration>,
    /// More for the job's environment.
    pub environment: Vec<(String, String)>,
}

/// Why nothing was launched.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The script cannot be written.
    #[error("The script could not be written to {path}: {source}.")]
    Script {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is no shim.
    #[error("Its supervising process could not be started: {0}.")]
    Shim(#[source] io::Error),
}

impl LaunchError {
    /// Whether it passes by itself: the system has too little of something.
    #[must_use]
    pub fn is_shortage(&self) -> bool {
        let (Self::Script { source, .. } | Self::Shim(source)) = self;
        source.raw_os_error().is_some_and(|errno| shortage::of_errno(errno).is_some())
    }
}

/// The door. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Execution {
    settings: watch::Sender<Arc<Settings>>,
    state: PathBuf,
    logs: RunFiles,
    pool: ShimPool,
    /// Where scripts lie, and where they lay when an earlier worker wrote them.
    places: Arc<[PathBuf]>,
}

impl Execution {
    /// An execution with its files in the state directory, which is made where it is missing. Keeps up to
    /// `idle` shims for the next runs.
    ///
    /// # Errors
    /// What the system says of the directories.
    pub fn new(settings: Settings, state: &Path, shim: ShimProgram, idle: usize) -> io::Result<Self> {
        let logs = RunFiles::new(state)?;
        if settings.durability == Durability::Power {
            File::open(state)?.sync_all()?;
        }
        let pool = ShimPool::new(shim, state, settings.environment, idle);
        let places = places::with_present(state, &settings.script_temp_path).into();
        Ok(Self { settings: watch::Sender::new(Arc::new(settings)), state: state.to_owned(), logs, pool, places })
    }

    /// Executes the next runs under other settings; those under way keep what they were started with. Where scripts
    /// lie and what jobs start with stays as it was.
    pub fn reconfigure(&self, settings: Settings, idle: usize) {
        self.settings.send_replace(Arc::new(settings));
        self.pool.keep(idle);
    }

    fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.borrow())
    }

    /// Where the output of runs is.
    #[must_use]
    pub fn logs(&self) -> &RunFiles {
        &self.logs
    }

    /// How kills are made sure of, once a shim has said it.
    #[must_use]
    pub fn supervision(&self) -> Option<String> {
        self.pool.supervision()
    }

    /// What is left of the disks for one more run.
    #[must_use]
    pub fn rooms(&self) -> Vec<DiskRoom> {
        room::rooms(&self.state, &self.settings().script_temp_path)
    }

    /// Between TERM and KILL.
    #[must_use]
    pub fn kill_grace(&self) -> Duration {
        self.settings().kill_grace
    }

    /// Starts a run.
    ///
    /// # Errors
    /// One clear sentence for the log of the failed run.
    pub async fn launch(&self, launch: &Launch) -> Result<Running, LaunchError> {
        let path = self.script_path(launch.run, launch.attempt, &launch.token);
        logs::write_private(&path, launch.script.body().as_bytes())
            .map_err(|source| LaunchError::Script { path: path.clone(), source })?;
        self.logs.restore();
        crash_point!(ScriptWritten);
        let order = self.order(launch, &path);
        self.pool.execute(order).await.map_err(|source| {
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
            ("JOB_RUNNER_ATTEMPT".to_owned(), launch.attempt.to_string()),
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
            // What must survive a loss of power is made anew: a name alone is not all that there is to it.
            spare: if durable { None } else { self.logs.spare() },
            output: self.logs.output_path(launch.run, launch.attempt),
            head,
            // One byte more than is ever shown tells whether something is missing.
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

    /// Waits until the record of an execution can be read, or is not there; says once that it cannot.
    pub async fn readable(&self, run: RunId, attempt: Attempt) {
        let path = self.logs.record_path(run, attempt);
        let (mut pause, mut told) = (FIRST_LOOK, false);
        while let Err(e) = remains::readable(&path) {
            if !std::mem::replace(&mut told, true) {
                let path = path.display();
                tracing::error!(
                    target: "job_runner_worker.cleanup",
                    "run {run} is left alone: {path}: {e}; as soon as it can be read, or is removed, the run is taken up"
                );
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LAST_LOOK);
        }
    }

    /// What is left of an execution whose entry is in the outbox. Waits while that cannot be seen.
    pub async fn remains(&self, run: RunId, attempt: Attempt, token: &str) -> ExecutionRemains {
        let record = self.logs.record_path(run, attempt);
        let name = script_name(run, attempt, token);
        let scripts: Vec<PathBuf> = self.places.iter().map(|place| place.join(&name)).collect();
        let mut told = false;
        loop {
            match remains::of(&record, &scripts) {
                Ok(Some(remains)) => return remains,
                Ok(None) => tokio::time::sleep(Duration::from_millis(10)).await,
                Err(e) => {
                    self.logs.restore();
                    if !std::mem::replace(&mut told, true) {
                        tracing::error!(target: "job_runner_worker.cleanup", "run {run}: {}: {e}; trying again", record.display());
                    }
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    /// Takes a run up again whose shim lives.
    ///
    /// # Errors
    /// That the shim is gone meanwhile: ask for what is left once more.
    pub async fn attach(&self, record: &Record) -> io::Result<Running> {
        connection::attach(record, self.pool.state()).await
    }

    /// Ends what a dead shim has left alive, and answers when nobody is left.
    pub async fn clean_up(&self, record: Box<Record>) {
        let _ = tokio::task::spawn_blocking(move || remains::clean_up(&record, LeftBy::DeadShim)).await;
    }

    /// Ends what scripts of a run left running that ended by themselves, and answers when nobody is left: also when the run
    /// is done with.
    pub async fn end_leftovers(&self, run: RunId) {
        let logs = self.logs.clone();
        let end = move || {
            for (_, attempt) in logs.all().into_iter().filter(|(listed, _)| *listed == run) {
                if let Some(record) = remains::with_leftovers(&logs.record_path(run, attempt)) {
                    remains::clean_up(&record, LeftBy::Script);
                }
            }
            // In this order: a record that is not found there any more has come to be here.
            for path in logs.left_behind().of(run) {
                if let Some(record) = remains::with_leftovers(&path) {
                    remains::clean_up(&record, LeftBy::Script);
                }
                let _ = std::fs::remove_file(&path);
            }
        };
        let _ = tokio::task::spawn_blocking(end).await;
    }

    /// Removes what dead shims could not.
    pub fn clear_away_dead(&self) {
        clear_away_dead(&self.state);
    }

    /// Where the script of an execution is while it runs.
    fn script_path(&self, run: RunId, attempt: Attempt, token: &str) -> PathBuf {
        self.settings().script_temp_path.join(script_name(run, attempt, token))
    }
}

/// Removes what dead shims could not: their sockets and groups, and records of leftovers that are gone.
fn clear_away_dead(state: &Path) {
    shim::clear_away_dead(state);
    LeftBehind::new(state).clear_deserted();
}

/// The token makes the name one that nobody can guess.
fn script_name(run: RunId, attempt: Attempt, token: &str) -> String {
    let token = token.get(..16).unwrap_or(token);
    format!("job-runner-{run}.{attempt}-{token}")
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
