//! The intake: decides whether and when an order is followed.

use crate::run::IncompleteRuns;

/// What the intake needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many runs at once.
    pub concurrent_jobs: u32,
    /// What becomes of a run whose execution was lost.
    pub incomplete_runs: IncompleteRuns,
    /// How many executions of one run may be lost before it fails.
    pub max_attempts: u32,
}
