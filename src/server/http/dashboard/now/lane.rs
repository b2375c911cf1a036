//! Lanes as HTML: renders the cards of the runs in a lane. Pure.

use std::collections::HashMap;

use chrono::{SecondsFormat, TimeDelta};
use chrono_tz::Tz;
use minijinja::{Value, context};

use super::filter::{LaneFilter, lane_word};
use crate::run::RunId;
use crate::server::domain::model::{JobId, Run, RunState, Timestamp};
use crate::server::http::dashboard::format::{badge, due, duration, exit, run_duration, short_time};
use crate::server::http::dashboard::template::fill;
use crate::server::http::operator;
use crate::server::store::{LaneRun, RunOverview};

#[cfg(test)]
mod tests;

/// Runs of a lane, with what their cards show.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    /// State of the runs in this lane.
    pub state: RunState,
    /// Runs that are shown, in the lane's order.
    pub runs: Vec<LaneRun>,
    /// Whether more runs follow these.
    pub has_more: bool,
    /// Number of runs in the lane, counted up to a bound; of completed ones only those of the last 24 hours.
    pub length: u32,
    /// Reasons for which runs wait, by run.
    pub waits: HashMap<RunId, String>,
    /// Usual durations, by job.
    pub usual: HashMap<JobId, TimeDelta>,
}

/// Renders a lane with its cards and the link to more.
pub(super) fn render(lane: &Lane, filter: &LaneFilter, now: Timestamp, zone: Tz) -> Value {
    let runs: Vec<Value> = lane.runs.iter().map(|run| card(run, lane, now, zone)).collect();
    let (title, empty) = match lane.state {
        RunState::Scheduled => ("Scheduled", "No runs are scheduled."),
        RunState::InQueue => ("In queue", "No runs are in queue."),
        RunState::Started => ("Started", "No runs are active."),
        RunState::Completed => ("Completed", "No runs have ended."),
    };
    // Other runs may exist outside the filter, so "no runs are active" would be wrong.
    let empty = if filter.is_narrowed() { "No run matches the filter." } else { empty };
    let more = lane.has_more.then(|| {
        let after = lane.runs.last().map(|run| run.mark);
        filter.address(lane.state, after.filter(|_| filter.is_alone()))
    });
    let count = if lane.length >= super::MAX_LANE_COUNT {
        format!("{}+", super::MAX_LANE_COUNT)
    } else {
        lane.length.to_string()
    };
    let context = context! {
        word => lane_word(lane.state), title, empty, runs, more, count,
        lately => lane.state == RunState::Completed, alone => filter.is_alone(),
        whole => filter.address(lane.state, None), first => filter.after.is_none(),
    };
    fill("lane", context)
}

/// Timestamp that decides the place of a run in its lane.
fn lane_time(run: &Run) -> Timestamp {
    let by = match run.state() {
        RunState::Scheduled => None,
        RunState::InQueue => run.enqueue_dts,
        RunState::Started => run.start_dts,
        RunState::Completed => run.return_dts,
    };
    by.unwrap_or(run.schedule_dts)
}

fn card(run: &LaneRun, lane: &Lane, now: Timestamp, zone: Tz) -> Value {
    let LaneRun { run: RunOverview { run, title, worker }, project, .. } = run;
    let took = run_duration(run).map(duration);
    let due = (lane.state == RunState::Scheduled).then(|| due(run.schedule_dts, now));
    let going = run.start_dts.filter(|_| lane.state == RunState::Started);
    let usual = lane.usual.get(&run.job).copied();
    context! {
        id => run.id.get(), title, worker, project, took, exit => exit(run.exit),
        state => operator::state(run).word(), badge => badge(run),
        at => short_time(lane_time(run), now, zone), due,
        going => going.map(|since| progress(since, usual, now)),
        waits => lane.waits.get(&run.id), retry => run.retry_of.is_some(), manual => run.is_manual, attempt => run.attempt.0,
    }
}

/// Progress of a run that is still going, against the usual duration of its job.
fn progress(since: Timestamp, usual: Option<TimeDelta>, now: Timestamp) -> Value {
    let so_far = (now - since).max(TimeDelta::zero());
    // `max(1)` keeps the `max` of the progress bar positive, which HTML requires.
    let usual_millis = usual.map(|usual| usual.num_milliseconds().max(1));
    context! {
        since => since.to_rfc3339_opts(SecondsFormat::Millis, true),
        usual => usual_millis,
        value => usual_millis.map(|usual| so_far.num_milliseconds().min(usual)),
        late => usual_millis.is_some_and(|usual| so_far.num_milliseconds() > usual),
        so_far => duration(so_far), about => usual.map(duration),
    }
}
