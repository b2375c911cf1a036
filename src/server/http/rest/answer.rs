//! Answers: what became of a call, with the original's status codes. How they look on the wire, `dress` knows.

use serde_json::{Value, json};

use super::content::ApiContent;
use crate::run::{Attempt, WorkerRequest};
use crate::server::domain::life::LifeRefusal;
use crate::server::http::connections::Unread;
use crate::wire::instance::OCCUPIED;

/// How far a call came before it was answered. The original's caches are told more the further it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It did not matter who asks.
    Door,
    /// Who asks was refused.
    Refused,
    /// Who asks was given what there is.
    Given,
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiAnswer {
    /// The status.
    pub status: u16,
    /// How far the call came.
    pub stage: Stage,
    /// The path of what was made, or of what was meant.
    pub location: Option<String>,
    /// The methods that are allowed.
    pub allow: Option<String>,
    /// The attempt that a claim began.
    pub attempt: Option<Attempt>,
    /// What a worker that knows of actions is asked to do, or that it is nothing.
    pub request: Option<Option<WorkerRequest>>,
    /// The body; without one it is an empty page.
    pub body: Option<ApiContent>,
}

impl ApiAnswer {
    fn empty(status: u16, stage: Stage) -> Self {
        Self { status, stage, location: None, allow: None, attempt: None, request: None, body: None }
    }

    fn refusal(status: u16, what: &str) -> Self {
        Self { body: Some(ApiContent::Value(json!({"error": what}))), ..Self::empty(status, Stage::Refused) }
    }

    /// Here it is.
    pub fn ok(body: Value) -> Self {
        Self::content(ApiContent::Value(body))
    }

    /// Here it is, also where it is long.
    pub fn content(body: ApiContent) -> Self {
        Self { body: Some(body), ..Self::empty(200, Stage::Given) }
    }

    /// Here it is, whoever asks.
    pub fn open(body: Value) -> Self {
        Self { stage: Stage::Door, ..Self::ok(body) }
    }

    /// It was made.
    pub fn created(location: String) -> Self {
        Self { location: Some(location), ..Self::empty(201, Stage::Given) }
    }

    /// It was changed.
    pub fn accepted() -> Self {
        Self::empty(202, Stage::Given)
    }

    /// It was replaced.
    pub fn replaced() -> Self {
        Self::empty(204, Stage::Given)
    }

    /// The path wants a slash at its end.
    pub fn elsewhere(location: String) -> Self {
        Self { location: Some(location), ..Self::empty(301, Stage::Door) }
    }

    /// We do not know who asks, or may not show it to who asks.
    pub fn unauthorised() -> Self {
        Self::empty(401, Stage::Refused)
    }

    /// The caller may not do it, whatever it is done to.
    pub fn forbidden(what: &str) -> Self {
        Self::refusal(403, what)
    }

    /// There is no such path.
    pub fn no_path() -> Self {
        Self::empty(404, Stage::Door)
    }

    /// There is no such thing.
    pub fn not_found() -> Self {
        Self::empty(404, Stage::Given)
    }

    /// What is named cannot be the name of a thing.
    pub fn no_name(what: &str) -> Self {
        Self::refusal(404, what)
    }

    /// That cannot be done here.
    pub fn not_allowed(methods: &[&str]) -> Self {
        Self { allow: Some(methods.join(",")), ..Self::empty(405, Stage::Door) }
    }

    /// What can be done here.
    pub fn options(methods: &[&str]) -> Self {
        Self { status: 200, ..Self::not_allowed(methods) }
    }

    /// What was sent makes no sense.
    pub fn bad(what: &str) -> Self {
        Self::refusal(400, what)
    }

    /// What was sent cannot be read. A 500, because that is what clients of the original know for it.
    pub fn unreadable(what: &str) -> Self {
        Self { body: Some(ApiContent::Value(json!({"error_message": what}))), ..Self::empty(500, Stage::Refused) }
    }

    /// More than we take, or not in time.
    pub fn unread(unread: Unread, most: usize) -> Self {
        match unread {
            Unread::TooLong => Self::refusal(413, &format!("a body has {most} bytes at most")),
            Unread::TooSlow => Self::refusal(408, "the body came too slowly"),
        }
    }

    /// Another instance of the worker that asks is at work.
    pub fn occupied(what: &str) -> Self {
        Self::refusal(OCCUPIED, what)
    }

    /// We could not do it.
    pub fn failed() -> Self {
        Self::unreadable("Sorry, this request could not be processed. Please try again later.")
    }

    /// We cannot do it for now. Said as what cannot be read is, and to be tried again.
    pub fn unavailable(what: &str) -> Self {
        Self { body: Some(ApiContent::Value(json!({"error_message": what}))), ..Self::empty(503, Stage::Refused) }
    }

    /// A change that a run's life does not allow.
    pub fn refused(refusal: LifeRefusal) -> Self {
        let status = match refusal {
            // As the original, whose worker knows it for "not mine".
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
