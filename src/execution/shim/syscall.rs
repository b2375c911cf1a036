//! System calls without a safe binding. All `unsafe` code of the crate is here, except for what returns memory in the
//! daemon.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

use nix::sys::socket::SockFlag;
use nix::unistd::Pid;
use tokio::io::unix::AsyncFd;

use crate::run::ProcessExit;

/// Flag of `clone3` from the kernel's `sched.h`; the constant of `libc` is too narrow for it.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
/// Command of `fcntl` from the kernel's `fcntl.h`, which `libc` lacks.
const F_SETSIG: libc::c_int = 10;

/// Returns random bytes of the kernel.
///
/// # Errors
/// If a filter of system calls forbids it.
pub fn random() -> io::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    // SAFETY: the kernel writes at most as many bytes as the array has.
    let filled = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    match usize::try_from(filled) {
        Ok(len) if len == bytes.len() => Ok(bytes),
        Ok(_) => Err(io::ErrorKind::UnexpectedEof.into()),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

/// Takes a write lease on a file, which the kernel grants only while no other open file description of the file exists.
/// Until [`release`], another process that opens the file waits, and this process is sent SIGURG, which it ignores.
///
/// # Errors
/// `EAGAIN` if another process has the file open; another number if the file system has no leases.
pub fn lease(file: BorrowedFd<'_>) -> io::Result<()> {
    // The default, SIGIO, would kill the worker.
    fcntl(file, F_SETSIG, libc::SIGURG)?;
    fcntl(file, libc::F_SETLEASE, libc::F_WRLCK)
}

/// Gives up a [`lease`].
///
/// # Errors
/// If there is none.
pub fn release(file: BorrowedFd<'_>) -> io::Result<()> {
    fcntl(file, libc::F_SETLEASE, libc::F_UNLCK)
}

fn fcntl(file: BorrowedFd<'_>, command: libc::c_int, argument: libc::c_int) -> io::Result<()> {
    // SAFETY: the commands above take a number and touch no memory.
    let done = unsafe { libc::fcntl(file.as_raw_fd(), command, argument) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Opens a pidfd: a descriptor of a process that never comes to mean another one.
///
/// # Errors
/// `ESRCH` if there is no such process.
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

/// Registers a pidfd with the worker's runtime; it becomes readable when the process has ended.
///
/// # Errors
/// If the runtime cannot register it.
pub fn pidfd_await(pidfd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor is owned by what registers it, and is closed by nobody before it is taken off again.
    Ok(unsafe { AsyncFd::register(pidfd) }?)
}

/// Sends a signal to the process of a [`pidfd_open`].
///
/// # Errors
/// `ESRCH` if the process is gone.
pub fn pidfd_send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    // SAFETY: the null pointer means "no siginfo", as kill(2) sends it.
    let sent = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, ptr::null::<libc::siginfo_t>(), 0)
    };
    if sent == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Accepts a connection from a listening socket.
///
/// # Errors
/// If none is waiting, or the process has no descriptor left.
pub fn accept(listener: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = nix::sys::socket::accept4(listener.as_raw_fd(), flags)?;
    // SAFETY: accept4 made the descriptor for us, and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Closes every descriptor but the first three and `kept`.
pub fn close_all_but(kept: BorrowedFd<'_>) {
    let Ok(kept) = u32::try_from(kept.as_raw_fd()) else { return };
    // SAFETY: called at the very beginning of the process, when nobody owns any other descriptor.
    unsafe {
        libc::syscall(libc::SYS_close_range, 3, kept.saturating_sub(1), 0);
        libc::syscall(libc::SYS_close_range, kept.saturating_add(1), u32::MAX, 0);
    }
}

/// Result of one `waitpid` without waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// A child exited or was killed by a signal. Signals are numbers here, because real-time signals have no names.
    Ended(Pid, ProcessExit),
    /// A child made this process its tracer, and is stopped before this signal is delivered.
    Traced(Pid, i32),
    /// No child has changed its state, though there are children.
    Nothing,
    /// There are no children left.
    Nobody,
}

/// Returns the next child that has changed its state, without waiting for one.
pub fn wait_for_any() -> Waited {
    loop {
        let mut status = 0;
        // SAFETY: the status is ours to write.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
        match pid {
            0 => return Waited::Nothing,
            pid if pid > 0 => {
                if let Some(waited) = decode(Pid::from_raw(pid), status) {
                    return waited;
                }
            }
            _ => match io::Error::last_os_error().raw_os_error() {
                Some(libc::ECHILD) => return Waited::Nobody,
                Some(libc::EINTR) => {}
                // Children may exist, and must not be reported as gone.
                _ => return Waited::Nothing,
            },
        }
    }
}

/// Decodes a wait status; `None` for a child that was continued.
fn decode(pid: Pid, status: i32) -> Option<Waited> {
    if libc::WIFEXITED(status) {
        Some(Waited::Ended(pid, ProcessExit::Code(libc::WEXITSTATUS(status))))
    } else if libc::WIFSIGNALED(status) {
        Some(Waited::Ended(pid, ProcessExit::Signal(libc::WTERMSIG(status))))
    } else if libc::WIFSTOPPED(status) {
        Some(Waited::Traced(pid, libc::WSTOPSIG(status)))
    } else {
        None
    }
}

/// Detaches from a process that made this one its tracer, and delivers the signal that it was stopped before.
pub fn stop_tracing(pid: Pid, signal: i32) {
    // SIGTRAP reports an `execve` to the tracer and is meant for nobody else.
    let signal = if signal == libc::SIGTRAP { 0 } else { signal };
    // SAFETY: no memory is passed; a process that is not traced by this one is not touched.
    unsafe { libc::ptrace(libc::PTRACE_DETACH, pid.as_raw(), ptr::null_mut::<libc::c_void>(), signal) };
}

/// Arguments of a new process, all allocated before it exists.
pub struct ExecPlan<'a> {
    /// File of the program to execute.
    pub path: &'a CStr,
    /// Arguments of the program, beginning with the name it is called by.
    pub argv: &'a [CString],
    /// Environment variables as `name=value`.
    pub envp: &'a [&'a CStr],
    /// Descriptor for standard input.
    pub stdin: BorrowedFd<'a>,
    /// Descriptor for standard output and standard error.
    pub output: BorrowedFd<'a>,
    /// Directory of the cgroup that the process is created in.
    pub cgroup: Option<BorrowedFd<'a>>,
}

/// Data that the child reads from its parent's memory, and the error number that it leaves there.
struct Birth {
    path: *const libc::c_char,
    argv: *const *const libc::c_char,
    envp: *const *const libc::c_char,
    stdin: RawFd,
    output: RawFd,
    /// Error number of a failed start; 0 while there is none.
    errno: AtomicI32,
}

/// Sets all signal dispositions to the default, for this process and those it starts. Every signal must be blocked:
/// what was ignored until now would be deadly afterwards.
pub fn default_signals() {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: the default disposition runs no code of ours. That some of them cannot be changed does no harm.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Starts a program in a session of its own, with no signal blocked. Signal dispositions are inherited: see
/// [`default_signals`].
///
/// The child borrows the parent's memory until it executes the program, so that nothing is copied; the parent stands
/// still meanwhile. The caller must have only one thread, and every signal blocked.
///
/// # Errors
/// If `clone` fails or, as another variant, if `execve` does.
pub fn spawn(program: &ExecPlan<'_>) -> Result<Pid, SpawnError> {
    let argv = pointers(program.argv.iter().map(CString::as_c_str));
    let envp = pointers(program.envp.iter().copied());
    let birth = Birth {
        path: program.path.as_ptr(),
        argv: argv.as_ptr(),
        envp: envp.as_ptr(),
        stdin: program.stdin.as_raw_fd(),
        output: program.output.as_raw_fd(),
        errno: AtomicI32::new(0),
    };
    let mut stack: Vec<Frame> = Vec::with_capacity(FRAMES);
    // A cgroup that refuses the child is no reason not to start it: the sweep finds processes outside it.
    let born = program.cgroup.and_then(|group| clone_into(group, &mut stack, &birth).ok());
    let pid = match born {
        Some(pid) => pid,
        None => clone(&mut stack, &birth).map_err(SpawnError::Clone)?,
    };
    match birth.errno.load(Ordering::Acquire) {
        0 => Ok(pid),
        errno => {
            // The child has exited with 127 and is reaped here, so that it never appears as a process of the run.
            let _ = nix::sys::wait::waitpid(pid, None);
            Err(SpawnError::Exec(io::Error::from_raw_os_error(errno)))
        }
    }
}

/// Error of [`spawn`], by the step that failed.
#[derive(Debug)]
pub enum SpawnError {
    /// No process could be created.
    Clone(io::Error),
    /// The process could not execute the program.
    Exec(io::Error),
}

fn pointers<'a>(strings: impl Iterator<Item = &'a CStr>) -> Vec<*const libc::c_char> {
    strings.map(CStr::as_ptr).chain([ptr::null()]).collect()
}

/// Unit of the child's stack, with the alignment that the ABI asks for.
#[repr(C, align(16))]
struct Frame([u8; 16]);

/// Size of the child's stack in frames of 16 bytes: 16 KiB, enough for a few system calls.
const FRAMES: usize = 1024;

/// Code of the child between `clone` and the program.
extern "C" fn be_born(birth: *mut libc::c_void) -> libc::c_int {
    // SAFETY: the argument is a `Birth` of the parent, which stands still until the child has left its memory. Only
    // system calls on data allocated before follow, and the function ends in `execve` or `_exit`.
    unsafe {
        let birth = &*birth.cast::<Birth>();
        libc::setsid();
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
        if libc::dup2(birth.stdin, 0) == 0 && libc::dup2(birth.output, 1) == 1 && libc::dup2(birth.output, 2) == 2 {
            libc::execve(birth.path, birth.argv, birth.envp);
        }
        birth.errno.store(*libc::__errno_location(), Ordering::Release);
        libc::_exit(127)
    }
}

/// Creates a child that borrows this process's memory.
fn clone(stack: &mut Vec<Frame>, birth: &Birth) -> io::Result<Pid> {
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the stack is the child's alone, its end is one past what was allocated, and the parent stands still while
    // the child lives in its memory.
    let pid = unsafe {
        let end = stack.as_mut_ptr().add(stack.capacity());
        libc::clone(be_born, end.cast(), flags, ptr::from_ref(birth).cast_mut().cast())
    };
    if pid > 0 { Ok(Pid::from_raw(pid)) } else { Err(io::Error::last_os_error()) }
}

/// Creates the child inside a cgroup from its first moment. The C library has no wrapper for `clone3`.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn clone_into(cgroup: BorrowedFd<'_>, stack: &mut Vec<Frame>, birth: &Birth) -> io::Result<Pid> {
    // SAFETY: all zeros is a valid `clone_args`.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = CLONE_INTO_CGROUP | (libc::CLONE_VM | libc::CLONE_VFORK) as u64;
    args.exit_signal = libc::SIGCHLD as u64;
    args.stack = stack.as_mut_ptr() as u64;
    args.stack_size = (stack.capacity() * size_of::<Frame>()) as u64;
    args.cgroup = u64::try_from(cgroup.as_raw_fd()).unwrap_or_default();
    let answer: isize;
    // SAFETY: the parent returns from the call as from any other. The child has the parent's registers and an empty
    // stack of its own, from which it calls a function that does not return.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "mov rdi, {birth}",
            "call {be_born}",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone3 as isize => answer,
            in("rdi") &raw const args,
            in("rsi") size_of::<libc::clone_args>(),
            birth = in(reg) ptr::from_ref(birth),
            be_born = in(reg) be_born as extern "C" fn(*mut libc::c_void) -> libc::c_int,
            out("rcx") _,
            out("r11") _,
        );
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        std::arch::asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x0, {birth}",
            "blr {be_born}",
            "brk 1",
            "2:",
            inlateout("x0") &raw const args => answer,
            in("x1") size_of::<libc::clone_args>(),
            in("x8") libc::SYS_clone3,
            birth = in(reg) ptr::from_ref(birth),
            be_born = in(reg) be_born as extern "C" fn(*mut libc::c_void) -> libc::c_int,
        );
    }
    match i32::try_from(answer) {
        Ok(pid) if pid > 0 => Ok(Pid::from_raw(pid)),
        Ok(errno) => Err(io::Error::from_raw_os_error(-errno)),
        Err(_) => Err(io::Error::from_raw_os_error(libc::EINVAL)),
    }
}

/// Fallback for other architectures: the child starts outside the cgroup, and the sweep finds it.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn clone_into(_: BorrowedFd<'_>, _: &mut Vec<Frame>, _: &Birth) -> io::Result<Pid> {
    Err(io::Error::from_raw_os_error(libc::ENOSYS))
}

#[cfg(test)]
mod tests;
