//! Orders over an uplink: the order to execute a run comes with what the worker would read next.

use std::sync::Arc;

use axum::extract::ws::Message;

use super::session::UplinkSession;
use crate::run::{Order, RunId};
use crate::server::domain::resource::Resource;
use crate::server::http::rest::{self, ApiCall, ApiContent};
use crate::server::store::rest_lists::Scope;
use crate::wire::broadcast as orders;
use crate::wire::uplink::job_versions::{JobVersion, JobVersions};
use crate::wire::uplink::{self, DueJob, EnqueueHead, MAX_DOWN, UplinkVersion};

/// Versions of the jobs that were sent over a connection.
pub(super) type SentJobs = JobVersions<()>;

impl UplinkSession {
    /// Builds the message of an order; the order to execute a run has the run and its job with it, where they fit and
    /// the worker speaks the protocol.
    pub(super) async fn order(&self, order: Order, sent: &mut SentJobs) -> Message {
        let due = match (order, self.version) {
            (Order::Enqueue(run), Some(UplinkVersion::One)) => self.order_with_job(run).await,
            (Order::Enqueue(run), Some(UplinkVersion::Two)) => self.order_with_job_version(run, sent).await,
            _ => None,
        };
        match due {
            Some(due) => Message::Binary(due.into()),
            None => Message::Text(orders::text(order).into()),
        }
    }

    /// Builds an order with the version of its job, and with the job where it was not sent yet.
    async fn order_with_job_version(&self, run: RunId, sent: &mut SentJobs) -> Option<Vec<u8>> {
        // Read in the worker's name, so that it sees no more here than over HTTP.
        let due = self.app.store.run_with_script(run, Scope::Worker(self.worker().id)).await.ok()??;
        let shown = rest::run_json(&self.app, &due.run, due.log);
        let job = DueJob { script_content: &due.script, run_timeout: due.run_timeout };
        let job = serde_json::to_vec(&job).ok()?;
        let version = JobVersion::of(due.run.job.get(), &job);
        let is_known = sent.find(&version).is_some();
        let body = if is_known { shown.as_bytes().to_vec() } else { [shown.as_bytes(), &job].concat() };
        let head = EnqueueHead {
            action: "enqueue".to_owned(),
            run_id: run.get(),
            run_bytes: shown.len(),
            job_version: Some(version.clone()),
        };
        let message = uplink::message(&head, &body);
        if message.len() > MAX_DOWN {
            return None;
        }
        if !is_known {
            sent.remember(version, job.len(), ());
        }
        Some(message)
    }

    async fn order_with_job(&self, run: RunId) -> Option<Vec<u8>> {
        // Read in the worker's name, so that it sees no more here than over HTTP.
        let shown = self.get(&Resource::Run.path(run.get())).await?;
        let job = self.get(shown.get("job")?.as_str()?).await?;
        let (shown, job) = (shown.to_string(), job.to_string());
        let due =
            EnqueueHead { action: "enqueue".to_owned(), run_id: run.get(), run_bytes: shown.len(), job_version: None };
        let message = uplink::message(&due, &[shown.as_bytes(), job.as_bytes()].concat());
        (message.len() <= MAX_DOWN).then_some(message)
    }

    async fn get(&self, path: &str) -> Option<serde_json::Value> {
        let call = ApiCall {
            identity: &self.identity,
            attempt: None,
            instance: None,
            method: "GET",
            path,
            query: "",
            body: &[],
            kind: None,
        };
        let answer = rest::answer(&self.app, &call).await;
        // A refusal, as while the store is away, has a body, too: the worker must not take it for the run or its job.
        if answer.status != 200 {
            return None;
        }
        match answer.body? {
            ApiContent::Value(value) => Some(value),
            content @ ApiContent::Pieces(_) => {
                let whole = content.text(Arc::clone(&self.app), call.scope(), MAX_DOWN).await.ok()?;
                serde_json::from_str(&whole).ok()
            }
        }
    }
}
