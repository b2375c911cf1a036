//! Worker state: the state shown to people, the commands that may be requested, and whether a worker is given new runs.
//! Pure.
//!
//! A request is in force from the moment it was made until the worker has confirmed it: meanwhile the worker is given
//! nothing that it would have to refuse. A request that the worker may know of already is never dropped silently;
//! another one takes its place.

use std::fmt;

use chrono::TimeDelta;

use super::model::{Report, Worker};
use crate::run::lack::{self, Lack};
use crate::run::{Pace, WorkerCommand, WorkerState};

#[cfg(test)]
mod tests;

/// State of a worker as people see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShownWorkerState {
    /// Finding out what an earlier process left behind.
    Starting,
    /// Awake: takes new runs.
    Awake,
    /// Takes no new runs, and still has some.
    Draining,
    /// Takes no new runs, and has none.
    Asleep,
    /// Has left, or was never there.
    Offline,
    /// Silent for too long, without having said that it leaves.
    Lost,
}

/// Derives the state that people see. `is_silent` comes from the dispatcher, which measures silence with the monotonic
/// clock.
#[must_use]
pub fn shown(worker: &Worker, is_silent: bool) -> ShownWorkerState {
    let duty = worker.report.as_ref().map(|report| report.duty);
    match (duty, worker.heard()) {
        // Before silence: a worker that has said that it leaves is expected to be silent.
        (_, None) | (Some(WorkerState::Offline), _) => ShownWorkerState::Offline,
        (_, Some(_)) if is_silent => ShownWorkerState::Lost,
        (Some(WorkerState::Starting), _) => ShownWorkerState::Starting,
        (Some(WorkerState::Awake) | None, _) => ShownWorkerState::Awake,
        (Some(WorkerState::Draining), _) => ShownWorkerState::Draining,
        (Some(WorkerState::Asleep), _) => ShownWorkerState::Asleep,
    }
}

/// Difference of two clocks up to which it is not mentioned: that much is the time a message takes, and whole seconds.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::seconds(5);

/// Returns whether two clocks differ by more than a few seconds, and it should be mentioned.
#[must_use]
pub fn is_off(difference: TimeDelta) -> bool {
    difference.abs() > CLOCK_TOLERANCE
}

/// Describes how wrong the clock of a worker is, where it is more than a few seconds: "its clock is 3 h behind the
/// server's".
#[must_use]
pub fn clock_in_words(worker: &Worker) -> Option<String> {
    let ahead = worker.clock_ahead.filter(|ahead| is_off(*ahead))?;
    let side = if ahead > TimeDelta::zero() { "ahead of" } else { "behind" };
    let seconds = ahead.num_seconds().abs();
    let much = match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    };
    Some(format!("its clock is {much} {side} the server's"))
}

/// Returns whether a worker takes new runs, by its state and the request in force; whether it is disabled does not
/// count here.
#[must_use]
pub fn takes_runs(worker: &Worker) -> bool {
    let rests = worker.open_request().is_some_and(|asked| asked.request.action != WorkerCommand::Wake);
    // The original worker reports no state, and takes runs for as long as it answers.
    let duty = worker.report.as_ref().map_or(WorkerState::Awake, |report| report.duty);
    !rests && matches!(duty, WorkerState::Starting | WorkerState::Awake)
}

/// Reason why a worker takes no new runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotTakingRuns {
    /// The worker is disabled.
    Disabled,
    /// The worker has never answered.
    NeverAnswered,
    /// The worker has not answered for too long.
    Silent,
    /// A request for this command is in force.
    Asked(WorkerCommand),
    /// The worker takes no new runs, and still has some.
    Draining,
    /// The worker takes no new runs, and has none.
    Asleep,
    /// The worker has left.
    Offline,
    /// Too little of these resources for the worker to claim runs.
    Held(Vec<Lack>),
}

impl fmt::Display for NotTakingRuns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disabled => write!(f, "is disabled"),
            Self::NeverAnswered => write!(f, "has never answered"),
            Self::Silent => write!(f, "does not answer"),
            Self::Asked(action) => write!(f, "is asked to {}", action.word()),
            Self::Draining => write!(f, "finishes what it has"),
            Self::Asleep => write!(f, "sleeps"),
            Self::Offline => write!(f, "has left"),
            Self::Held(lacks) => write!(f, "claims no runs: {}", lack::in_words(lacks)),
        }
    }
}

impl NotTakingRuns {
    /// Returns whether two reasons are the same, but for how much is left of a lacking resource.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Held(lacks), Self::Held(others)) => lack::are_alike(lacks, others),
            _ => self == other,
        }
    }
}

/// Returns the resources that are too short for an awake worker to claim runs.
#[must_use]
pub fn held(worker: &Worker) -> &[Lack] {
    match &worker.report {
        Some(Report { duty: WorkerState::Starting | WorkerState::Awake, held, .. }) => held,
        _ => &[],
    }
}

/// Returns why a worker takes no new runs; `None` if it does.
#[must_use]
pub fn unready(worker: &Worker, is_silent: bool) -> Option<NotTakingRuns> {
    let duty = worker.report.as_ref().map(|report| report.duty);
    if !worker.enqueue_is_enabled {
        return Some(NotTakingRuns::Disabled);
    }
    match duty {
        _ if worker.heard().is_none() => return Some(NotTakingRuns::NeverAnswered),
        Some(WorkerState::Offline) => return Some(NotTakingRuns::Offline),
        _ if is_silent => return Some(NotTakingRuns::Silent),
        Some(WorkerState::Draining) => return Some(NotTakingRuns::Draining),
        Some(WorkerState::Asleep) => return Some(NotTakingRuns::Asleep),
        Some(WorkerState::Starting | WorkerState::Awake) | None => {}
    }
    let asked = worker.open_request().map(|asked| asked.request.action).filter(|action| *action != WorkerCommand::Wake);
    let lacks = held(worker);
    asked.map(NotTakingRuns::Asked).or_else(|| (!lacks.is_empty()).then(|| NotTakingRuns::Held(lacks.to_vec())))
}

/// Decision about a requested command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestVerdict {
    /// No change: the worker is in that state, or the command is requested already.
    Already,
    /// The open request is cancelled: the worker does not know of it, and is in the wanted state.
    Cancel,
    /// The command is requested of the worker, in place of an open request.
    Ask,
}

/// Reason why a worker cannot be asked for a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandRefusal {
    /// The worker is of the original kind, or too old, and knows no commands.
    #[error("is of the original kind or too old: it cannot {}", .0.word())]
    OriginalKind(WorkerCommand),
    /// The worker has never answered, so its abilities are unknown.
    #[error("has never answered: nobody knows whether it can {}", .0.word())]
    Never(WorkerCommand),
    /// The worker has no `restart_exit_code`.
    #[error("cannot restart: restart_exit_code is not set there")]
    NoRestart,
    /// The worker has left.
    #[error("is offline: it cannot {}", .0.word())]
    Offline(WorkerCommand),
}

/// Decides about a requested command, by the state of the worker and the request in force.
///
/// # Errors
/// If the worker does not know commands, cannot restart, or has left.
pub fn ask(worker: &Worker, action: WorkerCommand, pace: Pace) -> Result<RequestVerdict, CommandRefusal> {
    let Some(report) = &worker.report else {
        return Err(match worker.heard() {
            Some(_) => CommandRefusal::OriginalKind(action),
            None => CommandRefusal::Never(action),
        });
    };
    match (action, report.duty) {
        (WorkerCommand::Restart, _) if !report.restarts => return Err(CommandRefusal::NoRestart),
        (WorkerCommand::Restart, WorkerState::Offline) => return Err(CommandRefusal::Offline(action)),
        _ => {}
    }
    let is_so = match action {
        WorkerCommand::Wake => matches!(report.duty, WorkerState::Awake | WorkerState::Starting),
        WorkerCommand::Sleep => report.duty == WorkerState::Asleep,
        WorkerCommand::Shutdown => report.duty == WorkerState::Offline,
        WorkerCommand::Restart => false,
    };
    match worker.open_request() {
        None if is_so => Ok(RequestVerdict::Already),
        None => Ok(RequestVerdict::Ask),
        // A request to stop the runs now is not weakened by one that lets them finish.
        Some(asked) if asked.request.action == action && (asked.request.pace == pace || pace == Pace::AfterRuns) => {
            Ok(RequestVerdict::Already)
        }
        // Once it was sent, the worker may follow the request: another one has to call it back.
        Some(asked) if is_so && asked.sent.is_none() => Ok(RequestVerdict::Cancel),
        Some(_) => Ok(RequestVerdict::Ask),
    }
}
