//! Claim rule: reads the situation of a job, and asks `domain::schedule::due_decision` whether a worker may claim one of
//! its runs. `run_changes` writes the claim.
//!
//! The evaluation of a job and the change of a run apply the same rule, so it stands below both.

use super::db::Reading;
use super::entities::find_job;
use super::{StoreError, rows};
use crate::server::domain::life::ClaimRule;
use crate::server::domain::model::{Job, JobId, Run, Timestamp, WorkerId};
use crate::server::domain::schedule::due_decision::{Availability, JobStanding, may_claim};
use crate::server::domain::worker_state::takes_runs;

/// Due runs, and active ones, of a job that are evaluated together.
const BATCH: u32 = 200;

/// State of a job within a change.
pub(super) struct JobSituation {
    pub(super) job: Job,
    project_is_enabled: bool,
    template_is_enabled: bool,
    pool_is_enabled: bool,
    active: Vec<Run>,
    pub(super) due: Vec<Run>,
}

impl JobSituation {
    pub(super) fn standing<'a>(&'a self, availability: &'a Availability) -> JobStanding<'a> {
        JobStanding {
            job: &self.job,
            project_is_enabled: self.project_is_enabled,
            template_is_enabled: self.template_is_enabled,
            pool_is_enabled: self.pool_is_enabled,
            active: &self.active,
            due: &self.due,
            availability,
        }
    }
}

/// Whether runs of a job's project, template and pool are enqueued.
const ENABLED: &str =
    "SELECT project.enqueue_is_enabled, job_template.enqueue_is_enabled, worker_pool.enqueue_is_enabled
    FROM job JOIN job_template ON job_template.id = job.job_template JOIN project ON project.id = job_template.project
    JOIN worker_pool ON worker_pool.id = job.worker_pool WHERE job.id = ?";
// Without the names of the indexes, SQLite follows the order of the ids through the whole history of the job.
const ACTIVE: &str = "SELECT * FROM run INDEXED BY run_active
    WHERE job = ? AND return_dts IS NULL AND enqueue_dts IS NOT NULL ORDER BY id LIMIT ?";
const DUE: &str = "SELECT * FROM run INDEXED BY run_open WHERE job = ? AND enqueue_dts IS NULL AND return_dts IS NULL
    AND (came_due IS NOT NULL OR schedule_dts <= ?)
    ORDER BY schedule_dts, schedule_id, id LIMIT ?";
/// A worker, and whether it is in the pool of a job.
const CLAIMANT: &str = "SELECT worker.*, EXISTS (SELECT 1 FROM pool_worker
        WHERE pool = (SELECT worker_pool FROM job WHERE id = ?) AND worker = worker.id) AS is_in_pool
    FROM worker WHERE id = ?";

pub(super) fn read_situation(
    reading: &Reading<'_>,
    id: JobId,
    now: Timestamp,
) -> Result<Option<JobSituation>, StoreError> {
    reading.ask_ahead(ENABLED, &[&id]);
    reading.ask_ahead(ACTIVE, &[&id, &BATCH]);
    reading.ask_ahead(DUE, &[&id, &now, &BATCH]);
    let Some(job) = find_job(reading, id)? else { return Ok(None) };
    let (project_is_enabled, template_is_enabled, pool_is_enabled) =
        reading.one(ENABLED, &[&id], |row| Ok::<_, StoreError>((row.at(0)?, row.at(1)?, row.at(2)?)))?;
    let active = reading.rows(ACTIVE, &[&id, &BATCH], rows::run)?;
    let due = reading.rows(DUE, &[&id, &now, &BATCH], rows::run)?;
    Ok(Some(JobSituation { job, project_is_enabled, template_is_enabled, pool_is_enabled, active, due }))
}

/// Returns what the claim rule says to a worker that claims an unclaimed run now.
pub(super) fn claim_rule(
    reading: &Reading<'_>,
    run: &Run,
    worker: WorkerId,
    now: Timestamp,
) -> Result<ClaimRule, StoreError> {
    if !run.is_due(now) {
        return Ok(ClaimRule::Forbids);
    }
    reading.ask_ahead(CLAIMANT, &[&run.job, &worker]);
    let Some(mut known) = read_situation(reading, run.job, now)? else { return Ok(ClaimRule::Forbids) };
    // A due run that is meant for another worker, which may be away for long, blocks nobody until it is claimed.
    known.due.retain(|due| due.worker.is_none_or(|pinned| pinned == worker));
    // More runs may be due than are read at once.
    if !known.due.iter().any(|due| due.id == run.id) {
        known.due.push(run.clone());
    }
    let found = reading
        .row(CLAIMANT, &[&run.job, &worker], |row| Ok::<_, StoreError>((rows::worker(row)?, row.get("is_in_pool")?)))?;
    let Some((claimant, is_in_pool)) = found else { return Ok(ClaimRule::Forbids) };
    // The claimant is judged alone: whether others of the pool could take the run is a matter of announcing it. It
    // answers, so it is not silent.
    let mut availability = Availability::default();
    availability.enabled.extend(claimant.enqueue_is_enabled.then_some(worker));
    availability.resting.extend((!takes_runs(&claimant)).then_some(worker));
    availability.pools.insert(known.job.pool, if is_in_pool { vec![worker] } else { Vec::new() });
    let may_claim = may_claim(known.standing(&availability), run.id, worker);
    Ok(if may_claim { ClaimRule::Allows } else { ClaimRule::Forbids })
}
