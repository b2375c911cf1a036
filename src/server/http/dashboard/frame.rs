//! What stands around every view: the way to the others, the project, how the connection is, what was just done. Pure.

use minijinja::{Value, context};

use super::template::fill;
use super::visit::Visit;

#[cfg(test)]
mod tests;

/// The views that there is a way to from everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    /// What runs.
    Now,
    /// What can run.
    Jobs,
    /// Who runs it.
    Workers,
    /// What is set.
    Admin,
}

const SECTIONS: [(Section, &str, &str); 4] = [
    (Section::Now, "Now", "/"),
    (Section::Jobs, "Jobs", "/jobs"),
    (Section::Workers, "Workers", "/workers"),
    (Section::Admin, "Admin", "/admin"),
];

/// What the frame is told by the view in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head<'a> {
    /// Of the window.
    pub title: &'a str,
    /// Where it belongs.
    pub section: Section,
    /// The module of the browser's that makes it live, by its name in `assets/`; none: it needs no connection.
    pub script: Option<&'a str>,
    /// Where to ask for it with another project: its path. Nothing where the project makes no difference.
    pub by_project: Option<&'a str>,
}

/// A whole page.
pub(super) fn page(visit: &Visit, head: Head<'_>, body: &Value) -> String {
    let query = visit.project.map(|project| format!("?project={project}")).unwrap_or_default();
    let sections: Vec<Value> = SECTIONS
        .iter()
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

/// A page for who is not inside, or for what is nowhere.
pub(super) fn bare(title: &str, body: &Value) -> String {
    fill("frame", context!(title, body, version => env!("CARGO_PKG_VERSION"))).to_string()
}

/// A page that says one thing.
pub(super) fn message(said: &str) -> String {
    bare("Job Runner", &fill("message", context!(said)))
}
