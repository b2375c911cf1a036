//! The signature of a request: hex HMAC-SHA1 over `METHOD + path-with-query + body`.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use crate::run::{ApiKey, Secret};

/// The value of the `Authorization` header.
#[must_use]
pub fn authorization(key: &ApiKey, secret: &Secret, method: &str, path_and_query: &str, body: &[u8]) -> String {
    format!("ApiKey {key}:{}", signature(secret.expose(), method, path_and_query, body))
}

/// # Panics
/// Never: HMAC takes keys of any length.
fn signature(secret: &[u8], method: &str, path_and_query: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(method.as_bytes());
    mac.update(path_and_query.as_bytes());
    mac.update(body);
    mac.finalize().into_bytes().iter().fold(String::with_capacity(40), |mut hex, byte| {
        for digit in [byte >> 4, byte & 15] {
            hex.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
        hex
    })
}

#[cfg(test)]
mod tests;
