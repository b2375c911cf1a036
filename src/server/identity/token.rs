//! The operator's token: a request that shows it may do everything.
//!
//! The server makes the token at its first start, keeps it beside the data where only the server's user can read it, and
//! compares it in constant time. Credentials that stand in for it, such as cookies, are sealed with it: the seal shows that they came
//! from this server, and does not reveal the token.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use crate::run::Secret;

#[cfg(test)]
mod tests;

/// File name in the data directory.
pub const FILE: &str = "operator.token";
/// Random bytes of a new token or secret.
const BYTES: usize = 24;
/// Shortest token in characters; a shorter one could be guessed.
const SHORTEST: usize = 16;
/// Longest file that is read as a token, in bytes.
const LONGEST: u64 = 1024;
/// Purpose under which texts are sealed in order to be compared.
const COMPARED: &str = "compared";

/// Token of the operator.
#[derive(Clone, Debug)]
pub struct OperatorToken(Secret);

impl OperatorToken {
    /// Checks and takes over a given token.
    ///
    /// # Errors
    /// If the text is not a token: a phrase that says what is allowed.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() < SHORTEST {
            Err("a token has 16 characters at least")
        } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Err("a token has letters, digits and signs only")
        } else {
            Ok(Self(Secret::new(text.as_bytes().to_vec())))
        }
    }

    /// Reads a token from a file.
    ///
    /// # Errors
    /// If the file cannot be read, or does not contain a token.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut text = String::new();
        File::open(path)?.take(LONGEST).read_to_string(&mut text)?;
        // The file ends with a line feed, as this program and editors write it.
        Self::parse(text.trim_end()).map_err(|what| io::Error::new(io::ErrorKind::InvalidData, what))
    }

    /// Reads the token of a data directory, or makes one if there is none.
    ///
    /// # Errors
    /// If the file cannot be read or written, or does not contain a token.
    pub fn of(data: &Path) -> io::Result<Self> {
        let path = data.join(FILE);
        match Self::read(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Self::make(data, &path),
            read => read,
        }
    }

    /// Makes a token under another file name and renames it, so that a crash leaves no incomplete token.
    fn make(data: &Path, path: &Path) -> io::Result<Self> {
        let text = random()?;
        let fresh = data.join(format!("{FILE}.new"));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        // `mode` is subject to the umask and does not apply to a file that exists already.
        file.set_permissions(Permissions::from_mode(0o600))?;
        writeln!(file, "{text}")?;
        file.sync_all()?;
        std::fs::rename(&fresh, path)?;
        Self::parse(&text).map_err(io::Error::other)
    }

    /// Text of the token, for those who are to have it.
    #[must_use]
    pub fn expose(&self) -> &str {
        str::from_utf8(self.0.expose()).unwrap_or_default()
    }

    /// Returns whether a request shows the token as `Authorization: Bearer`.
    #[must_use]
    pub fn admits(&self, headers: &HeaderMap) -> bool {
        bearer(headers).is_some_and(|said| self.is(said))
    }

    /// Returns whether a text is the token.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        // Digests have one length and are compared in constant time, so the time tells nothing of the token.
        let theirs = mac(text.as_bytes(), COMPARED, "").finalize().into_bytes();
        mac(self.0.expose(), COMPARED, "").verify_slice(&theirs).is_ok()
    }

    /// Seals a text; the seal is valid for this purpose only.
    #[must_use]
    pub fn seal(&self, purpose: &str, text: &str) -> String {
        hex(&mac(self.0.expose(), purpose, text).finalize().into_bytes())
    }

    /// Returns whether the seal of a text was made with this token, for this purpose.
    #[must_use]
    pub fn is_sealed(&self, purpose: &str, text: &str, seal: &str) -> bool {
        unhex(seal).is_some_and(|seal| mac(self.0.expose(), purpose, text).verify_slice(&seal).is_ok())
    }
}

/// Returns the token that a request shows as `Authorization: Bearer`.
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    // HTTP compares authentication schemes without case.
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Makes a text that cannot be guessed, for a token or the secret of a worker.
///
/// # Errors
/// If `/dev/urandom` cannot be read.
pub fn random() -> io::Result<String> {
    let mut bytes = [0; BYTES];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(hex(&bytes))
}

/// Keyed digest of a purpose and a text.
///
/// # Panics
/// Never: HMAC takes keys of any length.
fn mac(key: &[u8], purpose: &str, text: &str) -> Hmac<Sha1> {
    let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(purpose.as_bytes());
    // A purpose contains no zero byte, so no two pairs of purpose and text are the same bytes.
    mac.update(&[0]);
    mac.update(text.as_bytes());
    mac
}

/// Writes bytes as hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Reads bytes in hexadecimal digits; `None` for any other text.
#[must_use]
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|half| u8::try_from(half).ok());
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?)).collect()
}
