//! Whether a browser sends a form from a page of ours. Pure.

use axum::http::HeaderMap;
use axum::http::header::ORIGIN;

use crate::server::link::feed::upgrade::Origins;

#[cfg(test)]
mod tests;

/// The site of the page that a request comes from, as browsers tell it where the connection can be trusted.
const SITE: &str = "sec-fetch-site";

/// Whether it does. Every browser tells the origin of a form, many the site beside it; who tells neither is none.
pub fn is_ours(headers: &HeaderMap) -> bool {
    let site = headers.get(SITE).map(|site| site.as_bytes() == b"same-origin");
    let origin = headers.contains_key(ORIGIN).then(|| Origins { allowed: &[], any_port: false }.check(headers).is_ok());
    site.unwrap_or(true) && origin.unwrap_or(true) && (site.is_some() || origin.is_some())
}
