//! Briefs: runs and jobs that came along with their order, kept for a short while in place of a read of the run.
//!
//! An outdated brief does no harm: a server that sends briefs takes a claim by compare-and-set and refuses one that is
//! out of date.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::job_view::JobView;
use crate::run::RunId;
use crate::wire::resources::RunResource;

#[cfg(test)]
mod tests;

/// Largest number of briefs that are kept.
const ROOM: usize = 64;
/// Most bytes of scripts that are kept, over all briefs.
const BYTES: usize = 16 * 1024 * 1024;
/// Age from which a brief is not used any more; the run is read instead.
const BELIEVED: Duration = Duration::from_secs(5);

/// Run and job that came with an order to execute the run.
#[derive(Clone, Debug)]
pub struct Brief {
    /// The run, as a read of it would show it.
    pub run: RunResource,
    /// The job of the run, as a read of it would show it; `None` where it is still to be read.
    pub job: Option<JobView>,
}

impl Brief {
    fn bytes(&self) -> usize {
        self.job.as_ref().map_or(0, JobView::bytes)
    }
}

/// Latest briefs, the oldest first; the oldest are dropped when there are too many.
#[derive(Debug, Default)]
pub struct Briefs {
    kept: VecDeque<(RunId, Instant, Brief)>,
    bytes: usize,
}

impl Briefs {
    /// Keeps a brief, and replaces an older one of the same run.
    pub fn put(&mut self, run: RunId, brief: Brief, now: Instant) {
        self.take(run, now);
        self.bytes += brief.bytes();
        self.kept.push_back((run, now, brief));
        while self.kept.len() > ROOM || self.bytes > BYTES {
            let Some((_, _, oldest)) = self.kept.pop_front() else { return };
            self.bytes -= oldest.bytes();
        }
    }

    /// Returns whether there is a brief of a run, however old.
    #[must_use]
    pub fn has(&self, run: RunId) -> bool {
        self.kept.iter().any(|(of, ..)| *of == run)
    }

    /// Takes the brief of a run out, and returns it unless it is too old.
    pub fn take(&mut self, run: RunId, now: Instant) -> Option<Brief> {
        let at = self.kept.iter().position(|(of, ..)| *of == run)?;
        let (_, since, brief) = self.kept.remove(at)?;
        self.bytes -= brief.bytes();
        (now.saturating_duration_since(since) < BELIEVED).then_some(brief)
    }
}
