//! Visit: the facts about a page view that every page needs, among them the session's form token and the chosen
//! project.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use chrono_tz::Tz;

use super::notice::Notice;
use super::refusal::PageRefusal;
use crate::server::domain::model::ProjectId;
use crate::server::identity::session::Session;
use crate::server::state::AppState;

/// Projects that can be chosen from at most.
const PROJECTS: u32 = 1000;

/// Facts about one page view, extracted from its request.
#[derive(Clone, Debug)]
pub(super) struct Visit {
    /// Token of the session that each form of the page carries as `form_token`; empty for readers without a session.
    pub form_token: String,
    /// Result of the action that led to this page.
    pub notice: Option<Notice>,
    /// Project to which the page is restricted, from the query; `None` for all or for an unknown one.
    pub project: Option<ProjectId>,
    /// Projects to choose from, ordered by title.
    pub projects: Vec<(ProjectId, String)>,
    /// Time zone in which times are written until the browser rewrites them in its own.
    pub zone: Tz,
    /// Reason why nothing can be changed, while the store is not writable.
    pub lacking: Option<String>,
    /// Whether this server has Flamenco workers.
    pub has_farm: bool,
    /// Value of a `Set-Cookie` header that deletes the notice which the page shows.
    pub forget: Option<String>,
}

#[cfg(test)]
impl Visit {
    /// Visit in UTC with two projects, for tests of views.
    pub(super) fn sample() -> Self {
        let project = |id, title: &str| (ProjectId::new(id).unwrap(), title.to_owned());
        Self {
            form_token: "F00".to_owned(),
            notice: None,
            lacking: None,
            project: None,
            projects: vec![project(1, "Backups"), project(2, "<script>alert(1)</script>")],
            zone: Tz::UTC,
            has_farm: false,
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
        // A reader with the operator's token has no session, and the forms of its pages are refused.
        Ok(Self {
            form_token: session.map(|session| session.form_token(&app.token)).unwrap_or_default(),
            forget: notice.is_some().then(|| Notice::forget(app)),
            notice,
            lacking: app.store.outage().map(|outage| outage.to_string()),
            project: named.filter(|id| projects.iter().any(|(known, _)| known == id)),
            projects,
            zone: app.settings.time_zone,
            has_farm: app.settings.farm.listen.is_some(),
        })
    }
}

/// Session of the browser that acts. Refuses requests without one.
pub(super) struct SignedIn(pub Session);

impl FromRequestParts<Arc<AppState>> for SignedIn {
    type Rejection = PageRefusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<AppState>) -> Result<Self, PageRefusal> {
        app.session(&parts.headers).map(Self).ok_or(PageRefusal::Stranger)
    }
}
