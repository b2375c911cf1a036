//! REST client: one signed request, one answer.
//!
//! A call is tried once; the caller knows whether to try again. An answer is bounded in size, comes from the configured
//! origin, and has the shape that was asked for; anything else is a [`CallFailure`].

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, DATE, LOCATION, RETRY_AFTER};
use reqwest::{Method, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use url::Url;

use super::Settings;
use super::briefs::Briefs;
use super::job_view::JobView;
use super::trace::Trace;
use super::uplink::Uplink;
use crate::run::{ApiKey, Attempt, Instance, chain_of};
use crate::upstream::failure::CallFailure;
use crate::upstream::health::Health;
use crate::upstream::http::{self, ClientError, HttpConnections, HttpSettings, path_and_query};
use crate::wire::action;
use crate::wire::hmac;
use crate::wire::instance::{self, OCCUPIED};
use crate::wire::resources::{self, ATTEMPT};
use crate::wire::uplink::job_versions::JobVersions;
use crate::wire::uplink::{APPEND, AnswerHead, CallHead, MAX_HEAD, MAX_UP, OVER_HTTP, TELL, TellPart, UplinkVersion};

#[cfg(test)]
mod tests;

/// Longest answer that is read, in bytes: a job with a script of 16 MB, which the answer contains twice, plus JSON
/// escapes.
pub const MAX_BODY: usize = 48 * 1024 * 1024;
/// Most redirects of a GET that are followed.
const MAX_REDIRECTS: usize = 3;
/// Most characters of the server's reason that are repeated.
const MAX_REASON: usize = 400;
/// Largest difference between the server's clock and this one that is not logged.
const CLOCK_SKEW: chrono::TimeDelta = chrono::TimeDelta::seconds(300);

/// Client of the REST API. Cheap to clone; clones share settings, connections and health.
#[derive(Clone, Debug)]
pub struct RestClient {
    line: watch::Sender<Arc<RestSession>>,
    api_key: ApiKey,
    /// Instance that tells this worker from others with the same key; `None` where the client was set up without one.
    instance: Option<Instance>,
    pub(super) health: Arc<Health>,
    skew_told: Arc<AtomicBool>,
    pub(super) me: Arc<tokio::sync::OnceCell<String>>,
    uplink: watch::Sender<Option<Uplink>>,
    pub(super) briefs: Arc<Mutex<Briefs>>,
    /// Jobs that the server has sent, by their versions.
    pub(super) jobs: Arc<Mutex<JobVersions<JobView>>>,
    /// Whether the server sends commands to workers, as far as it said so by now.
    pub(super) acts: Arc<AtomicBool>,
    /// Time of this worker's last answer to a ping, as a server shows it that does not tell instances apart.
    pub(super) trace: Arc<Mutex<Trace>>,
}

/// Facts that are sent beside the body of a call.
#[derive(Clone, Copy, Debug, Default)]
struct CallExtras {
    attempt: Option<Attempt>,
    from: Option<u64>,
}

/// Answer with a status of success or redirection.
struct Answer {
    status: StatusCode,
    location: Option<String>,
    attempt: Option<Attempt>,
    request: Option<String>,
    body: Vec<u8>,
}

/// Tell that was not taken, or not all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedTell {
    /// Part that was refused; those before it are taken. `None` where the tell failed as a whole.
    pub part: Option<TellPart>,
    /// Failure of the call, which that part would have had by itself.
    pub failure: CallFailure,
}

/// Parts of the answer to a write that the server accepted.
#[derive(Debug)]
pub(super) struct Written {
    /// Location of the resource that was created, from the `Location` header.
    pub(super) location: Option<String>,
    /// Attempt of the run that is under way; `None` where the server does not count attempts.
    pub(super) attempt: Option<Attempt>,
    /// Command that waits for this worker, unparsed; `None` where the server sends none.
    pub(super) request: Option<String>,
}

/// Settings, and the connections that were made under them. A call keeps to the session with which it began.
#[derive(Debug)]
pub(super) struct RestSession {
    http: HttpConnections,
    pub(super) settings: Settings,
}

impl RestSession {
    fn new(settings: Settings) -> Result<Self, ClientError> {
        let http = HttpConnections::new(&HttpSettings {
            base_url: &settings.api_base_url,
            tls_verify: settings.tls_verify,
            ca_file: settings.ca_file.as_deref(),
            timeout: settings.api_timeout,
            user_agent: concat!("job_runner_worker/", env!("CARGO_PKG_VERSION")),
        })?;
        Ok(Self { http, settings })
    }
}

impl RestClient {
    /// Sets up a client that sends no instance id.
    ///
    /// # Errors
    /// If TLS or the HTTP client cannot be set up under the settings.
    pub fn new(settings: Settings) -> Result<Self, ClientError> {
        Ok(Self {
            api_key: settings.api_key.clone(),
            instance: None,
            line: watch::Sender::new(Arc::new(RestSession::new(settings)?)),
            health: Arc::new(Health::default()),
            skew_told: Arc::default(),
            me: Arc::default(),
            uplink: watch::Sender::new(None),
            briefs: Arc::default(),
            jobs: Arc::default(),
            acts: Arc::default(),
            trace: Arc::default(),
        })
    }

    /// Sets up the client of a worker; the instance tells the worker from others with the same key.
    ///
    /// # Errors
    /// If TLS or the HTTP client cannot be set up under the settings.
    pub fn of_instance(settings: Settings, instance: Instance) -> Result<Self, ClientError> {
        Ok(Self { instance: Some(instance), ..Self::new(settings)? })
    }

    /// Makes the next calls under other settings of the same worker and server.
    ///
    /// # Errors
    /// If TLS or the HTTP client cannot be set up under them; nothing changes then.
    pub fn reconfigure(&self, settings: Settings) -> Result<(), ClientError> {
        self.line.send_replace(Arc::new(RestSession::new(settings)?));
        Ok(())
    }

    pub(super) fn line(&self) -> Arc<RestSession> {
        Arc::clone(&self.line.borrow())
    }

    /// Sends the next calls over this uplink, or over HTTP only.
    pub fn set_uplink(&self, uplink: Option<Uplink>) {
        self.uplink.send_replace(uplink);
    }

    /// Returns whether calls go over a WebSocket.
    #[must_use]
    pub fn has_uplink(&self) -> bool {
        self.uplink.borrow().is_some()
    }

    /// Returns whether all that is known of a run can be told in one call.
    #[must_use]
    pub fn takes_tells(&self) -> bool {
        self.uplink.borrow().as_ref().is_some_and(|uplink| uplink.version() >= UplinkVersion::Two)
    }

    /// Signs a request without a body that goes to a host of the configured server; `None` for any other host, which
    /// must not see a signature.
    #[must_use]
    pub fn signature(&self, host: Option<&str>, method: &str, path_and_query: &str) -> Option<String> {
        let line = self.line();
        let settings = &line.settings;
        (host.is_some() && host == settings.api_base_url.host_str())
            .then(|| hmac::authorization(&settings.api_key, &settings.secret, method, path_and_query, &[]))
    }

    /// Returns the health of the server, which all clones share.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Returns the API key that signs the calls.
    #[must_use]
    pub fn api_key(&self) -> &ApiKey {
        &self.api_key
    }

    /// Returns the instance that makes the calls; `None` where the client was set up without one.
    #[must_use]
    pub fn instance(&self) -> Option<&Instance> {
        self.instance.as_ref()
    }

    /// Reads a resource with GET, and follows redirects within the origin.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallFailure> {
        let mut path = path.to_owned();
        for _ in 0..=MAX_REDIRECTS {
            let answer = self.send(Method::GET, &path, CallExtras::default(), Vec::new()).await?;
            match (answer.status.is_redirection(), answer.location) {
                (true, Some(to)) => path = self.same_origin(&path, &to)?,
                (true, None) => return Err(CallFailure::Redirected("nowhere".to_owned())),
                (false, _) => {
                    return resources::from_json(&answer.body)
                        .map_err(|e| CallFailure::Nonsense(format!("GET {path} is no such resource: {e}")));
                }
            }
        }
        Err(CallFailure::Redirected(path))
    }

    /// Writes a resource. Redirects are not followed: what is signed for one place is sent to no other.
    pub(super) async fn write(
        &self,
        method: Method,
        path: &str,
        attempt: Option<Attempt>,
        body: &impl Serialize,
    ) -> Result<Written, CallFailure> {
        let body = serde_json::to_vec(body).map_err(|e| CallFailure::Nonsense(e.to_string()))?;
        let Answer { status, location, attempt, request, .. } =
            self.send(method, path, CallExtras { attempt, from: None }, body).await?;
        if status.is_redirection() {
            return Err(CallFailure::Redirected(location.unwrap_or_else(|| "nowhere".to_owned())));
        }
        Ok(Written { location, attempt, request })
    }

    /// Appends to the log of a run and returns the path of the log. Works over a WebSocket only; without one the
    /// failure is [`CallFailure::Unreachable`].
    pub(super) async fn append(
        &self,
        path: &str,
        attempt: Option<Attempt>,
        from: u64,
        text: &str,
    ) -> Result<Option<String>, CallFailure> {
        let said = CallExtras { attempt, from: Some(from) };
        self.health.turn().await;
        let url = self.line().http.url(path)?;
        match self.send_up(APPEND, &url, said, text.as_bytes().to_vec()).await {
            Ok(answer) => answer.map(|answer| answer.location),
            Err(_) => Err(CallFailure::Unreachable("there is no WebSocket connection".to_owned())),
        }
    }

    /// Tells of a run; see [`RestClient::tell_run`].
    pub(super) async fn tell_up(
        &self,
        path: &str,
        attempt: Option<Attempt>,
        from: Option<u64>,
        body: Vec<u8>,
    ) -> Result<Option<String>, RefusedTell> {
        let whole = |failure| RefusedTell { part: None, failure };
        let no_way = || whole(CallFailure::Unreachable("there is no WebSocket connection".to_owned()));
        if !self.takes_tells() {
            return Err(no_way());
        }
        let url = self.line().http.url(path).map_err(whole)?;
        let at_once = self.health.turn().await;
        let Ok(answer) = self.call_up(TELL, &url, CallExtras { attempt, from }, body).await else {
            return Err(no_way());
        };
        let part = answer.as_ref().ok().and_then(|(head, _)| head.refused);
        let answer = answer.and_then(|(head, body)| Answer::of(head, body)).and_then(|answer| {
            if answer.status.is_success() { Ok(answer) } else { Err(CallFailure::Redirected(path.to_owned())) }
        });
        self.record(TELL, path, at_once, &answer);
        answer.map(|answer| answer.location).map_err(|failure| RefusedTell { part, failure })
    }

    async fn send(&self, method: Method, path: &str, said: CallExtras, body: Vec<u8>) -> Result<Answer, CallFailure> {
        let at_once = self.health.turn().await;
        let answer = self.send_once(&method, path, said, body).await;
        self.record(method.as_str(), path, at_once, &answer);
        answer
    }

    /// Records what an answer, or its failure, says about the server.
    fn record(&self, method: &str, path: &str, at_once: bool, answer: &Result<Answer, CallFailure>) {
        self.look_at_occupation(answer.as_ref().err());
        if method != Method::GET.as_str() && !answer.as_ref().is_err_and(CallFailure::is_of_the_call) {
            self.health.wrote(answer.is_ok());
        }
        match answer {
            Ok(_) => self.health.answered(),
            // The server is there and refuses only this call, which is no reason to slow down others.
            Err(failure) if failure.is_of_the_call() => self.health.reached(),
            Err(_) if at_once => self.health.failed_at_once(),
            Err(_) => self.health.failed(),
        }
        if let Err(failure) = answer {
            tracing::debug!(target: "job_runner_worker.models", %method, path, error = %chain_of(failure), "call failed");
        }
    }

    async fn send_once(
        &self,
        method: &Method,
        path: &str,
        said: CallExtras,
        body: Vec<u8>,
    ) -> Result<Answer, CallFailure> {
        let line = self.line();
        let settings = &line.settings;
        let url = line.http.url(path)?;
        let body = match self.send_up(method.as_str(), &url, said, body).await {
            Ok(answer) => return answer,
            Err(body) => body,
        };
        let signed_path = path_and_query(&url);
        let authorization =
            hmac::authorization(&settings.api_key, &settings.secret, method.as_str(), &signed_path, &body);
        let mut request = line
            .http
            .request(method.clone(), url, body)
            .header(AUTHORIZATION, authorization)
            .header(CONTENT_TYPE, "application/json");
        if let Some(attempt) = said.attempt {
            request = request.header(ATTEMPT, attempt.0);
        }
        if let Some(instance) = &self.instance {
            request = request.header(instance::HEADER, instance.as_str());
        }
        let response = http::send(request).await?;
        self.look_at_clock(&response);
        let status = response.status();
        let header = |name: &str| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
        let (location, after) = (header(LOCATION.as_str()), header(RETRY_AFTER.as_str()));
        if status.as_u16() == OCCUPIED {
            return Err(occupied(&http::read(response, MAX_BODY).await?));
        }
        http::refusal(status, after.as_deref())?;
        let request = header(action::HEADER);
        let attempt = header(ATTEMPT).and_then(|attempt| attempt.parse().ok()).map(Attempt);
        let body = match (status.is_success(), *method == Method::GET) {
            (true, true) => http::read(response, MAX_BODY).await?,
            (true, false) => http::no_page(response).await.map(|()| Vec::new())?,
            (false, _) => Vec::new(),
        };
        Ok(Answer { status, location, attempt, request, body })
    }

    /// Sends a call over the WebSocket. Returns the body where there is no WebSocket or the body or the answer is too long
    /// for it.
    async fn send_up(
        &self,
        method: &str,
        url: &Url,
        said: CallExtras,
        body: Vec<u8>,
    ) -> Result<Result<Answer, CallFailure>, Vec<u8>> {
        let answer = self.call_up(method, url, said, body).await?;
        match answer {
            // Only a GET has so long an answer, and its body is empty, so there is nothing to give back.
            Ok((head, _)) if head.status == OVER_HTTP => Err(Vec::new()),
            answer => Ok(answer.and_then(|(head, body)| Answer::of(head, body))),
        }
    }

    /// Sends a call over the WebSocket and returns the answer as it is; or the body, where there is no WebSocket or the
    /// body is too long for it.
    async fn call_up(
        &self,
        method: &str,
        url: &Url,
        said: CallExtras,
        body: Vec<u8>,
    ) -> Result<Result<(AnswerHead, Vec<u8>), CallFailure>, Vec<u8>> {
        let Some(uplink) = self.uplink.borrow().clone() else { return Err(body) };
        if body.len() + MAX_HEAD > MAX_UP {
            return Err(body);
        }
        let attempt = said.attempt.map(|attempt| attempt.0);
        let call = CallHead { call: 0, method: method.to_owned(), path: path_and_query(url), attempt, from: said.from };
        let patience = self.line().http.patience(body.len());
        match tokio::time::timeout(patience, uplink.call(call, body)).await {
            Ok(answer) => answer,
            Err(_) => Ok(Err(CallFailure::NoAnswer("none came over the WebSocket in time".to_owned()))),
        }
    }

    /// Checks that a path is within the API, which begins with the directory above the run resource.
    pub(super) fn is_of_api(&self, path: &str) -> Result<(), CallFailure> {
        let line = self.line();
        let (url, runs) = (line.http.url(path)?, line.http.url(&line.settings.run_resource)?);
        match runs.join("..") {
            Ok(api) if url.path().starts_with(api.path()) => Ok(()),
            _ => Err(CallFailure::Elsewhere(path.to_owned())),
        }
    }

    fn same_origin(&self, from: &str, to: &str) -> Result<String, CallFailure> {
        let line = self.line();
        let target = line.http.url(from)?.join(to).map_err(|_| CallFailure::Redirected(to.to_owned()))?;
        if target.origin() != line.settings.api_base_url.origin() {
            return Err(CallFailure::Redirected(to.to_owned()));
        }
        Ok(target.to_string())
    }

    /// Logs, once a minute, that the server refuses this worker because another instance is alive, and logs when that
    /// is over.
    fn look_at_occupation(&self, failure: Option<&CallFailure>) {
        match failure {
            Some(CallFailure::Occupied(why)) if self.health.occupied() => tracing::error!(
                target: "job_runner_worker.runner",
                worker = %self.api_key,
                error = why,
                "server refuses this worker; nothing is executed until the other instance is gone"
            ),
            // A failure of the server or of the network says nothing about the other instance.
            Some(
                CallFailure::Occupied(_)
                | CallFailure::Unreachable(_)
                | CallFailure::NoAnswer(_)
                | CallFailure::Server { .. },
            ) => {}
            _ if self.health.unoccupied() => {
                tracing::info!(
                    target: "job_runner_worker.runner",
                    worker = %self.api_key,
                    "server takes this worker in place of the other instance"
                );
            }
            _ => {}
        }
    }

    fn look_at_clock(&self, response: &Response) {
        let date = response.headers().get(DATE).and_then(|date| date.to_str().ok());
        let Some(theirs) = date.and_then(|date| chrono::DateTime::parse_from_rfc2822(date).ok()) else { return };
        let skew = theirs.to_utc() - chrono::Utc::now();
        // Logged once: the difference does not go away by itself, and every answer shows it.
        if skew.abs() > CLOCK_SKEW && !self.skew_told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                target: "job_runner_worker.models",
                worker = %self.api_key,
                skew_s = skew.num_seconds(),
                "clock of the server differs from ours"
            );
        }
    }
}

impl Answer {
    /// Classifies an answer that came over a WebSocket.
    fn of(head: AnswerHead, body: Vec<u8>) -> Result<Self, CallFailure> {
        if head.status == OCCUPIED {
            return Err(occupied(&body));
        }
        let status = StatusCode::from_u16(head.status)
            .map_err(|_| CallFailure::Nonsense(format!("the status {}", head.status)))?;
        http::refusal(status, None)?;
        let attempt = head.attempt.map(Attempt);
        Ok(Self { status, location: head.location, attempt, request: head.request, body })
    }
}

/// Makes the failure for a status of 423, with the server's reason.
fn occupied(body: &[u8]) -> CallFailure {
    let said = serde_json::from_slice::<serde_json::Value>(body).ok();
    let said = said.as_ref().and_then(|said| said["error"].as_str()).unwrap_or("another instance of it is alive");
    CallFailure::Occupied(said.chars().filter(|c| !c.is_control()).take(MAX_REASON).collect())
}
