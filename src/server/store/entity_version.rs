//! Versions of entities: two are equal when everything that the entity's form can change is equal.

use super::catalogue::Entity;
use super::db::Reading;
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

/// SQL for all that the form of an entity can change; `?1` is its id. The secret of a worker is left out, as its form
/// never shows it.
fn question(thing: Entity) -> &'static str {
    // Lists are ordered, so that equal sets have equal versions.
    match thing {
        Entity::Project => {
            "SELECT json_array(title, description, enqueue_is_enabled, notification_addresses,
             (SELECT json_group_array(pool ORDER BY pool) FROM project_pool WHERE project = ?1))
             FROM project WHERE id = ?1"
        }
        Entity::Pool => {
            "SELECT json_array(title, description, enqueue_is_enabled, notification_addresses,
             (SELECT json_group_array(worker ORDER BY worker) FROM pool_worker WHERE pool = ?1))
             FROM worker_pool WHERE id = ?1"
        }
        Entity::Template => {
            "SELECT json_array(title, description, enqueue_is_enabled, notification_addresses, project, body)
             FROM job_template WHERE id = ?1"
        }
        Entity::Worker => {
            "SELECT json_array(title, description, enqueue_is_enabled, api_key,
             (SELECT json_group_array(pool ORDER BY pool) FROM pool_worker WHERE worker = ?1))
             FROM worker WHERE id = ?1"
        }
        Entity::Job => {
            "SELECT json_array(title, description, enqueue_is_enabled, notification_addresses, disabled_reason, parent,
             job_template, worker_pool, run_on_all_workers, schedule_children_on_error, script_content_partial,
             reschedule_interval, reschedule_interval_type, cron, cron_zone, disable_enqueue_after_fails, run_timeout,
             retry_times, retry_backoff, on_lost, concurrency,
             (SELECT json_group_array(json_array(start_time, end_time, note) ORDER BY id)
              FROM reschedule_exclude WHERE job = ?1))
             FROM job WHERE id = ?1"
        }
    }
}

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
    let text: Option<String> = reading.value(question(thing), &[&id])?;
    Ok(text.map(|text| EntityVersion(short(&text))))
}

/// Hexadecimal digest of a text.
fn short(text: &str) -> String {
    // SHA-1 suffices: a digest detects a change that was overlooked, not a forgery.
    use sha1::{Digest, Sha1};
    Sha1::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}
