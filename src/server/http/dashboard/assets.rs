//! Static assets of the dashboard: a stylesheet, an icon and the scripts, all embedded in the binary.
//!
//! The scripts are ES modules, each with one job, and are served as they stand in `assets/`.

use axum::Router;
use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sha1::{Digest, Sha1};

#[cfg(test)]
mod tests;

const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Name, content type and text of each asset.
const ASSETS: &[(&str, &str, &str)] = &[
    ("style.css", CSS, include_str!("assets/style.css")),
    ("icon.svg", SVG, include_str!("assets/icon.svg")),
    ("paint.js", JAVASCRIPT, include_str!("assets/paint.js")),
    ("farm.js", JAVASCRIPT, include_str!("assets/farm.js")),
    ("job.js", JAVASCRIPT, include_str!("assets/job.js")),
    ("jobs.js", JAVASCRIPT, include_str!("assets/jobs.js")),
    ("lines.js", JAVASCRIPT, include_str!("assets/lines.js")),
    ("link.js", JAVASCRIPT, include_str!("assets/link.js")),
    ("log.js", JAVASCRIPT, include_str!("assets/log.js")),
    ("now.js", JAVASCRIPT, include_str!("assets/now.js")),
    ("page.js", JAVASCRIPT, include_str!("assets/page.js")),
    ("parts.js", JAVASCRIPT, include_str!("assets/parts.js")),
    ("popovers.js", JAVASCRIPT, include_str!("assets/popovers.js")),
    ("run.js", JAVASCRIPT, include_str!("assets/run.js")),
    ("search.js", JAVASCRIPT, include_str!("assets/search.js")),
    ("times.js", JAVASCRIPT, include_str!("assets/times.js")),
    ("titles.js", JAVASCRIPT, include_str!("assets/titles.js")),
    ("workers.js", JAVASCRIPT, include_str!("assets/workers.js")),
];

/// Route of the assets. No login is needed: the login page uses them too.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/static/{name}", get(asset))
}

async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let Some((_, kind, text)) = ASSETS.iter().find(|(known, ..)| *known == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let tag = tag(text);
    let known = headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    // `no-cache` makes the browser ask each time; the text is sent again only once another version is installed.
    let caching = [(ETAG, tag), (CACHE_CONTROL, "no-cache".to_owned())];
    if known {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    (caching, [(CONTENT_TYPE, *kind)], *text).into_response()
}

/// Entity tag of a text: its quoted SHA-1 digest.
fn tag(text: &str) -> String {
    let digits: String = Sha1::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\"{digits}\"")
}
