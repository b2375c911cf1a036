//! Authentication: a request comes from a worker that signed it, or from an operator with the token; nothing else is
//! looked at before.
//!
//! The original's authorisation believes a header that it has not verified. Here an [`Identity`] exists only once it
//! was verified, and it decides all that may be seen or done. A request of an unknown sender is refused before its body
//! is read, so that strangers cannot fill the memory.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;

use crate::server::domain::model::Worker;
use crate::server::state::AppState;
use crate::server::store::StoreError;
use crate::wire::hmac;

/// Verified sender of a request.
#[derive(Clone, Debug)]
pub enum Identity {
    /// A worker, by its signature.
    Worker(Box<Worker>),
    /// An operator, by the token.
    Operator,
}

/// Parts of a request that a worker signs.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// HTTP method in capitals.
    pub method: &'a str,
    /// Path with the query.
    pub path_and_query: &'a str,
    /// Body of the request.
    pub body: &'a [u8],
}

/// Sender that a request names, before the body was read.
#[derive(Debug)]
pub enum ClaimedIdentity {
    /// An operator, whose token was checked already.
    Operator,
    /// A known worker, and the signature still to be verified.
    Worker(Box<Worker>, String),
}

impl ClaimedIdentity {
    /// Reads the sender from the headers of a request; `None` for an unknown one.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn read(app: &AppState, headers: &HeaderMap) -> Result<Option<Self>, StoreError> {
        // A request that shows the token needs no signature, whatever else its headers say.
        if app.token.admits(headers) {
            return Ok(Some(Self::Operator));
        }
        let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some((key, signature)) = header.and_then(hmac::claimed) else { return Ok(None) };
        let worker = app.store.worker_of_key(key).await?;
        Ok(worker.map(|worker| Self::Worker(Box::new(worker), signature.to_owned())))
    }

    /// Verifies the signature, if there is one; `None` if it is wrong.
    #[must_use]
    pub fn verify(self, signed: Signed<'_>) -> Option<Identity> {
        match self {
            Self::Operator => Some(Identity::Operator),
            Self::Worker(worker, signature) => {
                let Signed { method, path_and_query, body } = signed;
                hmac::fits(&signature, &worker.secret, method, path_and_query, body).then_some(Identity::Worker(worker))
            }
        }
    }
}
