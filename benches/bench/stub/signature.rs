//! The signature of requests, written independently of the product's.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

/// Knows one secret.
pub struct Signer(Hmac<Sha1>);

impl Signer {
    pub fn new(secret: &str) -> Self {
        Self(Hmac::new_from_slice(secret.as_bytes()).expect("any length will do"))
    }

    /// Whether this hexadecimal text signs these parts, one after another.
    pub fn has_signed(&self, parts: [&[u8]; 3], signature: &str) -> bool {
        let mut mac = self.0.clone();
        parts.iter().for_each(|part| mac.update(part));
        let wanted = mac.finalize().into_bytes();
        let digit = |byte: u8| (byte as char).to_digit(16);
        let pairs = signature.as_bytes().chunks(2);
        pairs.len() == wanted.len()
            && pairs.zip(wanted).all(|(pair, byte)| {
                let [high, low] = *pair else { return false };
                matches!((digit(high), digit(low)), (Some(high), Some(low)) if high * 16 + low == u32::from(byte))
            })
    }
}
