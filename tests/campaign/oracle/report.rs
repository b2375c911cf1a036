//! I3, I4, I5, I6: what the server was told.

use std::collections::BTreeMap;

use super::Violation;
use super::history::{Did, History, Run, Says};

/// Of a log that was cut.
const MARKER: &str = "\n\n[truncated]\n\n";
/// Of a run that is given up after its shims died.
const LOST: &str = "[job runner worker] The run was lost ";

impl Run {
    fn count(&self, did: Did) -> usize {
        self.steps.iter().filter(|step| step.did == did).count()
    }

    fn first(&self, did: Did) -> Option<u64> {
        self.steps.iter().find(|step| step.did == did).map(|step| step.seq)
    }

    fn kinds(&self) -> Vec<Did> {
        self.steps.iter().map(|step| step.did).collect()
    }
}

/// The runs whose fate is the worker's to answer for.
fn owned(history: &History) -> impl Iterator<Item = &Run> {
    history.runs.iter().filter(|run| !run.was_disowned)
}

/// I3.
pub fn claimed_runs_return(history: &History) -> Vec<Violation> {
    owned(history)
        .filter_map(|run| match (run.count(Did::Claim), run.count(Did::Return), run.completions) {
            (_, 1, 1) => None,
            (0, 0, 0) => Some(Violation::new(3, format!("run {} was never claimed", run.id))),
            (_, 0, _) => Some(Violation::new(3, format!("run {} never returned: {:?}", run.id, run.kinds()))),
            (_, returns, completions) => {
                let what = format!("run {} returned {returns} times and was completed {completions} times", run.id);
                Some(Violation::new(6, what))
            }
        })
        .collect()
}

/// The last execution of a run.
#[derive(Clone, Copy, Default)]
struct Last {
    /// Which one it is, counted from 1.
    begun: u32,
    attempt: u32,
    /// What it said that it exits with.
    code: Option<i32>,
}

/// I4.
pub fn results_are_true(history: &History) -> Vec<Violation> {
    let mut last: BTreeMap<i64, Last> = BTreeMap::new();
    for mark in &history.marks {
        let last = last.entry(mark.run).or_default();
        match mark.says {
            Says::Begin { .. } => *last = Last { begun: last.begun + 1, attempt: mark.attempt, code: None },
            Says::End { code } if mark.attempt == last.attempt => last.code = Some(code),
            _ => {}
        }
    }
    let killed_shims = history.shim_deaths.len();
    owned(history)
        .filter_map(|run| {
            let success = run.success?;
            let Last { begun, code, .. } = last.get(&run.id).copied().unwrap_or_default();
            let wrong = |what: &str| Some(Violation::new(4, format!("run {} {what}", run.id)));
            if run.log.contains(LOST) {
                return match (success, begun <= history.max_attempts || run.was_forgotten, killed_shims > 0) {
                    (true, _, _) => wrong("was lost, and is said to have succeeded"),
                    (_, false, _) => wrong("was executed more often than it may be lost"),
                    (_, _, false) => wrong("is said to be lost, and no shim was killed"),
                    _ => None,
                };
            }
            match (code, run.is_killed) {
                (Some(code), false) if success != (code == 0) => {
                    wrong(&format!("exited with {code}, and its success is {success}"))
                }
                // The kill may have come as it ended.
                (Some(code), true) if success && code != 0 => wrong(&format!("exited with {code}, and succeeded")),
                (None, true) if success => wrong("was killed, and succeeded"),
                (None, false) => wrong("did not end by itself, and nobody asked for its end"),
                _ => None,
            }
        })
        .collect()
}

/// I5.
pub fn logs_are_complete(history: &History) -> Vec<Violation> {
    owned(history)
        .filter(|run| run.success.is_some() && !run.log_was_refused && !run.had_no_room)
        .filter_map(|run| {
            let wrong = check_lines(run)?;
            Some(Violation::new(5, format!("run {}: {wrong}", run.id)))
        })
        .collect()
}

/// What is wrong with the numbered lines of a log.
fn check_lines(run: &Run) -> Option<String> {
    let parts: Vec<&str> = run.log.split(MARKER).collect();
    let may_stop = run.is_killed || run.log.contains(LOST);
    match parts[..] {
        [whole] => {
            let numbers = numbers(whole);
            let expected: Vec<u32> = (1..=run.lines).collect();
            let is_beginning = may_stop && expected.starts_with(&numbers);
            (numbers != expected && !is_beginning)
                .then(|| format!("lines {} instead of 1 to {}", ranges(&numbers), run.lines))
        }
        [head, tail] if run.is_long => {
            let (head, tail) = (numbers(head), numbers(tail));
            let follow = |numbers: &[u32]| numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]);
            let whole = head.first() == Some(&1)
                && (tail.last() == Some(&run.lines) || may_stop)
                && follow(&head)
                && follow(&tail);
            (!whole).then(|| format!("lines {} and {} of {}", ranges(&head), ranges(&tail), run.lines))
        }
        [_, _] => Some("it was cut, and is not long".to_owned()),
        _ => Some(format!("it was cut {} times", parts.len() - 1)),
    }
}

/// The numbers of complete lines `line <n> …`.
fn numbers(text: &str) -> Vec<u32> {
    let lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    lines.filter_map(|line| line.strip_prefix("line ")?.split(' ').next()?.parse().ok()).collect()
}

/// `1-3 5-6` for people.
fn ranges(numbers: &[u32]) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => ranges.push((*number, *number)),
        }
    }
    let texts: Vec<String> = ranges.iter().map(|(from, to)| format!("{from}-{to}")).collect();
    if texts.is_empty() { "none".to_owned() } else { texts.join(" ") }
}

/// I6.
pub fn facts_come_in_order(history: &History) -> Vec<Violation> {
    owned(history)
        .filter_map(|run| {
            let wrong = |what: &str| Some(Violation::new(6, format!("run {}: {what}: {:?}", run.id, run.kinds())));
            let claim = run.first(Did::Claim)?;
            let of = |did| run.steps.iter().filter(move |step| step.did == did).map(|step| step.seq);
            if run.steps.iter().any(|step| step.seq < claim) {
                return wrong("something came before the claim");
            }
            if !run.was_forgotten && run.count(Did::Reset) > 0 {
                return wrong("it was reset");
            }
            if run.count(Did::Other) > 0 {
                return wrong("a PATCH that told nothing");
            }
            if of(Did::Pid).any(|seq| !of(Did::Start).any(|start| start == seq)) {
                return wrong("pid without start");
            }
            let returned = run.first(Did::Return)?;
            if run.steps.iter().any(|step| step.seq > returned) {
                return wrong("something came after the return");
            }
            match (run.first(Did::Start), run.first(Did::Log)) {
                (None, _) => wrong("it returned without a start"),
                // What never ran starts as it returns, behind its log.
                (Some(start), Some(log)) if log < start && run.count(Did::Pid) > 0 && !run.start_was_refused => {
                    wrong("log before the start")
                }
                (_, None) => wrong("it returned without a log"),
                _ => None,
            }
        })
        .collect()
}
