//! Database of the server: the SQLite file in its data directory, or a PostgreSQL database by its URL.

use std::fmt;

use url::Url;
use zeroize::Zeroizing;

use crate::run::Secret;

#[cfg(test)]
mod tests;

/// Schemes of a URL of PostgreSQL; libpq knows both.
const SCHEMES: [&str; 2] = ["postgres", "postgresql"];
/// Options that a URL may have after its `?`.
const OPTIONS: [&str; 5] = ["host", "port", "user", "sslmode", "sslrootcert"];
/// Values of the option `sslmode`.
const SSL_MODES: [&str; 3] = ["disable", "require", "verify-full"];

/// Database in which the server keeps its data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Database {
    /// The SQLite file in the data directory.
    #[default]
    Sqlite,
    /// A PostgreSQL database, which other servers may use as well.
    Postgres(DatabaseUrl),
}

impl Database {
    /// Word of the configuration for the SQLite file in the data directory.
    pub const SQLITE: &'static str = "sqlite";
}

/// URL of a PostgreSQL database. Neither `Display` nor `Debug` shows the password.
#[derive(Clone)]
pub struct DatabaseUrl {
    /// The URL without its password.
    url: Url,
    password: Option<Secret>,
}

/// Fault of a text that is no URL of a PostgreSQL database. It never repeats the text, in which a password may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongDatabaseUrl {
    /// The text does not begin as the URL of a database does.
    #[error("does not begin with postgres://")]
    Scheme,
    /// A blank or control character.
    #[error("has a space or a line break in it")]
    Blank,
    /// The text cannot be parsed, for example because of a port that is no number.
    #[error("is no URL; in a password, other characters than letters and digits are written as %XX")]
    NoUrl,
    /// Neither the authority nor the option `host` names a host.
    #[error("has no host")]
    NoHost,
    /// The URL names no user.
    #[error("has no user")]
    NoUser,
    /// The URL names no database.
    #[error("names no database")]
    NoName,
    /// A port that is not from 1 to 65535.
    #[error("has a port that is none")]
    Port,
    /// A fragment, which is usually a password with `#` in it.
    #[error("has a # in it, which in a password is written as %23")]
    Fragment,
    /// An option that is not among those allowed.
    #[error("has an option that is not allowed")]
    Option,
    /// Another `sslmode` than those allowed.
    #[error("has an unknown sslmode")]
    SslMode,
}

impl DatabaseUrl {
    /// Description of the texts that are allowed, for messages.
    pub const ALLOWED: &'static str = "postgres://USER@HOST:PORT/NAME, with ?sslmode=disable or verify-full";

    /// Parses a URL.
    ///
    /// # Errors
    /// If the text is no URL of a PostgreSQL database, or leaves out its user, host or name.
    pub fn parse(text: &str) -> Result<Self, WrongDatabaseUrl> {
        let text = text.trim();
        // The URL parser would silently remove these characters.
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(WrongDatabaseUrl::Blank);
        }
        let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        if !scheme.is_some_and(|scheme| SCHEMES.contains(&scheme.as_str())) {
            return Err(WrongDatabaseUrl::Scheme);
        }
        let mut url = Url::parse(text).map_err(|_| WrongDatabaseUrl::NoUrl)?;
        check(&url)?;
        let password = url.password().map(|encoded| Secret::new(decoded(encoded)));
        // Without a host there is neither user nor password to be removed.
        let _ = url.set_password(None);
        Ok(Self { url, password: password.filter(|password| !password.expose().is_empty()) })
    }

    /// Returns whether there is a password, from the URL or elsewhere.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// Sets the password to connect with.
    #[must_use]
    pub fn with_password(self, password: Secret) -> Self {
        Self { password: Some(password), ..self }
    }

    /// Returns the URL with the password, to connect with; never for a message.
    #[must_use]
    pub fn expose(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(self.url.to_string());
        if let Some(password) = &self.password {
            // As an option: a URL without a host in front has no place for it.
            text.push(if self.url.query().is_some() { '&' } else { '?' });
            text.push_str("password=");
            encode_into(&mut text, password.expose());
        }
        text
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

impl PartialEq for DatabaseUrl {
    fn eq(&self, other: &Self) -> bool {
        let password = |url: &'_ Self| url.password.as_ref().map(|password| Zeroizing::new(password.expose().to_vec()));
        self.url == other.url && password(self) == password(other)
    }
}

impl Eq for DatabaseUrl {}

/// Checks that a URL has what is needed to connect, and nothing that is not understood.
fn check(url: &Url) -> Result<(), WrongDatabaseUrl> {
    let mut options = url.query_pairs();
    if options.any(|(name, _)| !OPTIONS.contains(&&*name)) {
        return Err(WrongDatabaseUrl::Option);
    }
    let option = |name: &str| url.query_pairs().find(|(key, value)| key == name && !value.is_empty());
    if url.fragment().is_some() {
        return Err(WrongDatabaseUrl::Fragment);
    }
    if url.host_str().is_none_or(str::is_empty) && option("host").is_none() {
        return Err(WrongDatabaseUrl::NoHost);
    }
    if url.username().is_empty() && option("user").is_none() {
        return Err(WrongDatabaseUrl::NoUser);
    }
    let is_port = |text: &str| text.parse::<u16>().is_ok_and(|port| port > 0);
    if url.port() == Some(0) || option("port").is_some_and(|(_, port)| !is_port(&port)) {
        return Err(WrongDatabaseUrl::Port);
    }
    if matches!(url.path(), "" | "/") {
        return Err(WrongDatabaseUrl::NoName);
    }
    if option("sslmode").is_some_and(|(_, mode)| !SSL_MODES.contains(&&*mode)) {
        return Err(WrongDatabaseUrl::SslMode);
    }
    Ok(())
}

/// Decodes `%XX`; what is no such thing stands for itself.
fn decoded(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        let decoded = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(decoded.unwrap_or(first));
        rest = if decoded.is_some() { &after[2..] } else { after };
    }
    bytes
}

/// Appends bytes, all but letters and digits as `%XX`.
fn encode_into(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() {
            text.push(char::from(byte));
        } else {
            text.push('%');
            text.extend([byte >> 4, byte & 15].map(|digit| char::from(DIGITS[usize::from(digit)])));
        }
    }
}
