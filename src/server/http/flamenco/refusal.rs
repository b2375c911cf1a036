//! Refusals of the Manager's face: a status, and a text for people.

use std::io;

use axum::http::StatusCode;
use axum::http::header::WWW_AUTHENTICATE;
use axum::response::{IntoResponse, Response};

use crate::run::chain_of;
use crate::server::http::shared::failed_requests;
use crate::server::store::StoreError;
use crate::wire::flamenco::ObjectId;

/// Reason for a refusal.
#[derive(Debug, thiserror::Error)]
pub(super) enum FarmRefusal {
    /// The request has no id and secret of a worker.
    #[error("Unauthorized.")]
    Stranger,
    /// The request has neither the operator's token nor a login.
    #[error("The operator's token is needed: Authorization: Bearer TOKEN")]
    NoReader,
    /// The worker was removed after it authenticated.
    #[error("Worker {0} is unknown.")]
    UnknownWorker(ObjectId),
    /// The registration is not signed.
    #[error("Missing Bearer token for registration")]
    Unsigned,
    /// The registration is signed wrongly.
    #[error("Invalid Bearer token for registration")]
    WronglySigned,
    /// The body is no document of this kind.
    #[error("Unable to decode JSON: {0}")]
    NotJson(serde_json::Error),
    /// The body says what is not allowed.
    #[error("{0}")]
    NotAllowed(String),
    /// Too many workers register or are registered.
    #[error("{0}")]
    TooMany(&'static str),
    /// The task does not exist.
    #[error("Task {0} is unknown.")]
    UnknownTask(String),
    /// The task is another worker's.
    #[error("Task {0} is assigned to another worker.")]
    OfAnother(ObjectId),
    /// The worker that is named does not exist.
    #[error("Worker not found")]
    NoWorker,
    /// The body is said to be something else than JSON.
    #[error("JSON is expected: Content-Type: application/json")]
    NotJsonType,
    /// The worker supports no types of tasks.
    #[error("You do not support any task types.")]
    NoTypes,
    /// No paths are named.
    #[error("No paths given.")]
    NoPaths,
    /// There is no such log.
    #[error("There is no such log.")]
    NoLog,
    /// The log of a task cannot be read or written.
    #[error("The log cannot be used.")]
    Log(#[source] io::Error),
    /// The store failed or is out of service.
    #[error("The server cannot answer now.")]
    Store(#[from] StoreError),
}

impl FarmRefusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::Stranger | Self::NoReader => StatusCode::UNAUTHORIZED,
            Self::UnknownWorker(_) | Self::Unsigned | Self::WronglySigned => StatusCode::FORBIDDEN,
            Self::NotJson(_) | Self::NotAllowed(_) => StatusCode::BAD_REQUEST,
            // The original worker gives up after 403 alone; after this it tries again.
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::UnknownTask(_) | Self::NoLog | Self::NoWorker => StatusCode::NOT_FOUND,
            Self::OfAnother(_) => StatusCode::CONFLICT,
            Self::NoTypes | Self::NotJsonType => StatusCode::NOT_ACCEPTABLE,
            Self::NoPaths => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Log(_) | Self::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn cause(&self) -> Option<String> {
        match self {
            Self::Log(error) => Some(chain_of(error).to_string()),
            // The store logs an outage once.
            Self::Store(error) if !error.is_outage() => Some(chain_of(error).to_string()),
            _ => None,
        }
    }
}

impl IntoResponse for FarmRefusal {
    fn into_response(self) -> Response {
        let mut response = (self.status(), format!("{self}\n")).into_response();
        if matches!(self, Self::Stranger) {
            let realm = axum::http::HeaderValue::from_static("Basic realm=\"Flamenco Manager\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, realm);
        }
        if let Some(cause) = self.cause() {
            failed_requests::attach(&mut response, cause);
        }
        response
    }
}
