//! Token of a registration: a JSON Web Token, signed with the secret that Manager and workers share.
//!
//! The token says nothing but when it was made and when it ends. The original worker signs with HS256 over times that are
//! numbers with a fraction.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::{Sha256, Sha384, Sha512};

use crate::run::Secret;

#[cfg(test)]
mod tests;

/// Time for which a worker's token is valid, in seconds.
pub const VALID_FOR: u32 = 900;
/// Largest difference between the clocks of worker and Manager, in seconds.
const MAX_SKEW: f64 = 60.0;
/// Longest token that is read, in bytes.
const MAX_TOKEN: usize = 4096;
/// Header of a token that is made here.
const HS256: &[u8] = br#"{"alg":"HS256","typ":"JWT"}"#;

/// Reason why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// It is no JSON Web Token with a time at which it was made and one at which it ends.
    #[error("the token cannot be read")]
    Unreadable,
    /// It is signed in another way than HS256, HS384 and HS512.
    #[error("the token is not signed with HS256, HS384 or HS512")]
    Algorithm,
    /// The signature is not the one that the secret makes.
    #[error("the token is signed with another secret")]
    Signature,
    /// It is no longer valid.
    #[error("the token has expired")]
    Expired,
    /// It is said to be made in the future.
    #[error("the token is not valid yet")]
    Early,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

#[derive(Deserialize)]
struct Claims {
    iat: f64,
    exp: f64,
}

/// Makes a token at a time in seconds since 1970.
///
/// # Panics
/// Never: HMAC takes keys of any length.
#[must_use]
pub fn sign(secret: &Secret, now: f64) -> String {
    let claims = format!("{{\"iat\":{now:.6},\"exp\":{:.6}}}", now + f64::from(VALID_FOR));
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(HS256), URL_SAFE_NO_PAD.encode(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(key(secret)).expect("HMAC takes keys of any length");
    mac.update(signed.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    format!("{signed}.{signature}")
}

/// Checks a token at a time in seconds since 1970.
///
/// # Errors
/// If the token was not made with this secret, or not at this time.
pub fn verify(secret: &Secret, token: &str, now: f64) -> Result<(), TokenRefusal> {
    if token.len() > MAX_TOKEN {
        return Err(TokenRefusal::Unreadable);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(TokenRefusal::Unreadable)?;
    let (header, claims) = signed.split_once('.').ok_or(TokenRefusal::Unreadable)?;
    let signature = decoded(signature)?;
    let header: Header = serde_json::from_slice(&decoded(header)?).map_err(|_| TokenRefusal::Unreadable)?;
    let is_signed = match header.alg.as_str() {
        "HS256" => fits::<Hmac<Sha256>>(secret, signed, &signature),
        "HS384" => fits::<Hmac<Sha384>>(secret, signed, &signature),
        "HS512" => fits::<Hmac<Sha512>>(secret, signed, &signature),
        // `none` among them: a token without a signature is worth nothing.
        _ => return Err(TokenRefusal::Algorithm),
    };
    if !is_signed {
        return Err(TokenRefusal::Signature);
    }
    let Claims { iat, exp } = serde_json::from_slice(&decoded(claims)?).map_err(|_| TokenRefusal::Unreadable)?;
    if exp + MAX_SKEW < now {
        Err(TokenRefusal::Expired)
    } else if iat - MAX_SKEW > now {
        Err(TokenRefusal::Early)
    } else {
        Ok(())
    }
}

/// Compares in constant time.
fn fits<M: Mac + KeyInit>(secret: &Secret, signed: &str, signature: &[u8]) -> bool {
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(key(secret)) else { return false };
    mac.update(signed.as_bytes());
    mac.verify_slice(signature).is_ok()
}

/// Returns the bytes of a secret without the white space around it, such as the line feed at the end of a file.
fn key(secret: &Secret) -> &[u8] {
    secret.expose().trim_ascii()
}

fn decoded(part: &str) -> Result<Vec<u8>, TokenRefusal> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenRefusal::Unreadable)
}
