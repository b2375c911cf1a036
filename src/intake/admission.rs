//! Admission: decides whether new runs are claimed. The worker claims no run while its resources may not suffice for the
//! runs under way. Pure.
//!
//! Running scripts, kills and pings are not affected. Each limit that stops the claims is lower than the limit that
//! resumes them, so that a value near the border does not alternate.

use crate::execution::{DiskRoom, FreeResources};
use crate::run::lack::Lack;

#[cfg(test)]
mod tests;

/// Results per slot that may wait for delivery: a server that accepts none must not hand out more work.
const BACKLOG_PER_SLOT: usize = 25;
/// Files (inodes) that must be free on a disk.
const FILES: u64 = 64;
/// Descriptors that must be free: for API calls, logs that are read, and connections that are re-established.
const DESCRIPTORS: u64 = 24;

/// Measurements that a decision is based on.
#[derive(Clone, Debug)]
pub struct AdmissionFacts {
    /// Results that wait to be delivered.
    pub backlog: usize,
    /// Reason why the outbox cannot be written; `None` while it can.
    pub outbox: Option<String>,
    /// Reason why a claimed run waits for its launch; `None` if none does.
    pub shortage: Option<String>,
    /// Free space on the disks and free descriptors.
    pub free: FreeResources,
}

/// Limits from the worker's settings.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Slots of this worker.
    pub slots: u32,
    /// Bytes that must be free on a disk for a run to be claimed.
    pub min_free_bytes: u64,
}

/// Difference between two decisions, which is logged when it occurs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdmissionChange {
    /// The decision and its reasons are the same kind as before.
    None,
    /// Claims are held, for at least one reason that is new.
    Held,
    /// Claims are allowed again.
    Released,
}

/// Descriptors that one more run takes at most until they are counted again: a shim's socket and pidfd, a connection,
/// and a file that is read or written.
const DESCRIPTORS_PER_RUN: u64 = 4;

/// Returns the descriptors that are certainly still free after some claims since they were counted.
#[must_use]
pub fn descriptors_left(counted: u64, claims: u64) -> u64 {
    counted.saturating_sub(claims.saturating_mul(DESCRIPTORS_PER_RUN))
}

/// Bytes and files of a disk that others may take until it is measured again: a disk with less to spare is measured for
/// each claim.
const OTHERS: (u64, u64) = (256 * 1024 * 1024, 1024);
/// Bytes and files that one more run takes at most: its script, its record and its output.
const DISK_PER_RUN: (u64, u64) = (16 * 1024 * 1024, 4);

/// Returns the space of a disk that is certainly still free some moments, and some claims, after it was measured.
#[must_use]
pub fn room_left(measured: &DiskRoom, claims: u64) -> DiskRoom {
    let left = |measured: u64, others: u64, per_run: u64| {
        // A disk that cannot be measured counts as unlimited.
        if measured == u64::MAX {
            return measured;
        }
        measured.saturating_sub(others).saturating_sub(claims.saturating_mul(per_run))
    };
    DiskRoom {
        key: measured.key,
        bytes: left(measured.bytes, OTHERS.0, DISK_PER_RUN.0),
        files: left(measured.files, OTHERS.1, DISK_PER_RUN.1),
    }
}

/// Present decision with its reasons.
#[derive(Clone, Debug, Default)]
pub struct Admission {
    lacks: Vec<Lack>,
}

impl Admission {
    /// Returns whether runs are claimed at present.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.lacks.is_empty()
    }

    /// Returns the resources that are short; empty while runs are claimed.
    #[must_use]
    pub fn lacks(&self) -> &[Lack] {
        &self.lacks
    }

    /// Returns whether every resource suffices even by these estimates, so that nothing need be counted exactly.
    #[must_use]
    pub fn is_certain(&self, facts: &AdmissionFacts, bounds: Bounds) -> bool {
        self.is_open() && lacks(facts, bounds, |_| false).is_empty()
    }

    /// Decides anew and returns the difference to the last decision.
    pub fn judge(&mut self, facts: &AdmissionFacts, bounds: Bounds) -> AdmissionChange {
        let before = std::mem::take(&mut self.lacks);
        let held = |lack: &Lack| before.iter().any(|other| other.kind() == lack.kind());
        self.lacks = lacks(facts, bounds, held);
        let has_new = self.lacks.iter().any(|lack| !held(lack));
        match (before.is_empty(), self.lacks.is_empty()) {
            (false, true) => AdmissionChange::Released,
            _ if has_new => AdmissionChange::Held,
            _ => AdmissionChange::None,
        }
    }
}

fn lacks(facts: &AdmissionFacts, bounds: Bounds, held: impl Fn(&Lack) -> bool) -> Vec<Lack> {
    let mut lacks = Vec::new();
    let mut least = |left: u64, needed: u64, lack: Lack| {
        // Hysteresis: once a resource was short, a quarter more of it is required.
        let needed = if held(&lack) { needed.saturating_add(needed / 4) } else { needed };
        if left < needed {
            lacks.push(lack);
        }
    };
    for room in &facts.free.rooms {
        least(room.bytes, bounds.min_free_bytes, Lack::Bytes(room.key.into(), room.bytes));
        least(room.files, FILES, Lack::Files(room.key.into(), room.files));
    }
    least(facts.free.descriptors, DESCRIPTORS, Lack::Descriptors(facts.free.descriptors));
    let backlog = Lack::Backlog(facts.backlog as u64);
    let most = BACKLOG_PER_SLOT.saturating_mul(bounds.slots as usize);
    if facts.backlog >= if held(&backlog) { most.div_ceil(2) } else { most } {
        lacks.push(backlog);
    }
    lacks.extend(facts.outbox.clone().map(Lack::Outbox));
    lacks.extend(facts.shortage.clone().map(Lack::Launch));
    lacks
}
