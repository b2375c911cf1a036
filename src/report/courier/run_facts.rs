//! Facts about a run under delivery, which every protocol reports in its own way.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::super::courier_request::{CourierRequest, DeliveryEvent};
use super::super::outbox_entry::{DeadLetter, OutboxEntry, Start, StoredEnd};
use super::super::reporter_shared::ReporterShared;
use crate::run::{Attempt, RunId};
use crate::wire::time;

/// Facts about a run, and what is stored of it.
pub(in crate::report) struct RunFacts {
    pub(super) shared: Arc<ReporterShared>,
    pub(super) run: RunId,
    pub(super) attempt: Attempt,
    /// Attempt as the upstream counts it; `None` where it does not count.
    pub(super) claim: Option<Attempt>,
    pub(super) start: Option<Start>,
    pub(super) end: Option<StoredEnd>,
    requests: mpsc::Sender<CourierRequest>,
}

impl RunFacts {
    pub(in crate::report) fn new(
        shared: Arc<ReporterShared>,
        entry: &OutboxEntry,
        requests: mpsc::Sender<CourierRequest>,
    ) -> Self {
        Self {
            shared,
            run: entry.run,
            attempt: entry.attempt,
            claim: entry.claim,
            start: entry.start.clone(),
            end: entry.end.clone(),
            requests,
        }
    }

    /// Records what an event says.
    pub(super) fn note(&mut self, event: DeliveryEvent) {
        match event {
            DeliveryEvent::Claimed(claim) => self.claim = claim,
            DeliveryEvent::Started(start) => self.start = Some(start),
            DeliveryEvent::Output(_) => {}
            DeliveryEvent::Ended(end) => self.end = Some(end),
            DeliveryEvent::Relaunched(entry) => {
                (self.attempt, self.claim, self.start) = (entry.attempt, entry.claim, None);
            }
        }
    }

    /// Returns the number that log lines name `attempt`: the attempt as the upstream counts it.
    pub(super) fn attempt_number(&self) -> Option<u32> {
        self.claim.map(|claim| claim.0)
    }

    /// Sends a request to the task that executes the run; without such a task nothing is to be done.
    pub(super) fn request(&self, request: CourierRequest) {
        let _ = self.requests.try_send(request);
    }

    /// Removes files and row of the run.
    pub(super) async fn forget(&self) {
        // The files go first: a full disk may need their space to remove the row.
        self.shared.logs.forget(self.run, self.attempt);
        crash_point!(RecordRemoved);
        self.shared.outbox.forget_run(self.run).await;
        crash_point!(RowRemoved);
    }

    /// Logs that a part of the report is given up, and writes a dead letter about it.
    pub(super) async fn give_up(&self, part: &'static str, reason: String) {
        tracing::error!(
            target: "job_runner_worker.models",
            run = %self.run,
            attempt = self.attempt_number(),
            execution = self.attempt.0,
            part,
            reason,
            "report was given up"
        );
        self.write_letter(part, reason).await;
    }

    pub(super) async fn write_letter(&self, part: &'static str, reason: String) {
        let at = time::sent(chrono::Utc::now());
        self.shared.write_letter(DeadLetter { at, run: self.run, what: part.to_owned(), reason }).await;
    }
}
