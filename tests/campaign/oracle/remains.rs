//! I8, I9, I10: what is left, how the worker grows, where its secret is.

use super::Violation;
use super::history::History;

/// What a worker may grow by over a thousand runs, in KiB.
const GROWTH_KIB: u64 = 1024;
/// What it may grow by anyhow: buffers that are needed once, in KiB.
const ONCE_KIB: u64 = 8 * 1024;
/// How many descriptors more there may be: connections to the server and to shims come and go.
const DESCRIPTORS: usize = 24;

/// I8.
pub fn nothing_is_left(history: &History) -> Vec<Violation> {
    let mut found: Vec<Violation> =
        history.left.iter().map(|what| Violation::new(8, format!("{what} is left"))).collect();
    if history.exit_code != Some(0) {
        found.push(Violation::new(8, format!("the worker left with {:?}", history.exit_code)));
    }
    found
}

/// I9.
pub fn the_worker_does_not_grow(history: &History) -> Vec<Violation> {
    let (Some(first), Some(last)) = (history.sizes.first(), history.sizes.last()) else { return Vec::new() };
    let runs = u64::try_from(last.returned.saturating_sub(first.returned)).unwrap_or(u64::MAX);
    let grown = last.anonymous_kib.saturating_sub(first.anonymous_kib);
    let mut found = Vec::new();
    if grown > ONCE_KIB + GROWTH_KIB * runs / 1000 {
        found.push(Violation::new(9, format!("the worker grew by {grown} KiB over {runs} runs")));
    }
    if last.descriptors > first.descriptors + DESCRIPTORS {
        let what = format!("{} descriptors became {} over {runs} runs", first.descriptors, last.descriptors);
        found.push(Violation::new(9, what));
    }
    found
}

/// I10.
pub fn the_secret_is_nowhere(history: &History) -> Vec<Violation> {
    history.secret_found.iter().map(|place| Violation::new(10, format!("the secret is in {place}"))).collect()
}
