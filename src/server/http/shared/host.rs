//! Host names of a server on loopback: `localhost`, loopback addresses, and the names from the settings. Pure.

use std::net::IpAddr;

#[cfg(test)]
mod tests;

/// Whether the `Host` of a request names this machine or is one of `names`. The port is ignored; the case of letters
/// too.
pub fn is_ours(host: &str, names: &[String]) -> bool {
    let name = name(host).to_ascii_lowercase();
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    match address {
        Ok(address) if address.is_loopback() => true,
        // A name below `.localhost` always resolves to loopback (RFC 6761), so no other site can own it.
        _ => name == "localhost" || name.ends_with(".localhost") || names.contains(&name),
    }
}

/// Strips the port from the value of a `Host` header.
fn name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => {
            // An IPv6 address has colons of its own, and stands in brackets where a port follows.
            if name.contains(':') && !name.ends_with(']') { host } else { name }
        }
        _ => host,
    }
}
