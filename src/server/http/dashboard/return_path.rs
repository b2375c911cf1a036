//! Where somebody wanted to go who has to log in first: a page of ours, and never another site. Pure.

use axum::http::header::REFERER;
use axum::http::{HeaderMap, Method, Uri};

#[cfg(test)]
mod tests;

/// The front page.
pub(super) const FRONT: &str = "/";
/// A longer address, in bytes, would leave no room for the token in the form of the login.
const LONGEST: usize = 900;

/// An address on this server; the front page in place of anything that a browser could take for another site, and of
/// what is no page to come back to.
pub(super) fn own(text: &str) -> &str {
    let is_ours = text.len() <= LONGEST
        && text.starts_with('/')
        && !text.starts_with("//")
        // Browsers read a backslash as a slash, and leave out line ends and tabs.
        && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let is_page = !["/login", "/logout", "/parts/", "/static/"].iter().any(|other| text.starts_with(other));
    if is_ours && is_page { text } else { FRONT }
}

/// Where a request leads back to once its browser has logged in: to the page that it asked for, or whose form it sent.
pub(super) fn back(method: &Method, uri: &Uri, headers: &HeaderMap) -> String {
    if method.is_safe() {
        return own(uri.path_and_query().map_or(FRONT, |both| both.as_str())).to_owned();
    }
    let from = headers.get(REFERER).and_then(|from| url::Url::parse(from.to_str().ok()?).ok());
    from.map_or_else(
        || FRONT.to_owned(),
        |from| own(&from[url::Position::BeforePath..url::Position::AfterQuery]).to_owned(),
    )
}
