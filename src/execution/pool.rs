//! The shims: started when a run needs one, kept for the next, let go when none comes.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::connection::{Connection, GREETING, Running, Shim};
use super::environment::{self, Environment};
use super::shim::{self, socket};
use crate::wire::shim::Execution;

/// How long shims without a run are kept.
const IDLE: Duration = Duration::from_secs(60);
/// How many new shims are started for a run, one after the other, until one lives to take it.
const NEW_SHIMS: u32 = 3;

/// How a shim is started.
#[derive(Clone, Debug)]
pub struct ShimProgram {
    /// The program: this one, as it was when it started, even where the file has been replaced since.
    pub path: PathBuf,
    /// Whether cgroups are used where they can be had.
    pub cgroup: bool,
}

impl Default for ShimProgram {
    fn default() -> Self {
        Self { path: PathBuf::from("/proc/self/exe"), cgroup: true }
    }
}

/// All shims without a run.
#[derive(Debug)]
pub(super) struct Pool {
    program: ShimProgram,
    state: PathBuf,
    environment: Vec<(OsString, OsString)>,
    idle: Arc<Mutex<Idle>>,
    supervision: Mutex<Option<String>>,
}

#[derive(Debug, Default)]
struct Idle {
    shims: Vec<Shim>,
    /// How many are kept at most.
    keep: usize,
    /// Whether somebody is going to let the shims go.
    timed: bool,
    /// How few there were since that was last considered.
    unused: usize,
}

impl Pool {
    pub(super) fn new(program: ShimProgram, state: &Path, policy: Environment, keep: usize) -> Self {
        Self {
            program,
            state: state.to_owned(),
            environment: environment::of_jobs(policy, std::env::vars_os()),
            idle: Arc::new(Mutex::new(Idle { keep, ..Idle::default() })),
            supervision: Mutex::default(),
        }
    }

    /// The state directory that its shims are told.
    pub(super) fn state(&self) -> &Path {
        &self.state
    }

    pub(super) fn supervision(&self) -> Option<String> {
        self.supervision.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps up to this many from now on.
    pub(super) fn keep(&self, keep: usize) {
        let mut idle = lock(&self.idle);
        idle.keep = keep;
        idle.shims.truncate(keep);
    }

    /// Gives a run to a shim, a new one if none is idle.
    pub(super) async fn execute(&self, order: Execution) -> io::Result<Running> {
        let mut order = Box::new(order);
        while let Some(shim) = self.take() {
            match shim.execute(order).await {
                Ok(running) => return Ok(running),
                Err(back) => order = back,
            }
        }
        // Nothing has begun yet: a shim that is killed here costs the run nothing.
        let mut failed = io::Error::from(io::ErrorKind::BrokenPipe);
        for _ in 0..NEW_SHIMS {
            match self.start().await {
                Ok(shim) => match shim.execute(order).await {
                    Ok(running) => return Ok(running),
                    Err(back) => order = back,
                },
                Err(e) => failed = e,
            }
        }
        Err(failed)
    }

    fn take(&self) -> Option<Shim> {
        let mut idle = lock(&self.idle);
        let shim = idle.shims.pop();
        idle.unused = idle.unused.min(idle.shims.len());
        shim
    }

    async fn start(&self) -> io::Result<Shim> {
        let (ours, theirs) = socket::pair()?;
        self.spawn(theirs)?;
        let (greeting, greeted) = oneshot::channel();
        let (connection, shim) = Connection::new(ours, Some(greeting))?;
        let (idle, state) = (Arc::clone(&self.idle), self.state.clone());
        tokio::spawn(connection.serve_and_clear(state, move |shim| give_back(&idle, shim)));
        let hello = tokio::time::timeout(GREETING, greeted)
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
            .map_err(|_| io::Error::other("it ended before it greeted"))??;
        *self.supervision.lock().unwrap_or_else(PoisonError::into_inner) = Some(hello.supervision);
        Ok(shim)
    }

    /// Without a hook between fork and exec, so that a large worker is not copied for it.
    fn spawn(&self, socket: OwnedFd) -> io::Result<()> {
        let mut command = tokio::process::Command::new(&self.program.path);
        command
            .arg0("job_runner_worker")
            .arg(shim::ARGUMENT)
            .arg(&self.state)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::from(socket))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        if !self.program.cgroup {
            command.arg(shim::WITHOUT_CGROUP);
        }
        // Whoever ends first: a dropped child is reaped by the runtime.
        command.spawn().map(drop)
    }
}

fn give_back(pool: &Arc<Mutex<Idle>>, shim: Shim) {
    let mut idle = lock(pool);
    if idle.shims.len() >= idle.keep {
        return;
    }
    idle.shims.push(shim);
    if !std::mem::replace(&mut idle.timed, true) {
        idle.unused = idle.shims.len();
        tokio::spawn(let_go(Arc::clone(pool)));
    }
}

/// Lets those go that no run needed for a while, until none is left.
async fn let_go(pool: Arc<Mutex<Idle>>) {
    loop {
        tokio::time::sleep(IDLE).await;
        let mut idle = lock(&pool);
        let unused = idle.unused.min(idle.shims.len());
        idle.shims.drain(..unused);
        idle.unused = idle.shims.len();
        if idle.shims.is_empty() {
            idle.timed = false;
            return;
        }
    }
}

fn lock(idle: &Mutex<Idle>) -> std::sync::MutexGuard<'_, Idle> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
