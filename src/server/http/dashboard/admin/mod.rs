//! Administration: creates, changes, copies and deletes projects, templates, jobs, pools and workers.
//!
//! Forms are read into values by the same rules as requests to the operator's API; mistakes are shown beside their
//! fields, and nothing that was typed is lost.

mod concurrent_edit;
mod deletion;
mod entity;
mod fields;
mod form_reader;
mod job;
mod project;
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

use super::form::FormValues;
use super::format::pager;
use super::frame::{Head, Section};
use super::notice::Notice;
use super::refusal::PageRefusal;
use super::template::fill;
use super::visit::{SignedIn, Visit};
use crate::server::domain::model::JobId;
use crate::server::http::worker_file;
use crate::server::state::AppState;
use crate::server::store::{CatalogueEntry, Entity, EntityVersion, Removal};
use concurrent_edit::{ConcurrentChange, SEEN, SeenFields, VERSION};
use fields::{FieldGroup, Mistakes};
use save::{SaveRefusal, Saved};

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
pub(super) struct CopyQuery {
    copy: Option<i64>,
}

/// Handler of `/admin`: redirects to the first list.
pub(super) async fn first_list() -> Redirect {
    Redirect::to("/admin/projects")
}

/// Handler of `/admin/{kind}`: lists the entities of a kind.
pub(super) async fn list(
    State(app): State<Arc<AppState>>,
    Path(kind): Path<String>,
    Query(wanted): Query<AdminFilter>,
    visit: Visit,
) -> Result<Response, PageRefusal> {
    let entity = entity::named(&kind)?;
    let text = wanted.text.trim();
    let past = u64::from(wanted.page) * u64::from(PAGE);
    let (entries, total) = app.store.catalogue_page(entity, text, past, PAGE).await?;
    let pager = pager(&format!("/admin/{kind}"), &[("text", text)], wanted.page, PAGE, total);
    let entry = |entry: &CatalogueEntry| {
        context! {
            id => entry.id, title => &entry.title, enabled => entry.enabled, within => &entry.within,
            holds => entry.holds,
        }
    };
    let tab = |one: &Entity| context!(path => entity::path(*one), title => entity::title(*one), here => *one == entity);
    let (within, holds) = entity::columns(entity);
    let body = fill(
        "admin_list",
        context! {
            kind, noun => entity::noun(entity), title => entity::title(entity), within, holds, text, pager,
            tabs => entity::ALL.iter().map(tab).collect::<Vec<_>>(),
            entries => entries.iter().map(entry).collect::<Vec<_>>(),
        },
    );
    Ok(visit.show(head(entity::title(entity)), &body))
}

/// Handler of `GET /admin/{kind}/new`: shows the form for a new entity, or for a copy.
pub(super) async fn new_form(
    State(app): State<Arc<AppState>>,
    Path(kind): Path<String>,
    Query(CopyQuery { copy }): Query<CopyQuery>,
    visit: Visit,
) -> Result<Response, PageRefusal> {
    let entity = entity::named(&kind)?;
    let form = match copy {
        Some(id) => save::copy_form(save::load_form(&app, entity, id).await?),
        None => save::blank_form(&app, entity),
    };
    let groups = save::fields(&app, entity, None).await?;
    // The digests tell defaults and copied values from what is typed later.
    let form = with_version(form, &groups, None);
    Ok(visit.show(head("New"), &render_form(&visit, entity, None, &FormPage::plain(&groups, &form))))
}

/// Handler of `GET /admin/{kind}/{id}`: shows the form of an existing entity.
pub(super) async fn edit(
    State(app): State<Arc<AppState>>,
    Path((kind, id)): Path<(String, i64)>,
    visit: Visit,
) -> Result<Response, PageRefusal> {
    let entity = entity::named(&kind)?;
    let (groups, form) = stored_form(&app, entity, id).await?;
    Ok(visit.show(head("Edit"), &render_form(&visit, entity, Some(id), &FormPage::plain(&groups, &form))))
}

/// Handler of `/parts/titles`: suggests jobs for what is being typed.
pub(super) async fn titles(
    State(app): State<Arc<AppState>>,
    Query(wanted): Query<AdminFilter>,
) -> Result<Response, PageRefusal> {
    let (found, _) = app.store.catalogue_page(Entity::Job, &wanted.text, 0, OFFERED).await?;
    let title = |entry: &CatalogueEntry| {
        let value = JobId::new(entry.id).map(|id| job::job_choice(id, &entry.title));
        context!(value, within => &entry.within)
    };
    let titles: Vec<Value> = found.iter().map(title).collect();
    Ok(Html(fill("admin_titles", context!(titles)).to_string()).into_response())
}

/// Handler of `POST /admin/{kind}/new`: creates an entity.
pub(super) async fn create(
    State(app): State<Arc<AppState>>,
    Path(kind): Path<String>,
    headers: HeaderMap,
    visit: Visit,
    actor: SignedIn,
    form: FormValues,
) -> Result<Response, PageRefusal> {
    write(&app, &kind, None, &headers, &visit, &actor, &form).await
}

/// Handler of `POST /admin/{kind}/{id}`: changes an entity.
pub(super) async fn change(
    State(app): State<Arc<AppState>>,
    Path((kind, id)): Path<(String, i64)>,
    headers: HeaderMap,
    visit: Visit,
    actor: SignedIn,
    form: FormValues,
) -> Result<Response, PageRefusal> {
    write(&app, &kind, Some(id), &headers, &visit, &actor, &form).await
}

async fn write(
    app: &AppState,
    kind: &str,
    id: Option<i64>,
    headers: &HeaderMap,
    visit: &Visit,
    SignedIn(session): &SignedIn,
    form: &FormValues,
) -> Result<Response, PageRefusal> {
    let entity = entity::named(kind)?;
    let Saved { id: saved, title, secret } = match save::save(app, entity, id, form).await? {
        Ok(saved) => saved,
        Err(unsaved) => {
            let body = unsaved_page(app, visit, entity, id, form, unsaved).await?;
            let page = visit.show(head("Not saved"), &body);
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
        }
    };
    // Not a redirect: the secret is known in this response only, and no address may show it again.
    if let Some(made) = secret {
        let ini = worker_file::ini(&made, &server_url(headers, app));
        let body = fill("worker_created", context!(ini, id => saved, title, again => id.is_some()));
        return Ok(visit.show(head("The worker's file"), &body));
    }
    let done = if id.is_some() { "changed" } else { "created" };
    let text = format!("{} {title} was {done}.", entity::capital(entity));
    Ok(Notice::done(text).at(app, session, &entity::home(entity, saved)))
}

/// Renders a form that was not saved, with the mistakes or with what others changed meanwhile.
async fn unsaved_page(
    app: &AppState,
    visit: &Visit,
    entity: Entity,
    id: Option<i64>,
    form: &FormValues,
    unsaved: SaveRefusal,
) -> Result<Value, PageRefusal> {
    match (unsaved, id) {
        (SaveRefusal::Changed, Some(id)) => {
            let (groups, now) = stored_form(app, entity, id).await?;
            let (merged, meanwhile) = concurrent_edit::merge(&groups, form, &now);
            // From here on, the stored values count as seen: sending the form once more overrides them.
            let marks = now.pairs().filter(|(name, _)| [VERSION, SEEN].contains(name));
            let form = marks.fold(merged, |form, (name, value)| form.with(name, value.to_owned()));
            let form_page = FormPage { meanwhile, was_changed: true, ..FormPage::plain(&groups, &form) };
            Ok(render_form(visit, entity, Some(id), &form_page))
        }
        // Only a forged form gets here: a new entity has no version.
        (SaveRefusal::Changed, None) => Err(PageRefusal::Malformed("What is new cannot have been changed.".to_owned())),
        (SaveRefusal::Mistakes(mistakes), id) => {
            let groups = save::fields(app, entity, id).await?;
            Ok(render_form(visit, entity, id, &FormPage { mistakes, ..FormPage::plain(&groups, form) }))
        }
    }
}

/// Fields of an existing entity, and its form with the marks of the stored values.
async fn stored_form(app: &AppState, entity: Entity, id: i64) -> Result<(Vec<FieldGroup>, FormValues), PageRefusal> {
    // The version is read first: a change between the two reads is refused later, rather than taken for seen.
    let version = app.store.version(entity, id).await?;
    let groups = save::fields(app, entity, Some(id)).await?;
    let form = save::load_form(app, entity, id).await?;
    let form = with_version(form, &groups, version);
    Ok((groups, form))
}

/// Adds the digests and the version to a form.
fn with_version(form: FormValues, groups: &[FieldGroup], version: Option<EntityVersion>) -> FormValues {
    let seen = SeenFields::of(groups, &form).text();
    let form = form.with(SEEN, seen);
    match version {
        Some(version) => form.with(VERSION, version.text().to_owned()),
        None => form,
    }
}

/// Handler of `GET /admin/{kind}/{id}/delete`: shows what the deletion takes along, and asks for confirmation.
pub(super) async fn confirm_deletion(
    State(app): State<Arc<AppState>>,
    Path((kind, id)): Path<(String, i64)>,
    visit: Visit,
) -> Result<Response, PageRefusal> {
    deletion_page(&app, &visit, &kind, id, None).await
}

async fn deletion_page(
    app: &AppState,
    visit: &Visit,
    kind: &str,
    id: i64,
    wrong: Option<String>,
) -> Result<Response, PageRefusal> {
    let entity = entity::named(kind)?;
    let impact = app.store.deletion_impact(entity, id).await?.ok_or_else(|| entity::unknown(entity, id))?;
    let body = fill(
        "admin_delete",
        context! {
            kind, id, noun => entity::noun(entity), title => &impact.title, lines => deletion::impact_sentences(&impact),
            can => impact.active == 0, by_name => deletion::is_large(&impact), wrong, form_token => &visit.form_token,
        },
    );
    Ok(visit.show(head("Delete"), &body))
}

/// Handler of `POST /admin/{kind}/{id}/delete`: deletes an entity, after its title was typed where much goes with it.
pub(super) async fn delete(
    State(app): State<Arc<AppState>>,
    Path((kind, id)): Path<(String, i64)>,
    visit: Visit,
    SignedIn(session): SignedIn,
    form: FormValues,
) -> Result<Response, PageRefusal> {
    let entity = entity::named(&kind)?;
    let impact = app.store.deletion_impact(entity, id).await?.ok_or_else(|| entity::unknown(entity, id))?;
    // Values of the form are trimmed, so the title must be trimmed too.
    if deletion::is_large(&impact) && form.text("name") != Some(impact.title.trim()) {
        let wrong = format!("Nothing is deleted: type the title, {}.", impact.title);
        let page = deletion_page(&app, &visit, &kind, id, Some(wrong)).await?;
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
    }
    // A run may have been claimed since the page was shown, so the store decides once more.
    let (notice, path) = match app.store.remove(entity, id, Utc::now()).await? {
        Removal::Gone(impact) => {
            let text = format!("{} {} was deleted.", entity::capital(entity), impact.title);
            (Notice::done(text), format!("/admin/{kind}"))
        }
        Removal::Busy(impact) => {
            (Notice::refused(deletion::impact_sentences(&impact).join(" ")), format!("/admin/{kind}/{id}/delete"))
        }
        Removal::Unknown => return Err(entity::unknown(entity, id)),
    };
    Ok(notice.at(&app, &session, &path))
}

/// URL of the server as the browser reaches it, which the `Origin` of its form tells; else the address that is listened
/// at.
fn server_url(headers: &HeaderMap, app: &AppState) -> Url {
    // Behind a proxy, only the browser knows the address that workers can reach, too.
    let origin = headers.get(ORIGIN).and_then(|origin| Url::parse(origin.to_str().ok()?).ok());
    origin.unwrap_or_else(|| worker_file::plain_url(app.settings.http))
}

fn head(title: &str) -> Head<'_> {
    Head { title, section: Section::Admin, script: None, by_project: None }
}

/// Form as it is rendered.
#[derive(Debug)]
struct FormPage<'a> {
    groups: &'a [FieldGroup],
    form: &'a FormValues,
    /// Mistakes in what was typed.
    mistakes: Mistakes,
    /// Whether another person saved after the form was opened, and the fields that this changed.
    was_changed: bool,
    meanwhile: Vec<ConcurrentChange>,
}

impl<'a> FormPage<'a> {
    fn plain(groups: &'a [FieldGroup], form: &'a FormValues) -> Self {
        Self { groups, form, mistakes: Vec::new(), was_changed: false, meanwhile: Vec::new() }
    }
}

fn render_form(visit: &Visit, entity: Entity, id: Option<i64>, form_page: &FormPage<'_>) -> Value {
    let FormPage { groups, form, mistakes, was_changed, meanwhile } = form_page;
    let noun = entity::noun(entity);
    let title = match (id, form.text("title")) {
        (Some(_), Some(title)) => title.to_owned(),
        (Some(id), None) => format!("{} {id}", entity::capital(entity)),
        (None, _) => format!("New {noun}"),
    };
    let kind = entity::path(entity);
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
            title, kind, id, action, view => id.and_then(|id| entity::view(entity, id)),
            back => format!("/admin/{kind}"), back_to => format!("All {kind}"), form_token => &visit.form_token,
            mistakes => fields::mistake_list(groups, mistakes), fields => fields::render_fields(groups, form, mistakes),
        },
    )
}
