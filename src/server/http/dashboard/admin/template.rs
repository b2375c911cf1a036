//! Forms of templates. Pure.

use super::fields::{FieldChoice, FieldGroup, FieldInput, FormField, Mistakes};
use super::form_reader::FormReader;
use super::project::common_fields;
use crate::server::domain::model::ProjectId;
use crate::server::domain::script;
use crate::server::http::dashboard::form::FormValues;
use crate::server::store::{CatalogueEntry, EntityForm};

#[cfg(test)]
mod tests;

/// Text of a new template: nothing but the job's own script.
pub const BODY: &str = "{{ content|safe }}";

/// Fields of a template's form.
pub fn fields(projects: &[CatalogueEntry]) -> Vec<FieldGroup> {
    let mut fields = common_fields("Its jobs run when they are due");
    let hint = "Where {{ content|safe }} stands, the script of the job is put. What is executed begins with #!.";
    fields.insert(1, FormField::new("project", "Project", FieldInput::One(FieldChoice::of(projects))));
    fields.insert(2, FormField::new("body", "Text", FieldInput::Script).hint(hint));
    vec![FieldGroup { title: "Template", fields }]
}

/// Reads a template's form into the template, its project and its text.
///
/// # Errors
/// If a value breaks a rule: all mistakes, by field.
pub fn read(form: &FormValues) -> Result<(EntityForm, ProjectId, String), Mistakes> {
    let mut reader = FormReader::of(form);
    let values = reader.entity_form();
    let project = reader.chosen("project", "a project", ProjectId::new);
    let body = form.script("body");
    reader.take("body", script::check(&body));
    reader.done(values.zip(project).map(|(values, project)| (values, project, body)))
}
