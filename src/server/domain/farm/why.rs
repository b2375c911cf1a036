//! Explanation why a task waits, or does not: its state, the parents that it waits for, and what keeps each worker from it.
//! Pure.

use std::collections::BTreeMap;
use std::fmt;

use crate::server::domain::farm::standing::FarmStanding;
use crate::wire::flamenco::{FarmWorkerStatus, TaskStatus};

#[cfg(test)]
mod tests;

/// Names that a reason has at most; the others are counted.
const NAMED: usize = 5;

/// Present state of a task and its surroundings.
#[derive(Clone, Debug)]
pub struct TaskFacts {
    /// State of the task.
    pub status: TaskStatus,
    /// Type that a worker must support.
    pub task_type: String,
    /// Worker that has it, or had it last.
    pub worker_name: String,
    /// Parents that are not completed, with their states.
    pub parents: Vec<(String, TaskStatus)>,
    /// Workers that support its type.
    pub workers: Vec<WorkerFacts>,
    /// Number of tasks of the type that are given away before it.
    pub before: u32,
}

/// Worker that supports the type of a task.
#[derive(Clone, Debug)]
pub struct WorkerFacts {
    /// Name under which people know it.
    pub nickname: String,
    /// State of the worker, and what it is asked.
    pub standing: FarmStanding,
    /// Whether it failed this task.
    pub has_failed: bool,
    /// Whether it gets no tasks of the type and job, because it failed too many.
    pub is_blacklisted: bool,
    /// Whether it executes another task.
    pub is_busy: bool,
}

/// Reason why a worker does not get a task at its next question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Obstacle {
    /// It failed the task.
    Failed,
    /// It failed too many tasks of the type and job.
    Blacklisted,
    /// It does not ask for tasks, for its state.
    Away(FarmWorkerStatus),
    /// It takes another state first.
    Asked(FarmWorkerStatus),
    /// It executes another task.
    Busy,
}

/// Reason why a task is where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskReason {
    /// A worker executes it.
    Executed(String),
    /// A worker is told to stop it at its next question.
    Stopping(String),
    /// It is over, and no worker tries it again by itself.
    Over(TaskStatus),
    /// It waits for parents in this state.
    Parents(TaskStatus, Vec<String>),
    /// No worker supports its type.
    NoWorker(String),
    /// Workers do not get it for one reason.
    Kept(Obstacle, Vec<String>),
    /// As many tasks come first.
    Behind(u32),
    /// One of these workers gets it at its next question.
    Free(Vec<String>),
}

impl WorkerFacts {
    /// Returns what keeps the worker from the task; what lasts longest comes first.
    #[must_use]
    pub fn obstacle(&self) -> Option<Obstacle> {
        use FarmWorkerStatus as S;
        match (self.standing.status, self.standing.asked) {
            _ if self.has_failed => Some(Obstacle::Failed),
            _ if self.is_blacklisted => Some(Obstacle::Blacklisted),
            // One that asks for tasks all the time is awake: any other state says that it does not ask.
            (status, _) if !matches!(status, S::Awake | S::Testing) => Some(Obstacle::Away(status)),
            (_, Some(asked)) => Some(Obstacle::Asked(asked.status)),
            _ => self.is_busy.then_some(Obstacle::Busy),
        }
    }
}

/// Explains the state of a task.
#[must_use]
pub fn explain(facts: &TaskFacts) -> Vec<TaskReason> {
    match facts.status {
        TaskStatus::Active => return vec![TaskReason::Executed(facts.worker_name.clone())],
        TaskStatus::CancelRequested => return vec![TaskReason::Stopping(facts.worker_name.clone())],
        // What once kept it from workers matters no more.
        status if status.is_over() => return vec![TaskReason::Over(status)],
        _ => {}
    }
    // Parents first: without them no worker helps.
    let mut reasons: Vec<TaskReason> = grouped(facts.parents.iter().map(|(name, status)| (*status, name)))
        .map(|(status, names)| TaskReason::Parents(status, names))
        .collect();
    // Told beside the parents: whoever repairs the farm need not wait for them to see it.
    if facts.workers.is_empty() {
        reasons.push(TaskReason::NoWorker(facts.task_type.clone()));
    }
    let kept = facts.workers.iter().filter_map(|worker| Some((worker.obstacle()?, &worker.nickname)));
    reasons.extend(grouped(kept).map(|(obstacle, names)| TaskReason::Kept(obstacle, names)));
    if facts.before > 0 {
        reasons.push(TaskReason::Behind(facts.before));
    }
    // Where something else has to happen first, a worker that is free explains nothing.
    let is_next = facts.parents.is_empty() && facts.before == 0;
    let free = facts.workers.iter().filter(|worker| is_next && worker.obstacle().is_none());
    let free: Vec<String> = free.map(|worker| worker.nickname.clone()).collect();
    reasons.extend((!free.is_empty()).then_some(TaskReason::Free(free)));
    reasons
}

/// Gathers names by their key, in the order of the keys.
fn grouped<'a, K: Ord>(pairs: impl Iterator<Item = (K, &'a String)>) -> impl Iterator<Item = (K, Vec<String>)> {
    let mut groups = BTreeMap::<K, Vec<String>>::new();
    for (key, name) in pairs {
        groups.entry(key).or_default().push(name.clone());
    }
    groups.into_iter()
}

impl fmt::Display for TaskReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Executed(worker) => write!(f, "worker {worker} executes it"),
            Self::Stopping(worker) => write!(f, "worker {worker} is told to stop it"),
            Self::Over(TaskStatus::Completed) => f.write_str("it is completed"),
            Self::Over(TaskStatus::Failed) => f.write_str("it has failed; requeue it to have it tried again"),
            Self::Over(_) => f.write_str("it was cancelled; requeue it to have it executed"),
            Self::Parents(status, names) => {
                write!(f, "it waits for {}, which {}", list(names), parent(*status, names.len() == 1))
            }
            Self::NoWorker(task_type) => write!(f, "no worker supports the type {task_type}"),
            Self::Kept(obstacle, names) => kept(f, *obstacle, names),
            Self::Behind(1) => f.write_str("1 task of its type comes first"),
            Self::Behind(tasks) => write!(f, "{tasks} tasks of its type come first"),
            Self::Free(names) => write!(f, "{} may get it with the next question", list(names)),
        }
    }
}

fn parent(status: TaskStatus, is_one: bool) -> &'static str {
    match (status, is_one) {
        (TaskStatus::Active, true) => "is executed",
        (TaskStatus::Active, false) => "are executed",
        (TaskStatus::CancelRequested | TaskStatus::Canceled, true) => "was cancelled",
        (TaskStatus::CancelRequested | TaskStatus::Canceled, false) => "were cancelled",
        (TaskStatus::Failed, _) => "failed",
        (_, true) => "waits itself",
        (_, false) => "wait themselves",
    }
}

fn kept(f: &mut fmt::Formatter<'_>, obstacle: Obstacle, names: &[String]) -> fmt::Result {
    let (list, are) = (list(names), if names.len() == 1 { "is" } else { "are" });
    match obstacle {
        Obstacle::Failed => write!(f, "{list} failed it"),
        Obstacle::Blacklisted => write!(f, "{list} failed too many tasks of this type of the job"),
        Obstacle::Away(FarmWorkerStatus::Registered) => write!(f, "{list} {are} registered and never asked for a task"),
        Obstacle::Away(FarmWorkerStatus::Timeout) => write!(f, "{list} {are} silent"),
        Obstacle::Away(status) => write!(f, "{list} {are} {}", status.word()),
        Obstacle::Asked(status) => write!(f, "{list} {are} asked to be {} first", status.word()),
        Obstacle::Busy => write!(f, "{list} {are} busy with another task"),
    }
}

/// Writes names with commas, and how many more there are.
fn list(names: &[String]) -> String {
    let shown = names.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
