//! Reasons of fires as the store keeps them: a code and its parameters. The operator API shows the same two.

use chrono::NaiveTime;

use crate::run::{Attempt, RunId, WorkerCommand};
use crate::server::domain::chain::NoChild;
use crate::server::domain::fire::{FireKind, FireReason, WorkerAttempt};
use crate::server::domain::model::{Asker, Exclude, JobId, WorkerId};
use crate::server::domain::schedule::due_decision::{Absence, WaitReason};
use crate::server::domain::schedule::{BadCron, NoNext, clock};
use crate::server::domain::wait_reasons::WaitReasons;
use crate::server::domain::worker_state::NotTakingRuns;
use crate::wire::lack;
use crate::wire::reason::{ReasonParams, UnreadyWorker};

#[cfg(test)]
mod tests;

// Codes of the reasons other than those of `WaitReason`.
const REPLACING: &str = "replacing";
const WORKER_LEFT_OUT: &str = "worker_left_out";
const WORKER_REMOVED: &str = "worker_removed";
pub(super) const WORKER_LOST: &str = "worker_lost";
pub(super) const GIVEN_BACK: &str = "given_back";
const CANCELLED: &str = "cancelled";
const SUPERSEDED: &str = "superseded";
const SCHEDULE_CHANGED: &str = "schedule_changed";
const NO_NEXT_RUN: &str = "no_next_run";
const EXCLUDED: &str = "excluded";
const PASSED: &str = "passed";
const CHILD_DISABLED: &str = "child_disabled";
const PARENT_FAILED: &str = "parent_failed";
const SENTENCE: &str = "sentence";

/// Returns the code and the parameters of a reason.
#[must_use]
pub fn reason_facts(reason: &FireReason) -> (&'static str, ReasonParams) {
    let none = ReasonParams::default;
    let of_run = |run: RunId| ReasonParams { run: Some(run.get()), ..none() };
    let of_worker = |worker: WorkerId| ReasonParams { worker: Some(worker.get()), ..none() };
    match reason {
        FireReason::Waiting(reasons) => wait_facts(reasons),
        FireReason::Met(reason) => (reason.word(), wait_params(*reason)),
        FireReason::Replacing(run) => (REPLACING, of_run(*run)),
        FireReason::WorkerLeftOut(worker, why) => {
            (WORKER_LEFT_OUT, ReasonParams { why: Some(absence_word(*why).to_owned()), ..of_worker(*worker) })
        }
        FireReason::WorkerRemoved(worker) => (WORKER_REMOVED, of_worker(*worker)),
        FireReason::WorkerLost(execution) => (WORKER_LOST, execution_params(execution)),
        FireReason::GivenBack(execution) => (GIVEN_BACK, execution_params(execution)),
        FireReason::Cancelled(by) => (CANCELLED, asker_params(*by)),
        FireReason::Superseded(run) => (SUPERSEDED, of_run(*run)),
        FireReason::ScheduleChanged => (SCHEDULE_CHANGED, none()),
        FireReason::NoNextRun(why) => (NO_NEXT_RUN, no_next_params(why)),
        FireReason::Excluded(exclude) => (EXCLUDED, exclude_params(exclude)),
        FireReason::Passed(times) => (PASSED, ReasonParams { times: Some(*times), ..none() }),
        FireReason::ChildLeftOut { why, run, job } => {
            let code = match why {
                NoChild::Disabled => CHILD_DISABLED,
                NoChild::ParentFailed => PARENT_FAILED,
            };
            (code, ReasonParams { job: Some(job.get()), ..of_run(*run) })
        }
        FireReason::Sentence(_, text) => (SENTENCE, ReasonParams { text: Some(text.clone()), ..none() }),
    }
}

/// Reads a reason from the kind of its fire, its code and its parameters; `None` if this program has not written them.
pub(super) fn read(kind: FireKind, code: &str, params: &ReasonParams) -> Option<FireReason> {
    match code {
        REPLACING => run(params).map(FireReason::Replacing),
        WORKER_LEFT_OUT => {
            worker(params).zip(absence(params)).map(|(worker, why)| FireReason::WorkerLeftOut(worker, why))
        }
        WORKER_REMOVED => worker(params).map(FireReason::WorkerRemoved),
        WORKER_LOST => execution(params).map(FireReason::WorkerLost),
        GIVEN_BACK => execution(params).map(FireReason::GivenBack),
        CANCELLED => asker(params).map(FireReason::Cancelled),
        SUPERSEDED => run(params).map(FireReason::Superseded),
        SCHEDULE_CHANGED => Some(FireReason::ScheduleChanged),
        NO_NEXT_RUN => no_next(params).map(FireReason::NoNextRun),
        EXCLUDED => exclude(params).map(FireReason::Excluded),
        PASSED => params.times.map(FireReason::Passed),
        CHILD_DISABLED => child(NoChild::Disabled, params),
        PARENT_FAILED => child(NoChild::ParentFailed, params),
        SENTENCE => params.text.clone().map(|text| FireReason::Sentence(kind, text)),
        // A run that waits and one that is skipped may meet the same run.
        _ if kind == FireKind::Skipped => wait_reason(code, params).map(FireReason::Met),
        _ => wait_reasons(code, params).map(FireReason::Waiting),
    }
}

/// Returns the code and the parameters of reasons to wait.
#[must_use]
pub fn wait_facts(reasons: &WaitReasons) -> (&'static str, ReasonParams) {
    (reasons.reason.word(), waiting(reasons))
}

/// Reads reasons to wait from their code and parameters; `None` if this program has not written them.
#[must_use]
pub fn wait_of_facts(code: &str, params: &ReasonParams) -> Option<WaitReasons> {
    wait_reasons(code, params)
}

fn run(params: &ReasonParams) -> Option<RunId> {
    params.run.and_then(RunId::new)
}

fn worker(params: &ReasonParams) -> Option<WorkerId> {
    params.worker.and_then(WorkerId::new)
}

fn execution_params(WorkerAttempt { run, attempt, worker }: &WorkerAttempt) -> ReasonParams {
    ReasonParams {
        run: Some(run.get()),
        worker: Some(worker.get()),
        attempt: Some(attempt.0),
        ..ReasonParams::default()
    }
}

fn execution(params: &ReasonParams) -> Option<WorkerAttempt> {
    Some(WorkerAttempt { run: run(params)?, attempt: Attempt(params.attempt?), worker: worker(params)? })
}

fn child(why: NoChild, params: &ReasonParams) -> Option<FireReason> {
    Some(FireReason::ChildLeftOut { why, run: run(params)?, job: params.job.and_then(JobId::new)? })
}

fn absence_word(why: Absence) -> &'static str {
    match why {
        Absence::Silent => "silent",
        Absence::Rests => "resting",
    }
}

fn absence(params: &ReasonParams) -> Option<Absence> {
    let why = params.why.as_deref()?;
    [Absence::Silent, Absence::Rests].into_iter().find(|one| absence_word(*one) == why)
}

fn asker_params(by: Asker) -> ReasonParams {
    let (word, worker) = match by {
        Asker::Dashboard => ("dashboard", None),
        Asker::Command => ("command", None),
        Asker::Client => ("client", None),
        Asker::Worker(worker) => ("worker", Some(worker.get())),
    };
    ReasonParams { by: Some(word.to_owned()), worker, ..ReasonParams::default() }
}

fn asker(params: &ReasonParams) -> Option<Asker> {
    match params.by.as_deref()? {
        "dashboard" => Some(Asker::Dashboard),
        "command" => Some(Asker::Command),
        "client" => Some(Asker::Client),
        "worker" => worker(params).map(Asker::Worker),
        _ => None,
    }
}

fn exclude_params(Exclude { start, end, note }: &Exclude) -> ReasonParams {
    let note = Some(note.clone()).filter(|note| !note.is_empty());
    ReasonParams { start: Some(clock(*start)), end: Some(clock(*end)), note, ..ReasonParams::default() }
}

fn exclude(params: &ReasonParams) -> Option<Exclude> {
    let time =
        |text: &str| ["%H:%M", "%H:%M:%S"].into_iter().find_map(|form| NaiveTime::parse_from_str(text, form).ok());
    Some(Exclude {
        start: time(params.start.as_deref()?)?,
        end: time(params.end.as_deref()?)?,
        note: params.note.clone().unwrap_or_default(),
    })
}

fn no_next_params(why: &NoNext) -> ReasonParams {
    let (word, expression, text) = match why {
        NoNext::NoSchedule => ("no_schedule", None, None),
        NoNext::AllLeftOut => ("all_left_out", None, None),
        NoNext::Never => ("never", None, None),
        NoNext::BadCron(BadCron::Unreadable(expression, fault)) => ("cron_unreadable", Some(expression), Some(fault)),
        NoNext::BadCron(BadCron::Never(expression)) => ("cron_never", Some(expression), None),
    };
    let (expression, text) = (expression.cloned(), text.cloned());
    ReasonParams { why: Some(word.to_owned()), expression, text, ..ReasonParams::default() }
}

fn no_next(params: &ReasonParams) -> Option<NoNext> {
    let expression = || params.expression.clone();
    match params.why.as_deref()? {
        "no_schedule" => Some(NoNext::NoSchedule),
        "all_left_out" => Some(NoNext::AllLeftOut),
        "never" => Some(NoNext::Never),
        "cron_unreadable" => Some(NoNext::BadCron(BadCron::Unreadable(expression()?, params.text.clone()?))),
        "cron_never" => Some(NoNext::BadCron(BadCron::Never(expression()?))),
        _ => None,
    }
}

fn wait_params(reason: WaitReason) -> ReasonParams {
    let none = ReasonParams::default();
    match reason {
        WaitReason::Active(run) | WaitReason::Behind(run) => ReasonParams { run: Some(run.get()), ..none },
        WaitReason::WorkerDisabled(worker)
        | WaitReason::WorkerSilent(worker)
        | WaitReason::WorkerRests(worker)
        | WaitReason::WorkerHolds(worker) => ReasonParams { worker: Some(worker.get()), ..none },
        _ => none,
    }
}

fn wait_reason(code: &str, params: &ReasonParams) -> Option<WaitReason> {
    let plain = [
        WaitReason::JobDisabled,
        WaitReason::TemplateDisabled,
        WaitReason::ProjectDisabled,
        WaitReason::PoolDisabled,
        WaitReason::NoWorker,
        WaitReason::NobodyAnswers,
        WaitReason::NoSeat,
        WaitReason::EmptyPool,
        WaitReason::NobodyTakes,
        WaitReason::Unclaimed,
        WaitReason::EverybodyRests,
    ];
    let of_run = [WaitReason::Active, WaitReason::Behind].map(|reason| run(params).map(reason));
    let workers =
        [WaitReason::WorkerDisabled, WaitReason::WorkerSilent, WaitReason::WorkerRests, WaitReason::WorkerHolds];
    let of_worker = workers.map(|reason| worker(params).map(reason));
    let all = plain.into_iter().chain(of_run.into_iter().flatten()).chain(of_worker.into_iter().flatten());
    all.into_iter().find(|reason| reason.word() == code)
}

fn waiting(reasons: &WaitReasons) -> ReasonParams {
    let unready = reasons.unready.iter().map(|(title, why)| unready_worker(title, why));
    ReasonParams {
        workers: unready.collect(),
        more: Some(reasons.more).filter(|more| *more > 0),
        ..wait_params(reasons.reason)
    }
}

fn wait_reasons(code: &str, params: &ReasonParams) -> Option<WaitReasons> {
    let unready = params.workers.iter().map(|worker| Some((worker.title.clone(), unready(worker)?)));
    Some(WaitReasons {
        reason: wait_reason(code, params)?,
        unready: unready.collect::<Option<_>>()?,
        more: params.more.unwrap_or(0),
    })
}

fn unready_worker(title: &str, why: &NotTakingRuns) -> UnreadyWorker {
    let (word, command, held) = match why {
        NotTakingRuns::Disabled => ("disabled", None, Vec::new()),
        NotTakingRuns::NeverAnswered => ("never_answered", None, Vec::new()),
        NotTakingRuns::Silent => ("silent", None, Vec::new()),
        NotTakingRuns::Asked(command) => ("asked", Some(command.word().to_owned()), Vec::new()),
        NotTakingRuns::Draining => ("draining", None, Vec::new()),
        NotTakingRuns::Asleep => ("asleep", None, Vec::new()),
        NotTakingRuns::Offline => ("offline", None, Vec::new()),
        NotTakingRuns::Held(lacks) => ("held", None, lack::list(lacks)),
    };
    UnreadyWorker { title: title.to_owned(), why: word.to_owned(), command, held }
}

fn unready(worker: &UnreadyWorker) -> Option<NotTakingRuns> {
    Some(match worker.why.as_str() {
        "disabled" => NotTakingRuns::Disabled,
        "never_answered" => NotTakingRuns::NeverAnswered,
        "silent" => NotTakingRuns::Silent,
        "asked" => NotTakingRuns::Asked(WorkerCommand::named(worker.command.as_deref()?)?),
        "draining" => NotTakingRuns::Draining,
        "asleep" => NotTakingRuns::Asleep,
        "offline" => NotTakingRuns::Offline,
        "held" => NotTakingRuns::Held(worker.held.iter().cloned().map(Into::into).collect()),
        _ => return None,
    })
}
