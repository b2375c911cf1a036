//! Source of a Flamenco Manager: signs on, asks for one task after another, and asks for each task under way whether it may
//! go on.
//!
//! A Manager gives a worker the task that it has already, so nothing is fetched before the end of the last task is told:
//! a task whose end is on its way would be executed twice.

mod keepalive;
mod pre_task_checks;
mod session;
mod standing;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::intake::Intake;
use crate::report::Reporter;
use crate::run::{Pace, RequestId, WorkerCommand, WorkerRequest};
use crate::upstream::flamenco::{FlamencoClient, IdentityFile};
use crate::wire::flamenco::FarmWorkerStatus;
pub use pre_task_checks::PreTaskChecks;
use session::TaskSession;
use standing::Standing;

/// Settings of the source.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Interval at which the Manager is asked whether a task may go on.
    pub may_run_interval: Duration,
    /// Configuration file in which the identity is kept that a registration gives.
    pub identity_file: PathBuf,
    /// Whether the worker registers anew although it has an identity.
    pub reregisters: bool,
    /// Whether the worker tells its Manager that its configuration is tried out.
    pub is_test: bool,
    /// Whether the worker leaves after one task.
    pub is_single: bool,
    /// Files and directories that must be usable before a task is fetched.
    pub checks: PreTaskChecks,
}

/// Handles that the tasks of the source share.
struct SourceShared {
    client: FlamencoClient,
    intake: Intake,
    reporter: Reporter,
    settings: Settings,
    standing: Mutex<Standing>,
    /// Cancelled when the Manager refuses this worker for good.
    refused: CancellationToken,
}

impl SourceShared {
    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows a request of the Manager for another state.
    async fn follow(&self, status: FarmWorkerStatus, pace: Pace) {
        let command = self.standing().ask(status, pace);
        if let Some((action, pace)) = command {
            tracing::info!(
                target: "job_runner_worker.runner",
                status = status.word(),
                command = action.word(),
                pace = pace.word(),
                "Manager asks for another state"
            );
            self.command(action, pace).await;
        }
    }

    /// Commands the worker as a whole.
    async fn command(&self, action: WorkerCommand, pace: Pace) {
        // A Manager numbers no requests; the time makes a number that no earlier start has used.
        if let Some(id) = RequestId::new(chrono::Utc::now().timestamp_micros()) {
            self.intake.follow_command(WorkerRequest { id, action, pace }).await;
        }
    }
}

/// Running source of tasks, which stops when it is dropped.
pub struct FlamencoSource {
    shared: Arc<SourceShared>,
    _session: AbortOnDropHandle<()>,
    _keepalive: AbortOnDropHandle<()>,
}

impl FlamencoSource {
    /// Starts the source. Stopped by `stop`, it fetches no more; tasks under way go on.
    #[must_use]
    pub fn start(
        client: FlamencoClient,
        intake: Intake,
        reporter: Reporter,
        settings: Settings,
        stop: CancellationToken,
    ) -> Self {
        let shared = Arc::new(SourceShared {
            client,
            intake,
            reporter,
            settings,
            standing: Mutex::default(),
            refused: CancellationToken::new(),
        });
        let session = TaskSession::new(Arc::clone(&shared), IdentityFile::new(shared.settings.identity_file.clone()));
        let session = stop.clone().run_until_cancelled_owned(session.run());
        let keepalive = stop.run_until_cancelled_owned(keepalive::keep_asking(Arc::clone(&shared)));
        Self {
            shared,
            _session: AbortOnDropHandle::new(tokio::spawn(async { _ = session.await })),
            _keepalive: AbortOnDropHandle::new(tokio::spawn(async { _ = keepalive.await })),
        }
    }

    /// Waits until the Manager refuses this worker for good; for ever where it does not.
    pub async fn refused(&self) {
        self.shared.refused.cancelled().await;
    }

    /// Tells the Manager that the worker leaves, once. A Manager that has not registered the worker knows nothing of it.
    pub async fn sign_off(&self) {
        if self.shared.client.worker_id().is_none() {
            return;
        }
        match self.shared.client.sign_off().await {
            Ok(()) => {
                crash_point!(SignOffSent);
                tracing::info!(target: "job_runner_worker.runner", "worker signed off");
            }
            Err(failure) => tracing::warn!(
                target: "job_runner_worker.runner",
                error = %crate::run::chain_of(&failure),
                "sign-off failed; the Manager notices the silence"
            ),
        }
    }
}
