//! Authentication: workers with the id and secret of their registration, readers with the operator's token or a login.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, USER_AGENT};
use axum::http::request::Parts;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::Utc;

use super::credentials;
use super::refusal::FarmRefusal;
use crate::run::Secret;
use crate::server::http::connections;
use crate::server::state::AppState;
use crate::server::store::farm::Contact;
use crate::wire::flamenco::ObjectId;

#[cfg(test)]
mod tests;

/// Longest `User-Agent` that is kept, in bytes.
const MAX_SOFTWARE: usize = 200;

/// Worker that sent a request, after its secret was checked.
#[derive(Clone, Debug)]
pub(super) struct FarmCaller {
    pub id: ObjectId,
    pub contact: Contact,
}

impl FromRequestParts<Arc<AppState>> for FarmCaller {
    type Rejection = FarmRefusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<AppState>) -> Result<Self, FarmRefusal> {
        let (id, secret) = basic(&parts.headers).ok_or(FarmRefusal::Stranger)?;
        let kept = app.store.farm_credentials(id).await?.ok_or(FarmRefusal::Stranger)?;
        // An unknown id and a wrong secret have one answer: it does not tell which ids exist.
        if !credentials::fits(&kept, &secret) {
            return Err(FarmRefusal::Stranger);
        }
        connections::mark_known(&parts.extensions);
        Ok(Self { id, contact: contact(parts) })
    }
}

/// Reader of logs and states.
#[derive(Clone, Copy, Debug)]
pub(super) struct FarmReader;

impl FromRequestParts<Arc<AppState>> for FarmReader {
    type Rejection = FarmRefusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<AppState>) -> Result<Self, FarmRefusal> {
        if !app.admits_reader(&parts.headers) {
            return Err(FarmRefusal::NoReader);
        }
        connections::mark_known(&parts.extensions);
        Ok(Self)
    }
}

/// Operator, who may change something.
#[derive(Clone, Copy, Debug)]
pub(super) struct FarmOperator;

impl FromRequestParts<Arc<AppState>> for FarmOperator {
    type Rejection = FarmRefusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<AppState>) -> Result<Self, FarmRefusal> {
        // A login alone is not enough: a foreign page could make a browser send a form.
        if !app.token.admits(&parts.headers) {
            return Err(FarmRefusal::NoReader);
        }
        connections::mark_known(&parts.extensions);
        Ok(Self)
    }
}

/// Returns when, from where and with which program a request came.
pub(super) fn contact(parts: &Parts) -> Contact {
    let software = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    Contact {
        at: Utc::now(),
        address: connections::address_of(&parts.extensions).to_canonical().to_string(),
        // A header that is text has ASCII characters alone.
        software: software.chars().take(MAX_SOFTWARE).collect(),
    }
}

/// Reads the id and the secret of a request.
fn basic(headers: &HeaderMap) -> Option<(ObjectId, Secret)> {
    let (scheme, encoded) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = STANDARD.decode(encoded.trim()).ok()?;
    // A secret may have colons, an id has none.
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let id = std::str::from_utf8(&decoded[..colon]).ok()?.parse().ok()?;
    Some((id, Secret::new(decoded[colon + 1..].to_vec())))
}
