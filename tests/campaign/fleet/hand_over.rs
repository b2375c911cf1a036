//! Those who hand scripts over, at a steady rate and each until it is accepted.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::server::stage::Operator;

/// How many hand over at once.
const HANDS: usize = 16;
/// How long is waited before a script is handed over again.
const AGAIN: Duration = Duration::from_millis(250);

/// What is handed over.
#[derive(Clone, Debug)]
pub struct Load {
    pub script: String,
    /// How many scripts in a second.
    pub rate: u64,
    /// How many in all.
    pub runs: usize,
    /// Whether each hand-over has a title of its own; else some share one, as scripts do that are handed over often.
    pub has_own_titles: bool,
}

/// What became of it.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Runs that were accepted, as was answered.
    pub accepted: BTreeSet<i64>,
    /// Titles of hand-overs that had no answer: they may have been accepted or not.
    pub unanswered: Vec<String>,
    /// Titles of those that were refused, since a server or the database was away.
    pub refused: Vec<String>,
    /// When one was accepted last.
    pub last: Option<Instant>,
}

/// Those who hand over. They end when all is accepted, or when they are told to.
pub struct Hands {
    outcome: Arc<Mutex<Outcome>>,
    stop: Arc<AtomicBool>,
    hands: Vec<JoinHandle<()>>,
}

/// Of how many titles one is, where hand-overs share them.
const TITLES: usize = 64;

impl Hands {
    pub fn begin(to: SocketAddr, token: &str, load: &Load) -> Self {
        let (outcome, stop, next) = (Arc::default(), Arc::default(), Arc::new(AtomicUsize::new(0)));
        // Each takes its turn, so that the rate of all together is steady.
        let turn = Duration::from_secs_f64(1.0 / load.rate as f64);
        let begin = Instant::now();
        let hand = |nth: usize| Hand {
            operator: Operator { to, token: token.to_owned() },
            load: load.clone(),
            begin: begin + turn * u32::try_from(nth).expect("few hands"),
            pace: turn * u32::try_from(HANDS).expect("few hands"),
            outcome: Arc::clone(&outcome),
            stop: Arc::clone(&stop),
            next: Arc::clone(&next),
        };
        let hands = (0..HANDS).map(hand).map(|hand| thread::spawn(move || hand.work())).collect();
        Self { outcome, stop, hands }
    }

    /// Whether all is handed over.
    pub fn are_done(&self) -> bool {
        self.hands.iter().all(JoinHandle::is_finished)
    }

    /// Tells them to hand over nothing more.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    pub fn accepted(&self) -> usize {
        self.outcome.lock().unwrap().accepted.len()
    }

    /// What became of it so far.
    pub fn outcome(&self) -> Outcome {
        self.outcome.lock().unwrap().clone()
    }
}

struct Hand {
    operator: Operator,
    load: Load,
    begin: Instant,
    pace: Duration,
    outcome: Arc<Mutex<Outcome>>,
    stop: Arc<AtomicBool>,
    next: Arc<AtomicUsize>,
}

impl Hand {
    fn work(&self) {
        let mut turn = self.begin;
        loop {
            pause_until(turn);
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.load.runs || !self.hand_over(number) {
                return;
            }
            // What was held up is not made up for: the rate is steady.
            turn = (turn + self.pace).max(Instant::now());
        }
    }

    /// Hands one over until it is accepted. `false` if it was told to stop.
    fn hand_over(&self, number: usize) -> bool {
        for attempt in 1.. {
            if self.stop.load(Ordering::Relaxed) {
                return false;
            }
            let title = self.title(number, attempt);
            let new = json!({"title": title, "script": self.load.script});
            let answer = self.operator.ask("POST", "/operator/v1/runs", Some(&new));
            let mut outcome = self.outcome.lock().unwrap();
            match answer {
                Some((201, run)) => {
                    outcome.accepted.insert(run["id"].as_i64().expect("a run has an id"));
                    outcome.last = Some(Instant::now());
                    return true;
                }
                Some(_) => outcome.refused.push(title),
                None => outcome.unanswered.push(title),
            }
            drop(outcome);
            pause_until(Instant::now() + AGAIN);
        }
        unreachable!("it is handed over until it is accepted")
    }

    fn title(&self, number: usize, attempt: u32) -> String {
        if self.load.has_own_titles {
            format!("hand-over {number}, attempt {attempt}")
        } else {
            format!("hand-over {}", number % TITLES)
        }
    }
}

/// Waits for nothing but the time.
fn pause_until(until: Instant) {
    while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        thread::park_timeout(left);
    }
}
