//! The names of a server on loopback. Pure.

use std::net::IpAddr;

#[cfg(test)]
mod tests;

/// Whether the `Host` of a request is this machine, or one of these names. Its port says nothing.
pub fn is_ours(host: &str, names: &[String]) -> bool {
    let name = name(host).to_ascii_lowercase();
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    match address {
        Ok(address) if address.is_loopback() => true,
        _ => name == "localhost" || name.ends_with(".localhost") || names.contains(&name),
    }
}

/// The host without its port.
fn name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => {
            // An IPv6 address has colons of its own, and stands in brackets where a port follows.
            if name.contains(':') && !name.ends_with(']') { host } else { name }
        }
        _ => host,
    }
}
