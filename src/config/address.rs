//! Parsers of host names, URLs and resource paths in the configuration.

use std::net::Ipv6Addr;

use url::{Host, Url};

use super::value::{WrongValue, quoted};

const HOST: &str = "allowed is a host name or an address alone, without scheme, port and path";
const BASE: &str = "allowed is http:// or https://, a host and perhaps a port";
const SOCKET: &str = "allowed is a ws:// or wss:// URL without user, password and fragment";
const RESOURCE: &str = "allowed is a path such as /api/v1/run/";

/// Parses a host that can stand between `tcp://` and `:port`; an IPv6 address gets its brackets.
pub fn host(text: &str) -> Result<String, WrongValue> {
    let text = text.trim();
    if text.is_empty() {
        return Err(WrongValue::new("is empty", HOST));
    }
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Ok(format!("[{address}]"));
    }
    match Host::parse(text) {
        Ok(Host::Domain(name)) if !is_name(&name) => Err(WrongValue::new(format!("{} is no host", quoted(text)), HOST)),
        Ok(host) => Ok(host.to_string()),
        Err(_) => Err(WrongValue::new(format!("{} is no host", quoted(text)), HOST)),
    }
}

/// Restricts names further than the URL parser, which accepts `*` and the like. Underscores are common in names of
/// containers.
fn is_name(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
}

/// Parses the URL of the API, keeping its path: resource URIs are joined to it.
pub fn base_url(text: &str) -> Result<Url, WrongValue> {
    web_url(text, ["http", "https"], BASE)
}

/// Parses the URL of a WebSocket server.
pub fn socket_url(text: &str) -> Result<Url, WrongValue> {
    let url = web_url(text, ["ws", "wss"], SOCKET)?;
    if url.fragment().is_some() {
        return Err(WrongValue::new(format!("{} has a fragment", quoted(text)), SOCKET));
    }
    Ok(url)
}

/// Parses a URL of one of two schemes. A URL that may contain a password is refused without being repeated, because
/// messages end up in logs.
fn web_url(text: &str, schemes: [&str; 2], allowed: &str) -> Result<Url, WrongValue> {
    let text = text.trim();
    let wrong = |what: &str| {
        let shown = if text.contains('@') { "the value".to_owned() } else { quoted(text) };
        Err(WrongValue::new(format!("{shown} {what}"), allowed))
    };
    if text.is_empty() {
        return Err(WrongValue::new("is empty", allowed));
    }
    // The URL parser would silently remove these characters.
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return wrong("has a space or a line break in it");
    }
    let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    if !scheme.is_some_and(|scheme| schemes.contains(&scheme.as_str())) {
        return wrong(&format!("does not start with {}:// or {}://", schemes[0], schemes[1]));
    }
    let Ok(url) = Url::parse(text) else {
        return wrong("is no URL");
    };
    if !url.username().is_empty() || url.password().is_some() {
        return wrong("has a user or a password in it");
    }
    // The parser accepts port 0, to which no connection is possible.
    if url.port() == Some(0) {
        return wrong("has port 0");
    }
    Ok(url)
}

/// Returns scheme, host and port of a URL without its path and query.
#[must_use]
pub fn origin(url: &Url) -> Url {
    let mut origin = url.clone();
    origin.set_path("/");
    origin.set_query(None);
    origin.set_fragment(None);
    origin
}

/// Returns whether a URL has a path, query or fragment besides its origin.
#[must_use]
pub fn has_more_than_origin(url: &Url) -> bool {
    *url != origin(url)
}

/// Joins a resource URI to the base as Python's `urljoin` does and returns the path with a slash at its end, since a
/// run's id is appended to it. Requests are signed, so a URI on another server is refused.
pub fn resource(text: &str, base: &Url) -> Result<String, WrongValue> {
    let text = text.trim();
    let wrong = |what: &str| Err(WrongValue::new(format!("{} {what}", quoted(text)), RESOURCE));
    if text.is_empty() {
        return Err(WrongValue::new("is empty", RESOURCE));
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return wrong("has a space or a line break in it");
    }
    let Ok(joined) = base.join(text) else {
        return wrong("is no path");
    };
    // A full URL, or one that begins with `//`, replaces the server when it is joined.
    if joined.origin() != base.origin() {
        return wrong("is on another server than api_base_url");
    }
    if joined.query().is_some() || joined.fragment().is_some() {
        return wrong("has a query or a fragment");
    }
    let path = joined.path();
    Ok(if path.ends_with('/') { path.to_owned() } else { format!("{path}/") })
}
