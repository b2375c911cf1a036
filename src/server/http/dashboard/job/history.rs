//! The last runs of a job as a picture: how long each took, by its height, and how it ended, by colour and shape. Pure.

use crate::server::domain::model::Run;
use crate::server::http::dashboard::shown::took;
use crate::server::http::operator::state;
use crate::wire::operator::RunStateName;

#[cfg(test)]
mod tests;

/// The picture, in units of its own: its width and height.
pub const SIZE: (f64, f64) = (760.0, 160.0);
/// Where its bars stand: the left edge and the ground.
pub const LEFT: f64 = 56.0;
pub const GROUND: f64 = 132.0;
/// What is left free at the right edge.
const RIGHT: f64 = 6.0;
/// How high a bar is at most.
const TALLEST: f64 = 116.0;
/// How high it is at least, to be seen.
const LOWEST: f64 = 2.0;
/// Fewer runs than this do not fill the width.
const FEW: usize = 40;
/// How much longer than usual the longest may take before the scale shows sizes in place of lengths.
const SPREAD: f64 = 8.0;
/// The shortest time that a scale of sizes begins with, in seconds.
const SHORTEST: f64 = 0.1;
/// What a scale may end with, in seconds: what people count in.
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

/// The picture.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Picture {
    /// A bar a run, the oldest first.
    pub bars: Vec<Bar>,
    /// The lines of the scale.
    pub lines: Vec<ScaleLine>,
    /// Whether the scale shows sizes: each line is several times the one below it.
    pub by_size: bool,
    /// How often each way to end occurs, the most frequent first.
    pub ends: Vec<EndCount>,
    /// How many of a hundred succeeded.
    pub rate: Option<u32>,
    /// How long a run usually takes: half took longer.
    pub usual: Option<String>,
}

/// A run in the picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// Its run.
    pub run: i64,
    /// Where it stands: the middle.
    pub x: f64,
    /// How wide it is.
    pub width: f64,
    /// Its upper edge.
    pub y: f64,
    /// Its height.
    pub height: f64,
    /// How it ended, as a name of the style sheet.
    pub state: &'static str,
    /// How it ended, for people.
    pub ended: String,
    /// How long it took, for people; nothing if it never began.
    pub took: Option<String>,
}

/// A line of the scale.
#[derive(Clone, Debug, PartialEq)]
pub struct ScaleLine {
    /// How high.
    pub y: f64,
    /// What it stands for.
    pub label: String,
}

/// How often runs ended in a way.
#[derive(Clone, Debug, PartialEq)]
pub struct EndCount {
    /// The way, as a name of the style sheet.
    pub state: &'static str,
    /// The way, for people.
    pub shown: String,
    /// How often.
    pub count: usize,
}

/// What a height stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scale {
    /// Seconds up to this.
    Length(f64),
    /// The size of the number of seconds, from this to that.
    Size(f64, f64),
}

/// The picture of runs that are over, the latest first.
#[must_use]
pub fn picture(runs: &[Run]) -> Picture {
    let mut lengths: Vec<f64> = runs.iter().filter_map(seconds).collect();
    lengths.sort_by(f64::total_cmp);
    let scale = Scale::of(&lengths);
    let slot = (SIZE.0 - LEFT - RIGHT) / number(runs.len().max(FEW));
    let bars = runs.iter().rev().enumerate().map(|(place, run)| {
        let height = seconds(run).map_or(0.0, |length| (scale.height(length) * TALLEST).max(LOWEST));
        let state = state(run);
        Bar {
            run: run.id.get(),
            x: tenth(LEFT + slot * (number(place) + 0.5)),
            width: tenth(slot * 0.72),
            y: tenth(GROUND - height),
            height: tenth(height),
            state: state.word(),
            ended: shown(state),
            took: seconds(run).map(span),
        }
    });
    let succeeded = runs.iter().filter(|run| state(run) == RunStateName::Succeeded).count();
    Picture {
        bars: bars.collect(),
        lines: if lengths.is_empty() { Vec::new() } else { scale.lines() },
        by_size: matches!(scale, Scale::Size(..)),
        ends: ends(runs),
        rate: (!runs.is_empty()).then(|| u32::try_from(succeeded * 100 / runs.len()).unwrap_or(100)),
        usual: lengths.get(lengths.len() / 2).copied().map(span),
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

/// How long its script ran.
fn seconds(run: &Run) -> Option<f64> {
    Some(took(run)?.as_seconds_f64().max(0.0))
}

impl Scale {
    /// Of lengths in order.
    fn of(lengths: &[f64]) -> Self {
        let (Some(shortest), Some(longest)) = (lengths.first(), lengths.last()) else { return Self::Length(1.0) };
        let usual = lengths[lengths.len() / 2].max(SHORTEST);
        let top = step_from(*longest);
        if *longest > usual * SPREAD {
            let bottom = STEPS.iter().rev().find(|step| **step < *shortest).copied().unwrap_or(SHORTEST / 2.0);
            Self::Size(bottom, top)
        } else {
            Self::Length(top)
        }
    }

    /// From 0 to 1.
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
                let every = steps.len().div_ceil(4).max(1);
                steps.into_iter().rev().step_by(every).collect()
            }
        };
        let line = |length: f64| ScaleLine { y: tenth(GROUND - self.height(length) * TALLEST), label: span(length) };
        at.into_iter().map(line).collect()
    }
}

/// The first step that reaches a length.
fn step_from(length: f64) -> f64 {
    STEPS.iter().copied().find(|step| *step >= length).unwrap_or(length)
}

/// A length of time, for people.
#[must_use]
pub fn span(seconds: f64) -> String {
    let (size, unit) = match seconds {
        s if s < 60.0 => (s, "s"),
        s if s < 3600.0 => (s / 60.0, "min"),
        s if s < 86400.0 => (s / 3600.0, "h"),
        s => (s / 86400.0, "d"),
    };
    let text = format!("{:.*}", usize::from(size < 10.0), size);
    format!("{} {unit}", text.strip_suffix(".0").unwrap_or(&text))
}

#[allow(clippy::cast_precision_loss)] // a few hundred at most
fn number(count: usize) -> f64 {
    count as f64
}

fn tenth(size: f64) -> f64 {
    (size * 10.0).round() / 10.0
}
