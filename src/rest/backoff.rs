//! How long to wait before trying again: full jitter, so that many workers do not come back as one.

use std::time::Duration;

/// Waits up to 0.5 s, 1 s, 2 s … 30 s, each drawn evenly from nothing to that.
#[derive(Clone, Debug, Default)]
pub struct Backoff {
    tries: u32,
}

impl Backoff {
    /// The first bound.
    pub const FIRST: Duration = Duration::from_millis(500);
    /// The last bound.
    pub const LAST: Duration = Duration::from_secs(30);

    /// The bound of the next wait.
    #[must_use]
    pub fn bound(&self) -> Duration {
        Self::FIRST.saturating_mul(1 << self.tries.min(16)).min(Self::LAST)
    }

    /// The next wait; not shorter than what the server asked for.
    pub fn next(&mut self, asked: Option<Duration>) -> Duration {
        let drawn = self.bound().mul_f64(fastrand::f64());
        self.tries = self.tries.saturating_add(1);
        asked.map_or(drawn, |asked| asked.max(drawn))
    }

    /// How often it was asked.
    #[must_use]
    pub fn tries(&self) -> u32 {
        self.tries
    }

    /// Something worked: begin anew.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests;
