//! Runs that came with their order: what a look at them would show, for a short while.
//!
//! The claim is compare-and-set where such orders come from, so that an old brief does no harm: the claim is refused.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::calls::JobView;
use crate::run::RunId;
use crate::wire::resources::RunResource;

#[cfg(test)]
mod tests;

/// How many are kept.
const ROOM: usize = 64;
/// How many bytes of scripts are kept.
const BYTES: usize = 16 * 1024 * 1024;
/// How long one is believed: after that the server has said it again.
const BELIEVED: Duration = Duration::from_secs(5);

/// A run and its job.
#[derive(Clone, Debug)]
pub struct Brief {
    /// The run.
    pub run: RunResource,
    /// Its job.
    pub job: JobView,
}

impl Brief {
    fn bytes(&self) -> usize {
        self.job.script.as_ref().map_or(0, String::len)
    }
}

/// The latest briefs, the oldest first.
#[derive(Debug, Default)]
pub struct Briefs {
    kept: VecDeque<(RunId, Instant, Brief)>,
    bytes: usize,
}

impl Briefs {
    /// Keeps one, in the place of an older one of the run.
    pub fn put(&mut self, run: RunId, brief: Brief, now: Instant) {
        self.take(run, now);
        self.bytes += brief.bytes();
        self.kept.push_back((run, now, brief));
        while self.kept.len() > ROOM || self.bytes > BYTES {
            let Some((_, _, oldest)) = self.kept.pop_front() else { return };
            self.bytes -= oldest.bytes();
        }
    }

    /// Whether there is one of a run.
    #[must_use]
    pub fn has(&self, run: RunId) -> bool {
        self.kept.iter().any(|(of, ..)| *of == run)
    }

    /// Takes the one of a run, if it can be believed still.
    pub fn take(&mut self, run: RunId, now: Instant) -> Option<Brief> {
        let at = self.kept.iter().position(|(of, ..)| *of == run)?;
        let (_, since, brief) = self.kept.remove(at)?;
        self.bytes -= brief.bytes();
        (now.saturating_duration_since(since) < BELIEVED).then_some(brief)
    }
}
