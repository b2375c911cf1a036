//! Consequences of a run that is over: the count of failures, a retry, the children. Pure.
//!
//! The original computes them at every save of a run that is over; here they are computed once, in the transaction that
//! makes the run final.

use chrono::TimeDelta;

use super::model::{Job, JobId, Run, RunExit, Timestamp};

#[cfg(test)]
mod tests;

/// Longest pause before a retry.
const MAX_BACKOFF: TimeDelta = TimeDelta::days(1);

/// One consequence of a run that is over, for the store to apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Failures of the job in a row, from now on.
    FailTimes(u32),
    /// The job failed more often in a row than it may, and is disabled.
    Disable,
    /// Last completed schedule id of the job, from now on.
    Completed(i64),
    /// The run is tried again: when it is due, and the number of the retry, from 1.
    Retry(Timestamp, u32),
    /// A child is due now.
    Child(JobId),
    /// A child that would be due now is left out, and why.
    NoChild(JobId, NoChild),
}

/// Reason why a child does not run after its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoChild {
    /// The child is disabled.
    #[error("the job is disabled")]
    Disabled,
    /// The parent failed, on this worker or on another one.
    #[error("its parent failed")]
    ParentFailed,
}

/// A child of a job, as far as this module needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Child {
    /// Id of the child.
    pub job: JobId,
    /// Whether the child is enabled.
    pub enabled: bool,
}

/// Returns the consequences of a run that has just returned: a retry alone, or those of [`settled`].
///
/// `siblings` are the runs of the same job and schedule id, without the run itself and without those that a retry
/// replaced.
#[must_use]
pub fn after(job: &Job, run: &Run, siblings: &[Run], children: &[Child], now: Timestamp) -> Vec<Effect> {
    let success = run.return_success == Some(true);
    // While a retry is to come, the failure does not count and the children wait: both go by the last try.
    if let Some(retry) = retry(job, run, success, now) {
        return vec![retry];
    }
    settled(job, run, siblings, children)
}

/// Returns the consequences of a run that is over and not tried again.
#[must_use]
pub fn settled(job: &Job, run: &Run, siblings: &[Run], children_of_job: &[Child]) -> Vec<Effect> {
    let mut effects = Vec::new();
    if run.return_success == Some(true) {
        if job.fail_times > 0 {
            effects.push(Effect::FailTimes(0));
        }
    } else {
        let fail_times = job.fail_times.saturating_add(1);
        effects.push(Effect::FailTimes(fail_times));
        // The original's rule: strictly more failures than the number disable the job, and 0 stands for no number.
        if job.enqueue_is_enabled && job.disable_enqueue_after_fails.is_some_and(|most| most > 0 && fail_times > most) {
            effects.push(Effect::Disable);
        }
    }
    effects.push(Effect::Completed(run.schedule_id));
    effects.extend(children(job, run, siblings, children_of_job));
    effects
}

/// Returns the consequences of a run that was ended before any worker had claimed it, which is no failure of the job.
///
/// A cancelled retry does count as a failure: the run that it was to retry has failed for good then.
#[must_use]
pub fn cancelled(job: &Job, run: &Run, siblings: &[Run], children_of_job: &[Child]) -> Vec<Effect> {
    let mut effects = settled(job, run, siblings, children_of_job);
    if run.retry_of.is_none() {
        effects.retain(|effect| !matches!(effect, Effect::FailTimes(_) | Effect::Disable));
    }
    effects
}

/// Returns the effects on the children of a job after a run: none while one of its siblings is not over.
#[must_use]
pub fn children(job: &Job, run: &Run, siblings: &[Run], children: &[Child]) -> Vec<Effect> {
    let unfinished = siblings.iter().any(|sibling| sibling.return_dts.is_none());
    let all_well =
        run.return_success == Some(true) && siblings.iter().all(|sibling| sibling.return_success != Some(false));
    if !run.schedule_children || unfinished {
        return Vec::new();
    }
    let goes_on = all_well || job.schedule_children_on_error;
    let effects = children.iter().map(|child| match (goes_on, child.enabled) {
        (true, true) => Effect::Child(child.job),
        (true, false) => Effect::NoChild(child.job, NoChild::Disabled),
        (false, _) => Effect::NoChild(child.job, NoChild::ParentFailed),
    });
    effects.collect()
}

/// Plans the retry of a failed run, unless the run was killed on purpose or has used up its retries.
fn retry(job: &Job, run: &Run, success: bool, now: Timestamp) -> Option<Effect> {
    if success || run.exit == Some(RunExit::Killed) {
        return None;
    }
    let number = run.retry_of.map_or(0, |(_, number)| number) + 1;
    (number <= job.retry.times).then(|| Effect::Retry(now + backoff(job.retry.backoff, number), number))
}

fn backoff(first: u32, number: u32) -> TimeDelta {
    // A shift by 30 exceeds the longest pause already; one by 64 would overflow.
    let seconds = i64::from(first).saturating_mul(1 << (number - 1).min(30));
    TimeDelta::seconds(seconds.min(MAX_BACKOFF.num_seconds()))
}
