use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::is_ours;

#[test]
fn a_form_comes_from_our_own_pages() {
    let ours = "http://localhost:8000";
    for (origin, site, allowed) in [
        (Some(ours), Some("same-origin"), true),
        (Some(ours), None, true),
        (None, Some("same-origin"), true),
        // Behind a proxy with TLS, at the port of HTTPS.
        (Some("https://localhost:8000"), Some("same-origin"), true),
        (None, None, false),
        (Some("null"), None, false),
        (Some("null"), Some("same-origin"), false),
        (Some(ours), Some("cross-site"), false),
        (Some(ours), Some("same-site"), false),
        (Some(ours), Some("none"), false),
        (Some("http://localhost:9000"), None, false),
        (Some("http://localhost:9000"), Some("same-site"), false),
        (Some("http://evil.example.com"), Some("same-origin"), false),
        (Some("http://localhost:8000.evil.example.com"), None, false),
    ] {
        let mut headers =
            HeaderMap::from_iter([(axum::http::header::HOST, HeaderValue::from_static("localhost:8000"))]);
        for (name, value) in [("origin", origin), ("sec-fetch-site", site)] {
            if let Some(value) = value {
                headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
        }
        assert_eq!(is_ours(&headers), allowed, "{origin:?} {site:?}");
    }
}
