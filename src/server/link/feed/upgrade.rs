//! Checks of WebSocket requests: whether a request is one, and whether its origin may open one. Pure.

use axum::http::header::{
    CONNECTION, HOST, ORIGIN, RETRY_AFTER, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE, WWW_AUTHENTICATE,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};

#[cfg(test)]
mod tests;

/// WebSocket version of RFC 6455, the only one.
const VERSION: &str = "13";

/// Reason for which a request is not upgraded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpgradeRefusal {
    /// The request is plain HTTP.
    Plain,
    /// The version is not 13, or the key is invalid.
    Malformed,
    /// A page of a foreign origin asks.
    Foreign,
    /// The request uses a host name that is not this machine's.
    OtherName,
    /// The request has neither token nor session.
    Unknown,
    /// All places are taken.
    Full,
}

impl UpgradeRefusal {
    /// Returns the HTTP response that refuses the request.
    pub fn answer(self) -> Response {
        let (status, headers, text): (_, &[_], _) = match self {
            Self::Plain => (
                StatusCode::UPGRADE_REQUIRED,
                &[(UPGRADE, "websocket"), (CONNECTION, "upgrade")],
                "a WebSocket is served here",
            ),
            Self::Malformed => (
                StatusCode::BAD_REQUEST,
                &[(SEC_WEBSOCKET_VERSION, VERSION)],
                "the WebSocket version is 13, and the key is 16 bytes in base64",
            ),
            Self::Foreign => {
                (StatusCode::FORBIDDEN, &[], "pages of this origin may not listen; allowed_origins says which may")
            }
            Self::OtherName => (
                StatusCode::MISDIRECTED_REQUEST,
                &[],
                "this server is not known by that name; see host_names in its settings",
            ),
            Self::Unknown => {
                (StatusCode::UNAUTHORIZED, &[(WWW_AUTHENTICATE, "Bearer")], "the operator's token is missing")
            }
            Self::Full => (StatusCode::SERVICE_UNAVAILABLE, &[(RETRY_AFTER, "10")], "too many listen already"),
        };
        let mut response = (status, format!("{text}\n")).into_response();
        for (name, value) in headers {
            response.headers_mut().insert(name.clone(), HeaderValue::from_static(value));
        }
        response
    }
}

/// Checks that a request asks for a WebSocket as RFC 6455 requires.
///
/// # Errors
/// If it does not: [`UpgradeRefusal::Plain`] or [`UpgradeRefusal::Malformed`].
pub fn check(method: &Method, headers: &HeaderMap) -> Result<(), UpgradeRefusal> {
    let has = |name, wanted: &str| {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|word| word.trim().eq_ignore_ascii_case(wanted))
    };
    if method != Method::GET || !has(UPGRADE, "websocket") || !has(CONNECTION, "upgrade") {
        return Err(UpgradeRefusal::Plain);
    }
    let is_13 = headers.get(SEC_WEBSOCKET_VERSION).is_some_and(|version| version.as_bytes().trim_ascii() == b"13");
    if is_13 && headers.get(SEC_WEBSOCKET_KEY).is_some_and(|key| is_key(key.as_bytes())) {
        Ok(())
    } else {
        Err(UpgradeRefusal::Malformed)
    }
}

/// Returns whether a key is sixteen bytes in base64: 22 digits, of the last of which four bits are zero, and two signs
/// of padding.
fn is_key(key: &[u8]) -> bool {
    let Some((digits, b"==")) = key.split_last_chunk::<2>() else { return false };
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    digits.len() == 22 && digits.iter().all(is_digit) && matches!(digits[21], b'A' | b'Q' | b'g' | b'w')
}

/// Origins whose pages may open a WebSocket. A request without `Origin` does not come from a browser.
#[derive(Clone, Copy, Debug)]
pub struct Origins<'a> {
    /// Other origins that are allowed; `*` allows all.
    pub allowed: &'a [String],
    /// Whether other ports of the same host are allowed, if its name is an address or `localhost`. Any other name may
    /// be pointed here by its owner.
    pub any_port: bool,
}

impl Origins<'_> {
    /// Checks the origin of a request.
    ///
    /// # Errors
    /// If the origin may not: [`UpgradeRefusal::Foreign`].
    pub fn check(self, headers: &HeaderMap) -> Result<(), UpgradeRefusal> {
        let mut origins = headers.get_all(ORIGIN).iter();
        // Several `Origin` headers are refused: proxies and servers disagree about which one counts.
        let (Some(origin), None) = (origins.next(), origins.next()) else {
            return if headers.contains_key(ORIGIN) { Err(UpgradeRefusal::Foreign) } else { Ok(()) };
        };
        let text = |value: &HeaderValue| value.to_str().ok().map(str::to_ascii_lowercase);
        let host = headers.get(HOST).and_then(text).unwrap_or_default();
        let welcome = text(origin).is_some_and(|origin| self.admits(&origin, &host));
        if welcome { Ok(()) } else { Err(UpgradeRefusal::Foreign) }
    }

    fn admits(self, origin: &str, host: &str) -> bool {
        if self
            .allowed
            .iter()
            .any(|allowed| allowed == "*" || allowed.trim_end_matches('/').eq_ignore_ascii_case(origin))
        {
            return true;
        }
        let Some((scheme @ ("http" | "https"), from)) = origin.split_once("://") else { return false };
        // Browsers leave out the port of the scheme.
        let port = if scheme == "https" { "443" } else { "80" };
        let (from, host) = (split(from, port), split(host, port));
        from == host || (self.any_port && from.0 == host.0 && is_fixed(from.0))
    }
}

/// Splits an authority into name and port.
fn split<'a>(authority: &'a str, default: &'a str) -> (&'a str, &'a str) {
    match authority.rsplit_once(':') {
        // A colon within the brackets of an IPv6 address is not followed by a port.
        Some((name, port)) if !port.ends_with(']') => (name, port),
        _ => (authority, default),
    }
}

/// Returns whether an authority is an address or `localhost`, which nobody can point elsewhere.
#[must_use]
pub fn is_address(host: &str) -> bool {
    is_fixed(&split(host, "80").0.to_ascii_lowercase())
}

/// Returns whether a name leads every client to the same place.
fn is_fixed(name: &str) -> bool {
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name == "localhost" || address.parse::<std::net::IpAddr>().is_ok()
}
