//! History of a job: draws its last runs as bars whose height is the duration, and whose colour and shape tell how each
//! ended. Pure.

use crate::server::domain::model::Run;
use crate::server::http::dashboard::format::{duration, median, run_duration};
use crate::server::http::operator::state;
use crate::wire::operator::RunStateName;

#[cfg(test)]
mod tests;

/// Width and height of the chart, in units of its SVG.
pub const SIZE: (f64, f64) = (760.0, 160.0);
/// Left edge of the bars and their baseline.
pub const LEFT: f64 = 56.0;
pub const BASELINE: f64 = 132.0;
/// Margin at the right edge.
const RIGHT: f64 = 6.0;
/// Greatest height of a bar.
const TALLEST: f64 = 116.0;
/// Least height of a bar, so that short runs remain visible.
const LOWEST: f64 = 2.0;
/// Number of runs below which the bars do not fill the width.
const FEW: usize = 40;
/// Ratio of the longest to the usual duration above which the scale becomes logarithmic.
const SPREAD: f64 = 8.0;
/// Lower bound for the usual duration when the scale is chosen, in seconds. It keeps runs of no length from making
/// every scale logarithmic. Half of it is the bottom of a logarithmic scale for runs below all steps.
const SHORTEST: f64 = 0.1;
/// Ends of scales, in seconds: round numbers of the units that people count in.
const STEPS: &[f64] = &[
    0.1,
    0.2,
    0.5,
    1.0,
    2.0,
    5.0,
    10.0,
    20.0,
    30.0,
    60.0,
    120.0,
    300.0,
    600.0,
    1200.0,
    1800.0,
    3600.0,
    7200.0,
    14400.0,
    28800.0,
    43200.0,
    86400.0,
    172_800.0,
    345_600.0,
    604_800.0,
    1_209_600.0,
    2_592_000.0,
    5_184_000.0,
    15_552_000.0,
];

/// Chart with its legend.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HistoryChart {
    /// One bar for each run, the oldest first.
    pub bars: Vec<Bar>,
    /// Lines of the scale, with their labels.
    pub lines: Vec<ScaleLine>,
    /// Whether the scale is logarithmic: each line is several times the one below it.
    pub is_logarithmic: bool,
    /// Number of runs for each way to end that occurs, in a fixed order that begins with success.
    pub ends: Vec<EndCount>,
    /// Runs that succeeded, in per cent, rounded down; `None` without runs.
    pub success_percent: Option<u32>,
    /// Median duration as text; `None` if no run began.
    pub median: Option<String>,
}

/// Bar of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// Id of the run, for its link.
    pub run: i64,
    /// Horizontal position of the middle.
    pub x: f64,
    /// Width of the visible bar.
    pub width: f64,
    /// Vertical position of the upper edge.
    pub y: f64,
    /// Height; 0 for a run that never began.
    pub height: f64,
    /// Final state, as a class of the style sheet.
    pub state: &'static str,
    /// Final state in words.
    pub ended: String,
    /// Duration in words; `None` if the run never began.
    pub took: Option<String>,
}

/// Line of the scale.
#[derive(Clone, Debug, PartialEq)]
pub struct ScaleLine {
    /// Vertical position of the line.
    pub y: f64,
    /// Duration that the line stands for, in words.
    pub label: String,
}

/// Number of runs that ended in one way.
#[derive(Clone, Debug, PartialEq)]
pub struct EndCount {
    /// Final state, as a class of the style sheet.
    pub state: &'static str,
    /// Final state in words.
    pub shown: String,
    /// Number of such runs.
    pub count: usize,
}

/// Mapping of durations to heights.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scale {
    /// Linear from 0 to this number of seconds.
    Length(f64),
    /// Logarithmic from the first number of seconds to the second.
    Size(f64, f64),
}

/// Draws finished runs, which are given with the latest first.
#[must_use]
pub fn history_chart(runs: &[Run]) -> HistoryChart {
    let mut lengths: Vec<f64> = runs.iter().filter_map(seconds).collect();
    lengths.sort_by(f64::total_cmp);
    let scale = Scale::of(&lengths);
    // A few runs keep slim bars at the left, rather than filling the width with blocks.
    let slot = (SIZE.0 - LEFT - RIGHT) / number(runs.len().max(FEW));
    // The latest run comes first in the list and stands at the right of the chart.
    let bars = runs.iter().rev().enumerate().map(|(place, run)| {
        let height = seconds(run).map_or(0.0, |length| (scale.height(length) * TALLEST).max(LOWEST));
        let state = state(run);
        Bar {
            run: run.id.get(),
            x: tenth(LEFT + slot * (number(place) + 0.5)),
            width: tenth(slot * 0.72),
            y: tenth(BASELINE - height),
            height: tenth(height),
            state: state.word(),
            ended: shown(state),
            took: run_duration(run).map(duration),
        }
    });
    let succeeded = runs.iter().filter(|run| state(run) == RunStateName::Succeeded).count();
    HistoryChart {
        bars: bars.collect(),
        // Without any duration the labels would say nothing.
        lines: if lengths.is_empty() { Vec::new() } else { scale.lines() },
        is_logarithmic: matches!(scale, Scale::Size(..)),
        ends: ends(runs),
        // Rounded down, so that one failure is enough to lose the hundred.
        success_percent: (!runs.is_empty()).then(|| u32::try_from(succeeded * 100 / runs.len()).unwrap_or(100)),
        median: median(runs.iter().filter_map(run_duration).collect()).map(duration),
    }
}

fn ends(runs: &[Run]) -> Vec<EndCount> {
    let states = [
        RunStateName::Succeeded,
        RunStateName::Failed,
        RunStateName::TimedOut,
        RunStateName::Killed,
        RunStateName::Lost,
    ];
    let count = |wanted: RunStateName| runs.iter().filter(|run| state(run) == wanted).count();
    let ends = states.map(|state| EndCount { state: state.word(), shown: shown(state), count: count(state) });
    ends.into_iter().filter(|end| end.count > 0).collect()
}

fn shown(state: RunStateName) -> String {
    state.word().replace('_', " ")
}

/// Duration of a run's script in seconds; `None` if it never began.
fn seconds(run: &Run) -> Option<f64> {
    Some(run_duration(run)?.as_seconds_f64().max(0.0))
}

impl Scale {
    /// Chooses the scale for durations in ascending order.
    fn of(lengths: &[f64]) -> Self {
        let (Some(shortest), Some(longest)) = (lengths.first(), lengths.last()) else { return Self::Length(1.0) };
        let usual = lengths[lengths.len() / 2].max(SHORTEST);
        let top = step_from(*longest);
        if *longest > usual * SPREAD {
            // The bottom lies below the shortest run, which would otherwise have no height.
            let bottom = STEPS.iter().rev().find(|step| **step < *shortest).copied().unwrap_or(SHORTEST / 2.0);
            Self::Size(bottom, top)
        } else {
            Self::Length(top)
        }
    }

    /// Height of a duration as a fraction from 0 to 1.
    fn height(self, length: f64) -> f64 {
        let part = match self {
            Self::Length(top) => length / top,
            Self::Size(bottom, top) => (length.max(bottom) / bottom).ln() / (top / bottom).ln(),
        };
        part.clamp(0.0, 1.0)
    }

    fn lines(self) -> Vec<ScaleLine> {
        let at = match self {
            Self::Length(top) => vec![top / 2.0, top],
            Self::Size(bottom, top) => {
                let steps: Vec<f64> = STEPS.iter().copied().filter(|step| bottom < *step && *step <= top).collect();
                // At most four lines, chosen from the top so that the highest always has a label.
                let every = steps.len().div_ceil(4).max(1);
                steps.into_iter().rev().step_by(every).collect()
            }
        };
        let line =
            |length: f64| ScaleLine { y: tenth(BASELINE - self.height(length) * TALLEST), label: axis_label(length) };
        at.into_iter().map(line).collect()
    }
}

/// Smallest step that reaches a duration; the duration itself if it is beyond all steps.
fn step_from(length: f64) -> f64 {
    STEPS.iter().copied().find(|step| *step >= length).unwrap_or(length)
}

/// Label of a scale line: a duration in one unit, with one digit after the point below ten.
fn axis_label(seconds: f64) -> String {
    let (size, unit) = match seconds {
        s if s < 60.0 => (s, "s"),
        s if s < 3600.0 => (s / 60.0, "min"),
        s if s < 86400.0 => (s / 3600.0, "h"),
        s => (s / 86400.0, "d"),
    };
    let text = format!("{:.*}", usize::from(size < 10.0), size);
    format!("{} {unit}", text.strip_suffix(".0").unwrap_or(&text))
}

fn number(count: usize) -> f64 {
    count as f64
}

fn tenth(size: f64) -> f64 {
    // Tenths are finer than a pixel and keep the page small.
    (size * 10.0).round() / 10.0
}
