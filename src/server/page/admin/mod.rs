//! What is set up by hand: projects, templates, jobs, pools and workers are made, changed, copied and deleted.
//!
//! A form is read into values by the rules that the operator's API keeps, too; whatever is wrong is told beside its
//! field, and nothing that was typed is lost.

mod fields;
mod job;
mod project;
mod reading;
mod removal;
mod save;
mod template;
mod thing;
mod worker;

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::header::ORIGIN;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use minijinja::{Value, context};
use serde::Deserialize;
use url::Url;

use super::answer::Refusal;
use super::form::Filled;
use super::frame::{Head, Section};
use super::notice::Notice;
use super::template::fill;
use super::visit::{Actor, Visit};
use crate::server::enrol;
use crate::server::office::Office;
use crate::server::store::{Entry, Removal, Thing};
use fields::Mistakes;
use save::Saved;

/// How many of a kind are listed at most.
const LISTED: u32 = 5000;

/// What is copied.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Copied {
    copy: Option<i64>,
}

/// The way in.
pub(super) async fn entrance() -> Redirect {
    Redirect::to("/admin/projects")
}

/// All of a kind.
pub(super) async fn list(
    State(office): State<Arc<Office>>,
    Path(kind): Path<String>,
    visit: Visit,
) -> Result<Response, Refusal> {
    let thing = thing::named(&kind)?;
    let entries = office.store.catalogue(thing, LISTED).await?;
    let entry = |entry: &Entry| {
        context! {
            id => entry.id, title => &entry.title, enabled => entry.enabled, within => &entry.within,
            holds => entry.holds,
        }
    };
    let tab = |one: &Thing| context!(path => thing::path(*one), title => thing::title(*one), here => *one == thing);
    let (within, holds) = thing::columns(thing);
    let body = fill(
        "admin_list",
        context! {
            kind, noun => thing::noun(thing), title => thing::title(thing), within, holds,
            tabs => thing::ALL.iter().map(tab).collect::<Vec<_>>(),
            entries => entries.iter().map(entry).collect::<Vec<_>>(),
        },
    );
    Ok(visit.show(head(thing::title(thing)), &body))
}

/// A form for a new one, or for a copy.
pub(super) async fn fresh(
    State(office): State<Arc<Office>>,
    Path(kind): Path<String>,
    Query(Copied { copy }): Query<Copied>,
    visit: Visit,
) -> Result<Response, Refusal> {
    let thing = thing::named(&kind)?;
    let form = match copy {
        Some(id) => save::copied(save::typed(&office, thing, id).await?),
        None => save::blank(&office, thing),
    };
    Ok(visit.show(head("New"), &shown(&office, &visit, thing, None, &form, &Vec::new()).await?))
}

/// A form for one that is there.
pub(super) async fn edit(
    State(office): State<Arc<Office>>,
    Path((kind, id)): Path<(String, i64)>,
    visit: Visit,
) -> Result<Response, Refusal> {
    let thing = thing::named(&kind)?;
    let form = save::typed(&office, thing, id).await?;
    Ok(visit.show(head("Edit"), &shown(&office, &visit, thing, Some(id), &form, &Vec::new()).await?))
}

/// A new one.
pub(super) async fn make(
    State(office): State<Arc<Office>>,
    Path(kind): Path<String>,
    headers: HeaderMap,
    visit: Visit,
    actor: Actor,
    form: Filled,
) -> Result<Response, Refusal> {
    write(&office, &kind, None, &headers, &visit, &actor, &form).await
}

/// One that is there, written anew.
pub(super) async fn change(
    State(office): State<Arc<Office>>,
    Path((kind, id)): Path<(String, i64)>,
    headers: HeaderMap,
    visit: Visit,
    actor: Actor,
    form: Filled,
) -> Result<Response, Refusal> {
    write(&office, &kind, Some(id), &headers, &visit, &actor, &form).await
}

async fn write(
    office: &Office,
    kind: &str,
    id: Option<i64>,
    headers: &HeaderMap,
    visit: &Visit,
    Actor(session): &Actor,
    form: &Filled,
) -> Result<Response, Refusal> {
    let thing = thing::named(kind)?;
    let Saved { id: saved, title, secret } = match save::save(office, thing, id, form).await? {
        Ok(saved) => saved,
        Err(mistakes) => {
            let body = shown(office, visit, thing, id, form, &mistakes).await?;
            let page = visit.show(head("Not saved"), &body);
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
        }
    };
    if let Some(made) = secret {
        let ini = enrol::ini(&made, &server_url(headers, office));
        let body = fill("admin_made", context!(ini, id => saved, title, again => id.is_some()));
        return Ok(visit.show(head("The worker's file"), &body));
    }
    let done = if id.is_some() { "changed" } else { "made" };
    let said = format!("{} {title} is {done}.", thing::capital(thing));
    Ok(Notice::done(said).at(office, session, &thing::home(thing, saved)))
}

/// Asks whether one is to be deleted.
pub(super) async fn doubt(
    State(office): State<Arc<Office>>,
    Path((kind, id)): Path<(String, i64)>,
    visit: Visit,
) -> Result<Response, Refusal> {
    let thing = thing::named(&kind)?;
    let weight = office.store.weight(thing, id).await?.ok_or_else(|| thing::unknown(thing, id))?;
    let body = fill(
        "admin_delete",
        context! {
            kind, id, noun => thing::noun(thing), title => &weight.title, lines => removal::told(&weight),
            can => weight.active == 0, form_token => &visit.form_token,
        },
    );
    Ok(visit.show(head("Delete"), &body))
}

/// Deletes one.
pub(super) async fn delete(
    State(office): State<Arc<Office>>,
    Path((kind, id)): Path<(String, i64)>,
    Actor(session): Actor,
    _: Filled,
) -> Result<Response, Refusal> {
    let thing = thing::named(&kind)?;
    let (notice, path) = match office.store.remove(thing, id).await? {
        Removal::Gone(weight) => {
            let said = format!("{} {} is deleted.", thing::capital(thing), weight.title);
            (Notice::done(said), format!("/admin/{kind}"))
        }
        Removal::Busy(weight) => {
            (Notice::refused(removal::told(&weight).join(" ")), format!("/admin/{kind}/{id}/delete"))
        }
        Removal::Unknown => return Err(thing::unknown(thing, id)),
    };
    Ok(notice.at(&office, &session, &path))
}

/// Where the server is, as who asks sees it: forms say where they come from.
fn server_url(headers: &HeaderMap, office: &Office) -> Url {
    let said = headers.get(ORIGIN).and_then(|origin| Url::parse(origin.to_str().ok()?).ok());
    said.unwrap_or_else(|| enrol::plain_url(office.settings.http))
}

fn head(title: &str) -> Head<'_> {
    Head { title, section: Section::Admin, script: None, by_project: None }
}

async fn shown(
    office: &Office,
    visit: &Visit,
    thing: Thing,
    id: Option<i64>,
    form: &Filled,
    mistakes: &Mistakes,
) -> Result<Value, Refusal> {
    let groups = save::fields(office, thing, id).await?;
    let noun = thing::noun(thing);
    let title = match (id, form.text("title")) {
        (Some(_), Some(title)) => title.to_owned(),
        (Some(id), None) => format!("{} {id}", thing::capital(thing)),
        (None, _) => format!("New {noun}"),
    };
    let kind = thing::path(thing);
    let action = id.map_or_else(|| format!("/admin/{kind}/new"), |id| format!("/admin/{kind}/{id}"));
    Ok(fill(
        "admin_form",
        context! {
            title, kind, id, action, view => id.and_then(|id| thing::view(thing, id)),
            back => format!("/admin/{kind}"), back_to => format!("All {kind}"), form_token => &visit.form_token,
            mistakes => fields::told(&groups, mistakes), fields => fields::shown(&groups, form, mistakes),
        },
    ))
}
