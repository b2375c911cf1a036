//! Runs that the outbox has or is about to have, and the numbers of those that come without one. Pure.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::OutboxContents;
use crate::report::outbox_entry::{RunOrigin, ToldExtent};
use crate::run::RunId;

/// Runs that are in the outbox or about to be.
#[derive(Debug, Default)]
pub struct KnownRuns {
    held: HashSet<RunId>,
    /// Runs with a minted number, by their key at the upstream.
    minted: HashMap<String, RunId>,
    /// Origins of those runs.
    origins: HashMap<RunId, Arc<RunOrigin>>,
    last_minted: i64,
}

impl KnownRuns {
    pub fn of(found: &OutboxContents) -> Self {
        Self {
            held: found.runs.iter().map(|entry| entry.run).collect(),
            minted: found.origins.iter().map(|origin| (origin.key.clone(), origin.run)).collect(),
            origins: found.origins.iter().map(|origin| (origin.run, Arc::new(origin.clone()))).collect(),
            last_minted: found.last_minted,
        }
    }

    pub fn origin(&self, run: RunId) -> Option<Arc<RunOrigin>> {
        self.origins.get(&run).cloned()
    }

    /// Adds the origin of a run that is held.
    pub fn insert_origin(&mut self, origin: RunOrigin) {
        self.minted.insert(origin.key.clone(), origin.run);
        self.mint_above(origin.run);
        self.origins.insert(origin.run, Arc::new(origin));
    }

    pub fn set_told(&mut self, run: RunId, told: ToldExtent) {
        if let Some(origin) = self.origins.get_mut(&run) {
            Arc::make_mut(origin).told = told;
        }
    }

    pub fn holds(&self, run: RunId) -> bool {
        self.held.contains(&run)
    }

    pub fn run_of(&self, key: &str) -> Option<RunId> {
        self.minted.get(key).copied()
    }

    /// Adds a run. Returns whether it is new.
    pub fn insert(&mut self, run: RunId) -> bool {
        self.held.insert(run)
    }

    pub fn remove(&mut self, run: RunId) {
        self.held.remove(&run);
        self.minted.retain(|_, minted| *minted != run);
        self.origins.remove(&run);
    }

    /// Mints a number and adds its run; `None` where there is a run of this key.
    pub fn mint(&mut self, key: &str) -> Option<RunId> {
        if self.minted.contains_key(key) {
            return None;
        }
        self.last_minted = self.last_minted.saturating_add(1);
        let run = RunId::new(self.last_minted)?;
        self.minted.insert(key.to_owned(), run);
        self.held.insert(run);
        Some(run)
    }

    /// Mints only numbers above this one from now on.
    pub fn mint_above(&mut self, run: RunId) {
        self.last_minted = self.last_minted.max(run.get());
    }
}
