//! Forms of workers. Pure.

use super::fields::{FieldChoice, FieldGroup, FieldInput, FormField, Mistakes};
use super::form_reader::FormReader;
use crate::run::{ApiKey, Secret};
use crate::server::domain::model::PoolId;
use crate::server::domain::title::Title;
use crate::server::http::dashboard::form::FormValues;
use crate::server::store::{CatalogueEntry, WorkerForm};

#[cfg(test)]
mod tests;

/// Fields of a worker's form. Only an existing worker can be given a new secret: a new one gets its first in any case.
pub fn fields(pools: &[CatalogueEntry], is_new: bool) -> Vec<FieldGroup> {
    let mut fields = vec![
        FormField::new("title", "Title", FieldInput::Line),
        FormField::new("api_key", "Key", FieldInput::Line)
            .hint("Who it says it is: api_key in its configuration. If you leave it empty, it is the title."),
        FormField::new("description", "Description", FieldInput::Text),
        FormField::new("enabled", "It is given new runs", FieldInput::Tick),
        FormField::new("pools", "Pools it is in", FieldInput::Some(FieldChoice::of(pools))),
    ];
    if !is_new {
        let hint = "It is shown once. The old one is worth nothing from then on.";
        fields.push(FormField::new("new_secret", "It gets a new secret", FieldInput::Tick).hint(hint));
    }
    vec![FieldGroup { title: "Worker", fields }]
}

/// Reads a worker's form, with the secret that was generated for it, if any.
///
/// # Errors
/// If a value breaks a rule: all mistakes, by field.
pub fn read(form: &FormValues, secret: Option<&str>) -> Result<WorkerForm, Mistakes> {
    let mut reader = FormReader::of(form);
    let title = reader.take("title", Title::new(form.text("title").unwrap_or_default()));
    let description = reader.description();
    // Without a key of its own, a worker goes by its title.
    let key = form.text("api_key").or(title.as_deref()).unwrap_or_default();
    let api_key = match title.as_deref().or(form.text("api_key")) {
        Some(_) => reader.take("api_key", ApiKey::parse(key).map_err(|what| format!("{key:?} {what}"))),
        // The missing title is a mistake already; a second one for the missing key would only confuse.
        None => None,
    };
    let pools = reader.all("pools", PoolId::new);
    let values = (|| {
        Some(WorkerForm {
            title: title?,
            description: description?,
            enabled: form.ticked("enabled"),
            api_key: api_key?,
            secret: secret.map(|secret| Secret::new(secret.as_bytes().to_vec())),
            pools,
        })
    })();
    reader.done(values)
}
