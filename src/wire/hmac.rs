//! Request signatures: hex HMAC-SHA1 over `METHOD + path-with-query + body`, as the original's API demands.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use crate::run::{ApiKey, Secret};

/// Returns the value of the `Authorization` header of a signed request.
#[must_use]
pub fn authorization(key: &ApiKey, secret: &Secret, method: &str, path_and_query: &str, body: &[u8]) -> String {
    format!("ApiKey {key}:{}", signature(secret.expose(), method, path_and_query, body))
}

/// Splits an `Authorization` header into key and signature. Neither is checked: the key may be unknown, the signature
/// wrong.
#[cfg(feature = "server")]
#[must_use]
pub fn claimed(header: &str) -> Option<(&str, &str)> {
    header.strip_prefix("ApiKey ")?.split_once(':')
}

/// Returns whether a signature is the one that the secret makes, compared in constant time. Upper-case digits are
/// accepted.
#[cfg(feature = "server")]
#[must_use]
pub fn fits(signed: &str, secret: &Secret, method: &str, path_and_query: &str, body: &[u8]) -> bool {
    // The digits are decoded first, since `verify_slice` compares bytes in constant time and `==` on text would not.
    let (pairs, []) = signed.as_bytes().as_chunks::<2>() else { return false };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let bytes: Option<Vec<u8>> =
        pairs.iter().map(|[high, low]| u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()).collect();
    let Some(bytes) = bytes else { return false };
    // HMAC takes keys of any length, so this does not fail.
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(secret.expose()) else { return false };
    mac.update(method.as_bytes());
    mac.update(path_and_query.as_bytes());
    mac.update(body);
    mac.verify_slice(&bytes).is_ok()
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
            // Four bits are always a digit, so the default is never taken.
            hex.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
        hex
    })
}

#[cfg(test)]
mod tests;
