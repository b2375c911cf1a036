//! Administration: makes, changes, copies and deletes projects, templates, jobs, pools and workers.
//!
//! Forms are read into values by the same rules as requests to the operator's API; mistakes are shown beside their
//! fields, and nothing that was typed is lost.

mod entity;
mod fields;
mod job;
mod meanwhile;
mod project;
mod reading;
mod removal;
mod save;
mod template;
mod worker;

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::header::ORIGIN;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};
use chrono::Utc;
use minijinja::{Value, context};
use serde::Deserialize;
use url::Url;

use super::answer::PageRefusal;
use super::form::Filled;
use super::frame::{Head, Section};
use super::notice::Notice;
use super::shown::turns;
use super::template::fill;
use super::visit::{Actor, Visit};
use crate::server::domain::model::JobId;
use crate::server::http::worker_file;
use crate::server::state::AppState;
use crate::server::store::{CatalogueEntry, Entity, EntityVersion, Removal};
use fields::{FieldGroup, Mistakes};
use meanwhile::{Meanwhile, SEEN, SeenFields, VERSION};
use save::{Saved, Unsaved};

/// Entities that a form offers to choose from at most.
const LISTED: u32 = 5000;
/// Entities on one page of a list.
const PAGE: u32 = 100;
/// Length in bytes up to which another person's value is shown on its line; a longer one is folded.
const SHORT: usize = 80;
/// Titles that are suggested while one is typed.
const OFFERED: u32 = 20;

/// Query of a list.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct AdminFilter {
    /// Text that titles must contain.
    text: String,
    /// Number of the page, from 0.
    page: u32,
}

/// Query of the form for a new entity: the id of the one to copy.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Copied {
    copy: Option<i64>,
}

/// Handler of `/admin`: redirects to the first list.
pub(super) async fn entrance() -> Redirect {
    Redirect::to("/admin/projects")
}

/// Handler of `/admin/{kind}`: lists the entities of a kind.
pub(super) async fn list(
    State(app): State<Arc<AppState>>,
    Path(kind): Path<String>,
    Query(wanted): Query<AdminFilter>,
    visit: Visit,
) -> Result<Response, PageRefusal> {
    let thing = entity::named(&kind)?;
    let text = wanted.text.trim();
    let past = u64::from(wanted.page) * u64::from(PAGE);
    let (entries, total) = app.store.catalogue_page(thing, text, past, PAGE).await?;
    let turns = turns(&format!("/admin/{kind}"), &[("text", text)], wanted.page, PAGE, total);
    let entry = |entry: &CatalogueEntry| {
        context! {
            id => entry.id, title => &entry.title, enabled => entry.enabled, within => &entry.within,
            holds => entry.holds,
        }
    };
    let tab = |one: &Entity| context!(path => entity::path(*one), title => entity::title(*one), here => *one == thing);
    let (within, holds) = entity::columns(thing);
    let body = fill(
        "admin_list",
        context! {
            kind, noun => entity::noun(thing), title => entity::title(thing), within, holds, text, turns,
            tabs => entity::ALL.iter().map(tab).collect::<Vec<_>>(),
            entries => entries.iter().map(entry).collect::<Vec<_>>(),
        },
    );
    Ok(visit.show(head(entity::title(thing)), &body))
}

/// Handler of `GET /admin/{kind}/new`: shows the form for a new entity, or for a copy.
pub(super) async fn fresh(
    State(app): State<Arc<AppState>>,
    Path(kind): Path<String>,
    Query(Copied { copy }): Query<Copied>,
    visit: Visit,
) -> Result<Response, PageRefusal> {
    let thing = entity::named(&kind)?;
    let form = match copy {
        Some(id) => save::copied(save::typed(&app, thing, id).await?),
        None => save::blank(&app, thing),
    };
    let groups = save::fields(&app, thing, None).await?;
    // The digests tell defaults and copied values from what is typed later.
    let form = marked(form, &groups, None);
    Ok(visit.show(head("New"), &shown(&visit, thing, None, &Sheet::plain(&groups, &form))))
}

/// Handler of `GET /admin/{kind}/{id}`: shows the form of an existing entity.
pub(super) async fn edit(
    State(app): State<Arc<AppState>>,
    Path((kind, id)): Path<(String, i64)>,
    visit: Visit,
) -> Result<Response, PageRefusal> {
    let thing = entity::named(&kind)?;
    let (groups, form) = stored(&app, thing, id).await?;
    Ok(visit.show(head("Edit"), &shown(&visit, thing, Some(id), &Sheet::plain(&groups, &form))))
}

/// Handler of `/parts/titles`: suggests jobs for what is being typed.
pub(super) async fn titles(
    State(app): State<Arc<AppState>>,
    Query(wanted): Query<AdminFilter>,
) -> Result<Response, PageRefusal> {
    let (found, _) = app.store.catalogue_page(Entity::Job, &wanted.text, 0, OFFERED).await?;
    let title = |entry: &CatalogueEntry| {
        let value = JobId::new(entry.id).map(|id| job::choice(id, &entry.title));
        context!(value, within => &entry.within)
    };
    let titles: Vec<Value> = found.iter().map(title).collect();
    Ok(Html(fill("admin_titles", context!(titles)).to_string()).into_response())
}

/// Handler of `POST /admin/{kind}/new`: makes an entity.
pub(super) async fn make(
    State(app): State<Arc<AppState>>,
    Path(kind): Path<String>,
    headers: HeaderMap,
    visit: Visit,
    actor: Actor,
    form: Filled,
) -> Result<Response, PageRefusal> {
    write(&app, &kind, None, &headers, &visit, &actor, &form).await
}

/// Handler of `POST /admin/{kind}/{id}`: changes an entity.
pub(super) async fn change(
    State(app): State<Arc<AppState>>,
    Path((kind, id)): Path<(String, i64)>,
    headers: HeaderMap,
    visit: Visit,
    actor: Actor,
    form: Filled,
) -> Result<Response, PageRefusal> {
    write(&app, &kind, Some(id), &headers, &visit, &actor, &form).await
}

async fn write(
    app: &AppState,
    kind: &str,
    id: Option<i64>,
    headers: &HeaderMap,
    visit: &Visit,
    Actor(session): &Actor,
    form: &Filled,
) -> Result<Response, PageRefusal> {
    let thing = entity::named(kind)?;
    let Saved { id: saved, title, secret } = match save::save(app, thing, id, form).await? {
        Ok(saved) => saved,
        Err(unsaved) => {
            let body = again(app, visit, thing, id, form, unsaved).await?;
            let page = visit.show(head("Not saved"), &body);
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
        }
    };
    // Not a redirect: the secret is known in this response only, and no address may show it again.
    if let Some(made) = secret {
        let ini = worker_file::ini(&made, &server_url(headers, app));
        let body = fill("admin_made", context!(ini, id => saved, title, again => id.is_some()));
        return Ok(visit.show(head("The worker's file"), &body));
    }
    let done = if id.is_some() { "changed" } else { "made" };
    let said = format!("{} {title} was {done}.", entity::capital(thing));
    Ok(Notice::done(said).at(app, session, &entity::home(thing, saved)))
}

/// Renders a form that was not saved, with the mistakes or with what others changed meanwhile.
async fn again(
    app: &AppState,
    visit: &Visit,
    thing: Entity,
    id: Option<i64>,
    form: &Filled,
    unsaved: Unsaved,
) -> Result<Value, PageRefusal> {
    match (unsaved, id) {
        (Unsaved::Changed, Some(id)) => {
            let (groups, now) = stored(app, thing, id).await?;
            let (merged, meanwhile) = meanwhile::merge(&groups, form, &now);
            // From here on, the stored values count as seen: sending the form once more overrides them.
            let marks = now.pairs().filter(|(name, _)| [VERSION, SEEN].contains(name));
            let form = marks.fold(merged, |form, (name, value)| form.with(name, value.to_owned()));
            let sheet = Sheet { meanwhile, was_changed: true, ..Sheet::plain(&groups, &form) };
            Ok(shown(visit, thing, Some(id), &sheet))
        }
        // Only a forged form gets here: a new entity has no version.
        (Unsaved::Changed, None) => Err(PageRefusal::Malformed("What is new cannot have been changed.".to_owned())),
        (Unsaved::Mistakes(mistakes), id) => {
            let groups = save::fields(app, thing, id).await?;
            Ok(shown(visit, thing, id, &Sheet { mistakes, ..Sheet::plain(&groups, form) }))
        }
    }
}

/// Fields of an existing entity, and its form with the marks of the stored values.
async fn stored(app: &AppState, thing: Entity, id: i64) -> Result<(Vec<FieldGroup>, Filled), PageRefusal> {
    // The version is read first: a change between the two reads is refused later, rather than taken for seen.
    let version = app.store.version(thing, id).await?;
    let groups = save::fields(app, thing, Some(id)).await?;
    let form = save::typed(app, thing, id).await?;
    let form = marked(form, &groups, version);
    Ok((groups, form))
}

/// Adds the digests and the version to a form.
fn marked(form: Filled, groups: &[FieldGroup], version: Option<EntityVersion>) -> Filled {
    let seen = SeenFields::of(groups, &form).text();
    let form = form.with(SEEN, seen);
    match version {
        Some(version) => form.with(VERSION, version.text().to_owned()),
        None => form,
    }
}

/// Handler of `GET /admin/{kind}/{id}/delete`: shows what the deletion takes along, and asks for confirmation.
pub(super) async fn doubt(
    State(app): State<Arc<AppState>>,
    Path((kind, id)): Path<(String, i64)>,
    visit: Visit,
) -> Result<Response, PageRefusal> {
    doubted(&app, &visit, &kind, id, None).await
}

async fn doubted(
    app: &AppState,
    visit: &Visit,
    kind: &str,
    id: i64,
    wrong: Option<String>,
) -> Result<Response, PageRefusal> {
    let thing = entity::named(kind)?;
    let weight = app.store.deletion_impact(thing, id).await?.ok_or_else(|| entity::unknown(thing, id))?;
    let body = fill(
        "admin_delete",
        context! {
            kind, id, noun => entity::noun(thing), title => &weight.title, lines => removal::told(&weight),
            can => weight.active == 0, by_name => removal::is_large(&weight), wrong, form_token => &visit.form_token,
        },
    );
    Ok(visit.show(head("Delete"), &body))
}

/// Handler of `POST /admin/{kind}/{id}/delete`: deletes an entity, after its title was typed where much goes with it.
pub(super) async fn delete(
    State(app): State<Arc<AppState>>,
    Path((kind, id)): Path<(String, i64)>,
    visit: Visit,
    Actor(session): Actor,
    form: Filled,
) -> Result<Response, PageRefusal> {
    let thing = entity::named(&kind)?;
    let weight = app.store.deletion_impact(thing, id).await?.ok_or_else(|| entity::unknown(thing, id))?;
    // Values of the form are trimmed, so the title must be trimmed too.
    if removal::is_large(&weight) && form.text("name") != Some(weight.title.trim()) {
        let wrong = format!("Nothing is deleted: type the title, {}.", weight.title);
        let page = doubted(&app, &visit, &kind, id, Some(wrong)).await?;
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
    }
    // A run may have been claimed since the page was shown, so the store decides once more.
    let (notice, path) = match app.store.remove(thing, id, Utc::now()).await? {
        Removal::Gone(weight) => {
            let said = format!("{} {} was deleted.", entity::capital(thing), weight.title);
            (Notice::done(said), format!("/admin/{kind}"))
        }
        Removal::Busy(weight) => {
            (Notice::refused(removal::told(&weight).join(" ")), format!("/admin/{kind}/{id}/delete"))
        }
        Removal::Unknown => return Err(entity::unknown(thing, id)),
    };
    Ok(notice.at(&app, &session, &path))
}

/// URL of the server as the browser reaches it, which the `Origin` of its form tells; else the address that is listened
/// at.
fn server_url(headers: &HeaderMap, app: &AppState) -> Url {
    // Behind a proxy, only the browser knows the address that workers can reach, too.
    let said = headers.get(ORIGIN).and_then(|origin| Url::parse(origin.to_str().ok()?).ok());
    said.unwrap_or_else(|| worker_file::plain_url(app.settings.http))
}

fn head(title: &str) -> Head<'_> {
    Head { title, section: Section::Admin, script: None, by_project: None }
}

/// Form as it is rendered.
#[derive(Debug)]
struct Sheet<'a> {
    groups: &'a [FieldGroup],
    form: &'a Filled,
    /// Mistakes in what was typed.
    mistakes: Mistakes,
    /// Whether another person saved after the form was opened, and the fields that this changed.
    was_changed: bool,
    meanwhile: Vec<Meanwhile>,
}

impl<'a> Sheet<'a> {
    fn plain(groups: &'a [FieldGroup], form: &'a Filled) -> Self {
        Self { groups, form, mistakes: Vec::new(), was_changed: false, meanwhile: Vec::new() }
    }
}

fn shown(visit: &Visit, thing: Entity, id: Option<i64>, sheet: &Sheet<'_>) -> Value {
    let Sheet { groups, form, mistakes, was_changed, meanwhile } = sheet;
    let noun = entity::noun(thing);
    let title = match (id, form.text("title")) {
        (Some(_), Some(title)) => title.to_owned(),
        (Some(id), None) => format!("{} {id}", entity::capital(thing)),
        (None, _) => format!("New {noun}"),
    };
    let kind = entity::path(thing);
    let action = id.map_or_else(|| format!("/admin/{kind}/new"), |id| format!("/admin/{kind}/{id}"));
    let meanwhile = meanwhile.iter().map(|one| {
        let is_long = one.now.len() > SHORT || one.now.contains('\n');
        context!(name => one.name, label => one.label, now => &one.now, is_in_both => one.is_in_both, is_long)
    });
    fill(
        "admin_form",
        context! {
            version => form.text(VERSION), seen => form.text(SEEN),
            was_changed, meanwhile => meanwhile.collect::<Vec<_>>(),
            title, kind, id, action, view => id.and_then(|id| entity::view(thing, id)),
            back => format!("/admin/{kind}"), back_to => format!("All {kind}"), form_token => &visit.form_token,
            mistakes => fields::told(groups, mistakes), fields => fields::shown(groups, form, mistakes),
        },
    )
}
