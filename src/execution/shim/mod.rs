//! Shim: a small synchronous process that supervises one run at a time and outlives the worker.
//!
//! The shim is the same binary, entered before any runtime starts, with one thread. It owns what must survive the
//! worker: the licence to execute, the script's process tree (as its subreaper), the pipe with the output, the exit
//! status. It needs no configuration, since its order holds everything, and trusts no user but its own.
//!
//! While the worker lives, orders and results go over the socket pair on descriptor 0, and a shim whose run left no
//! processes behind takes the next one. When the worker dies, the shim finishes its run, writes the record and exits; a
//! new worker finds the shim by the record, sees by the lock that it lives, and connects to its socket.

pub mod cgroup;
pub mod exclusive_file;
mod job;
pub mod killed;
mod memory;
pub mod redact;
pub mod socket;
pub mod spool;
#[allow(unsafe_code)] // the calls that nix has no safe form of
mod syscall;
mod tools;
pub mod tree;
mod used_script;

use std::ffi::{CStr, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;
use tokio::io::unix::AsyncFd;

use crate::run::ending::Company;
use crate::wire::disk;
use crate::wire::shim::{FromShim, MAX_PACKET, ToShim};
use cgroup::Cgroup;
use job::SupervisedRun;
use memory::Score;
use socket::ShimPeer;
use syscall::Waited;
use tools::Tools;

/// First argument of a shim; the second is the state directory.
pub const ARGUMENT: &str = "--shim";
/// Argument of a shim that must do without a cgroup.
pub const WITHOUT_CGROUP: &str = "without-cgroup";
/// Prefix of the argument with the soft limit of descriptors for jobs.
pub const DESCRIPTORS: &str = "descriptors=";

/// Process name of a shim, for `ps` and to tell it from a later process with the same pid.
const NAME: &CStr = c"jr-shim";

/// Removes what dead shims could not: sockets without a listener, and cgroups without members.
pub fn clear_away_dead(state: &Path) {
    for entry in std::fs::read_dir(socket::directory(state)).into_iter().flatten().flatten() {
        if socket::is_dead(&entry.path()) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
    cgroup::remove_deserted(is_alive);
}

/// Opens a pidfd of a shim or of a script.
///
/// # Errors
/// If the process is gone.
pub fn process(pid: i32) -> io::Result<OwnedFd> {
    syscall::pidfd_open(Pid::from_raw(pid))
}

/// Returns an awaitable pidfd of the script under a shim that is no child of this process.
///
/// # Errors
/// If the script is gone.
pub fn watch(script: i32) -> io::Result<AsyncFd<OwnedFd>> {
    awaited(process(script)?)
}

/// Registers a pidfd with the runtime; it becomes readable when the process ends.
///
/// # Errors
/// If the runtime cannot register it.
pub fn awaited(process: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    syscall::pidfd_await(process)
}

/// Asks a shim whose socket was removed to bind it anew. A shim of an earlier build ignores the signal.
pub fn ask_for_socket(pid: i32) {
    if let (true, Ok(process)) = (is_alive(pid), process(pid)) {
        signal(&process, Signal::SIGUSR1);
    }
}

/// Sends a signal to a shim's process; does nothing if the process is gone.
pub fn signal(process: &OwnedFd, signal: Signal) {
    let _ = syscall::pidfd_send_signal(process.as_fd(), signal as i32);
}

/// Waits at most `at_most` for the end of a process and returns whether it ended.
#[must_use]
pub fn is_gone_within(process: &OwnedFd, at_most: Duration) -> bool {
    let timeout = PollTimeout::try_from(at_most).unwrap_or(PollTimeout::MAX);
    nix::poll::poll(&mut [PollFd::new(process.as_fd(), PollFlags::POLLIN)], timeout).is_ok_and(|ended| ended > 0)
}

/// Returns whether `pid` is a living shim of any worker.
#[must_use]
pub fn is_alive(pid: i32) -> bool {
    let named = std::fs::read(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim_ascii_end() == NAME.to_bytes());
    named && tree::process(pid).is_some_and(|process| !process.zombie)
}

/// Runs as a shim, and never returns, if the command line says so. Called first in `main`.
pub fn enter_if_called() {
    let mut args = std::env::args_os().skip(1);
    if args.next().as_deref() != Some(OsStr::new(ARGUMENT)) {
        return;
    }
    let Some(state) = args.next().map(PathBuf::from) else { process::exit(2) };
    let mut with_cgroup = true;
    for arg in args {
        match arg.to_str().and_then(|arg| arg.strip_prefix(DESCRIPTORS)) {
            Some(soft) => soft.parse().map(keep_descriptors_to).unwrap_or_default(),
            None => with_cgroup &= arg != OsStr::new(WITHOUT_CGROUP),
        }
    }
    process::exit(match Shim::start(&state, with_cgroup).and_then(Shim::serve) {
        Ok(()) => 0,
        Err(_) => 70,
    });
}

/// Sets the soft limit of descriptors for this shim and its jobs back to the user's, where the worker has raised its
/// own.
fn keep_descriptors_to(soft: u64) {
    let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    // Lowering the limit is always allowed.
    let _ = setrlimit(Resource::RLIMIT_NOFILE, soft.min(hard), hard);
}

/// Returns a name for the shim's socket and cgroup: the pid for people, and random digits that make it unique for ever.
fn name() -> String {
    format!("{}-{}", process::id(), &random_token()[..16])
}

/// Returns 32 unpredictable hexadecimal digits.
#[must_use]
pub fn random_token() -> String {
    let bytes = syscall::random().unwrap_or_else(|_| fastrand::u128(..).to_ne_bytes());
    format!("{:032x}", u128::from_ne_bytes(bytes))
}

/// State of a shim process.
struct Shim {
    listener: socket::ShimListener,
    signals: SignalFd,
    null: OwnedFd,
    tools: Tools,
    /// Receive buffer for one packet of the worker.
    packet: Box<[u8]>,
    /// The connected worker; `None` once it is known to be gone.
    worker: Option<ShimPeer>,
    job: Option<SupervisedRun>,
    /// Path of the record of a run whose leftovers this shim stays for, once the worker is done with the run.
    left_behind: Option<PathBuf>,
}

/// Source that woke the poll loop.
#[derive(Clone, Copy)]
enum Wake {
    Worker,
    Listener,
    Signal,
    Output,
}

impl Shim {
    fn start(state: &Path, with_cgroup: bool) -> io::Result<Self> {
        let worker = ShimPeer::inherited()?;
        syscall::close_all_but(worker.as_fd());
        // The score file is opened before the process becomes undumpable: afterwards only root could open it.
        let score = Score::open();
        // Orders contain secrets, so neither a core dump nor another process may read this memory. A job becomes
        // dumpable again by `execve`.
        nix::sys::prctl::set_dumpable(false)?;
        match Self::alone(state, with_cgroup, score) {
            Ok(mut shim) => {
                worker.say(&shim.hello())?;
                shim.worker = Some(worker);
                Ok(shim)
            }
            Err(e) => {
                let reason = format!("it cannot begin: {e}");
                let _ = worker.say(&FromShim::Refused { reason, errno: e.raw_os_error() });
                Err(e)
            }
        }
    }

    /// Sets up everything but the connection to the worker.
    fn alone(state: &Path, with_cgroup: bool, score: Score) -> io::Result<Self> {
        let _ = nix::sys::prctl::set_name(NAME);
        nix::sys::prctl::set_child_subreaper(true)?;
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::all()), None)?;
        // SIGCHLD is not sent while its disposition is "ignore", which a shim may have inherited from the process that
        // started the worker.
        syscall::default_signals();
        let mut heard = SigSet::empty();
        heard.add(Signal::SIGCHLD);
        heard.add(Signal::SIGUSR1);
        let signals = SignalFd::with_flags(&heard, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        let null = OwnedFd::from(std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?);
        let name = name();
        let listener = socket::ShimListener::bind(&socket::directory(state), &name)?;
        let cgroup = if with_cgroup { Cgroup::create(&name).ok() } else { None };
        let packet = vec![0; MAX_PACKET].into_boxed_slice();
        Ok(Self {
            listener,
            signals,
            null,
            tools: Tools::new(cgroup, score),
            packet,
            worker: None,
            job: None,
            left_behind: None,
        })
    }

    fn hello(&self) -> FromShim {
        let supervision = if self.tools.cgroup.is_some() { "cgroup" } else { "subreaper" };
        FromShim::Hello {
            v: disk::VERSION,
            shim: i32::try_from(process::id()).unwrap_or_default(),
            supervision: supervision.to_owned(),
        }
    }

    // A shim without a worker lives for its run alone; without either it is done.
    fn serve(mut self) -> io::Result<()> {
        while self.worker.is_some() || self.job.is_some() {
            for wake in self.wait()? {
                match wake {
                    Wake::Worker => self.hear(),
                    Wake::Listener => self.accept(),
                    Wake::Signal => self.hear_signals(),
                    Wake::Output => self.read_output(),
                }
            }
            self.tick();
            self.settle();
        }
        Ok(())
    }

    /// Sleeps until something happens or a timer of the job is due.
    fn wait(&self) -> io::Result<Vec<Wake>> {
        let mut who = vec![(Wake::Listener, self.listener.as_fd()), (Wake::Signal, self.signals.as_fd())];
        who.extend(self.worker.as_ref().map(|worker| (Wake::Worker, worker.as_fd())));
        who.extend(self.job.as_ref().and_then(SupervisedRun::output).map(|pipe| (Wake::Output, pipe)));
        let mut fds: Vec<PollFd<'_>> =
            who.iter().map(|(_, fd): &(Wake, BorrowedFd<'_>)| PollFd::new(*fd, PollFlags::POLLIN)).collect();
        let timeout = match self.job.as_ref().and_then(SupervisedRun::due) {
            None => PollTimeout::NONE,
            // Rounded up, so that the timer is due on waking.
            Some(due) => {
                let left = due.saturating_duration_since(Instant::now()) + Duration::from_micros(999);
                PollTimeout::try_from(left.min(Duration::from_secs(86_400))).unwrap_or(PollTimeout::MAX)
            }
        };
        match nix::poll::poll(&mut fds, timeout) {
            Err(Errno::EINTR) => return Ok(Vec::new()),
            woken => woken?,
        };
        Ok(who.iter().zip(&fds).filter(|(_, fd)| fd.any().unwrap_or(true)).map(|((wake, _), _)| *wake).collect())
    }

    fn hear(&mut self) {
        let Some(worker) = &self.worker else { return };
        match worker.hear::<ToShim>(&mut self.packet) {
            Ok(Some(ToShim::Execute(order))) if self.job.is_none() => {
                let socket = self.listener.path().to_owned();
                match SupervisedRun::begin(*order, &socket, &mut self.tools, self.null.as_fd()) {
                    Ok((job, said)) => {
                        self.job = Some(job);
                        self.say(&said);
                    }
                    Err(refusal) => self.say(&refusal.said()),
                }
            }
            Ok(Some(ToShim::Execute(_))) => {
                self.say(&FromShim::Refused { reason: "this shim has a run already".to_owned(), errno: None });
            }
            Ok(Some(ToShim::Stop { cause, grace_ms })) => {
                if let Some(job) = &mut self.job {
                    job.stop(cause.into(), Duration::from_millis(grace_ms), &mut self.tools);
                }
            }
            Ok(Some(ToShim::Watch { beyond })) => {
                if let Some(said) = self.job.as_mut().and_then(|job| job.watch(beyond)) {
                    self.say(&said);
                }
            }
            // A packet of a newer worker that this build does not know: no promise of this shim depends on it.
            Ok(None) => {}
            Err(_) => self.lose_worker(),
        }
    }

    /// Sends a packet to the worker. If the worker is gone, it will read the record instead.
    fn say(&mut self, said: &FromShim) {
        if self.worker.as_ref().is_none_or(|worker| worker.say(said).is_err()) {
            self.lose_worker();
        }
    }

    fn lose_worker(&mut self) {
        self.worker = None;
        if let Some(job) = &mut self.job {
            job.lose_worker();
        }
    }

    /// Accepts a new worker, which replaces the former one.
    fn accept(&mut self) {
        let Ok(peer) = self.listener.accept() else { return };
        // The end is on disk and is not reported again: a worker whose connection is closed reads the record.
        if self.job.as_ref().is_some_and(SupervisedRun::is_told) {
            return;
        }
        self.lose_worker();
        self.worker = Some(peer);
        self.say(&self.hello());
        if let Some(said) = self.job.as_ref().and_then(SupervisedRun::spawned) {
            self.say(&said);
        }
    }

    fn hear_signals(&mut self) {
        // A signal is pending once however often it was sent, so the queue is short, and children are reaped until none
        // is left.
        while let Ok(Some(signal)) = self.signals.read_signal() {
            if signal.ssi_signo == Signal::SIGUSR1 as u32 {
                self.listen_again();
            }
        }
        self.reap();
    }

    /// Binds the socket anew if its file was removed.
    fn listen_again(&mut self) {
        if !self.listener.path().exists()
            && let Ok(listener) = self.listener.anew()
        {
            self.listener = listener;
        }
    }

    // Reaps all children, adopted orphans included: as a subreaper this process is the parent of every orphan of the
    // job.
    fn reap(&mut self) {
        let mut main = None;
        let company = loop {
            match syscall::wait_for_any() {
                Waited::Ended(pid, exit) if self.is_main(pid) => main = Some(exit),
                Waited::Ended(..) => {}
                Waited::Traced(pid, signal) => syscall::stop_tracing(pid, signal),
                Waited::Nothing => break Company::Others,
                Waited::Nobody => break Company::Alone,
            }
        };
        if let Some(job) = &mut self.job {
            job.reaped(main, company, &mut self.tools);
        }
    }

    fn is_main(&self, pid: Pid) -> bool {
        self.job.as_ref().is_some_and(|job| job.is_main(pid))
    }

    fn read_output(&mut self) {
        if let Some(said) = self.job.as_mut().and_then(|job| job.read_output(&mut self.tools)) {
            self.say(&said);
        }
    }

    fn tick(&mut self) {
        if let Some(said) = self.job.as_mut().and_then(|job| job.tick(Instant::now(), &mut self.tools)) {
            self.say(&said);
        }
    }

    /// Reports the end of the run once it is on disk, and drops the run when all its processes are gone.
    fn settle(&mut self) {
        let Some(job) = &mut self.job else { return };
        if let Some(said) = job.tell(&mut self.tools) {
            let free = job.leaves_shim_free();
            self.say(&said);
            if !free {
                // The worker does not use this shim again, and dropping the connection tells it so: the shim stays for
                // the leftovers alone.
                self.worker = None;
                self.left_behind = self.job.as_ref().and_then(SupervisedRun::left_behind);
            }
        }
        if self.job.as_ref().is_some_and(|job| job.is_told() && job.is_gone()) {
            self.job = None;
        }
    }
}

impl Drop for Shim {
    fn drop(&mut self) {
        // The socket first, then the record: a worker that finds a record without its socket removes the record.
        let _ = std::fs::remove_file(self.listener.path());
        if let Some(record) = &self.left_behind {
            let _ = std::fs::remove_file(record);
        }
    }
}
