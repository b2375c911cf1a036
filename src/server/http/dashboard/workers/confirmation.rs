//! What stops so much that a click alone does not do it: its words are to be typed. Pure.

use minijinja::{Value, context};

use super::view::{WorkersPage, verb};
use crate::run::{Pace, WorkerCommand};
use crate::server::domain::model::WorkerId;
use crate::server::http::dashboard::form::Filled;
use crate::server::http::dashboard::template::fill;
use crate::server::store::CommandRequest;

#[cfg(test)]
mod tests;

/// So many workers at once are many.
const MANY: usize = 10;
/// How many of them are named.
const NAMED: usize = 20;

/// A wish that stops many workers, or all there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grave {
    /// What is to be typed.
    pub words: String,
    /// Whom it concerns.
    titles: Vec<String>,
    /// How many runs they have.
    runs: usize,
}

impl Grave {
    /// What a wish stops, if that is much: several workers shut down, which start by themselves no more, or stopped
    /// without waiting for their runs. Several are all there are, or many.
    pub fn of(staff: &WorkersPage, chosen: &[WorkerId], wish: &CommandRequest) -> Option<Self> {
        let stops =
            wish.action == WorkerCommand::Shutdown || (wish.pace == Pace::Now && wish.action != WorkerCommand::Wake);
        let named = staff.workers.iter().map(|overview| &overview.worker).filter(|worker| chosen.contains(&worker.id));
        let titles: Vec<String> = named.map(|worker| worker.title.clone()).collect();
        let are_all = titles.len() > 1 && titles.len() == staff.workers.len();
        (stops && (are_all || titles.len() >= MANY)).then(|| {
            let runs = staff.runs.iter().filter(|run| run.run.worker.is_some_and(|worker| chosen.contains(&worker)));
            Self { words: format!("{} {} workers", verb(wish.action), titles.len()), runs: runs.count(), titles }
        })
    }

    /// The page that asks for the words.
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
