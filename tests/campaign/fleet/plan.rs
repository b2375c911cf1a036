//! What is going to happen to the servers, drawn from a seed before anything happens.

use std::time::Duration;

use fastrand::Rng;
use jobrunner::crash_point::Point;

/// How much earlier or later than in even steps a server is killed, in milliseconds: at any time of a second.
const UNEVEN: i64 = 2000;

/// The points of a group of changes.
const POINTS: [Point; 3] = [Point::GroupNext, Point::GroupCommitted, Point::GroupAnswered];

/// A job that is due every few seconds.
#[derive(Clone, Debug)]
pub struct PlannedJob {
    /// From one time to the next, in seconds; it divides a minute.
    pub step: u32,
    /// At which second of a step it is due.
    pub phase: u32,
    pub concurrency: &'static str,
}

impl PlannedJob {
    /// Its times, as a cron expression.
    pub fn cron(&self) -> String {
        let seconds = (self.phase..60).step_by(self.step as usize).map(|second| second.to_string());
        format!("{} * * * * *", seconds.collect::<Vec<_>>().join(","))
    }
}

/// How a server dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// Wherever it is.
    AtRandom,
    /// At a named point, at one of the next passages.
    AtPoint(Point, u32),
}

/// The next kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kill {
    /// From the last one.
    pub after: Duration,
    /// Which server, unless it is the one that dispatches.
    pub server: usize,
    pub death: Death,
}

/// What will happen.
pub struct Plan {
    pub jobs: Vec<PlannedJob>,
    kills: Rng,
}

impl Plan {
    /// Jobs that are due often, some of which wait for themselves or pass times over.
    pub fn of_faults(seed: u64, jobs: usize) -> Self {
        let mut root = Rng::with_seed(seed);
        let (mut drawing, kills) = (root.fork(), root.fork());
        let job = |drawing: &mut Rng| {
            let step = [1, 2, 3, 4, 5][drawing.usize(..5)];
            let concurrency = ["wait", "allow", "skip"][drawing.usize(..3)];
            PlannedJob { step, phase: drawing.u32(..step), concurrency }
        };
        Self { jobs: (0..jobs).map(|_| job(&mut drawing)).collect(), kills }
    }

    /// Jobs of which none is due twice while a server is replaced, and some at each second: each time must have its run.
    pub fn of_kills(seed: u64, jobs: usize) -> Self {
        const STEP: u32 = 10;
        let mut root = Rng::with_seed(seed);
        let (_, kills) = (root.fork(), root.fork());
        let phases = (0..STEP).cycle().take(jobs);
        let job = |phase| PlannedJob { step: STEP, phase, concurrency: "allow" };
        Self { jobs: phases.map(job).collect(), kills }
    }

    /// The next kill, of one of so many servers.
    pub fn next_kill(&mut self, servers: usize, every: Duration) -> Kill {
        let rng = &mut self.kills;
        let uneven = UNEVEN.min(i64::try_from(every.as_millis() / 2).unwrap_or(UNEVEN));
        let after = every.as_millis().cast_signed() as i64 + rng.i64(-uneven..=uneven);
        let server = rng.usize(..servers);
        let death = match rng.usize(..2) {
            0 => Death::AtRandom,
            _ => Death::AtPoint(POINTS[rng.usize(..POINTS.len())], 1 + rng.u32(..4)),
        };
        Kill { after: Duration::from_millis(after.unsigned_abs()), server, death }
    }
}
