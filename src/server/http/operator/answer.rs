//! How it is answered: JSON, and one sentence fragment where something is refused.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;

use crate::server::domain::rules::RuleViolation;
use crate::server::http::connections::is_too_slow;
use crate::server::store::StoreError;
use crate::wire::operator::RequestRefusal;

/// Why there is no other answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum OperatorRefusal {
    /// Who asks may not.
    #[error("the operator's token is needed: Authorization: Bearer TOKEN")]
    Stranger,
    /// What is asked for is not there.
    #[error("{0}")]
    NotFound(String),
    /// It is asked for in a way that cannot be.
    #[error("{0}")]
    Malformed(String),
    /// It is longer than anything that is meant here.
    #[error("{0}")]
    TooLong(String),
    /// It does not come in time.
    #[error("the body came too slowly")]
    TooSlow,
    /// It cannot be as things are.
    #[error("{0}")]
    Conflict(String),
    /// Too many ask for it at once.
    #[error("too many follow runs already; {0} at once are allowed")]
    Busy(usize),
    /// Nothing can be written for now.
    #[error(transparent)]
    Outage(StoreError),
    /// The store does not answer.
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
            Self::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<StoreError> for OperatorRefusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict(what) => Self::Conflict(what),
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

impl IntoResponse for OperatorRefusal {
    fn into_response(self) -> Response {
        if let Self::Store(error) = &self {
            tracing::error!(target: "job_runner.operator", "{error}: {:?}", std::error::Error::source(error));
        }
        (self.status(), Json(RequestRefusal { error: self.to_string() })).into_response()
    }
}

/// A body in JSON, whose mistakes are told as everything else is.
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

/// What is answered where nothing is served.
pub(super) async fn nothing_here() -> OperatorRefusal {
    OperatorRefusal::NotFound("there is nothing here".to_owned())
}
