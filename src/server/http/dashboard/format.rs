//! Formatting: how times, durations, states and lists of pages are shown. Pure.
//!
//! A time is written in the server's zone and marked up so that the browser can rewrite it in the reader's.

use chrono::{SecondsFormat, TimeDelta};
use chrono_tz::Tz;
use minijinja::{Value, context};

use super::template::fill;
use crate::server::domain::model::{Run, RunExit, Timestamp};
use crate::server::http::operator;
use crate::wire::operator::RunStateName;

#[cfg(test)]
mod tests;

/// Timestamp with date and time, to the second.
pub(super) fn time(at: Timestamp, zone: Tz) -> Value {
    time_element(at, "", &at.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S").to_string())
}

/// Timestamp for narrow places: the time of day for today, day and month without seconds otherwise.
pub(super) fn short_time(at: Timestamp, now: Timestamp, zone: Tz) -> Value {
    let (at_there, now_there) = (at.with_timezone(&zone), now.with_timezone(&zone));
    let format = if at_there.date_naive() == now_there.date_naive() { "%H:%M:%S" } else { "%-d %b %H:%M" };
    time_element(at, " data-short", &at_there.format(format).to_string())
}

fn time_element(at: Timestamp, mark: &str, text: &str) -> Value {
    let exact = at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let utc = at.format("%Y-%m-%d %H:%M:%S UTC");
    // Built by hand and marked as safe: nothing in it comes from outside.
    Value::from_safe_string(format!("<time datetime=\"{exact}\"{mark} title=\"{utc}\">{text}</time>"))
}

/// Time until something is due, or since when it is overdue, which has a style of its own. The browser goes on counting.
pub(super) fn due(at: Timestamp, now: Timestamp) -> Value {
    let exact = at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let (class, words) =
        if at > now { ("due", format!("due in {}", duration(at - now))) } else { ("due overdue", overdue(now - at)) };
    Value::from_safe_string(format!("<span class=\"{class}\" data-due=\"{exact}\">{words}</span>"))
}

fn overdue(by: TimeDelta) -> String {
    format!("overdue by {}", duration(by))
}

/// Whether a run was cancelled before a worker claimed it. The store then sets the times of all steps that did not
/// happen to the time of the end.
pub(super) fn was_cancelled(run: &Run) -> bool {
    let at = run.return_dts;
    run.exit == Some(RunExit::Killed) && at.is_some() && run.enqueue_dts == at && run.start_dts == at
}

/// Duration of a finished run's script; `None` if it is not over or never began.
pub(super) fn run_duration(run: &Run) -> Option<TimeDelta> {
    let times = run.start_dts.zip(run.return_dts).filter(|_| !was_cancelled(run));
    times.map(|(start, end)| end - start)
}

/// Median of durations, of an even number the mean of the middle two; `None` of none.
pub(super) fn median(mut durations: Vec<TimeDelta>) -> Option<TimeDelta> {
    durations.sort_unstable();
    let middle = durations.len() / 2;
    if durations.len() % 2 == 1 {
        return Some(durations[middle]);
    }
    // `checked_sub` covers the empty list.
    let (low, high) = (durations.get(middle.checked_sub(1)?)?, durations.get(middle)?);
    Some((*low + *high) / 2)
}

/// Duration in words, with tenths below ten seconds. A negative one, which clocks that differ can produce, is shown as
/// zero.
pub(super) fn duration(span: TimeDelta) -> String {
    let millis = span.num_milliseconds().max(0);
    let seconds = millis / 1000;
    match seconds {
        0..10 => format!("{seconds}.{} s", millis % 1000 / 100),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86400, seconds % 86400 / 3600),
    }
}

/// Links from page `page` (from 0) of a list to the previous and next ones; `None` if there is only one page. Empty
/// fields of the query are left out of the addresses.
pub(super) fn pager(path: &str, query: &[(&str, &str)], page: u32, size: u32, total: u64) -> Option<Value> {
    let (page, size) = (u64::from(page), u64::from(size));
    let last = total.saturating_sub(1) / size.max(1);
    let address = |page: u64| {
        let given = query.iter().filter(|(_, value)| !value.is_empty());
        let mut address = url::form_urlencoded::Serializer::new(String::new());
        let address = address.extend_pairs(given).append_pair("page", &page.to_string()).finish();
        format!("{path}?{address}")
    };
    // On a page beyond the end, the link back leads to the last page.
    let first = (page * size + 1).min(total);
    (last > 0).then(|| {
        let context = context! {
            first, last => (first + size - 1).min(total), total,
            before => (page > 0).then(|| address(page.min(last + 1) - 1)),
            after => (page < last).then(|| address(page + 1)),
        };
        fill("pager", context)
    })
}

/// State of a run in the words of the user interface.
pub(super) fn word(state: RunStateName) -> &'static str {
    match state {
        RunStateName::Scheduled => "scheduled",
        RunStateName::Claimed => "in queue",
        RunStateName::Running => "running",
        RunStateName::Succeeded => "succeeded",
        RunStateName::Failed => "failed",
        RunStateName::TimedOut => "timed out",
        RunStateName::Killed => "killed",
        RunStateName::Lost => "lost",
    }
}

/// State of a run as a word with a sign beside it.
pub(super) fn badge(run: &Run) -> Value {
    let state = operator::state(run);
    let (class, word) = (state.word(), word(state));
    Value::from_safe_string(format!("<span class=\"state {class}\">{}{word}</span>", sign(state)))
}

/// Sign of a state as SVG. Each has a shape of its own, so that colour is not needed to tell them apart.
fn sign(state: RunStateName) -> String {
    let shape = match state {
        RunStateName::Scheduled => "<circle cx=\"8\" cy=\"8\" r=\"6\"/><path d=\"M8 4.8V8l2.2 1.6\"/>",
        RunStateName::Claimed => "<path d=\"M3 4h10M3 8h10M3 12h6\"/>",
        RunStateName::Running => "<path class=\"solid\" d=\"M5 3v10l8-5z\"/>",
        RunStateName::Succeeded => "<path d=\"M3 8.5l3.3 3.5L13 4.5\"/>",
        RunStateName::Failed => "<path d=\"M4 4l8 8M12 4l-8 8\"/>",
        RunStateName::TimedOut => "<path d=\"M4 2.5h8M4 13.5h8M5 2.5c0 4 6 7 6 11M11 2.5c0 4-6 7-6 11\"/>",
        RunStateName::Killed => "<rect class=\"solid\" x=\"4\" y=\"4\" width=\"8\" height=\"8\" rx=\"1\"/>",
        RunStateName::Lost => "<path d=\"M5.3 6a2.7 2.7 0 1 1 3.6 2.5c-.6.3-.9.7-.9 1.5M8 12.8v.1\"/>",
    };
    format!("<svg class=\"sign\" viewBox=\"0 0 16 16\" aria-hidden=\"true\">{shape}</svg>")
}

/// Exit code or signal of a run, where its state does not already say everything; `None` for code 0.
pub(super) fn exit(exit: Option<RunExit>) -> Option<String> {
    match exit {
        Some(RunExit::Code(code)) if code != 0 => Some(format!("exit code {code}")),
        Some(RunExit::Signal(signal)) => Some(format!("signal {signal}")),
        _ => None,
    }
}
