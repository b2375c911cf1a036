//! One reason of each kind, for tests.

use chrono::NaiveTime;

use super::{FireKind, FireReason, WorkerAttempt};
use crate::run::lack::Lack;
use crate::run::{Attempt, RunId, WorkerCommand};
use crate::server::domain::chain::NoChild;
use crate::server::domain::model::{Asker, Exclude, JobId, WorkerId};
use crate::server::domain::schedule::due_decision::{Absence, WaitReason};
use crate::server::domain::schedule::{BadCron, NoNext};
use crate::server::domain::wait_reasons::WaitReasons;
use crate::server::domain::worker_state::NotTakingRuns;

/// Returns reasons of every variant, and of every variant within.
pub fn reasons() -> Vec<FireReason> {
    let (run, worker, job) = (RunId::new(5).unwrap(), WorkerId::new(3).unwrap(), JobId::new(7).unwrap());
    let execution = WorkerAttempt { run, attempt: Attempt(2), worker };
    let exclude = |note: &str| {
        let time = |hour, minute| NaiveTime::from_hms_opt(hour, minute, 0).unwrap();
        FireReason::Excluded(Exclude { start: time(22, 0), end: time(6, 30), note: note.to_owned() })
    };
    let mut reasons: Vec<FireReason> = wait_reasons(run, worker).into_iter().map(FireReason::Waiting).collect();
    reasons.extend([FireReason::Met(WaitReason::Active(run)), FireReason::Replacing(run)]);
    reasons.extend([Absence::Silent, Absence::Rests].map(|why| FireReason::WorkerLeftOut(worker, why)));
    reasons.extend([FireReason::WorkerRemoved(worker), FireReason::WorkerLost(execution)]);
    reasons.extend([FireReason::GivenBack(execution)]);
    let askers = [Asker::Dashboard, Asker::Command, Asker::Client, Asker::Worker(worker)];
    reasons.extend(askers.map(FireReason::Cancelled));
    reasons.extend([FireReason::Superseded(run), FireReason::ScheduleChanged]);
    let unreadable = BadCron::Unreadable("* *".to_owned(), "too few fields".to_owned());
    let never = BadCron::Never("0 0 31 2 *".to_owned());
    let no_next = [NoNext::NoSchedule, NoNext::AllLeftOut, NoNext::Never, unreadable.into(), never.into()];
    reasons.extend(no_next.map(FireReason::NoNextRun));
    reasons.extend([exclude(""), exclude("the backup runs")]);
    reasons.extend([1, 2, 99, 100].map(FireReason::Passed));
    reasons.extend([NoChild::Disabled, NoChild::ParentFailed].map(|why| FireReason::ChildLeftOut { why, run, job }));
    reasons.push(FireReason::Sentence(FireKind::Delayed, "run 4 waits for a reason of old".to_owned()));
    reasons
}

fn wait_reasons(run: RunId, worker: WorkerId) -> Vec<WaitReasons> {
    let all = [
        WaitReason::JobDisabled,
        WaitReason::TemplateDisabled,
        WaitReason::ProjectDisabled,
        WaitReason::PoolDisabled,
        WaitReason::Active(run),
        WaitReason::Behind(run),
        WaitReason::NoWorker,
        WaitReason::NobodyAnswers,
        WaitReason::NoSeat,
        WaitReason::WorkerDisabled(worker),
        WaitReason::WorkerSilent(worker),
        WaitReason::WorkerRests(worker),
        WaitReason::EmptyPool,
        WaitReason::NobodyTakes,
        WaitReason::WorkerHolds(worker),
        WaitReason::Unclaimed,
        WaitReason::EverybodyRests,
    ];
    let lacks = vec![Lack::Backlog(7), Lack::Bytes("state_path".into(), 12), Lack::Outbox("no room".to_owned())];
    let unready = [
        NotTakingRuns::Disabled,
        NotTakingRuns::NeverAnswered,
        NotTakingRuns::Silent,
        NotTakingRuns::Asked(WorkerCommand::Sleep),
        NotTakingRuns::Draining,
        NotTakingRuns::Asleep,
        NotTakingRuns::Offline,
        NotTakingRuns::Held(lacks),
    ];
    let unready = unready.into_iter().enumerate().map(|(number, why)| (format!("web{number}"), why)).collect();
    let full = WaitReasons { reason: WaitReason::NobodyTakes, unready, more: 4 };
    all.into_iter().map(WaitReasons::from).chain([full]).collect()
}
