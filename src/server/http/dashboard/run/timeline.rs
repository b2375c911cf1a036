//! Timeline of a run: how long it was scheduled, in queue and running, as a bar and as text. Pure.

use chrono::TimeDelta;
use chrono_tz::Tz;
use minijinja::{Value, context};

use crate::server::domain::model::{Run, Timestamp};
use crate::server::http::dashboard::format::{due, duration, time, was_cancelled};

#[cfg(test)]
mod tests;

/// Width of the bar, in units of its SVG.
const WIDTH: i64 = 1000;
/// Least width of a phase, so that short ones remain visible.
const NARROWEST: i64 = 12;

/// One phase of a run's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Phase {
    /// Word for the phase, which is also its style.
    word: &'static str,
    /// Begin of the phase.
    from: Timestamp,
    /// End of the phase; `None` while it lasts.
    to: Option<Timestamp>,
}

/// Phases that a run has passed or is in. A cancelled run has waited, and nothing else.
fn phases(run: &Run) -> Vec<Phase> {
    let Run { schedule_dts, enqueue_dts, start_dts, return_dts, .. } = run;
    if was_cancelled(run) {
        return vec![Phase { word: "waited", from: *schedule_dts, to: *return_dts }];
    }
    let mut phases = vec![Phase { word: "waited", from: *schedule_dts, to: enqueue_dts.or(*return_dts) }];
    if let Some(from) = *enqueue_dts {
        phases.push(Phase { word: "in queue", from, to: start_dts.or(*return_dts) });
        if let Some(from) = *start_dts {
            phases.push(Phase { word: "ran", from, to: *return_dts });
        }
    }
    phases
}

/// Renders the timeline of a run.
pub(super) fn timeline(run: &Run, now: Timestamp, zone: Tz) -> Value {
    let phases = phases(run);
    let spans: Vec<TimeDelta> =
        // Times of worker and server come from two clocks, so a phase may seem to end before it began.
        phases.iter().map(|phase| (phase.to.unwrap_or(now) - phase.from).max(TimeDelta::zero())).collect();
    let mut x = 0;
    let shown = phases.iter().zip(&spans).zip(widths(&spans)).map(|((phase, span), width)| {
        let left = x;
        x += width;
        context! {
            // Two units stay free as the gap before the next bar.
            word => phase.word, x => left, width => width - 2, took => duration(*span),
            goes_on => phase.to.is_none() && phase.from <= now,
            since => phase.from.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        }
    });
    let bars: Vec<Value> = shown.collect();
    let step = |word, at: Option<Timestamp>| context!(word, at => at.map(|at| time(at, zone)));
    let steps = if was_cancelled(run) {
        vec![step("Scheduled", Some(run.schedule_dts)), step("Cancelled", run.return_dts)]
    } else {
        vec![
            step("Scheduled", Some(run.schedule_dts)),
            step("In queue", run.enqueue_dts),
            step("Started", run.start_dts),
            step("Returned", run.return_dts),
        ]
    };
    let text: Vec<String> = phases.iter().zip(&spans).map(|(phase, span)| phase_text(phase, *span)).collect();
    let waits = run.enqueue_dts.is_none() && run.return_dts.is_none();
    let coming = waits.then(|| due(run.schedule_dts, now));
    context!(bars, steps, text => text.join(", "), coming)
}

fn phase_text(phase: &Phase, span: TimeDelta) -> String {
    let goes_on = if phase.to.is_none() { " so far" } else { "" };
    format!("{} {}{goes_on}", phase.word, duration(span))
}

/// Widths of the phases: proportional to their durations, plus [`NARROWEST`] for each.
fn widths(spans: &[TimeDelta]) -> Vec<i64> {
    let all: i64 = spans.iter().map(TimeDelta::num_milliseconds).sum::<i64>().max(1);
    let count = i64::try_from(spans.len()).unwrap_or(1);
    // Every phase gets its least width first; the rest is shared in proportion to time.
    let room = WIDTH - NARROWEST * count;
    spans.iter().map(|span| NARROWEST + room.saturating_mul(span.num_milliseconds()) / all).collect()
}
