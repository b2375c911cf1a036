//! Reasons why a run waits: one of the pool or the job, and those of the workers that could have taken it. Pure.

use std::fmt;

use super::schedule::due_decision::WaitReason;
use super::sentence::Sentence;
use super::worker_state::NotTakingRuns;

/// Full explanation of a run that waits, as the dispatcher keeps it and `why` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitReasons {
    /// Reason of the job or the pool.
    pub reason: WaitReason,
    /// Workers that could have taken the run and take no new ones: their titles and their own reasons.
    pub unready: Vec<(String, NotTakingRuns)>,
    /// Number of further such workers, not listed in `unready`.
    pub more: usize,
}

impl WaitReasons {
    /// Returns whether two reasons are the same, but for how much is left of a resource that a worker lacks.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        let pairs = || self.unready.iter().zip(&other.unready);
        (self.reason, self.more, self.unready.len()) == (other.reason, other.more, other.unready.len())
            && pairs().all(|((title, why), (other, because))| title == other && why.is_like(because))
    }
}

impl WaitReasons {
    /// Puts the reasons into words.
    #[must_use]
    pub fn sentence(&self) -> Sentence {
        let mut sentence = self.reason.sentence();
        for (at, (title, why)) in self.unready.iter().enumerate() {
            sentence = sentence.and(format!("{} {title} {why}", if at == 0 { ":" } else { "," }));
        }
        if self.more > 0 {
            sentence = sentence.and(format!(" and {} more take none", self.more));
        }
        sentence
    }
}

impl From<WaitReason> for WaitReasons {
    fn from(reason: WaitReason) -> Self {
        Self { reason, unready: Vec::new(), more: 0 }
    }
}

impl From<&WaitReason> for WaitReasons {
    fn from(reason: &WaitReason) -> Self {
        Self::from(*reason)
    }
}

impl From<&Self> for WaitReasons {
    fn from(reasons: &Self) -> Self {
        reasons.clone()
    }
}

impl fmt::Display for WaitReasons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sentence().fmt(f)
    }
}
