//! Which execution of a run counts, when what the outbox says of it and the records that are there differ: the outbox
//! was lost or is older than the records, or the last step of an attempt was not made. Pure.
//!
//! A shim that lives is never overlooked, or the run would be executed twice at once; an end that is on disk is never
//! executed again; beyond that the outbox is right.

use crate::run::Attempt;

#[cfg(test)]
mod tests;

/// What the outbox says of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboxNote {
    /// Its last attempt.
    pub attempt: Attempt,
    /// Whether its end is there too.
    pub ended: bool,
}

/// What the record of an attempt says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// Its shim lives.
    Living,
    /// It is over.
    Ended,
    /// Its shim died before the end.
    Orphaned,
}

/// Whose word counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survivor {
    /// The outbox's, whatever the record of its attempt says.
    Outbox,
    /// That of this attempt's record.
    Record(Attempt),
}

/// Decides; `None` where there is nothing.
#[must_use]
pub fn of(noted: Option<OutboxNote>, records: &[(Attempt, Recorded)]) -> Option<Survivor> {
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
