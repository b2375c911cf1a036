//! Pool of shims: starts a shim when a run needs one, keeps idle shims for the next runs, and ends idle shims that no
//! run needs.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, oneshot};

use super::connection::{GREETING, Running, Shim, ShimConnection, ShimProcess};
use super::environment::{self, Environment};
use super::shim::{self, socket};
use super::spares::Spares;
use crate::wire::shim::ExecutionOrder;

/// Time after which an idle shim that no run has needed is ended.
const IDLE: Duration = Duration::from_secs(60);
/// Most new shims that are started for one run, one after the other, until one takes it.
const NEW_SHIMS: u32 = 3;

/// Most shims that are being started at once. A start costs more than a short run, so a run may get a shim sooner from
/// a run that ends meanwhile.
const STARTING: usize = 4;

/// Program and options of a shim.
#[derive(Clone, Debug)]
pub struct ShimProgram {
    /// Path of the program: this executable as it was at the start, even if the file has been replaced since.
    pub path: PathBuf,
    /// Whether shims create a cgroup where they can.
    pub cgroup: bool,
    /// Soft limit of descriptors for jobs, if the worker's own was raised; `None` keeps the worker's.
    pub descriptors: Option<u64>,
}

impl Default for ShimProgram {
    fn default() -> Self {
        Self { path: PathBuf::from("/proc/self/exe"), cgroup: true, descriptors: None }
    }
}

/// All idle shims, and the means to start more. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct ShimPool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    program: ShimProgram,
    state: PathBuf,
    environment: Vec<(OsString, OsString)>,
    script_spares: Arc<Spares>,
    idle: Mutex<Idle>,
    /// Notified when an idle shim is given back, for a run that waits for one.
    returned: Notify,
    starting: Arc<Semaphore>,
    supervision: Mutex<Option<String>>,
}

#[derive(Debug, Default)]
struct Idle {
    shims: Vec<Shim>,
    /// Most shims that are kept idle.
    keep: usize,
    /// Whether the task that lets idle shims go is running.
    timed: bool,
    /// Fewest idle shims since the last interval began: the number that no run has needed.
    unused: usize,
}

impl ShimPool {
    pub(super) fn new(
        program: ShimProgram,
        state: &Path,
        policy: Environment,
        script_spares: Arc<Spares>,
        keep: usize,
    ) -> Self {
        Self(Arc::new(Shared {
            program,
            state: state.to_owned(),
            environment: environment::of_jobs(policy, std::env::vars_os()),
            script_spares,
            idle: Mutex::new(Idle { keep, ..Idle::default() }),
            returned: Notify::new(),
            starting: Arc::new(Semaphore::new(STARTING)),
            supervision: Mutex::default(),
        }))
    }

    /// Returns the state directory that is passed to shims.
    pub(super) fn state(&self) -> &Path {
        &self.0.state
    }

    pub(super) fn supervision(&self) -> Option<String> {
        self.0.supervision.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets the number of shims that are kept idle, and lets go of those beyond it.
    pub(super) fn keep(&self, keep: usize) {
        let mut idle = self.idle();
        idle.keep = keep;
        idle.shims.truncate(keep);
    }

    /// Hands a run to the first shim that is idle: a kept one, one that is given back, or a new one.
    pub(super) async fn execute(&self, order: ExecutionOrder) -> io::Result<Running> {
        let mut order = Box::new(order);
        // Nothing has started yet, so a shim that is killed here costs the run nothing; another one takes the order.
        let mut failures = 0;
        let another = self.start_another();
        tokio::pin!(another);
        loop {
            while let Some(shim) = self.take() {
                match shim.execute(order).await {
                    Ok(running) => return Ok(running),
                    Err(back) => order = back,
                }
            }
            tokio::select! {
                () = self.0.returned.notified() => {}
                started = &mut another => {
                    let failed = match started {
                        Ok(shim) => match shim.execute(order).await {
                            Ok(running) => return Ok(running),
                            Err(back) => {
                                order = back;
                                io::Error::from(io::ErrorKind::BrokenPipe)
                            }
                        },
                        Err(e) => e,
                    };
                    failures += 1;
                    if failures == NEW_SHIMS {
                        return Err(failed);
                    }
                    another.set(self.start_another());
                }
            }
        }
    }

    fn take(&self) -> Option<Shim> {
        let mut idle = self.idle();
        let shim = idle.shims.pop();
        idle.unused = idle.unused.min(idle.shims.len());
        shim
    }

    /// Starts one more shim once a permit is free. The start runs in a task of its own: if this future is dropped, the
    /// shim is given back for another run.
    async fn start_another(&self) -> io::Result<Shim> {
        let turn = Arc::clone(&self.0.starting).acquire_owned().await;
        let (tell, told) = oneshot::channel();
        let pool = self.clone();
        tokio::spawn(async move {
            let started = pool.start().await;
            drop(turn);
            if let Err(Ok(shim)) = tell.send(started) {
                pool.give_back(shim);
            }
        });
        told.await.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::BrokenPipe)))
    }

    async fn start(&self) -> io::Result<Shim> {
        let (ours, theirs) = socket::pair()?;
        let process = self.spawn(theirs)?;
        let (greeting, greeted) = oneshot::channel();
        let (connection, shim) = ShimConnection::new(ours, Some(greeting))?;
        let connection = connection.of_child(process, Arc::clone(&self.0.script_spares));
        let pool = self.clone();
        tokio::spawn(connection.serve_and_clear(self.state().to_owned(), move |shim| pool.give_back(shim)));
        let hello = tokio::time::timeout(GREETING, greeted)
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
            .map_err(|_| io::Error::other("it ended before it greeted"))??;
        *self.0.supervision.lock().unwrap_or_else(PoisonError::into_inner) = Some(hello.supervision);
        Ok(shim)
    }

    /// Starts the process. No `pre_exec` hook is set, so that the standard library can use `posix_spawn` and a large
    /// worker is not copied.
    fn spawn(&self, socket: OwnedFd) -> io::Result<Option<ShimProcess>> {
        // `/proc/self/exe` names no program for `ps`, so the name is set explicitly.
        let mut command = tokio::process::Command::new(&self.0.program.path);
        command
            .arg0("job_runner_worker")
            .arg(shim::ARGUMENT)
            .arg(self.state())
            .env_clear()
            .envs(self.0.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::from(socket))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        if !self.0.program.cgroup {
            command.arg(shim::WITHOUT_CGROUP);
        }
        if let Some(soft) = self.0.program.descriptors {
            command.arg(format!("{}{soft}", shim::DESCRIPTORS));
        }
        // The child is not kept: the runtime reaps a dropped child, and the pidfd tells its end.
        let child = command.spawn()?;
        Ok(child.id().and_then(|pid| ShimProcess::new(i32::try_from(pid).ok()?)))
    }

    fn give_back(&self, shim: Shim) {
        let mut idle = self.idle();
        // Dropping the handle closes the connection, upon which the shim exits.
        if idle.shims.len() >= idle.keep {
            return;
        }
        idle.shims.push(shim);
        // A run that waits for a new shim takes this one instead; the new one is then given back.
        self.0.returned.notify_one();
        // One task at a time lets idle shims go; it ends when none is left.
        if !std::mem::replace(&mut idle.timed, true) {
            idle.unused = idle.shims.len();
            tokio::spawn(self.clone().let_go());
        }
    }

    /// Lets go, once per interval, of the shims that no run has needed since the last one; ends when none is left.
    async fn let_go(self) {
        loop {
            tokio::time::sleep(IDLE).await;
            let mut idle = self.idle();
            let unused = idle.unused.min(idle.shims.len());
            idle.shims.drain(..unused);
            idle.unused = idle.shims.len();
            if idle.shims.is_empty() {
                idle.timed = false;
                return;
            }
        }
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
