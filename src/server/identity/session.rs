//! Sessions: recognises a browser that has logged in.
//!
//! The browser's cookie is sealed with the operator's token. The server stores nothing of a session until it is logged
//! out, so it survives a restart, and a new token ends it. The token in each form and the notice after an action are
//! sealed for their session, so that no other browser and no other site can use them.

use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::COOKIE;
use chrono::TimeDelta;

use super::token::{self, OperatorToken};
use crate::server::domain::model::Timestamp;

#[cfg(test)]
mod tests;

/// Duration for which a browser stays logged in.
pub const LASTS: TimeDelta = TimeDelta::days(30);
/// Longest notice in bytes as a cookie: what a browser keeps, with room for the seal.
const NOTICE: usize = 3000;

/// Session of a browser that has logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    id: String,
}

impl Session {
    /// Begins a session and returns it with the value of its cookie.
    ///
    /// # Errors
    /// If no random bytes can be read.
    pub fn begin(token: &OperatorToken, now: Timestamp) -> std::io::Result<(Self, String)> {
        let id = format!("{}.{}", (now + LASTS).timestamp(), token::random()?);
        let cookie = format!("{id}.{}", token.seal("session", &id));
        Ok((Self { id }, cookie))
    }

    /// Returns the valid session of a request to this port, whether or not it was logged out.
    #[must_use]
    pub fn of(token: &OperatorToken, headers: &HeaderMap, port: u16, now: Timestamp) -> Option<Self> {
        let name = cookie_name(port);
        cookies(headers, &name).find_map(|cookie| Self::opened(token, cookie, now))
    }

    fn opened(token: &OperatorToken, cookie: &str, now: Timestamp) -> Option<Self> {
        // The seal is hexadecimal, so the last dot stands before it.
        let (id, seal) = cookie.rsplit_once('.')?;
        let until: i64 = id.split_once('.')?.0.parse().ok()?;
        (token.is_sealed("session", id, seal) && until > now.timestamp()).then(|| Self { id: id.to_owned() })
    }

    /// Id of the session; begins with the second at which it expires, since 1970.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Time until the session expires, 0 if it has.
    #[must_use]
    pub fn remains(&self, now: Timestamp) -> Duration {
        let until = self.id.split_once('.').and_then(|(until, _)| until.parse::<i64>().ok()).unwrap_or_default();
        Duration::from_secs(until.saturating_sub(now.timestamp()).try_into().unwrap_or_default())
    }

    /// Token that the forms of this session's pages carry, and that no other site can know.
    #[must_use]
    pub fn form_token(&self, token: &OperatorToken) -> String {
        token.seal("form", &self.id)
    }

    /// Returns whether a form token belongs to this session.
    #[must_use]
    pub fn is_form_token(&self, token: &OperatorToken, said: &str) -> bool {
        token.is_sealed("form", &self.id, said)
    }

    /// Value of the cookie that takes a notice to the session's next page.
    #[must_use]
    pub fn notice_cookie(&self, token: &OperatorToken, notice: &str) -> String {
        // URL encoding makes up to three bytes of one.
        let notice = &notice[..notice.floor_char_boundary(NOTICE / 3)];
        let text: String = url::form_urlencoded::byte_serialize(notice.as_bytes()).collect();
        format!("{}.{text}", self.notice_seal(token, notice))
    }

    /// Returns the notice that a request brings; `None` if it is not sealed for this session.
    #[must_use]
    pub fn notice(&self, token: &OperatorToken, headers: &HeaderMap, port: u16) -> Option<String> {
        let name = notice_name(port);
        cookies(headers, &name).find_map(|cookie| {
            let (seal, text) = cookie.split_once('.')?;
            let (notice, _) = url::form_urlencoded::parse(text.as_bytes()).next()?;
            token.is_sealed("notice", &self.noticed(&notice), seal).then(|| notice.into_owned())
        })
    }

    fn notice_seal(&self, token: &OperatorToken, notice: &str) -> String {
        token.seal("notice", &self.noticed(notice))
    }

    fn noticed(&self, notice: &str) -> String {
        format!("{} {notice}", self.id)
    }
}

/// Name of the session cookie. It contains the port, since browsers share cookies between all ports of a host.
#[must_use]
pub fn cookie_name(port: u16) -> String {
    format!("job_runner_pages_{port}")
}

/// Name of the cookie that takes a notice to the next page.
#[must_use]
pub fn notice_name(port: u16) -> String {
    format!("job_runner_notice_{port}")
}

/// Returns all values of a cookie: a browser may send several, set for different paths.
fn cookies<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(move |(found, _)| *found == name).map(|(_, value)| value)
}
