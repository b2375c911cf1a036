//! Chains of jobs: a job runs after its parent, and no chain may come back to where it began.

use std::collections::BTreeSet;

use crate::server::domain::model::JobId;

#[cfg(test)]
mod tests;

/// A chain that comes back to itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("job {job} cannot run after job {parent}, which runs after it")]
pub struct Loop {
    /// The job.
    pub job: JobId,
    /// After which it cannot run.
    pub parent: JobId,
}

/// Whether a job may run after another. `parent_of` knows the chains as they are; a job that is yet to be made is
/// in none of them and needs no question.
///
/// # Errors
/// That the chain would come back to the job.
pub fn may_follow(job: JobId, parent: JobId, parent_of: impl Fn(JobId) -> Option<JobId>) -> Result<(), Loop> {
    let mut seen = BTreeSet::from([job]);
    let mut next = Some(parent);
    while let Some(ancestor) = next {
        if ancestor == job {
            return Err(Loop { job, parent });
        }
        // A loop among the others is not of this job's making.
        if !seen.insert(ancestor) {
            return Ok(());
        }
        next = parent_of(ancestor);
    }
    Ok(())
}
