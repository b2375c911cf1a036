//! Answers of the operator API: JSON, and one sentence fragment where a request is refused.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;

use crate::run::chain_of;
use crate::server::domain::rules::RuleViolation;
use crate::server::domain::title::TitleViolation;
use crate::server::http::connections::is_too_slow;
use crate::server::http::shared::failed_requests;
use crate::server::store::StoreError;
use crate::wire::operator::RequestRefusal;

/// Reason for a refusal, each with its own HTTP status.
#[derive(Debug, thiserror::Error)]
pub(super) enum OperatorRefusal {
    /// The request has no valid token, and no login that suffices.
    #[error("the operator's token is needed: Authorization: Bearer TOKEN")]
    Stranger,
    /// The entity or path does not exist.
    #[error("{0}")]
    NotFound(String),
    /// The request is malformed or breaks a rule.
    #[error("{0}")]
    Malformed(String),
    /// The body is longer than [`super::MAX_BODY`].
    #[error("{0}")]
    TooLong(String),
    /// The body does not arrive in time.
    #[error("the body arrived too slowly")]
    TooSlow,
    /// The request contradicts the present state.
    #[error("{0}")]
    Conflict(String),
    /// All places for followers are taken.
    #[error("too many clients follow runs already; {0} at once are allowed")]
    Busy(usize),
    /// The log of a Flamenco task cannot be read; the log of the server has the cause.
    #[error("the log of the task cannot be read now")]
    Log(#[source] std::io::Error),
    /// The store cannot be written for now.
    #[error(transparent)]
    Outage(StoreError),
    /// The store failed; the log has the cause.
    #[error("the server cannot answer now")]
    Store(#[source] StoreError),
}

impl OperatorRefusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::Stranger => StatusCode::UNAUTHORIZED,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::TooLong(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Busy(_) | Self::Outage(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Store(_) | Self::Log(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<StoreError> for OperatorRefusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict(what) => Self::Conflict(what.to_string()),
            outage if outage.is_outage() => Self::Outage(outage),
            other => Self::Store(other),
        }
    }
}

impl From<RuleViolation> for OperatorRefusal {
    fn from(broken: RuleViolation) -> Self {
        Self::Malformed(broken.to_string())
    }
}

impl From<TitleViolation> for OperatorRefusal {
    fn from(broken: TitleViolation) -> Self {
        Self::Malformed(broken.to_string())
    }
}

impl IntoResponse for OperatorRefusal {
    fn into_response(self) -> Response {
        let mut response = (self.status(), Json(RequestRefusal { error: self.to_string() })).into_response();
        // An outage is not logged with the request: the store does so, once.
        match &self {
            Self::Store(error) => failed_requests::attach(&mut response, chain_of(error)),
            // Which file it was stands in the error of the system, and is nobody's business outside.
            Self::Log(error) => failed_requests::attach(&mut response, chain_of(error)),
            _ => {}
        }
        response
    }
}

/// JSON body of a request; a fault in it is answered as an [`OperatorRefusal`].
pub(super) struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = OperatorRefusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, OperatorRefusal> {
        Ok(Self(Json::from_request(request, state).await?.0))
    }
}

impl From<JsonRejection> for OperatorRefusal {
    fn from(rejection: JsonRejection) -> Self {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            return Self::TooLong(rejection.body_text());
        }
        if is_too_slow(&rejection) { Self::TooSlow } else { Self::Malformed(rejection.body_text()) }
    }
}

/// Answers a request for a path that does not exist.
pub(super) async fn no_such_path() -> OperatorRefusal {
    OperatorRefusal::NotFound("the operator API has no such path".to_owned())
}
