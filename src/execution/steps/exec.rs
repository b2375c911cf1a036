//! Execution of one program: its output becomes lines of the log, and its end decides about the step.

use std::fs::{self, OpenOptions};
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::lines::LineSplitter;
use super::task_log::TaskLog;
use crate::execution::shim;

/// Bytes of output that are read at once.
const CHUNK: usize = 64 * 1024;

/// Reason why a program has failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExecError {
    #[error("{program} cannot be started")]
    Start {
        program: String,
        #[source]
        source: io::Error,
    },
    #[error("{program} cannot be supervised")]
    Supervise {
        program: String,
        #[source]
        source: io::Error,
    },
    #[error("{0} exited with status {1}")]
    Status(String, i32),
    #[error("{0} was ended by signal {1}")]
    Signal(String, i32),
    #[error("{program} printed nothing for {seconds} s")]
    Silent { program: String, seconds: u64 },
    #[error("the pid file {path} says that process {pid} still runs")]
    Running { path: PathBuf, pid: i32 },
    #[error("the pid file {path} cannot be written")]
    PidFile {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the log cannot be written")]
    Log(#[source] io::Error),
}

/// Program that is to be executed, and its limits.
pub(super) struct ProgramRun<'a> {
    pub(super) words: &'a [String],
    /// Longest silence of the program.
    pub(super) line_timeout: Duration,
    /// Time that is waited for output after the program has ended, while another process holds its output open.
    pub(super) linger: Duration,
    pub(super) pid_file: Option<&'a Path>,
}

impl ProgramRun<'_> {
    /// Executes the program until it has ended.
    pub(super) fn run(&self, log: &mut TaskLog<impl Write>) -> Result<(), ExecError> {
        let program = || self.words[0].clone();
        if let Some(path) = self.pid_file {
            refuse_living(path)?;
        }
        let (output, mut child) = self.start().map_err(|source| ExecError::Start { program: program(), source })?;
        let pid_file = self.pid_file.map(|path| PidFile::write(path, child.id())).transpose();
        let watched = match pid_file {
            Ok(_) => self.watch(&mut child, output, log),
            Err(ref _failed) => Ok(End::Unwanted),
        };
        let supervise = |source| ExecError::Supervise { program: program(), source };
        if !matches!(watched, Ok(End::Exited)) {
            // The shim ends what the program has started.
            let _ = child.kill();
        }
        let status = child.wait().map_err(supervise)?;
        pid_file?;
        match watched? {
            End::Silent => Err(ExecError::Silent { program: program(), seconds: self.line_timeout.as_secs() }),
            End::Exited | End::Unwanted => judge(program(), status),
        }
    }

    fn start(&self) -> io::Result<(PipeReader, Child)> {
        let (output, writer) = io::pipe()?;
        let child = Command::new(&self.words[0])
            .args(&self.words[1..])
            .env_remove("LD_LIBRARY_PATH")
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .spawn()?;
        Ok((output, child))
    }

    /// Passes the output on until the program has ended and its output is closed or not waited for any more.
    fn watch(
        &self,
        child: &mut Child,
        mut output: PipeReader,
        log: &mut TaskLog<impl Write>,
    ) -> Result<End, ExecError> {
        let supervise = |source| ExecError::Supervise { program: self.words[0].clone(), source };
        let pid = i32::try_from(child.id()).unwrap_or_default();
        let process = shim::process(pid).map_err(supervise)?;
        let prefix = format!("pid={pid} > ");
        let (mut lines, mut chunk) = (LineSplitter::default(), vec![0; CHUNK]);
        let mut waits = Waits { has_ended: false, is_open: true, until: Instant::now() + self.line_timeout };
        while waits.is_open || !waits.has_ended {
            let ready = waits.wait(&output, &process).map_err(supervise)?;
            if ready.output {
                let read = output.read(&mut chunk).map_err(supervise)?;
                waits.is_open = read > 0;
                log.lines(&prefix, lines.push(&chunk[..read]).iter()).map_err(ExecError::Log)?;
                if !waits.has_ended {
                    waits.until = Instant::now() + self.line_timeout;
                }
            } else if ready.ended {
                waits.has_ended = true;
                waits.until = Instant::now() + self.linger;
            } else if waits.has_ended {
                break;
            } else {
                return Ok(End::Silent);
            }
        }
        log.lines(&prefix, lines.rest().iter()).map_err(ExecError::Log)?;
        Ok(End::Exited)
    }
}

/// End of the watch over a program.
enum End {
    Exited,
    /// The program was silent for too long and still runs.
    Silent,
    /// The program is not to run.
    Unwanted,
}

/// Events that are waited for.
struct Waits {
    has_ended: bool,
    is_open: bool,
    until: Instant,
}

/// Events that came; none of them where the time is over.
struct Ready {
    output: bool,
    ended: bool,
}

impl Waits {
    fn wait(&self, output: &PipeReader, process: &OwnedFd) -> io::Result<Ready> {
        loop {
            let left = self.until.saturating_duration_since(Instant::now());
            // One millisecond more, so that the time is over when the poll says so.
            let timeout = PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
            let events = |wanted: bool| if wanted { PollFlags::POLLIN } else { PollFlags::empty() };
            let mut polled = Vec::with_capacity(2);
            if self.is_open {
                polled.push(PollFd::new(output.as_fd(), events(true)));
            }
            if !self.has_ended {
                polled.push(PollFd::new(process.as_fd(), events(true)));
            }
            match poll(&mut polled, timeout) {
                Err(Errno::EINTR) => continue,
                polled => polled?,
            };
            let is_ready = |at: usize| polled.get(at).and_then(PollFd::any).unwrap_or(false);
            let ready = Ready {
                output: self.is_open && is_ready(0),
                ended: !self.has_ended && is_ready(usize::from(self.is_open)),
            };
            if ready.output || ready.ended || self.until <= Instant::now() {
                return Ok(ready);
            }
        }
    }
}

fn judge(program: String, status: ExitStatus) -> Result<(), ExecError> {
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(code), _) => Err(ExecError::Status(program, code)),
        (None, signal) => Err(ExecError::Signal(program, signal.unwrap_or_default())),
    }
}

/// Refuses to start beside a program of an earlier task, and removes the file of one that has ended.
fn refuse_living(path: &Path) -> Result<(), ExecError> {
    let text = match fs::read_to_string(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        read => read.unwrap_or_default(),
    };
    let pid = text.trim().parse::<i32>().ok().filter(|pid| *pid > 0);
    // Without a signal the call only asks whether the process is there.
    if let Some(pid) = pid.filter(|pid| nix::sys::signal::kill(Pid::from_raw(*pid), None::<Signal>).is_ok()) {
        return Err(ExecError::Running { path: path.to_owned(), pid });
    }
    fs::remove_file(path).map_err(|source| ExecError::PidFile { path: path.to_owned(), source })
}

/// File with the pid of the program, removed at its end.
struct PidFile<'a>(&'a Path);

impl<'a> PidFile<'a> {
    fn write(path: &'a Path, pid: u32) -> Result<Self, ExecError> {
        let failed = |source| ExecError::PidFile { path: path.to_owned(), source };
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(path).map_err(failed)?;
        let written = Self(path);
        writeln!(file, "{pid}").map_err(failed)?;
        Ok(written)
    }
}

impl Drop for PidFile<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.0);
    }
}
