//! Confirmation of far-reaching commands: one that stops many workers takes words that must be typed, not just a click. Pure.

use minijinja::{Value, context};

use super::view::{WorkersPage, verb};
use crate::run::{Pace, WorkerCommand};
use crate::server::domain::model::WorkerId;
use crate::server::http::dashboard::form::FormValues;
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
pub struct Confirmation {
    /// Words that must be typed to confirm.
    pub words: String,
    /// Titles of the chosen workers.
    titles: Vec<String>,
    /// Number of runs that the chosen workers have.
    runs: usize,
}

impl Confirmation {
    /// Returns the confirmation that a command needs, if any: for shutting down, because such workers do not start
    /// again by themselves, and for stopping without waiting for runs; each if it concerns at least [`MANY`] workers,
    /// or all of several.
    pub fn of(page: &WorkersPage, chosen: &[WorkerId], command: &CommandRequest) -> Option<Self> {
        let stops = command.action == WorkerCommand::Shutdown
            || (command.pace == Pace::Now && command.action != WorkerCommand::Wake);
        let named = page.workers.iter().map(|overview| &overview.worker).filter(|worker| chosen.contains(&worker.id));
        let titles: Vec<String> = named.map(|worker| worker.title.to_string()).collect();
        // A single worker needs no confirmation, even where it is the only one.
        let are_all = titles.len() > 1 && titles.len() == page.workers.len();
        (stops && (are_all || titles.len() >= MANY)).then(|| {
            let runs = page.runs.iter().filter(|run| run.run.worker.is_some_and(|worker| chosen.contains(&worker)));
            Self { words: format!("{} {} workers", verb(command.action), titles.len()), runs: runs.count(), titles }
        })
    }

    /// Renders the page that asks for the words.
    pub fn body(&self, chosen: &[WorkerId], command: &CommandRequest, form: &FormValues, form_token: &str) -> Value {
        let titles = self.titles.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
        fill(
            "workers_confirmation",
            context! {
                words => &self.words, titles, more => self.titles.len().saturating_sub(NAMED), runs => self.runs,
                now => command.pace == Pace::Now, action => command.action.word(), reason => &command.reason,
                workers => chosen.iter().map(|id| id.get()).collect::<Vec<_>>(), form_token,
                wrong => form.text("words").is_some(),
            },
        )
    }
}
