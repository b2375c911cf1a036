//! Delivery plan: decides the next step of a courier from what it knows. Pure.

use std::time::Duration;

use tokio::time::Instant;

#[cfg(test)]
mod tests;

/// Bytes of log per second that one run may send while it lasts, where the log is sent whole.
const LIVE_RATE: f64 = 16.0 * 1024.0;
/// Pause between two pieces that are appended to a log.
pub const APPEND_PAUSE: Duration = Duration::from_millis(100);
/// Most bytes of a piece that is appended to a log.
pub const APPEND_BYTES: u64 = 64 * 1024;
/// Rejections in a row after which a part of the report that may be left out no longer holds up the rest.
pub const REJECTIONS: u32 = 3;
/// Time after an accepted answer to a ping within which the server surely does not take this worker for dead.
pub const TRUSTED: Duration = Duration::from_secs(600);

/// State of a delivery: what happened to the run, and what the server is known to have.
#[derive(Clone, Debug, Default)]
pub struct Knowledge {
    /// Whether the server may know more of the run than this courier does; the run is read first.
    pub doubt: bool,
    /// Whether the script was started.
    pub started: bool,
    /// Whether the server has the start.
    pub start_told: bool,
    /// Bytes of output so far, as last reported by the run.
    pub output: u64,
    /// Bytes of output that the server has; `None` before the first log.
    pub output_sent: Option<u64>,
    /// Whether the run was asked to report further output.
    pub watching: bool,
    /// Instant from which the log of the lasting run may be sent again.
    pub live_from: Option<Instant>,
    /// Whether the run is over.
    pub ended: bool,
    /// Whether the run is given back without a result.
    pub given_back: bool,
    /// Whether the server has the whole log.
    pub log_sent: bool,
    /// Whether the server may take this worker for dead: no ping was answered within [`TRUSTED`].
    pub long_silent: bool,
    /// Whether the run was read since it ended.
    pub looked: bool,
    /// Rejections in a row, for each part of the report.
    pub rejected: Rejected,
    /// Instant from which a rejected start may be reported again.
    pub start_from: Option<Instant>,
}

/// Rejections in a row, for each part of the report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rejected {
    /// Rejections of the start.
    pub start: u32,
    /// Rejections of the log of a lasting run.
    pub live: u32,
    /// Rejections of the whole log, since the result was last rejected.
    pub log: u32,
    /// Rejections of the result, or of giving the run back.
    pub result: u32,
}

impl Rejected {
    /// Returns whether the start no longer holds up the rest, and is reported along with the result.
    #[must_use]
    pub fn start_is_late(&self) -> bool {
        self.start >= REJECTIONS
    }

    /// Returns whether the result is reported without the log, if the server takes it so.
    #[must_use]
    pub fn log_is_left_out(&self) -> bool {
        self.log >= REJECTIONS
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
}

impl Knowledge {
    /// Returns the next step at an instant. `live` tells whether logs are sent while a run lasts.
    #[must_use]
    pub fn next(&self, now: Instant, live: bool) -> NextCall {
        if self.doubt {
            return NextCall::Look;
        }
        if self.ended && self.given_back {
            // The worker that executes the run next reports start and log.
            return NextCall::GiveBack;
        }
        // A start that is rejected again and again holds up nothing, and goes along with the result.
        let start_waits =
            self.rejected.start_is_late() && (self.ended || self.start_from.is_some_and(|from| from > now));
        if self.started && !self.start_told && !start_waits {
            return NextCall::TellStart;
        }
        if self.ended {
            // A server that may take this worker for dead may have ended the run or given it to another worker: it is
            // read before the result overwrites that.
            return match (self.log_sent || self.rejected.log_is_left_out(), self.long_silent && !self.looked) {
                (false, _) => NextCall::SendLog,
                (true, true) => NextCall::Look,
                (true, false) => NextCall::Return,
            };
        }
        let start = self.start_from.filter(|_| self.started && !self.start_told);
        if !self.started || !live {
            return NextCall::Wait(start);
        }
        if self.output <= self.output_sent.unwrap_or(0) {
            return if self.watching { NextCall::Wait(start) } else { NextCall::Watch };
        }
        match self.live_from {
            Some(from) if from > now => NextCall::Wait(start.map_or(Some(from), |start| Some(start.min(from)))),
            _ => NextCall::SendLive,
        }
    }

    /// Records that the server rejected a call, of which the next of the same kind is due at an instant. Returns true
    /// where everything waits until then.
    ///
    /// A part that is left out makes no pause before the result: if the server takes nothing at all, the result is
    /// rejected too, and everything is reported again.
    pub fn reject(&mut self, call: NextCall, due: Instant) -> bool {
        match call {
            NextCall::TellStart => {
                self.rejected.start += 1;
                self.start_from = Some(due);
                !self.rejected.start_is_late()
            }
            NextCall::SendLive => {
                self.rejected.live += 1;
                self.live_from = Some(due);
                false
            }
            NextCall::SendLog => {
                self.rejected.log += 1;
                !self.rejected.log_is_left_out()
            }
            NextCall::Return | NextCall::GiveBack => {
                self.rejected.result += 1;
                // Parts that were left out before get one more try each: once the server takes reports again, it takes
                // all parts in their order.
                self.rejected.start = self.rejected.start.min(REJECTIONS - 1);
                self.rejected.log = self.rejected.log.min(REJECTIONS - 1);
                true
            }
            NextCall::Look | NextCall::Watch | NextCall::Wait(_) => true,
        }
    }

    /// Returns how often in a row calls of this kind were rejected.
    #[must_use]
    pub fn times_rejected(&self, call: NextCall) -> u32 {
        match call {
            NextCall::TellStart => self.rejected.start,
            NextCall::SendLive => self.rejected.live,
            NextCall::SendLog => self.rejected.log,
            NextCall::Return | NextCall::GiveBack => self.rejected.result,
            NextCall::Look | NextCall::Watch | NextCall::Wait(_) => REJECTIONS,
        }
    }

    /// Records that the server took a call.
    pub fn accept(&mut self, call: NextCall) {
        match call {
            NextCall::TellStart => self.rejected.start = 0,
            NextCall::SendLive => self.rejected.live = 0,
            NextCall::SendLog => self.rejected.log = 0,
            NextCall::Return | NextCall::GiveBack | NextCall::Look | NextCall::Watch | NextCall::Wait(_) => {}
        }
    }

    /// Returns the parts of the start that are reported now.
    #[must_use]
    pub fn parts_of_start(&self) -> Parts {
        if self.rejected.start.is_multiple_of(2) { Parts::All } else { Parts::Needed }
    }

    /// Returns the parts of the result that are reported now.
    #[must_use]
    pub fn parts_of_result(&self) -> Parts {
        match self.rejected.result % 3 {
            0 => Parts::All,
            1 => Parts::Needed,
            // A run that was never started needs a start, or the server takes it for one that still waits.
            _ if self.started => Parts::ResultAlone,
            _ => Parts::Needed,
        }
    }
}

/// Returns the pause after a log of this size: the interval, or longer for a long log.
#[must_use]
pub fn pause(interval: Duration, size: usize) -> Duration {
    let by_size = Duration::from_secs_f64(size as f64 / LIVE_RATE);
    interval.max(by_size)
}
