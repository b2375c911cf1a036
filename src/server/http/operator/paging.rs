//! Paging of lists: bounds the length of a page, and encodes the run, job or worker after which a page begins as an
//! opaque mark. Pure.
//!
//! A mark holds the sort key of the list, so that a page begins in the right place also when the entity of the mark is
//! gone.

use serde::Deserialize;

use super::refusal::OperatorRefusal;
use crate::run::RunId;
use crate::server::domain::model::Timestamp;
use crate::server::store::{AfterRun, AfterTitle};

#[cfg(test)]
mod tests;

/// Length of a page of runs where the request names none.
const DEFAULT_PAGE: u32 = 50;
/// Longest page of a list.
pub(super) const MAX_PAGE: u32 = 1000;

/// Page of a list of jobs or workers.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PageQuery {
    pub after: Option<String>,
    pub limit: Option<u32>,
}

/// Bounds the length of a page of which `asked` entries are wanted.
pub(super) fn limit(asked: Option<u32>) -> u32 {
    asked.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE)
}

/// Encodes the mark after a run.
pub(super) fn mark_of_run(after: AfterRun) -> String {
    format!("{}:{}", after.at.timestamp_micros(), after.run)
}

/// Encodes the mark after a job or worker.
pub(super) fn mark_of_title(title: &str, id: i64) -> String {
    // The id comes first: a title may contain a colon, an id cannot.
    format!("{id}:{title}")
}

/// Decodes the text of [`mark_of_run`].
pub(super) fn after_run(text: &str) -> Result<AfterRun, OperatorRefusal> {
    let read = || {
        let (at, run) = text.split_once(':')?;
        let at = Timestamp::from_timestamp_micros(at.parse().ok()?)?;
        Some(AfterRun { at, run: RunId::new(run.parse().ok()?)? })
    };
    read().ok_or_else(|| unreadable(text))
}

/// Decodes the text of [`mark_of_title`].
pub(super) fn after_title(text: &str) -> Result<AfterTitle, OperatorRefusal> {
    let read = || {
        let (id, title) = text.split_once(':')?;
        Some(AfterTitle { title: title.to_owned(), id: id.parse().ok()? })
    };
    read().ok_or_else(|| unreadable(text))
}

fn unreadable(text: &str) -> OperatorRefusal {
    OperatorRefusal::Malformed(format!("after={text:?} is no \"next\" of an answer"))
}
