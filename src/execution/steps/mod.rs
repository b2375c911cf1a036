//! Steps program: executes the commands of a task one after the other, in a process that a shim supervises.
//!
//! The program is the same binary, entered before any runtime starts, with one thread. To the shim it is the interpreter
//! of a script, and the script is the [`StepsPlan`]. So the next command is started although the worker is dead, and a
//! kill reaches all that the commands have started. The program needs no configuration: the plan holds everything.
//!
//! All steps are checked before the first is executed, so that a mistake in the last leaves nothing half done. The log
//! goes to standard output, each line with its time; what a command prints comes through a pipe of this program, so that
//! no command can write a line in the program's name. The journal says which step has begun and ended; the exit status
//! alone says whether the task has succeeded.

mod exec;
mod file_error;
mod files;
mod journal;
mod lines;
mod roots;
mod task_log;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process;
use std::time::{Duration, Instant};

use nix::poll::PollTimeout;

use crate::run::chain_of;
use crate::run::script::MAX_SCRIPT;
use crate::run::steps::{MAX_STEPS, StepCommand, StepDefect, TaskStep};
use crate::wire::steps::{JournalLine, StepsPlan};
use exec::{ExecError, ProgramRun};
use file_error::FileError;
use journal::Journal;
use roots::Roots;
use task_log::TaskLog;

#[cfg(test)]
mod tests;

/// First argument of the steps program; the second is the path of the plan.
pub const ARGUMENT: &str = "--steps";

/// Exit status of a task that has failed.
const FAILED: u8 = 1;
/// Exit status where the program was called wrongly.
const USAGE: u8 = 2;

/// Reason why a step has failed.
#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error(transparent)]
    Exec(#[from] ExecError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error("the log cannot be written")]
    Log(#[source] io::Error),
}

/// Reason why a task ended without its steps having decided so.
#[derive(Debug, thiserror::Error)]
enum TaskError {
    #[error("the plan cannot be read")]
    Plan(#[source] io::Error),
    #[error("the journal {path} cannot be written")]
    Journal {
        path: String,
        #[source]
        source: io::Error,
    },
    #[error("the log cannot be written")]
    Log(#[source] io::Error),
}

/// Runs as the steps program, and never returns, if the command line says so.
pub fn enter_if_called() {
    let mut args = std::env::args_os().skip(1);
    if args.next().as_deref() != Some(OsStr::new(ARGUMENT)) {
        return;
    }
    let Some(plan) = args.next() else { process::exit(i32::from(USAGE)) };
    process::exit(i32::from(match run(Path::new(&plan), io::stdout()) {
        Ok(true) => 0,
        Ok(false) => FAILED,
        Err(error) => {
            let _ = writeln!(io::stdout(), "{}", chain_of(&error));
            FAILED
        }
    }));
}

/// Executes a plan. Returns whether all steps succeeded.
fn run(plan: &Path, log: impl Write) -> Result<bool, TaskError> {
    let plan = read(plan).map_err(TaskError::Plan)?;
    let unwritten = |source| TaskError::Journal { path: plan.journal.display().to_string(), source };
    let journal = Journal::open(&plan.journal, plan.durable).map_err(unwritten)?;
    Task { plan: &plan, log: TaskLog::new(log), journal }.execute()
}

fn read(path: &Path) -> io::Result<StepsPlan> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_SCRIPT as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_SCRIPT {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it has more than 16 MiB"));
    }
    // A plan is handed to the shim as a script, which begins with its interpreter.
    let begin = if bytes.starts_with(b"#!") { bytes.iter().position(|byte| *byte == b'\n').unwrap_or(0) } else { 0 };
    let plan: StepsPlan = serde_json::from_slice(&bytes[begin..])?;
    if plan.steps.len() > MAX_STEPS {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it has more than {MAX_STEPS} steps")));
    }
    Ok(plan)
}

/// Task that is executed, with the places that are told of it.
struct Task<'a, W: Write> {
    plan: &'a StepsPlan,
    log: TaskLog<W>,
    journal: Journal,
}

impl<W: Write> Task<'_, W> {
    fn execute(mut self) -> Result<bool, TaskError> {
        let mut steps = Vec::with_capacity(self.plan.steps.len());
        for (number, planned) in self.plan.steps.iter().enumerate() {
            match TaskStep::parse(&planned.name, &planned.values()) {
                Ok(step) => steps.push(step),
                Err(defect) => return self.refuse(number, &planned.name, &defect),
            }
        }
        for (number, step) in steps.iter().enumerate() {
            if !self.execute_step(number, step)? {
                return Ok(false);
            }
        }
        let activity = "Task completed".to_owned();
        self.tell(&JournalLine::Finished { activity: activity.clone() }, &[activity])?;
        Ok(true)
    }

    fn refuse(&mut self, number: usize, name: &str, defect: &StepDefect) -> Result<bool, TaskError> {
        let activity = format!("{}: Invalid settings: {defect}", self.place(number, name));
        let ended = JournalLine::Ended { step: number, ok: false, activity: activity.clone(), seconds: 0.0 };
        self.tell(&ended, &[activity])?;
        Ok(false)
    }

    fn execute_step(&mut self, number: usize, step: &TaskStep) -> Result<bool, TaskError> {
        let name = &step.name;
        let started = JournalLine::Started { step: number, name: name.clone() };
        self.tell(&started, &[format!("{name}: Starting")])?;
        let begun = Instant::now();
        let outcome = self.carry_out(&step.command);
        let seconds = begun.elapsed().as_secs_f64();
        match outcome {
            Ok(()) => {
                let timing = serde_json::json!({ "duration": seconds });
                let activity = format!("finished {name}");
                let lines = [format!("{name}: command timing information: {timing}"), format!("{name}: Finished")];
                let ended = JournalLine::Ended { step: number, ok: true, activity, seconds };
                self.tell(&ended, &lines)?;
                Ok(true)
            }
            Err(StepError::Log(source)) => Err(TaskError::Log(source)),
            Err(error) => {
                let activity = format!("{}: Error executing: {}", self.place(number, name), chain_of(&error));
                let ended = JournalLine::Ended { step: number, ok: false, activity: activity.clone(), seconds };
                self.tell(&ended, &[activity])?;
                Ok(false)
            }
        }
    }

    fn place(&self, number: usize, name: &str) -> String {
        format!("{name}.(task_id={}, command_idx={number})", self.plan.task)
    }

    /// Writes a line of the journal, and then lines of the log: output wakes the worker, which finds the journal written.
    fn tell(&mut self, entry: &JournalLine, lines: &[String]) -> Result<(), TaskError> {
        let path = || self.plan.journal.display().to_string();
        self.journal.append(entry).map_err(|source| TaskError::Journal { path: path(), source })?;
        lines.iter().try_for_each(|line| self.log.line(line)).map_err(TaskError::Log)
    }

    fn carry_out(&mut self, command: &StepCommand) -> Result<(), StepError> {
        let roots = Roots::new(&self.plan.roots);
        match command {
            StepCommand::Echo(message) => self.log.line(message).map_err(StepError::Log)?,
            StepCommand::Sleep(duration) => wait(*duration),
            StepCommand::LogALot(lines) => (0..*lines)
                .try_for_each(|number| self.log.line(&format!("line {}", number + 1)))
                .map_err(StepError::Log)?,
            StepCommand::Exec(words) => {
                let program = ProgramRun {
                    words,
                    line_timeout: Duration::from_millis(self.plan.line_timeout_ms),
                    linger: Duration::from_millis(self.plan.linger_ms),
                    pid_file: self.plan.pid_file.as_deref(),
                };
                match program.run(&mut self.log) {
                    Err(ExecError::Log(source)) => return Err(StepError::Log(source)),
                    done => done?,
                }
            }
            StepCommand::MoveOutOfWay(path) => files::move_out_of_way(&roots, path)?,
            StepCommand::MoveToFinal(transfer) => files::move_to_final(&roots, transfer)?,
            StepCommand::CopyFile(transfer) => files::copy_file(&roots, transfer)?,
            StepCommand::MoveWithCounter(transfer) => files::move_with_counter(&roots, transfer)?,
            StepCommand::RemoveTree(path) => files::remove_tree(&roots, path)?,
            StepCommand::RemoveFile(path) => files::remove_file(&roots, path)?,
            StepCommand::CreatePythonFile { path, contents } => files::write(&roots, path, contents.as_bytes())?,
        }
        Ok(())
    }
}

/// Waits for a duration that a step names.
fn wait(duration: Duration) {
    let begun = Instant::now();
    loop {
        let left = duration.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return;
        }
        // A poll takes no longer timeout than some 24 days.
        let _ = nix::poll::poll(&mut [], PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX));
    }
}

/// Returns the path at which the system shows a directory that is open, whatever became of its name.
fn path_of(directory: &impl AsFd) -> std::path::PathBuf {
    use std::os::fd::AsRawFd;
    std::path::PathBuf::from(format!("/proc/self/fd/{}", directory.as_fd().as_raw_fd()))
}
