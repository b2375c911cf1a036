//! The reasons for which a run waits: the pool's or the job's, with those of the workers that could have taken it. Pure.

use std::fmt;

use super::schedule::enqueue::WaitReason;
use super::worker_state::Unready;

/// Why a run waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitReasons {
    /// Why.
    pub reason: WaitReason,
    /// The workers that could have taken it and take no new runs: their titles and their own reasons.
    pub unready: Vec<(String, Unready)>,
    /// How many more of these there are.
    pub more: usize,
}

impl WaitReasons {
    /// Whether it is the same reason, be it that more or less is left of what a worker lacks.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        let pairs = || self.unready.iter().zip(&other.unready);
        (self.reason, self.more, self.unready.len()) == (other.reason, other.more, other.unready.len())
            && pairs().all(|((title, why), (other, because))| title == other && why.is_like(because))
    }
}

impl fmt::Display for WaitReasons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.reason)?;
        for (at, (title, why)) in self.unready.iter().enumerate() {
            write!(f, "{} {title} {why}", if at == 0 { ":" } else { "," })?;
        }
        if self.more > 0 {
            write!(f, " and {} more take none", self.more)?;
        }
        Ok(())
    }
}
