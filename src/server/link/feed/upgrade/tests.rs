use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::{Origins, UpgradeRefusal, check};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    lines.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}

#[test]
fn a_request_is_one_for_a_websocket_or_it_is_told_why_not() {
    let good = [("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket"), ("sec-websocket-version", "13")];
    let with_key = |key| headers(&[good[0], good[1], good[2], ("sec-websocket-key", key)]);
    assert_eq!(check(&Method::GET, &with_key(KEY)), Ok(()));
    assert_eq!(check(&Method::POST, &with_key(KEY)), Err(UpgradeRefusal::Plain));
    assert_eq!(check(&Method::GET, &headers(&[])), Err(UpgradeRefusal::Plain));
    assert_eq!(check(&Method::GET, &headers(&good)), Err(UpgradeRefusal::Malformed));
    for key in ["", "x", "dGhlIHNhbXBsZSBub25jZ!==", "dGhlIHNhbXBsZSBub25jZR==", "dGhlIHNhbXBsZSBub25jZQ==AAAA"] {
        assert_eq!(check(&Method::GET, &with_key(key)), Err(UpgradeRefusal::Malformed), "{key}");
    }
    let old = headers(&[good[0], good[1], ("sec-websocket-version", "8"), ("sec-websocket-key", KEY)]);
    assert_eq!(check(&Method::GET, &old), Err(UpgradeRefusal::Malformed));
    let answer = UpgradeRefusal::Malformed.answer();
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert_eq!(answer.headers()["sec-websocket-version"], "13");
}

#[test]
fn pages_of_other_origins_are_refused() {
    let allowed = ["https://dash.example:8443/".to_owned()];
    let strict = Origins { allowed: &allowed, any_port: false };
    let table = [
        (None, "server:8000", true),
        (Some("http://server:8000"), "server:8000", true),
        (Some("HTTP://Server:8000"), "server:8000", true),
        (Some("https://server"), "server", true),
        (Some("https://server"), "server:443", true),
        (Some("http://[::1]:8000"), "[::1]:8000", true),
        (Some("https://dash.example:8443"), "server:8000", true),
        (Some("https://dash.example"), "server:8000", false),
        (Some("http://server:8001"), "server:8000", false),
        (Some("http://evil.example"), "server:8000", false),
        (Some("http://server:8000.evil.example"), "server:8000", false),
        (Some("null"), "server:8000", false),
        (Some(""), "", false),
        (Some("file://"), "", false),
    ];
    for (origin, host, welcome) in table {
        let mut headers = headers(&[("host", host)]);
        if let Some(origin) = origin {
            headers.insert("origin", HeaderValue::from_static(origin));
        }
        assert_eq!(strict.check(&headers).is_ok(), welcome, "{origin:?} asks {host}");
    }
    let twice = headers(&[("host", "a"), ("origin", "http://a"), ("origin", "http://b")]);
    assert_eq!(strict.check(&twice), Err(UpgradeRefusal::Foreign));
}

#[test]
fn another_port_is_welcome_where_the_name_cannot_be_bent() {
    let loose = Origins { allowed: &[], any_port: true };
    let asks = |origin: &'static str, host: &'static str| loose.check(&headers(&[("host", host), ("origin", origin)]));
    assert_eq!(asks("http://10.0.0.5:8000", "10.0.0.5:5000"), Ok(()));
    assert_eq!(asks("http://localhost:8000", "localhost:5000"), Ok(()));
    assert_eq!(asks("http://[::1]:8000", "[::1]:5000"), Ok(()));
    assert_eq!(asks("http://bent.example:8000", "bent.example:5000"), Err(UpgradeRefusal::Foreign));
    assert_eq!(asks("http://10.0.0.6:8000", "10.0.0.5:5000"), Err(UpgradeRefusal::Foreign));
    let all = Origins { allowed: &["*".to_owned()], any_port: false };
    assert_eq!(all.check(&headers(&[("host", "a"), ("origin", "http://b")])), Ok(()));
}
