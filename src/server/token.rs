//! The operator's token: whoever has it may do everything.
//!
//! It is made at the first start, kept beside the data where only our user can read it, and compared in constant
//! time. Browsers get a cookie that is derived from it: it opens the pages for reading, and the token cannot be
//! found out from it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, COOKIE};
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
/// What a cookie is derived with.
const PAGES: &[u8] = b"pages";

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
        let Some(value) = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()) else { return false };
        let Some((scheme, token)) = value.split_once(' ') else { return false };
        scheme.eq_ignore_ascii_case("bearer") && self.is(token.trim())
    }

    /// Whether a request may read what pages show: it has the token, or the cookie of this name.
    #[must_use]
    pub fn admits_reader(&self, headers: &HeaderMap, cookie: &str) -> bool {
        self.admits(headers) || cookies(headers, cookie).any(|value| self.is_pass(value))
    }

    /// Whether a text is the token.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        let theirs = mac(text.as_bytes()).finalize().into_bytes();
        mac(self.0.expose()).verify_slice(&theirs).is_ok()
    }

    /// What a browser is given in its place.
    #[must_use]
    pub fn pass(&self) -> String {
        hex(&mac(self.0.expose()).finalize().into_bytes())
    }

    fn is_pass(&self, text: &str) -> bool {
        unhex(text).is_some_and(|pass| mac(self.0.expose()).verify_slice(&pass).is_ok())
    }
}

/// The name of the cookie that opens the pages of a server to a browser, which keeps the cookies of all servers of a
/// machine together.
#[must_use]
pub fn pages_cookie(http: SocketAddr) -> String {
    format!("job_runner_pages_{}", http.port())
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
fn mac(key: &[u8]) -> Hmac<Sha1> {
    let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(PAGES);
    mac
}

/// The values of a cookie. A browser may send several, of several paths.
fn cookies<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(move |(found, _)| *found == name).map(|(_, value)| value)
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
