//! Policies: the operator's choices about leftover processes and lost executions.

/// Treatment of processes that outlive their script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftoverPolicy {
    /// Leave them running, as the original does.
    Keep,
    /// Stop them before the run counts as over.
    Stop,
}

/// Treatment of a run whose execution was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IncompleteRuns {
    /// Execute the run again.
    Reset,
    /// Report the run as failed.
    Fail,
}
