//! Back-off: the pauses between retries, with full jitter, so that many workers do not come back at the same time.

use std::time::Duration;

/// Pauses of at most 0.5 s, 1 s, 2 s … 30 s, each drawn evenly between zero and that bound.
#[derive(Clone, Debug)]
pub struct Backoff {
    tries: u32,
    longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::up_to(Self::LAST)
    }
}

impl Backoff {
    /// Bound of the first pause.
    pub const FIRST: Duration = Duration::from_millis(500);
    /// Bound that no pause exceeds unless the server asks for more.
    pub const LAST: Duration = Duration::from_secs(30);

    /// Makes pauses that stay below a bound of their own in place of [`Self::LAST`].
    #[must_use]
    pub fn up_to(longest: Duration) -> Self {
        Self { tries: 0, longest }
    }

    /// Returns the bound of the next pause.
    #[must_use]
    pub fn bound(&self) -> Duration {
        // Shifted by 16 at most: the bound is reached long before, and a longer shift would overflow.
        Self::FIRST.saturating_mul(1 << self.tries.min(16)).min(self.longest)
    }

    /// Returns the next pause, which is not shorter than the server asked for.
    pub fn next(&mut self, asked: Option<Duration>) -> Duration {
        let drawn = self.bound().mul_f64(fastrand::f64());
        self.tries = self.tries.saturating_add(1);
        asked.map_or(drawn, |asked| asked.max(drawn))
    }

    /// Returns how many pauses were drawn since the last reset.
    #[must_use]
    pub fn tries(&self) -> u32 {
        self.tries
    }

    /// Begins anew with the first bound, after a success.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests;
