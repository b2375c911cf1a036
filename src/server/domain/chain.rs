//! What follows from a run that is over: counts, a retry, children. Pure.
//!
//! The original does this at every save of a run that is over; here it is asked once, in the
//! transaction that makes the run final.

use chrono::TimeDelta;

use super::model::{Job, JobId, Run, RunExit, Timestamp};

#[cfg(test)]
mod tests;

/// The longest pause before a retry.
const MAX_BACKOFF: TimeDelta = TimeDelta::days(1);

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The job has failed this often in a row.
    FailTimes(u32),
    /// The job failed too often, and is disabled.
    Disable,
    /// This was the job's last completed schedule id.
    Completed(i64),
    /// The run is tried again: when, and which retry that is.
    Retry(Timestamp, u32),
    /// A child is due now.
    Child(JobId),
    /// A child that would be due now is not, and why.
    NoChild(JobId, NoChild),
}

/// Why a child does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoChild {
    /// It is disabled.
    #[error("the job is disabled")]
    Disabled,
    /// Its parent failed, here or on another worker.
    #[error("its parent failed")]
    ParentFailed,
}

/// A child of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Child {
    /// The job.
    pub job: JobId,
    /// Whether it runs when it is due.
    pub enabled: bool,
}

/// What follows from a run that has just returned. `siblings` are the runs of the same job and schedule id, the run
/// itself and those that a retry replaced left out.
#[must_use]
pub fn after(job: &Job, run: &Run, siblings: &[Run], children: &[Child], now: Timestamp) -> Vec<Effect> {
    let success = run.return_success == Some(true);
    if let Some(retry) = retry(job, run, success, now) {
        return vec![retry];
    }
    settled(job, run, siblings, children)
}

/// What follows from a run that is over and not tried again.
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
        // The original's rule: more often than the number, and a 0 is no number.
        if job.enqueue_is_enabled && job.disable_enqueue_after_fails.is_some_and(|most| most > 0 && fail_times > most) {
            effects.push(Effect::Disable);
        }
    }
    effects.push(Effect::Completed(run.schedule_id));
    effects.extend(children(job, run, siblings, children_of_job));
    effects
}

/// What follows from a run that was ended before anybody had claimed it: that is no failure of the job. Where it was a
/// retry, the failure that it was to make good was the last.
#[must_use]
pub fn cancelled(job: &Job, run: &Run, siblings: &[Run], children_of_job: &[Child]) -> Vec<Effect> {
    let mut effects = settled(job, run, siblings, children_of_job);
    if run.retry_of.is_none() {
        effects.retain(|effect| !matches!(effect, Effect::FailTimes(_) | Effect::Disable));
    }
    effects
}

/// What becomes of the children after a run, if none of its siblings is still to come.
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

/// A failed run is tried again, unless somebody wanted it to end.
fn retry(job: &Job, run: &Run, success: bool, now: Timestamp) -> Option<Effect> {
    if success || run.exit == Some(RunExit::Killed) {
        return None;
    }
    let number = run.retry_of.map_or(0, |(_, number)| number) + 1;
    (number <= job.retry.times).then(|| Effect::Retry(now + backoff(job.retry.backoff, number), number))
}

fn backoff(first: u32, number: u32) -> TimeDelta {
    let seconds = i64::from(first).saturating_mul(1 << (number - 1).min(30));
    TimeDelta::seconds(seconds.min(MAX_BACKOFF.num_seconds()))
}
