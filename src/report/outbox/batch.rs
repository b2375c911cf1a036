//! Batch: combines many changes of runs, of which only the last of each run counts. Pure.

use std::collections::HashSet;

use super::Change;
use crate::report::OutboxEntry;
use crate::run::RunId;

#[cfg(test)]
mod tests;

/// Combined effect of many changes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Batch<'a> {
    /// Entries to write, one for each run.
    pub written: Vec<&'a OutboxEntry>,
    /// Runs to remove from the outbox.
    pub gone: Vec<RunId>,
}

impl<'a> Batch<'a> {
    /// Combines changes; `None` where a change is about something else than runs.
    #[must_use]
    pub fn of(changes: &[&'a Change]) -> Option<Self> {
        let mut batch = Self::default();
        let mut seen = HashSet::with_capacity(changes.len());
        // From the last change to the first: the first one seen of a run is the one that counts.
        for change in changes.iter().rev() {
            match change {
                Change::Run(entry) if seen.insert(entry.run) => batch.written.push(entry),
                Change::ForgetRun(run) if seen.insert(*run) => batch.gone.push(*run),
                Change::Run(_) | Change::ForgetRun(_) | Change::Nothing => {}
                Change::Kill(_)
                | Change::ForgetKill(_)
                | Change::DeadLetter(_)
                | Change::ForgetLetters(_)
                | Change::Letters { .. }
                | Change::Probe => {
                    return None;
                }
            }
        }
        Some(batch)
    }
}
