//! The signature of a request, written independently of the product's.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

/// Hex HMAC-SHA1 over method, path with query, and body.
pub fn sign(secret: &str, method: &str, path_and_query: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).expect("any length will do");
    for part in [method.as_bytes(), path_and_query.as_bytes(), body] {
        mac.update(part);
    }
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}
