//! What is going to happen to server and workers, drawn from a seed before anything happens.

use std::path::Path;
use std::time::Duration;

use fastrand::Rng;

use super::corpus::Hostile;

/// A job that is due every few seconds.
#[derive(Clone, Debug)]
pub struct PlannedJob {
    pub script: Hostile,
    /// From one time to the next, in seconds.
    pub step: u32,
    pub concurrency: &'static str,
}

/// Something that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    KillServer,
    KillWorker(usize),
    KillEverybody,
    /// The server is asked to leave, and comes back.
    RestartServer,
    /// The worker hands over to another.
    HandOver(usize),
    /// The worker stands still for a moment.
    Freeze(usize),
    FullDisk,
    /// Somebody holds so many connections open and says half a request on each.
    HoldConnections(usize),
}

/// How a worker's clock is wrong, in hours.
pub const SKEWS: [i32; 3] = [0, 1, -1];

/// The generators of one campaign, each with a stream of its own.
pub struct Plan {
    pub jobs: Vec<PlannedJob>,
    pub scripts: Vec<Hostile>,
    acts: Rng,
    skews: Rng,
}

impl Plan {
    /// So many scripts that are handed over, and jobs beside them.
    pub fn new(seed: u64, runs: usize, jobs: usize, folder: &Path) -> Self {
        let mut root = Rng::with_seed(seed);
        let (mut drawing, acts, skews) = (root.fork(), root.fork(), root.fork());
        let concurrency = ["wait", "allow", "skip"];
        let job = |drawing: &mut Rng| PlannedJob {
            script: Hostile::draw_short(drawing, folder),
            step: [2, 3, 4, 5, 6][drawing.usize(..5)],
            concurrency: concurrency[drawing.usize(..3)],
        };
        let jobs = (0..jobs).map(|_| job(&mut drawing)).collect();
        let scripts = (0..runs).map(|_| Hostile::draw(&mut drawing, folder)).collect();
        Self { jobs, scripts, acts, skews }
    }

    /// The next act, and how long is waited before it.
    pub fn turn(&mut self, workers: usize) -> (Duration, Act) {
        let rng = &mut self.acts;
        let pause = Duration::from_millis(rng.u64(200..1200));
        let worker = rng.usize(..workers);
        let act = match rng.u32(..100) {
            0..=24 => Act::KillServer,
            25..=54 => Act::KillWorker(worker),
            55..=59 => Act::KillEverybody,
            60..=64 => Act::RestartServer,
            65..=71 => Act::HandOver(worker),
            72..=76 => Act::Freeze(worker),
            77..=84 => Act::FullDisk,
            _ => Act::HoldConnections(1 + rng.usize(..200)),
        };
        (pause, act)
    }

    /// How wrong the clock of the next worker is that is started, in hours.
    pub fn skew(&mut self) -> i32 {
        SKEWS[self.skews.usize(..SKEWS.len())]
    }
}
