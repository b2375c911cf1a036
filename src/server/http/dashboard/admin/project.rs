//! Forms of projects and pools, which have most fields in common. Pure.

use super::fields::{FieldChoice, FieldGroup, FieldInput, FormField, Mistakes};
use super::form_reader::FormReader;
use crate::server::domain::model::{PoolId, WorkerId};
use crate::server::http::dashboard::form::FormValues;
use crate::server::store::{CatalogueEntry, EntityForm};

#[cfg(test)]
mod tests;

/// Hint for the addresses that failures are to be reported to.
pub const ADDRESSES: &str = "One address per line. This version keeps the addresses, but sends nothing yet.";

/// Fields that projects, pools and templates have in common.
pub fn common_fields(enabled: &'static str) -> Vec<FormField> {
    vec![
        FormField::new("title", "Title", FieldInput::Line),
        FormField::new("description", "Description", FieldInput::Text),
        FormField::new("enabled", enabled, FieldInput::Tick),
        FormField::new("notification_addresses", "Notify of failures", FieldInput::Text).hint(ADDRESSES),
    ]
}

/// Fields of a project's form.
pub fn project_fields(pools: &[CatalogueEntry]) -> Vec<FieldGroup> {
    let mut fields = common_fields("Its jobs run when they are due");
    fields.push(FormField::new("pools", "Pools that may work for it", FieldInput::Some(FieldChoice::of(pools))));
    vec![FieldGroup { title: "Project", fields }]
}

/// Fields of a pool's form.
pub fn pool_fields(workers: &[CatalogueEntry]) -> Vec<FieldGroup> {
    let mut fields = common_fields("Jobs run on it when they are due");
    let choices = workers.iter().map(|entry| FieldChoice::new(entry.id, &*entry.title)).collect();
    fields.push(FormField::new("workers", "Workers in it", FieldInput::Some(choices)));
    vec![FieldGroup { title: "Pool", fields }]
}

/// Reads a project's form into the project and its pools.
///
/// # Errors
/// If a value breaks a rule: all mistakes, by field.
pub fn read_project(form: &FormValues) -> Result<(EntityForm, Vec<PoolId>), Mistakes> {
    let mut reader = FormReader::of(form);
    let (values, pools) = (reader.entity_form(), reader.all("pools", PoolId::new));
    reader.done(values.map(|values| (values, pools)))
}

/// Reads a pool's form into the pool and its workers.
///
/// # Errors
/// If a value breaks a rule: all mistakes, by field.
pub fn read_pool(form: &FormValues) -> Result<(EntityForm, Vec<WorkerId>), Mistakes> {
    let mut reader = FormReader::of(form);
    let (values, workers) = (reader.entity_form(), reader.all("workers", WorkerId::new));
    reader.done(values.map(|values| (values, workers)))
}
