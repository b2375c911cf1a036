//! The life of a run as the worker knows it: the state machine that its store persists.
//!
//! A run goes one way, from a hint to its return. What cannot be known – did the server get that
//! request? – is never assumed: the answer to doubt is a look.

#[cfg(test)]
mod tests;

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// Somebody said that it is due.
    Hinted,
    /// The claim is about to be sent, or was sent and not answered.
    Claiming,
    /// The server says that it is ours.
    Claimed,
    /// Its script was started.
    Spawned,
    /// It is over; its log is to be sent.
    Ended,
    /// The server has the log.
    LogSent,
    /// The server has the result. Nothing may be sent of it any more.
    Returned,
    /// It is no business of ours (any more).
    Dropped,
}

/// What a look at the run shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nobody claimed it, and we may.
    Free,
    /// Nobody claimed it, but it is another worker's or not due for long.
    NotForUs,
    /// We claimed it.
    Ours,
    /// Another worker claimed it.
    Theirs,
    /// It is over.
    Returned,
    /// It does not exist.
    Gone,
}

/// What happens to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// It was looked at.
    Seen(Seen),
    /// The server accepted what was sent last.
    Accepted,
    /// The server accepted the claim so late that somebody else may have claimed it meanwhile.
    AcceptedLate,
    /// What was sent last may have reached the server or not.
    Ambiguous,
    /// The server refuses it for good.
    Refused,
    /// The script runs.
    Started,
    /// It is over, or could not be started.
    Ended,
    /// Its supervisor died, and it may be executed again.
    LostOnce,
    /// Its supervisor died once too often.
    LostForGood,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Read the run.
    Look,
    /// Send the claim.
    Claim,
    /// Execute it.
    Launch,
    /// Send the start.
    TellStart,
    /// Send the log.
    SendLog,
    /// Send the result.
    Return,
    /// Stop the script; its result is nobody's.
    StopScript,
    /// Remove all that is known of it.
    Forget,
}

impl Phase {
    /// What becomes of this phase, and what is to be done.
    #[must_use]
    pub fn step(self, input: Input) -> (Self, &'static [Effect]) {
        use {Effect as E, Input as I, Phase as P, Seen as S};
        match (self, input) {
            (P::Hinted | P::Claiming, I::Seen(S::Free)) => (P::Claiming, &[E::Claim]),
            (P::Hinted, I::Seen(S::NotForUs | S::Ours | S::Theirs | S::Returned | S::Gone))
            | (P::Claiming, I::Seen(S::NotForUs | S::Theirs | S::Returned | S::Gone))
            | (P::Claimed, I::Seen(S::NotForUs | S::Theirs | S::Returned | S::Gone)) => (P::Dropped, &[E::Forget]),

            (P::Claiming, I::Accepted | I::Seen(S::Ours)) => (P::Claimed, &[E::Launch]),
            (P::Claiming, I::AcceptedLate | I::Ambiguous) => (P::Claiming, &[E::Look]),
            (P::Hinted | P::Claiming | P::Claimed | P::Ended | P::LogSent, I::Refused) => (P::Dropped, &[E::Forget]),

            (P::Claimed, I::Seen(S::Ours)) => (P::Claimed, &[E::Launch]),
            (P::Claimed, I::Seen(S::Free)) => (P::Claiming, &[E::Claim]),
            (P::Claimed, I::Started) => (P::Spawned, &[E::TellStart]),
            (P::Claimed | P::Spawned, I::Ended | I::LostForGood) => (P::Ended, &[E::SendLog]),
            (P::Claimed | P::Spawned, I::LostOnce) => (P::Claimed, &[E::Look]),

            (P::Spawned, I::Refused) => (P::Dropped, &[E::StopScript, E::Forget]),

            (P::Ended, I::Accepted) => (P::LogSent, &[E::Return]),
            (P::LogSent, I::Accepted | I::Seen(S::Returned)) => (P::Returned, &[E::Forget]),
            (P::LogSent, I::AcceptedLate | I::Ambiguous) => (P::LogSent, &[E::Look]),
            (P::LogSent, I::Seen(S::Ours)) => (P::LogSent, &[E::Return]),
            (P::LogSent, I::Seen(S::Free | S::NotForUs | S::Theirs | S::Gone)) => (P::Dropped, &[E::Forget]),

            // What changes nothing where it stands.
            (
                phase @ P::Hinted,
                I::Accepted | I::AcceptedLate | I::Ambiguous | I::Started | I::Ended | I::LostOnce | I::LostForGood,
            )
            | (phase @ P::Claiming, I::Started | I::Ended | I::LostOnce | I::LostForGood)
            | (phase @ P::Claimed, I::Accepted | I::AcceptedLate | I::Ambiguous)
            | (phase @ P::Spawned, I::Seen(_) | I::Accepted | I::AcceptedLate | I::Ambiguous | I::Started)
            | (
                phase @ P::Ended,
                I::Seen(_) | I::AcceptedLate | I::Ambiguous | I::Started | I::Ended | I::LostOnce | I::LostForGood,
            )
            | (phase @ P::LogSent, I::Started | I::Ended | I::LostOnce | I::LostForGood)
            | (
                phase @ (P::Returned | P::Dropped),
                I::Seen(_)
                | I::Accepted
                | I::AcceptedLate
                | I::Ambiguous
                | I::Refused
                | I::Started
                | I::Ended
                | I::LostOnce
                | I::LostForGood,
            ) => (phase, &[]),
        }
    }
}
