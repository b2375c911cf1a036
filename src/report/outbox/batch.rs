//! Many changes of runs as one: of each run only the last counts. Pure.

use std::collections::HashSet;

use super::Change;
use crate::report::OutboxEntry;
use crate::run::RunId;

#[cfg(test)]
mod tests;

/// What is left of many changes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Batch<'a> {
    /// Runs as they are now.
    pub written: Vec<&'a OutboxEntry>,
    /// Runs that are not there any more.
    pub gone: Vec<RunId>,
}

impl<'a> Batch<'a> {
    /// Nothing, where something else than runs is changed.
    #[must_use]
    pub fn of(changes: &[&'a Change]) -> Option<Self> {
        let mut batch = Self::default();
        let mut seen = HashSet::with_capacity(changes.len());
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
