//! Page frame: the navigation, the choice of the project, the state of the connection, and the notice of the last
//! action around every view. Pure.

use axum::http::header::SET_COOKIE;
use axum::response::{Html, IntoResponse, Response};
use minijinja::{Value, context};

use super::template::fill;
use super::visit::Visit;

#[cfg(test)]
mod tests;

/// Sections that the navigation leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    /// Runs in their lanes.
    Now,
    /// Jobs, with their schedules.
    Jobs,
    /// Workers, pools, and commands to workers.
    Workers,
    /// Jobs and tasks for Flamenco workers, and these workers.
    Farm,
    /// Forms for projects, templates, jobs, pools and workers.
    Admin,
}

const SECTIONS: [(Section, &str, &str); 5] = [
    (Section::Now, "Now", "/"),
    (Section::Jobs, "Jobs", "/jobs"),
    (Section::Workers, "Workers", "/workers"),
    (Section::Farm, "Farm", "/farm"),
    (Section::Admin, "Admin", "/admin"),
];

/// Settings of the frame that each view chooses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head<'a> {
    /// Title of the browser window.
    pub title: &'a str,
    /// Section that is marked in the navigation.
    pub section: Section,
    /// Script that keeps the view up to date, by its name in `assets/` without `.js`; `None` for a view that needs no
    /// connection.
    pub script: Option<&'a str>,
    /// Path under which the view is shown for another project; `None` where the project makes no difference.
    pub by_project: Option<&'a str>,
}

impl Visit {
    /// Renders a whole page with `body` in it, and deletes the notice that it shows.
    pub(super) fn show(&self, head: Head<'_>, body: &Value) -> Response {
        let page = Html(page(self, head, body));
        match &self.forget {
            Some(forget) => ([(SET_COOKIE, forget.clone())], page).into_response(),
            None => page.into_response(),
        }
    }
}

/// Renders a whole page: the frame with a view in it.
pub(super) fn page(visit: &Visit, head: Head<'_>, body: &Value) -> String {
    let query = visit.project.map(|project| format!("?project={project}")).unwrap_or_default();
    let sections: Vec<Value> = SECTIONS
        .iter()
        .filter(|(section, ..)| *section != Section::Farm || visit.has_farm)
        // Only these two sections show one project; the others would carry the choice along without effect.
        .map(|(section, name, path)| {
            let keeps = matches!(section, Section::Now | Section::Jobs);
            let path = if keeps { format!("{path}{query}") } else { (*path).to_owned() };
            context!(name => *name, path, here => *section == head.section)
        })
        .collect();
    let projects: Vec<Value> = visit
        .projects
        .iter()
        .map(|(id, title)| context!(id => id.get(), title, chosen => visit.project == Some(*id)))
        .collect();
    let notice = visit.notice.as_ref().map(|notice| context!(good => notice.good, text => notice.text.as_str()));
    let context = context! {
        title => head.title, script => head.script, by_project => head.by_project,
        sections, projects, notice, body, lacking => visit.lacking.as_deref(), form_token => visit.form_token.as_str(),
        zone => visit.zone.name(), version => env!("CARGO_PKG_VERSION"), inside => true,
    };
    fill("frame", context).to_string()
}
