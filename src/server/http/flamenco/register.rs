//! Registration of workers: with a secret that the worker chose, and signed where the Manager asks for that.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::request::Parts;
use chrono::Utc;

use super::auth::contact;
use super::credentials;
use super::refusal::FarmRefusal;
use crate::run::Secret;
use crate::server::domain::farm::submission::MAX_NAME;
use crate::server::http::connections::address_of;
use crate::server::identity::token;
use crate::server::state::AppState;
use crate::server::store::farm::{Contact, NewFarmWorker, Registered};
use crate::wire::flamenco::{FarmWorkerStatus, Registration, ScheduleDocument, WorkerDocument, jwt};

/// Most workers of a Manager.
const MAX_WORKERS: u32 = 10_000;
/// Lengths of a secret in bytes: a shorter one could be guessed.
const SECRET: std::ops::RangeInclusive<usize> = 20..=1024;
/// Most types of tasks that a worker supports.
const MAX_TYPES: usize = 100;

/// Registers a worker, and answers with its id.
pub(super) async fn register(
    State(app): State<Arc<AppState>>,
    parts: Parts,
    body: Bytes,
) -> Result<Json<WorkerDocument>, FarmRefusal> {
    if let Some(secret) = &app.settings.farm.registration_secret {
        check_token(secret, &parts)?;
    }
    if !app.farm.registrations.admit(address_of(&parts.extensions), Instant::now()) {
        return Err(FarmRefusal::TooMany("Too many workers register from this address; try again in a minute."));
    }
    // The body is read only after the token and the count: a stranger costs no more than that.
    let said: Registration = serde_json::from_slice(&body).map_err(FarmRefusal::NotJson)?;
    check(&said)?;
    let contact = contact(&parts);
    let new = NewFarmWorker {
        id: app.farm.ids.mint(contact.at),
        nickname: if said.nickname.is_empty() { contact.address.clone() } else { said.nickname },
        platform: said.platform,
        task_types: said.supported_task_types,
        credentials: credentials::keep(&said.secret).map_err(FarmRefusal::Log)?,
    };
    match app.store.register_farm_worker(&new, &contact, MAX_WORKERS).await? {
        Registered::TooMany => Err(FarmRefusal::TooMany("Too many workers are registered.")),
        Registered::Yes => {
            tracing::info!(target: "job_runner.farm", worker = %new.id, address = contact.address, "worker registered");
            Ok(Json(document(new, contact)))
        }
    }
}

fn check_token(secret: &Secret, parts: &Parts) -> Result<(), FarmRefusal> {
    let said = token::bearer(&parts.headers).ok_or(FarmRefusal::Unsigned)?;
    // Whole microseconds of our time are exact in an `f64`.
    #[allow(clippy::cast_precision_loss)]
    let now = Utc::now().timestamp_micros() as f64 / 1e6;
    jwt::verify(secret, said, now).map_err(|refusal| {
        let address = address_of(&parts.extensions);
        tracing::warn!(target: "job_runner.farm", %address, error = %refusal, "registration refused");
        FarmRefusal::WronglySigned
    })
}

fn check(said: &Registration) -> Result<(), FarmRefusal> {
    if !SECRET.contains(&said.secret.expose().len()) {
        let (least, most) = (SECRET.start(), SECRET.end());
        return Err(FarmRefusal::NotAllowed(format!("A secret has {least} to {most} bytes.")));
    }
    check_texts(&said.nickname, &said.supported_task_types)?;
    check_texts(&said.platform, &[])
}

/// Checks what a worker says about itself.
pub(super) fn check_texts(name: &str, task_types: &[String]) -> Result<(), FarmRefusal> {
    if task_types.len() > MAX_TYPES {
        return Err(FarmRefusal::NotAllowed(format!("A worker supports at most {MAX_TYPES} types of tasks.")));
    }
    let is_wrong = |text: &str| text.len() > MAX_NAME || text.chars().any(char::is_control);
    if is_wrong(name) || task_types.iter().any(|task_type| task_type.is_empty() || is_wrong(task_type)) {
        let allowed = format!("Names have at most {MAX_NAME} bytes and no control characters; types are not empty.");
        return Err(FarmRefusal::NotAllowed(allowed));
    }
    Ok(())
}

fn document(new: NewFarmWorker, contact: Contact) -> WorkerDocument {
    WorkerDocument {
        id: new.id,
        nickname: new.nickname,
        address: contact.address,
        status: FarmWorkerStatus::Registered,
        platform: new.platform,
        supported_task_types: new.task_types,
        software: contact.software,
        current_task: None,
        current_job: None,
        current_task_status: None,
        last_activity: None,
        status_requested: FarmWorkerStatus::Registered,
        lazy_status_request: false,
        sleep_schedule: ScheduleDocument::default(),
        blacklist: Vec::new(),
    }
}
