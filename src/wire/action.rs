//! Encodes a command to a worker as the text that answers its status report: a header over HTTP, a field of the
//! answer's head over a WebSocket.
//!
//! The text is `none`, or `<request id> <command>`, followed by `now` where running jobs are not waited for.

use crate::run::{Pace, RequestId, WorkerCommand, WorkerRequest};

#[cfg(test)]
mod tests;

/// Name of the header of an HTTP answer.
pub const HEADER: &str = "job-runner-request";

/// Text of an answer that carries no request.
const NONE: &str = "none";
const NOW: &str = "now";

/// Encodes the request that is open for a worker; `None` becomes `none`.
#[must_use]
pub fn text(request: Option<WorkerRequest>) -> String {
    match request {
        None => NONE.to_owned(),
        Some(WorkerRequest { id, action, pace: Pace::AfterRuns }) => format!("{id} {}", action.word()),
        Some(WorkerRequest { id, action, pace: Pace::Now }) => format!("{id} {} {NOW}", action.word()),
    }
}

/// Decodes a request. An unknown command is read as sleep, which does no harm; text without a positive request id and a
/// command is `None`.
#[must_use]
pub fn read(text: &str) -> Option<WorkerRequest> {
    let mut words = text.split_ascii_whitespace();
    let id = words.next()?.parse().ok().and_then(RequestId::new)?;
    match WorkerCommand::named(words.next()?) {
        Some(action) => {
            let pace = if words.next() == Some(NOW) { Pace::Now } else { Pace::AfterRuns };
            Some(WorkerRequest { id, action, pace })
            // A command of a later server still has to stop new runs here: the server waits for it, and gives the worker
            // none meanwhile.
        }
        None => Some(WorkerRequest { id, action: WorkerCommand::Sleep, pace: Pace::AfterRuns }),
    }
}
