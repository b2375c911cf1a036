//! Keep-alive: asks the Manager for each task under way whether it may go on. An answer that does not come, or is none of a
//! Manager, stops nothing.

use std::sync::Arc;

use super::SourceShared;
use crate::run::{Cause, Pace, RunId, chain_of};

/// Asks until the source is stopped. What the last process left is asked about at once.
pub(super) async fn keep_asking(shared: Arc<SourceShared>) {
    let mut executing = shared.intake.executing();
    // A task that the last process left may have been given to another worker since. One that this process fetches was
    // given to this worker just now, so the question can wait.
    let mut is_new = *executing.borrow() == 0;
    while executing.wait_for(|executing| *executing > 0).await.is_ok() {
        if std::mem::replace(&mut is_new, true) {
            tokio::time::sleep(shared.settings.may_run_interval).await;
        }
        for run in shared.intake.status().await.runs.into_iter().filter_map(RunId::new) {
            ask(&shared, run).await;
        }
    }
}

async fn ask(shared: &SourceShared, run: RunId) {
    let Some(origin) = shared.reporter.outbox().origin(run) else { return };
    let task = &origin.key;
    let answer = match shared.client.may_keep_running(task).await {
        Ok(answer) => answer,
        Err(failure) => {
            tracing::debug!(
                target: "job_runner_worker.enqueuer",
                %run,
                task,
                error = %chain_of(&failure),
                "Manager does not say whether the task may run; it goes on"
            );
            return;
        }
    };
    let pace = if answer.may_keep_running { Pace::AfterRuns } else { Pace::Now };
    if let Some(status) = answer.status_requested {
        shared.follow(status, pace).await;
    }
    // Not only where a state is asked for: the task may have been cancelled, or given to another worker.
    if !answer.may_keep_running {
        tracing::warn!(
            target: "job_runner_worker.enqueuer",
            %run,
            task,
            reason = answer.reason.as_deref().unwrap_or_default(),
            "Manager says that the task must not run; it is stopped and given back"
        );
        shared.intake.stop(run, Cause::GivenBack).await;
    }
}
