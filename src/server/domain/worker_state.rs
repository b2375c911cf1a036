//! What workers do as a whole: what is shown of it, what may be asked of it, and whether new runs are given. Pure.
//!
//! A request holds from the moment it was made until the worker has confirmed it: meanwhile nothing is given that it
//! would have to refuse. A request that the worker may know of already is never dropped in silence; another takes its
//! place.

use std::fmt;

use chrono::TimeDelta;

use super::model::{Timestamp, Worker};
use crate::run::lack::{self, Lack};
use crate::run::{Pace, WorkerCommand, WorkerRequest, WorkerState};

#[cfg(test)]
mod tests;

/// What a worker told of itself. One of the original kind does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What it does.
    pub duty: WorkerState,
    /// Since when, by our clock.
    pub since: Timestamp,
    /// How many of its seats are taken.
    pub seats_taken: u32,
    /// How many results wait in its outbox.
    pub outbox: u32,
    /// Whether it can restart.
    pub restarts: bool,
    /// What it has too little of to claim runs.
    pub held: Vec<Lack>,
}

/// The latest request to a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LatestRequest {
    /// The request.
    pub request: WorkerRequest,
    /// Who asked.
    pub by: String,
    /// Why, if somebody said.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// When it was told to the worker first.
    pub sent: Option<Timestamp>,
    /// When the worker said that it follows it.
    pub heard: Option<Timestamp>,
    /// When and how it was over.
    pub over: Option<(Timestamp, RequestEnd)>,
}

/// How a request is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestEnd {
    /// The worker has confirmed it.
    Confirmed,
    /// It was taken back before the worker knew of it.
    Cancelled,
}

impl RequestEnd {
    /// Its name, in the store and to people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Where a worker stands, to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShownWorkerState {
    /// It finds out what was left behind.
    Starting,
    /// It takes new runs.
    Awake,
    /// It takes no new runs, and has some.
    Draining,
    /// It takes no new runs, and has none.
    Asleep,
    /// It has left, or was never there.
    Offline,
    /// It does not answer, and has not said that it leaves.
    Lost,
}

/// Where a worker stands. Whether it is silent is decided by the dispatcher, on a clock that nobody sets.
#[must_use]
pub fn shown(worker: &Worker, is_silent: bool) -> ShownWorkerState {
    let duty = worker.report.as_ref().map(|report| report.duty);
    match (duty, worker.heard()) {
        (_, None) | (Some(WorkerState::Offline), _) => ShownWorkerState::Offline,
        (_, Some(_)) if is_silent => ShownWorkerState::Lost,
        (Some(WorkerState::Starting), _) => ShownWorkerState::Starting,
        (Some(WorkerState::Awake) | None, _) => ShownWorkerState::Awake,
        (Some(WorkerState::Draining), _) => ShownWorkerState::Draining,
        (Some(WorkerState::Asleep), _) => ShownWorkerState::Asleep,
    }
}

/// How far two clocks may differ before that is said: less than this is the way of a message and whole seconds.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::seconds(5);

/// Whether two clocks that differ by so much are worth a word.
#[must_use]
pub fn is_off(difference: TimeDelta) -> bool {
    difference.abs() > CLOCK_TOLERANCE
}

/// How wrong the clock of a worker is, where it is more than a few seconds: "its clock is 3 h behind the server's".
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

/// Whether a worker is given new runs, as far as it is not disabled.
#[must_use]
pub fn takes_runs(worker: &Worker) -> bool {
    let rests = worker.open_request().is_some_and(|asked| asked.request.action != WorkerCommand::Wake);
    let duty = worker.report.as_ref().map_or(WorkerState::Awake, |report| report.duty);
    !rests && matches!(duty, WorkerState::Starting | WorkerState::Awake)
}

/// Why a worker takes no new runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unready {
    /// Somebody disabled it.
    Disabled,
    /// It was never heard of.
    NeverAnswered,
    /// It has not answered for too long.
    Silent,
    /// This is asked of it.
    Asked(WorkerCommand),
    /// It takes no new runs, and has some.
    Draining,
    /// It takes no new runs, and has none.
    Asleep,
    /// It has left.
    Offline,
    /// It has too little of these.
    Held(Vec<Lack>),
}

impl fmt::Display for Unready {
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

impl Unready {
    /// Whether it is the same reason, be it that more or less is left of what is lacking.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Held(lacks), Self::Held(others)) => lack::are_alike(lacks, others),
            _ => self == other,
        }
    }
}

/// What an awake worker has too little of to claim runs.
#[must_use]
pub fn held(worker: &Worker) -> &[Lack] {
    match &worker.report {
        Some(Report { duty: WorkerState::Starting | WorkerState::Awake, held, .. }) => held,
        _ => &[],
    }
}

/// Why a worker takes no new runs, if it does not.
#[must_use]
pub fn unready(worker: &Worker, is_silent: bool) -> Option<Unready> {
    let duty = worker.report.as_ref().map(|report| report.duty);
    if !worker.enqueue_is_enabled {
        return Some(Unready::Disabled);
    }
    match duty {
        _ if worker.heard().is_none() => return Some(Unready::NeverAnswered),
        Some(WorkerState::Offline) => return Some(Unready::Offline),
        _ if is_silent => return Some(Unready::Silent),
        Some(WorkerState::Draining) => return Some(Unready::Draining),
        Some(WorkerState::Asleep) => return Some(Unready::Asleep),
        Some(WorkerState::Starting | WorkerState::Awake) | None => {}
    }
    let asked = worker.open_request().map(|asked| asked.request.action).filter(|action| *action != WorkerCommand::Wake);
    let lacks = held(worker);
    asked.map(Unready::Asked).or_else(|| (!lacks.is_empty()).then(|| Unready::Held(lacks.to_vec())))
}

/// What becomes of a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestVerdict {
    /// It is so already, or asked for already.
    Already,
    /// What was asked for is taken back: the worker does not know of it.
    Cancel,
    /// It is asked of the worker, in place of whatever was asked before.
    Ask,
}

/// Why a worker cannot do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cannot {
    /// It does not know of actions.
    #[error("is of the original kind or too old: it cannot {}", .0.word())]
    OriginalKind(WorkerCommand),
    /// Nobody knows what it can.
    #[error("has never answered: nobody knows whether it can {}", .0.word())]
    Never(WorkerCommand),
    /// It was not told how.
    #[error("cannot restart: restart_exit_code is not set there")]
    NoRestart,
    /// It has left.
    #[error("is offline: it cannot {}", .0.word())]
    Offline(WorkerCommand),
}

/// What becomes of the wish that a worker does something.
///
/// # Errors
/// Why it cannot.
pub fn ask(worker: &Worker, action: WorkerCommand, pace: Pace) -> Result<RequestVerdict, Cannot> {
    let Some(report) = &worker.report else {
        return Err(match worker.heard() {
            Some(_) => Cannot::OriginalKind(action),
            None => Cannot::Never(action),
        });
    };
    match (action, report.duty) {
        (WorkerCommand::Restart, _) if !report.restarts => return Err(Cannot::NoRestart),
        (WorkerCommand::Restart, WorkerState::Offline) => return Err(Cannot::Offline(action)),
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
        Some(asked) if asked.request.action == action && (asked.request.pace == pace || pace == Pace::AfterRuns) => {
            Ok(RequestVerdict::Already)
        }
        Some(asked) if is_so && asked.sent.is_none() => Ok(RequestVerdict::Cancel),
        Some(_) => Ok(RequestVerdict::Ask),
    }
}
