//! Names of the five kinds of entities, in addresses and in the user interface. Pure.

use crate::server::http::dashboard::refusal::PageRefusal;
use crate::server::store::Entity;

/// All kinds, in the order of the tabs.
pub const ALL: [Entity; 5] = [Entity::Project, Entity::Template, Entity::Job, Entity::Pool, Entity::Worker];

/// Parses the kind in an address.
///
/// # Errors
/// If no kind has that name.
pub fn named(path: &str) -> Result<Entity, PageRefusal> {
    let known = ALL.into_iter().find(|entity| self::path(*entity) == path);
    known.ok_or_else(|| PageRefusal::NotFound("There is no such page.".to_owned()))
}

/// Name of a kind in addresses.
pub fn path(entity: Entity) -> &'static str {
    match entity {
        Entity::Project => "projects",
        Entity::Template => "templates",
        Entity::Job => "jobs",
        Entity::Pool => "pools",
        Entity::Worker => "workers",
    }
}

/// Plural of a kind, as a title.
pub fn title(entity: Entity) -> &'static str {
    match entity {
        Entity::Project => "Projects",
        Entity::Template => "Templates",
        Entity::Job => "Jobs",
        Entity::Pool => "Pools",
        Entity::Worker => "Workers",
    }
}

/// Singular of a kind, capitalised.
pub fn capital(entity: Entity) -> &'static str {
    // All kinds have regular plurals.
    title(entity).trim_end_matches('s')
}

/// Singular of a kind, in a sentence.
pub fn noun(entity: Entity) -> &'static str {
    path(entity).trim_end_matches('s')
}

/// Titles of the columns in a list beside the entity's own title: the entity that it belongs to, and the number of
/// those that belong to it.
pub fn columns(entity: Entity) -> (Option<&'static str>, Option<&'static str>) {
    match entity {
        Entity::Project => (None, Some("Jobs")),
        Entity::Template => (Some("Project"), Some("Jobs")),
        Entity::Job => (Some("Project / template"), None),
        Entity::Pool => (None, Some("Workers")),
        Entity::Worker => (Some("Key"), None),
    }
}

/// Address of the page that shows an entity, for the kinds that have one besides their form.
pub fn view(entity: Entity, id: i64) -> Option<String> {
    (entity == Entity::Job).then(|| format!("/jobs/{id}"))
}

/// Address to go to after an entity was saved.
pub fn home(entity: Entity, id: i64) -> String {
    view(entity, id).unwrap_or_else(|| format!("/admin/{}", path(entity)))
}

/// Refusal for an id that no entity of this kind has.
pub fn unknown(entity: Entity, id: i64) -> PageRefusal {
    PageRefusal::NotFound(format!("There is no {} {id}.", noun(entity)))
}
