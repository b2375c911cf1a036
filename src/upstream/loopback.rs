//! Loopback URLs: requests to them need no encryption, and no proxy stands on the way.

use url::{Host, Url};

#[cfg(test)]
mod tests;

/// Returns whether the host of a URL can only be this machine.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
