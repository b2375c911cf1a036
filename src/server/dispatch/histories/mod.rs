//! Random histories of the dispatcher: runs the real one over a real store, with a clock that is set, and compares it
//! with the rules of scheduling written a second time. [`rules`] has what must hold, [`Step`] what can happen.
//!
//! `JOB_RUNNER_HISTORIES` sets the number of histories, `JOB_RUNNER_HISTORIES_SEED` the first seed.

mod found;
mod reactions;
mod rules;
mod world;

use std::cell::Cell;

use chrono::DateTime;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use tokio::time::Instant;

use super::Clocks;
use crate::server::domain::model;
use crate::server::store::StoreError;
use world::World;

/// Histories that are tried by default.
const HISTORIES: u32 = 100;
/// Histories that are played twice.
const REPEATED: usize = 30;
/// Longest history, in steps.
const STEPS: usize = 25;

thread_local! {
    // Of each thread, because each plays histories of its own.
    static WALL: Cell<model::Timestamp> = const { Cell::new(DateTime::UNIX_EPOCH) };
    static NOW: Cell<Option<Instant>> = const { Cell::new(None) };
    static ASKED: Cell<u32> = const { Cell::new(0) };
    static QUESTIONS: Cell<u32> = const { Cell::new(0) };
}

/// Returns the time of the wall clock, as the history has set it.
fn wall() -> model::Timestamp {
    WALL.get()
}

/// Returns the time of the monotonic clock, as the history has reached it.
fn now() -> Instant {
    NOW.get().expect("a world has begun")
}

/// Clocks of the dispatchers of histories.
const CLOCKS: Clocks = Clocks { wall, monotonic: now };

/// Counts a query of the dispatcher to the store, and fails the chosen one.
pub(super) fn pass_question() -> Result<(), StoreError> {
    ASKED.set(ASKED.get() + 1);
    match QUESTIONS.get() {
        0 => Ok(()),
        left => {
            QUESTIONS.set(left - 1);
            if left == 1 { Err(StoreError::Changed) } else { Ok(()) }
        }
    }
}

/// Event in a history. Numbers select modulo how many there are.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A run of a job is created that is due now.
    Due(u8),
    /// A run of a job is created that is due in some seconds.
    Later(u8, u8),
    /// A job is run by hand.
    RunNow(u8),
    /// A job is run by hand on one worker.
    Pinned(u8, u8),
    /// Time passes, in seconds.
    Wait(u8),
    /// A worker claims the first run that was announced to it.
    Claim(u8),
    /// A worker loses the announcements that it has not followed yet.
    AnnounceLost(u8),
    /// A worker starts the script of a run that it has claimed.
    Start(u8),
    /// A worker returns a run that it has claimed.
    Return(u8, bool),
    /// A worker gives a run back.
    GiveBack(u8),
    /// A worker takes the kill requests that it was sent.
    TakeKills(u8),
    /// An operator ends a run: cancels or kills it.
    End(u8),
    /// A job is disabled or enabled.
    Enable(u8, bool),
    /// A worker is disabled or enabled.
    EnableWorker(u8, bool),
    /// A job moves to a pool.
    Move(u8, u8),
    /// A job gets another schedule.
    Reschedule(u8, u8),
    /// A worker falls silent.
    Silent(u8),
    /// A worker answers again.
    Back(u8),
    /// A query of the dispatcher to the store fails: so many queries from now.
    StoreError(u8),
    /// The dispatcher misses changes.
    MissNews,
    /// The server is killed and starts again.
    Restart,
    /// The wall clock is set, by some minutes.
    Turn(i8),
}

fn step() -> impl Strategy<Value = Step> {
    use Step::*;
    let job = 0..world::JOBS;
    let worker = 0..4_u8;
    let all = prop_oneof![
        6 => job.clone().prop_map(Due),
        1 => (job.clone(), 1..120_u8).prop_map(|(job, seconds)| Later(job, seconds)),
        3 => job.clone().prop_map(RunNow),
        2 => (job.clone(), worker.clone()).prop_map(|(job, worker)| Pinned(job, worker)),
        8 => prop_oneof![4 => 1..7_u8, 2 => 10..40_u8, 1 => 40..90_u8].prop_map(Wait),
        8 => worker.clone().prop_map(Claim),
        2 => worker.clone().prop_map(AnnounceLost),
        3 => worker.clone().prop_map(Start),
        6 => (worker.clone(), any::<bool>()).prop_map(|(worker, success)| Return(worker, success)),
        1 => worker.clone().prop_map(GiveBack),
        2 => worker.clone().prop_map(TakeKills),
        4 => (0..8_u8).prop_map(End),
    ];
    let circumstances = prop_oneof![
        2 => (job.clone(), any::<bool>()).prop_map(|(job, enabled)| Enable(job, enabled)),
        1 => (worker.clone(), any::<bool>()).prop_map(|(worker, enabled)| EnableWorker(worker, enabled)),
        1 => (job.clone(), 0..2_u8).prop_map(|(job, pool)| Move(job, pool)),
        1 => (job, 0..4_u8).prop_map(|(job, schedule)| Reschedule(job, schedule)),
        2 => worker.clone().prop_map(Silent),
        2 => worker.prop_map(Back),
        1 => (1..40_u8).prop_map(StoreError),
        1 => Just(MissNews),
        1 => Just(Restart),
        1 => (-60..60_i8).prop_map(Turn),
    ];
    prop_oneof![4 => all, 1 => circumstances]
}

/// Histories, each with the number of its workers.
fn histories() -> impl Strategy<Value = (u8, Vec<Step>)> {
    (2..5_u8, proptest::collection::vec(step(), 1..STEPS))
}

fn number(name: &str) -> Option<u32> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text}")))
}

#[test]
fn whatever_happens_every_run_that_may_run_is_told_and_every_schedule_goes_on() {
    let all = number("JOB_RUNNER_HISTORIES").unwrap_or(HISTORIES);
    let begin = number("JOB_RUNNER_HISTORIES_SEED").unwrap_or(0);
    // A world uses thread-local clocks, so each thread tries its own part of the seeds.
    let threads = std::thread::available_parallelism().map_or(1, |threads| u32::try_from(threads.get()).unwrap_or(1));
    std::thread::scope(|scope| {
        let tried = (0..threads).map(|thread| scope.spawn(move || try_some(all.div_ceil(threads), begin + thread)));
        for tried in tried.collect::<Vec<_>>() {
            if let Err(e) = tried.join().expect("no panic") {
                panic!("{e}");
            }
        }
    });
}

/// A failure that depends on anything but the history cannot be looked into.
#[test]
fn a_history_that_is_repeated_is_the_same_to_every_query_and_order() {
    let stand = Stand::new();
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]));
    let mut observed = 0;
    for _ in 0..REPEATED {
        let (workers, steps) = histories().new_tree(&mut runner).unwrap().current();
        let live = || {
            stand.runtime.block_on(async {
                let mut world = World::begin(&stand.blank, workers).await;
                let lived = world.live(&steps).await;
                (lived, world.observed().to_vec())
            })
        };
        let (first, again) = (live(), live());
        assert_eq!(first, again, "{steps:?}");
        observed += first.1.len();
    }
    assert!(observed > 50 * REPEATED, "little happens: {observed}");
}

/// Tries so many histories of a seed; shrinks one that fails.
fn try_some(cases: u32, number: u32) -> Result<(), String> {
    // A history that fails is printed, and becomes a test in `found` by hand.
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 2000, ..Config::default() };
    let mut seed = [7; 32];
    seed[..4].copy_from_slice(&number.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    let stand = Stand::new();
    let (tried, failed) = (Cell::new(0), Cell::new(false));
    let lived = runner.run(&histories(), |(workers, steps)| {
        // What comes after the first failure are its shortened forms.
        tried.set(tried.get() + u32::from(!failed.get()));
        stand.live(workers, &steps).map_err(|e| {
            failed.set(true);
            TestCaseError::fail(e)
        })
    });
    lived.map_err(|e| format!("seed {number}, history {}: {e}", tried.get()))
}

/// Runtime and store that the histories of a thread share.
struct Stand {
    runtime: tokio::runtime::Runtime,
    blank: world::Blank,
}

impl Stand {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let blank = runtime.block_on(world::blank());
        Self { runtime, blank }
    }

    fn live(&self, workers: u8, steps: &[Step]) -> Result<(), String> {
        self.runtime.block_on(async {
            let mut world = World::begin(&self.blank, workers).await;
            world.live(steps).await
        })
    }
}

/// Time of the wall clock at which histories begin.
fn begin() -> model::Timestamp {
    DateTime::from_timestamp(1_780_000_000, 0).unwrap()
}
