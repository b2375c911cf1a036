//! UplinkSession of one worker: answers its calls, with the rights that the worker has over HTTP.

use std::sync::Arc;

use axum::body::Bytes;

use crate::run::{Attempt, Instance, chain_of};
use crate::server::domain::life::{Actor, LifeRefusal};
use crate::server::domain::model::Worker;
use crate::server::domain::resource::Resource;
use crate::server::http::connections::HttpPeer;
use crate::server::http::rest::{self, ApiCall};
use crate::server::identity::auth::Identity;
use crate::server::state::AppState;
use crate::server::store::Appended;
use crate::wire::action;
use crate::wire::resources::run_id_of;
use crate::wire::uplink::{
    self, APPEND, AnswerHead, CallHead, ELSEWHERE, MAX_DOWN, MAX_HEAD, OVER_HTTP, TELL, UplinkVersion,
};

/// Content type of the bodies of calls.
const JSON: &str = "application/json";

/// Connection of one worker, as the answers to its calls need it.
pub(super) struct UplinkSession {
    pub(super) app: Arc<AppState>,
    pub(super) identity: Identity,
    pub(super) instance: Option<Instance>,
    /// Version of the protocol that both speak; `None` for a worker that gets orders alone.
    pub(super) version: Option<UplinkVersion>,
    /// Connection in the table of HTTP connections, where the bytes of its messages are counted.
    pub(super) peer: Option<HttpPeer>,
}

impl UplinkSession {
    /// Returns the worker at the other end.
    pub(super) fn worker(&self) -> &Worker {
        match &self.identity {
            Identity::Worker(worker) => worker,
            Identity::Operator => unreachable!("only workers are let in"),
        }
    }

    /// Records a sign of life of the instance. Returns false where another instance is active.
    pub(super) fn is_at_work(&self) -> bool {
        self.instance.as_ref().is_none_or(|instance| self.app.instances.hear(self.worker().id, instance))
    }

    /// Answers a call, and encodes the answer.
    pub(super) async fn answer(&self, head: CallHead, body: Bytes) -> Vec<u8> {
        let attempt = head.attempt.map(Attempt);
        let (path, query) = head.path.split_once('?').unwrap_or((&head.path, ""));
        if head.method == APPEND {
            let (status, location) = self.append(path, attempt, head.from.unwrap_or(0), &body).await;
            return uplink::message(&AnswerHead { location, ..answer_to(&head, status) }, &[]);
        }
        let (identity, instance, kind) = (&self.identity, self.instance.as_ref(), Some(JSON));
        let call = ApiCall { identity, attempt, instance, method: &head.method, path, query, body: &body, kind };
        let (answer, refused) = if head.method == TELL && self.version == Some(UplinkVersion::Two) {
            rest::tell(&self.app, &call, head.from).await
        } else {
            (rest::answer(&self.app, &call).await, None)
        };
        let content = match answer.body {
            Some(content) => content.text(Arc::clone(&self.app), call.scope(), MAX_DOWN).await,
            None => Ok(String::new()),
        };
        match content {
            Ok(content) if content.len() + MAX_HEAD <= MAX_DOWN => {
                let (location, request) = (answer.location, answer.request.map(action::text));
                let attempt = answer.attempt.map(|attempt| attempt.0);
                let answer = AnswerHead { location, attempt, request, refused, ..answer_to(&head, answer.status) };
                uplink::message(&answer, content.as_bytes())
            }
            // Over HTTP the content is sent as it is read, however long it is.
            Ok(_) | Err(_) => uplink::message(&answer_to(&head, OVER_HTTP), &[]),
        }
    }

    async fn append(&self, path: &str, attempt: Option<Attempt>, from: u64, body: &[u8]) -> (u16, Option<String>) {
        let status = |status: u16| (status, None);
        let Some(run) = run_id_of(path) else { return status(404) };
        let Ok(text) = str::from_utf8(body) else { return status(400) };
        let who = Actor::Worker(self.worker().id, attempt);
        match self.app.store.append_log(run, from, text, who, self.app.settings.max_log).await {
            Ok(Appended::Kept(log)) => (200, Some(Resource::RunLog.path(log.get()))),
            Ok(Appended::WrongOffset(_)) => status(ELSEWHERE),
            Ok(Appended::TooLong) => status(413),
            // The statuses are those of the REST API for the same refusals.
            Ok(Appended::Refused(LifeRefusal::Theirs)) => status(401),
            Ok(Appended::Refused(_)) => status(409),
            Ok(Appended::Unknown) => status(404),
            Err(e) if e.is_outage() => status(503),
            Err(e) => {
                let worker = &self.worker().api_key;
                tracing::error!(
                    target: "job_runner.uplink",
                    method = APPEND,
                    path,
                    address = self.peer.as_ref().map(|peer| display(peer.address())),
                    %run,
                    %worker,
                    attempt = attempt.map(|attempt| attempt.0),
                    error = %chain_of(&e),
                    "request failed"
                );
                status(500)
            }
        }
    }
}

/// Head of an answer without anything but its status.
fn answer_to(call: &CallHead, status: u16) -> AnswerHead {
    AnswerHead { answer: call.call, status, location: None, attempt: None, request: None, refused: None }
}
