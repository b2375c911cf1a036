//! I12: how hard a failing API is pressed.

use std::collections::BTreeMap;

use super::Violation;
use super::history::History;

/// The window that requests are counted in, in seconds.
const WINDOW: f64 = 2.0;
/// How many requests a second of one run, averaged over the window.
const OF_ONE: f64 = 2.0;
/// How many a second in all.
const OF_ALL: f64 = 10.0;
/// How long behind the first call others are made before any of them has failed, in seconds.
const UNWARNED: f64 = 0.2;

/// How many calls that had their turn before may arrive late: one of each slot.
const LATE: usize = 8;
/// Where a run is.
const RUNS: &str = "/api/v1/run/";

/// I12.
pub fn a_failing_api_is_not_pressed(history: &History) -> Vec<Violation> {
    let mut found = Vec::new();
    for outage in &history.outages {
        let warned = outage.requests.first().map_or(0.0, |(at, _)| at + UNWARNED);
        let all: Vec<f64> = outage.requests.iter().map(|(at, _)| *at).filter(|at| *at > warned).collect();
        check("the API", &all, OF_ALL, LATE, &mut found);
        let mut of_run: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        let of_runs = |(_, path): &&(f64, String)| path.strip_prefix(RUNS).is_some_and(|run| run.len() > 1);
        for (at, path) in outage.requests.iter().filter(of_runs) {
            of_run.entry(path).or_default().push(*at);
        }
        for (path, times) in of_run {
            check(path, &times, OF_ONE, 2, &mut found);
        }
    }
    found
}

fn check(what: &str, times: &[f64], rate: f64, extra: usize, found: &mut Vec<Violation>) {
    let most = times.iter().map(|from| times.iter().filter(|at| (*from..*from + WINDOW).contains(at)).count()).max();
    let allowed = rate * WINDOW + extra as f64;
    if let Some(most) = most.filter(|most| *most as f64 > allowed) {
        let what = format!("{what} failed and got {most} requests within {WINDOW} s: {times:.2?}");
        found.push(Violation::new(12, what));
    }
}
