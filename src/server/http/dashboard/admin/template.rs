//! Forms of templates. Pure.

use super::fields::{FieldChoice, FieldGroup, FieldInput, FormField, Mistakes};
use super::project::sheet;
use super::reading::Reading;
use crate::server::domain::model::ProjectId;
use crate::server::domain::script;
use crate::server::http::dashboard::form::Filled;
use crate::server::store::{CatalogueEntry, EntityForm};

#[cfg(test)]
mod tests;

/// Text of a new template: nothing but the job's own script.
pub const BODY: &str = "{{ content|safe }}";

/// Fields of a template's form.
pub fn fields(projects: &[CatalogueEntry]) -> Vec<FieldGroup> {
    let mut fields = sheet("Its jobs run when they are due");
    let hint = "Where {{ content|safe }} stands, the script of the job is put. What is executed begins with #!.";
    fields.insert(1, FormField::new("project", "Project", FieldInput::One(FieldChoice::of(projects))));
    fields.insert(2, FormField::new("body", "Text", FieldInput::Script).hint(hint));
    vec![FieldGroup { title: "Template", fields }]
}

/// Reads a template's form into the template, its project and its text.
///
/// # Errors
/// If a value breaks a rule: all mistakes, by field.
pub fn read(form: &Filled) -> Result<(EntityForm, ProjectId, String), Mistakes> {
    let mut reading = Reading::of(form);
    let sheet = reading.sheet();
    let project = reading.chosen("project", "a project", ProjectId::new);
    let body = form.script("body");
    reading.take("body", script::check(&body));
    reading.done(sheet.zip(project).map(|(sheet, project)| (sheet, project, body)))
}
