//! Chains of jobs: a job runs after its parent, and no chain may lead back to where it began.

use std::collections::BTreeSet;

use crate::server::domain::model::JobId;

#[cfg(test)]
mod tests;

/// Error: a chain that would lead back to its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("job {job} cannot run after job {parent}, which runs after it")]
pub struct Loop {
    /// Job that was to get a parent.
    pub job: JobId,
    /// Parent that it cannot have.
    pub parent: JobId,
}

/// Checks that a job may run after another one.
///
/// `parent_of` returns the parents as they are stored; a job that is yet to be created is in no chain and needs no
/// check.
///
/// # Errors
/// If the chain would lead back to the job.
pub fn may_follow(job: JobId, parent: JobId, parent_of: impl Fn(JobId) -> Option<JobId>) -> Result<(), Loop> {
    let mut seen = BTreeSet::from([job]);
    let mut next = Some(parent);
    while let Some(ancestor) = next {
        if ancestor == job {
            return Err(Loop { job, parent });
        }
        // A loop among the ancestors, without this job, is not refused here: this change does not make it.
        if !seen.insert(ancestor) {
            return Ok(());
        }
        next = parent_of(ancestor);
    }
    Ok(())
}
