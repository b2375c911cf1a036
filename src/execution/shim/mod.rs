//! The shim: a small synchronous process that supervises one run at a time and outlives the worker.
//!
//! It is the same binary, entered before any runtime starts, with one thread. It owns what must survive
//! the worker: the licence to execute, the script's process tree (as its subreaper), the pipe with the
//! output, the exit status. It needs no configuration – its order says everything – and trusts nobody but
//! its own user.
//!
//! While the worker lives, orders and results go over the socket pair on descriptor 0, and a shim
//! whose run left nobody behind takes the next one. When the worker dies, the shim finishes its run,
//! writes the record and exits; a new worker finds it by the record, sees by the lock that it lives,
//! and connects to its socket.

pub mod cgroup;
mod job;
pub mod killed;
mod memory;
pub mod redact;
pub mod socket;
pub mod spool;
mod syscall;
mod tools;
pub mod tree;

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

/// The first argument of a shim; the second is the state directory.
pub const ARGUMENT: &str = "--shim";
/// The third argument of a shim that is to do without a cgroup.
pub const WITHOUT_CGROUP: &str = "without-cgroup";
/// What begins the argument that says how many descriptors a job may have by itself.
pub const DESCRIPTORS: &str = "descriptors=";

/// What a shim is called, for `ps` and to be told from whoever gets its pid later.
const NAME: &CStr = c"jr-shim";

/// Removes what dead shims could not: sockets at which nobody listens, groups in which nobody is.
pub fn clear_away_dead(state: &Path) {
    for entry in std::fs::read_dir(socket::directory(state)).into_iter().flatten().flatten() {
        if socket::is_dead(&entry.path()) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
    cgroup::remove_deserted(is_alive);
}

/// A descriptor of a shim's process, or of the script's.
///
/// # Errors
/// That it is gone.
pub fn process(pid: i32) -> io::Result<OwnedFd> {
    syscall::pidfd_open(Pid::from_raw(pid))
}

/// The script of a shim that is not our child, to be awaited.
///
/// # Errors
/// That it is gone.
pub fn watch(script: i32) -> io::Result<AsyncFd<OwnedFd>> {
    awaited(process(script)?)
}

/// A process, to be awaited by the worker.
///
/// # Errors
/// What the runtime says.
pub fn awaited(process: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    syscall::pidfd_await(process)
}

/// Asks a shim to make its socket anew, which somebody has removed. One of an earlier build does not hear it.
pub fn ask_for_socket(pid: i32) {
    if let (true, Ok(process)) = (is_alive(pid), process(pid)) {
        signal(&process, Signal::SIGUSR1);
    }
}

/// Sends a signal to a shim's process; nothing, where it is gone.
pub fn signal(process: &OwnedFd, signal: Signal) {
    let _ = syscall::pidfd_send_signal(process.as_fd(), signal as i32);
}

/// Waits for the end of a process, no longer than so long. Whether it came.
#[must_use]
pub fn is_gone_within(process: &OwnedFd, at_most: Duration) -> bool {
    let timeout = PollTimeout::try_from(at_most).unwrap_or(PollTimeout::MAX);
    nix::poll::poll(&mut [PollFd::new(process.as_fd(), PollFlags::POLLIN)], timeout).is_ok_and(|ended| ended > 0)
}

/// Whether a pid is that of a living shim, of whichever worker.
#[must_use]
pub fn is_alive(pid: i32) -> bool {
    let named = std::fs::read(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim_ascii_end() == NAME.to_bytes());
    named && tree::process(pid).is_some_and(|process| !process.zombie)
}

/// Becomes a shim if the command line says so. Called before anything else.
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

/// Sets the soft limit of descriptors, of ours and of every job: that of the user, where the worker's was raised.
fn keep_descriptors_to(soft: u64) {
    let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    // Lower than it is, it is never refused.
    let _ = setrlimit(Resource::RLIMIT_NOFILE, soft.min(hard), hard);
}

/// What a shim's socket and its group are called: a pid for people, and what makes it nobody else's, ever.
fn name() -> String {
    let unique = std::fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap_or_default().replace('-', "");
    let unique = unique.get(..16).map_or_else(|| format!("{:016x}", fastrand::u64(..)), ToOwned::to_owned);
    format!("{}-{unique}", process::id())
}

/// Who is there.
struct Shim {
    listener: socket::ShimListener,
    signals: SignalFd,
    null: OwnedFd,
    tools: Tools,
    /// Room for a packet of the worker's.
    packet: Box<[u8]>,
    /// The worker, as far as we know.
    worker: Option<ShimPeer>,
    job: Option<SupervisedRun>,
    /// The record of the run whose leftovers we stay for, where it is when the worker is done with it.
    left_behind: Option<PathBuf>,
}

/// What woke us.
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
        // Before we cannot be looked into: then nobody but root could open it.
        let score = Score::open();
        // Orders bring secrets: no core of ours, and no look into our memory. A job gets its own by `execve`.
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

    /// All but the worker.
    fn alone(state: &Path, with_cgroup: bool, score: Score) -> io::Result<Self> {
        let _ = nix::sys::prctl::set_name(NAME);
        nix::sys::prctl::set_child_subreaper(true)?;
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::all()), None)?;
        // The ends of children are told only so: who started us may have ignored them, and that is inherited.
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
            // Rounded up, so that the timer is due when we wake.
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
            // A newer worker's word: nothing that we promised depends on it.
            Ok(None) => {}
            Err(_) => self.worker = None,
        }
    }

    /// Says something to the worker; if it is gone, the record has it.
    fn say(&mut self, said: &FromShim) {
        if let Some(worker) = &self.worker
            && worker.say(said).is_err()
        {
            self.worker = None;
        }
    }

    /// A new worker found us. It replaces the one before.
    fn accept(&mut self) {
        let Ok(peer) = self.listener.accept() else { return };
        // The end is on disk, and nobody will be told again: who finds the door closed reads the record.
        if self.job.as_ref().is_some_and(SupervisedRun::is_told) {
            return;
        }
        self.worker = Some(peer);
        self.say(&self.hello());
        if let Some(said) = self.job.as_ref().and_then(SupervisedRun::spawned) {
            self.say(&said);
        }
    }

    fn hear_signals(&mut self) {
        // Of one kind no more than one is ever pending.
        while let Ok(Some(signal)) = self.signals.read_signal() {
            if signal.ssi_signo == Signal::SIGUSR1 as u32 {
                self.listen_again();
            }
        }
        self.reap();
    }

    /// Makes our socket anew where it was removed.
    fn listen_again(&mut self) {
        if !self.listener.path().exists()
            && let Ok(listener) = self.listener.anew()
        {
            self.listener = listener;
        }
    }

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

    /// Tells the end of the run once it is on disk, and gives up the job when nobody is left of it.
    fn settle(&mut self) {
        let Some(job) = &mut self.job else { return };
        if let Some(said) = job.tell() {
            let free = job.leaves_shim_free();
            self.say(&said);
            if !free {
                // The worker does not use this shim again: we stay for leftovers alone.
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
        // In this order: a worker that finds no socket removes the record.
        let _ = std::fs::remove_file(self.listener.path());
        if let Some(record) = &self.left_behind {
            let _ = std::fs::remove_file(record);
        }
    }
}
