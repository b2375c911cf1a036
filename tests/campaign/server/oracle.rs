//! What must hold of a server and its workers, whatever was done to them: pure functions over what was seen.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::oracle::history::{Mark, Says};

/// What must become of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// It says that it begins, and its result is this.
    Success(bool),
    /// Nothing of it is executed, so it fails in silence.
    NoExecution,
    /// It ends or stops who watches over it: it may be executed once more, under another attempt, or be failed.
    Anything,
}

/// A run as the server has it in the end.
#[derive(Clone, Debug)]
pub struct Row {
    pub id: i64,
    pub job: i64,
    /// When it was due, in seconds since the epoch.
    pub due: i64,
    pub is_over: bool,
    pub success: Option<bool>,
    pub losses: i64,
    /// Whether it waits for a job that was disabled in the end.
    pub is_on_hold: bool,
}

/// A job with its times.
#[derive(Clone, Debug)]
pub struct Job {
    pub id: i64,
    pub expected: Expected,
    pub step: i64,
    /// At which second of a step it is due.
    pub phase: i64,
    /// From and up to when it was due, in seconds since the epoch.
    pub from: i64,
    pub to: i64,
}

/// Times that one record counts at most.
pub const COUNTED: usize = 100;

/// What is recorded of a time of a job.
#[derive(Clone, Debug)]
pub struct Fire {
    pub job: i64,
    /// Which time, in seconds since the epoch.
    pub due: i64,
    /// How many times the record is of, counted up to [`COUNTED`].
    pub times: usize,
}

/// Everything that was seen.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub rows: Vec<Row>,
    pub jobs: Vec<Job>,
    /// What was accepted, and what must become of it.
    pub accepted: BTreeMap<i64, Expected>,
    pub marks: Vec<Mark>,
    /// What is recorded of times at which a job was due.
    pub fires: Vec<Fire>,
    /// Processes that live when everything is over.
    pub survivors: Vec<String>,
    /// Files, exit codes, memory.
    pub leaked: Vec<String>,
}

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    Lost,
    Doubled,
    Overlapping,
    Survivors,
    Leaked,
    UnexplainedTimes,
}

/// One breach, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach(pub Rule, pub String);

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.0, self.1)
    }
}

/// Everything that is broken.
pub fn judge(history: &History) -> Vec<Breach> {
    let mut found = nothing_is_lost(history);
    found.extend(nothing_is_doubled(history));
    found.extend(every_time_is_explained(history));
    let alive = history.survivors.iter().map(|who| Breach(Rule::Survivors, who.clone()));
    found.extend(alive.chain(history.leaked.iter().map(|what| Breach(Rule::Leaked, what.clone()))));
    found
}

fn expected(history: &History, row: &Row) -> Option<Expected> {
    let of_job = || history.jobs.iter().find(|job| job.id == row.job).map(|job| job.expected);
    history.accepted.get(&row.id).copied().or_else(of_job)
}

/// What was accepted is there; what is due is over; its result is the script's own.
fn nothing_is_lost(history: &History) -> Vec<Breach> {
    let mut found = Vec::new();
    let known: BTreeSet<i64> = history.rows.iter().map(|row| row.id).collect();
    let begun: BTreeSet<i64> = history.marks.iter().map(|mark| mark.run).collect();
    let mut lost = |what: String| found.push(Breach(Rule::Lost, what));
    for run in history.accepted.keys().chain(&begun).collect::<BTreeSet<_>>() {
        if !known.contains(run) {
            lost(format!("run {run} was accepted or executed, and the server does not know it"));
        }
    }
    for row in &history.rows {
        if !row.is_over {
            if !row.is_on_hold {
                lost(format!("run {} of job {} is not over", row.id, row.job));
            }
            continue;
        }
        let (executed, success) = (begun.contains(&row.id), row.success == Some(true));
        match expected(history, row) {
            Some(Expected::Success(wanted)) if !executed => {
                lost(format!("run {}: result {success}, wanted {wanted}, and it was never executed", row.id));
            }
            Some(Expected::Success(wanted)) if wanted != success => {
                lost(format!("run {}: result {success} instead of {wanted}, {} losses", row.id, row.losses));
            }
            Some(Expected::NoExecution) if success => lost(format!("run {} cannot have succeeded", row.id)),
            _ => {}
        }
    }
    found
}

/// One execution of a run, and another only where the script ended who watched over it, under another attempt.
fn nothing_is_doubled(history: &History) -> Vec<Breach> {
    let mut attempts: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
    let mut found = Vec::new();
    for mark in &history.marks {
        match mark.says {
            Says::Begin { .. } => attempts.entry(mark.run).or_default().push(mark.attempt),
            Says::Overlap => found.push(Breach(Rule::Overlapping, format!("run {} found another execution", mark.run))),
            Says::End { .. } => {}
        }
    }
    let rows: BTreeMap<i64, &Row> = history.rows.iter().map(|row| (row.id, row)).collect();
    for (run, attempts) in attempts {
        let different = attempts.iter().collect::<BTreeSet<_>>().len();
        let may = rows.get(&run).and_then(|row| expected(history, row)) == Some(Expected::Anything);
        if different < attempts.len() || (attempts.len() > 1 && !may) {
            found.push(Breach(Rule::Doubled, format!("run {run} was executed as attempts {attempts:?}")));
        }
    }
    found
}

/// Each time of a schedule has a run, or a reason that is written down.
fn every_time_is_explained(history: &History) -> Vec<Breach> {
    let mut found = Vec::new();
    for job in &history.jobs {
        let runs: BTreeSet<i64> = history.rows.iter().filter(|row| row.job == job.id).map(|row| row.due).collect();
        let reasons = reasons(history, job, &runs);
        // What waits for a job that was disabled passes the times behind it when the job is enabled.
        let on_hold = history.rows.iter().filter(|row| row.job == job.id && row.is_on_hold).map(|row| row.due).min();
        let to = on_hold.map_or(job.to, |due| job.to.min(due));
        for due in times(job, job.from, to).filter(|due| !runs.contains(due) && !reasons.contains(due)) {
            found.push(Breach(Rule::UnexplainedTimes, format!("job {} has neither run nor reason for {due}", job.id)));
        }
    }
    found
}

/// How many times of schedules have no run of their own, whatever is recorded of them.
pub fn without_run(history: &History) -> usize {
    let runs: BTreeSet<(i64, i64)> = history.rows.iter().map(|row| (row.job, row.due)).collect();
    let without = |job: &&Job, due: &i64| !runs.contains(&(job.id, *due));
    history.jobs.iter().map(|job| times(job, job.from, job.to).filter(|due| without(&job, due)).count()).sum()
}

/// The times of a job. The fields of a cron expression begin anew with each minute.
fn times(job: &Job, from: i64, to: i64) -> impl Iterator<Item = i64> {
    (from..to).filter(|second| second.rem_euclid(60) % job.step == job.phase)
}

/// The times of a job that have a recorded reason. One record may be of many times, which are counted up to a bound: beyond
/// it, it is of all up to the next run.
fn reasons(history: &History, job: &Job, runs: &BTreeSet<i64>) -> BTreeSet<i64> {
    let mut explained = BTreeSet::new();
    for fire in history.fires.iter().filter(|fire| fire.job == job.id) {
        let next = runs.range(fire.due + 1..).next().copied().unwrap_or(job.to);
        if fire.times >= COUNTED {
            explained.extend(times(job, fire.due, next));
        } else {
            explained.extend(times(job, fire.due, job.to).take(fire.times));
        }
    }
    explained
}

/// The sum, as one line.
pub fn sum(breaches: &[Breach]) -> String {
    let count = |rule| breaches.iter().filter(|breach| breach.0 == rule).count();
    format!(
        "lost {}, doubled {}, overlapping {}, survivors {}, leaked {}, due times without run or recorded reason {}",
        count(Rule::Lost),
        count(Rule::Doubled),
        count(Rule::Overlapping),
        count(Rule::Survivors),
        count(Rule::Leaked),
        count(Rule::UnexplainedTimes)
    )
}
