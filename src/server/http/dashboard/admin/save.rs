//! Storage of forms: reads entities from the store into forms, and saves forms as entities.

use super::entity::unknown;
use super::fields::{FieldGroup, Mistakes};
use super::meanwhile::VERSION;
use super::reading::typed as typed_sheet;
use super::{LISTED, job, project, template, worker};
use crate::server::domain::model::{JobId, PoolId, ProjectId, TemplateId, WorkerId};
use crate::server::domain::rules;
use crate::server::http::dashboard::answer::PageRefusal;
use crate::server::http::dashboard::form::Filled;
use crate::server::identity::token;
use crate::server::state::AppState;
use crate::server::store::lists::only;
use crate::server::store::{Entity, EntityForm, EntityVersion, Store, StoreError};
use crate::wire::operator::MadeWorker;

/// Jobs that are suggested in place of one that does not exist.
const OFFERED: u32 = 5;

/// Entity that was saved.
#[derive(Debug)]
pub struct Saved {
    /// Id of the entity, also of a new one.
    pub id: i64,
    /// Title as it was saved.
    pub title: String,
    /// Credentials of a worker that got a new secret, to be shown once.
    pub secret: Option<MadeWorker>,
}

/// Fields of a form, with the choices that the store has for them; `id` is `None` for a new entity.
pub async fn fields(app: &AppState, thing: Entity, id: Option<i64>) -> Result<Vec<FieldGroup>, PageRefusal> {
    let all = async |thing| app.store.catalogue(thing, LISTED).await;
    Ok(match thing {
        Entity::Project => project::of_project(&all(Entity::Pool).await?),
        Entity::Pool => project::of_pool(&all(Entity::Worker).await?),
        Entity::Template => template::fields(&all(Entity::Project).await?),
        Entity::Worker => worker::fields(&all(Entity::Pool).await?, id.is_none()),
        Entity::Job => {
            let (templates, pools) = (all(Entity::Template).await?, all(Entity::Pool).await?);
            job::fields(&job::JobChoices { templates, pools })
        }
    })
}

/// Form of a new entity, with its defaults.
pub fn blank(app: &AppState, thing: Entity) -> Filled {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    match thing {
        Entity::Job => job::blank(app.settings.time_zone),
        Entity::Template => Filled::of(vec![pair("enabled", "yes"), pair("body", template::BODY)]),
        Entity::Project | Entity::Pool | Entity::Worker => Filled::of(vec![pair("enabled", "yes")]),
    }
}

/// Form of a copy: with another title, and for a worker without the key, which must be unique.
pub fn copied(form: Filled) -> Filled {
    let pairs = form.pairs().filter(|(name, _)| *name != "api_key").map(|(name, value)| match name {
        "title" => (name.to_owned(), format!("{value} (copy)")),
        _ => (name.to_owned(), value.to_owned()),
    });
    Filled::of(pairs.collect())
}

/// Form of a stored entity.
pub async fn typed(app: &AppState, thing: Entity, id: i64) -> Result<Filled, PageRefusal> {
    let store = &app.store;
    let gone = || unknown(thing, id);
    let several =
        |name: &str, ids: Vec<i64>| ids.into_iter().map(|id| (name.to_owned(), id.to_string())).collect::<Vec<_>>();
    let pairs = match thing {
        Entity::Project => {
            let (project, links) = store.projects(&only(id)).await?.things.pop().ok_or_else(gone)?;
            let mut pairs = typed_sheet(&EntityForm {
                title: project.title,
                description: project.description,
                enabled: project.enqueue_is_enabled,
                notification_addresses: project.notification_addresses,
            });
            pairs.extend(several("pools", links.pools.into_iter().map(PoolId::get).collect()));
            pairs
        }
        Entity::Pool => {
            let (pool, workers) = store.pools(&only(id)).await?.things.pop().ok_or_else(gone)?;
            let mut pairs = typed_sheet(&EntityForm {
                title: pool.title,
                description: pool.description,
                enabled: pool.enqueue_is_enabled,
                notification_addresses: pool.notification_addresses,
            });
            pairs.extend(several("workers", workers.into_iter().map(WorkerId::get).collect()));
            pairs
        }
        Entity::Template => {
            let template = store.templates(&only(id)).await?.things.pop().ok_or_else(gone)?;
            let mut pairs = typed_sheet(&EntityForm {
                title: template.title,
                description: template.description,
                enabled: template.enqueue_is_enabled,
                notification_addresses: template.notification_addresses,
            });
            pairs.extend(several("project", vec![template.project.get()]));
            pairs.push(("body".to_owned(), template.body));
            pairs
        }
        Entity::Worker => {
            let worker = store.worker(WorkerId::new(id).ok_or_else(gone)?).await?.ok_or_else(gone)?;
            let mut pairs = typed_sheet(&EntityForm {
                title: worker.title,
                description: worker.description,
                enabled: worker.enqueue_is_enabled,
                // The form of a worker has no such field, so the value is never shown.
                notification_addresses: String::new(),
            });
            pairs.push(("api_key".to_owned(), worker.api_key.to_string()));
            let pools = store.pools_of_worker(worker.id).await?;
            pairs.extend(several("pools", pools.into_iter().map(PoolId::get).collect()));
            pairs
        }
        Entity::Job => {
            let job = store.job(JobId::new(id).ok_or_else(gone)?).await?.ok_or_else(gone)?;
            let parent = match job.parent {
                Some(parent) => store.job(parent).await?.map(|parent| parent.title),
                None => None,
            };
            return Ok(job::typed(&job, parent.as_deref(), app.settings.time_zone));
        }
    };
    Ok(Filled::of(pairs))
}

/// Reason why nothing was saved.
#[derive(Debug)]
pub enum Unsaved {
    /// Some values break a rule.
    Mistakes(Mistakes),
    /// The entity has changed since the form was made.
    Changed,
}

/// Saves a form, unless it has mistakes or the entity has changed since the form was made.
pub async fn save(
    app: &AppState,
    thing: Entity,
    id: Option<i64>,
    form: &Filled,
) -> Result<Result<Saved, Unsaved>, PageRefusal> {
    // No id type takes these numbers: converted to `None` below, they would make a new entity.
    if let Some(id) = id.filter(|id| *id <= 0) {
        return Err(unknown(thing, id));
    }
    let saved = match thing {
        Entity::Project => save_project(&app.store, id, form).await,
        Entity::Pool => save_pool(&app.store, id, form).await,
        Entity::Template => save_template(&app.store, id, form).await,
        Entity::Job => save_job(&app.store, id, form).await,
        Entity::Worker => save_worker(app, id, form).await,
    };
    match saved {
        Ok(Some(saved)) => Ok(Ok(saved)),
        // Another person has deleted the entity meanwhile.
        Ok(None) => Err(unknown(thing, id.unwrap_or_default())),
        Err(Stop::Mistakes(mistakes)) => Ok(Err(Unsaved::Mistakes(mistakes))),
        Err(Stop::Store(StoreError::Conflict(what))) => Ok(Err(Unsaved::Mistakes(vec![(blamed(thing), what)]))),
        Err(Stop::Store(StoreError::Changed)) => Ok(Err(Unsaved::Changed)),
        Err(Stop::Store(error)) => Err(error.into()),
    }
}

/// Version that the form was made from. A form without one is taken to be made from nothing, which no stored entity
/// equals.
fn seen(form: &Filled) -> EntityVersion {
    EntityVersion::read(form.text(VERSION).unwrap_or_default())
}

/// Reason why saving stops; told apart from other errors by [`save`].
enum Stop {
    /// Values that break a rule.
    Mistakes(Mistakes),
    /// Error or refusal of the store.
    Store(StoreError),
}

impl From<Mistakes> for Stop {
    fn from(mistakes: Mistakes) -> Self {
        Self::Mistakes(mistakes)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Field at which a conflict found by the store is shown: the one that its rule is mostly about.
fn blamed(thing: Entity) -> &'static str {
    match thing {
        Entity::Worker => "api_key",
        Entity::Template => "body",
        Entity::Project | Entity::Pool | Entity::Job => "title",
    }
}

async fn save_project(store: &Store, id: Option<i64>, form: &Filled) -> Result<Option<Saved>, Stop> {
    let (sheet, pools) = project::read_project(form)?;
    let saved = store.save_project(id.and_then(ProjectId::new), Some(&seen(form)), &sheet, &pools).await?;
    Ok(saved.map(|id| plain(id.get(), sheet.title)))
}

async fn save_pool(store: &Store, id: Option<i64>, form: &Filled) -> Result<Option<Saved>, Stop> {
    let (sheet, workers) = project::read_pool(form)?;
    let saved = store.save_pool(id.and_then(PoolId::new), Some(&seen(form)), &sheet, &workers).await?;
    Ok(saved.map(|id| plain(id.get(), sheet.title)))
}

async fn save_template(store: &Store, id: Option<i64>, form: &Filled) -> Result<Option<Saved>, Stop> {
    let (sheet, project, body) = template::read(form)?;
    let (id, seen) = (id.and_then(TemplateId::new), seen(form));
    let saved = store.save_template(id, Some(&seen), &sheet, project, &body).await?;
    Ok(saved.map(|id| plain(id.get(), sheet.title)))
}

async fn save_job(store: &Store, id: Option<i64>, form: &Filled) -> Result<Option<Saved>, Stop> {
    let parent = parent(store, form.text("parent").unwrap_or_default()).await?;
    let new = job::read(form, parent)?;
    let gone = || vec![("template", "this template is gone".to_owned())];
    let template = store.template(new.template).await?.ok_or_else(gone)?;
    // Only with its template around it can it be said whether a worker could start the script.
    rules::whole_script(&template.body, &new.script).map_err(|e| vec![("script", e.to_string())])?;
    let saved = store.save_job(id.and_then(JobId::new), Some(&seen(form)), &new).await?;
    Ok(saved.map(|id| plain(id.get(), new.title)))
}

/// Finds the job that was chosen by its title, its number, or both; the inner error says why the text names no single
/// job.
async fn parent(store: &Store, text: &str) -> Result<Result<Option<JobId>, String>, StoreError> {
    if text.is_empty() {
        return Ok(Ok(None));
    }
    // The whole text is tried as a title first: a title may end in what looks like a number.
    if let [one] = store.jobs_of_title(text, 2).await?[..] {
        return Ok(Ok(Some(one)));
    }
    let (title, number) = job::chosen(text);
    if let Some(id) = number
        && let Some(found) = store.job(id).await?
        && (title.is_empty() || title == found.title)
    {
        return Ok(Ok(Some(id)));
    }
    let (like, _) = store.catalogue_page(Entity::Job, title, 0, OFFERED).await?;
    let offered: Vec<String> =
        like.iter().filter_map(|one| Some(job::choice(JobId::new(one.id)?, &one.title))).collect();
    let offered = if offered.is_empty() { String::new() } else { format!("; is it {}?", offered.join(", or ")) };
    Ok(Err(format!("{text:?} is no one job{offered}")))
}

fn plain(id: i64, title: String) -> Saved {
    Saved { id, title, secret: None }
}

async fn save_worker(app: &AppState, id: Option<i64>, form: &Filled) -> Result<Option<Saved>, Stop> {
    // The worker is saved with its secret in one change, so the secret is made before the form is read. A form with
    // mistakes leaves it unused.
    let secret = if id.is_none() || form.ticked("new_secret") {
        let made = token::random().map_err(|e| vec![("", format!("no secret can be made: {e}"))])?;
        Some(made)
    } else {
        None
    };
    let sheet = worker::read(form, secret.as_deref())?;
    let (id, seen) = (id.and_then(WorkerId::new), seen(form));
    let Some(saved) = app.store.save_worker(id, Some(&seen), &sheet).await? else { return Ok(None) };
    let id = saved.get();
    let secret = secret.map(|secret| MadeWorker {
        id,
        api_key: sheet.api_key.to_string(),
        secret,
        broadcaster_port: app.settings.broadcaster.port(),
        events_port: app.settings.events.port(),
    });
    Ok(Some(Saved { id, title: sheet.title, secret }))
}
