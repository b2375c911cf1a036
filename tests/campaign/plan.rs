//! What is going to happen, drawn from a seed before anything happens.

use std::time::Duration;

use fastrand::Rng;
use jobrunner::crash_point::{LAST_PASSING, Point};

use super::refusal::Refused;

/// A run to be made.
#[derive(Clone, Debug)]
pub struct PlannedRun {
    pub shape: Shape,
    pub kill: Option<KillTime>,
    pub delivery: Delivery,
    /// The server denies it once, with this status.
    pub disowned: Option<u16>,
    /// What the API says is its pid, though nobody should care.
    pub false_pid: FalsePid,
    /// What is told of it is rejected, again and again.
    pub refused: Option<Refused>,
}

/// What its script does, beside the marks and the flock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// So many lines, with a pause of so many milliseconds behind each.
    Lines(u32, u32),
    /// More lines than a log may hold, at once.
    Long,
    /// A tree that ignores TERM and leaves its session; it lasts until it is killed.
    Family,
    /// Leaves a daemon behind that holds its output.
    Daemon,
    /// Prints its environment.
    Environment,
}

/// When a kill is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KillTime {
    /// With the announcement of the run.
    Early,
    /// As soon as its script says that it began.
    Begun,
    /// When it has run for some time.
    Later,
    /// When its result was refused.
    Refused,
}

/// How a run is announced, beside the periodic announcement of what is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Once.
    Once,
    /// So many times at once.
    Repeated(usize),
    /// Behind the next run.
    Late,
    /// Not at all.
    Dropped,
}

/// See [`PlannedRun::false_pid`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FalsePid {
    No,
    Bystander,
    Zero,
    One,
    MinusOne,
}

/// Something that is done to the worker or its surroundings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    KillWorker,
    /// The worker or a shim dies at the nth passing of a point.
    Arm(Point, u32),
    KillShim,
    /// A shim dies while there is no worker.
    KillBoth,
    /// Everybody dies, and the records are of another boot.
    Reboot,
    HandOver,
    /// The worker stands still for a moment.
    Freeze,
    Reload,
    BroadcasterRestarts,
    /// The connection to the broadcaster is open, and nothing comes.
    BroadcasterFreezes,
    /// The same with the API.
    ApiFreezes,
    ApiConnectionsCut,
    ApiRefuses,
    /// Every request fails, and nobody is killed.
    Outage,
    /// The disk of the state directory is full for a moment.
    FullDisk,
    /// The worker dies, and its outbox is damaged.
    DamagedOutbox,
    /// The worker dies, and the next cannot read the lists of its runs for some time.
    ListsFail,
    /// Worker and a shim die, and another shim has the pid of the dead one when the next worker comes.
    PidUsedAgain,
    /// The worker dies, and among the records lies something that cannot be read.
    UnreadableRecord,
    /// Nobody reads what the worker says.
    StderrUnread,
}

/// An act, and what is waited for before it: so many further calls to the API, or this long.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    pub after_calls: usize,
    pub at_most: Duration,
    pub act: Act,
}

/// The generators of one campaign. Each has its own stream, so that one that is asked more often does not change
/// what another draws.
pub struct Plan {
    pub runs: Vec<PlannedRun>,
    acts: Rng,
    pub weather: Rng,
    pub noise: Rng,
}

impl Plan {
    pub fn new(seed: u64, runs: usize) -> Self {
        let mut root = Rng::with_seed(seed);
        let (mut drawing, acts, weather, noise) = (root.fork(), root.fork(), root.fork(), root.fork());
        Self { runs: (0..runs).map(|_| planned_run(&mut drawing)).collect(), acts, weather, noise }
    }

    /// As new, with runs that an unprotected worker survives: they say lines, end by themselves, and nobody denies them.
    pub fn plain(seed: u64, runs: usize) -> Self {
        let mut plan = Self::new(seed, runs);
        for run in &mut plan.runs {
            let shape = Shape::Lines(3, plan.acts.u32(100..700));
            let plain = PlannedRun { shape, kill: None, disowned: None, refused: None, ..run.clone() };
            *run = PlannedRun { false_pid: FalsePid::No, ..plain };
        }
        plan
    }

    /// A number from its stream of acts.
    pub fn number(&mut self, range: std::ops::Range<u64>) -> u64 {
        self.acts.u64(range)
    }

    /// The next act.
    pub fn turn(&mut self) -> Turn {
        let rng = &mut self.acts;
        let after_calls = 1 + rng.usize(..8);
        let at_most = Duration::from_millis(rng.u64(100..500));
        let act = match rng.u32(..100) {
            0..=35 => Act::KillWorker,
            36..=38 => Act::ListsFail,
            39..=42 => Act::PidUsedAgain,
            43 => Act::UnreadableRecord,
            44 => Act::StderrUnread,
            45..=64 => {
                Act::Arm(Point::OF_WORKER[rng.usize(..Point::OF_WORKER.len())], 1 + rng.u32(..3).min(LAST_PASSING))
            }
            65..=75 => Act::KillShim,
            76..=79 => Act::KillBoth,
            80..=86 => Act::HandOver,
            87 => Act::Freeze,
            88 => Act::Reload,
            89..=90 => Act::BroadcasterRestarts,
            91 => Act::BroadcasterFreezes,
            92 => Act::ApiFreezes,
            93..=94 => Act::ApiConnectionsCut,
            95 => Act::ApiRefuses,
            96 => Act::Outage,
            97 => Act::FullDisk,
            98 => Act::DamagedOutbox,
            _ => Act::Reboot,
        };
        Turn { after_calls, at_most, act }
    }
}

fn planned_run(rng: &mut Rng) -> PlannedRun {
    let shape = match rng.u32(..100) {
        0..=73 => Shape::Lines(1 + rng.u32(..6), rng.u32(10..260)),
        74..=79 => Shape::Long,
        80..=86 => Shape::Daemon,
        87..=90 => Shape::Environment,
        _ => Shape::Family,
    };
    let time = [KillTime::Early, KillTime::Begun, KillTime::Later][rng.usize(..3)];
    let kill = match shape {
        Shape::Family => Some(if time == KillTime::Early { KillTime::Begun } else { time }),
        Shape::Lines(..) if rng.u32(..100) < 4 => Some(time),
        _ => None,
    };
    let delivery = match rng.u32(..100) {
        0..=29 => Delivery::Once,
        30..=69 => Delivery::Repeated(2 + rng.usize(..4)),
        70..=84 => Delivery::Late,
        _ => Delivery::Dropped,
    };
    let disowned = (rng.u32(..100) < 3 && shape != Shape::Family).then(|| [401, 403, 404, 409][rng.usize(..4)]);
    let false_pid = match rng.u32(..20) {
        0 => FalsePid::Bystander,
        1 => FalsePid::Zero,
        2 => FalsePid::One,
        3 => FalsePid::MinusOne,
        _ => FalsePid::No,
    };
    let run = PlannedRun { shape, kill, delivery, disowned, false_pid, refused: None };
    if disowned.is_some() { run } else { perhaps_refused(rng, run) }
}

fn perhaps_refused(rng: &mut Rng, run: PlannedRun) -> PlannedRun {
    let times = 4 + rng.u32(..4);
    match (rng.u32(..100), run.shape) {
        // Long enough for more than one update.
        (0..=4, Shape::Lines(..)) if run.kill.is_none() => {
            PlannedRun { shape: Shape::Lines(12, 250), refused: Some(Refused::LiveLog), ..run }
        }
        (5..=10, Shape::Lines(..)) => PlannedRun { refused: Some(Refused::Result(times)), ..run },
        (11..=14, Shape::Lines(..)) => PlannedRun { refused: Some(Refused::Everything(u64::from(times) * 700)), ..run },
        (0..=29, Shape::Daemon) => {
            PlannedRun { kill: Some(KillTime::Refused), refused: Some(Refused::Result(times)), ..run }
        }
        _ => run,
    }
}
