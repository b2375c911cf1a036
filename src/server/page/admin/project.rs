//! Projects and pools, which are written alike. Pure.

use super::fields::{Choice, Field, Group, Input, Mistakes};
use super::reading::Reading;
use crate::server::model::{PoolId, WorkerId};
use crate::server::page::form::Filled;
use crate::server::store::{Entry, Sheet};

#[cfg(test)]
mod tests;

/// What is to be known of the addresses that are to be told of failures.
pub const ADDRESSES: &str =
    "An address a line. Nobody is told yet: this version sends nothing, and keeps the addresses.";

/// Fields that things have alike.
pub fn sheet(enabled: &'static str) -> Vec<Field> {
    vec![
        Field::new("title", "Title", Input::Line),
        Field::new("description", "Description", Input::Text),
        Field::new("enabled", enabled, Input::Tick),
        Field::new("notification_addresses", "Told of failures", Input::Text).hint(ADDRESSES),
    ]
}

/// The fields of a project.
pub fn of_project(pools: &[Entry]) -> Vec<Group> {
    let mut fields = sheet("Its jobs run when they are due");
    fields.push(Field::new("pools", "Pools that may work for it", Input::Some(Choice::of(pools))));
    vec![Group { title: "Project", fields }]
}

/// The fields of a pool.
pub fn of_pool(workers: &[Entry]) -> Vec<Group> {
    let mut fields = sheet("Jobs run on it when they are due");
    let choices = workers.iter().map(|entry| Choice::new(entry.id, &*entry.title)).collect();
    fields.push(Field::new("workers", "Workers in it", Input::Some(choices)));
    vec![Group { title: "Pool", fields }]
}

/// A project.
///
/// # Errors
/// What is wrong.
pub fn read_project(form: &Filled) -> Result<(Sheet, Vec<PoolId>), Mistakes> {
    let mut reading = Reading::of(form);
    let (sheet, pools) = (reading.sheet(), reading.all("pools", PoolId::new));
    reading.done(sheet.map(|sheet| (sheet, pools)))
}

/// A pool.
///
/// # Errors
/// What is wrong.
pub fn read_pool(form: &Filled) -> Result<(Sheet, Vec<WorkerId>), Mistakes> {
    let mut reading = Reading::of(form);
    let (sheet, workers) = (reading.sheet(), reading.all("workers", WorkerId::new));
    reading.done(sheet.map(|sheet| (sheet, workers)))
}
