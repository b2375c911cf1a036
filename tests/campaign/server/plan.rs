//! What is going to happen to server and workers, drawn from a seed before anything happens.

use std::path::Path;
use std::time::Duration;

use fastrand::Rng;
use jobrunner::crash_point::Point;

use super::corpus::Hostile;
use super::templates;

/// A job that is due every few seconds.
#[derive(Clone, Debug)]
pub struct PlannedJob {
    pub script: Hostile,
    /// What is around it.
    pub template: String,
    /// From one time to the next, in seconds.
    pub step: u32,
    pub concurrency: &'static str,
}

/// Something that is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    KillServer,
    /// The server dies at a named point, at one of the next passages.
    CrashServer(Point, u32),
    KillWorker(usize),
    KillEverybody,
    /// The server is asked to leave, and comes back.
    RestartServer,
    /// The worker hands over to another.
    HandOver(usize),
    /// The worker stands still for a moment.
    Freeze(usize),
    FullDisk,
    /// The server's clock is set forward by so many seconds, or back.
    SetClock(i64),
    /// A template is sent that must be refused.
    BadTemplate(String),
    /// Somebody holds so many connections open for so many seconds, and says half of something on each.
    HoldConnections(usize, u64),
}

/// By how much the server's clock is set: by an hour, or by as little as a wrong clock is put right.
fn step(rng: &mut Rng) -> i64 {
    match rng.u32(..10) {
        0..=3 => 3600,
        4..=5 => -3600,
        6..=7 => rng.i64(60..120),
        _ => -rng.i64(5..30),
    }
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
            template: templates::good(drawing),
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
            0..=12 => Act::KillServer,
            13..=24 => Act::CrashServer(Point::OF_SERVER[rng.usize(..Point::OF_SERVER.len())], 1 + rng.u32(..4)),
            25..=54 => Act::KillWorker(worker),
            55..=59 => Act::KillEverybody,
            60..=64 => Act::RestartServer,
            65..=71 => Act::HandOver(worker),
            72..=76 => Act::Freeze(worker),
            77..=82 => Act::FullDisk,
            83..=88 => Act::SetClock(step(rng)),
            89..=92 => Act::BadTemplate(templates::bad(rng)),
            _ => Act::HoldConnections(1 + rng.usize(..400), rng.u64(1..20)),
        };
        (pause, act)
    }

    /// How wrong the clock of the next worker is that is started, in hours.
    pub fn skew(&mut self) -> i32 {
        SKEWS[self.skews.usize(..SKEWS.len())]
    }
}
