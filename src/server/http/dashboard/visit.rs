//! Who looks at a page, and with which project in mind.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::SET_COOKIE;
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse, Response};
use chrono_tz::Tz;
use minijinja::Value;

use super::answer::PageRefusal;
use super::frame::{self, Head};
use super::notice::Notice;
use crate::server::domain::model::ProjectId;
use crate::server::identity::session::Session;
use crate::server::state::AppState;

/// How many projects there are to choose from.
const PROJECTS: u32 = 1000;

/// Who looks.
#[derive(Clone, Debug)]
pub(super) struct Visit {
    /// What each form of the page says, as `form_token`.
    pub form_token: String,
    /// What was just done.
    pub notice: Option<Notice>,
    /// The project that alone is looked at.
    pub project: Option<ProjectId>,
    /// All there are, in the order of their titles.
    pub projects: Vec<(ProjectId, String)>,
    /// Where times are shown until the browser knows better.
    pub zone: Tz,
    /// Why nothing can be changed, if nothing can.
    pub lacking: Option<String>,
    /// What makes the browser forget the notice that is shown.
    pub forget: Option<String>,
}

impl Visit {
    /// A page with this in it.
    pub(super) fn show(&self, head: Head<'_>, body: &Value) -> Response {
        let page = Html(frame::page(self, head, body));
        match &self.forget {
            Some(forget) => ([(SET_COOKIE, forget.clone())], page).into_response(),
            None => page.into_response(),
        }
    }

    /// Somebody in UTC with two projects, for tests of views.
    #[cfg(test)]
    pub(super) fn sample() -> Self {
        let project = |id, title: &str| (ProjectId::new(id).unwrap(), title.to_owned());
        Self {
            form_token: "F00".to_owned(),
            notice: None,
            lacking: None,
            project: None,
            projects: vec![project(1, "Backups"), project(2, "<script>alert(1)</script>")],
            zone: Tz::UTC,
            forget: None,
        }
    }
}

impl FromRequestParts<Arc<AppState>> for Visit {
    type Rejection = PageRefusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<AppState>) -> Result<Self, PageRefusal> {
        let session = app.session(&parts.headers);
        let notice = session.as_ref().and_then(|session| Notice::brought(app, session, &parts.headers));
        let projects = app.store.project_titles(PROJECTS).await?;
        let query = url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
        let mut named = query.filter(|(name, _)| name == "project").filter_map(|(_, id)| id.parse().ok());
        let named = named.next().and_then(ProjectId::new);
        Ok(Self {
            form_token: session.map(|session| session.form_token(&app.token)).unwrap_or_default(),
            forget: notice.is_some().then(|| Notice::forget(app)),
            notice,
            lacking: app.store.outage().map(|outage| outage.to_string()),
            project: named.filter(|id| projects.iter().any(|(known, _)| known == id)),
            projects,
            zone: app.settings.time_zone,
        })
    }
}

/// The session of who acts: whoever may act has one.
pub(super) struct Actor(pub Session);

impl FromRequestParts<Arc<AppState>> for Actor {
    type Rejection = PageRefusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<AppState>) -> Result<Self, PageRefusal> {
        app.session(&parts.headers).map(Self).ok_or(PageRefusal::Stranger)
    }
}
