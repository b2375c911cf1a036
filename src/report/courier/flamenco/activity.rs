//! Activity of a task, as its journal and its end tell it. Pure.

use std::collections::BTreeMap;

use crate::run::Outcome;
use crate::wire::flamenco::{Metrics, TaskUpdate};
use crate::wire::steps::JournalLine;

#[cfg(test)]
mod tests;

/// What a task does: the command under way and how far it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Activity {
    text: String,
    command: usize,
    percentage: i64,
    timing: BTreeMap<String, f64>,
}

impl Activity {
    /// Reads the activity from a journal.
    pub(super) fn of(journal: &[JournalLine]) -> Self {
        let mut activity = Self::default();
        let mut name = "";
        for line in journal {
            match line {
                JournalLine::Started { step, name: started } => {
                    name = started;
                    (activity.command, activity.percentage) = (*step, 0);
                    activity.text = format!("starting {started}");
                }
                JournalLine::Ended { step, ok, activity: text, seconds } => {
                    (activity.command, activity.percentage) = (*step, if *ok { 100 } else { 0 });
                    activity.text.clone_from(text);
                    // A step that was refused has not begun, and took no time.
                    if !name.is_empty() {
                        activity.timing.insert(name.to_owned(), *seconds);
                    }
                }
                JournalLine::Finished { activity: text } => activity.text.clone_from(text),
                JournalLine::Origin { .. } | JournalLine::Unknown => {}
            }
        }
        activity
    }

    /// Returns the activity of a task with this end. The journal explains the end of the steps program; any other end is
    /// explained by itself.
    pub(super) fn at_end(mut self, outcome: &Outcome, was_decided_by_steps: bool) -> Self {
        if !was_decided_by_steps {
            self.text = outcome.note().lines().map(without_mark).collect::<Vec<_>>().join(" ");
        }
        if self.text.is_empty() {
            self.text = format!("Task {}", outcome.word());
        }
        self
    }

    /// Makes an update that carries the whole activity.
    pub(super) fn update(&self) -> TaskUpdate {
        TaskUpdate {
            activity: Some(self.text.clone()),
            // Always 0 in 2.x.
            task_progress_percentage: Some(0),
            current_command_idx: Some(i64::try_from(self.command).unwrap_or(i64::MAX)),
            command_progress_percentage: Some(self.percentage),
            metrics: (!self.timing.is_empty()).then(|| Metrics { timing: self.timing.clone() }),
            ..TaskUpdate::default()
        }
    }
}

/// Returns a line of a note without the mark of this program.
fn without_mark(line: &str) -> &str {
    line.strip_prefix("[job runner worker] ").unwrap_or(line)
}

/// Returns whether a journal says how the task ended.
pub(super) fn has_end(journal: &[JournalLine]) -> bool {
    matches!(journal.last(), Some(JournalLine::Finished { .. } | JournalLine::Ended { ok: false, .. }))
}
