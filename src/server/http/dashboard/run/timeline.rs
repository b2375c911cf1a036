//! The course of a run: scheduled, in queue, started, returned; how long each took, as a picture and as text. Pure.

use chrono::TimeDelta;
use chrono_tz::Tz;
use minijinja::{Value, context};

use crate::server::domain::model::{Run, Timestamp};
use crate::server::http::dashboard::shown::{due, duration, time, was_cancelled};

#[cfg(test)]
mod tests;

/// How wide the picture is, in its own units.
const WIDTH: i64 = 1000;
/// What is shorter than this is still to be seen.
const NARROWEST: i64 = 12;

/// A part of the course.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Phase {
    /// The style and the word of it.
    word: &'static str,
    /// When it began.
    from: Timestamp,
    /// When it was over, if it is.
    to: Option<Timestamp>,
}

/// The phases that a run has passed or is in.
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

/// The course of a run.
pub(super) fn timeline(run: &Run, now: Timestamp, zone: Tz) -> Value {
    let phases = phases(run);
    let spans: Vec<TimeDelta> =
        phases.iter().map(|phase| (phase.to.unwrap_or(now) - phase.from).max(TimeDelta::zero())).collect();
    let mut x = 0;
    let shown = phases.iter().zip(&spans).zip(widths(&spans)).map(|((phase, span), width)| {
        let left = x;
        x += width;
        context! {
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
    let told: Vec<String> = phases.iter().zip(&spans).map(|(phase, span)| told(phase, *span)).collect();
    let waits = run.enqueue_dts.is_none() && run.return_dts.is_none();
    let coming = waits.then(|| due(run.schedule_dts, now));
    context!(bars, steps, told => told.join(", "), coming)
}

fn told(phase: &Phase, span: TimeDelta) -> String {
    let goes_on = if phase.to.is_none() { " so far" } else { "" };
    format!("{} {}{goes_on}", phase.word, duration(span))
}

/// How wide each is in the picture: by its time, but none too narrow to be seen.
fn widths(spans: &[TimeDelta]) -> Vec<i64> {
    let all: i64 = spans.iter().map(TimeDelta::num_milliseconds).sum::<i64>().max(1);
    let count = i64::try_from(spans.len()).unwrap_or(1);
    let room = WIDTH - NARROWEST * count;
    spans.iter().map(|span| NARROWEST + room.saturating_mul(span.num_milliseconds()) / all).collect()
}
