//! Rules of `docs/scheduling.rst`, written a second time for the histories: which run may run, on which worker, and
//! which states are forbidden.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::run::RunId;
use crate::server::domain::model::{self, Concurrency, Job, JobId, PoolId, Run, WorkerId};

/// A worker, as the rules see it.
#[derive(Clone, Debug)]
pub(super) struct Hand {
    pub id: WorkerId,
    pub pools: BTreeSet<PoolId>,
    pub enabled: bool,
    pub slots: u32,
    /// Instant of its last sign of life.
    pub heard: Instant,
}

/// State of the world at one moment.
#[derive(Clone, Debug)]
pub(super) struct WorldView {
    pub now: Instant,
    pub wall: model::Timestamp,
    pub patience: Duration,
    pub jobs: BTreeMap<JobId, Job>,
    pub hands: Vec<Hand>,
    /// All runs that are not over.
    pub open: Vec<Run>,
    /// Due times that the dispatcher has seen come.
    pub came_due: BTreeSet<Due>,
    /// Due times that have come, though the clock may have been set back before the dispatcher saw them.
    pub passed: BTreeSet<Due>,
}

/// A schedule id and its due time. A schedule id that is given another time is not due by the first one; the runs that
/// a run on all workers becomes are due as it was.
pub(super) type Due = (i64, model::Timestamp);

/// Certainty of a judgement where the model cannot know what the dispatcher has seen: surely so, or perhaps so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Surely,
    Perhaps,
}

/// Whether a worker answers: undecided around the end of the patience with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answers {
    Yes,
    No,
    Perhaps,
}

/// Uncertainty about the end of the patience with a worker.
const BLUR: Duration = Duration::from_secs(3);

impl WorldView {
    pub fn answers(&self, hand: &Hand) -> Answers {
        let silent = self.now - hand.heard;
        if silent > self.patience + BLUR {
            Answers::No
        } else if silent + BLUR < self.patience {
            Answers::Yes
        } else {
            Answers::Perhaps
        }
    }

    pub fn hand(&self, worker: WorkerId) -> &Hand {
        self.hands.iter().find(|hand| hand.id == worker).expect("a worker")
    }

    /// Returns the number of runs that a worker has claimed.
    pub fn load(&self, worker: WorkerId) -> usize {
        self.open.iter().filter(|run| is_claimed(run) && run.worker == Some(worker)).count()
    }

    /// Returns whether a run is due. A clock that is set back after it came due does not undo that.
    pub fn is_due(&self, run: &Run, seen: Seen) -> bool {
        let due = (run.schedule_id, run.schedule_dts);
        let set = if seen == Seen::Surely { &self.came_due } else { &self.passed };
        run.schedule_dts <= self.wall || set.contains(&due)
    }

    /// Returns why a run may be announced to no worker, apart from reasons of its worker.
    pub fn blocked(&self, run: &Run, seen: Seen) -> Option<String> {
        let job = &self.jobs[&run.job];
        if is_claimed(run) {
            return Some("it is claimed".to_owned());
        }
        if !self.is_due(run, seen) {
            return Some("it is not due".to_owned());
        }
        if !job.enqueue_is_enabled && !run.is_manual {
            return Some("its job is disabled".to_owned());
        }
        if job.concurrency == Concurrency::Allow {
            return None;
        }
        let of_the_job =
            || self.open.iter().filter(|other| other.job == run.job && other.schedule_id != run.schedule_id);
        if let Some(active) = of_the_job().find(|other| is_claimed(other)) {
            return Some(format!("run {} is active", active.id));
        }
        let earlier = |other: &&Run| (other.schedule_dts, other.schedule_id) < (run.schedule_dts, run.schedule_id);
        // One is surely not behind another only if that one is not even perhaps to come first, and the other way round.
        let others = if seen == Seen::Surely { Seen::Perhaps } else { Seen::Surely };
        let comes_first = |other: &&Run| self.blocked(other, others).is_none() && self.somebody_may(other, others);
        let first = of_the_job().filter(earlier).find(comes_first);
        first.map(|first| format!("run {} comes first", first.id))
    }

    /// Returns whether a run is announced: to its pinned worker only if that answers, to others also if none answers.
    fn somebody_may(&self, run: &Run, seen: Seen) -> bool {
        let answers = |hand: &Hand| match self.answers(hand) {
            Answers::Yes => true,
            Answers::Perhaps => seen == Seen::Perhaps,
            Answers::No => false,
        };
        self.hands.iter().any(|hand| self.may(run, hand) && (run.worker.is_none() || answers(hand)))
    }

    /// Returns whether a run may be announced to a worker, whether it answers or not.
    pub fn may(&self, run: &Run, hand: &Hand) -> bool {
        match run.worker {
            Some(pinned) => pinned == hand.id && (hand.enabled || run.is_manual),
            None => hand.enabled && hand.pools.contains(&self.jobs[&run.job].pool),
        }
    }

    /// Returns the workers that surely may take a run now, and have a free slot beside those that they keep.
    pub fn takers(&self, run: &Run, kept: impl Fn(WorkerId) -> usize) -> Vec<WorkerId> {
        let job = &self.jobs[&run.job];
        if job.run_on_all_workers && run.worker.is_none() || self.blocked(run, Seen::Surely).is_some() {
            return Vec::new();
        }
        let surely = |hand: &&Hand| self.may(run, hand) && self.answers(hand) == Answers::Yes;
        let free = |hand: &&Hand| run.worker.is_some() || self.load(hand.id) + kept(hand.id) < hand.slots as usize;
        self.hands.iter().filter(surely).filter(free).map(|hand| hand.id).collect()
    }

    /// Checks an announcement of a run to a worker.
    pub fn check_announcement(&self, run: RunId, worker: WorkerId) -> Result<(), String> {
        let Some(found) = self.open.iter().find(|open| open.id == run) else {
            return Err(format!("worker {worker} was told of run {run}, which is over or gone"));
        };
        let hand = self.hand(worker);
        let blocked = self.blocked(found, Seen::Perhaps);
        let why = blocked.or_else(|| (!self.may(found, hand)).then(|| "it is not for that worker".to_owned()));
        let others = || self.hands.iter().any(|other| self.may(found, other) && self.answers(other) == Answers::Yes);
        let silent = || (self.answers(hand) == Answers::No && others()).then(|| "that worker is silent".to_owned());
        match why.or_else(silent) {
            Some(why) => Err(format!("worker {worker} was told of run {run}, but {why}")),
            None => Ok(()),
        }
    }

    /// Checks what must never be, at any moment.
    pub fn check(&self) -> Result<(), String> {
        for run in self.open.iter().filter(|run| is_claimed(run)) {
            let job = &self.jobs[&run.job];
            let same = |other: &&Run| other.job == run.job && other.schedule_id != run.schedule_id && is_claimed(other);
            if let (true, Some(other)) = (job.concurrency != Concurrency::Allow, self.open.iter().find(same)) {
                return Err(format!("runs {} and {} of job {} are active together", run.id, other.id, job.id));
            }
            if let Some(worker) = run.worker
                && self.answers(self.hand(worker)) == Answers::No
            {
                return Err(format!("run {} is still with worker {worker}, which is lost", run.id));
            }
        }
        Ok(())
    }
}

pub(super) fn is_claimed(run: &Run) -> bool {
    run.enqueue_dts.is_some() && run.return_dts.is_none()
}
