//! Delivery of one run: the phases from its start to its accepted result, as a pure state machine.
//!
//! A phase holds what happened to the run and what the server has of it. [`Delivery::step`] is the only transition; the
//! next call of a courier follows from the phase alone, see [`super::plan`].

use tokio::time::Instant;

#[cfg(test)]
pub(super) mod samples;
#[cfg(test)]
mod tests;

/// Rejections in a row after which a part of the report that may be left out no longer holds up the rest.
pub const REJECTIONS: u32 = 3;

/// State of a delivery: its phase, and how far the server's view of the run is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// What happened to the run, and what was reported of it.
    pub phase: DeliveryPhase,
    /// Reliability of what is known about the run at the server.
    pub view: ServerView,
}

/// Phase of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryPhase {
    /// The script was not started, so nothing is reported.
    NotStarted {
        /// Bytes of output so far, as last reported by the run.
        output: u64,
    },
    /// The script runs; its start is reported, and then its log while it grows.
    Running {
        /// Report of the start.
        start: StartReport,
        /// Log of the lasting run.
        log: LiveLog,
    },
    /// The run is over; start, log and result are reported, in this order.
    Ended {
        /// Report of the start; `None` where the script was never started.
        start: Option<StartReport>,
        /// Report of the whole log.
        log: LogReport,
        /// Output of the run, and the part of it that the server has.
        extent: LogExtent,
        /// Rejections of the result in a row.
        rejections: u32,
    },
    /// The run is over without a result; it is given back, for the next worker to report.
    GivenBack {
        /// Rejections in a row.
        rejections: u32,
    },
    /// The server refuses reports of the attempt, whose script is not over yet. Its result is reported all the same.
    Refused,
    /// The run is over, and the server refused a report of the attempt before its result. The result alone is reported,
    /// for the server to keep as late, until the server has answered.
    LateResult {
        /// Rejections in a row.
        rejections: u32,
    },
    /// The server wants no further report of the run, whose script is not over yet.
    Abandoned,
    /// The run is over and nothing is left to report: what is stored of it may be removed.
    Done,
}

/// Report of the start of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartReport {
    /// The server does not have the start.
    Due {
        /// Rejections in a row.
        rejections: u32,
        /// Instant from which a start that was rejected may be reported again.
        retry_at: Option<Instant>,
    },
    /// The server has the start.
    Accepted,
}

/// Log of a run that lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveLog {
    /// Output so far, and the part of it that the server has.
    pub extent: LogExtent,
    /// Way in which the courier learns of further output.
    pub watch: OutputWatch,
    /// Instant from which the log may be sent again.
    pub next_at: Option<Instant>,
    /// Rejections in a row.
    pub rejections: u32,
}

/// Output of a run, and the part of it that the server has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogExtent {
    /// Bytes of output, as last reported by the run.
    pub output: u64,
    /// Bytes of output that the server has; `None` before the first log, and after a rejection of the whole log.
    pub sent: Option<u64>,
}

/// Watch for further output of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputWatch {
    /// The run was not asked to report further output.
    Off,
    /// The run will report output beyond what the server has.
    Requested,
}

/// Report of the whole log of a run that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogReport {
    /// The server does not have the whole log.
    Due {
        /// Rejections in a row, since the result was last rejected.
        rejections: u32,
    },
    /// The server has the whole log.
    Accepted,
}

/// Reliability of what a courier knows about its run at the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerView {
    /// The server may know more of the run than the courier does: the run is read before anything is reported.
    Doubtful,
    /// No call was left in doubt, but the run was not read since it ended, or since a report of its result failed.
    Assumed,
    /// The run was read since it ended, and no report of its result failed since.
    Fresh,
}

/// End of a run, as far as it decides what is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryEnd {
    /// The run has a result.
    WithResult,
    /// The run is given back without a result.
    GivenBack,
}

/// Input of a delivery: an event of the run, or the outcome of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryInput {
    /// The script was started.
    Started,
    /// The run has this many bytes of output so far.
    Output(u64),
    /// The run is over.
    Ended(DeliveryEnd),
    /// An execution was lost, and the next one begins.
    Relaunched,
    /// The run was asked to report further output.
    WatchRequested,
    /// The run was read, and is still this worker's to report.
    Read {
        /// Whether the server has the start of this execution.
        has_start: bool,
    },
    /// The server may have carried out a call that was not answered.
    CallInDoubt,
    /// The start was accepted.
    StartAccepted,
    /// The start was rejected; it may be reported again from this instant.
    StartRejected(Instant),
    /// The server has the log of the lasting run up to this byte of output; the log may be sent again from `next_at`.
    LogUpdated {
        /// Bytes of output that the server has.
        sent: u64,
        /// Instant of the next update.
        next_at: Instant,
    },
    /// The log of the lasting run was rejected; it may be sent again from this instant.
    LiveLogRejected(Instant),
    /// The output cannot be read at the moment, so no log was sent and none was rejected.
    OutputUnreadable,
    /// The whole log was accepted.
    LogAccepted,
    /// The whole log was rejected.
    LogRejected,
    /// The result, or giving the run back, was rejected.
    ResultRejected,
    /// A report of the result failed, and the server may have changed the run by the next try.
    ResultFailed,
    /// The server refuses reports of the attempt because the run is over, in a later attempt or another worker's. It
    /// compares attempts, so that a result of this one can change nothing.
    AttemptRefused,
    /// The server has the result, has the run back, or wants no report of it.
    Settled,
}

impl Delivery {
    /// Returns the delivery of a run whose script was not started.
    #[must_use]
    pub fn new(view: ServerView) -> Self {
        Self { phase: DeliveryPhase::NotStarted { output: 0 }, view }
    }

    /// Returns the delivery after an input.
    #[must_use]
    pub fn step(self, input: DeliveryInput) -> Self {
        Self { phase: self.phase.step(input), view: self.view.step(&self.phase, input) }
    }

    /// Returns whether the run is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        match self.phase {
            DeliveryPhase::NotStarted { .. }
            | DeliveryPhase::Running { .. }
            | DeliveryPhase::Refused
            | DeliveryPhase::Abandoned => false,
            DeliveryPhase::Ended { .. }
            | DeliveryPhase::LateResult { .. }
            | DeliveryPhase::GivenBack { .. }
            | DeliveryPhase::Done => true,
        }
    }

    /// Returns the output of the run as last reported, and the part of it that the server has.
    #[must_use]
    pub fn extent(&self) -> LogExtent {
        match self.phase {
            DeliveryPhase::NotStarted { output } => LogExtent { output, sent: None },
            DeliveryPhase::Running { log, .. } => log.extent,
            DeliveryPhase::Ended { extent, .. } => extent,
            DeliveryPhase::Refused
            | DeliveryPhase::LateResult { .. }
            | DeliveryPhase::GivenBack { .. }
            | DeliveryPhase::Abandoned
            | DeliveryPhase::Done => LogExtent::default(),
        }
    }

    /// Returns the report of the start; `None` where there is no start to report.
    #[must_use]
    pub fn start(&self) -> Option<StartReport> {
        match self.phase {
            DeliveryPhase::Running { start, .. } => Some(start),
            DeliveryPhase::Ended { start, .. } => start,
            DeliveryPhase::NotStarted { .. }
            | DeliveryPhase::Refused
            | DeliveryPhase::LateResult { .. }
            | DeliveryPhase::GivenBack { .. }
            | DeliveryPhase::Abandoned
            | DeliveryPhase::Done => None,
        }
    }

    /// Returns whether the server has the whole log of a run that is over.
    #[must_use]
    pub fn has_log(&self) -> bool {
        matches!(self.phase, DeliveryPhase::Ended { log: LogReport::Accepted, .. })
    }
}

impl ServerView {
    /// Returns the view after an input that came in a phase.
    fn step(self, phase: &DeliveryPhase, input: DeliveryInput) -> Self {
        let is_over = matches!(phase, DeliveryPhase::Ended { .. } | DeliveryPhase::GivenBack { .. });
        match (input, self) {
            (DeliveryInput::CallInDoubt, _) => Self::Doubtful,
            (DeliveryInput::Read { .. }, _) if is_over => Self::Fresh,
            (DeliveryInput::Read { .. }, _) => Self::Assumed,
            // Only a read ends doubt.
            (_, Self::Doubtful) => Self::Doubtful,
            (DeliveryInput::ResultRejected | DeliveryInput::ResultFailed | DeliveryInput::Relaunched, _) => {
                Self::Assumed
            }
            (_, view) => view,
        }
    }
}

impl DeliveryPhase {
    fn step(self, input: DeliveryInput) -> Self {
        match (self, input) {
            (Self::Done, _) => Self::Done,
            (Self::Abandoned, DeliveryInput::Ended(_)) => Self::Done,
            (Self::Abandoned, _) => Self::Abandoned,
            (Self::Ended { .. } | Self::LateResult { .. } | Self::GivenBack { .. }, DeliveryInput::Settled) => {
                Self::Done
            }
            (Self::NotStarted { .. } | Self::Running { .. } | Self::Refused, DeliveryInput::Settled) => Self::Abandoned,
            (_, DeliveryInput::Relaunched) => Self::NotStarted { output: 0 },
            (Self::NotStarted { .. } | Self::Running { .. }, DeliveryInput::AttemptRefused) => Self::Refused,
            (Self::Ended { .. }, DeliveryInput::AttemptRefused)
            | (Self::Refused, DeliveryInput::Ended(DeliveryEnd::WithResult)) => Self::LateResult { rejections: 0 },
            (Self::Refused, DeliveryInput::Ended(DeliveryEnd::GivenBack)) => Self::GivenBack { rejections: 0 },
            (Self::Refused, _) => Self::Refused,
            (Self::LateResult { rejections }, DeliveryInput::ResultRejected) => {
                Self::LateResult { rejections: rejections + 1 }
            }
            (Self::LateResult { rejections }, _) => Self::LateResult { rejections },
            (Self::NotStarted { output }, input) => Self::before_start(output, input),
            (Self::Running { start, log }, DeliveryInput::Ended(DeliveryEnd::WithResult)) => Self::Ended {
                start: Some(start),
                log: LogReport::Due { rejections: 0 },
                extent: log.extent,
                rejections: 0,
            },
            (Self::Running { .. }, DeliveryInput::Ended(DeliveryEnd::GivenBack)) => Self::GivenBack { rejections: 0 },
            (Self::Running { start, log }, input) => Self::Running { start: start.step(input), log: log.step(input) },
            (Self::Ended { start, log, extent, rejections }, DeliveryInput::ResultRejected) => Self::Ended {
                start: start.map(StartReport::tried_once_more),
                log: log.tried_once_more(),
                extent,
                rejections: rejections + 1,
            },
            (Self::Ended { start: None, log, extent, rejections }, DeliveryInput::Started) => {
                Self::Ended { start: Some(StartReport::FIRST), log, extent, rejections }
            }
            (Self::Ended { start, log, extent, rejections }, input) => Self::Ended {
                start: start.map(|start| start.step(input)),
                log: log.step(input),
                extent: extent.step(input),
                rejections,
            },
            (Self::GivenBack { rejections }, DeliveryInput::ResultRejected) => {
                Self::GivenBack { rejections: rejections + 1 }
            }
            (Self::GivenBack { rejections }, _) => Self::GivenBack { rejections },
        }
    }

    fn before_start(output: u64, input: DeliveryInput) -> Self {
        let extent = LogExtent { output, sent: None };
        match input {
            DeliveryInput::Started => {
                let log = LiveLog { extent, watch: OutputWatch::Off, next_at: None, rejections: 0 };
                Self::Running { start: StartReport::FIRST, log }
            }
            DeliveryInput::Output(output) => Self::NotStarted { output },
            DeliveryInput::Ended(DeliveryEnd::WithResult) => {
                Self::Ended { start: None, log: LogReport::Due { rejections: 0 }, extent, rejections: 0 }
            }
            DeliveryInput::Ended(DeliveryEnd::GivenBack) => Self::GivenBack { rejections: 0 },
            _ => Self::NotStarted { output },
        }
    }
}

impl StartReport {
    /// Report of a start that was not tried yet.
    pub const FIRST: Self = Self::Due { rejections: 0, retry_at: None };

    fn step(self, input: DeliveryInput) -> Self {
        match (self, input) {
            (_, DeliveryInput::StartAccepted | DeliveryInput::Read { has_start: true }) => Self::Accepted,
            (Self::Due { rejections, .. }, DeliveryInput::StartRejected(retry_at)) => {
                Self::Due { rejections: rejections + 1, retry_at: Some(retry_at) }
            }
            (start, _) => start,
        }
    }

    /// Returns the report after a rejection of the result: a start that was left out gets one more try.
    fn tried_once_more(self) -> Self {
        match self {
            Self::Due { rejections, retry_at } => Self::Due { rejections: rejections.min(REJECTIONS - 1), retry_at },
            Self::Accepted => Self::Accepted,
        }
    }
}

impl LiveLog {
    fn step(self, input: DeliveryInput) -> Self {
        let log = Self { extent: self.extent.step(input), ..self };
        match input {
            DeliveryInput::Output(_) => Self { watch: OutputWatch::Off, ..log },
            DeliveryInput::WatchRequested => Self { watch: OutputWatch::Requested, ..log },
            DeliveryInput::LogUpdated { next_at, .. } => Self { next_at: Some(next_at), rejections: 0, ..log },
            DeliveryInput::LiveLogRejected(retry_at) => {
                Self { next_at: Some(retry_at), rejections: self.rejections + 1, ..log }
            }
            DeliveryInput::OutputUnreadable => Self { rejections: 0, ..log },
            _ => log,
        }
    }
}

impl LogExtent {
    fn step(self, input: DeliveryInput) -> Self {
        match input {
            DeliveryInput::Output(output) => Self { output, ..self },
            DeliveryInput::LogUpdated { sent, .. } => Self { sent: Some(sent), ..self },
            // The server may have part of the log by now, but not all of it.
            DeliveryInput::LogRejected => Self { sent: None, ..self },
            _ => self,
        }
    }
}

impl LogReport {
    fn step(self, input: DeliveryInput) -> Self {
        match (self, input) {
            (_, DeliveryInput::LogAccepted) => Self::Accepted,
            (Self::Due { rejections }, DeliveryInput::LogRejected) => Self::Due { rejections: rejections + 1 },
            (Self::Due { .. }, DeliveryInput::OutputUnreadable) => Self::Due { rejections: 0 },
            (log, _) => log,
        }
    }

    /// Returns the report after a rejection of the result: a log that was left out gets one more try. Once the server
    /// takes reports again, it takes all parts in their order.
    fn tried_once_more(self) -> Self {
        match self {
            Self::Due { rejections } => Self::Due { rejections: rejections.min(REJECTIONS - 1) },
            Self::Accepted => Self::Accepted,
        }
    }
}
