//! Files of the steps program: the plan that it executes, and the journal that it writes.
//!
//! Both are ours alone and carry a version. The plan is JSON, written once by the worker. The journal is JSON lines,
//! append-only; a line that a crash cut short counts as not written. Unknown fields and unknown lines are passed over, so
//! that a program and a worker of different versions understand each other.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::run::steps::{SettingValue, StepSettings};

#[cfg(test)]
mod tests;

/// Version of both formats that is written.
pub const VERSION: u32 = 1;

/// Plan of a task: everything that the steps program is to know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepsPlan {
    /// [`VERSION`] of the writer.
    pub v: u32,
    /// Id of the task, as messages name it.
    pub task: String,
    /// Steps, in the order of their execution.
    pub steps: Vec<PlannedStep>,
    /// Path of the journal.
    pub journal: PathBuf,
    /// Longest silence of a program, in milliseconds.
    pub line_timeout_ms: u64,
    /// Time that is waited for output after a program has ended, while another process holds its output open, in
    /// milliseconds.
    pub linger_ms: u64,
    /// File with the pid of the program that runs; `None` for no such file.
    #[serde(default)]
    pub pid_file: Option<PathBuf>,
    /// Directories beneath which file commands work; empty for no such limit.
    #[serde(default)]
    pub roots: Vec<PathBuf>,
    /// Whether the journal must survive a loss of power.
    #[serde(default)]
    pub durable: bool,
}

/// Step of a plan, unchecked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// Name of the command.
    pub name: String,
    /// Settings of the command.
    #[serde(default)]
    pub settings: serde_json::Map<String, Value>,
}

impl PlannedStep {
    /// Returns the settings as commands read them.
    #[must_use]
    pub fn values(&self) -> StepSettings {
        self.settings.iter().map(|(name, value)| (name.clone(), setting(value))).collect()
    }
}

fn setting(value: &Value) -> SettingValue {
    match value {
        Value::String(text) => SettingValue::Text(text.clone()),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => SettingValue::Integer(integer),
            (None, Some(fraction)) => SettingValue::Fraction(fraction),
            (None, None) => SettingValue::Other("a number"),
        },
        Value::Bool(_) => SettingValue::Other("a boolean"),
        Value::Null => SettingValue::Other("null"),
        Value::Array(_) => SettingValue::Other("a list"),
        Value::Object(_) => SettingValue::Other("an object"),
    }
}

/// Line of a journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum JournalLine {
    /// First line: the task that the journal belongs to, by its key at the upstream. Written by the worker.
    Origin {
        /// Key of the task at the upstream.
        key: String,
    },
    /// A step has begun.
    Started {
        /// Number of the step, from 0.
        step: usize,
        /// Name of its command.
        name: String,
    },
    /// A step has ended.
    Ended {
        /// Number of the step, from 0.
        step: usize,
        /// Whether the step has succeeded.
        ok: bool,
        /// Sentence about its end.
        activity: String,
        /// Duration of the step in seconds.
        seconds: f64,
    },
    /// The task has ended as a whole.
    Finished {
        /// Sentence about its end.
        activity: String,
    },
    /// Line that a later version writes.
    #[serde(other)]
    Unknown,
}

/// Encodes a line of the journal, with its newline.
#[must_use]
pub fn journal_line(line: &JournalLine) -> Vec<u8> {
    // A line has texts, numbers and booleans only, so it always becomes JSON.
    let mut bytes = serde_json::to_vec(line).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// Returns the key of the task that a journal belongs to; `None` where its first line is incomplete.
#[must_use]
pub fn origin_of(bytes: &[u8]) -> Option<String> {
    journal(bytes).into_iter().find_map(|line| match line {
        JournalLine::Origin { key } => Some(key),
        _ => None,
    })
}

/// Decodes a journal; lines that are incomplete or unknown are passed over.
#[must_use]
pub fn journal(bytes: &[u8]) -> Vec<JournalLine> {
    bytes
        .split_inclusive(|b| *b == b'\n')
        .filter_map(|line| serde_json::from_slice(line.strip_suffix(b"\n")?).ok())
        .filter(|line| *line != JournalLine::Unknown)
        .collect()
}
