//! Refusals of the dashboard: the errors of its handlers, and the small page that each becomes.

use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};

use super::plain_page;
use crate::run::chain_of;
use crate::server::http::shared::failed_requests;
use crate::server::store::StoreError;

/// Reason why a request gets no page.
#[derive(Debug, thiserror::Error)]
pub(super) enum PageRefusal {
    /// The request does not come from a page of this server, or carries no valid form token.
    #[error("This form did not come from a page of this server, or the page is too old. Reload it and try again.")]
    Stranger,
    /// The addressed entity does not exist; the sentence names it.
    #[error("{0}")]
    NotFound(String),
    /// The request cannot be read; the sentence says what is wrong.
    #[error("{0}")]
    Malformed(String),
    /// The form is longer than its limit; the sentence names the limit.
    #[error("{0}")]
    TooLong(String),
    /// The form arrives too slowly, or breaks off.
    #[error("The form arrived too slowly.")]
    TooSlow,
    /// The store could not be read or written.
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
            // The message of an unwritable store names its reason, which helps the reader of the page; other failures
            // of the store say nothing to a reader and are logged instead. An outage is logged by the store itself,
            // once.
            return (self.status(), Html(plain_page::message(&format!("Nothing was changed: {error}."))))
                .into_response();
        }
        let mut response = (self.status(), Html(plain_page::message(&self.to_string()))).into_response();
        if let Self::Store(error) = &self
            && !error.is_outage()
        {
            failed_requests::attach(&mut response, chain_of(error));
        }
        response
    }
}
