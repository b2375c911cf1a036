//! Confirmation of grave commands: one that stops many workers takes words that must be typed, not just a click. Pure.

use minijinja::{Value, context};

use super::view::{WorkersPage, verb};
use crate::run::{Pace, WorkerCommand};
use crate::server::domain::model::WorkerId;
use crate::server::http::dashboard::form::Filled;
use crate::server::http::dashboard::template::fill;
use crate::server::store::CommandRequest;

#[cfg(test)]
mod tests;

/// Number of workers from which on a command needs confirmation.
const MANY: usize = 10;
/// Workers that the confirmation names at most; the others are counted.
const NAMED: usize = 20;

/// Command that stops many workers, or all there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grave {
    /// Words that must be typed to confirm.
    pub words: String,
    /// Titles of the chosen workers.
    titles: Vec<String>,
    /// Number of runs that the chosen workers have.
    runs: usize,
}

impl Grave {
    /// Returns the confirmation that a command needs, if any: for shutting down, because such workers do not start
    /// again by themselves, and for stopping without waiting for runs; each if it concerns at least [`MANY`] workers,
    /// or all of several.
    pub fn of(staff: &WorkersPage, chosen: &[WorkerId], wish: &CommandRequest) -> Option<Self> {
        let stops =
            wish.action == WorkerCommand::Shutdown || (wish.pace == Pace::Now && wish.action != WorkerCommand::Wake);
        let named = staff.workers.iter().map(|overview| &overview.worker).filter(|worker| chosen.contains(&worker.id));
        let titles: Vec<String> = named.map(|worker| worker.title.clone()).collect();
        // A single worker needs no confirmation, even where it is the only one.
        let are_all = titles.len() > 1 && titles.len() == staff.workers.len();
        (stops && (are_all || titles.len() >= MANY)).then(|| {
            let runs = staff.runs.iter().filter(|run| run.run.worker.is_some_and(|worker| chosen.contains(&worker)));
            Self { words: format!("{} {} workers", verb(wish.action), titles.len()), runs: runs.count(), titles }
        })
    }

    /// Renders the page that asks for the words.
    pub fn body(&self, chosen: &[WorkerId], wish: &CommandRequest, form: &Filled, form_token: &str) -> Value {
        let titles = self.titles.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
        fill(
            "workers_grave",
            context! {
                words => &self.words, titles, more => self.titles.len().saturating_sub(NAMED), runs => self.runs,
                now => wish.pace == Pace::Now, action => wish.action.word(), reason => &wish.reason,
                workers => chosen.iter().map(|id| id.get()).collect::<Vec<_>>(), form_token,
                wrong => form.text("words").is_some(),
            },
        )
    }
}
