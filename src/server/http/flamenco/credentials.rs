//! Secrets of Flamenco workers: how they are kept, and how one that is shown is checked.

use std::io;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::run::Secret;
use crate::server::identity::token;
use crate::server::store::farm::FarmCredentials;

#[cfg(test)]
mod tests;

/// Makes the check of a secret, under a salt of its own.
///
/// A quick hash is enough: a secret is as long as a key, so it cannot be guessed, and two calls each five seconds of a
/// thousand workers are checked with it.
///
/// # Errors
/// If the system gives no random bytes.
pub(super) fn keep(secret: &Secret) -> io::Result<FarmCredentials> {
    let salt = token::random()?;
    let hash = token::hex(&mac(&salt, secret).finalize().into_bytes());
    Ok(FarmCredentials { salt, hash })
}

/// Returns whether a secret is the one whose check is kept, compared in constant time.
pub(super) fn fits(kept: &FarmCredentials, secret: &Secret) -> bool {
    token::unhex(&kept.hash).is_some_and(|hash| mac(&kept.salt, secret).verify_slice(&hash).is_ok())
}

/// # Panics
/// Never: HMAC takes keys of any length.
fn mac(salt: &str, secret: &Secret) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(salt.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(secret.expose());
    mac
}
