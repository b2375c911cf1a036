//! Whether new runs are claimed: not while there is too little for what is under way already. Pure.
//!
//! What runs is kept, kills and pings go on. Each bound that stops the claims is lower than the one that lets them go
//! on, so that a state at the border is told once.

use crate::execution::Means;
use crate::run::lack::Lack;

#[cfg(test)]
mod tests;

/// How many results may wait for each seat: a server that takes none of them should not give us more to do.
const BACKLOG_A_SEAT: usize = 25;
/// How many files must be left on a disk.
const FILES: u64 = 64;
/// How many descriptors must be left: for calls of the API, logs that are read, and connections that are made again.
const DESCRIPTORS: u64 = 24;

/// What is known when it is decided.
#[derive(Clone, Debug)]
pub struct AdmissionFacts {
    /// How many results wait to be delivered.
    pub backlog: usize,
    /// Why the outbox cannot be written.
    pub outbox: Option<String>,
    /// Why a claimed run waits for its launch.
    pub shortage: Option<String>,
    /// What is left of disks and descriptors.
    pub means: Means,
}

/// What the operator chose.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How many runs at once.
    pub seats: u32,
    /// How many bytes must be free on a disk.
    pub min_free_bytes: u64,
}

/// What changed with a decision, which is when it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdmissionChange {
    /// Nothing.
    None,
    /// No runs are claimed, for other reasons than before.
    Held,
    /// Runs are claimed again.
    Released,
}

/// How many descriptors one more run takes at most until they are counted again: a shim's socket and process, a
/// connection, and a file that is read or written.
const DESCRIPTORS_A_RUN: u64 = 4;

/// How many of the descriptors that were counted are left for sure after some claims.
#[must_use]
pub fn descriptors_left(counted: u64, claims: u64) -> u64 {
    counted.saturating_sub(claims.saturating_mul(DESCRIPTORS_A_RUN))
}

/// The decision, and why.
#[derive(Clone, Debug, Default)]
pub struct Admission {
    lacks: Vec<Lack>,
}

impl Admission {
    /// Whether runs are claimed.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.lacks.is_empty()
    }

    /// Why they are not.
    #[must_use]
    pub fn lacks(&self) -> &[Lack] {
        &self.lacks
    }

    /// Whether there is enough of everything beyond doubt.
    #[must_use]
    pub fn is_certain(&self, facts: &AdmissionFacts, bounds: Bounds) -> bool {
        self.is_open() && lacks(facts, bounds, |_| false).is_empty()
    }

    /// Decides anew.
    pub fn judge(&mut self, facts: &AdmissionFacts, bounds: Bounds) -> AdmissionChange {
        let before = std::mem::take(&mut self.lacks);
        let held = |lack: &Lack| before.iter().any(|other| other.kind() == lack.kind());
        self.lacks = lacks(facts, bounds, held);
        let news = self.lacks.iter().any(|lack| !held(lack));
        match (before.is_empty(), self.lacks.is_empty()) {
            (false, true) => AdmissionChange::Released,
            _ if news => AdmissionChange::Held,
            _ => AdmissionChange::None,
        }
    }
}

fn lacks(facts: &AdmissionFacts, bounds: Bounds, held: impl Fn(&Lack) -> bool) -> Vec<Lack> {
    let mut lacks = Vec::new();
    let mut least = |left: u64, needed: u64, lack: Lack| {
        // Once there was too little, a quarter more is asked for.
        let needed = if held(&lack) { needed.saturating_add(needed / 4) } else { needed };
        if left < needed {
            lacks.push(lack);
        }
    };
    for room in &facts.means.rooms {
        least(room.bytes, bounds.min_free_bytes, Lack::Bytes(room.key.into(), room.bytes));
        least(room.files, FILES, Lack::Files(room.key.into(), room.files));
    }
    least(facts.means.descriptors, DESCRIPTORS, Lack::Descriptors(facts.means.descriptors));
    let backlog = Lack::Backlog(facts.backlog as u64);
    let most = BACKLOG_A_SEAT.saturating_mul(bounds.seats as usize);
    if facts.backlog >= if held(&backlog) { most.div_ceil(2) } else { most } {
        lacks.push(backlog);
    }
    lacks.extend(facts.outbox.clone().map(Lack::Outbox));
    lacks.extend(facts.shortage.clone().map(Lack::Launch));
    lacks
}
