//! What is made: runs of scripts, jobs, templates, workers.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::Utc;
use chrono_tz::Tz;

use super::answer::{Body, Refusal};
use super::ask::{find_job, find_run};
use crate::run::{ApiKey, Secret, script::Script};
use crate::server::model::{Concurrency, Schedule, Unit};
use crate::server::office::Office;
use crate::server::schedule::check_cron;
use crate::server::store::{self, Submission};
use crate::server::{script, token};
use crate::wire::operator::{DEFAULT, Made, MadeWorker, NewJob, NewTemplate, NewWorker, Run, Submit};

#[cfg(test)]
mod tests;

/// The longest title, in characters, as with the original.
const TITLE: usize = 255;
/// The template of scripts that are handed over whole.
const SUBMITTED: &str = "submitted";
/// The longest a run may take, in seconds: ten years.
const LONGEST: u32 = 315_360_000;
/// The most retries.
const RETRIES: u32 = 1000;

/// A run of a script.
pub(super) async fn run(
    State(office): State<Arc<Office>>,
    Body(new): Body<Submit>,
) -> Result<(StatusCode, Json<Run>), Refusal> {
    let title = title(&new.title)?;
    executable(&new.script)?;
    let pool = named(new.pool.as_deref())?;
    let place = office.store.place(DEFAULT, SUBMITTED, pool).await?;
    let new = Submission { title: title.to_owned(), script: new.script, timeout: timeout(new.timeout)? };
    let run = office.store.submit(place, &new, Utc::now()).await?;
    Ok((StatusCode::CREATED, Json(find_run(&office, run.id).await?)))
}

/// A job.
pub(super) async fn job(
    State(office): State<Arc<Office>>,
    Body(new): Body<NewJob>,
) -> Result<(StatusCode, Json<Made>), Refusal> {
    let title = title(&new.title)?;
    let schedule = schedule(&new, office.settings.time_zone)?;
    let concurrency = concurrency(new.concurrency.as_deref())?;
    let run_timeout = timeout(new.timeout)?;
    let retries = new.retries.unwrap_or(0);
    if retries > RETRIES {
        return Err(Refusal::Malformed(format!("{retries} retries are too many; {RETRIES} are allowed")));
    }
    let parent = match &new.after {
        Some(parent) => Some(find_job(&office, parent).await?),
        None => None,
    };
    let names = (named(new.project.as_deref())?, named(new.template.as_deref())?, named(new.pool.as_deref())?);
    let place = office.store.place(names.0, names.1, names.2).await?;
    let gone = || Refusal::Conflict("its template is gone".to_owned());
    let template = office.store.template(place.template).await?.ok_or_else(gone)?;
    executable(&script::render(&template.body, &new.script).map_err(|e| Refusal::Malformed(e.to_string()))?)?;
    let mut job = store::NewJob::new(title, place.template, place.pool, &new.script);
    job.retry.times = retries;
    let job = office.store.new_job(&store::NewJob { parent, schedule, run_timeout, concurrency, ..job }).await?;
    Ok((StatusCode::CREATED, Json(Made { id: job.id.get(), title: job.title })))
}

/// A template.
pub(super) async fn template(
    State(office): State<Arc<Office>>,
    Body(new): Body<NewTemplate>,
) -> Result<(StatusCode, Json<Made>), Refusal> {
    let title = title(&new.title)?;
    let place = office.store.place(named(new.project.as_deref())?, DEFAULT, DEFAULT).await?;
    let new = store::NewTemplate { title: title.to_owned(), body: new.body, project: place.project };
    let made = office.store.new_template(&new).await?;
    Ok((StatusCode::CREATED, Json(Made { id: made.id.get(), title: made.title })))
}

/// A worker.
pub(super) async fn worker(
    State(office): State<Arc<Office>>,
    Body(new): Body<NewWorker>,
) -> Result<(StatusCode, Json<MadeWorker>), Refusal> {
    let title = title(&new.title)?;
    let api_key = ApiKey::parse(title).map_err(|what| Refusal::Malformed(format!("the name {title:?} {what}")))?;
    let place = office.store.place(DEFAULT, DEFAULT, named(new.pool.as_deref())?).await?;
    let secret = token::random().map_err(|e| Refusal::Conflict(format!("no secret can be made: {e}")))?;
    let new = store::NewWorker { title: title.to_owned(), api_key, secret: Secret::new(secret.clone().into_bytes()) };
    let worker = office.store.new_worker(&new).await?;
    office.store.join_pool(place.pool, worker.id).await?;
    let made = MadeWorker {
        id: worker.id.get(),
        api_key: worker.api_key.to_string(),
        secret,
        broadcaster_port: office.settings.broadcaster.port(),
        events_port: office.settings.events.port(),
    };
    Ok((StatusCode::CREATED, Json(made)))
}

fn title(text: &str) -> Result<&str, Refusal> {
    let text = text.trim();
    let length = text.chars().count();
    if (1..=TITLE).contains(&length) && !text.chars().any(char::is_control) {
        Ok(text)
    } else {
        Err(Refusal::Malformed(format!("a title has 1 to {TITLE} characters on one line")))
    }
}

fn named(text: Option<&str>) -> Result<&str, Refusal> {
    text.map_or(Ok(DEFAULT), title)
}

/// What no worker could start is refused while somebody looks.
fn executable(script: &str) -> Result<(), Refusal> {
    let wrong = |e| Refusal::Malformed(format!("the script cannot be executed: {e}"));
    Script::parse(script).map(drop).map_err(wrong)
}

fn timeout(seconds: Option<u32>) -> Result<Option<u32>, Refusal> {
    match seconds {
        Some(seconds) if !(1..=LONGEST).contains(&seconds) => {
            Err(Refusal::Malformed(format!("a timeout is 1 to {LONGEST} seconds")))
        }
        seconds => Ok(seconds),
    }
}

fn concurrency(word: Option<&str>) -> Result<Concurrency, Refusal> {
    match word {
        None | Some("wait") => Ok(Concurrency::Wait),
        Some("skip") => Ok(Concurrency::Skip),
        Some("allow") => Ok(Concurrency::Allow),
        Some("replace") => Ok(Concurrency::Replace),
        Some(other) => {
            Err(Refusal::Malformed(format!("{other:?} is no concurrency; allowed are wait, skip, allow, replace")))
        }
    }
}

fn schedule(new: &NewJob, zone: Tz) -> Result<Schedule, Refusal> {
    let zone = match new.zone.as_deref() {
        Some(name) => name.parse().map_err(|_| Refusal::Malformed(format!("{name:?} is no time zone")))?,
        None => zone,
    };
    match (&new.every, &new.cron) {
        (Some(_), Some(_)) => {
            Err(Refusal::Malformed("a job has an interval or a cron expression, not both".to_owned()))
        }
        (Some(every), None) => interval(every),
        (None, Some(expression)) => {
            check_cron(expression).map_err(|e| Refusal::Malformed(e.to_string()))?;
            Ok(Schedule::Cron { expression: expression.clone(), zone })
        }
        (None, None) => Ok(Schedule::None),
    }
}

/// `15m`, `1 hour`, `2 days`, `month`.
fn interval(text: &str) -> Result<Schedule, Refusal> {
    let wrong = || Refusal::Malformed(format!("{text:?} is no interval; write 15 minutes, 1 hour, 2 days or 1 month"));
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let every = if digits == 0 { 1 } else { text[..digits].parse().map_err(|_| wrong())? };
    let unit = match text[digits..].trim() {
        "m" | "min" | "minute" | "minutes" => Unit::Minute,
        "h" | "hour" | "hours" => Unit::Hour,
        "d" | "day" | "days" => Unit::Day,
        "month" | "months" => Unit::Month,
        _ => return Err(wrong()),
    };
    if every == 0 { Err(wrong()) } else { Ok(Schedule::Interval { every, unit }) }
}
