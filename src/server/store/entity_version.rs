//! Versions of entities: two are equal when everything that the entity's form can change is equal.

use super::catalogue::Entity;
use super::db::{DbRow, Reading};
use super::{Store, StoreError};

/// Version of an entity that a client saw: a digest of all that its form can change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityVersion(String);

impl EntityVersion {
    /// Takes a version from a form that comes back.
    #[must_use]
    pub fn read(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Text of the version for a form; short, however large the entity is.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }
}

/// All that the form of an entity can change: columns of its row, and rows that belong to it.
struct Editable {
    table: &'static str,
    columns: &'static [&'static str],
    belonging: Option<Belonging>,
}

/// Rows that belong to an entity, in an order of their own, so that equal sets have equal versions.
struct Belonging {
    table: &'static str,
    key: &'static str,
    columns: &'static [&'static str],
    order: &'static str,
}

/// Returns what the form of an entity can change. The secret of a worker is left out, as its form never shows it.
fn editable(thing: Entity) -> Editable {
    const SHARED: &[&str] = &["title", "description", "enqueue_is_enabled", "notification_addresses"];
    let ids = |table, key, column: &'static [&'static str; 1]| {
        Some(Belonging { table, key, columns: column, order: column[0] })
    };
    match thing {
        Entity::Project => {
            let belonging = ids("project_pool", "project", &["pool"]);
            Editable { table: "project", columns: SHARED, belonging }
        }
        Entity::Pool => {
            let belonging = ids("pool_worker", "pool", &["worker"]);
            Editable { table: "worker_pool", columns: SHARED, belonging }
        }
        Entity::Template => {
            let columns = &["title", "description", "enqueue_is_enabled", "notification_addresses", "project", "body"];
            Editable { table: "job_template", columns, belonging: None }
        }
        Entity::Worker => {
            let columns = &["title", "description", "enqueue_is_enabled", "api_key"];
            Editable { table: "worker", columns, belonging: ids("pool_worker", "worker", &["pool"]) }
        }
        Entity::Job => {
            let columns = &["start_time", "end_time", "note"];
            let excludes = Belonging { table: "reschedule_exclude", key: "job", columns, order: "id" };
            Editable { table: "job", columns: JOB, belonging: Some(excludes) }
        }
    }
}

/// Columns of a job that its form can change.
const JOB: &[&str] = &[
    "title",
    "description",
    "enqueue_is_enabled",
    "notification_addresses",
    "disabled_reason",
    "parent",
    "job_template",
    "worker_pool",
    "run_on_all_workers",
    "schedule_children_on_error",
    "script_content_partial",
    "reschedule_interval",
    "reschedule_interval_type",
    "cron",
    "cron_zone",
    "disable_enqueue_after_fails",
    "run_timeout",
    "retry_times",
    "retry_backoff",
    "on_lost",
    "concurrency",
];

impl Store {
    /// Returns the present version of an entity; `None` if there is no such entity.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn version(&self, thing: Entity, id: i64) -> Result<Option<EntityVersion>, StoreError> {
        self.read(move |reading| version_of(reading, thing, id)).await
    }
}

/// Refuses a change of an entity whose version is not the one that the client saw. A missing entity is left to the
/// change itself.
pub(super) fn check(
    reading: &Reading<'_>,
    thing: Entity,
    id: Option<i64>,
    seen: Option<&EntityVersion>,
) -> Result<(), StoreError> {
    let (Some(id), Some(seen)) = (id, seen) else { return Ok(()) };
    match version_of(reading, thing, id)? {
        Some(now) if now != *seen => Err(StoreError::Changed),
        _ => Ok(()),
    }
}

fn version_of(reading: &Reading<'_>, thing: Entity, id: i64) -> Result<Option<EntityVersion>, StoreError> {
    let Editable { table, columns, belonging } = editable(thing);
    let sql = format!("SELECT {} FROM {table} WHERE id = ?", columns.join(", "));
    let Some(mut content) = reading.row(&sql, &[&id], |row| values(row, columns))? else { return Ok(None) };
    if let Some(Belonging { table, key, columns, order }) = belonging {
        let sql = format!("SELECT {} FROM {table} WHERE {key} = ? ORDER BY {order}", columns.join(", "));
        let rows = reading.rows(&sql, &[&id], |row| values(row, columns))?;
        content.push(rows.into_iter().map(|mut row| if row.len() == 1 { row.remove(0) } else { row.into() }).collect());
    }
    Ok(Some(EntityVersion(short(&serde_json::Value::from(content).to_string()))))
}

fn values(row: &DbRow<'_>, columns: &[&str]) -> Result<Vec<serde_json::Value>, StoreError> {
    Ok((0..columns.len()).map(|column| row.at(column)).collect::<Result<_, _>>()?)
}

/// Hexadecimal digest of a text.
fn short(text: &str) -> String {
    // SHA-1 suffices: a digest detects a change that was overlooked, not a forgery.
    use sha1::{Digest, Sha1};
    Sha1::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}
