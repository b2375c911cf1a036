//! What must hold of a fleet beside what must hold of one server: when runs began, and what was handed over once. Pure
//! functions over what was seen. All times are seconds since the epoch.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::oracle::history::{Mark, Says};

/// A time span.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    pub from: f64,
    pub to: f64,
}

/// A run that has begun.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Begun {
    pub run: i64,
    /// When it was due.
    pub due: f64,
    pub begun: f64,
    /// Whether its job was due by itself.
    pub is_by_schedule: bool,
}

impl Begun {
    /// How late it began, without the times in which the database was away.
    pub fn lateness(&self, away: &[Span]) -> f64 {
        let within = |span: &Span| (span.to.min(self.begun) - span.from.max(self.due)).max(0.0);
        self.begun - self.due - away.iter().map(within).sum::<f64>()
    }
}

/// When the runs began for the first time. Runs that never began are left out.
pub fn begun(due: &BTreeMap<i64, (f64, bool)>, marks: &[Mark]) -> Vec<Begun> {
    let mut first: BTreeMap<i64, f64> = BTreeMap::new();
    for mark in marks.iter().filter(|mark| matches!(mark.says, Says::Begin { .. })) {
        let at = first.entry(mark.run).or_insert(mark.at);
        *at = at.min(mark.at);
    }
    let known = first.into_iter().filter_map(|(run, begun)| {
        let (due, is_by_schedule) = *due.get(&run)?;
        Some(Begun { run, due, begun, is_by_schedule })
    });
    known.collect()
}

/// Runs that began later than so many seconds after they were due, in words.
pub fn late(runs: &[Begun], away: &[Span], most: f64) -> Vec<String> {
    let late = runs.iter().map(|run| (run, run.lateness(away))).filter(|(_, lateness)| *lateness > most);
    late.map(|(run, lateness)| format!("run {} began {lateness:.2} s after it was due at {:.3}", run.run, run.due))
        .collect()
}

/// Runs of which an execution began while another one went on, by what they said.
pub fn overlapping(marks: &[Mark]) -> BTreeSet<i64> {
    let mut open: BTreeMap<i64, usize> = BTreeMap::new();
    let mut found = BTreeSet::new();
    for mark in marks {
        let open = open.entry(mark.run).or_default();
        match mark.says {
            Says::Begin { .. } if *open > 0 => {
                found.insert(mark.run);
                *open += 1;
            }
            Says::Begin { .. } => *open += 1,
            Says::End { .. } => *open = open.saturating_sub(1),
            Says::Overlap => {}
        }
    }
    found
}

/// Titles of which one hand-over each made several runs.
pub fn accepted_twice<'a>(titles: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    titles.filter(|title| !seen.insert(*title)).collect()
}

/// What came after a kill, up to the next one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Aftermath {
    /// From the kill until a run began that was due after it.
    pub next_begin: f64,
    /// How late the first run was that was due by itself after it.
    pub next_due_late: f64,
    /// How late the latest of all began.
    pub most_late: f64,
}

/// What came after a kill at this time, until the next one. `None` if nothing was due.
pub fn aftermath(runs: &[Begun], kill: Span) -> Option<Aftermath> {
    let due = || runs.iter().filter(|run| run.due > kill.from && run.due < kill.to);
    let first = due().filter(|run| run.is_by_schedule).map(|run| run.due).min_by(f64::total_cmp)?;
    // Several jobs may be due at that time: the latest of them counts.
    let next = due().filter(|run| run.is_by_schedule && run.due <= first);
    Some(Aftermath {
        next_begin: due().map(|run| run.begun).min_by(f64::total_cmp)? - kill.from,
        next_due_late: next.map(|run| run.lateness(&[])).max_by(f64::total_cmp)?,
        most_late: due().map(|run| run.lateness(&[])).max_by(f64::total_cmp)?,
    })
}

/// How values are distributed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distribution {
    pub count: usize,
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
}

impl Distribution {
    /// `None` of no values.
    pub fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let max = *values.last()?;
        // The smallest value that so many of a hundred do not exceed.
        let at = |of_hundred: usize| values[(values.len() * of_hundred).div_ceil(100).max(1) - 1];
        Some(Self { count: values.len(), p50: at(50), p99: at(99), max })
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p50 {:.2} s, p99 {:.2} s, max {:.2} s", self.p50, self.p99, self.max)
    }
}
