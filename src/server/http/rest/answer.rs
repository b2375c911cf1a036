//! Answers: results of calls as the original's status codes. `render` turns them into HTTP responses.

use serde_json::{Value, json};

use super::content::ApiContent;
use crate::run::{Attempt, WorkerRequest};
use crate::server::domain::life::LifeRefusal;
use crate::server::http::connections::Unread;
use crate::wire::instance::OCCUPIED;
use crate::wire::uplink::ELSEWHERE;

/// Progress of a call before it was answered. It decides which caching headers the answer gets, as in the original.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallStage {
    /// Answered before the identity mattered.
    Door,
    /// Refused for the identity of the caller, or for its request.
    Refused,
    /// Answered for the caller's identity.
    Given,
}

/// Answer to a call.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiAnswer {
    /// HTTP status of the answer.
    pub status: u16,
    /// Progress of the call.
    pub stage: CallStage,
    /// Path of the resource that was created, or of the right URL.
    pub location: Option<String>,
    /// Allowed methods, separated by commas.
    pub allow: Option<String>,
    /// Attempt that a claim began.
    pub attempt: Option<Attempt>,
    /// Request that is open for a worker; `Some(None)` tells a worker that knows commands that there is none.
    pub request: Option<Option<WorkerRequest>>,
    /// Content of the answer; without one it is an empty page.
    pub body: Option<ApiContent>,
}

impl ApiAnswer {
    fn empty(status: u16, stage: CallStage) -> Self {
        Self { status, stage, location: None, allow: None, attempt: None, request: None, body: None }
    }

    fn refusal(status: u16, what: &str) -> Self {
        Self { body: Some(ApiContent::Value(json!({"error": what}))), ..Self::empty(status, CallStage::Refused) }
    }

    /// Answers 200 with a value.
    pub fn ok(body: Value) -> Self {
        Self::content(ApiContent::Value(body))
    }

    /// Answers 200 with a content, which may be long.
    pub fn content(body: ApiContent) -> Self {
        Self { body: Some(body), ..Self::empty(200, CallStage::Given) }
    }

    /// Answers 200 with a value that every caller may see.
    pub fn open(body: Value) -> Self {
        Self { stage: CallStage::Door, ..Self::ok(body) }
    }

    /// Answers 201 with the path of the new resource.
    pub fn created(location: String) -> Self {
        Self { location: Some(location), ..Self::empty(201, CallStage::Given) }
    }

    /// Answers 202: the change was made.
    pub fn accepted() -> Self {
        Self::empty(202, CallStage::Given)
    }

    /// Answers 204: the resource was replaced.
    pub fn replaced() -> Self {
        Self::empty(204, CallStage::Given)
    }

    /// Answers 301: the path needs a slash at its end.
    pub fn elsewhere(location: String) -> Self {
        Self { location: Some(location), ..Self::empty(301, CallStage::Door) }
    }

    /// Answers 401: the caller is unknown, or may not see the resource.
    pub fn unauthorised() -> Self {
        Self::empty(401, CallStage::Refused)
    }

    /// Answers 403: the caller may not make this kind of change, whatever the resource.
    pub fn forbidden(what: &str) -> Self {
        Self::refusal(403, what)
    }

    /// Answers 404: the path does not exist.
    pub fn no_path() -> Self {
        Self::empty(404, CallStage::Door)
    }

    /// Answers 404: the resource does not exist.
    pub fn not_found() -> Self {
        Self::empty(404, CallStage::Given)
    }

    /// Answers 404: the text cannot be an id or path of a resource.
    pub fn no_name(what: &str) -> Self {
        Self::refusal(404, what)
    }

    /// Answers 405 with the allowed methods.
    pub fn not_allowed(methods: &[&str]) -> Self {
        Self { allow: Some(methods.join(",")), ..Self::empty(405, CallStage::Door) }
    }

    /// Answers 200 to OPTIONS with the allowed methods.
    pub fn options(methods: &[&str]) -> Self {
        Self { status: 200, ..Self::not_allowed(methods) }
    }

    /// Answers 400: the request breaks a rule.
    pub fn bad(what: &str) -> Self {
        Self::refusal(400, what)
    }

    /// Answers 500: the request cannot be read. The status is the original's, which its clients expect.
    pub fn unreadable(what: &str) -> Self {
        Self { body: Some(ApiContent::Value(json!({"error_message": what}))), ..Self::empty(500, CallStage::Refused) }
    }

    /// Answers 413 or 408: the body is longer than `most` bytes, or came too slowly.
    pub fn unread(unread: Unread, most: usize) -> Self {
        // A worker sends a log again after a 408, but never after a 413, so the two must not be confused.
        match unread {
            Unread::TooLong => Self::refusal(413, &format!("a body has {most} bytes at most")),
            Unread::TooSlow => Self::refusal(408, "the body arrived too slowly"),
        }
    }

    /// Answers 416: the log of the run ends before the text that was told, or has another text there.
    pub fn other_log() -> Self {
        Self::refusal(ELSEWHERE, "the log has another length or another text")
    }

    /// Answers 413: the log would have more than `most` bytes.
    pub fn long_log(most: u64) -> Self {
        Self::refusal(413, &format!("a log has {most} bytes at most"))
    }

    /// Answers 423: another instance of the calling worker is active.
    pub fn occupied(what: &str) -> Self {
        Self::refusal(OCCUPIED, what)
    }

    /// Answers 500: the server failed.
    pub fn failed() -> Self {
        Self::unreadable("Sorry, this request could not be processed. Please try again later.")
    }

    /// Answers 503: the store cannot be written for now. The body has the form of [`Self::unreadable`], and the caller
    /// should try again.
    pub fn unavailable(what: &str) -> Self {
        Self { body: Some(ApiContent::Value(json!({"error_message": what}))), ..Self::empty(503, CallStage::Refused) }
    }

    /// Answers a change of a run that the rules of its life refuse.
    pub fn refused(refusal: LifeRefusal) -> Self {
        let status = match refusal {
            // The original's status for it, which its worker takes for "not mine".
            LifeRefusal::Theirs => return Self::unauthorised(),
            LifeRefusal::Malformed(_) => 400,
            LifeRefusal::Claimed
            | LifeRefusal::NotClaimed
            | LifeRefusal::NotDue
            | LifeRefusal::Final
            | LifeRefusal::OldAttempt => 409,
        };
        Self::refusal(status, &refusal.to_string())
    }
}
