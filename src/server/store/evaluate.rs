//! Evaluation of a job: decides about its due runs, records the decisions and plans the next run, in one transaction.

use sqlx::sqlite::SqliteConnection;

use super::claim_rule::{JobSituation, read_situation};
use super::fires::record;
use super::kill_records::insert_kill_request;
use super::planned_runs;
use super::rows::micros;
use super::runs::{NewRun, insert};
use super::{Store, StoreError, Writing};
use crate::run::RunId;
use crate::server::domain::fire::{Fire, FireReason};
use crate::server::domain::model::{JobId, KillCause, PoolId, Run, Timestamp, WorkerId};
use crate::server::domain::schedule::due_decision::{Absence, Availability, DueVerdict, WaitReason, decide};
use crate::server::domain::wait_reasons::WaitReasons;
use crate::server::store::changes::Change;
use chrono_tz::Tz;

/// Outcome of an evaluation, for the dispatcher.
#[derive(Clone, Debug)]
pub struct JobEvaluation {
    /// Pool of the job.
    pub pool: PoolId,
    /// Runs that are to be announced.
    pub offers: Vec<Offer>,
    /// Due runs that wait, and their reasons.
    pub waits: Vec<(RunId, WaitReason)>,
}

/// A run that is to be announced.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Run to be announced.
    pub run: Run,
    /// Only worker that may claim it; `None` for any of the pool.
    pub to: Option<WorkerId>,
}

impl Store {
    /// Decides about the due runs of a job, records which of them do not run, and plans the next run. Returns `None` if
    /// there is no such job.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn evaluate_job(
        &self,
        job: JobId,
        availability: &Availability,
        zone: Tz,
        now: Timestamp,
    ) -> Result<Option<JobEvaluation>, StoreError> {
        let mut writing = self.write().await?;
        let Some(known) = read_situation(&mut writing, job, now).await? else { return Ok(None) };
        // Before the decisions: a run that is moved to a later time loses the mark again.
        note_due(&mut writing, &known.due, now).await?;
        let mut act = Act { writing: &mut writing, known: &known, zone, now, offers: Vec::new(), waits: Vec::new() };
        for verdict in decide(known.standing(availability)) {
            act.on(verdict).await?;
        }
        // Runs that are announced now do not count as the next run, which is planned in the same change.
        let present: Vec<i64> = act.offers.iter().map(|offer| offer.run.schedule_id).collect();
        let Act { offers, waits, .. } = act;
        planned_runs::plan_next_run(&mut writing, &known.job, &present, zone, now).await?;
        writing.commit().await?;
        Ok(Some(JobEvaluation { pool: known.job.pool, offers, waits }))
    }

    /// Records that a run waits for a reason that only the dispatcher knows, such as a lack of free slots.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn record_waiting(
        &self,
        run: &Run,
        reasons: impl Into<WaitReasons>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut writing = self.write().await?;
        record(&mut writing, &fire(run, FireReason::Waiting(reasons.into()), now)).await?;
        writing.commit().await?;
        Ok(())
    }
}

/// Records that runs are due: they stay so if the clock is set back after this, and after a restart.
async fn note_due(connection: &mut SqliteConnection, due: &[Run], now: Timestamp) -> Result<(), StoreError> {
    for run in due.iter().filter(|run| run.came_due.is_none()) {
        let query = sqlx::query("UPDATE run SET came_due = ? WHERE id = ?").bind(micros(now)).bind(run.id.get());
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Carries out verdicts within the change, and collects offers and reasons.
struct Act<'a> {
    writing: &'a mut Writing,
    known: &'a JobSituation,
    zone: Tz,
    now: Timestamp,
    offers: Vec<Offer>,
    waits: Vec<(RunId, WaitReason)>,
}

impl<'a> Act<'a> {
    async fn on(&mut self, verdict: DueVerdict) -> Result<(), StoreError> {
        match verdict {
            DueVerdict::Announce(run, to) => {
                let offers = self.find(run).map(|run| Offer { run: run.clone(), to });
                self.offers.extend(offers);
            }
            DueVerdict::Spread(run, there, absent) => self.spread(run, &there, &absent).await?,
            DueVerdict::Wait(run, reason) => {
                self.waits.push((run, reason));
                self.record(run, FireReason::Waiting(reason.into())).await?;
            }
            DueVerdict::Skip(run, reason) => {
                self.record(run, FireReason::Met(reason)).await?;
                let Some(run) = self.find(run) else { return Ok(()) };
                planned_runs::skip_run(self.writing, &self.known.job, run, self.zone, self.now).await?;
            }
            DueVerdict::Replace(run, others) => {
                self.waits.extend(others.first().map(|other| (run, WaitReason::Active(*other))));
                for other in others {
                    insert_kill_request(self.writing, other, KillCause::Replaced, None, self.now).await?;
                    self.record(run, FireReason::Replacing(other)).await?;
                }
            }
        }
        Ok(())
    }

    fn find(&self, run: RunId) -> Option<&'a Run> {
        self.known.due.iter().find(|due| due.id == run)
    }

    async fn record(&mut self, run: RunId, reason: FireReason) -> Result<(), StoreError> {
        let Some(run) = self.find(run) else { return Ok(()) };
        record(self.writing, &fire(run, reason, self.now)).await
    }

    /// Turns a run into one run for each worker, under the same schedule id. The run itself becomes that of the first
    /// worker, so that its id stays valid.
    async fn spread(
        &mut self,
        run: RunId,
        there: &[WorkerId],
        absent: &[(WorkerId, Absence)],
    ) -> Result<(), StoreError> {
        let Some(run) = self.find(run) else { return Ok(()) };
        let Some((first, others)) = there.split_first() else { return Ok(()) };
        for worker in others {
            let new = NewRun {
                pinned: Some(*worker),
                schedule_id: Some(run.schedule_id),
                is_manual: run.is_manual,
                schedule_children: run.schedule_children,
                retry_of: run.retry_of,
                ..NewRun::due(run.job, run.schedule_dts)
            };
            let made = insert(self.writing, &new).await?;
            // The asker, the parent's run and the shift of the schedule are the same for each of them.
            let query = sqlx::query(
                "UPDATE run SET (came_due, moved, asked_by, follows) =
                 (SELECT came_due, moved, asked_by, follows FROM run WHERE id = ?) WHERE id = ?",
            );
            query.bind(run.id.get()).bind(made.id.get()).execute(&mut **self.writing).await?;
            self.offers.push(Offer { run: made, to: Some(*worker) });
        }
        // The plan is forgotten: it made a run for all workers, and a later change of the schedule must not move the
        // run of one alone.
        let query = sqlx::query("UPDATE run SET worker = ?, pinned = 1, plan = NULL WHERE id = ?");
        query.bind(first.get()).bind(run.id.get()).execute(&mut **self.writing).await?;
        self.writing.publish_on_commit([Change::RunScheduled(run.id)]);
        self.offers.push(Offer { run: Run { worker: Some(*first), pinned: true, ..run.clone() }, to: Some(*first) });
        for (worker, why) in absent {
            let reason = FireReason::WorkerLeftOut(*worker, *why);
            record(self.writing, &fire(run, reason, self.now)).await?;
        }
        Ok(())
    }
}

fn fire(run: &Run, reason: FireReason, at: Timestamp) -> Fire {
    Fire { job: run.job, due: run.schedule_dts, run: Some(run.id), reason, at }
}
