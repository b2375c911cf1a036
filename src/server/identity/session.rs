//! A browser that has logged in.
//!
//! It has a cookie that was sealed with the operator's token: nothing is kept of it here until it is logged out, so it
//! survives a restart, and another token ends it. What a form of ours must say and what is told after an action are sealed for the one session
//! they belong to, so that no other browser and no other site can make use of them.

use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::COOKIE;
use chrono::TimeDelta;

use super::token::{self, OperatorToken};
use crate::server::domain::model::Timestamp;

#[cfg(test)]
mod tests;

/// How long a browser stays logged in.
pub const LASTS: TimeDelta = TimeDelta::days(30);
/// The longest notice, in bytes: what a browser keeps of a cookie, with room for its seal.
const NOTICE: usize = 3000;

/// A browser that has logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    id: String,
}

impl Session {
    /// A new one, and what its cookie says.
    ///
    /// # Errors
    /// What the system says where nothing random can be had.
    pub fn begin(token: &OperatorToken, now: Timestamp) -> std::io::Result<(Self, String)> {
        let id = format!("{}.{}", (now + LASTS).timestamp(), token::random()?);
        let cookie = format!("{id}.{}", token.seal("session", &id));
        Ok((Self { id }, cookie))
    }

    /// The one that a request to this port belongs to.
    #[must_use]
    pub fn of(token: &OperatorToken, headers: &HeaderMap, port: u16, now: Timestamp) -> Option<Self> {
        let name = cookie_name(port);
        cookies(headers, &name).find_map(|cookie| Self::opened(token, cookie, now))
    }

    fn opened(token: &OperatorToken, cookie: &str, now: Timestamp) -> Option<Self> {
        let (id, seal) = cookie.rsplit_once('.')?;
        let until: i64 = id.split_once('.')?.0.parse().ok()?;
        (token.is_sealed("session", id, seal) && until > now.timestamp()).then(|| Self { id: id.to_owned() })
    }

    /// What it is known by. It begins with the second at which the session is over by itself.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// How long it lasts still, where nobody logs it out.
    #[must_use]
    pub fn remains(&self, now: Timestamp) -> Duration {
        let until = self.id.split_once('.').and_then(|(until, _)| until.parse::<i64>().ok()).unwrap_or_default();
        Duration::from_secs(until.saturating_sub(now.timestamp()).try_into().unwrap_or_default())
    }

    /// What the forms of its pages say, which nobody else can know.
    #[must_use]
    pub fn form_token(&self, token: &OperatorToken) -> String {
        token.seal("form", &self.id)
    }

    /// Whether a form is one of its pages'.
    #[must_use]
    pub fn is_form_token(&self, token: &OperatorToken, said: &str) -> bool {
        token.is_sealed("form", &self.id, said)
    }

    /// What is to be told on its next page, as a cookie says it.
    #[must_use]
    pub fn notice_cookie(&self, token: &OperatorToken, notice: &str) -> String {
        let notice = &notice[..notice.floor_char_boundary(NOTICE / 3)];
        let text: String = url::form_urlencoded::byte_serialize(notice.as_bytes()).collect();
        format!("{}.{text}", self.notice_seal(token, notice))
    }

    /// What a request brings to be told. Nothing if it is not from here.
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

/// The name of the cookie of a server, of which a browser keeps those of all servers of a machine together.
#[must_use]
pub fn cookie_name(port: u16) -> String {
    format!("job_runner_pages_{port}")
}

/// The name of the cookie that brings a notice to the next page.
#[must_use]
pub fn notice_name(port: u16) -> String {
    format!("job_runner_notice_{port}")
}

/// The values of a cookie. A browser may send several, of several paths.
fn cookies<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(move |(found, _)| *found == name).map(|(_, value)| value)
}
