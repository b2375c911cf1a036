//! Plans of tasks: makes the script that executes the commands of a task, one after the other.
//!
//! To the shim the steps program is the interpreter of the script, and the script is the plan. The program is this binary
//! itself, by the name under which the kernel finds it although the file was replaced.

use std::path::PathBuf;
use std::time::Duration;

use super::logs::write_private;
use super::{Execution, millis};
use crate::report::Durability;
use crate::run::script::{Script, ScriptDefect};
use crate::run::{Attempt, RunId};
use crate::wire::steps::{JournalLine, PlannedStep, StepsPlan, VERSION, journal_line};

/// Interpreter of a plan, as the first line of a script.
const INTERPRETER: &str = "#!/proc/self/exe --steps\n";

/// Settings for the commands of tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepsSettings {
    /// Longest silence of a program.
    pub line_timeout: Duration,
    /// File with the pid of the program that runs; `None` for no such file.
    pub pid_file: Option<PathBuf>,
    /// Directories beneath which file commands work; empty for no such limit.
    pub roots: Vec<PathBuf>,
    /// Names of the commands that may be executed; empty for all.
    pub commands: Vec<String>,
}

/// Reason why a task cannot be executed. Each message is a whole sentence, because it is the log of the failed run.
#[derive(Debug, thiserror::Error)]
pub enum TaskDefect {
    /// The commands cannot be read.
    #[error("The commands of the task cannot be read: {0}.")]
    Unreadable(#[source] serde_json::Error),
    /// A command is not among those that the settings allow.
    #[error("{0}: the command is not allowed on this worker.")]
    NotAllowed(String),
    /// The plan is too long for a script.
    #[error(transparent)]
    Script(#[from] ScriptDefect),
    /// The journal cannot be begun.
    #[error("The journal {path} cannot be written: {source}.")]
    Journal {
        /// Path of the journal.
        path: PathBuf,
        /// Error of the file system.
        source: std::io::Error,
    },
}

impl Execution {
    /// Makes the script of a task from its commands, which are JSON as a Flamenco Manager sends them, and begins its
    /// journal.
    ///
    /// # Errors
    /// If the commands cannot be read or are not allowed, or if the journal cannot be written.
    pub fn steps_script(&self, run: RunId, attempt: Attempt, task: &str, work: &str) -> Result<Script, TaskDefect> {
        let settings = self.settings();
        let steps: Vec<PlannedStep> = serde_json::from_str(work).map_err(TaskDefect::Unreadable)?;
        let StepsSettings { line_timeout, pid_file, roots, commands } = settings.steps.clone();
        let refused = steps.iter().find(|step| !commands.is_empty() && !commands.contains(&step.name));
        if let Some(step) = refused {
            return Err(TaskDefect::NotAllowed(step.name.clone()));
        }
        let journal = self.logs.journal_path(run, attempt);
        self.logs.restore();
        // A journal that is there is of an execution that never began under this number.
        let _ = std::fs::remove_file(&journal);
        write_private(&journal, &journal_line(&JournalLine::Origin { key: task.to_owned() }))
            .map_err(|source| TaskDefect::Journal { path: journal.clone(), source })?;
        // Everything is in the plan, so that the program of one version executes it beside a worker of the next.
        let plan = StepsPlan {
            v: VERSION,
            task: task.to_owned(),
            steps,
            journal,
            line_timeout_ms: millis(line_timeout),
            linger_ms: millis(settings.linger),
            pid_file,
            roots,
            durable: settings.durability == Durability::Power,
        };
        // A plan is made of texts, numbers and lists, so it always becomes JSON.
        let plan = serde_json::to_string(&plan).unwrap_or_default();
        Ok(Script::parse(&format!("{INTERPRETER}{plan}\n"))?)
    }
}
