//! Claiming: the state machine that takes a run from a hint over the claim to the launch of its script.
//!
//! The machine assumes nothing about a request without an answer: it reads the run again. After the launch two other machines take over: [`super::ending`] for the execution, and the report's plan for
//! the delivery. A phase is not written to disk: the outbox (a start, an end, or neither) and a read of the run are
//! enough to find it again.

#[cfg(test)]
mod tests;

/// Phase of a run before its launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClaimPhase {
    /// An order or a list named the run as due; nothing is known of it yet.
    Hinted,
    /// The claim is about to be sent, or was sent without an answer.
    Claiming,
    /// The server confirmed that the run is claimed by this worker.
    Claimed,
    /// The run does not concern this worker, or no longer does.
    Dropped,
}

/// State of a run as a read of it shows it, from the point of view of this worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunSight {
    /// Unclaimed, and this worker may claim it.
    Free,
    /// Unclaimed, but pinned to another worker or due far in the future.
    NotForUs,
    /// Claimed by this worker.
    Ours,
    /// Claimed by another worker.
    Theirs,
    /// Over: the server has its result.
    Returned,
    /// Unknown to the server.
    Gone,
}

impl RunSight {
    /// Returns the word for log fields.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::NotForUs => "not_for_us",
            Self::Ours => "ours",
            Self::Theirs => "theirs",
            Self::Returned => "returned",
            Self::Gone => "gone",
        }
    }
}

/// Input of the state machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A read of the run was answered.
    Seen(RunSight),
    /// The server accepted the claim.
    Accepted,
    /// The server accepted the claim, but so long after the read that another worker may have claimed the run in
    /// between.
    AcceptedLate,
    /// The claim may have reached the server or not.
    Ambiguous,
    /// The server refused the claim for good.
    Refused,
    /// The execution was lost, and another one is to follow.
    Lost,
}

/// Next step of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// No step: the input came late or does not apply to the phase.
    Nothing,
    /// Read the run from the server.
    Look,
    /// Send the claim to the server.
    Claim,
    /// Execute the run's script.
    Launch,
    /// Remove all that is stored of the run.
    Forget,
}

impl ClaimPhase {
    /// Returns the next phase and the step to take for it.
    #[must_use]
    pub fn step(self, input: Input) -> (Self, Effect) {
        use {ClaimPhase as P, Effect as E, Input as I, RunSight as S};
        // A claim is only ever sent after a read that showed the run as free, never because an earlier claim got no
        // answer.
        match (self, input) {
            // A read that shows the run as claimed by this worker is as good as an accepted claim whose answer was
            // lost.
            (P::Hinted | P::Claiming | P::Claimed, I::Seen(S::Free)) => (P::Claiming, E::Claim),
            (P::Claiming, I::Accepted) | (P::Claiming | P::Claimed, I::Seen(S::Ours)) => (P::Claimed, E::Launch),
            (P::Claiming, I::AcceptedLate | I::Ambiguous) => (P::Claiming, E::Look),
            // A run that this worker holds before its task has sent a claim is left alone: the source of leftovers
            // accounts for it.
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
