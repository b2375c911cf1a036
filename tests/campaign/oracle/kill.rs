//! I7: kills.

use std::collections::BTreeSet;

use super::Violation;
use super::history::History;

/// I7.
pub fn kills_are_complete(history: &History) -> Vec<Violation> {
    let excused: BTreeSet<i64> = history.runs.iter().filter(|run| run.was_disowned).map(|run| run.id).collect();
    let mut found = Vec::new();
    for kill in history.kills.iter().filter(|kill| !excused.contains(&kill.run)) {
        if kill.is_executed && !kill.is_taken {
            found.push(Violation::new(7, format!("kill {} of run {} was executed and never taken", kill.id, kill.run)));
        }
        if !kill.is_executed && !kill.was_forgotten {
            found.push(Violation::new(7, format!("kill {} of run {} was never executed", kill.id, kill.run)));
        }
        if !kill.survivors.is_empty() {
            let what = format!("kill {}: {:?} of run {} lived on", kill.id, kill.survivors, kill.run);
            found.push(Violation::new(7, what));
        }
    }
    found.extend(history.bystanders_gone.iter().map(|pid| Violation::new(7, format!("bystander {pid} is gone"))));
    found
}
