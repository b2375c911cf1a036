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
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
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
    pub fn next(&self, now: Instant, live: bool) -> Next {
        if self.doubt {
            return Next::Look;
        }
        if self.ended && self.given_back {
            // Whoever executes it next tells start and log.
            return Next::GiveBack;
        }
        if self.started && !self.start_told {
            return Next::TellStart;
        }
        if self.ended {
            return match (self.log_sent, self.long_silent && !self.looked) {
                (false, _) => Next::SendLog,
                (true, true) => Next::Look,
                (true, false) => Next::Return,
            };
        }
        if !self.started || !live {
            return Next::Wait(None);
        }
        if self.output <= self.output_sent.unwrap_or(0) {
            return if self.watching { Next::Wait(None) } else { Next::Watch };
        }
        match self.live_from {
            Some(from) if from > now => Next::Wait(Some(from)),
            _ => Next::SendLive,
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
