//! Who asks: a worker that signed, or an operator that has the token. Nothing else is looked at before that.
//!
//! The original's authorisation believes a header that it has not verified. Here an identity exists only when it was
//! verified, and everything that may be seen or done is asked of it. Whose name nobody knows is refused before the body
//! is read, so that strangers cannot fill our memory.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;

use crate::server::domain::model::Worker;
use crate::server::state::AppState;
use crate::server::store::StoreError;
use crate::wire::hmac;

/// Who asks.
#[derive(Clone, Debug)]
pub enum Identity {
    /// A worker.
    Worker(Box<Worker>),
    /// An operator.
    Operator,
}

/// What was signed.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// The method, in capitals.
    pub method: &'a str,
    /// The path with the query.
    pub path_and_query: &'a str,
    /// The body.
    pub body: &'a [u8],
}

/// Who somebody says to be.
#[derive(Debug)]
pub enum ClaimedIdentity {
    /// An operator, who has shown the token.
    Operator,
    /// A worker that we know, and what it signed with.
    Worker(Box<Worker>, String),
}

impl ClaimedIdentity {
    /// Reads the headers of a request; `None` for somebody we do not know.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn read(app: &AppState, headers: &HeaderMap) -> Result<Option<Self>, StoreError> {
        if app.token.admits(headers) {
            return Ok(Some(Self::Operator));
        }
        let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some((key, signature)) = header.and_then(hmac::claimed) else { return Ok(None) };
        let worker = app.store.worker_of_key(key).await?;
        Ok(worker.map(|worker| Self::Worker(Box::new(worker), signature.to_owned())))
    }

    /// Who it is, if that is true.
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
