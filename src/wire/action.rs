//! What a worker is asked to do, as the answer to what it tells of itself says it: in a header over HTTP, in the head of the
//! answer over a WebSocket.
//!
//! `none`, or the number of the request, the action, and `now` where runs are not waited for.

use crate::run::{Pace, RequestId, WorkerCommand, WorkerRequest};

#[cfg(test)]
mod tests;

/// The header.
pub const HEADER: &str = "job-runner-request";

/// Nothing is asked.
const NONE: &str = "none";
const NOW: &str = "now";

/// What is asked, in words.
#[must_use]
pub fn text(request: Option<WorkerRequest>) -> String {
    match request {
        None => NONE.to_owned(),
        Some(WorkerRequest { id, action, pace: Pace::AfterRuns }) => format!("{id} {}", action.word()),
        Some(WorkerRequest { id, action, pace: Pace::Now }) => format!("{id} {} {NOW}", action.word()),
    }
}

/// Reads what is asked. An action that nobody knows is sleep, which does no harm; what is no request at all is none.
#[must_use]
pub fn read(text: &str) -> Option<WorkerRequest> {
    let mut words = text.split_ascii_whitespace();
    let id = words.next()?.parse().ok().and_then(RequestId::new)?;
    match WorkerCommand::named(words.next()?) {
        Some(action) => {
            let pace = if words.next() == Some(NOW) { Pace::Now } else { Pace::AfterRuns };
            Some(WorkerRequest { id, action, pace })
        }
        None => Some(WorkerRequest { id, action: WorkerCommand::Sleep, pace: Pace::AfterRuns }),
    }
}
