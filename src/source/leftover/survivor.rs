//! Survivor: decides which execution of a run counts where the outbox and the records on disk differ, because the
//! outbox was lost or is older than the records, or the last step of an attempt was not made. Pure.
//!
//! A living shim comes first: to overlook it would execute the run twice at once. A recorded end comes next: the run is
//! not executed again. In all other cases the outbox decides.

use crate::run::Attempt;

#[cfg(test)]
mod tests;

/// Entry of the outbox for a run, as far as the decision needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboxNote {
    /// Last attempt in the outbox.
    pub attempt: Attempt,
    /// Whether the outbox has the end of the attempt.
    pub ended: bool,
}

/// State of an attempt, as its record shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// The shim of the attempt lives.
    Living,
    /// The record has the end.
    Ended,
    /// The shim died before the end.
    Orphaned,
}

/// Source of the facts that count for the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survivor {
    /// The outbox, whatever the record of its attempt says.
    Outbox,
    /// The record of this attempt.
    Record(Attempt),
}

/// Decides which facts count; `None` where there are none.
#[must_use]
pub fn of(noted: Option<OutboxNote>, records: &[(Attempt, Recorded)]) -> Option<Survivor> {
    // A living shim first, then an end on disk, then the rest; of each kind the latest attempt.
    let last = |wanted| records.iter().filter(|(_, is)| *is == wanted).map(|(attempt, _)| *attempt).max();
    let found = last(Recorded::Living).or(last(Recorded::Ended)).or(last(Recorded::Orphaned));
    match (noted, found) {
        (None, found) => found.map(Survivor::Record),
        (Some(_), None) => Some(Survivor::Outbox),
        (Some(noted), Some(found)) if noted.attempt == found => Some(Survivor::Outbox),
        (Some(noted), Some(found)) => {
            let newer = found > noted.attempt;
            let counts =
                last(Recorded::Living).is_some() || (!noted.ended && (newer || last(Recorded::Ended).is_some()));
            Some(if counts { Survivor::Record(found) } else { Survivor::Outbox })
        }
    }
}
