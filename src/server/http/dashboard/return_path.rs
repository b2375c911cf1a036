//! Return path: where a browser goes after it has logged in. Always a page of this server, never another site. Pure.

use axum::http::header::REFERER;
use axum::http::{HeaderMap, Method, Uri};

#[cfg(test)]
mod tests;

/// Path of the front page.
pub(super) const FRONT: &str = "/";
/// The longest path, in bytes. A longer one would leave no room for the token in the login form.
const LONGEST: usize = 900;

/// Returns `text` if it is the path of a page on this server; the front page for anything that a browser could take for
/// another site, and for paths that are no page to come back to.
pub(super) fn own(text: &str) -> &str {
    let is_ours = text.len() <= LONGEST
        && text.starts_with('/')
        && !text.starts_with("//")
        // Browsers read a backslash as a slash, and leave out line ends and tabs.
        && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let is_page = !["/login", "/logout", "/parts/", "/static/"].iter().any(|other| text.starts_with(other));
    if is_ours && is_page { text } else { FRONT }
}

/// Path to return to after the login: the page that a request asked for, or the page whose form it sent.
pub(super) fn back(method: &Method, uri: &Uri, headers: &HeaderMap) -> String {
    if method.is_safe() {
        return own(uri.path_and_query().map_or(FRONT, |both| both.as_str())).to_owned();
    }
    // A form cannot be sent again after the login, so the page that it came from is shown instead.
    let from = headers.get(REFERER).and_then(|from| url::Url::parse(from.to_str().ok()?).ok());
    from.map_or_else(
        || FRONT.to_owned(),
        |from| own(&from[url::Position::BeforePath..url::Position::AfterQuery]).to_owned(),
    )
}
