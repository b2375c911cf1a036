//! Forms of projects and pools, which have most fields in common. Pure.

use super::fields::{FieldChoice, FieldGroup, FieldInput, FormField, Mistakes};
use super::reading::Reading;
use crate::server::domain::model::{PoolId, WorkerId};
use crate::server::http::dashboard::form::Filled;
use crate::server::store::{CatalogueEntry, EntityForm};

#[cfg(test)]
mod tests;

/// Hint for the addresses that failures are to be reported to.
pub const ADDRESSES: &str =
    "An address a line. Nobody is told yet: this version sends nothing, and keeps the addresses.";

/// Fields that projects, pools and templates have in common.
pub fn sheet(enabled: &'static str) -> Vec<FormField> {
    vec![
        FormField::new("title", "Title", FieldInput::Line),
        FormField::new("description", "Description", FieldInput::Text),
        FormField::new("enabled", enabled, FieldInput::Tick),
        FormField::new("notification_addresses", "Told of failures", FieldInput::Text).hint(ADDRESSES),
    ]
}

/// Fields of a project's form.
pub fn of_project(pools: &[CatalogueEntry]) -> Vec<FieldGroup> {
    let mut fields = sheet("Its jobs run when they are due");
    fields.push(FormField::new("pools", "Pools that may work for it", FieldInput::Some(FieldChoice::of(pools))));
    vec![FieldGroup { title: "Project", fields }]
}

/// Fields of a pool's form.
pub fn of_pool(workers: &[CatalogueEntry]) -> Vec<FieldGroup> {
    let mut fields = sheet("Jobs run on it when they are due");
    let choices = workers.iter().map(|entry| FieldChoice::new(entry.id, &*entry.title)).collect();
    fields.push(FormField::new("workers", "Workers in it", FieldInput::Some(choices)));
    vec![FieldGroup { title: "Pool", fields }]
}

/// Reads a project's form into the project and its pools.
///
/// # Errors
/// If a value breaks a rule: all mistakes, by field.
pub fn read_project(form: &Filled) -> Result<(EntityForm, Vec<PoolId>), Mistakes> {
    let mut reading = Reading::of(form);
    let (sheet, pools) = (reading.sheet(), reading.all("pools", PoolId::new));
    reading.done(sheet.map(|sheet| (sheet, pools)))
}

/// Reads a pool's form into the pool and its workers.
///
/// # Errors
/// If a value breaks a rule: all mistakes, by field.
pub fn read_pool(form: &Filled) -> Result<(EntityForm, Vec<WorkerId>), Mistakes> {
    let mut reading = Reading::of(form);
    let (sheet, workers) = (reading.sheet(), reading.all("workers", WorkerId::new));
    reading.done(sheet.map(|sheet| (sheet, workers)))
}
