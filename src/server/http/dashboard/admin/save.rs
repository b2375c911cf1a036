//! Storage of forms: reads entities from the store into forms, and saves forms as entities.

use super::concurrent_edit::VERSION;
use super::entity::unknown;
use super::fields::{FieldGroup, Mistakes};
use super::form_reader::common_values;
use super::{LISTED, job, project, template, worker};
use crate::server::domain::model::{JobId, PoolId, ProjectId, TemplateId, WorkerId};
use crate::server::domain::rules;
use crate::server::http::dashboard::form::FormValues;
use crate::server::http::dashboard::refusal::PageRefusal;
use crate::server::identity::token;
use crate::server::state::AppState;
use crate::server::store::rest_lists::only;
use crate::server::store::{Conflict, Entity, EntityForm, EntityVersion, MissingEntity, Store, StoreError};
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
pub async fn fields(app: &AppState, entity: Entity, id: Option<i64>) -> Result<Vec<FieldGroup>, PageRefusal> {
    let all = async |entity| app.store.catalogue(entity, LISTED).await;
    Ok(match entity {
        Entity::Project => project::project_fields(&all(Entity::Pool).await?),
        Entity::Pool => project::pool_fields(&all(Entity::Worker).await?),
        Entity::Template => template::fields(&all(Entity::Project).await?),
        Entity::Worker => worker::fields(&all(Entity::Pool).await?, id.is_none()),
        Entity::Job => {
            let (templates, pools) = (all(Entity::Template).await?, all(Entity::Pool).await?);
            job::fields(&job::JobChoices { templates, pools })
        }
    })
}

/// Form of a new entity, with its defaults.
pub fn blank_form(app: &AppState, entity: Entity) -> FormValues {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    match entity {
        Entity::Job => job::blank(app.settings.time_zone),
        Entity::Template => FormValues::of(vec![pair("enabled", "yes"), pair("body", template::BODY)]),
        Entity::Project | Entity::Pool | Entity::Worker => FormValues::of(vec![pair("enabled", "yes")]),
    }
}

/// Form of a copy: with another title, and for a worker without the key, which must be unique.
pub fn copy_form(form: FormValues) -> FormValues {
    let pairs = form.pairs().filter(|(name, _)| *name != "api_key").map(|(name, value)| match name {
        "title" => (name.to_owned(), format!("{value} (copy)")),
        _ => (name.to_owned(), value.to_owned()),
    });
    FormValues::of(pairs.collect())
}

/// Form of a stored entity.
pub async fn load_form(app: &AppState, entity: Entity, id: i64) -> Result<FormValues, PageRefusal> {
    let store = &app.store;
    let gone = || unknown(entity, id);
    let several =
        |name: &str, ids: Vec<i64>| ids.into_iter().map(|id| (name.to_owned(), id.to_string())).collect::<Vec<_>>();
    let pairs = match entity {
        Entity::Project => {
            let (project, links) = store.projects(&only(id)).await?.things.pop().ok_or_else(gone)?;
            let mut pairs = common_values(&EntityForm {
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
            let mut pairs = common_values(&EntityForm {
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
            let mut pairs = common_values(&EntityForm {
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
            let mut pairs = common_values(&EntityForm {
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
            return Ok(job::form_of(&job, parent.as_deref(), app.settings.time_zone));
        }
    };
    Ok(FormValues::of(pairs))
}

/// Reason why nothing was saved.
#[derive(Debug)]
pub enum SaveRefusal {
    /// Some values break a rule.
    Mistakes(Mistakes),
    /// The entity has changed since the form was made.
    Changed,
}

/// Saves a form, unless it has mistakes or the entity has changed since the form was made.
pub async fn save(
    app: &AppState,
    entity: Entity,
    id: Option<i64>,
    form: &FormValues,
) -> Result<Result<Saved, SaveRefusal>, PageRefusal> {
    // No id type takes these numbers: converted to `None` below, they would make a new entity.
    if let Some(id) = id.filter(|id| *id <= 0) {
        return Err(unknown(entity, id));
    }
    let saved = match entity {
        Entity::Project => save_project(&app.store, id, form).await,
        Entity::Pool => save_pool(&app.store, id, form).await,
        Entity::Template => save_template(&app.store, id, form).await,
        Entity::Job => save_job(&app.store, id, form).await,
        Entity::Worker => save_worker(app, id, form).await,
    };
    match saved {
        Ok(Some(saved)) => Ok(Ok(saved)),
        // Another person has deleted the entity meanwhile.
        Ok(None) => Err(unknown(entity, id.unwrap_or_default())),
        Err(SaveError::Mistakes(mistakes)) => Ok(Err(SaveRefusal::Mistakes(mistakes))),
        Err(SaveError::Store(StoreError::Conflict(what))) => {
            Ok(Err(SaveRefusal::Mistakes(vec![(conflict_field(entity, &what), what.to_string())])))
        }
        Err(SaveError::Store(StoreError::Changed)) => Ok(Err(SaveRefusal::Changed)),
        Err(SaveError::Store(error)) => Err(error.into()),
    }
}

/// Version that the form was made from. A form without one is taken to be made from nothing, which no stored entity
/// equals.
fn version_of(form: &FormValues) -> EntityVersion {
    EntityVersion::read(form.text(VERSION).unwrap_or_default())
}

/// Reason why saving stops; told apart from other errors by [`save`].
enum SaveError {
    /// Values that break a rule.
    Mistakes(Mistakes),
    /// Error or refusal of the store.
    Store(StoreError),
}

impl From<Mistakes> for SaveError {
    fn from(mistakes: Mistakes) -> Self {
        Self::Mistakes(mistakes)
    }
}

impl From<StoreError> for SaveError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Field of a form at which a conflict found by the store is shown.
fn conflict_field(entity: Entity, conflict: &Conflict) -> &'static str {
    match (conflict, entity) {
        (Conflict::Missing(MissingEntity::Pool(_)), Entity::Job) => "pool",
        (Conflict::Missing(MissingEntity::Pool(_)), _) => "pools",
        (Conflict::Missing(MissingEntity::Worker(_)), _) => "workers",
        (Conflict::Missing(MissingEntity::Project(_)), _) => "project",
        (Conflict::Missing(MissingEntity::Template(_)), _) => "template",
        (Conflict::Missing(MissingEntity::Parent(_)) | Conflict::Cycle, _) => "parent",
        // The rule is mostly about this field.
        (_, Entity::Worker) => "api_key",
        (_, Entity::Template) => "body",
        (_, Entity::Project | Entity::Pool | Entity::Job) => "title",
    }
}

async fn save_project(store: &Store, id: Option<i64>, form: &FormValues) -> Result<Option<Saved>, SaveError> {
    let (values, pools) = project::read_project(form)?;
    let saved = store.save_project(id.and_then(ProjectId::new), Some(&version_of(form)), &values, &pools).await?;
    Ok(saved.map(|id| without_secret(id.get(), values.title.into())))
}

async fn save_pool(store: &Store, id: Option<i64>, form: &FormValues) -> Result<Option<Saved>, SaveError> {
    let (values, workers) = project::read_pool(form)?;
    let saved = store.save_pool(id.and_then(PoolId::new), Some(&version_of(form)), &values, &workers).await?;
    Ok(saved.map(|id| without_secret(id.get(), values.title.into())))
}

async fn save_template(store: &Store, id: Option<i64>, form: &FormValues) -> Result<Option<Saved>, SaveError> {
    let (values, project, body) = template::read(form)?;
    let (id, seen) = (id.and_then(TemplateId::new), version_of(form));
    let saved = store.save_template(id, Some(&seen), &values, project, &body).await?;
    Ok(saved.map(|id| without_secret(id.get(), values.title.into())))
}

async fn save_job(store: &Store, id: Option<i64>, form: &FormValues) -> Result<Option<Saved>, SaveError> {
    let parent = find_parent(store, form.text("parent").unwrap_or_default()).await?;
    let new = job::read(form, parent)?;
    let gone = || vec![("template", "this template is gone".to_owned())];
    let template = store.template(new.template).await?.ok_or_else(gone)?;
    // Only with its template around it can it be said whether a worker could start the script.
    rules::whole_script(&template.body, &new.script).map_err(|e| vec![("script", e.to_string())])?;
    let saved = store.save_job(id.and_then(JobId::new), Some(&version_of(form)), &new).await?;
    Ok(saved.map(|id| without_secret(id.get(), new.title.into())))
}

/// Finds the job that was chosen by its title, its number, or both; the inner error says why the text names no single
/// job.
async fn find_parent(store: &Store, text: &str) -> Result<Result<Option<JobId>, String>, StoreError> {
    if text.is_empty() {
        return Ok(Ok(None));
    }
    // The whole text is tried as a title first: a title may end in what looks like a number.
    if let [one] = store.jobs_of_title(text, 2).await?[..] {
        return Ok(Ok(Some(one)));
    }
    let (title, number) = job::parse_job_choice(text);
    if let Some(id) = number
        && let Some(found) = store.job(id).await?
        && (title.is_empty() || title == found.title.as_str())
    {
        return Ok(Ok(Some(id)));
    }
    let (like, _) = store.catalogue_page(Entity::Job, title, 0, OFFERED).await?;
    let offered: Vec<String> =
        like.iter().filter_map(|one| Some(job::job_choice(JobId::new(one.id)?, &one.title))).collect();
    let offered = if offered.is_empty() { String::new() } else { format!("; is it {}?", offered.join(", or ")) };
    Ok(Err(format!("{text:?} does not name one job{offered}")))
}

fn without_secret(id: i64, title: String) -> Saved {
    Saved { id, title, secret: None }
}

async fn save_worker(app: &AppState, id: Option<i64>, form: &FormValues) -> Result<Option<Saved>, SaveError> {
    // The worker is saved with its secret in one change, so the secret is made before the form is read. A form with
    // mistakes leaves it unused.
    let secret = if id.is_none() || form.ticked("new_secret") {
        let made = token::random().map_err(|e| vec![("", format!("no secret can be made: {e}"))])?;
        Some(made)
    } else {
        None
    };
    let values = worker::read(form, secret.as_deref())?;
    let (id, seen) = (id.and_then(WorkerId::new), version_of(form));
    let Some(saved) = app.store.save_worker(id, Some(&seen), &values).await? else { return Ok(None) };
    let id = saved.get();
    let secret = secret.map(|secret| MadeWorker {
        id,
        api_key: values.api_key.to_string(),
        secret,
        broadcaster_port: app.settings.broadcaster.port(),
        events_port: app.settings.events.port(),
    });
    Ok(Some(Saved { id, title: values.title.into(), secret }))
}
