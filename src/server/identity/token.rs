//! The operator's token: whoever has it may do everything.
//!
//! It is made at the first start, kept beside the data where only our user can read it, and compared in constant
//! time. What others are given in its place is sealed with it: the seal shows that it came from here, and the token
//! cannot be found out from it.

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

/// The name of its file in the data directory.
pub const FILE: &str = "operator.token";
/// How many random bytes a token is made of.
const BYTES: usize = 24;
/// A shorter one could be guessed.
const SHORTEST: usize = 16;
/// A longer one is no token.
const LONGEST: u64 = 1024;
/// What texts are sealed with to be compared.
const COMPARED: &str = "compared";

/// The token.
#[derive(Clone, Debug)]
pub struct OperatorToken(Secret);

impl OperatorToken {
    /// Takes a token over.
    ///
    /// # Errors
    /// A sentence fragment that says what is allowed.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() < SHORTEST {
            Err("a token has 16 characters at least")
        } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Err("a token has letters, digits and signs only")
        } else {
            Ok(Self(Secret::new(text.as_bytes().to_vec())))
        }
    }

    /// Reads the token of a file.
    ///
    /// # Errors
    /// That it cannot be read, or has no token in it.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut text = String::new();
        File::open(path)?.take(LONGEST).read_to_string(&mut text)?;
        Self::parse(text.trim_end()).map_err(|what| io::Error::new(io::ErrorKind::InvalidData, what))
    }

    /// The token of a data directory, made if there is none.
    ///
    /// # Errors
    /// What the system says.
    pub fn of(data: &Path) -> io::Result<Self> {
        let path = data.join(FILE);
        match Self::read(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Self::make(data, &path),
            read => read,
        }
    }

    /// Under another name first: a token that is there is whole.
    fn make(data: &Path, path: &Path) -> io::Result<Self> {
        let text = random()?;
        let fresh = data.join(format!("{FILE}.new"));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        // Whatever the umask.
        file.set_permissions(Permissions::from_mode(0o600))?;
        writeln!(file, "{text}")?;
        file.sync_all()?;
        std::fs::rename(&fresh, path)?;
        Self::parse(&text).map_err(io::Error::other)
    }

    /// The text, for who is to have it.
    #[must_use]
    pub fn expose(&self) -> &str {
        str::from_utf8(self.0.expose()).unwrap_or_default()
    }

    /// Whether a request has it, as `Authorization: Bearer`.
    #[must_use]
    pub fn admits(&self, headers: &HeaderMap) -> bool {
        bearer(headers).is_some_and(|said| self.is(said))
    }

    /// Whether a text is the token.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        let theirs = mac(text.as_bytes(), COMPARED, "").finalize().into_bytes();
        mac(self.0.expose(), COMPARED, "").verify_slice(&theirs).is_ok()
    }

    /// Seals a text, for a purpose: a seal is good for that purpose alone.
    #[must_use]
    pub fn seal(&self, purpose: &str, text: &str) -> String {
        hex(&mac(self.0.expose(), purpose, text).finalize().into_bytes())
    }

    /// Whether a text was sealed by us, for that purpose.
    #[must_use]
    pub fn is_sealed(&self, purpose: &str, text: &str, seal: &str) -> bool {
        unhex(seal).is_some_and(|seal| mac(self.0.expose(), purpose, text).verify_slice(&seal).is_ok())
    }
}

/// The token that a request says, as `Authorization: Bearer`.
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// A text that nobody can guess: a token, or the secret of a worker.
///
/// # Errors
/// What the system says.
pub fn random() -> io::Result<String> {
    let mut bytes = [0; BYTES];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(hex(&bytes))
}

/// # Panics
/// Never: HMAC takes keys of any length.
fn mac(key: &[u8], purpose: &str, text: &str) -> Hmac<Sha1> {
    let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(purpose.as_bytes());
    // No purpose has a zero in it, so no two pairs are the same bytes.
    mac.update(&[0]);
    mac.update(text.as_bytes());
    mac
}

fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|half| u8::try_from(half).ok());
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?)).collect()
}
