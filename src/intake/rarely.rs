//! Rate limit of log lines that others could provoke without end: a burst, then one a minute with the number of lines
//! that were suppressed. Pure.

use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;

/// Interval between lines once the burst is used up.
const PAUSE: Duration = Duration::from_secs(60);

/// Rate limit of one kind of log line.
#[derive(Debug)]
pub struct Rarely {
    burst: u32,
    /// Start of the present interval, and the lines that may still be logged in it.
    since: Option<(Instant, u32)>,
    kept_back: u64,
}

impl Rarely {
    /// Creates a limit that allows `burst` lines after a quiet interval.
    #[must_use]
    pub fn new(burst: u32) -> Self {
        Self { burst: burst.max(1), since: None, kept_back: 0 }
    }

    /// Returns the suffix of the line if it may be logged now: the number of suppressed lines, or nothing.
    pub fn due(&mut self, now: Instant) -> Option<String> {
        match &mut self.since {
            Some((since, left)) if now.saturating_duration_since(*since) < PAUSE => {
                if *left == 0 {
                    self.kept_back += 1;
                    return None;
                }
                *left -= 1;
                Some(String::new())
            }
            _ => {
                let kept_back = std::mem::take(&mut self.kept_back);
                self.since = Some((now, if kept_back == 0 { self.burst - 1 } else { 0 }));
                Some(if kept_back == 0 {
                    String::new()
                } else {
                    format!(" ({kept_back} more since the last such line)")
                })
            }
        }
    }
}
