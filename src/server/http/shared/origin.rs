//! Origin of forms: tells a form that a page of this server sends from one that another site forges. Pure.

use axum::http::HeaderMap;
use axum::http::header::ORIGIN;

use crate::server::link::feed::upgrade::Origins;

#[cfg(test)]
mod tests;

/// Header in which browsers name the relation of the sending page to this server, on connections that they trust.
const SITE: &str = "sec-fetch-site";

/// Whether a request comes from a page of this server: neither `Sec-Fetch-Site` nor `Origin` may contradict, and at
/// least one must be present. Every browser sends the origin of a form, many also the site; a client that sends neither
/// is refused.
pub fn is_ours(headers: &HeaderMap) -> bool {
    let site = headers.get(SITE).map(|site| site.as_bytes() == b"same-origin");
    // Another port of this host is another site here: nothing tells whose page it serves.
    let origin = headers.contains_key(ORIGIN).then(|| Origins { allowed: &[], any_port: false }.check(headers).is_ok());
    site.unwrap_or(true) && origin.unwrap_or(true) && (site.is_some() || origin.is_some())
}
