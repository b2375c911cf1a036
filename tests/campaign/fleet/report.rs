//! What is printed of a fleet in the end.

use std::collections::BTreeSet;
use std::time::Duration;

use super::database::due_times;
use super::oracle::{self, Begun, Distribution, Span};
use super::{Campaign, Seen, now};
use crate::oracle::history::Says;
use crate::server::oracle::{self as of_server, Breach, Expected, History, Rule};

/// How late the next due time may be after a kill of the server that dispatches, where nothing else is done.
const LATE_AFTER_KILL: f64 = 5.0;
/// How many breaches are printed in words.
const SHOWN: usize = 40;

impl Campaign<'_> {
    /// Prints everything; whether all was well.
    pub(super) fn report(&self, seen: &Seen, took: Duration) -> bool {
        let begun = oracle::begun(&due_times(&seen.runs), &seen.marks);
        let mut breaches = of_server::judge(&history(seen));
        breaches.extend(overlapping_and_doubled(seen, self.arguments.fleet.kills.is_none()));
        let mut late = oracle::late(&begun, &self.away, self.arguments.fleet.late.as_secs_f64());
        self.print_sums(seen, took);
        self.print_lateness(&begun);
        self.print_kills(&begun, &mut late);
        let missed = self.missed(seen);
        let lines = breaches.iter().map(ToString::to_string);
        let lines = lines.chain(late.iter().map(|what| format!("Late: {what}")));
        let lines: Vec<String> = lines.chain(self.complaints.iter().cloned()).collect();
        lines.iter().take(SHOWN).for_each(|line| println!("{line}"));
        if lines.len() > SHOWN {
            println!("and {} more", lines.len() - SHOWN);
        }
        let faults: usize = self.faults.values().sum();
        println!("faults injected {faults}, {}, late {}", of_server::sum(&breaches), late.len());
        lines.is_empty() && missed == 0
    }

    fn print_sums(&self, seen: &Seen, took: Duration) {
        for (name, count) in &self.faults {
            println!("{count:7} {name}");
        }
        let titles: BTreeSet<&str> = seen.runs.iter().filter_map(|run| run.title.as_deref()).collect();
        let there = |of: &[String]| of.iter().filter(|title| titles.contains(title.as_str())).count();
        let by_hand = || seen.runs.iter().filter(|run| run.title.is_some());
        let outcome = &seen.outcome;
        println!(
            "seed {}, {:?}, {} servers: {} hand-overs accepted; {:.0} s; a server held {} KiB at most",
            self.arguments.seed,
            self.arguments.fleet.engine,
            self.stage.servers.len(),
            outcome.accepted.len(),
            took.as_secs_f64(),
            self.stage.largest
        );
        let (unheard, anyway) = if self.arguments.fleet.kills.is_none() {
            (there(&outcome.unanswered), there(&outcome.refused))
        } else {
            // Hand-overs share titles: which of them it was cannot be told.
            (by_hand().count().saturating_sub(outcome.accepted.len()), 0)
        };
        println!(
            "handed over again: {} without an answer, of which {unheard} had been accepted; {} refused, of which {anyway} \
             had been accepted",
            outcome.unanswered.len(),
            outcome.refused.len(),
        );
        println!(
            "{} executions, {} results of {} runs: {} by hand, {} of {} jobs by schedule, {} of whose times are recorded \
             as passed over",
            seen.marks.iter().filter(|mark| matches!(mark.says, Says::Begin { .. })).count(),
            seen.runs.iter().filter(|run| run.row.is_over).count(),
            seen.runs.len(),
            by_hand().count(),
            seen.runs.len() - by_hand().count(),
            seen.jobs.len(),
            seen.fires.iter().map(|fire| fire.times).sum::<usize>(),
        );
    }

    /// How late the runs began, those that were due while PostgreSQL was away by themselves.
    fn print_lateness(&self, begun: &[Begun]) {
        let meets = |run: &&Begun| self.away.iter().any(|span| run.due < span.to && run.begun > span.from);
        let lateness = |run: &Begun| run.lateness(&self.away);
        let outside = begun.iter().filter(|run| !meets(run)).map(lateness);
        if let Some(of) = Distribution::of(outside) {
            println!("late, {} runs: {of}", of.count);
        }
        if let Some(of) = Distribution::of(begun.iter().filter(meets).map(lateness)) {
            println!("late, {} runs that PostgreSQL held up, since it was back: {of}", of.count);
        }
    }

    /// What came after the kills of the server that dispatched. Where nothing else was done, the next due time may be only
    /// so late.
    fn print_kills(&self, begun: &[Begun], late: &mut Vec<String>) {
        let ends = self.kills.iter().skip(1).map(|kill| kill.at).chain([now()]);
        let spans = self.kills.iter().zip(ends).filter(|(kill, _)| kill.dispatched);
        let spans = spans.map(|(kill, to)| Span { from: kill.at, to });
        let is_calm = |span: &Span| !self.away.iter().any(|away| away.from < span.to && away.to > span.from - 10.0);
        let after: Vec<_> =
            spans.filter(is_calm).filter_map(|span| Some((span, oracle::aftermath(begun, span)?))).collect();
        let rows = [
            ("the next run began", Distribution::of(after.iter().map(|(_, after)| after.next_begin))),
            ("the next due time was late by", Distribution::of(after.iter().map(|(_, after)| after.next_due_late))),
            ("the latest run until the next kill by", Distribution::of(after.iter().map(|(_, after)| after.most_late))),
        ];
        for (what, of) in rows.iter().filter_map(|(what, of)| Some((what, (*of)?))) {
            println!("after {} kills of the server that dispatched, {what}: {of}", of.count);
        }
        if self.arguments.fleet.kills.is_some() {
            let too_late = after.iter().filter(|(_, after)| after.next_due_late > LATE_AFTER_KILL);
            late.extend(too_late.map(|(span, after)| {
                format!("the next due time after the kill at {:.3} was late by {:.2} s", span.from, after.next_due_late)
            }));
        }
    }

    /// How many times were passed over, where none may be: recorded or not.
    fn missed(&self, seen: &Seen) -> usize {
        if self.arguments.fleet.kills.is_none() {
            return 0;
        }
        let missed = of_server::without_run(&history(seen));
        println!("times without a run of their own {missed}");
        missed
    }
}

/// What is judged as of one server: what was accepted without an answer counts as accepted.
fn history(seen: &Seen) -> History {
    let there = seen.runs.iter().filter(|run| run.title.is_some()).map(|run| run.row.id);
    let accepted = seen.outcome.accepted.iter().copied().chain(there);
    History {
        rows: seen.runs.iter().map(|run| run.row.clone()).collect(),
        jobs: seen.jobs.clone(),
        accepted: accepted.map(|run| (run, Expected::Success(true))).collect(),
        marks: seen.marks.clone(),
        fires: seen.fires.clone(),
        survivors: seen.survivors.clone(),
        leaked: seen.leaked.clone(),
    }
}

/// Executions of one run beside each other; hand-overs that made two runs.
fn overlapping_and_doubled(seen: &Seen, has_own_titles: bool) -> Vec<Breach> {
    let overlapping = oracle::overlapping(&seen.marks);
    let overlapping =
        overlapping.iter().map(|run| Breach(Rule::Overlapping, format!("run {run} was executed beside itself")));
    let mut breaches: Vec<Breach> = overlapping.collect();
    let titles = seen.runs.iter().filter_map(|run| run.title.as_deref());
    if has_own_titles {
        let twice = oracle::accepted_twice(titles);
        breaches.extend(twice.iter().map(|title| Breach(Rule::Doubled, format!("{title} made two runs"))));
        return breaches;
    }
    // Without titles of their own, there are at most as many runs as could have been accepted.
    let outcome = &seen.outcome;
    let most = outcome.accepted.len() + outcome.unanswered.len() + outcome.refused.len();
    let made = titles.count();
    if made > most {
        breaches.push(Breach(Rule::Doubled, format!("{made} runs of {most} hand-overs")));
    }
    breaches
}
