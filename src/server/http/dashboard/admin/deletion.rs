//! Deletion warnings: sentences about what a deletion takes along, and whether it needs the entity's title. Pure.

use crate::server::store::DeletionImpact;

#[cfg(test)]
mod tests;

/// Numbers of templates and jobs, and of runs, from which on a deletion needs the title to be typed.
const MANY: u32 = 10;
const MANY_RUNS: u32 = 100;

/// Whether so much is deleted that the title must be typed.
pub fn is_large(impact: &DeletionImpact) -> bool {
    impact.templates + impact.jobs >= MANY || impact.runs >= MANY_RUNS
}

/// Sentences about what is deleted along with the entity, and which jobs lose their parent; or why nothing can be
/// deleted now.
pub fn impact_sentences(impact: &DeletionImpact) -> Vec<String> {
    let DeletionImpact { templates, jobs, runs, orphans, active, .. } = impact;
    if *active > 0 {
        let runs = count(*active, "run");
        return vec![format!("Not now: {runs} of it {} under way. Kill what is not to finish, or wait.", are(*active))];
    }
    let mut lines = Vec::new();
    let parts = [(*templates, "template"), (*jobs, "job"), (*runs, "run")];
    let parts: Vec<String> = parts.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| count(n, what)).collect();
    if let Some((last, first)) = parts.split_last() {
        let first = if first.is_empty() { String::new() } else { format!("{} and ", first.join(", ")) };
        let logs = if *runs > 0 { ", with the logs," } else { "" };
        lines.push(format!("With it {first}{last}{logs} are deleted for good."));
    } else {
        lines.push("Nothing else is deleted with it.".to_owned());
    }
    if *orphans > 0 {
        let stay = if *orphans == 1 { "runs after it and stays" } else { "run after it and stay" };
        lines.push(format!("{} {stay}: nothing starts {} any more.", count(*orphans, "job"), them(*orphans)));
    }
    lines
}

fn count(number: u32, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn are(number: u32) -> &'static str {
    if number == 1 { "is" } else { "are" }
}

fn them(number: u32) -> &'static str {
    if number == 1 { "it" } else { "them" }
}
