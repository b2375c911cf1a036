//! Claim rule: reads the situation of a job, and asks `domain::schedule::due_decision` whether a worker may claim one of
//! its runs. `run_changes` writes the claim.
//!
//! The evaluation of a job and the change of a run apply the same rule, so it stands below both.

use super::db::{Argument, Reading};
use super::entities::{job_columns, job_row, with_excludes};
use super::{StoreError, rows};
use crate::run::RunId;
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

/// Statements that read a situation, by the job or by one of its runs.
struct SituationSql {
    /// The job, and whether runs of its project, template and pool are enqueued.
    job: &'static str,
    active: &'static str,
    due: &'static str,
}

// Without the names of the indexes, SQLite follows the order of the ids through the whole history of the job.
macro_rules! situation_sql {
    ($job:literal) => {
        SituationSql {
            job: concat!(
                "SELECT ",
                job_columns!(),
                ", project.enqueue_is_enabled AS project_is_enabled, job_template.enqueue_is_enabled AS template_is_enabled,
                 worker_pool.enqueue_is_enabled AS pool_is_enabled
                 FROM job JOIN job_template ON job_template.id = job.job_template
                 JOIN project ON project.id = job_template.project
                 JOIN worker_pool ON worker_pool.id = job.worker_pool WHERE job.id = ",
                $job
            ),
            active: concat!(
                "SELECT * FROM run INDEXED BY run_active WHERE job = ",
                $job,
                " AND return_dts IS NULL AND enqueue_dts IS NOT NULL ORDER BY id LIMIT ?2"
            ),
            due: concat!(
                "SELECT * FROM run INDEXED BY run_open WHERE job = ",
                $job,
                " AND enqueue_dts IS NULL AND return_dts IS NULL AND (came_due IS NOT NULL OR schedule_dts <= ?2)
                 ORDER BY schedule_dts, schedule_id, id LIMIT ?3"
            ),
        }
    };
}

const OF_JOB: SituationSql = situation_sql!("?1");
const OF_RUN: SituationSql = situation_sql!("(SELECT job FROM run WHERE id = ?1)");
/// A worker, and whether it is in the pool of a run's job.
const CLAIMANT: &str = "SELECT worker.*, EXISTS (SELECT 1 FROM pool_worker WHERE worker = worker.id
        AND pool = (SELECT worker_pool FROM job WHERE id = (SELECT job FROM run WHERE id = ?))) AS is_in_pool
    FROM worker WHERE id = ?";

/// Reads the situation of a job.
pub(super) fn read_situation(
    reading: &Reading<'_>,
    id: JobId,
    now: Timestamp,
) -> Result<Option<JobSituation>, StoreError> {
    read(reading, &OF_JOB, &id, now)
}

/// Asks ahead for what [`read_situation`] reads.
pub(super) fn ask_for_situation(reading: &Reading<'_>, id: JobId, now: Timestamp) {
    ask(reading, &OF_JOB, &id, now);
}

fn ask(reading: &Reading<'_>, sql: &SituationSql, key: &dyn Argument, now: Timestamp) {
    reading.ask_ahead(sql.job, &[key]);
    reading.ask_ahead(sql.active, &[key, &BATCH]);
    reading.ask_ahead(sql.due, &[key, &now, &BATCH]);
}

fn read(
    reading: &Reading<'_>,
    sql: &SituationSql,
    key: &dyn Argument,
    now: Timestamp,
) -> Result<Option<JobSituation>, StoreError> {
    ask(reading, sql, key, now);
    let found = reading.row(sql.job, &[key], |row| {
        let enabled = [row.get("project_is_enabled")?, row.get("template_is_enabled")?, row.get("pool_is_enabled")?];
        Ok::<_, StoreError>((job_row(row)?, enabled))
    })?;
    let Some((job, [project_is_enabled, template_is_enabled, pool_is_enabled])) = found else { return Ok(None) };
    let active = reading.rows(sql.active, &[key, &BATCH], rows::run)?;
    let due = reading.rows(sql.due, &[key, &now, &BATCH], rows::run)?;
    let job = with_excludes(reading, job)?;
    Ok(Some(JobSituation { job, project_is_enabled, template_is_enabled, pool_is_enabled, active, due }))
}

/// Asks ahead for what [`claim_rule`] reads, before the run itself is known.
pub(super) fn ask_for_claim_rule(reading: &Reading<'_>, run: RunId, worker: WorkerId, now: Timestamp) {
    ask(reading, &OF_RUN, &run, now);
    reading.ask_ahead(CLAIMANT, &[&run, &worker]);
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
    ask_for_claim_rule(reading, run.id, worker, now);
    let Some(mut known) = read(reading, &OF_RUN, &run.id, now)? else { return Ok(ClaimRule::Forbids) };
    // A due run that is meant for another worker, which may be away for long, blocks nobody until it is claimed.
    known.due.retain(|due| due.worker.is_none_or(|pinned| pinned == worker));
    // More runs may be due than are read at once.
    if !known.due.iter().any(|due| due.id == run.id) {
        known.due.push(run.clone());
    }
    let found = reading
        .row(CLAIMANT, &[&run.id, &worker], |row| Ok::<_, StoreError>((rows::worker(row)?, row.get("is_in_pool")?)))?;
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
