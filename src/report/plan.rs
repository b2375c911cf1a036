//! What a courier does next: a pure decision over what it knows.

use std::time::Duration;

use tokio::time::Instant;

#[cfg(test)]
mod tests;

/// How many bytes of log a second one run may send while it lasts.
const LIVE_RATE: f64 = 16.0 * 1024.0;
/// How long a piece of a log waits for the next.
pub const APPEND_PAUSE: Duration = Duration::from_millis(100);
/// The most bytes of such a piece.
pub const APPEND_BYTES: u64 = 64 * 1024;
/// After how many rejections in a row a part of the report that may be left out does not hold up the rest.
pub const REJECTIONS: u32 = 3;
/// How long the server surely has not taken us for dead after it accepted the answer to a ping.
pub const TRUSTED: Duration = Duration::from_secs(600);

/// What a courier knows.
#[derive(Clone, Debug, Default)]
pub struct Knowledge {
    /// Whether the server may know more than we do.
    pub doubt: bool,
    /// Whether the script was started.
    pub started: bool,
    /// Whether the server knows that.
    pub start_told: bool,
    /// How many bytes of output there are, as far as we heard.
    pub output: u64,
    /// How many the server has.
    pub output_sent: Option<u64>,
    /// Whether we are told when there is more.
    pub watching: bool,
    /// When the log of a lasting run may be sent again.
    pub live_from: Option<Instant>,
    /// Whether the run is over.
    pub ended: bool,
    /// Whether it is given back unjudged.
    pub given_back: bool,
    /// Whether the server has the whole log.
    pub log_sent: bool,
    /// Whether it is long ago that the server surely took us for alive.
    pub long_silent: bool,
    /// Whether the server was asked since the run ended.
    pub looked: bool,
    /// How often in a row it rejected what.
    pub rejected: Rejected,
    /// When a start that was rejected may be told again.
    pub start_from: Option<Instant>,
}

/// How often in a row the server rejected which part of the report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rejected {
    /// The start.
    pub start: u32,
    /// The log of a lasting run.
    pub live: u32,
    /// The whole log, since the result was rejected last.
    pub log: u32,
    /// The result.
    pub result: u32,
}

impl Rejected {
    /// Whether the result takes the start along, or goes without it.
    #[must_use]
    pub fn start_is_late(&self) -> bool {
        self.start >= REJECTIONS
    }

    /// Whether the result is told without the log, if the server takes it so.
    #[must_use]
    pub fn log_is_left_out(&self) -> bool {
        self.log >= REJECTIONS
    }
}

/// What of a report is told when it was rejected whole: it may be one part that the server does not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parts {
    /// All of it.
    All,
    /// What the server can do without is left out: the pid of a start, the exit of a result.
    Needed,
    /// The start too is left out of the result.
    ResultAlone,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextCall {
    /// Read the run.
    Look,
    /// Tell the start.
    TellStart,
    /// Send the log of a lasting run.
    SendLive,
    /// Send the whole log.
    SendLog,
    /// Tell the result.
    Return,
    /// Give the run back.
    GiveBack,
    /// Ask to be told of output beyond what the server has.
    Watch,
    /// Wait for news, and until then.
    Wait(Option<Instant>),
}

impl Knowledge {
    /// The next thing to do at an instant. `live` is `log_update_interval`, if logs are sent while a run lasts.
    #[must_use]
    pub fn next(&self, now: Instant, live: bool) -> NextCall {
        if self.doubt {
            return NextCall::Look;
        }
        if self.ended && self.given_back {
            // Whoever executes it next tells start and log.
            return NextCall::GiveBack;
        }
        // A start that is rejected again and again holds up nothing, and goes with the result.
        let start_waits =
            self.rejected.start_is_late() && (self.ended || self.start_from.is_some_and(|from| from > now));
        if self.started && !self.start_told && !start_waits {
            return NextCall::TellStart;
        }
        if self.ended {
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

    /// The server rejected a call; the next of its kind is due at an instant. Whether everything waits until then.
    ///
    /// What is left out goes with no pause before the result: if the server takes nothing at all, all of it is rejected, and
    /// all of it is told again.
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
                // Of those before, the last is tried again: once the server takes things, it takes all of them, in their order.
                self.rejected.start = self.rejected.start.min(REJECTIONS - 1);
                self.rejected.log = self.rejected.log.min(REJECTIONS - 1);
                true
            }
            NextCall::Look | NextCall::Watch | NextCall::Wait(_) => true,
        }
    }

    /// How often in a row a call of this kind was rejected.
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

    /// The server took a call.
    pub fn accept(&mut self, call: NextCall) {
        match call {
            NextCall::TellStart => self.rejected.start = 0,
            NextCall::SendLive => self.rejected.live = 0,
            NextCall::SendLog => self.rejected.log = 0,
            NextCall::Return | NextCall::GiveBack | NextCall::Look | NextCall::Watch | NextCall::Wait(_) => {}
        }
    }

    /// What of the start is told now.
    #[must_use]
    pub fn parts_of_start(&self) -> Parts {
        if self.rejected.start.is_multiple_of(2) { Parts::All } else { Parts::Needed }
    }

    /// What of the result is told now.
    #[must_use]
    pub fn parts_of_result(&self) -> Parts {
        match self.rejected.result % 3 {
            0 => Parts::All,
            1 => Parts::Needed,
            // A run that was never started needs one, or the server takes it for one that still waits.
            _ if self.started => Parts::ResultAlone,
            _ => Parts::Needed,
        }
    }
}

/// How long after a log of this size the next may be sent.
#[must_use]
pub fn pause(interval: Duration, size: usize) -> Duration {
    #[allow(clippy::cast_precision_loss)]
    let by_size = Duration::from_secs_f64(size as f64 / LIVE_RATE);
    interval.max(by_size)
}
