//! What the API rejects of a run again and again, and when it takes it after all.

use std::time::{Duration, Instant};

use super::support::Call;

/// What of a run is answered with 400, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Its log, until the last line is in it.
    LiveLog,
    /// Its result, so many times.
    Result(u32),
    /// Everything but the claim, for so many milliseconds.
    Everything(u64),
}

/// What the worker begins its own lines of a log with.
const WORKERS_WORDS: &str = "[job runner worker]";
/// Of a log that was cut, for the server once said that it is too large: its last line may be what is missing.
const CUT: &str = "[truncated]";

/// Rejects what is told of one run.
pub struct Refusal {
    what: Refused,
    /// How many lines its log comes to.
    lines: u32,
    /// Since when, and how often.
    since: Option<Instant>,
    times: u32,
    /// Whether the last log that was told is rejected: it is told before the result, or not at all.
    log_is_due: bool,
}

impl Refusal {
    pub fn new(what: Refused, lines: u32) -> Self {
        Self { what, lines, since: None, times: 0, log_is_due: false }
    }

    pub fn is_of_everything(&self) -> bool {
        matches!(self.what, Refused::Everything(_))
    }

    /// Whether a write of its run is rejected.
    pub fn catches(&mut self, call: &Call, run: i64) -> bool {
        let catches = match self.what {
            Refused::LiveLog => {
                let last = format!("line {} of {run}\n", self.lines);
                // Its last log is taken, also that of a run that was lost, which says so instead of its last line.
                let is_last = |text: &str| [&last, WORKERS_WORDS, CUT].iter().any(|end| text.contains(end));
                is_log(call) && call.body["content"].as_str().is_some_and(|text| !is_last(text))
            }
            Refused::Result(times) => call.sets("return_dts") && self.times < times,
            Refused::Everything(_) if call.sets("enqueue_dts") => false,
            Refused::Everything(millis) => {
                let since = *self.since.get_or_insert_with(Instant::now);
                since.elapsed() < Duration::from_millis(millis) || (self.log_is_due && call.sets("return_dts"))
            }
        };
        self.times += u32::from(catches);
        self.log_is_due = if is_log(call) { catches } else { self.log_is_due };
        catches
    }

    /// A write that this would have let through is rejected by something else.
    pub fn is_rejected_anyhow(&mut self, call: &Call) {
        self.log_is_due |= is_log(call);
    }
}

fn is_log(call: &Call) -> bool {
    call.path.starts_with("/api/v1/run_log/")
}
