//! Templates. Pure.

use super::fields::{Choice, Field, Group, Input, Mistakes};
use super::project::sheet;
use super::reading::Reading;
use crate::server::model::ProjectId;
use crate::server::page::form::Filled;
use crate::server::script;
use crate::server::store::{Entry, Sheet};

#[cfg(test)]
mod tests;

/// What a template begins as: nothing but the job's own script.
pub const BODY: &str = "{{ content|safe }}";

/// The fields.
pub fn fields(projects: &[Entry]) -> Vec<Group> {
    let mut fields = sheet("Its jobs run when they are due");
    let hint = "Where {{ content|safe }} stands, the script of the job is put. What is executed begins with #!.";
    fields.insert(1, Field::new("project", "Project", Input::One(Choice::of(projects))));
    fields.insert(2, Field::new("body", "Text", Input::Script).hint(hint));
    vec![Group { title: "Template", fields }]
}

/// A template.
///
/// # Errors
/// What is wrong.
pub fn read(form: &Filled) -> Result<(Sheet, ProjectId, String), Mistakes> {
    let mut reading = Reading::of(form);
    let sheet = reading.sheet();
    let project = reading.chosen("project", "a project", ProjectId::new);
    let body = form.script("body");
    reading.take("body", script::check(&body));
    reading.done(sheet.zip(project).map(|(sheet, project)| (sheet, project, body)))
}
