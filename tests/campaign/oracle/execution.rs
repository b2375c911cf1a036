//! I1, I2, I11: what the scripts say of their executions.

use std::collections::{BTreeMap, BTreeSet};

use super::Violation;
use super::history::{History, Mark, ORPHAN, Run, Says, ShimDeath};

/// One execution.
struct Execution {
    run: i64,
    attempt: u32,
    shim: i32,
    from: f64,
    /// `None`: it was ended from outside, or still runs.
    to: Option<f64>,
}

/// Executions in the order of their begins.
fn executions(marks: &[Mark]) -> Vec<Execution> {
    let mut found: Vec<Execution> = Vec::new();
    for mark in marks {
        match mark.says {
            Says::Begin { shim } => {
                found.push(Execution { run: mark.run, attempt: mark.attempt, shim, from: mark.at, to: None });
            }
            Says::End { .. } => {
                let open = |e: &&mut Execution| (e.run, e.attempt) == (mark.run, mark.attempt) && e.to.is_none();
                if let Some(execution) = found.iter_mut().rev().find(open) {
                    execution.to = Some(mark.at);
                }
            }
            Says::Overlap => {}
        }
    }
    found
}

/// I1. What a script says of itself, and what the times say.
pub fn nothing_overlaps(history: &History) -> Vec<Violation> {
    let said = history.marks.iter().filter(|mark| mark.says == Says::Overlap).map(|mark| {
        Violation::new(1, format!("run {} attempt {} found another execution alive", mark.run, mark.attempt))
    });
    let mut found: Vec<Violation> = said.collect();
    let mut last: BTreeMap<i64, (u32, f64)> = BTreeMap::new();
    for execution in executions(&history.marks) {
        if let Some((attempt, until)) = last.get(&execution.run)
            && execution.from < *until
        {
            let what = format!("run {}: attempts {attempt} and {} at once", execution.run, execution.attempt);
            found.push(Violation::new(1, what));
        }
        if let Some(until) = execution.to {
            last.insert(execution.run, (execution.attempt, until));
        }
    }
    found
}

/// I2. A run that the server disowned is another run afterwards; one that was forgotten counts its attempts anew.
pub fn attempts_are_executed_once(history: &History) -> Vec<Violation> {
    let numbers = |is: fn(&Run) -> bool| history.runs.iter().filter(move |run| is(run)).map(|run| run.id);
    let excused: BTreeSet<i64> = numbers(|run| run.was_disowned).collect();
    let forgotten: BTreeSet<i64> = numbers(|run| run.was_forgotten).collect();
    let mut of_run: BTreeMap<i64, Vec<Execution>> = BTreeMap::new();
    for execution in executions(&history.marks).into_iter().filter(|e| !excused.contains(&e.run)) {
        of_run.entry(execution.run).or_default().push(execution);
    }
    let mut found = Vec::new();
    for (run, executions) in of_run {
        let attempts: BTreeSet<u32> = executions.iter().map(|execution| execution.attempt).collect();
        if attempts.len() < executions.len() && !forgotten.contains(&run) {
            let all: Vec<u32> = executions.iter().map(|execution| execution.attempt).collect();
            found.push(Violation::new(2, format!("run {run}: executed as attempts {all:?}")));
        }
        for pair in executions.windows(2) {
            let [before, after] = pair else { continue };
            if !history.shim_deaths.iter().any(|death| is_end_of(death, before, after.from)) {
                let what = format!(
                    "run {run}: attempt {} follows attempt {}, whose shim {} was not killed",
                    after.attempt, before.attempt, before.shim
                );
                found.push(Violation::new(2, what));
            }
        }
    }
    found
}

/// How far a script's clock and the campaign's may be apart, in seconds.
const CLOCKS: f64 = 0.01;
/// How long before its script looked a shim may have died, in seconds: what it started begins without it.
const SURVIVED: f64 = 0.25;
/// The same where the script found it dead.
const ORPHANED: f64 = 2.0;

/// Whether this death allows another execution from an instant on. Of the shims that bore its pid it is the one
/// that lived then.
fn is_end_of(death: &ShimDeath, execution: &Execution, next: f64) -> bool {
    let earliest = execution.from - if execution.shim == ORPHAN { ORPHANED } else { SURVIVED };
    let is_its = execution.shim == ORPHAN || execution.shim == death.pid;
    is_its && death.at >= earliest && death.at <= next + CLOCKS
}

/// I11. Executions that were ended from outside are counted as if they had ended at once: it is not known when.
pub fn slots_are_kept(history: &History) -> Vec<Violation> {
    let mut changes: Vec<(f64, i32)> = Vec::new();
    for execution in executions(&history.marks) {
        changes.extend(execution.to.map(|to| [(execution.from, 1), (to, -1)]).into_iter().flatten());
    }
    // At the same moment, who leaves goes first.
    changes.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let (mut now, mut most) = (0, 0);
    for (_, change) in changes {
        now += change;
        most = most.max(now);
    }
    let seats = i32::try_from(history.concurrent_jobs).unwrap_or(i32::MAX);
    let what = format!("{most} scripts at once, {seats} slots");
    if most > seats { vec![Violation::new(11, what)] } else { Vec::new() }
}
