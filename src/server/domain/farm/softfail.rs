//! Failures of tasks: whether another worker tries a task again, and whether a worker gets no more tasks of the kind.

use std::time::Duration;

#[cfg(test)]
mod tests;

/// Time for which a worker gets no tasks of a type of a job after it failed too many.
pub const BLACKLISTED_FOR: Duration = Duration::from_secs(7 * 24 * 3600);

/// Numbers of failures that are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailureLimits {
    /// Failed tasks of one type of a job after which a worker gets no more of them.
    pub blacklist_threshold: u32,
    /// Workers on which a task may fail before it fails for good.
    pub softfail_count: u32,
}

/// Ending of an attempt that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureEnd {
    /// Another worker tries the task.
    Retried,
    /// The task has failed for good.
    Final,
}

/// State of the farm at a failure. Workers are those of the whole farm that support the type of the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailureFacts {
    /// Tasks of the same type and job that the worker failed, with this one.
    pub failed_by_worker: u32,
    /// Workers on which this task has failed, with this one.
    pub failed_on_workers: u32,
    /// Workers beside this one that are not blacklisted for the type of the job and have not failed this task.
    pub others_untried: u32,
}

/// Consequences of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailureVerdict {
    /// Whether the worker gets no more tasks of the type and job. Then those of them that failed before and that none of
    /// the workers that are left may still try fail for good: they would wait for ever.
    pub blacklists: bool,
    /// Ending of the attempt.
    pub end: FailureEnd,
}

/// Decides on the consequences of a failure.
#[must_use]
pub fn judge(facts: &FailureFacts, limits: &FailureLimits) -> FailureVerdict {
    let blacklists = facts.failed_by_worker >= limits.blacklist_threshold;
    // Where nobody is left to try, waiting for a retry would be waiting for ever.
    let is_exhausted = facts.failed_on_workers >= limits.softfail_count;
    let end = if is_exhausted || facts.others_untried == 0 { FailureEnd::Final } else { FailureEnd::Retried };
    FailureVerdict { blacklists, end }
}
