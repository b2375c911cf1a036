//! What was just done, told on the next page.
//!
//! An action is answered with the way to a page and a cookie that this page shows and forgets. Its text is sealed for
//! the session, so that no address and no other site can put words on a page.

use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::server::identity::session::{Session, notice_name};
use crate::server::state::AppState;

#[cfg(test)]
mod tests;

/// How long it waits for its page, in seconds.
const LASTS: u32 = 60;

/// What was done, or was not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Notice {
    /// Whether it was done.
    pub good: bool,
    /// A sentence.
    pub text: String,
}

impl Notice {
    /// It was done.
    pub(super) fn done(text: impl Into<String>) -> Self {
        Self { good: true, text: text.into() }
    }

    /// It was not.
    pub(super) fn refused(text: impl Into<String>) -> Self {
        Self { good: false, text: text.into() }
    }

    /// Leads on to a page of ours, which tells it.
    pub(super) fn at(&self, app: &AppState, session: &Session, path: &str) -> Response {
        let (name, text) = (notice_name(app.settings.http.port()), self.text());
        let value = session.notice_cookie(&app.token, &text);
        let cookie = format!("{name}={value}; Path=/; Max-Age={LASTS}; HttpOnly; SameSite=Strict");
        (StatusCode::SEE_OTHER, [(SET_COOKIE, cookie), (LOCATION, path.to_owned())]).into_response()
    }

    /// What a request brings to be told.
    pub(super) fn brought(app: &AppState, session: &Session, headers: &HeaderMap) -> Option<Self> {
        let text = session.notice(&app.token, headers, app.settings.http.port())?;
        Self::of_text(&text)
    }

    /// What makes a browser forget it.
    pub(super) fn forget(app: &AppState) -> String {
        format!("{}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict", notice_name(app.settings.http.port()))
    }

    fn text(&self) -> String {
        format!("{}{}", if self.good { '+' } else { '-' }, self.text)
    }

    fn of_text(text: &str) -> Option<Self> {
        let good = text.starts_with('+');
        text.strip_prefix(['+', '-']).map(|text| Self { good, text: text.to_owned() })
    }
}
