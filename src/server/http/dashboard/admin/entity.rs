//! What the kinds of things are called, in addresses and to people. Pure.

use crate::server::http::dashboard::answer::PageRefusal;
use crate::server::store::Entity;

/// All of them, in the order in which they are shown.
pub const ALL: [Entity; 5] = [Entity::Project, Entity::Template, Entity::Job, Entity::Pool, Entity::Worker];

/// The kind in an address.
///
/// # Errors
/// That there is none of that name.
pub fn named(path: &str) -> Result<Entity, PageRefusal> {
    let known = ALL.into_iter().find(|thing| self::path(*thing) == path);
    known.ok_or_else(|| PageRefusal::NotFound("There is no such page.".to_owned()))
}

/// Its name in addresses.
pub fn path(thing: Entity) -> &'static str {
    match thing {
        Entity::Project => "projects",
        Entity::Template => "templates",
        Entity::Job => "jobs",
        Entity::Pool => "pools",
        Entity::Worker => "workers",
    }
}

/// Several of it, as a title.
pub fn title(thing: Entity) -> &'static str {
    match thing {
        Entity::Project => "Projects",
        Entity::Template => "Templates",
        Entity::Job => "Jobs",
        Entity::Pool => "Pools",
        Entity::Worker => "Workers",
    }
}

/// One of it, as a title.
pub fn capital(thing: Entity) -> &'static str {
    title(thing).trim_end_matches('s')
}

/// One of it, in a sentence.
pub fn noun(thing: Entity) -> &'static str {
    path(thing).trim_end_matches('s')
}

/// What a list tells beside titles: what it lies in, and how many of what are in it.
pub fn columns(thing: Entity) -> (Option<&'static str>, Option<&'static str>) {
    match thing {
        Entity::Project => (None, Some("Jobs")),
        Entity::Template => (Some("Project"), Some("Jobs")),
        Entity::Job => (Some("Project / template"), None),
        Entity::Pool => (None, Some("Workers")),
        Entity::Worker => (Some("Key"), None),
    }
}

/// Where one is looked at, beside where it is edited.
pub fn view(thing: Entity, id: i64) -> Option<String> {
    (thing == Entity::Job).then(|| format!("/jobs/{id}"))
}

/// Where to go when one was saved.
pub fn home(thing: Entity, id: i64) -> String {
    view(thing, id).unwrap_or_else(|| format!("/admin/{}", path(thing)))
}

/// That there is none with this id.
pub fn unknown(thing: Entity, id: i64) -> PageRefusal {
    PageRefusal::NotFound(format!("There is no {} {id}.", noun(thing)))
}
