//! Questions about a task to a Flamenco Manager. The Manager gave the task to this worker, and so it is never claimed: the
//! only question is whether it may run.

use crate::intake::task::RunTask;
use crate::run::claim::RunSight;
use crate::run::script::Script;
use crate::run::{Attempt, Cause, Outcome};
use crate::upstream::CallFailure;
use crate::upstream::flamenco::FlamencoClient;

impl RunTask {
    /// Asks whether the task may run.
    pub(super) async fn ask_manager(&self, client: &FlamencoClient) -> Result<RunSight, CallFailure> {
        // Without its origin nobody can be asked about the task, and its commands are lost.
        let Some(origin) = self.context.reporter.outbox().origin(self.run) else { return Ok(RunSight::Gone) };
        let answer = client.may_keep_running(&origin.key).await?;
        if !answer.may_keep_running {
            tracing::info!(
                target: "job_runner_worker.enqueuer",
                run = %self.run,
                task = origin.key,
                reason = answer.reason.as_deref().unwrap_or_default(),
                "Manager says that the task must not run"
            );
            return Ok(RunSight::Theirs);
        }
        Ok(RunSight::Ours)
    }

    /// Returns the script that executes the commands of the task.
    pub(super) fn steps_script(&self, attempt: Attempt) -> Result<Script, Outcome> {
        let context = &self.context;
        let lost = || Outcome::Unstartable("The commands of the task are lost.".to_owned());
        let origin = context.reporter.outbox().origin(self.run).ok_or_else(lost)?;
        // The outbox was lost, and with it the commands: the Manager gives them to the next worker that asks.
        if origin.work.is_empty() {
            return Err(Outcome::Cancelled(Cause::GivenBack));
        }
        context
            .execution
            .steps_script(self.run, attempt, &origin.key, &origin.work)
            .map_err(|e| Outcome::Unstartable(e.to_string()))
    }
}
