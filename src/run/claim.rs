//! The way of a run to its script: from a hint over the claim to the launch.
//!
//! What cannot be known – did the server get that request? – is never assumed: the answer to doubt is a
//! look. What follows the launch is two other machines: [`super::ending`] for the execution, and the report's
//! plan for what is told of it. A phase is not written to disk: what the store has of a run – a start, an end, or
//! neither – and a look tell where it stands.

#[cfg(test)]
mod tests;

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClaimPhase {
    /// Somebody said that it is due.
    Hinted,
    /// The claim is about to be sent, or was sent and not answered.
    Claiming,
    /// The server says that it is ours.
    Claimed,
    /// It is no business of ours (any more).
    Dropped,
}

/// What a look at the run shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunSight {
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
    Seen(RunSight),
    /// The server accepted the claim.
    Accepted,
    /// The server accepted the claim so late that somebody else may have claimed it meanwhile.
    AcceptedLate,
    /// The claim may have reached the server or not.
    Ambiguous,
    /// The server refuses the claim for good.
    Refused,
    /// Its execution was lost, and there is to be another.
    Lost,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Nothing: what happened is late or of no concern.
    Nothing,
    /// Read the run.
    Look,
    /// Send the claim.
    Claim,
    /// Execute it.
    Launch,
    /// Remove all that is known of it.
    Forget,
}

impl ClaimPhase {
    /// What becomes of this phase, and what is to be done.
    #[must_use]
    pub fn step(self, input: Input) -> (Self, Effect) {
        use {ClaimPhase as P, Effect as E, Input as I, RunSight as S};
        match (self, input) {
            (P::Hinted | P::Claiming | P::Claimed, I::Seen(S::Free)) => (P::Claiming, E::Claim),
            (P::Claiming, I::Accepted) | (P::Claiming | P::Claimed, I::Seen(S::Ours)) => (P::Claimed, E::Launch),
            (P::Claiming, I::AcceptedLate | I::Ambiguous) => (P::Claiming, E::Look),
            (P::Claimed, I::Lost) => (P::Claimed, E::Look),
            (P::Hinted, I::Seen(S::Ours))
            | (P::Hinted | P::Claiming | P::Claimed, I::Seen(S::NotForUs | S::Theirs | S::Returned | S::Gone))
            | (P::Claiming | P::Claimed, I::Refused) => (P::Dropped, E::Forget),

            (phase @ P::Hinted, I::Accepted | I::AcceptedLate | I::Ambiguous | I::Refused | I::Lost)
            | (phase @ P::Claiming, I::Lost)
            | (phase @ P::Claimed, I::Accepted | I::AcceptedLate | I::Ambiguous)
            | (phase @ P::Dropped, I::Seen(_) | I::Accepted | I::AcceptedLate | I::Ambiguous | I::Refused | I::Lost) => {
                (phase, E::Nothing)
            }
        }
    }
}
