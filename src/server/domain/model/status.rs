//! The last status report of a worker, and the latest command that it was asked to follow.

use super::Timestamp;
use crate::run::lack::Lack;
use crate::run::{WorkerRequest, WorkerState};

/// Last status report of a worker. A worker of the original kind sends none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// State of the worker.
    pub duty: WorkerState,
    /// Time at which the worker entered this state, by the server's clock.
    pub since: Timestamp,
    /// Slots that are taken.
    pub seats_taken: u32,
    /// Results that wait in its outbox.
    pub outbox: u32,
    /// Whether the worker is set up to be restarted.
    pub restarts: bool,
    /// Resources that are too short for the worker to claim runs; empty where none is.
    pub held: Vec<Lack>,
}

/// Latest request to a worker, and its progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LatestRequest {
    /// Command, its id and what happens to the runs under way.
    pub request: WorkerRequest,
    /// Author of the request, as recorded for people.
    pub by: String,
    /// Reason given for it; empty if none was.
    pub reason: String,
    /// Time of the request.
    pub at: Timestamp,
    /// Time at which it was first sent to the worker.
    pub sent: Option<Timestamp>,
    /// Time at which the worker reported that it follows the request.
    pub heard: Option<Timestamp>,
    /// Time and way in which the request ended.
    pub over: Option<(Timestamp, RequestEnd)>,
}

/// Way in which a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestEnd {
    /// The worker has confirmed it.
    Confirmed,
    /// The request was withdrawn before the worker knew of it.
    Cancelled,
}

impl RequestEnd {
    /// Returns the name, in the store and for people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Cancelled => "cancelled",
        }
    }
}
