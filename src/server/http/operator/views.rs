//! Operator views: turns entities of the store into the JSON of the operator API. Pure.

use chrono::SecondsFormat;

use crate::run::Pace;
use crate::run::lack::Lack;
use crate::server::domain::fire::Fire;
use crate::server::domain::life::late::{LateReason, LateResult};
use crate::server::domain::model::{self, LatestRequest, RunExit, Timestamp};
use crate::server::domain::schedule::in_words;
use crate::server::domain::wait_reasons::WaitReasons;
use crate::server::domain::worker_state::{self, ShownWorkerState};
use crate::server::store::{JobOverview, LateReport, RunOverview, WorkerOverview, reason_facts};
use crate::wire::operator::{
    ActionName, CommandInfo, DueTimeFact, Held, JobInfo, LateResultInfo, RunInfo, RunStateName, RunWaits, WorkerInfo,
    WorkerStateName,
};

#[cfg(test)]
mod tests;

/// Formats a timestamp: RFC 3339 in UTC with milliseconds.
pub(super) fn time(at: Timestamp) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Returns the state of a run as operators see it.
#[must_use]
pub fn state(run: &model::Run) -> RunStateName {
    match (run.state(), run.exit, run.return_success) {
        (model::RunState::Scheduled, ..) => RunStateName::Scheduled,
        (model::RunState::InQueue, ..) => RunStateName::Claimed,
        (model::RunState::Started, ..) => RunStateName::Running,
        (model::RunState::Completed, Some(RunExit::TimedOut), _) => RunStateName::TimedOut,
        (model::RunState::Completed, Some(RunExit::Killed), _) => RunStateName::Killed,
        (model::RunState::Completed, Some(RunExit::Lost), _) => RunStateName::Lost,
        (model::RunState::Completed, _, Some(true)) => RunStateName::Succeeded,
        (model::RunState::Completed, ..) => RunStateName::Failed,
    }
}

/// Builds the view of a run; `waits` counts only where the run is unclaimed.
pub(super) fn run(overview: &RunOverview, waits: Option<&WaitReasons>) -> RunInfo {
    let RunOverview { run, title, worker } = overview;
    let (exit_code, exit_signal) = code_and_signal(run.exit);
    RunInfo {
        id: run.id.get(),
        job: run.job.get(),
        title: title.clone(),
        state: state(run),
        due: time(run.schedule_dts),
        claimed: run.enqueue_dts.map(time),
        started: run.start_dts.map(time),
        ended: run.return_dts.map(time),
        worker: worker.clone(),
        exit_code,
        exit_signal,
        attempt: run.attempt.0,
        retry_of: run.retry_of.map(|(run, _)| run.get()),
        manual: run.is_manual,
        waits: waits
            // The dispatcher may not have heard of a claim yet, and still have a reason for waiting.
            .filter(|_| run.state() == model::RunState::Scheduled)
            .map(|waits| RunWaits { reason: waits.reason.word().to_owned(), text: waits.to_string() }),
        late: Vec::new(),
    }
}

fn code_and_signal(exit: Option<RunExit>) -> (Option<i32>, Option<i32>) {
    match exit {
        Some(RunExit::Code(code)) => (Some(code), None),
        Some(RunExit::Signal(signal)) => (None, Some(signal)),
        Some(RunExit::TimedOut | RunExit::Killed | RunExit::Lost) | None => (None, None),
    }
}

/// Builds the view of a result that was reported too late to count.
pub(super) fn late_result(late: &LateReport) -> LateResultInfo {
    let LateReport { result, worker } = late;
    let (exit_code, exit_signal) = code_and_signal(result.exit);
    LateResultInfo {
        run: result.run.get(),
        attempt: result.attempt.map(|attempt| attempt.0),
        worker: worker.clone(),
        returned: result.returned.map(time),
        reported: time(result.reported),
        success: result.success,
        exit_code,
        exit_signal,
        reason: result.reason.map(|reason| reason.code().to_owned()),
        text: format!("{} {}; not counted: {}", attempt(late), late_outcome(result), late_reason(result.reason)),
    }
}

/// Names the attempt of a late result and its worker: "attempt 1 on worker web1".
#[must_use]
pub fn attempt(late: &LateReport) -> String {
    let attempt = late.result.attempt.map_or_else(|| "an attempt".to_owned(), |attempt| format!("attempt {attempt}"));
    match &late.worker {
        Some(title) => format!("{attempt} on worker {title}"),
        None => format!("{attempt} on a worker that is gone"),
    }
}

/// Describes how the attempt of a late result ended: "failed with exit code 3".
#[must_use]
pub fn late_outcome(result: &LateResult) -> String {
    match (result.success, result.exit) {
        (Some(true), _) => "succeeded".to_owned(),
        (_, Some(RunExit::TimedOut)) => "took too long and was killed".to_owned(),
        (_, Some(RunExit::Killed)) => "was killed".to_owned(),
        (Some(false), Some(RunExit::Code(code))) => format!("failed with exit code {code}"),
        (Some(false), Some(RunExit::Signal(signal))) => format!("was ended by signal {signal}"),
        (Some(false), Some(RunExit::Lost) | None) => "failed".to_owned(),
        (None, _) => "ended".to_owned(),
    }
}

/// Says why a result does not count, in a clause.
#[must_use]
pub fn late_reason(reason: Option<LateReason>) -> &'static str {
    match reason {
        Some(LateReason::Over) => "the run was over already",
        Some(LateReason::LaterAttempt) => "a later attempt of the run had begun",
        Some(LateReason::AnotherWorker) => "the run was given to another worker",
        Some(LateReason::Unclaimed) => "the run was given back or lost, and waited for a worker",
        None => "it came too late",
    }
}

/// Builds the view of a job.
pub(super) fn job(overview: &JobOverview) -> JobInfo {
    let JobOverview { job, around, next, last } = overview;
    JobInfo {
        id: job.id.get(),
        title: job.title.to_string(),
        project: around.project.title.clone(),
        template: around.template.title.clone(),
        pool: around.pool.title.clone(),
        enabled: job.enqueue_is_enabled,
        disabled_reason: Some(job.disabled_reason.clone()).filter(|reason| !reason.is_empty()),
        schedule: schedule(job),
        next: next.map(time),
        last_run: last.as_ref().map(|run| run.id.get()),
        last_state: last.as_ref().map(state),
        fail_times: job.fail_times,
    }
}

/// Describes a schedule in words.
fn schedule(job: &model::Job) -> Option<String> {
    in_words(&job.schedule).or_else(|| job.parent.map(|parent| format!("after job {parent}")))
}

/// Builds the view of a worker; `is_silent` says that it does not answer.
#[must_use]
pub fn worker(overview: &WorkerOverview, is_silent: bool) -> WorkerInfo {
    let WorkerOverview { worker, pools, runs } = overview;
    let report = worker.report.as_ref();
    let shown = worker_state::shown(worker, is_silent);
    WorkerInfo {
        id: worker.id.get(),
        title: worker.title.to_string(),
        api_key: worker.api_key.to_string(),
        enabled: worker.enqueue_is_enabled,
        pools: pools.clone(),
        answered: worker.ping_response_dts.map(time),
        version: worker.worker_version.clone(),
        seats: worker.concurrent_jobs,
        runs: *runs,
        state: match shown {
            ShownWorkerState::Starting => WorkerStateName::Starting,
            ShownWorkerState::Awake => WorkerStateName::Awake,
            ShownWorkerState::Asleep => WorkerStateName::Asleep,
            ShownWorkerState::Draining => WorkerStateName::Draining,
            ShownWorkerState::Offline => WorkerStateName::Offline,
            ShownWorkerState::Lost => WorkerStateName::Lost,
        },
        // A lost worker reports nothing; its last sign of life is when it was lost.
        since: if shown == ShownWorkerState::Lost {
            worker.heard().map(time)
        } else {
            report.map(|report| time(report.since))
        },
        // More slots may be taken than there are, after a restart with fewer.
        free: report.and_then(|report| Some(worker.concurrent_jobs?.saturating_sub(report.seats_taken))),
        outbox: report.map(|report| report.outbox),
        actions: ActionName::ALL
            .into_iter()
            .filter(|action| worker_state::ask(worker, command_named(*action), Pace::Now).is_ok())
            .collect(),
        request: worker.asked.as_ref().map(command_view),
        clock: worker_state::clock_in_words(worker),
        held: worker_state::held(worker).iter().filter(|_| shown != ShownWorkerState::Lost).map(held_view).collect(),
    }
}

fn held_view(lack: &Lack) -> Held {
    Held { lacking: lack.into(), text: lack.to_string() }
}

/// Returns the command of a name in the API.
pub(super) fn command_named(action: ActionName) -> crate::run::WorkerCommand {
    match action {
        ActionName::Shutdown => crate::run::WorkerCommand::Shutdown,
        ActionName::Restart => crate::run::WorkerCommand::Restart,
        ActionName::Sleep => crate::run::WorkerCommand::Sleep,
        ActionName::Wake => crate::run::WorkerCommand::Wake,
    }
}

fn command_view(asked: &LatestRequest) -> CommandInfo {
    let LatestRequest { request, by, reason, at, heard, over, .. } = asked;
    CommandInfo {
        id: request.id.get(),
        action: match request.action {
            crate::run::WorkerCommand::Shutdown => ActionName::Shutdown,
            crate::run::WorkerCommand::Restart => ActionName::Restart,
            crate::run::WorkerCommand::Sleep => ActionName::Sleep,
            crate::run::WorkerCommand::Wake => ActionName::Wake,
        },
        now: request.pace == Pace::Now,
        by: by.clone(),
        reason: Some(reason.clone()).filter(|reason| !reason.is_empty()),
        at: time(*at),
        heard: heard.map(time),
        over: over.map(|(at, _)| time(at)),
        end: over.map(|(_, end)| end.word().to_owned()),
    }
}

/// Builds the view of a due time that did not become a run as planned.
pub(super) fn fire(fire: &Fire) -> DueTimeFact {
    let (code, params) = reason_facts(&fire.reason);
    DueTimeFact {
        due: time(fire.due),
        what: fire.reason.kind().word().to_owned(),
        reason: fire.reason.to_string(),
        code: code.to_owned(),
        params,
        run: fire.run.map(crate::run::RunId::get),
        at: time(fire.at),
    }
}
