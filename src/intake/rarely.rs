//! Lines that somebody else could make us say without end: a few at once, then one a minute, with how many were kept back.
//! Pure.

use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;

/// How far apart such lines are.
const PAUSE: Duration = Duration::from_secs(60);

/// When one kind of line may be said.
#[derive(Debug)]
pub struct Rarely {
    burst: u32,
    /// Since when lines are counted, and how many more may be said before the pause is over.
    since: Option<(Instant, u32)>,
    kept_back: u64,
}

impl Rarely {
    /// So many at once after a quiet time.
    #[must_use]
    pub fn new(burst: u32) -> Self {
        Self { burst: burst.max(1), since: None, kept_back: 0 }
    }

    /// Whether to say it now, and what is to stand behind it.
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
