//! What the API does to requests: nothing, mostly.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::refusal::{Refusal, Refused};
use super::stage::Stage;
use super::support::{Call, What};

/// How many of a hundred requests are disturbed.
const DISTURBED: u32 = 12;
/// How many of a thousand begin a burst, in which every request is.
const BURSTS: u32 = 4;

/// Of one campaign. Cheap to clone.
#[derive(Clone)]
pub struct Weather(Arc<Mutex<State>>);

struct State {
    rng: Rng,
    is_calm: bool,
    /// Until when every request fails alike, and how.
    burst: Option<(Instant, usize)>,
    /// Since when nothing but failures are answered, for as long as somebody watches that.
    outage: Option<(Instant, Vec<(f64, String)>)>,
    /// Runs that are still to be denied, with the status.
    to_disown: BTreeMap<i64, u16>,
    /// Runs of which one write was rejected.
    rejected: BTreeSet<i64>,
    /// What is rejected again and again.
    refused: BTreeMap<i64, Refusal>,
    /// Until when the lists of runs cannot be read.
    no_lists: Option<Instant>,
}

impl Weather {
    pub fn new(rng: Rng) -> Self {
        Self(Arc::new(Mutex::new(State {
            rng,
            is_calm: false,
            burst: None,
            outage: None,
            to_disown: BTreeMap::new(),
            rejected: BTreeSet::new(),
            refused: BTreeMap::new(),
            no_lists: None,
        })))
    }

    /// The run with this number is to be denied once.
    pub fn disown(&self, run: i64, status: u16) {
        self.state().to_disown.insert(run, status);
    }

    /// What is told of the run with this number, whose log comes to so many lines, is to be rejected.
    pub fn refuse(&self, run: i64, what: Refused, lines: u32) {
        self.state().refused.insert(run, Refusal::new(what, lines));
    }

    /// The lists of runs cannot be read for so long.
    pub fn fail_lists(&self, time: Duration) {
        self.state().no_lists = Some(Instant::now() + time);
    }

    /// No faults from now on.
    pub fn calm(&self) {
        let mut state = self.state();
        state.is_calm = true;
        state.burst = None;
    }

    /// Every request fails, and is noted, until [`Weather::end_outage`].
    pub fn begin_outage(&self) {
        self.state().outage = Some((Instant::now(), Vec::new()));
    }

    /// When each request of the outage came, in seconds, and its path.
    pub fn end_outage(&self) -> Vec<(f64, String)> {
        self.state().outage.take().map(|(_, requests)| requests).unwrap_or_default()
    }

    /// What becomes of a call.
    pub fn on(&self, stage: &Stage, call: &Call) -> Option<What> {
        let mut state = self.state();
        let (name, what) = state.draw(stage, call)?;
        stage.count(format!("API: {name}"));
        Some(what)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

type Drawn = Option<(&'static str, What)>;

impl State {
    fn draw(&mut self, stage: &Stage, call: &Call) -> Drawn {
        if let Some((since, requests)) = &mut self.outage {
            requests.push((since.elapsed().as_secs_f64(), call.path.clone()));
            return Some(("503 in an outage", What::status(503)));
        }
        if self.is_calm {
            return None;
        }
        if let Some(run) = run_of(call)
            && let Some(status) = self.to_disown.get(&run).copied()
            // At any of its calls.
            && self.rng.u32(..6) == 0
        {
            self.to_disown.remove(&run);
            stage.seen().disowned.insert(run);
            return Some(("run disowned", What::status(status)));
        }
        if self.no_lists.is_some_and(|until| Instant::now() < until) && is_list_of_runs(call) {
            return Some(("list that cannot be read", What::status(500)));
        }
        if let Some(run) = told_run(stage, call)
            && let Some(refusal) = self.refused.get_mut(&run)
            && refusal.catches(call, run)
        {
            if call.sets("return_dts") {
                stage.seen().results_refused.insert(run);
            }
            if refusal.is_of_everything() {
                stage.seen().refused.insert(run);
            }
            return Some(("400, again and again", What::status(400)));
        }
        match self.burst {
            Some((until, kind)) if Instant::now() < until => return Some(passing(kind, &mut self.rng)),
            Some(_) => self.burst = None,
            None => {}
        }
        if self.rng.u32(..1000) < BURSTS {
            let length = Duration::from_millis(self.rng.u64(200..1500));
            self.burst = Some((Instant::now() + length, self.rng.usize(..PASSING)));
        }
        if self.rng.u32(..100) >= DISTURBED {
            return None;
        }
        if self.rng.u32(..3) == 0 {
            match (call.method.as_str(), run_of(call)) {
                ("GET", _) => return Some(misread(call, self.rng.usize(..MISREAD))),
                // What is told of a kill is told once, and given up when it is rejected.
                (_, Some(run)) if self.rejected.insert(run) => {
                    if let Some(refusal) = self.refused.get_mut(&run) {
                        refusal.is_rejected_anyhow(call);
                    }
                    return Some(self.rejection(stage, call, run));
                }
                _ => {}
            }
        }
        let kind = self.rng.usize(..PASSING);
        Some(passing(kind, &mut self.rng))
    }

    fn rejection(&mut self, stage: &Stage, call: &Call, run: i64) -> (&'static str, What) {
        match self.rng.usize(..4) {
            0 => ("400", What::status(400)),
            1 => ("422", What::status(422)),
            2 if call.path.contains("/run_log/") => {
                stage.seen().logs_refused.insert(run);
                ("413", What::status(413))
            }
            _ => ("302 of a write", What::Redirect(302, "/elsewhere/".to_owned())),
        }
    }
}

/// Which run a call is about.
fn run_of(call: &Call) -> Option<i64> {
    let id = |path: &str| path.strip_prefix("/api/v1/run/")?.strip_suffix('/')?.parse().ok();
    id(&call.path).or_else(|| id(call.body.get("run")?.as_str()?))
}

/// Which run a write tells something of.
fn told_run(stage: &Stage, call: &Call) -> Option<i64> {
    if call.method == "GET" {
        return None;
    }
    let log = || {
        let log: i64 = call.path.strip_prefix("/api/v1/run_log/")?.strip_suffix('/')?.parse().ok()?;
        stage.server.look(|state| state.log_runs.get(&log).copied())
    };
    run_of(call).or_else(log)
}

fn is_list_of_runs(call: &Call) -> bool {
    call.method == "GET" && call.path == "/api/v1/run/"
}

/// How many kinds [`passing`] knows.
const PASSING: usize = 17;

/// Failures after which the same request may succeed. Many of them after it did.
fn passing(kind: usize, rng: &mut Rng) -> (&'static str, What) {
    let wait = |status, after: &str| What::status_with(status, "Retry-After", after);
    let moment = Duration::from_millis(rng.u64(1..600));
    match kind {
        0 => ("500", What::status(500)),
        1 => ("502", What::status(502)),
        2 => ("503", What::status(503)),
        3 => ("504", What::status(504)),
        4 => ("500 after commit", What::status_after_commit(500)),
        5 => ("502 after commit", What::status_after_commit(502)),
        6 => ("504 after commit", What::status_after_commit(504)),
        7 => ("429 with Retry-After", wait(429, "1")),
        8 => ("503 with a senseless Retry-After", wait(503, "soon")),
        9 => ("delay", What::Delay(moment)),
        10 => ("delay after commit", What::DelayAfterCommit(moment)),
        11 => ("hang", What::HangForever),
        12 => ("hang after commit", What::HangAfterCommit),
        13 => ("reset", What::ResetBefore),
        14 => ("reset after commit", What::ResetAfterCommit),
        15 => ("cut short", What::Truncate),
        _ => ("web page", What::html()),
    }
}

/// How many kinds [`misread`] knows.
const MISREAD: usize = 9;

/// Answers to a read that make no sense.
fn misread(call: &Call, kind: usize) -> (&'static str, What) {
    let json = |text: &str| What::Garbage(text.as_bytes().to_vec(), "application/json".to_owned());
    match kind {
        0 => ("empty answer", json("")),
        1 => ("null", json("null")),
        2 => ("half an answer", json(r#"{"id": 1, "resou"#)),
        // A job without a script is one that fails.
        3 if !call.path.contains("/job/") => {
            ("wrong types", json(r#"{"id": "x", "enqueue_dts": [], "objects": 7, "meta": 1}"#))
        }
        3 | 4 => ("no UTF-8", What::Garbage(vec![0xff, 0xfe, 0, 1], "application/json".to_owned())),
        5 => ("a list", json("[1, 2, 3]")),
        6 => ("slow body", What::SlowBody(64, Duration::from_millis(2))),
        7 => ("redirect elsewhere", What::Redirect(301, "http://127.0.0.1:9/".to_owned())),
        _ => ("deep nesting", json(&"[".repeat(5000))),
    }
}
