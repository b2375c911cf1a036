//! Session of a worker at its Manager: registration, sign-on, and then one task after another.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::SourceShared;
use super::standing::OwnState;
use crate::execution::random_token;
use crate::intake::{PublishedState, Reservation};
use crate::report::OutboxError;
use crate::run::{Pace, WorkerCommand, WorkerState, chain_of};
use crate::upstream::CallFailure;
use crate::upstream::flamenco::{FetchAnswer, IdentityFile};
use crate::wire::flamenco::TaskDocument;

/// Pause after a failed registration or sign-on.
const SIGN_ON_PAUSE: Duration = Duration::from_secs(30);
/// Pause after the answer that there is no task; a tenth of it is left to chance, so that workers do not ask in step.
const EMPTY_PAUSE: Duration = Duration::from_secs(5);
/// Pause after a question for a task that failed.
const FAILED_PAUSE: Duration = Duration::from_secs(10);
/// Interval at which a sleeping worker asks whether it is to wake.
const ASLEEP_PAUSE: Duration = Duration::from_secs(30);
/// Interval at which a worker looks again whether it can work.
const HINDERED_PAUSE: Duration = Duration::from_secs(60);
/// Time for which the Manager refuses id and secret before the worker registers anew.
const REFUSED_FOR: Duration = Duration::from_secs(300);

/// Session of the worker.
pub(super) struct TaskSession {
    shared: Arc<SourceShared>,
    file: IdentityFile,
    state: watch::Receiver<PublishedState>,
    is_hindered: bool,
    /// Instant from which on the Manager has refused id and secret.
    refused_since: Option<Instant>,
    /// Whether a task was accepted, for a worker that leaves after one.
    has_accepted: bool,
}

impl TaskSession {
    pub(super) fn new(shared: Arc<SourceShared>, file: IdentityFile) -> Self {
        let state = shared.intake.state();
        Self { shared, file, state, is_hindered: false, refused_since: None, has_accepted: false }
    }

    /// Runs until the Manager refuses the worker for good, or until the source is stopped.
    pub(super) async fn run(mut self) {
        if !self.begin().await {
            self.shared.refused.cancel();
            return;
        }
        loop {
            self.acknowledge().await;
            let pause = match self.worker_state() {
                WorkerState::Awake if self.is_usable().await => self.next_task().await,
                WorkerState::Awake => {
                    self.acknowledge().await;
                    Some(HINDERED_PAUSE)
                }
                WorkerState::Asleep => self.ask_for_status().await,
                // The change of the state ends the wait.
                WorkerState::Starting | WorkerState::Draining | WorkerState::Offline => Some(ASLEEP_PAUSE),
            };
            if let Some(pause) = pause {
                self.rest(pause).await;
            }
        }
    }

    fn worker_state(&mut self) -> WorkerState {
        self.state.borrow_and_update().state
    }

    /// Waits, at most until the state of the worker changes.
    async fn rest(&mut self, pause: Duration) {
        let _ = tokio::time::timeout(pause, self.state.changed()).await;
    }

    /// Registers where that is needed, else signs on. Returns false where the Manager refuses the worker for good.
    async fn begin(&mut self) -> bool {
        if self.shared.settings.reregisters || self.shared.client.worker_id().is_none() {
            // The registration announces the worker, too.
            return self.register().await;
        }
        // Once only: a Manager that refuses the identity which it has just given would get a new worker each time.
        let mut has_registered = false;
        loop {
            match self.shared.client.sign_on().await {
                Ok(()) => {
                    self.shared.standing().signed_on();
                    tracing::info!(target: "job_runner_worker.runner", "worker signed on");
                    return true;
                }
                Err(failure @ CallFailure::Unauthorised(401)) => {
                    log_refusal("sign-on", &failure);
                    if std::mem::replace(&mut has_registered, true) || !self.register().await {
                        return false;
                    }
                }
                Err(failure) => {
                    log_failure("sign-on", &failure);
                    tokio::time::sleep(SIGN_ON_PAUSE).await;
                }
            }
        }
    }

    /// Registers for as long as it takes. Returns false where the Manager refuses the registration.
    async fn register(&mut self) -> bool {
        loop {
            match self.shared.client.register().await {
                Ok(identity) => {
                    // On disk first: an identity that is lost leaves a worker at the Manager that never comes again.
                    if let Err(e) = self.file.write(&identity) {
                        tracing::error!(
                            target: "job_runner_worker.runner",
                            path = %self.file.path().display(),
                            error = %chain_of(&e),
                            "identity is not written; the next start registers anew"
                        );
                    }
                    tracing::info!(target: "job_runner_worker.runner", worker = identity.id, "worker registered");
                    self.shared.client.set_identity(identity);
                    self.shared.standing().signed_on();
                    self.refused_since = None;
                    return true;
                }
                Err(failure @ CallFailure::Unauthorised(_)) => {
                    log_refusal("registration", &failure);
                    return false;
                }
                Err(failure) => {
                    log_failure("registration", &failure);
                    tokio::time::sleep(SIGN_ON_PAUSE).await;
                }
            }
        }
    }

    fn own_state(&mut self) -> OwnState {
        let worker = self.worker_state();
        OwnState { worker, is_hindered: self.is_hindered, is_testing: self.shared.settings.is_test }
    }

    /// Acknowledges the state of the worker, where the Manager does not know it.
    async fn acknowledge(&mut self) {
        let own = self.own_state();
        let Some(status) = self.shared.standing().acknowledgement(own) else { return };
        match self.shared.client.acknowledge(status).await {
            Ok(()) => self.shared.standing().acknowledged(own),
            Err(failure) => log_failure("acknowledgement", &failure),
        }
    }

    /// Checks the paths without which no task can be executed.
    async fn is_usable(&mut self) -> bool {
        let checks = self.shared.settings.checks.clone();
        let failure = tokio::task::spawn_blocking(move || checks.failure()).await.unwrap_or_default();
        let before = std::mem::replace(&mut self.is_hindered, failure.is_some());
        match &failure {
            Some(reason) if !before => {
                tracing::error!(target: "job_runner_worker.runner", reason, "no tasks are fetched before this is mended");
            }
            None if before => tracing::info!(target: "job_runner_worker.runner", "all checked paths are usable again"),
            _ => {}
        }
        if before && failure.is_none() {
            self.acknowledge().await;
        }
        failure.is_none()
    }

    /// Asks whether a sleeping worker is to wake or to leave.
    async fn ask_for_status(&mut self) -> Option<Duration> {
        match self.shared.client.status_asked().await {
            Ok(Some(status)) => {
                self.shared.follow(status, Pace::AfterRuns).await;
                self.acknowledge().await;
            }
            Ok(None) => {}
            Err(failure) => log_failure("question for a state", &failure),
        }
        Some(ASLEEP_PAUSE)
    }

    /// Fetches the next task once the last one is told. Returns the pause after it.
    async fn next_task(&mut self) -> Option<Duration> {
        // The slot is held while the Manager is asked: a task that comes with no slot for it would wait here, where the
        // Manager counts it as active and takes its silence for a failure.
        let reservation = self.ready().await?;
        if self.shared.settings.is_single && self.has_accepted {
            self.shared.command(WorkerCommand::Shutdown, Pace::AfterRuns).await;
            return Some(ASLEEP_PAUSE);
        }
        match self.shared.client.fetch().await {
            Ok(FetchAnswer::Task(task)) => {
                self.refused_since = None;
                self.accept(*task, reservation).await
            }
            Ok(FetchAnswer::Nothing) => {
                self.refused_since = None;
                Some(EMPTY_PAUSE.mul_f64(0.95 + 0.1 * fastrand::f64()))
            }
            Ok(FetchAnswer::StatusAsked(status)) => {
                // A reserved slot counts as taken in the published state, which the acknowledgement waits for.
                drop(reservation);
                self.shared.follow(status, Pace::AfterRuns).await;
                self.acknowledge().await;
                Some(FAILED_PAUSE)
            }
            Err(failure @ CallFailure::Unauthorised(401)) => {
                log_refusal("question for a task", &failure);
                self.note_refusal().await;
                Some(SIGN_ON_PAUSE)
            }
            Err(failure) => {
                log_failure("question for a task", &failure);
                Some(FAILED_PAUSE)
            }
        }
    }

    /// Waits until everything is told and a slot is free. `None` where the worker takes no tasks any more.
    async fn ready(&mut self) -> Option<Reservation> {
        let shared = Arc::clone(&self.shared);
        let ready = async {
            loop {
                shared.reporter.all_delivered().await;
                let reservation = shared.intake.reserve().await;
                // A task may have ended between the two.
                if shared.reporter.undelivered() == 0 {
                    return reservation;
                }
            }
        };
        let mut state = self.state.clone();
        tokio::select! {
            reservation = ready => Some(reservation),
            () = left_awake(&mut state) => None,
            () = tokio::time::sleep(SIGN_ON_PAUSE), if shared.client.is_refused() => {
                // The end of a task cannot be told either.
                self.note_refusal().await;
                None
            }
        }
    }

    /// Registers anew where the Manager has not known this worker for long.
    async fn note_refusal(&mut self) {
        let since = *self.refused_since.get_or_insert_with(Instant::now);
        if since.elapsed() >= REFUSED_FOR && !self.register().await {
            self.shared.refused.cancel();
        }
    }

    /// Writes a task to disk and begins it. One that cannot be written is given back.
    async fn accept(&mut self, task: TaskDocument, reservation: Reservation) -> Option<Duration> {
        let key = task.id.to_string();
        // Documents are made of texts, numbers and lists, so they always become JSON.
        let work = serde_json::to_string(&task.commands).unwrap_or_default();
        let (run, error) = match self.shared.reporter.outbox().try_accept(&key, work, random_token()).await {
            Ok(entry) => {
                crash_point!(TaskAccepted);
                self.has_accepted = true;
                tracing::info!(
                    target: "job_runner_worker.enqueuer",
                    run = %entry.run,
                    task = key,
                    name = task.name,
                    commands = task.commands.len(),
                    "task accepted"
                );
                reservation.begin(entry).await;
                return None;
            }
            // The task is under way, or its end is on its way: executing it again is what must never happen.
            Err(OutboxError::KnownKey(_)) => {
                tracing::debug!(target: "job_runner_worker.enqueuer", task = key, "task is known already");
                return Some(FAILED_PAUSE);
            }
            Err(error) => (self.shared.reporter.outbox().run_of(&key), error),
        };
        tracing::error!(
            target: "job_runner_worker.enqueuer",
            run = run.map(crate::run::RunId::get),
            task = key,
            error = %chain_of(&error),
            "task is given back, because the outbox cannot be written"
        );
        if let Err(failure) = self.shared.client.give_back(&key).await {
            log_failure("return of a task", &failure);
        }
        Some(FAILED_PAUSE)
    }
}

/// Waits until the worker takes no tasks any more.
async fn left_awake(state: &mut watch::Receiver<PublishedState>) {
    let _ = state.wait_for(|state| state.state != WorkerState::Awake).await;
}

fn log_failure(call: &'static str, failure: &CallFailure) {
    tracing::warn!(
        target: "job_runner_worker.enqueuer",
        call,
        error = %chain_of(failure),
        "call to the Manager failed; retrying"
    );
}

fn log_refusal(call: &'static str, failure: &CallFailure) {
    tracing::error!(
        target: "job_runner_worker.enqueuer",
        call,
        error = %chain_of(failure),
        "Manager refuses this worker"
    );
}
