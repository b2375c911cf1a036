//! The system calls for which no safe binding exists. All `unsafe` of the house stands here.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use nix::sys::socket::SockFlag;
use nix::unistd::Pid;

/// From the kernel's `sched.h`; the constant of `libc` is too narrow for it.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// A descriptor of a process that cannot come to mean another one.
///
/// # Errors
/// `ESRCH` where there is no such process.
pub fn pidfd_open(pid: Pid) -> io::Result<OwnedFd> {
    // SAFETY: no memory is passed; the answer is a new descriptor that nobody else owns.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) };
    let fd = RawFd::try_from(fd).map_err(|_| io::Error::from_raw_os_error(libc::EBADF))?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: as above.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sends a signal to the process of a [`pidfd_open`].
///
/// # Errors
/// `ESRCH` where it is gone.
pub fn pidfd_send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    // SAFETY: the null pointer means "no siginfo", as kill(2) sends it.
    let sent = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, ptr::null::<libc::siginfo_t>(), 0)
    };
    if sent == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Takes a connection from a listening socket.
///
/// # Errors
/// What the system says.
pub fn accept(listener: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = nix::sys::socket::accept4(listener.as_raw_fd(), flags)?;
    // SAFETY: accept4 made the descriptor for us, and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Closes every descriptor but the first three and one more.
pub fn close_all_but(kept: BorrowedFd<'_>) {
    let Ok(kept) = u32::try_from(kept.as_raw_fd()) else { return };
    // SAFETY: called at the very beginning of the process, when nobody owns any other descriptor.
    unsafe {
        libc::syscall(libc::SYS_close_range, 3, kept.saturating_sub(1), 0);
        libc::syscall(libc::SYS_close_range, kept.saturating_add(1), u32::MAX, 0);
    }
}

/// Makes sure that the ends of children are told: who started us may have ignored them, and that is inherited.
pub fn default_child_signal() {
    // SAFETY: the default disposition runs no code of ours.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

/// All that a child needs, allocated before it exists.
pub struct Program<'a> {
    /// The file to execute.
    pub path: &'a CStr,
    /// Its arguments, with the name it is called by first.
    pub argv: &'a [CString],
    /// Its environment.
    pub envp: &'a [CString],
    /// Its standard input.
    pub stdin: BorrowedFd<'a>,
    /// Its standard output and error.
    pub output: BorrowedFd<'a>,
    /// The cgroup directory it is born in.
    pub cgroup: Option<BorrowedFd<'a>>,
}

/// Starts a program in a session of its own, with default signal dispositions and nothing blocked.
///
/// The caller must have one thread only.
///
/// # Errors
/// The error of `clone` or, as its own kind, that of `execve`.
pub fn spawn(program: &Program<'_>) -> Result<Pid, SpawnError> {
    let argv = pointers(program.argv);
    let envp = pointers(program.envp);
    let (failed, fails) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(|e| SpawnError::Clone(e.into()))?;
    // A group that does not take the child is no reason not to start it: the sweep finds it.
    let child =
        clone_into(program.cgroup).or_else(|e| if program.cgroup.is_some() { clone_into(None) } else { Err(e) });
    let pid = match child {
        Err(e) => return Err(SpawnError::Clone(e)),
        // SAFETY: this is the child of a process with one thread, with a copy of its memory. From here on it makes
        // plain system calls on what was allocated before, and ends in `execve` or `_exit`.
        Ok(0) => unsafe {
            libc::setsid();
            for signal in 1..=31 {
                libc::signal(signal, libc::SIG_DFL);
            }
            let mut none: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut none);
            libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
            if libc::dup2(program.stdin.as_raw_fd(), 0) == 0
                && libc::dup2(program.output.as_raw_fd(), 1) == 1
                && libc::dup2(program.output.as_raw_fd(), 2) == 2
            {
                libc::execve(program.path.as_ptr(), argv.as_ptr(), envp.as_ptr());
            }
            let errno = *libc::__errno_location();
            libc::write(fails.as_raw_fd(), (&raw const errno).cast(), size_of::<libc::c_int>());
            libc::_exit(127)
        },
        Ok(pid) => Pid::from_raw(pid),
    };
    drop(fails);
    let mut errno = [0; size_of::<libc::c_int>()];
    match nix::unistd::read(&failed, &mut errno) {
        Ok(n) if n == errno.len() => {
            let _ = nix::sys::wait::waitpid(pid, None);
            Err(SpawnError::Exec(io::Error::from_raw_os_error(libc::c_int::from_ne_bytes(errno))))
        }
        _ => Ok(pid),
    }
}

/// Why a program was not started.
#[derive(Debug)]
pub enum SpawnError {
    /// There is no process for it.
    Clone(io::Error),
    /// The process could not become the program.
    Exec(io::Error),
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|s| s.as_ptr()).chain([ptr::null()]).collect()
}

/// As `fork`, with the child in a cgroup from its first moment. 0 in the child.
fn clone_into(cgroup: Option<BorrowedFd<'_>>) -> io::Result<libc::pid_t> {
    if let Some(cgroup) = cgroup {
        // SAFETY: all zeros is a valid `clone_args`; without CLONE_VM this is a fork.
        let pid = unsafe {
            let mut args: libc::clone_args = std::mem::zeroed();
            args.flags = CLONE_INTO_CGROUP;
            args.exit_signal = libc::SIGCHLD as u64;
            args.cgroup = u64::try_from(cgroup.as_raw_fd()).unwrap_or_default();
            libc::syscall(libc::SYS_clone3, &raw const args, size_of::<libc::clone_args>())
        };
        return match libc::pid_t::try_from(pid) {
            Ok(pid) if pid >= 0 => Ok(pid),
            _ => Err(io::Error::last_os_error()),
        };
    }
    // SAFETY: the process has one thread.
    match unsafe { libc::fork() } {
        pid if pid >= 0 => Ok(pid),
        _ => Err(io::Error::last_os_error()),
    }
}
