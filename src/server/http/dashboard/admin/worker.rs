//! Workers. Pure.

use super::fields::{FieldChoice, FieldGroup, FieldInput, FormField, Mistakes};
use super::reading::Reading;
use crate::run::{ApiKey, Secret};
use crate::server::domain::model::PoolId;
use crate::server::domain::rules;
use crate::server::http::dashboard::form::Filled;
use crate::server::store::{CatalogueEntry, WorkerForm};

#[cfg(test)]
mod tests;

/// The fields. One that is there already can get a new secret.
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

/// A worker, with the secret that was made for it.
///
/// # Errors
/// What is wrong.
pub fn read(form: &Filled, secret: Option<&str>) -> Result<WorkerForm, Mistakes> {
    let mut reading = Reading::of(form);
    let title = reading.take("title", rules::title(form.text("title").unwrap_or_default()));
    let description = reading.description();
    let key = form.text("api_key").or(title).unwrap_or_default();
    let api_key = match title.or(form.text("api_key")) {
        Some(_) => reading.take("api_key", ApiKey::parse(key).map_err(|what| format!("{key:?} {what}"))),
        // What is wrong with the title is told already.
        None => None,
    };
    let pools = reading.all("pools", PoolId::new);
    let sheet = (|| {
        Some(WorkerForm {
            title: title?.to_owned(),
            description: description?,
            enabled: form.ticked("enabled"),
            api_key: api_key?,
            secret: secret.map(|secret| Secret::new(secret.as_bytes().to_vec())),
            pools,
        })
    })();
    reading.done(sheet)
}
