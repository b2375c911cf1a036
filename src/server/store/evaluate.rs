//! Evaluation of jobs: decides about their due runs, records the decisions and plans the next runs, in one transaction.

use std::sync::Arc;

use super::claim_rule::{JobSituation, ask_for_situation, read_situation};
use super::db::{Reading, Transaction};
use super::fires::{record, record_wait};
use super::kill_records::insert_kill_request;
use super::planned_runs::{self, PendingRun};
use super::runs::{NewRun, insert};
use super::{Store, StoreError};
use crate::run::RunId;
use crate::server::domain::fire::{Fire, FireReason};
use crate::server::domain::model::{JobId, KillCause, PoolId, Run, Timestamp, WorkerId};
use crate::server::domain::schedule::due_decision::{Absence, Availability, DueVerdict, WaitReason, decide};
use crate::server::domain::wait_reasons::WaitReasons;
use crate::server::store::changes::Change;
use chrono_tz::Tz;

/// Number of jobs of which is read together.
const TOGETHER: usize = 8;

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
    /// Decides about the due runs of jobs, records which of them do not run, and plans the next runs. Returns the
    /// evaluations in the order of the jobs, `None` for a job that does not exist.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn evaluate_jobs(
        &self,
        jobs: Vec<JobId>,
        availability: &Arc<Availability>,
        zone: Tz,
        now: Timestamp,
    ) -> Result<Vec<Option<JobEvaluation>>, StoreError> {
        let availability = Arc::clone(availability);
        self.change(move |transaction| {
            let mut evaluations = Vec::with_capacity(jobs.len());
            for some in jobs.chunks(TOGETHER) {
                some.iter().for_each(|job| ask(transaction, *job, now));
                let read: Result<Vec<_>, _> = some.iter().map(|job| read(transaction, *job, now)).collect();
                let mut is_fresh = true;
                for (job, known) in some.iter().zip(read?) {
                    let known = if is_fresh { known } else { self::read(transaction, *job, now)? };
                    let Some(known) = known else {
                        evaluations.push(None);
                        continue;
                    };
                    let (evaluation, touched) = evaluate(transaction, known, &availability, zone, now)?;
                    evaluations.push(Some(evaluation));
                    is_fresh &= touched == Touched::Nothing;
                }
            }
            Ok(evaluations)
        })
        .await
    }

    /// Records that runs waited for reasons that only the dispatcher knows, such as a lack of free slots, and since when. A
    /// run that is gone or claimed by now is left out.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn record_waiting(&self, waits: Vec<(Run, WaitReasons, Timestamp)>) -> Result<(), StoreError> {
        self.change(move |transaction| {
            for (run, reasons, at) in &waits {
                let sql = "SELECT 1 FROM run WHERE id = ? AND enqueue_dts IS NULL AND return_dts IS NULL";
                if transaction.value::<i64>(sql, &[&run.id])?.is_some() {
                    record(transaction, &fire(run, FireReason::Waiting(reasons.clone()), *at))?;
                }
            }
            Ok(())
        })
        .await
    }
}

/// What is known of a job before it is evaluated.
struct KnownJob {
    situation: JobSituation,
    pending: Vec<PendingRun>,
}

/// What an evaluation changed, beside marks and its own job's plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Touched {
    Nothing,
    /// Runs: those of the job, or of jobs that follow it.
    Runs,
}

/// Asks ahead for what [`read`] reads.
fn ask(reading: &Reading<'_>, job: JobId, now: Timestamp) {
    ask_for_situation(reading, job, now);
    planned_runs::ask_for_pending(reading, job, now);
}

fn read(reading: &Reading<'_>, job: JobId, now: Timestamp) -> Result<Option<KnownJob>, StoreError> {
    ask(reading, job, now);
    let Some(situation) = read_situation(reading, job, now)? else { return Ok(None) };
    Ok(Some(KnownJob { situation, pending: planned_runs::pending(reading, job, now)? }))
}

fn evaluate(
    transaction: &mut Transaction<'_>,
    KnownJob { situation: known, pending }: KnownJob,
    availability: &Availability,
    zone: Tz,
    now: Timestamp,
) -> Result<(JobEvaluation, Touched), StoreError> {
    // Before the decisions: a run that is moved to a later time loses the mark again.
    note_due(transaction, &known.due, now)?;
    let touched = Touched::Nothing;
    let mut act = Act { transaction, known: &known, zone, now, offers: Vec::new(), waits: Vec::new(), touched };
    for verdict in decide(known.standing(availability)) {
        act.on(verdict)?;
    }
    // Runs that are announced now do not count as the next run, which is planned in the same change.
    let present: Vec<i64> = act.offers.iter().map(|offer| offer.run.schedule_id).collect();
    let Act { transaction, offers, waits, touched, .. } = act;
    let pending = match touched {
        Touched::Nothing => pending,
        Touched::Runs => planned_runs::pending(transaction, known.job.id, now)?,
    };
    planned_runs::plan_next_run(transaction, &known.job, pending, &present, zone, now)?;
    Ok((JobEvaluation { pool: known.job.pool, offers, waits }, touched))
}

/// Records that runs are due: they stay so if the clock is set back after this, and after a restart.
fn note_due(transaction: &mut Transaction<'_>, due: &[Run], now: Timestamp) -> Result<(), StoreError> {
    for run in due.iter().filter(|run| run.came_due.is_none()) {
        transaction.write("UPDATE run SET came_due = ? WHERE id = ?", &[&now, &run.id])?;
    }
    Ok(())
}

/// Carries out verdicts within the change, and collects offers and reasons.
struct Act<'a, 't> {
    transaction: &'a mut Transaction<'t>,
    known: &'a JobSituation,
    zone: Tz,
    now: Timestamp,
    offers: Vec<Offer>,
    waits: Vec<(RunId, WaitReason)>,
    touched: Touched,
}

impl<'a> Act<'a, '_> {
    fn on(&mut self, verdict: DueVerdict) -> Result<(), StoreError> {
        if !matches!(verdict, DueVerdict::Announce(..) | DueVerdict::Wait(..)) {
            self.touched = Touched::Runs;
        }
        match verdict {
            DueVerdict::Announce(run, to) => {
                let offers = self.find(run).map(|run| Offer { run: run.clone(), to });
                self.offers.extend(offers);
            }
            DueVerdict::Spread(run, there, absent) => self.spread(run, &there, &absent)?,
            DueVerdict::Wait(run, reason) => {
                self.waits.push((run, reason));
                let Some(run) = self.find(run) else { return Ok(()) };
                record_wait(self.transaction, &fire(run, FireReason::Waiting(reason.into()), self.now))?;
            }
            DueVerdict::Skip(run, reason) => {
                self.record(run, FireReason::Met(reason))?;
                let Some(run) = self.find(run) else { return Ok(()) };
                planned_runs::skip_run(self.transaction, &self.known.job, run, self.zone, self.now)?;
            }
            DueVerdict::Replace(run, others) => {
                self.waits.extend(others.first().map(|other| (run, WaitReason::Active(*other))));
                for other in others {
                    insert_kill_request(self.transaction, other, KillCause::Replaced, None, self.now)?;
                    self.record(run, FireReason::Replacing(other))?;
                }
            }
        }
        Ok(())
    }

    fn find(&self, run: RunId) -> Option<&'a Run> {
        self.known.due.iter().find(|due| due.id == run)
    }

    fn record(&mut self, run: RunId, reason: FireReason) -> Result<(), StoreError> {
        let Some(run) = self.find(run) else { return Ok(()) };
        record(self.transaction, &fire(run, reason, self.now))
    }

    /// Turns a run into one run for each worker, under the same schedule id. The run itself becomes that of the first
    /// worker, so that its id stays valid.
    fn spread(&mut self, run: RunId, there: &[WorkerId], absent: &[(WorkerId, Absence)]) -> Result<(), StoreError> {
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
            let made = insert(self.transaction, &new)?;
            // The asker, the parent's run and the shift of the schedule are the same for each of them.
            self.transaction.write(
                "UPDATE run SET (came_due, moved, asked_by, follows) =
                 (SELECT came_due, moved, asked_by, follows FROM run WHERE id = ?) WHERE id = ?",
                &[&run.id, &made.id],
            )?;
            self.offers.push(Offer { run: made, to: Some(*worker) });
        }
        // The plan is forgotten: it made a run for all workers, and a later change of the schedule must not move the
        // run of one alone.
        let sql = "UPDATE run SET worker = ?, pinned = 1, plan = NULL WHERE id = ?";
        self.transaction.write(sql, &[first, &run.id])?;
        self.transaction.publish_on_commit([Change::RunScheduled(run.id)]);
        self.offers.push(Offer { run: Run { worker: Some(*first), pinned: true, ..run.clone() }, to: Some(*first) });
        for (worker, why) in absent {
            let reason = FireReason::WorkerLeftOut(*worker, *why);
            record(self.transaction, &fire(run, reason, self.now))?;
        }
        Ok(())
    }
}

fn fire(run: &Run, reason: FireReason, at: Timestamp) -> Fire {
    Fire { job: run.job, due: run.schedule_dts, run: Some(run.id), reason, at }
}
