//! Which runs that are due may run now, on whom, and why not.
//!
//! One schedule id of a job at a time, the earliest first, unless the job says otherwise; whoever was disabled
//! gets nothing, except what somebody asked for.

use std::collections::{BTreeMap, BTreeSet};

use crate::run::RunId;
use crate::server::domain::model::{Concurrency, Job, PoolId, Run, WorkerId};

#[cfg(test)]
mod tests;

/// Who is there to work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Availability {
    /// Who is in which pool.
    pub pools: BTreeMap<PoolId, Vec<WorkerId>>,
    /// Who is given new runs.
    pub enabled: BTreeSet<WorkerId>,
    /// Who has not answered for too long.
    pub silent: BTreeSet<WorkerId>,
    /// Who takes no new runs: it sleeps, or is about to, or to leave.
    pub resting: BTreeSet<WorkerId>,
}

/// What is known of a job when its runs are looked at.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools)] // one flag each for what can be disabled
pub struct JobStanding<'a> {
    /// The job.
    pub job: &'a Job,
    /// Whether its project is enabled.
    pub project_is_enabled: bool,
    /// Whether its template is.
    pub template_is_enabled: bool,
    /// Whether its pool is.
    pub pool_is_enabled: bool,
    /// Its runs that are claimed and not over.
    pub active: &'a [Run],
    /// Its runs that are due and not claimed, the earliest first.
    pub due: &'a [Run],
    /// Who is there to work.
    pub availability: &'a Availability,
}

/// What is decided about a run that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DueVerdict {
    /// It is announced: to this worker, or to whoever is best.
    Announce(RunId, Option<WorkerId>),
    /// It becomes a run of each of these workers; the others were left out.
    Spread(RunId, Vec<WorkerId>, Vec<(WorkerId, Absence)>),
    /// It waits.
    Wait(RunId, WaitReason),
    /// It does not happen.
    Skip(RunId, WaitReason),
    /// It waits until these are killed.
    Replace(RunId, Vec<RunId>),
}

/// Why a worker is left out of a run for everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Absence {
    /// It does not answer.
    #[error("does not answer")]
    Silent,
    /// It takes no new runs.
    #[error("sleeps, leaves or has left")]
    Rests,
}

/// Why a run does not run now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WaitReason {
    /// Its job is disabled.
    #[error("the job is disabled")]
    JobDisabled,
    /// Its template is.
    #[error("the job's template is disabled")]
    TemplateDisabled,
    /// Its project is.
    #[error("the job's project is disabled")]
    ProjectDisabled,
    /// Its pool is.
    #[error("the job's worker pool is disabled")]
    PoolDisabled,
    /// Another schedule id of the job is active.
    #[error("run {0} of the job is not over yet")]
    Active(RunId),
    /// Another schedule id of the job is due and comes first.
    #[error("run {0} of the job comes first")]
    Behind(RunId),
    /// Nobody is enabled in the pool.
    #[error("no worker of the pool is enabled")]
    NoWorker,
    /// Nobody in the pool answers.
    #[error("no worker of the pool answers")]
    NobodyAnswers,
    /// Everybody in the pool has enough to do.
    #[error("no worker of the pool has a free seat")]
    NoSeat,
    /// Its worker is disabled.
    #[error("its worker {0} is disabled")]
    WorkerDisabled(WorkerId),
    /// Its worker does not answer.
    #[error("its worker {0} does not answer")]
    WorkerSilent(WorkerId),
    /// Its worker takes no new runs.
    #[error("its worker {0} takes no new runs: it sleeps, leaves or has left")]
    WorkerRests(WorkerId),
    /// Nobody is in the pool.
    #[error("no worker is in the pool")]
    EmptyPool,
    /// Everybody who is there sleeps, leaves or has too little to claim runs.
    #[error("no worker of the pool takes new runs for now")]
    NobodyTakes,
    /// Its worker has too little to claim runs.
    #[error("its worker {0} claims no runs for now")]
    WorkerHolds(WorkerId),
    /// Somebody was told of it, and had time to claim it.
    #[error("it was announced, and nobody has claimed it yet")]
    Unclaimed,
    /// Everybody who is enabled in the pool takes no new runs.
    #[error("every worker of the pool sleeps, leaves or has left")]
    EverybodyRests,
}

impl WaitReason {
    /// The word for it, for programs.
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

    /// Which workers could end the wait, if any.
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

/// Which workers a reason concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concerns {
    /// None.
    Nobody,
    /// This one.
    Worker(WorkerId),
    /// Those of the pool.
    Pool,
}

/// Decides about every run that is due.
#[must_use]
pub fn decide(standing: JobStanding<'_>) -> Vec<DueVerdict> {
    let mut first = None::<&Run>;
    let mut verdicts = Vec::new();
    for run in standing.due {
        let verdict = standing.one(run, first);
        if matches!(verdict, DueVerdict::Announce(..) | DueVerdict::Spread(..)) {
            first.get_or_insert(run);
        }
        verdicts.push(verdict);
    }
    verdicts
}

/// Whether a worker may claim a run now: only what it could have been told.
#[must_use]
pub fn may_claim(standing: JobStanding<'_>, run: RunId, worker: WorkerId) -> bool {
    decide(standing).iter().any(|verdict| match verdict {
        DueVerdict::Announce(announced, to) => *announced == run && to.is_none_or(|to| to == worker),
        _ => false,
    })
}

impl JobStanding<'_> {
    fn one(&self, run: &Run, first: Option<&Run>) -> DueVerdict {
        if let Some(reason) = self.disabled().filter(|_| !run.is_manual) {
            return DueVerdict::Wait(run.id, reason);
        }
        let others = || self.active.iter().filter(|other| other.schedule_id != run.schedule_id);
        if let Some(other) = others().next() {
            match self.job.concurrency {
                Concurrency::Allow => {}
                Concurrency::Wait => return DueVerdict::Wait(run.id, WaitReason::Active(other.id)),
                // What somebody asked for is not taken away.
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

    /// A run that waits for its worker stands in nobody's way.
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

    /// A run for everybody. Who is silent now, or rests, would hold up the jobs that come after it.
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

    /// Why nobody is enabled in the pool.
    fn nobody(&self) -> WaitReason {
        let is_empty = self.availability.pools.get(&self.job.pool).is_none_or(Vec::is_empty);
        if is_empty { WaitReason::EmptyPool } else { WaitReason::NoWorker }
    }

    fn enabled_workers(&self) -> impl Iterator<Item = WorkerId> {
        let pool = self.availability.pools.get(&self.job.pool).into_iter().flatten();
        pool.copied().filter(|worker| self.availability.enabled.contains(worker))
    }
}
