//! What the kinds of things are called, in addresses and to people. Pure.

use crate::server::page::answer::Refusal;
use crate::server::store::Thing;

/// All of them, in the order in which they are shown.
pub const ALL: [Thing; 5] = [Thing::Project, Thing::Template, Thing::Job, Thing::Pool, Thing::Worker];

/// The kind in an address.
///
/// # Errors
/// That there is none of that name.
pub fn named(path: &str) -> Result<Thing, Refusal> {
    let known = ALL.into_iter().find(|thing| self::path(*thing) == path);
    known.ok_or_else(|| Refusal::NotFound("There is no such page.".to_owned()))
}

/// Its name in addresses.
pub fn path(thing: Thing) -> &'static str {
    match thing {
        Thing::Project => "projects",
        Thing::Template => "templates",
        Thing::Job => "jobs",
        Thing::Pool => "pools",
        Thing::Worker => "workers",
    }
}

/// Several of it, as a title.
pub fn title(thing: Thing) -> &'static str {
    match thing {
        Thing::Project => "Projects",
        Thing::Template => "Templates",
        Thing::Job => "Jobs",
        Thing::Pool => "Pools",
        Thing::Worker => "Workers",
    }
}

/// One of it, as a title.
pub fn capital(thing: Thing) -> &'static str {
    title(thing).trim_end_matches('s')
}

/// One of it, in a sentence.
pub fn noun(thing: Thing) -> &'static str {
    path(thing).trim_end_matches('s')
}

/// What a list tells beside titles: what it lies in, and how many of what are in it.
pub fn columns(thing: Thing) -> (Option<&'static str>, Option<&'static str>) {
    match thing {
        Thing::Project => (None, Some("Jobs")),
        Thing::Template => (Some("Project"), Some("Jobs")),
        Thing::Job => (Some("Project / template"), None),
        Thing::Pool => (None, Some("Workers")),
        Thing::Worker => (Some("Key"), None),
    }
}

/// Where one is looked at, beside where it is edited.
pub fn view(thing: Thing, id: i64) -> Option<String> {
    (thing == Thing::Job).then(|| format!("/jobs/{id}"))
}

/// Where to go when one was saved.
pub fn home(thing: Thing, id: i64) -> String {
    view(thing, id).unwrap_or_else(|| format!("/admin/{}", path(thing)))
}

/// That there is none with this id.
pub fn unknown(thing: Thing, id: i64) -> Refusal {
    Refusal::NotFound(format!("There is no {} {id}.", noun(thing)))
}
