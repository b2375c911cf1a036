//! Page marks: encodes the run, job or worker after which a page of a list begins, as opaque text. Pure.
//!
//! A mark holds the sort key of the list, so that a page begins in the right place also when the entity of the mark is
//! gone.

use super::answer::OperatorRefusal;
use crate::run::RunId;
use crate::server::domain::model::Timestamp;
use crate::server::store::{AfterRun, AfterTitle};

#[cfg(test)]
mod tests;

/// Encodes the mark after a run.
pub(super) fn of_run(after: AfterRun) -> String {
    format!("{}:{}", after.at.timestamp_micros(), after.run)
}

/// Encodes the mark after a job or worker.
pub(super) fn of_title(title: &str, id: i64) -> String {
    // The id comes first: a title may contain a colon, an id cannot.
    format!("{id}:{title}")
}

/// Decodes the text of [`of_run`].
pub(super) fn run(text: &str) -> Result<AfterRun, OperatorRefusal> {
    let read = || {
        let (at, run) = text.split_once(':')?;
        let at = Timestamp::from_timestamp_micros(at.parse().ok()?)?;
        Some(AfterRun { at, run: RunId::new(run.parse().ok()?)? })
    };
    read().ok_or_else(|| unreadable(text))
}

/// Decodes the text of [`of_title`].
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
