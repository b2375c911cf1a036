//! One run under a shim: takes the licence, starts the process, stores its output and writes its end. Performs the
//! effects that the pure [`crate::run::ending`] decides.

use std::ffi::{CStr, CString, OsStr};
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, Flock, FlockArg, OFlag, RenameFlags};
use nix::unistd::Pid;

use super::cgroup::Cgroup;
use super::spool::Spool;
use super::syscall::{self, SpawnError};
use super::tools::Tools;
use super::tree;
use super::used_script::{self, ScriptFate};
use crate::run::ending::{Company, Effect, EndingPhase, Grace, Input};
use crate::run::{Cause, LeftoverPolicy, ProcessExit, errno};
use crate::wire::disk::{self, EndKind, RecordLine};
use crate::wire::shim::{ExecutionOrder, FromShim};
use crate::wire::time;

/// Time that survivors of a KILL are given before it is repeated; doubled each time up to [`LAST_SWEEP`].
const FIRST_SWEEP: Duration = Duration::from_millis(20);
/// Longest pause between two sweeps.
const LAST_SWEEP: Duration = Duration::from_secs(5);
/// Number of sweeps after which the survivors are reported as stuck.
const STUCK_AFTER: u32 = 10;
/// Most chunks that are read from the pipe once all processes of the run are gone; a process of another run may hold it
/// open and write on.
const DRAIN: usize = 32;
/// Most chunks that are read before other events are looked at.
const CHUNKS_AT_ONCE: usize = 4;
/// Bytes that a new pipe holds.
const NEW_PIPE: usize = 64 * 1024;
/// Bytes that the pipe of a script with much output holds: script and shim wait for each other less often. All pipes of
/// a user who is not root share a budget of 64 MiB, so few scripts get that much.
const LARGE_PIPE: i32 = 512 * 1024;
/// Number of times that a new pipe is found full before it is enlarged.
const TIMES_FULL: u32 = 16;
/// Time to wait for the exit of the last process after it closed the output: its files close a moment before `waitpid`
/// reports it.
const PARTING: Duration = Duration::from_millis(20);
/// Room of a record in bytes: three lines, of which the longest holds a path or two.
const RECORD: u64 = 4096;

/// A run whose licence this shim has taken.
pub struct SupervisedRun {
    order: ExecutionOrder,
    phase: EndingPhase,
    record: Option<Flock<File>>,
    spool: Spool,
    pipe: Option<OwnedFd>,
    /// Number of reads that found a new pipe full.
    times_full: u32,
    main: Option<(Pid, String)>,
    company: Company,
    timeout: Option<Instant>,
    grace: Option<Instant>,
    linger: Option<Instant>,
    sweep: Option<Instant>,
    /// Set when the output was closed and the state machine has not been told yet: the last process is likely to exit
    /// within [`PARTING`].
    parting: Option<Instant>,
    sweeps: u32,
    grace_length: Duration,
    watch: Option<u64>,
    told: bool,
    /// Whether the script's file became a spare file.
    script_kept: bool,
    /// Whether the last line of the record may be incomplete.
    torn: bool,
}

/// Result of one read from the pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunk {
    /// Nothing is there, or nothing will come any more.
    Nothing,
    /// Some output; more may be there.
    Some,
    /// As much as a new pipe holds: more is likely to be there.
    Full,
}

/// A script process that was started.
struct Script {
    pid: Pid,
    /// Start time in clock ticks since boot, which tells the process from a later one with the same pid.
    start_time: u64,
    output: OwnedFd,
}

/// Refusal of a run: the licence could not be taken, or was given back before a process was started.
pub struct LicenceRefusal {
    reason: String,
    /// System error behind the refusal, if there was one.
    errno: Option<i32>,
}

impl LicenceRefusal {
    /// Returns the refusal as a packet for the worker.
    pub fn said(self) -> FromShim {
        FromShim::Refused { reason: self.reason, errno: self.errno }
    }
}

/// Reason why a script was not started.
enum Unstarted {
    /// No later attempt would fare better; the run ends with this reason.
    Never(String),
    /// A system resource is short at the moment; holds the reason and the error number.
    Short(String, i32),
}

impl From<String> for Unstarted {
    fn from(reason: String) -> Self {
        Self::Never(reason)
    }
}

impl Unstarted {
    fn from_system(what: &str, e: &io::Error) -> Self {
        let reason = format!("{what}: {}.", plain(e));
        match e.raw_os_error().filter(|errno| errno::shortage_of(*errno).is_some()) {
            Some(errno) => Self::Short(reason, errno),
            None => Self::Never(reason),
        }
    }
}

impl SupervisedRun {
    /// Takes the licence and starts the script. A script that cannot start is a run that has ended.
    ///
    /// # Errors
    /// If the licence is refused, or given back for a shortage: no process was started and no record is left.
    pub fn begin(
        order: ExecutionOrder,
        socket: &Path,
        tools: &mut Tools,
        null: BorrowedFd<'_>,
    ) -> Result<(Self, FromShim), LicenceRefusal> {
        tools
            .redact(&order.redact)
            .map_err(|e| LicenceRefusal { reason: format!("its secrets could not be told apart: {e}"), errno: None })?;
        let record = licence(&order, socket, tools).map_err(|e| LicenceRefusal {
            reason: format!("the record could not be made: {e}"),
            errno: e.raw_os_error(),
        })?;
        // A worker that looks for remains creates the record itself, removes the script and then the record. Either our
        // creation of the record fails, or the script is gone, or the worker finds our record.
        if !order.script.exists() {
            let _ = std::fs::remove_file(&order.record);
            return Err(LicenceRefusal { reason: "the script is gone".to_owned(), errno: None });
        }
        let mut job = Self {
            phase: EndingPhase::Starting,
            record: Some(record),
            spool: Spool::new(&order.output, order.head, order.tail),
            pipe: None,
            times_full: 0,
            main: None,
            company: Company::Others,
            timeout: None,
            grace: None,
            linger: None,
            sweep: None,
            parting: None,
            sweeps: 0,
            grace_length: Duration::from_millis(order.grace_ms),
            watch: None,
            told: false,
            script_kept: false,
            torn: false,
            order,
        };
        crash_point!(ShimBegun);
        let said = match job.spawn(tools, null) {
            Ok(script) => job.started(script, tools),
            Err(Unstarted::Short(reason, errno)) => {
                // As if the run had never been ordered: the worker orders it again once there may be enough of the
                // resource.
                let _ = std::fs::remove_file(&job.order.record);
                return Err(LicenceRefusal { reason, errno: Some(errno) });
            }
            Err(Unstarted::Never(reason)) => {
                job.company = Company::Alone;
                job.step(Input::Unstartable(reason), tools);
                job.tell(tools).unwrap_or(FromShim::Output { total: 0 })
            }
        };
        Ok((job, said))
    }

    fn spawn(&self, tools: &Tools, null: BorrowedFd<'_>) -> Result<Script, Unstarted> {
        let pair = |(name, value): &(String, String)| CString::new(format!("{name}={value}")).map_err(|_| nul());
        let added: Vec<CString> = self.order.environment.iter().map(pair).collect::<Result<_, _>>()?;
        let added = added.iter().map(CString::as_c_str);
        let envp: Vec<&CStr> = tools.environment(&self.order.environment).chain(added).collect();
        let program = interpreter(&self.order.command, &envp)?;
        let word = |word: &String| CString::new(word.as_str()).map_err(|_| nul());
        let argv: Vec<CString> = self.order.command.iter().map(word).collect::<Result<_, _>>()?;
        let path = CString::new(program.as_os_str().as_bytes()).map_err(|_| nul())?;
        let no_pipe = |e: Errno| Unstarted::from_system("No pipe for its output", &e.into());
        // Only our end does not block: the script's end must behave as any pipe does.
        let (output, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(no_pipe)?;
        nix::fcntl::fcntl(&output, nix::fcntl::FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(no_pipe)?;
        let before = tree::Tick::now();
        let script = syscall::ExecPlan {
            path: &path,
            argv: &argv,
            envp: &envp,
            stdin: null,
            output: write.as_fd(),
            cgroup: tools.cgroup.as_ref().map(Cgroup::as_fd),
        };
        let started = tools.score.as_job(|| syscall::spawn(&script));
        match started {
            Ok(pid) => {
                let start_time = tree::start_time(pid.as_raw(), before, tree::Tick::now());
                Ok(Script { pid, start_time, output })
            }
            Err(SpawnError::Clone(e)) => Err(Unstarted::from_system("No process could be made for it", &e)),
            Err(SpawnError::Exec(e)) => {
                let what = format!("The interpreter {:?} could not be executed", self.order.command[0]);
                Err(Unstarted::from_system(&what, &e))
            }
        }
    }

    // The record names the process before anything else happens to it: a worker that finds a dead shim kills by that
    // line.
    fn started(&mut self, script: Script, tools: &mut Tools) -> FromShim {
        let Script { pid, start_time, output } = script;
        let at = now();
        crash_point!(ShimSpawned);
        self.write(&RecordLine::Spawned { pid: pid.as_raw(), start_time, at: at.clone() });
        crash_point!(ShimSpawnWritten);
        self.pipe = Some(output);
        self.main = Some((pid, at.clone()));
        self.timeout = self.order.timeout_ms.map(|ms| Instant::now() + Duration::from_millis(ms));
        self.step(Input::Started, tools);
        FromShim::Spawned { pid: pid.as_raw(), at, left_ms: self.left_ms() }
    }

    /// Returns the read end of the output pipe while it is open.
    pub fn output(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Returns whether `pid` is the script's main process.
    pub fn is_main(&self, pid: Pid) -> bool {
        self.main.as_ref().is_some_and(|(main, _)| *main == pid)
    }

    /// Returns the packet that a newly connected worker needs; `None` if the script was never started.
    pub fn spawned(&self) -> Option<FromShim> {
        let said = |(pid, at): &(Pid, String)| FromShim::Spawned {
            pid: pid.as_raw(),
            at: at.clone(),
            left_ms: self.left_ms(),
        };
        self.main.as_ref().map(said)
    }

    /// Returns the milliseconds until the time limit and the grace after it have passed.
    fn left_ms(&self) -> Option<u64> {
        let left = self.timeout?.saturating_duration_since(Instant::now());
        u64::try_from(left.as_millis()).ok().map(|ms| ms.saturating_add(self.order.grace_ms))
    }

    /// Returns the instant of the next timer.
    pub fn due(&self) -> Option<Instant> {
        [self.timeout, self.grace, self.linger, self.sweep, self.parting].into_iter().flatten().min()
    }

    /// Returns whether all processes of the run are gone and its output is closed.
    pub fn is_gone(&self) -> bool {
        self.company == Company::Alone && self.pipe.is_none()
    }

    /// Returns whether the shim may take another run after this one.
    ///
    /// Not after a kill: a process that `clone3` creates in a cgroup that was once killed is killed at birth (seen on
    /// Linux 6.18), so a kill uses up the cgroup and with it the shim.
    pub fn leaves_shim_free(&self) -> bool {
        self.is_gone() && self.sweeps == 0
    }

    /// Returns the place of the record once the worker is done with the run while processes of it still live.
    pub fn left_behind(&self) -> Option<PathBuf> {
        let (runs, name) = (self.order.record.parent()?, self.order.record.file_name()?);
        Some(runs.parent()?.join(disk::LEFTOVERS).join(name))
    }

    /// Returns whether the end was reported to the worker.
    pub fn is_told(&self) -> bool {
        self.told
    }

    /// Stops the run: TERM, then KILL after `grace`, or KILL at once if `grace` is zero.
    pub fn stop(&mut self, cause: Cause, grace: Duration, tools: &mut Tools) {
        self.grace_length = grace;
        let grace = if grace.is_zero() { Grace::Without } else { Grace::With };
        self.step(Input::Stop(cause, grace), tools);
    }

    /// Arms a one-time report of output beyond a number of bytes. Returns the report if that much is there already.
    pub fn watch(&mut self, beyond: u64) -> Option<FromShim> {
        self.watch = Some(beyond);
        self.watched()
    }

    fn watched(&mut self) -> Option<FromShim> {
        let total = self.spool.written();
        self.watch.take_if(|beyond| total > *beyond).map(|_| FromShim::Output { total })
    }

    /// Processes the result of a round of `waitpid`: the exit of the main process, if it was among them, and whether
    /// other processes of the run are left.
    pub fn reaped(&mut self, main: Option<ProcessExit>, company: Company, tools: &mut Tools) {
        let before = std::mem::replace(&mut self.company, company);
        if let Some(exit) = main {
            // The exit must not overtake the output: nothing of the run will be written after this.
            if company == Company::Alone {
                self.drain(tools);
            }
            self.step(Input::MainExited(exit, company), tools);
        } else if company == Company::Alone && before == Company::Others {
            self.drain(tools);
            self.step(Input::NobodyLeft, tools);
        }
        if company == Company::Alone && self.parting.take().is_some() {
            self.step(Input::OutputClosed(company), tools);
        }
    }

    /// Reads the rest of the pipe, at most [`DRAIN`] chunks.
    fn drain(&mut self, tools: &mut Tools) {
        for _ in 0..DRAIN {
            if self.read_chunk(tools) == Chunk::Nothing {
                return;
            }
        }
    }

    /// Reads some chunks of output. Returns the report that [`Self::watch`] asked for, if it is due.
    pub fn read_output(&mut self, tools: &mut Tools) -> Option<FromShim> {
        for _ in 0..CHUNKS_AT_ONCE {
            if self.read_chunk(tools) != Chunk::Full {
                break;
            }
        }
        self.watched()
    }

    /// Enlarges the pipe of a script that prints faster than it is read.
    fn found_full(&mut self) {
        self.times_full += 1;
        if self.times_full == TIMES_FULL
            && let Some(pipe) = &self.pipe
        {
            // Refused where the user's budget for pipes is used up; the pipe then stays as it is.
            let _ = nix::fcntl::fcntl(pipe, nix::fcntl::FcntlArg::F_SETPIPE_SZ(LARGE_PIPE));
        }
    }

    /// Reads one chunk of output and stores it.
    fn read_chunk(&mut self, tools: &mut Tools) -> Chunk {
        let Some(pipe) = &self.pipe else { return Chunk::Nothing };
        let (chunk, redactor) = tools.reading();
        match nix::unistd::read(pipe, chunk) {
            Ok(0) => {
                self.pipe = None;
                self.keep_rest(tools);
                match self.company {
                    Company::Alone => self.step(Input::OutputClosed(Company::Alone), tools),
                    Company::Others => self.parting = Some(Instant::now() + PARTING),
                }
                Chunk::Nothing
            }
            // What is written after the end, by leftovers that hold the pipe, is read so that they do not block, and
            // dropped.
            Ok(n) => {
                if !matches!(self.phase, EndingPhase::Finished(_)) {
                    let output = &chunk[..n];
                    self.spool.write(redactor.map_or(output, |redactor| redactor.pass(output)));
                }
                if n < NEW_PIPE {
                    return Chunk::Some;
                }
                self.found_full();
                Chunk::Full
            }
            Err(nix::errno::Errno::EINTR) => Chunk::Some,
            Err(_) => Chunk::Nothing,
        }
    }

    /// Writes the output that the redactor held back: nothing follows that could complete a secret.
    fn keep_rest(&mut self, tools: &mut Tools) {
        if let (_, Some(redactor)) = tools.reading() {
            self.spool.write(redactor.finish());
        }
    }

    /// Fires the timers that are due at `now`. Returns a report of stuck processes when there is one.
    pub fn tick(&mut self, now: Instant, tools: &mut Tools) -> Option<FromShim> {
        if self.timeout.take_if(|due| *due <= now).is_some() {
            self.stop(Cause::TimedOut, Duration::from_millis(self.order.grace_ms), tools);
        }
        if self.grace.take_if(|due| *due <= now).is_some() {
            self.step(Input::GraceOver, tools);
        }
        if self.linger.take_if(|due| *due <= now).is_some() {
            self.step(Input::LingerOver(self.company), tools);
        }
        if self.parting.take_if(|due| *due <= now).is_some() {
            self.step(Input::OutputClosed(self.company), tools);
        }
        if self.sweep.take_if(|due| *due <= now).is_some() {
            self.step(Input::SweepOver, tools);
            if self.sweeps == STUCK_AFTER {
                let me = Pid::this();
                let pids = tree::descendants(me).into_iter().map(|process| process.pid).collect();
                return Some(FromShim::Stuck { pids });
            }
        }
        None
    }

    fn step(&mut self, input: Input, tools: &mut Tools) {
        let leftovers = if self.order.stop_leftovers { LeftoverPolicy::Stop } else { LeftoverPolicy::Keep };
        let phase = std::mem::replace(&mut self.phase, EndingPhase::Starting);
        let (phase, effects) = phase.step(input.clone(), leftovers);
        self.phase = phase;
        for effect in effects {
            self.perform(*effect, tools);
        }
        // The state machine may have begun to wait for the last process after that process had gone.
        let waits = matches!(
            self.phase,
            EndingPhase::Stopping { main: Some(_), .. } | EndingPhase::Killing { main: Some(_), .. }
        );
        if waits && self.company == Company::Alone && input != Input::NobodyLeft {
            self.step(Input::NobodyLeft, tools);
        }
    }

    fn perform(&mut self, effect: Effect, tools: &mut Tools) {
        match effect {
            Effect::TermTree => tree::signal(Pid::this(), libc::SIGTERM),
            Effect::KillTree => match &tools.cgroup {
                // The kernel kills the whole cgroup at once; only when that was not enough is `/proc` searched for
                // processes outside it.
                Some(cgroup) if self.sweeps == 0 => cgroup.kill(),
                cgroup => {
                    cgroup.as_ref().inspect(|cgroup| cgroup.kill());
                    tree::kill(Pid::this());
                }
            },
            Effect::StartGrace => self.grace = Some(Instant::now() + self.grace_length),
            Effect::StartLinger => {
                self.linger = Some(Instant::now() + Duration::from_millis(self.order.linger_ms));
            }
            Effect::StartSweep => {
                let pause = FIRST_SWEEP.saturating_mul(1 << self.sweeps.min(8)).min(LAST_SWEEP);
                self.sweeps += 1;
                self.sweep = Some(Instant::now() + pause);
            }
            Effect::Finish => {
                (self.timeout, self.grace, self.linger, self.sweep) = (None, None, None, None);
                self.parting = None;
                self.keep_rest(tools);
            }
        }
    }

    /// Writes the end to disk and returns it as a packet; `None` before the end and after the first call.
    pub fn tell(&mut self, tools: &mut Tools) -> Option<FromShim> {
        let EndingPhase::Finished(outcome) = &self.phase else { return None };
        if std::mem::replace(&mut self.told, true) {
            return None;
        }
        let (how, at, output) = (EndKind::from(outcome), now(), self.spool.written());
        crash_point!(ShimEnded);
        self.put_script_away(tools);
        crash_point!(ShimScriptRemoved);
        let durable = self.order.durable;
        if durable {
            // The end vouches for the output and so is written after it. The failure of a disk must not hold up the
            // end.
            let _ = self.spool.sync().and_then(|()| sync_directory(&self.order.output));
        }
        self.write(&RecordLine::Ended { how: how.clone(), output, at: at.clone() });
        if let Some(record) = self.record.take().filter(|_| durable) {
            let _ = record.sync_all();
        }
        crash_point!(ShimEndWritten);
        Some(FromShim::Ended { how, output, at, free: self.leaves_shim_free(), script_kept: self.script_kept })
    }

    /// Removes the script, or keeps its file for a later one. A script of which processes are left may be read on.
    fn put_script_away(&mut self, tools: &mut Tools) {
        let keeps = tools.keeps_scripts && self.company == Company::Alone;
        let spare = self.order.script_spare.as_deref().filter(|_| keeps);
        match used_script::put_away(&self.order.script, spare) {
            ScriptFate::Removed => {}
            ScriptFate::Kept => self.script_kept = true,
            ScriptFate::NeverKept => tools.keeps_scripts = false,
        }
    }

    /// Keeps no spare file for the worker that ordered the run, since it is gone.
    pub fn lose_worker(&mut self) {
        let spare = self.order.script_spare.take();
        if std::mem::take(&mut self.script_kept)
            && let Some(spare) = spare
        {
            let _ = std::fs::remove_file(spare);
        }
    }

    /// Appends a line to the record. A full disk must not end the run: the worker hears of the event by packet all the
    /// same.
    fn write(&mut self, line: &RecordLine) {
        if let Some(record) = &mut self.record {
            let mut bytes = disk::line(line);
            if self.torn {
                // A part of the last line may be on disk; without the line break this line would become a part of it.
                bytes.insert(0, b'\n');
            }
            self.torn = record.write_all(&bytes).is_err();
        }
    }
}

/// Creates the record and so takes the licence: only the process that creates it may execute this attempt.
fn licence(order: &ExecutionOrder, socket: &Path, tools: &Tools) -> io::Result<Flock<File>> {
    let begun = RecordLine::Begun {
        v: disk::VERSION,
        run: order.run,
        attempt: order.attempt,
        token: order.token.clone(),
        shim: i32::try_from(process::id()).unwrap_or_default(),
        socket: socket.to_string_lossy().into_owned(),
        boot_id: tools.boot_id.clone(),
        script: order.script.to_string_lossy().into_owned(),
        cgroup: tools.cgroup.as_ref().map(|cgroup| cgroup.path().to_string_lossy().into_owned()),
    };
    let begun = disk::line(&begun);
    if let Some(spare) = &order.spare {
        match rename_spare(spare, order, &begun) {
            Ok(record) => return Ok(record),
            Err(e) => {
                let _ = std::fs::remove_file(spare);
                // Another process holds the licence. Any other failure of the spare leaves the way of a new file.
                if e.kind() == io::ErrorKind::AlreadyExists {
                    return Err(e);
                }
            }
        }
    }
    let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&order.record)?;
    let mut record = lock(file)?;
    crash_point!(ShimLicensed);
    let write = |record: &mut File| {
        begin(record, &begun)?;
        if order.durable {
            // Otherwise no trace of the attempt would be left after a loss of power, and it would be started a second
            // time.
            record.sync_all()?;
            sync_directory(&order.record)?;
        }
        Ok(())
    };
    match write(&mut record) {
        Ok(()) => Ok(record),
        Err(e) => {
            let _ = std::fs::remove_file(&order.record);
            Err(e)
        }
    }
}

/// Turns a spare file into the record: the file has its lock and its first line before it gets the name. If that fails,
/// there is no record of this shim.
fn rename_spare(spare: &Path, order: &ExecutionOrder, begun: &[u8]) -> io::Result<Flock<File>> {
    let mut record = lock(OpenOptions::new().write(true).custom_flags(libc::O_NOFOLLOW).open(spare)?)?;
    let old = record.metadata()?.len();
    if old <= RECORD {
        // The file has its blocks already. Its former content is overwritten with line breaks, which readers skip.
        let mut said = begun.to_vec();
        said.resize(said.len().max(usize::try_from(old).unwrap_or(0)), b'\n');
        record.write_all(&said)?;
        record.seek(SeekFrom::Start(begun.len() as u64))?;
    } else {
        record.set_len(0)?;
        begin(&mut record, begun)?;
    }
    // `RENAME_NOREPLACE` makes the rename as exclusive as the creation of a new file.
    let here = nix::fcntl::AT_FDCWD;
    nix::fcntl::renameat2(here, spare, here, &order.record, RenameFlags::RENAME_NOREPLACE)?;
    crash_point!(ShimLicensed);
    Ok(record)
}

fn lock(file: File) -> io::Result<Flock<File>> {
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, e)| io::Error::from(e))
}

fn begin(record: &mut File, begun: &[u8]) -> io::Result<()> {
    reserve(record)?;
    record.write_all(begun)
}

/// Allocates the blocks of the whole record now, so that the end of the run can be written to a disk that is full by
/// then.
fn reserve(record: &File) -> io::Result<()> {
    match nix::fcntl::fallocate(record, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, RECORD.cast_signed()) {
        // A file system without `fallocate` does without the reservation.
        Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => Ok(()),
        reserved => Ok(reserved?),
    }
}

/// Syncs the directory of a file: after a loss of power a new file is found only if its directory was written.
fn sync_directory(of: &Path) -> io::Result<()> {
    File::open(of.parent().unwrap_or(of))?.sync_all()
}

/// Resolves the interpreter: a path as it is, a bare name by the `PATH` of the job.
fn interpreter(command: &[String], environment: &[&CStr]) -> Result<PathBuf, String> {
    let name = command.first().ok_or("There is no interpreter.")?;
    if name.contains('/') {
        return Ok(PathBuf::from(name));
    }
    let path = environment.iter().find_map(|variable| variable.to_bytes().strip_prefix(b"PATH="));
    // The default of `execvp` where a job has no `PATH`.
    let path = path.unwrap_or(b"/usr/local/bin:/usr/bin:/bin");
    let found = path
        .split(|b| *b == b':')
        .map(|dir| Path::new(OsStr::from_bytes(dir)).join(name))
        .find(|file| file.metadata().is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0));
    found.ok_or_else(|| format!("The interpreter {name:?} was not found."))
}

fn nul() -> String {
    "Its command or environment contains a NUL character.".to_owned()
}

/// Returns the system's message for use in a sentence: "…, errno 2" in place of Rust's "(os error 2)".
fn plain(e: &io::Error) -> String {
    let text = e.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => format!("{words}, errno {}", e.raw_os_error().unwrap_or_default()),
        None => text,
    }
}

fn now() -> String {
    time::sent(chrono::Utc::now())
}
