//! Where a page of a list begins: after which run, job or worker, as text that nobody but us reads. Pure.
//!
//! It holds what the list is sorted by, so that a page begins where it should, also when what it begins after is gone.

use super::answer::OperatorRefusal;
use crate::run::RunId;
use crate::server::domain::model::Timestamp;
use crate::server::store::{AfterRun, AfterTitle};

#[cfg(test)]
mod tests;

/// After a run.
pub(super) fn of_run(after: AfterRun) -> String {
    format!("{}:{}", after.at.timestamp_micros(), after.run)
}

/// After a job or worker.
pub(super) fn of_title(title: &str, id: i64) -> String {
    format!("{id}:{title}")
}

/// Reads what [`of_run`] wrote.
pub(super) fn run(text: &str) -> Result<AfterRun, OperatorRefusal> {
    let read = || {
        let (at, run) = text.split_once(':')?;
        let at = Timestamp::from_timestamp_micros(at.parse().ok()?)?;
        Some(AfterRun { at, run: RunId::new(run.parse().ok()?)? })
    };
    read().ok_or_else(|| unreadable(text))
}

/// Reads what [`of_title`] wrote.
pub(super) fn title(text: &str) -> Result<AfterTitle, OperatorRefusal> {
    let read = || {
        let (id, title) = text.split_once(':')?;
        Some(AfterTitle { title: title.to_owned(), id: id.parse().ok()? })
    };
    read().ok_or_else(|| unreadable(text))
}

fn unreadable(text: &str) -> OperatorRefusal {
    OperatorRefusal::Malformed(format!("after={text:?} is no \"next\" of an answer"))
}
