//! Facts for a pass of the dispatcher: what has come due, and what became of the runs of which changes told. One read for
//! all of them.

use std::collections::BTreeMap;

use super::db::Reading;
use super::workers::{self, Claim, StartedRun};
use super::{Store, StoreError};
use crate::run::{KillId, RunId};
use crate::server::domain::model::{JobId, Timestamp, WorkerId};

/// Number of runs about which is asked together.
const TOGETHER: usize = 24;
const NEXT_DUE: &str = "SELECT min(schedule_dts) FROM run
    WHERE enqueue_dts IS NULL AND return_dts IS NULL AND schedule_dts > ?";
const NEWEST: &str = "SELECT max(id) FROM run";
const SLOTS_TAKEN: &str = "SELECT worker, count(*) FROM run WHERE return_dts IS NULL AND enqueue_dts IS NOT NULL
    AND worker IS NOT NULL GROUP BY worker";

/// What a pass asks for.
#[derive(Clone, Debug)]
pub struct PassQuestions {
    /// Runs that are due are gathered if they came due later than this.
    pub after: Timestamp,
    /// Time of the pass.
    pub now: Timestamp,
    /// Runs that were claimed.
    pub claimed: Vec<RunId>,
    /// Runs whose scripts were started.
    pub started: Vec<RunId>,
    /// Runs that were changed in any way.
    pub changed: Vec<RunId>,
}

/// Answers, all of one moment.
#[derive(Clone, Debug)]
pub struct PassFacts {
    /// Jobs with unclaimed runs that came due, and the jobs of changed runs that have a due run, or lack their next run.
    pub jobs: Vec<JobId>,
    /// Jobs of changed runs about which there is nothing to decide.
    pub settled: Vec<JobId>,
    /// Earliest due time of an unclaimed run that is later than the time of the pass.
    pub next_due: Option<Timestamp>,
    /// Run that was made last.
    pub newest: Option<RunId>,
    /// Latest claims of the claimed runs, even of those that are over.
    pub claims: Vec<Claim>,
    /// Kill requests for the claimed runs that no worker has taken.
    pub open_kills: Vec<KillId>,
    /// Started runs that are not over.
    pub started: Vec<StartedRun>,
    /// Number of runs that each worker has claimed and that are not over; workers without any are left out.
    pub slots_taken: BTreeMap<WorkerId, u32>,
}

impl Store {
    /// Reads the facts for a pass of the dispatcher.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn pass_facts(&self, questions: &PassQuestions) -> Result<PassFacts, StoreError> {
        let questions = questions.clone();
        self.read_short(move |reading| read(reading, &questions)).await
    }
}

fn read(reading: &Reading<'_>, questions: &PassQuestions) -> Result<PassFacts, StoreError> {
    let PassQuestions { after, now, claimed, started, changed } = questions;
    reading.ask_ahead(NEXT_DUE, &[now]);
    reading.ask_ahead(NEWEST, &[]);
    reading.ask_ahead(SLOTS_TAKEN, &[]);
    let mut facts = PassFacts {
        jobs: reading.values(
            "SELECT DISTINCT job FROM run WHERE enqueue_dts IS NULL AND return_dts IS NULL
             AND schedule_dts > ? AND schedule_dts <= ?",
            &[after, now],
        )?,
        next_due: reading.value(NEXT_DUE, &[now])?.flatten(),
        settled: Vec::new(),
        newest: reading.value(NEWEST, &[])?.flatten(),
        claims: Vec::new(),
        open_kills: Vec::new(),
        started: Vec::new(),
        slots_taken: slots_taken(reading)?,
    };
    for some in claimed.chunks(TOGETHER) {
        some.iter().for_each(|run| workers::ask_for_claim(reading, *run));
        for run in some {
            facts.claims.extend(workers::claim_of(reading, *run)?);
            facts.open_kills.extend(workers::open_kills_of(reading, *run)?);
        }
    }
    for some in started.chunks(TOGETHER) {
        some.iter().for_each(|run| workers::ask_for_start(reading, *run));
        for run in some {
            facts.started.extend(workers::started_run(reading, *run)?);
        }
    }
    for some in changed.chunks(TOGETHER) {
        some.iter().for_each(|run| reading.ask_ahead(CONCERNED, &[run, now]));
        for run in some {
            match job_concerned(reading, *run, *now)? {
                Some((job, true)) => facts.jobs.push(job),
                Some((job, false)) => facts.settled.push(job),
                None => {}
            }
        }
    }
    Ok(facts)
}

fn slots_taken(reading: &Reading<'_>) -> Result<BTreeMap<WorkerId, u32>, StoreError> {
    let found = reading.rows(SLOTS_TAKEN, &[], |row| Ok::<_, StoreError>((row.at(0)?, row.at(1)?)))?;
    Ok(found.into_iter().collect())
}

/// Returns the job of a changed run, and whether there is something to decide about it: a run that is due, one that takes
/// the place of the next run, or a next run that is missing. `None` if the run was planned by the schedule for a later time, or is gone.
fn job_concerned(reading: &Reading<'_>, run: RunId, now: Timestamp) -> Result<Option<(JobId, bool)>, StoreError> {
    reading.row(CONCERNED, &[&run, &now], |row| Ok((row.at(0)?, row.at(1)?)))
}

/// Statement of [`job_concerned`]: the job of a changed run, and whether there is something to decide.
const CONCERNED: &str = "SELECT job.id,
             EXISTS (SELECT 1 FROM run AS due WHERE due.job = job.id AND due.enqueue_dts IS NULL
                 AND due.return_dts IS NULL AND due.schedule_dts <= ?2)
             OR EXISTS (SELECT 1 FROM run AS due WHERE due.job = job.id AND due.enqueue_dts IS NULL
                 AND due.return_dts IS NULL AND due.came_due IS NOT NULL)
             OR (run.plan IS NULL AND run.enqueue_dts IS NULL AND run.return_dts IS NULL)
             OR ((job.cron IS NOT NULL OR coalesce(job.reschedule_interval, 0) > 0)
                 AND NOT EXISTS (SELECT 1 FROM run AS next INDEXED BY run_open WHERE next.job = job.id AND next.enqueue_dts IS NULL
                     AND next.return_dts IS NULL AND next.plan IS NOT NULL))
         FROM run JOIN job ON job.id = run.job WHERE run.id = ?1
         AND (run.plan IS NULL OR run.came_due IS NOT NULL OR run.schedule_dts <= ?2 OR run.return_dts IS NOT NULL)";
