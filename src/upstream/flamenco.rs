//! Client of a Flamenco Manager: the calls of a Flamenco worker, with HTTP Basic authentication.
//!
//! A call is tried once; the caller knows whether to try again. The worker's identity, which the Manager gives it at its
//! registration, belongs to the client: all clones sign with the latest one.

mod identity_file;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use url::Url;

use super::failure::CallFailure;
use super::health::{Health, ServerHealth};
use super::http::{self, ClientError, HttpConnections, HttpSettings};
use crate::run::{Secret, chain_of};
use crate::wire::flamenco::{
    FarmWorkerStatus, MayKeepRunning, Registration, SignOn, StatusAsked, TaskDocument, TaskUpdate, WorkerDocument, jwt,
};

pub use identity_file::IdentityFile;

#[cfg(test)]
mod tests;

/// Longest answer that is read, in bytes.
const MAX_BODY: usize = 8 * 1024 * 1024;
/// Number of letters and digits of a secret that is made here, as the original makes them.
const SECRET_LENGTH: usize = 64;
/// Letters of a secret that is made here.
const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Settings of the client of a Flamenco Manager.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Scheme, host and port of the Manager.
    pub manager_url: Url,
    /// FarmIdentity from the configuration; `None` before the first registration.
    pub identity: Option<FarmIdentity>,
    /// Types of tasks that this worker executes.
    pub task_types: Vec<String>,
    /// Name of this worker for people.
    pub nickname: String,
    /// Secret that registrations are signed with; `None` where the Manager asks for none.
    pub registration_secret: Option<Secret>,
    /// Whether certificates are verified; `false` accepts any certificate.
    pub tls_verify: bool,
    /// PEM file with trust roots in addition to the system's.
    pub ca_file: Option<PathBuf>,
    /// Longest time that a call may take without progress on its answer.
    pub timeout: Duration,
}

/// FarmIdentity of a worker at its Manager.
#[derive(Clone, Debug)]
pub struct FarmIdentity {
    /// Id that the Manager gave the worker.
    pub id: String,
    /// Secret that the worker chose.
    pub secret: Secret,
}

/// Answer to the question for a task.
#[derive(Clone, Debug, PartialEq)]
pub enum FetchAnswer {
    /// Task to execute, or one that this worker was given before and has not told the end of.
    Task(Box<TaskDocument>),
    /// There is no task for this worker.
    Nothing,
    /// The worker is to take another state before it is given a task.
    StatusAsked(FarmWorkerStatus),
}

/// Settings, and the connections that were made under them.
#[derive(Debug)]
struct Session {
    http: HttpConnections,
    settings: Settings,
}

impl Session {
    fn new(settings: Settings) -> Result<Self, ClientError> {
        let http = HttpConnections::new(&HttpSettings {
            base_url: &settings.manager_url,
            tls_verify: settings.tls_verify,
            ca_file: settings.ca_file.as_deref(),
            timeout: settings.timeout,
            // The Manager shows it as the worker's software; the version is that of the protocol.
            user_agent: concat!("Flamenco-Worker/2.5 (job-runner ", env!("CARGO_PKG_VERSION"), ")"),
        })?;
        Ok(Self { http, settings })
    }
}

/// Client of a Flamenco Manager. Cheap to clone; clones share settings, connections, identity and health.
#[derive(Clone, Debug)]
pub struct FlamencoClient {
    session: watch::Sender<Arc<Session>>,
    identity: watch::Sender<Option<Arc<FarmIdentity>>>,
    health: Arc<Health>,
}

impl FlamencoClient {
    /// Sets up a client.
    ///
    /// # Errors
    /// If TLS or the HTTP client cannot be set up under the settings.
    pub fn new(settings: Settings) -> Result<Self, ClientError> {
        Ok(Self {
            identity: watch::Sender::new(settings.identity.clone().map(Arc::new)),
            session: watch::Sender::new(Arc::new(Session::new(settings)?)),
            health: Arc::default(),
        })
    }

    /// Makes the next calls under other settings of the same worker and Manager.
    ///
    /// # Errors
    /// If TLS or the HTTP client cannot be set up under them; nothing changes then.
    pub fn reconfigure(&self, settings: Settings) -> Result<(), ClientError> {
        self.session.send_replace(Arc::new(Session::new(settings)?));
        Ok(())
    }

    /// Returns the health of the Manager, which all clones share.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Returns the id of this worker; `None` before its registration.
    #[must_use]
    pub fn worker_id(&self) -> Option<String> {
        self.identity.borrow().as_ref().map(|identity| identity.id.clone())
    }

    /// Returns whether the Manager refused id and secret in its last answer.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.health.verdict() == ServerHealth::Refused
    }

    /// Returns the name of this worker for people.
    #[must_use]
    pub fn nickname(&self) -> String {
        self.session.borrow().settings.nickname.clone()
    }

    /// Signs with this identity from now on.
    pub fn set_identity(&self, identity: FarmIdentity) {
        self.identity.send_replace(Some(Arc::new(identity)));
    }

    /// Registers this worker under a new secret, and returns its new identity, which is not used before it is set.
    ///
    /// # Errors
    /// If the Manager does not answer or refuses.
    pub async fn register(&self) -> Result<FarmIdentity, CallFailure> {
        let session = self.session();
        let Settings { task_types, nickname, registration_secret, .. } = &session.settings;
        let secret = new_secret().map_err(|e| CallFailure::Unreachable(format!("no random numbers: {e}")))?;
        let body = Registration {
            secret: secret.clone(),
            platform: "linux".to_owned(),
            supported_task_types: task_types.clone(),
            nickname: nickname.clone(),
        };
        let mut request = Self::with_json(self.request(&session, Method::POST, "/register-worker")?, &body)?;
        if let Some(secret) = registration_secret {
            request = request.bearer_auth(jwt::sign(secret, now_in_seconds()));
        }
        let answer: WorkerDocument = self.read(request).await?;
        Ok(FarmIdentity { id: answer.id.to_string(), secret })
    }

    /// Announces this worker, with the types of its tasks.
    ///
    /// # Errors
    /// If the Manager does not answer or refuses.
    pub async fn sign_on(&self) -> Result<(), CallFailure> {
        let session = self.session();
        let Settings { task_types, nickname, .. } = &session.settings;
        let body = SignOn { supported_task_types: task_types.clone(), nickname: nickname.clone() };
        self.write("/sign-on", Some(&body)).await
    }

    /// Tells that this worker leaves. The Manager gives its active tasks to others.
    ///
    /// # Errors
    /// If the Manager does not answer or refuses.
    pub async fn sign_off(&self) -> Result<(), CallFailure> {
        self.write("/sign-off", None::<&()>).await
    }

    /// Asks for a task.
    ///
    /// # Errors
    /// If the Manager does not answer or refuses.
    pub async fn fetch(&self) -> Result<FetchAnswer, CallFailure> {
        let session = self.session();
        let request = self.authenticated(&session, Method::POST, "/task")?;
        match self.answer(request).await? {
            (StatusCode::NO_CONTENT, _) => Ok(FetchAnswer::Nothing),
            (StatusCode::LOCKED, body) => {
                let StatusAsked { status_requested } = from_json(&body)?;
                Ok(FetchAnswer::StatusAsked(status_requested))
            }
            (_, body) => from_json(&body).map(|task| FetchAnswer::Task(Box::new(task))),
        }
    }

    /// Asks whether this worker may go on with a task.
    ///
    /// # Errors
    /// If the Manager does not answer as a Manager does. The worker then goes on with the task.
    pub async fn may_keep_running(&self, task: &str) -> Result<MayKeepRunning, CallFailure> {
        let session = self.session();
        self.read(self.authenticated(&session, Method::GET, &format!("/may-i-run/{task}"))?).await
    }

    /// Tells of a task.
    ///
    /// # Errors
    /// If the Manager does not answer or refuses.
    pub async fn update(&self, task: &str, update: &TaskUpdate) -> Result<(), CallFailure> {
        self.write(&format!("/tasks/{task}/update"), Some(update)).await
    }

    /// Gives a task back, for another worker to execute it.
    ///
    /// # Errors
    /// If the Manager does not answer or refuses.
    pub async fn give_back(&self, task: &str) -> Result<(), CallFailure> {
        match self.write(&format!("/tasks/{task}/return"), None::<&()>).await {
            // A Manager of 2.0 has no such call; it takes the task back when this worker signs off.
            Err(CallFailure::NotFound) => Ok(()),
            answer => answer,
        }
    }

    /// Asks which state this worker is to take; `None` where there is no such request.
    ///
    /// # Errors
    /// If the Manager does not answer or refuses.
    pub async fn status_asked(&self) -> Result<Option<FarmWorkerStatus>, CallFailure> {
        let session = self.session();
        match self.answer(self.authenticated(&session, Method::GET, "/status-change")?).await {
            Ok((StatusCode::NO_CONTENT, _)) => Ok(None),
            Ok((_, body)) => {
                let StatusAsked { status_requested } = from_json(&body)?;
                Ok(Some(status_requested).filter(|status| *status != FarmWorkerStatus::Registered))
            }
            // A Manager of 2.0 has no such call.
            Err(CallFailure::NotFound) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Acknowledges that this worker has taken a state.
    ///
    /// # Errors
    /// If the Manager does not answer or refuses.
    pub async fn acknowledge(&self, status: FarmWorkerStatus) -> Result<(), CallFailure> {
        match self.write(&format!("/ack-status-change/{}", status.word()), None::<&()>).await {
            // A Manager of 2.0 has no such call.
            Err(CallFailure::NotFound) => Ok(()),
            answer => answer,
        }
    }

    fn session(&self) -> Arc<Session> {
        Arc::clone(&self.session.borrow())
    }

    fn request(&self, session: &Session, method: Method, path: &str) -> Result<RequestBuilder, CallFailure> {
        let url = session.http.url(path)?;
        Ok(session.http.request(method, url, Vec::new()))
    }

    fn authenticated(&self, session: &Session, method: Method, path: &str) -> Result<RequestBuilder, CallFailure> {
        let identity = self.identity.borrow().clone();
        // As a Manager would answer: this worker is not registered.
        let Some(identity) = identity else { return Err(CallFailure::Unauthorised(StatusCode::UNAUTHORIZED.as_u16())) };
        let secret = String::from_utf8_lossy(identity.secret.expose());
        Ok(self.request(session, method, path)?.basic_auth(&identity.id, Some(secret)))
    }

    fn with_json(request: RequestBuilder, body: &impl Serialize) -> Result<RequestBuilder, CallFailure> {
        let body = serde_json::to_vec(body).map_err(|e| CallFailure::Nonsense(e.to_string()))?;
        Ok(request.header(CONTENT_TYPE, "application/json").body(body))
    }

    async fn write(&self, path: &str, body: Option<&impl Serialize>) -> Result<(), CallFailure> {
        let session = self.session();
        let request = self.authenticated(&session, Method::POST, path)?;
        let request = match body {
            Some(body) => Self::with_json(request, body)?,
            None => request,
        };
        let answer = self.answer(request).await.and_then(|(_, body)| no_page(&body));
        if !answer.as_ref().is_err_and(CallFailure::is_of_the_call) {
            self.health.wrote(answer.is_ok());
        }
        answer
    }

    async fn read<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, CallFailure> {
        let (_, body) = self.answer(request).await?;
        from_json(&body)
    }

    /// Sends a request and returns status and body of its answer: of success, or 423.
    async fn answer(&self, request: RequestBuilder) -> Result<(StatusCode, Vec<u8>), CallFailure> {
        let at_once = self.health.turn().await;
        let answer = Self::answer_once(request).await;
        match &answer {
            Ok(_) => self.health.answered(),
            // The Manager is there: others need not slow down.
            Err(CallFailure::Unauthorised(401)) => {
                self.health.reached();
                self.health.credentials(false);
            }
            Err(failure) if failure.is_of_the_call() => self.health.reached(),
            Err(_) if at_once => self.health.failed_at_once(),
            Err(_) => self.health.failed(),
        }
        match &answer {
            Ok(_) => self.health.credentials(true),
            Err(failure) => {
                tracing::debug!(target: "job_runner_worker.models", error = %chain_of(failure), "call failed");
            }
        }
        answer
    }

    async fn answer_once(request: RequestBuilder) -> Result<(StatusCode, Vec<u8>), CallFailure> {
        let response = http::send(request).await?;
        let status = response.status();
        if status.is_redirection() {
            return Err(CallFailure::Redirected("another place".to_owned()));
        }
        // To other services 423 is a refusal; a Manager says with it which state it asks for.
        if status != StatusCode::LOCKED {
            let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
            http::refusal(status, after.as_deref())?;
        }
        Ok((status, http::read(response, MAX_BODY).await?))
    }
}

/// Reads a document. Anything else is not an answer of a Manager.
fn from_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, CallFailure> {
    serde_json::from_slice(body).map_err(|e| CallFailure::Nonsense(e.to_string()))
}

/// Checks that the answer to a write is no web page, which a portal or a proxy in between sends without having carried the
/// write out.
fn no_page(body: &[u8]) -> Result<(), CallFailure> {
    match body.trim_ascii_start().first() {
        Some(b'<') => Err(CallFailure::Nonsense("a web page".to_owned())),
        _ => Ok(()),
    }
}

fn now_in_seconds() -> f64 {
    let now = chrono::Utc::now();
    now.timestamp_micros() as f64 / 1e6
}

/// Makes the secret of a new identity.
fn new_secret() -> std::io::Result<Secret> {
    use std::io::Read;

    let mut secret = Vec::with_capacity(SECRET_LENGTH);
    let mut random = std::fs::File::open("/dev/urandom")?;
    while secret.len() < SECRET_LENGTH {
        let mut byte = [0];
        random.read_exact(&mut byte)?;
        // Bytes beyond the last whole round of letters would make some letters likelier than others.
        let letter = usize::from(byte[0]);
        if letter < LETTERS.len() * 4 {
            secret.push(LETTERS[letter % LETTERS.len()]);
        }
    }
    Ok(Secret::new(secret))
}
