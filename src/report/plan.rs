//! Delivery plan: decides the next call of a courier from the state of its delivery. Pure.

use std::time::Duration;

use tokio::time::Instant;

use super::delivery::{Delivery, DeliveryInput, DeliveryPhase, LogReport, OutputWatch, ServerView, StartReport};

pub use super::delivery::REJECTIONS;

#[cfg(test)]
mod tests;

/// Bytes of log per second that one run may send while it lasts, where the log is sent whole.
const LIVE_RATE: f64 = 16.0 * 1024.0;
/// Pause between two pieces that are appended to a log.
pub const APPEND_PAUSE: Duration = Duration::from_millis(100);
/// Most bytes of a piece that is appended to a log.
pub const APPEND_BYTES: u64 = 64 * 1024;
/// Longest time for which a start waits for the first output or the end of its script, with which it is then told in one
/// call.
pub const START_WAIT: Duration = Duration::from_millis(50);
/// Time after an accepted answer to a ping within which the server surely does not take this worker for dead.
pub const TRUSTED: Duration = Duration::from_secs(600);

/// Conditions outside a delivery under which its next call is decided.
#[derive(Clone, Copy, Debug)]
pub struct CallConditions {
    /// Instant of the decision.
    pub now: Instant,
    /// Whether logs are sent while a run lasts.
    pub sends_live_logs: bool,
    /// Whether the server may take this worker for dead: no ping was answered within [`TRUSTED`].
    pub is_long_silent: bool,
    /// Instant until which a start waits for what is told with it; `None` where each call says one thing.
    pub start_waits_until: Option<Instant>,
}

/// Log in a tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TellLog {
    /// Output of a run that lasts.
    Live,
    /// Rest of the whole log.
    Whole,
}

/// Parts of the report that are told in one call, in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TellPlan {
    /// Whether the start is told.
    pub start: bool,
    /// Log that is told.
    pub log: Option<TellLog>,
    /// Whether the result is told.
    pub result: bool,
}

impl TellPlan {
    /// Returns the plan without the log, and without the result, which must not come before the log.
    #[must_use]
    pub fn before_log(self) -> Self {
        Self { start: self.start, ..Self::default() }
    }

    /// Returns whether nothing is told.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// Parts of a report that are sent. After a rejection of the whole, parts are left out in turns, because the server may
/// reject only one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parts {
    /// The report with all its parts.
    All,
    /// The report without the parts that the server does not need: the pid of a start, the exit of a result.
    Needed,
    /// The result without its exit and without the start.
    ResultAlone,
}

/// Next step of a courier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextCall {
    /// Read the run from the server.
    Look,
    /// Report the start of the script.
    TellStart,
    /// Send the log of a run that lasts.
    SendLive,
    /// Send the whole log.
    SendLog,
    /// Report the result of the run.
    Return,
    /// Give the run back.
    GiveBack,
    /// Ask the run to report output beyond what the server has.
    Watch,
    /// Wait for an event of the run, at most until this instant.
    Wait(Option<Instant>),
    /// Remove what is stored of the run, and end.
    Forget,
}

impl NextCall {
    /// Returns the word for log fields.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Look => "read_run",
            Self::TellStart => "report_start",
            Self::SendLive => "send_live_log",
            Self::SendLog => "send_log",
            Self::Return => "report_result",
            Self::GiveBack => "give_back",
            Self::Watch => "watch_output",
            Self::Wait(_) => "wait",
            Self::Forget => "forget",
        }
    }
}

impl Delivery {
    /// Returns the next step under these conditions.
    #[must_use]
    pub fn next(&self, at: &CallConditions) -> NextCall {
        match (self.phase, self.view) {
            (DeliveryPhase::Done, _) => NextCall::Forget,
            (DeliveryPhase::Abandoned | DeliveryPhase::Refused, _) => NextCall::Wait(None),
            // The server keeps a late result once, however often it is reported, and a read would not tell whether it
            // does.
            (DeliveryPhase::LateResult { .. }, _) => NextCall::Return,
            (_, ServerView::Doubtful) => NextCall::Look,
            (DeliveryPhase::NotStarted { .. }, _) => NextCall::Wait(None),
            (DeliveryPhase::Running { .. }, _) => self.next_of_running(at),
            // The worker that executes the run next reports start and log.
            (DeliveryPhase::GivenBack { .. }, _) => NextCall::GiveBack,
            // A start that is rejected again and again holds up nothing, and goes along with the result.
            (DeliveryPhase::Ended { start: Some(StartReport::Due { rejections, .. }), .. }, _)
                if rejections < REJECTIONS =>
            {
                NextCall::TellStart
            }
            (DeliveryPhase::Ended { log: LogReport::Due { rejections }, .. }, _) if rejections < REJECTIONS => {
                NextCall::SendLog
            }
            // A server that may take this worker for dead may have ended the run or given it to another worker: it is
            // read before the result overwrites that.
            (DeliveryPhase::Ended { .. }, ServerView::Assumed) if at.is_long_silent => NextCall::Look,
            (DeliveryPhase::Ended { .. }, _) => NextCall::Return,
        }
    }

    fn next_of_running(&self, at: &CallConditions) -> NextCall {
        let DeliveryPhase::Running { start, log } = self.phase else { return NextCall::Wait(None) };
        let has_output = at.sends_live_logs && log.extent.output > log.extent.sent.unwrap_or(0);
        let retry_at = match start {
            StartReport::Accepted => None,
            StartReport::Due { rejections: 0, .. } => match at.start_waits_until {
                Some(until) if until > at.now && !has_output => Some(until),
                _ => return NextCall::TellStart,
            },
            StartReport::Due { rejections, retry_at } => match retry_at.filter(|from| *from > at.now) {
                Some(from) if rejections >= REJECTIONS => Some(from),
                _ => return NextCall::TellStart,
            },
        };
        if !at.sends_live_logs {
            return NextCall::Wait(retry_at);
        }
        if !has_output {
            return match log.watch {
                OutputWatch::Requested => NextCall::Wait(retry_at),
                OutputWatch::Off => NextCall::Watch,
            };
        }
        match log.next_at {
            Some(from) if from > at.now => NextCall::Wait(Some(retry_at.map_or(from, |retry| retry.min(from)))),
            _ => NextCall::SendLive,
        }
    }

    /// Returns the parts of the report that are told together: the calls that would follow one another if each were
    /// accepted. After a rejection each part is told by itself, so that only the one that is at fault is held up.
    #[must_use]
    pub fn tell_plan(&self, at: &CallConditions) -> TellPlan {
        let (mut delivery, mut plan) = (*self, TellPlan::default());
        let is_late = matches!(self.phase, DeliveryPhase::LateResult { .. });
        if is_late || self.times_rejected(NextCall::TellStart) > 0 {
            return plan;
        }
        loop {
            let call = delivery.next(at);
            if delivery.times_rejected(call) > 0 {
                return plan;
            }
            let accepted = match call {
                NextCall::TellStart if !plan.start => {
                    plan.start = true;
                    DeliveryInput::StartAccepted
                }
                NextCall::SendLog => {
                    plan.log = Some(TellLog::Whole);
                    DeliveryInput::LogAccepted
                }
                NextCall::SendLive => return TellPlan { log: Some(TellLog::Live), ..plan },
                NextCall::Return => return TellPlan { result: true, ..plan },
                _ => return plan,
            };
            delivery = delivery.step(accepted);
        }
    }

    /// Records that the server rejected a call, of which the next of the same kind is due at an instant. Returns true
    /// where everything waits until then.
    ///
    /// A part that is left out makes no pause before the result: if the server takes nothing at all, the result is
    /// rejected too, and everything is reported again.
    pub fn reject(&mut self, call: NextCall, due: Instant) -> bool {
        let input = match call {
            NextCall::TellStart => DeliveryInput::StartRejected(due),
            NextCall::SendLive => DeliveryInput::LiveLogRejected(due),
            NextCall::SendLog => DeliveryInput::LogRejected,
            NextCall::Return | NextCall::GiveBack => DeliveryInput::ResultRejected,
            NextCall::Look | NextCall::Watch | NextCall::Wait(_) | NextCall::Forget => return true,
        };
        *self = self.step(input);
        match call {
            NextCall::SendLive => false,
            NextCall::TellStart | NextCall::SendLog => self.times_rejected(call) < REJECTIONS,
            _ => true,
        }
    }

    /// Returns how often in a row calls of this kind were rejected. [`REJECTIONS`] for calls that are not counted.
    #[must_use]
    pub fn times_rejected(&self, call: NextCall) -> u32 {
        match (call, self.phase) {
            (NextCall::TellStart, _) => match self.start() {
                Some(StartReport::Due { rejections, .. }) => rejections,
                Some(StartReport::Accepted) | None => 0,
            },
            (NextCall::SendLive, DeliveryPhase::Running { log, .. }) => log.rejections,
            (NextCall::SendLog, DeliveryPhase::Ended { log: LogReport::Due { rejections }, .. }) => rejections,
            (
                NextCall::Return | NextCall::GiveBack,
                DeliveryPhase::Ended { rejections, .. }
                | DeliveryPhase::LateResult { rejections }
                | DeliveryPhase::GivenBack { rejections },
            ) => rejections,
            (NextCall::SendLive | NextCall::SendLog | NextCall::Return | NextCall::GiveBack, _) => 0,
            (NextCall::Look | NextCall::Watch | NextCall::Wait(_) | NextCall::Forget, _) => REJECTIONS,
        }
    }

    /// Returns the parts of the start that are reported now.
    #[must_use]
    pub fn parts_of_start(&self) -> Parts {
        if self.times_rejected(NextCall::TellStart).is_multiple_of(2) { Parts::All } else { Parts::Needed }
    }

    /// Returns the parts of the result that are reported now.
    #[must_use]
    pub fn parts_of_result(&self) -> Parts {
        match self.times_rejected(NextCall::Return) % 3 {
            0 => Parts::All,
            1 => Parts::Needed,
            // A run that was never started needs a start, or the server takes it for one that still waits.
            _ if self.start().is_some() => Parts::ResultAlone,
            _ => Parts::Needed,
        }
    }
}

/// Returns whether the result is still reported after the server refused a call because of the attempt. `is_compared` says
/// whether the server compares attempts: at one that does not, the result might overwrite what another worker does.
#[must_use]
pub fn reports_after_refusal(call: NextCall, is_compared: bool) -> bool {
    is_compared && matches!(call, NextCall::TellStart | NextCall::SendLive | NextCall::SendLog)
}

/// Returns the pause after a log of this size: the interval, or longer for a long log.
#[must_use]
pub fn pause(interval: Duration, size: usize) -> Duration {
    let by_size = Duration::from_secs_f64(size as f64 / LIVE_RATE);
    interval.max(by_size)
}
