//! What the operator may choose about a run's end.

/// What becomes of processes that outlive their script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftoverPolicy {
    /// They are left alone, as the original does.
    Keep,
    /// They are stopped.
    Stop,
}

/// What becomes of a run whose execution was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IncompleteRuns {
    /// It is executed again.
    Reset,
    /// It is reported as failed.
    Fail,
}
