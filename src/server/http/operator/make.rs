//! Create requests: ad-hoc runs of scripts, jobs, templates and workers.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::Utc;
use chrono_tz::Tz;

use super::answer::{Body, OperatorRefusal};
use super::ask::find_run;
use super::find::find_job;
use crate::run::{ApiKey, Secret};
use crate::server::domain::model::{Concurrency, Schedule};
use crate::server::domain::rules::{self, RuleViolation};
use crate::server::identity::token;
use crate::server::state::AppState;
use crate::server::store::{self, PlaceIds, PlaceName, PlaceNames, Submission};
use crate::wire::operator::{
    DEFAULT, MadeJob, MadeWorker, NewJobRequest, NewTemplateRequest, NewWorkerRequest, RunInfo, Submit,
};

#[cfg(test)]
mod tests;

/// Title of the template of ad-hoc scripts, which has no text of its own around them.
const SUBMITTED: &str = "submitted";

/// Enqueues a script as an ad-hoc run.
pub(super) async fn run(
    State(app): State<Arc<AppState>>,
    Body(new): Body<Submit>,
) -> Result<(StatusCode, Json<RunInfo>), OperatorRefusal> {
    let title = rules::title(&new.title)?;
    rules::executable(&new.script)?;
    // A named pool has to exist: a new one would have no worker, and the run would wait for ever.
    let pool = named(new.pool.as_deref(), PlaceName::Present)?;
    let names = PlaceNames { project: PlaceName::Default(DEFAULT), template: PlaceName::Default(SUBMITTED), pool };
    let submission = Submission { title: title.to_owned(), script: new.script, timeout: rules::timeout(new.timeout)? };
    let run = app.store.enqueue_adhoc_run(&names, &submission, Utc::now()).await?;
    Ok((StatusCode::CREATED, Json(find_run(&app, run.id).await?)))
}

/// Creates a job, and with `make_missing` the named project, template and pool.
pub(super) async fn job(
    State(app): State<Arc<AppState>>,
    Body(new): Body<NewJobRequest>,
) -> Result<(StatusCode, Json<MadeJob>), OperatorRefusal> {
    let title = rules::title(&new.title)?;
    let schedule = schedule(&new, app.settings.time_zone)?;
    let concurrency = new.concurrency.as_deref().map_or(Ok(Concurrency::Wait), rules::concurrency)?;
    let run_timeout = rules::timeout(new.timeout)?;
    let retries = rules::retries(new.retries.unwrap_or(0))?;
    let parent = match &new.after {
        Some(parent) => Some(find_job(&app, parent).await?),
        None => None,
    };
    let missing = if new.make_missing { PlaceName::OrMade } else { PlaceName::Present };
    let names = PlaceNames {
        project: named(new.project.as_deref(), missing)?,
        template: named(new.template.as_deref(), missing)?,
        pool: named(new.pool.as_deref(), missing)?,
    };
    let job = |place: PlaceIds| {
        let mut job = store::NewJob::new(title, place.template, place.pool, &new.script);
        job.retry.times = retries;
        store::NewJob { parent, schedule, run_timeout, concurrency, ..job }
    };
    let job = app.store.add_job(&names, job).await?;
    Ok((StatusCode::CREATED, Json(MadeJob { id: job.id.get(), title: job.title })))
}

/// Creates a template, and its project where it is missing.
pub(super) async fn template(
    State(app): State<Arc<AppState>>,
    Body(new): Body<NewTemplateRequest>,
) -> Result<(StatusCode, Json<MadeJob>), OperatorRefusal> {
    let title = rules::title(&new.title)?;
    let project = named(new.project.as_deref(), PlaceName::OrMade)?;
    let made = app.store.add_template(project, title, &new.body).await?;
    Ok((StatusCode::CREATED, Json(MadeJob { id: made.id.get(), title: made.title })))
}

/// Creates a worker with a random secret, which only this answer contains.
pub(super) async fn worker(
    State(app): State<Arc<AppState>>,
    Body(new): Body<NewWorkerRequest>,
) -> Result<(StatusCode, Json<MadeWorker>), OperatorRefusal> {
    let title = rules::title(&new.title)?;
    let api_key =
        // The title becomes the key, so it has to follow the rules of keys.
        ApiKey::parse(title).map_err(|what| OperatorRefusal::Malformed(format!("the name {title:?} {what}")))?;
    let pool = named(new.pool.as_deref(), PlaceName::OrMade)?;
    let secret = token::random().map_err(|e| OperatorRefusal::Conflict(format!("no secret can be made: {e}")))?;
    let new = store::NewWorker { title: title.to_owned(), api_key, secret: Secret::new(secret.clone().into_bytes()) };
    let worker = app.store.add_worker(pool, &new).await?;
    let made = MadeWorker {
        id: worker.id.get(),
        api_key: worker.api_key.to_string(),
        secret,
        broadcaster_port: app.settings.broadcaster.port(),
        events_port: app.settings.events.port(),
    };
    Ok((StatusCode::CREATED, Json(made)))
}

/// Returns the named project, template or pool, or the default where none is named.
fn named<'a>(text: Option<&'a str>, named: fn(&'a str) -> PlaceName<'a>) -> Result<PlaceName<'a>, RuleViolation> {
    text.map_or(Ok(PlaceName::Default(DEFAULT)), |text| rules::title(text).map(named))
}

fn schedule(new: &NewJobRequest, zone: Tz) -> Result<Schedule, OperatorRefusal> {
    let zone = new.zone.as_deref().map_or(Ok(zone), rules::zone)?;
    match (&new.every, &new.cron) {
        (Some(_), Some(_)) => {
            Err(OperatorRefusal::Malformed("a job has an interval or a cron expression, not both".to_owned()))
        }
        (_, None) if new.zone.is_some() => Err(OperatorRefusal::Malformed(
            "a time zone is for a cron expression; without one, take it back".to_owned(),
        )),
        (Some(every), None) => Ok(rules::interval(every)?),
        (None, Some(expression)) => Ok(rules::cron(expression, zone)?),
        (None, None) => Ok(Schedule::None),
    }
}
