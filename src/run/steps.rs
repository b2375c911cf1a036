//! Steps of a task: the commands that are executed one after the other, and the check of their settings. Pure.
//!
//! The names of commands and settings, and what they mean, are those of Flamenco's worker.

use std::time::Duration;

use super::script::{OpenQuote, split};

#[cfg(test)]
mod tests;

/// Most steps of one task.
pub const MAX_STEPS: usize = 1000;
/// Most bytes of one setting.
pub const MAX_SETTING: usize = 1024 * 1024;
/// Most lines of one `log_a_lot`.
const MAX_LINES: i64 = 10_000_000;
/// Number of lines of a `log_a_lot` that names none.
const LINES: u64 = 20_000;

/// Value of a setting, as far as commands tell values apart.
#[derive(Clone, Debug, PartialEq)]
pub enum SettingValue {
    /// Text, which may be empty.
    Text(String),
    /// Number without a fraction.
    Integer(i64),
    /// Number with a fraction.
    Fraction(f64),
    /// Any other value; holds the name of its kind, such as `list`.
    Other(&'static str),
}

/// Settings of one step, in the order in which they were given.
pub type StepSettings = Vec<(String, SettingValue)>;

/// Step of a task, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskStep {
    /// Name of the command, as the log shows it.
    pub name: String,
    /// Command with its settings.
    pub command: StepCommand,
}

/// Command of a step. Paths are as they were given.
#[derive(Clone, Debug, PartialEq)]
pub enum StepCommand {
    /// Writes a message to the log.
    Echo(String),
    /// Waits for a duration.
    Sleep(Duration),
    /// Logs a number of lines.
    LogALot(u64),
    /// Executes a program; holds its words, of which there is at least one.
    Exec(Vec<String>),
    /// Renames a path, so that its name is free; a missing one is fine.
    MoveOutOfWay(String),
    /// Moves a path, after what is in its place was moved out of the way; a missing source is fine.
    MoveToFinal(Transfer),
    /// Copies a file over what is in its place.
    CopyFile(Transfer),
    /// Moves a file to a name with the next free number.
    MoveWithCounter(Transfer),
    /// Removes a path with all below it; a missing one is fine.
    RemoveTree(String),
    /// Removes a file; a missing one is fine.
    RemoveFile(String),
    /// Writes a Python file.
    CreatePythonFile {
        /// Path of the file, which ends in `.py`.
        path: String,
        /// Content of the file.
        contents: String,
    },
}

/// Source and destination of a file command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Path of what is moved or copied.
    pub source: String,
    /// Path to which it is moved or copied.
    pub destination: String,
}

/// Reason why a step cannot be executed; each message follows the name of the step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepDefect {
    /// No command has this name.
    #[error("there is no such command")]
    UnknownCommand,
    /// A setting that the command needs is missing.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A setting has a value of another kind.
    #[error("{setting} must be {wanted}, not {found}")]
    Kind {
        /// Name of the setting.
        setting: &'static str,
        /// Kind that is allowed.
        wanted: &'static str,
        /// Kind that was given.
        found: &'static str,
    },
    /// A setting is the empty text, which is not allowed here.
    #[error("{0} is empty")]
    Empty(&'static str),
    /// A setting has more than [`MAX_SETTING`] bytes.
    #[error("{0} has more than 1 MiB")]
    TooLong(&'static str),
    /// A setting contains a NUL character, which no path or argument can carry.
    #[error("{0} contains a NUL character")]
    Nul(&'static str),
    /// A number is out of its range.
    #[error("{setting} must be {allowed}")]
    Range {
        /// Name of the setting.
        setting: &'static str,
        /// Range that is allowed.
        allowed: &'static str,
    },
    /// The words of a command line cannot be told apart.
    #[error("{0} has a quotation or a backslash without an end")]
    Unsplit(&'static str),
    /// The name of a Python file does not end in `.py`.
    #[error("{0} does not end in .py")]
    NotPython(&'static str),
}

impl TaskStep {
    /// Checks a step.
    ///
    /// # Errors
    /// If there is no command of this name, or it cannot be executed with these settings.
    pub fn parse(name: &str, settings: &[(String, SettingValue)]) -> Result<Self, StepDefect> {
        let given = Given(settings);
        let command = match name {
            "echo" => StepCommand::Echo(given.text("message")?),
            "sleep" => StepCommand::Sleep(given.seconds("time_in_seconds")?),
            "log_a_lot" => StepCommand::LogALot(given.lines("lines")?),
            "exec" => StepCommand::Exec(given.words("cmd")?),
            "move_out_of_way" => StepCommand::MoveOutOfWay(given.path("src")?),
            "move_to_final" => StepCommand::MoveToFinal(given.transfer()?),
            "copy_file" => StepCommand::CopyFile(given.transfer()?),
            "move_with_counter" => StepCommand::MoveWithCounter(given.transfer()?),
            "remove_tree" => StepCommand::RemoveTree(given.path("path")?),
            "remove_file" => StepCommand::RemoveFile(given.path("path")?),
            "create_python_file" => {
                let path = given.path("filepath")?;
                if !path.ends_with(".py") {
                    return Err(StepDefect::NotPython("filepath"));
                }
                StepCommand::CreatePythonFile { path, contents: given.text("contents")? }
            }
            _ => return Err(StepDefect::UnknownCommand),
        };
        Ok(Self { name: name.to_owned(), command })
    }
}

/// Settings that were given, of which a later one of the same name counts.
struct Given<'a>(&'a [(String, SettingValue)]);

impl Given<'_> {
    fn value(&self, setting: &'static str) -> Option<&SettingValue> {
        self.0.iter().rev().find(|(name, _)| name == setting).map(|(_, value)| value)
    }

    fn needed(&self, setting: &'static str) -> Result<&SettingValue, StepDefect> {
        self.value(setting).ok_or(StepDefect::Missing(setting))
    }

    fn text(&self, setting: &'static str) -> Result<String, StepDefect> {
        match self.needed(setting)? {
            SettingValue::Text(text) if text.len() > MAX_SETTING => Err(StepDefect::TooLong(setting)),
            SettingValue::Text(text) => Ok(text.clone()),
            other => Err(StepDefect::Kind { setting, wanted: "text", found: other.kind() }),
        }
    }

    /// Reads a text that the system takes as a path or as arguments.
    fn system_text(&self, setting: &'static str) -> Result<String, StepDefect> {
        let text = self.text(setting)?;
        if text.contains('\0') {
            return Err(StepDefect::Nul(setting));
        }
        if text.is_empty() { Err(StepDefect::Empty(setting)) } else { Ok(text) }
    }

    fn path(&self, setting: &'static str) -> Result<String, StepDefect> {
        self.system_text(setting)
    }

    fn transfer(&self) -> Result<Transfer, StepDefect> {
        Ok(Transfer { source: self.path("src")?, destination: self.path("dest")? })
    }

    fn words(&self, setting: &'static str) -> Result<Vec<String>, StepDefect> {
        let words = split(&self.system_text(setting)?)
            .map_err(|(OpenQuote::Quotation | OpenQuote::Escape)| StepDefect::Unsplit(setting))?;
        if words.first().is_none_or(String::is_empty) { Err(StepDefect::Empty(setting)) } else { Ok(words) }
    }

    fn seconds(&self, setting: &'static str) -> Result<Duration, StepDefect> {
        let seconds = match self.needed(setting)? {
            SettingValue::Integer(seconds) => u64::try_from(*seconds).ok().map(Duration::from_secs),
            SettingValue::Fraction(seconds) => Duration::try_from_secs_f64(*seconds).ok(),
            other => return Err(StepDefect::Kind { setting, wanted: "a number", found: other.kind() }),
        };
        seconds.ok_or(StepDefect::Range { setting, allowed: "a number of seconds from 0" })
    }

    fn lines(&self, setting: &'static str) -> Result<u64, StepDefect> {
        match self.value(setting) {
            None => Ok(LINES),
            Some(SettingValue::Integer(lines @ 0..=MAX_LINES)) => Ok(lines.unsigned_abs()),
            Some(SettingValue::Integer(_)) => Err(StepDefect::Range { setting, allowed: "from 0 to 10000000" }),
            Some(other) => Err(StepDefect::Kind { setting, wanted: "a whole number", found: other.kind() }),
        }
    }
}

impl SettingValue {
    /// Returns the name of the value's kind, for messages.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Integer(_) => "a whole number",
            Self::Fraction(_) => "a number",
            Self::Other(kind) => kind,
        }
    }
}
