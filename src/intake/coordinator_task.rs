//! Task of the coordinator: waits for messages, freed slots and relief, and carries out the effects that
//! [`super::coordinator`] decides.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::admission_gauge::AdmissionGauge;
use super::coordinator::{Coordinator, Effect, Input};
use super::message::IntakeMessage;
use super::published_state::PublishedState;
use super::status_requests::StatusRequests;
use super::task::RunTask;
use super::{Context, kill};
use crate::report::RememberedStateFile;
use crate::run::chain_of;
use crate::run::worker_lifecycle::Lifecycle;

/// Long-running half of the intake, behind its handle.
pub(super) struct CoordinatorTask {
    context: Arc<Context>,
    /// Weak, so that the task ends when the last [`super::Intake`] is dropped.
    inbox: mpsc::WeakSender<IntakeMessage>,
    coordinator: Coordinator<AdmissionGauge>,
    remembered_file: RememberedStateFile,
    state: watch::Sender<PublishedState>,
    status_requests: Arc<StatusRequests>,
    drained: CancellationToken,
}

impl CoordinatorTask {
    pub(super) fn new(
        context: Arc<Context>,
        inbox: mpsc::WeakSender<IntakeMessage>,
        lifecycle: Lifecycle,
        remembered_file: RememberedStateFile,
        status_requests: Arc<StatusRequests>,
        drained: CancellationToken,
    ) -> Self {
        let coordinator = Coordinator::new(AdmissionGauge::new(Arc::clone(&context)), context.settings(), lifecycle);
        let state = watch::Sender::new(coordinator.published().clone());
        Self { context, inbox, coordinator, remembered_file, state, status_requests, drained }
    }

    /// Subscribes to the worker's state.
    pub(super) fn state(&self) -> watch::Receiver<PublishedState> {
        self.state.subscribe()
    }

    /// Runs until the last handle is dropped.
    pub(super) async fn run(mut self, mut messages: mpsc::Receiver<IntakeMessage>) {
        let (slots, run_lookups) = (self.coordinator.slots(), self.coordinator.run_lookups());
        loop {
            let waits_for_lookup = self.coordinator.waits_for_lookup();
            let gauge = self.coordinator.facts_mut();
            let input = tokio::select! {
                message = messages.recv() => match message {
                    Some(message) => Input::Message(message),
                    None => return,
                },
                () = slots.freed() => Input::SlotFreed,
                () = gauge.perhaps_relieved(), if !gauge.is_open() => Input::PerhapsRelieved,
                () = run_lookups.replenished(), if waits_for_lookup => Input::LookupsReplenished,
            };
            for effect in self.coordinator.step(input, Instant::now().into_std()) {
                self.carry_out(effect);
            }
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::StartRun { run, start, slot, signals } => {
                let task = RunTask::new(Arc::clone(&self.context), run, signals);
                self.spawn_and_report(async move { IntakeMessage::RunEnded(run, task.run(start, slot).await) });
            }
            Effect::StopRun { run, handle, cause } => {
                tracing::debug!(target: "job_runner_worker.worker", %run, cause = cause.word(), "run is to be stopped");
                handle.stop(cause);
            }
            Effect::FollowKill { entry, resumed, permit } => {
                let (context, inbox) = (Arc::clone(&self.context), self.inbox.clone());
                self.spawn_and_report(async move {
                    kill::follow(&context, &inbox, entry, resumed, permit).await;
                    IntakeMessage::KillEnded(entry.kill)
                });
            }
            Effect::RetryLater(run, pause) => self.spawn_and_report(async move {
                tokio::time::sleep(pause).await;
                IntakeMessage::RetryDue(run)
            }),
            Effect::RequestOpenWork => self.request_open_work(),
            Effect::Remember(remembered) => {
                if let Err(e) = self.remembered_file.write(remembered) {
                    tracing::error!(
                        target: "job_runner_worker.runner",
                        error = %chain_of(&e),
                        "file that tells the next start whether the worker sleeps cannot be written"
                    );
                }
            }
            Effect::ApplySettings(settings) => {
                self.context.settings.send_replace(settings);
            }
            Effect::PublishClaims(claims) => {
                self.context.claims.send_replace(claims);
            }
            Effect::PublishState(state) => {
                self.state.send_replace(state);
            }
            Effect::AnswerPing => self.status_requests.ping(),
            Effect::FetchCommand => self.status_requests.call(),
            Effect::Drained => self.drained.cancel(),
        }
    }

    /// Spawns a task whose result comes back as a message.
    fn spawn_and_report(&self, task: impl Future<Output = IntakeMessage> + Send + 'static) {
        let inbox = self.inbox.clone();
        tokio::spawn(async move {
            let message = task.await;
            if let Some(inbox) = inbox.upgrade() {
                let _ = inbox.send(message).await;
            }
        });
    }

    fn request_open_work(&self) {
        // Only a Job-Runner server announces runs.
        let Some(client) = self.context.upstream.job_runner().cloned() else { return };
        let inbox = self.inbox.clone();
        tokio::spawn(async move {
            // A failure is not retried here: as long as announcements are false, the list is requested again.
            if let Ok(open) = client.open().await
                && let Some(inbox) = inbox.upgrade()
            {
                let _ = inbox.send(IntakeMessage::OpenWork(open)).await;
            }
        });
    }
}
