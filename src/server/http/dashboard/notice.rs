//! Notices: tell the result of an action on the next page.
//!
//! An action is answered with a redirect and a cookie, which the next page shows and deletes. The text is sealed for
//! the session, so that no address and no other site can put words on a page.

use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::server::identity::session::{Session, notice_name};
use crate::server::state::AppState;

#[cfg(test)]
mod tests;

/// Lifetime of the cookie, in seconds, if no page shows it before.
const LASTS: u32 = 60;

/// Result of an action, in a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Notice {
    /// Whether the action was done.
    pub good: bool,
    /// Sentence that the page shows.
    pub text: String,
}

impl Notice {
    /// Notice of an action that was done.
    pub(super) fn done(text: impl Into<String>) -> Self {
        Self { good: true, text: text.into() }
    }

    /// Notice of an action that was refused or failed.
    pub(super) fn refused(text: impl Into<String>) -> Self {
        Self { good: false, text: text.into() }
    }

    /// Redirects to a path on this server, whose page shows the notice.
    pub(super) fn at(&self, app: &AppState, session: &Session, path: &str) -> Response {
        let (name, text) = (notice_name(app.settings.http.port()), self.text());
        let value = session.notice_cookie(&app.token, &text);
        let cookie = format!("{name}={value}; Path=/; Max-Age={LASTS}; HttpOnly; SameSite=Strict");
        (StatusCode::SEE_OTHER, [(SET_COOKIE, cookie), (LOCATION, path.to_owned())]).into_response()
    }

    /// Notice that a request carries in its cookie; `None` if it has none or the seal is not that of the session.
    pub(super) fn brought(app: &AppState, session: &Session, headers: &HeaderMap) -> Option<Self> {
        let text = session.notice(&app.token, headers, app.settings.http.port())?;
        Self::of_text(&text)
    }

    /// Value of a `Set-Cookie` header that deletes the notice.
    pub(super) fn forget(app: &AppState) -> String {
        format!("{}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict", notice_name(app.settings.http.port()))
    }

    fn text(&self) -> String {
        // The sign is inside the sealed text, so that a refusal cannot be turned into a success.
        format!("{}{}", if self.good { '+' } else { '-' }, self.text)
    }

    fn of_text(text: &str) -> Option<Self> {
        let good = text.starts_with('+');
        text.strip_prefix(['+', '-']).map(|text| Self { good, text: text.to_owned() })
    }
}
