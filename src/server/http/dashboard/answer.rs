//! What is answered where there is no page to show.

use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};

use super::frame;
use crate::server::store::StoreError;

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub(super) enum PageRefusal {
    /// What was sent does not come from a page of ours.
    #[error("That did not come from a page of this server, or the page was too old. Load it again and try once more.")]
    Stranger,
    /// What is asked for is not there: what that is, in a sentence.
    #[error("{0}")]
    NotFound(String),
    /// It is asked for in a way that cannot be.
    #[error("{0}")]
    Malformed(String),
    /// It is longer than anything that is meant here.
    #[error("{0}")]
    TooLong(String),
    /// It does not come in time.
    #[error("The form came too slowly.")]
    TooSlow,
    /// The store does not answer.
    #[error("The server cannot answer now.")]
    Store(#[from] StoreError),
}

impl PageRefusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::Stranger => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Store(error) if error.is_outage() => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::TooLong(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for PageRefusal {
    fn into_response(self) -> Response {
        if let Self::Store(error @ StoreError::Unwritable(_)) = &self {
            return (self.status(), Html(frame::message(&format!("Nothing was changed: {error}.")))).into_response();
        }
        if let Self::Store(error) = &self
            && !error.is_outage()
        {
            tracing::error!(target: "job_runner.page", "{error}: {:?}", std::error::Error::source(error));
        }
        (self.status(), Html(frame::message(&self.to_string()))).into_response()
    }
}
