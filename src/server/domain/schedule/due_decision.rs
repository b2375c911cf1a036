//! Decides which due runs may run now and on which workers, and why the others wait.
//!
//! One schedule id of a job runs at a time, the earliest first, unless the job says otherwise. Disabled jobs,
//! templates, projects and pools get nothing, except for runs that were requested by hand; a disabled worker gets such a
//! run only where it is pinned to it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::run::RunId;
use crate::server::domain::model::{Concurrency, Job, PoolId, Run, WorkerId};
use crate::server::domain::sentence::Sentence;

#[cfg(test)]
mod tests;

/// Workers that runs can be given to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Availability {
    /// Workers of each pool.
    pub pools: BTreeMap<PoolId, Vec<WorkerId>>,
    /// Workers that are enabled.
    pub enabled: BTreeSet<WorkerId>,
    /// Workers that have not answered for too long.
    pub silent: BTreeSet<WorkerId>,
    /// Workers that take no new runs: they sleep, drain or have left, or are asked to.
    pub resting: BTreeSet<WorkerId>,
}

/// Job and its surroundings, as far as the decision about its due runs depends on them.
#[derive(Clone, Copy, Debug)]
pub struct JobStanding<'a> {
    /// The job whose runs are due.
    pub job: &'a Job,
    /// Whether its project is enabled.
    pub project_is_enabled: bool,
    /// Whether its template is enabled.
    pub template_is_enabled: bool,
    /// Whether its pool is enabled.
    pub pool_is_enabled: bool,
    /// Runs of the job that are claimed and not over.
    pub active: &'a [Run],
    /// Runs of the job that are due and not claimed, the earliest first.
    pub due: &'a [Run],
    /// Workers that runs can be given to.
    pub availability: &'a Availability,
}

/// Decision about a run that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DueVerdict {
    /// Announce the run: to this worker, or to the best one where it is `None`.
    Announce(RunId, Option<WorkerId>),
    /// Replace the run by one for each of these workers; the others are left out, with the reason.
    Spread(RunId, Vec<WorkerId>, Vec<(WorkerId, Absence)>),
    /// Let the run wait.
    Wait(RunId, WaitReason),
    /// Skip the run: it does not happen.
    Skip(RunId, WaitReason),
    /// Kill these runs; the due one waits until they are over.
    Replace(RunId, Vec<RunId>),
}

/// Reason why a worker is left out of a run on all workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Absence {
    /// The worker does not answer.
    #[error("does not answer")]
    Silent,
    /// The worker takes no new runs.
    #[error("sleeps, leaves or has left")]
    Rests,
}

/// Reason why a run that is due does not run now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// The job is disabled.
    JobDisabled,
    /// The template of the job is disabled.
    TemplateDisabled,
    /// The project of the job is disabled.
    ProjectDisabled,
    /// The pool of the job is disabled.
    PoolDisabled,
    /// Another schedule id of the job is active.
    Active(RunId),
    /// Another schedule id of the job is due and comes first.
    Behind(RunId),
    /// No worker of the pool is enabled.
    NoWorker,
    /// No worker of the pool answers.
    NobodyAnswers,
    /// No worker of the pool has a free slot.
    NoSeat,
    /// The worker of the run is disabled.
    WorkerDisabled(WorkerId),
    /// The worker of the run does not answer.
    WorkerSilent(WorkerId),
    /// The worker of the run takes no new runs.
    WorkerRests(WorkerId),
    /// The pool has no workers.
    EmptyPool,
    /// Each worker of the pool sleeps, leaves, or has too little of some resource to claim runs.
    NobodyTakes,
    /// The worker of the run has too little of some resource to claim runs.
    WorkerHolds(WorkerId),
    /// The run was announced to a worker, which had time to claim it.
    Unclaimed,
    /// Each enabled worker of the pool takes no new runs.
    EverybodyRests,
}

impl WaitReason {
    /// Returns the identifier for programs, such as in `runs --json`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::JobDisabled => "job_disabled",
            Self::TemplateDisabled => "template_disabled",
            Self::ProjectDisabled => "project_disabled",
            Self::PoolDisabled => "pool_disabled",
            Self::Active(_) => "active",
            Self::Behind(_) => "behind",
            Self::NoWorker => "no_worker_enabled",
            Self::EmptyPool => "empty_pool",
            Self::NobodyAnswers => "nobody_answers",
            Self::NobodyTakes => "nobody_takes",
            Self::NoSeat => "no_free_slot",
            Self::WorkerDisabled(_) => "worker_disabled",
            Self::WorkerSilent(_) => "worker_silent",
            Self::WorkerRests(_) => "worker_rests",
            Self::WorkerHolds(_) => "worker_holds",
            Self::EverybodyRests => "everybody_rests",
            Self::Unclaimed => "unclaimed",
        }
    }

    /// Puts the reason into words.
    #[must_use]
    pub fn sentence(self) -> Sentence {
        match self {
            Self::JobDisabled => "the job is disabled".into(),
            Self::TemplateDisabled => "the job's template is disabled".into(),
            Self::ProjectDisabled => "the job's project is disabled".into(),
            Self::PoolDisabled => "the job's worker pool is disabled".into(),
            Self::Active(run) => Sentence::from("run ").and(run).and(" of the job is not over yet"),
            Self::Behind(run) => Sentence::from("run ").and(run).and(" of the job comes first"),
            Self::NoWorker => "no worker of the pool is enabled".into(),
            Self::NobodyAnswers => "no worker of the pool that takes new runs answers".into(),
            Self::NoSeat => "no worker of the pool has a free slot".into(),
            Self::WorkerDisabled(worker) => format!("its worker {worker} is disabled").into(),
            Self::WorkerSilent(worker) => format!("its worker {worker} does not answer").into(),
            Self::WorkerRests(worker) => {
                format!("its worker {worker} takes no new runs: it sleeps, leaves or has left").into()
            }
            Self::EmptyPool => "no worker is in the pool".into(),
            Self::NobodyTakes => "no worker of the pool takes new runs for now".into(),
            Self::WorkerHolds(worker) => format!("its worker {worker} claims no runs for now").into(),
            Self::Unclaimed => "it was announced, and nobody has claimed it yet".into(),
            Self::EverybodyRests => "every worker of the pool sleeps, leaves or has left".into(),
        }
    }

    /// Returns which workers could end the wait.
    #[must_use]
    pub fn concerns(self) -> Concerns {
        match self {
            Self::JobDisabled | Self::TemplateDisabled | Self::ProjectDisabled | Self::PoolDisabled => Concerns::Nobody,
            Self::Active(_) | Self::Behind(_) | Self::EmptyPool => Concerns::Nobody,
            Self::WorkerDisabled(worker)
            | Self::WorkerSilent(worker)
            | Self::WorkerRests(worker)
            | Self::WorkerHolds(worker) => Concerns::Worker(worker),
            Self::NoWorker
            | Self::NobodyAnswers
            | Self::NobodyTakes
            | Self::NoSeat
            | Self::EverybodyRests
            | Self::Unclaimed => Concerns::Pool,
        }
    }
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sentence().fmt(f)
    }
}

/// Workers that a reason to wait is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concerns {
    /// No worker can end the wait.
    Nobody,
    /// One worker can end the wait.
    Worker(WorkerId),
    /// Any worker of the job's pool can end the wait.
    Pool,
}

/// Decides about every due run of a job, in their order.
#[must_use]
pub fn decide(standing: JobStanding<'_>) -> Vec<DueVerdict> {
    let mut first = None::<&Run>;
    let mut verdicts = Vec::new();
    for run in standing.due {
        let verdict = standing.one(run, first);
        // Later runs wait behind the first one that may run. A run that waits for its pinned worker or is skipped holds
        // up none.
        if matches!(verdict, DueVerdict::Announce(..) | DueVerdict::Spread(..)) {
            first.get_or_insert(run);
        }
        verdicts.push(verdict);
    }
    verdicts
}

/// Returns whether a worker may claim a run now: only a run that could have been announced to it.
#[must_use]
pub fn may_claim(standing: JobStanding<'_>, run: RunId, worker: WorkerId) -> bool {
    decide(standing).iter().any(|verdict| match verdict {
        DueVerdict::Announce(announced, to) => *announced == run && to.is_none_or(|to| to == worker),
        _ => false,
    })
}

impl JobStanding<'_> {
    fn one(&self, run: &Run, first: Option<&Run>) -> DueVerdict {
        // A run that was requested by hand runs although its job, template, project or pool is disabled.
        if let Some(reason) = self.disabled().filter(|_| !run.is_manual) {
            return DueVerdict::Wait(run.id, reason);
        }
        // Runs of one schedule id are for different workers, and execute side by side.
        let others = || self.active.iter().filter(|other| other.schedule_id != run.schedule_id);
        if let Some(other) = others().next() {
            match self.job.concurrency {
                Concurrency::Allow => {}
                Concurrency::Wait => return DueVerdict::Wait(run.id, WaitReason::Active(other.id)),
                // A run that was requested by hand is not skipped: the request would be lost.
                Concurrency::Skip if run.is_manual => return DueVerdict::Wait(run.id, WaitReason::Active(other.id)),
                Concurrency::Skip => return DueVerdict::Skip(run.id, WaitReason::Active(other.id)),
                Concurrency::Replace => return DueVerdict::Replace(run.id, others().map(|other| other.id).collect()),
            }
        }
        if let Some(first) = first.filter(|first| first.schedule_id != run.schedule_id)
            && self.job.concurrency != Concurrency::Allow
        {
            return DueVerdict::Wait(run.id, WaitReason::Behind(first.id));
        }
        match run.worker {
            Some(worker) => self.pinned(run, worker),
            None if self.job.run_on_all_workers => self.spread(run),
            None if self.enabled_workers().next().is_none() => DueVerdict::Wait(run.id, self.nobody()),
            None if self.enabled_workers().all(|worker| self.availability.resting.contains(&worker)) => {
                DueVerdict::Wait(run.id, WaitReason::EverybodyRests)
            }
            None => DueVerdict::Announce(run.id, None),
        }
    }

    fn disabled(&self) -> Option<WaitReason> {
        [
            (self.job.enqueue_is_enabled, WaitReason::JobDisabled),
            (self.template_is_enabled, WaitReason::TemplateDisabled),
            (self.project_is_enabled, WaitReason::ProjectDisabled),
            (self.pool_is_enabled, WaitReason::PoolDisabled),
        ]
        .into_iter()
        .find_map(|(enabled, reason)| (!enabled).then_some(reason))
    }

    /// Decides about a run that is pinned to a worker. While it waits for its worker, it holds up no other run.
    fn pinned(&self, run: &Run, worker: WorkerId) -> DueVerdict {
        if !self.availability.enabled.contains(&worker) && !run.is_manual {
            DueVerdict::Wait(run.id, WaitReason::WorkerDisabled(worker))
        } else if self.availability.resting.contains(&worker) {
            DueVerdict::Wait(run.id, WaitReason::WorkerRests(worker))
        } else if self.availability.silent.contains(&worker) {
            DueVerdict::Wait(run.id, WaitReason::WorkerSilent(worker))
        } else {
            DueVerdict::Announce(run.id, Some(worker))
        }
    }

    /// Decides about a run on all workers. A worker that is silent or takes no runs is left out: its run would hold up
    /// the jobs that come after this one.
    fn spread(&self, run: &Run) -> DueVerdict {
        let (mut there, mut absent) = (Vec::new(), Vec::new());
        for worker in self.enabled_workers() {
            if self.availability.resting.contains(&worker) {
                absent.push((worker, Absence::Rests));
            } else if self.availability.silent.contains(&worker) {
                absent.push((worker, Absence::Silent));
            } else {
                there.push(worker);
            }
        }
        let silent = absent.iter().any(|(_, why)| *why == Absence::Silent);
        match (there.is_empty(), absent.is_empty()) {
            (true, true) => DueVerdict::Wait(run.id, self.nobody()),
            (true, false) if silent => DueVerdict::Wait(run.id, WaitReason::NobodyAnswers),
            (true, false) => DueVerdict::Wait(run.id, WaitReason::EverybodyRests),
            (false, _) => DueVerdict::Spread(run.id, there, absent),
        }
    }

    /// Returns why the pool has no enabled worker.
    fn nobody(&self) -> WaitReason {
        let is_empty = self.availability.pools.get(&self.job.pool).is_none_or(Vec::is_empty);
        if is_empty { WaitReason::EmptyPool } else { WaitReason::NoWorker }
    }

    fn enabled_workers(&self) -> impl Iterator<Item = WorkerId> {
        let pool = self.availability.pools.get(&self.job.pool).into_iter().flatten();
        pool.copied().filter(|worker| self.availability.enabled.contains(worker))
    }
}
