//! Rate limit of log lines that others could provoke without end: a burst, then one a minute with the number of lines
//! that were suppressed. Pure.

use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;

/// Interval between lines once the burst is used up.
const PAUSE: Duration = Duration::from_secs(60);

/// Rate limit of one kind of log line.
#[derive(Debug)]
pub struct LogLimit {
    burst: u32,
    /// Start of the present interval, and the lines that may still be logged in it.
    interval: Option<(Instant, u32)>,
    suppressed: u64,
}

impl LogLimit {
    /// Creates a limit that allows `burst` lines after a quiet interval.
    #[must_use]
    pub fn new(burst: u32) -> Self {
        Self { burst: burst.max(1), interval: None, suppressed: 0 }
    }

    /// Returns the field `suppressed` of the line if it may be logged now: the number of lines that were suppressed
    /// since the last one, if there were any. Otherwise counts the line as suppressed.
    pub fn due(&mut self, now: Instant) -> Option<Option<u64>> {
        match &mut self.interval {
            Some((since, left)) if now.saturating_duration_since(*since) < PAUSE => {
                if *left == 0 {
                    self.suppressed += 1;
                    return None;
                }
                *left -= 1;
                Some(None)
            }
            _ => {
                let suppressed = std::mem::take(&mut self.suppressed);
                self.interval = Some((now, if suppressed == 0 { self.burst - 1 } else { 0 }));
                Some((suppressed > 0).then_some(suppressed))
            }
        }
    }
}
