//! Projects and pools, which are written alike. Pure.

use super::fields::{FieldChoice, FieldGroup, FieldInput, FormField, Mistakes};
use super::reading::Reading;
use crate::server::domain::model::{PoolId, WorkerId};
use crate::server::http::dashboard::form::Filled;
use crate::server::store::{CatalogueEntry, EntityForm};

#[cfg(test)]
mod tests;

/// What is to be known of the addresses that are to be told of failures.
pub const ADDRESSES: &str =
    "An address a line. Nobody is told yet: this version sends nothing, and keeps the addresses.";

/// Fields that things have alike.
pub fn sheet(enabled: &'static str) -> Vec<FormField> {
    vec![
        FormField::new("title", "Title", FieldInput::Line),
        FormField::new("description", "Description", FieldInput::Text),
        FormField::new("enabled", enabled, FieldInput::Tick),
        FormField::new("notification_addresses", "Told of failures", FieldInput::Text).hint(ADDRESSES),
    ]
}

/// The fields of a project.
pub fn of_project(pools: &[CatalogueEntry]) -> Vec<FieldGroup> {
    let mut fields = sheet("Its jobs run when they are due");
    fields.push(FormField::new("pools", "Pools that may work for it", FieldInput::Some(FieldChoice::of(pools))));
    vec![FieldGroup { title: "Project", fields }]
}

/// The fields of a pool.
pub fn of_pool(workers: &[CatalogueEntry]) -> Vec<FieldGroup> {
    let mut fields = sheet("Jobs run on it when they are due");
    let choices = workers.iter().map(|entry| FieldChoice::new(entry.id, &*entry.title)).collect();
    fields.push(FormField::new("workers", "Workers in it", FieldInput::Some(choices)));
    vec![FieldGroup { title: "Pool", fields }]
}

/// A project.
///
/// # Errors
/// What is wrong.
pub fn read_project(form: &Filled) -> Result<(EntityForm, Vec<PoolId>), Mistakes> {
    let mut reading = Reading::of(form);
    let (sheet, pools) = (reading.sheet(), reading.all("pools", PoolId::new));
    reading.done(sheet.map(|sheet| (sheet, pools)))
}

/// A pool.
///
/// # Errors
/// What is wrong.
pub fn read_pool(form: &Filled) -> Result<(EntityForm, Vec<WorkerId>), Mistakes> {
    let mut reading = Reading::of(form);
    let (sheet, workers) = (reading.sheet(), reading.all("workers", WorkerId::new));
    reading.done(sheet.map(|sheet| (sheet, workers)))
}
