//! Leftover source: takes up what the last process of this worker left behind – runs that continue, have ended or were
//! lost, kill requests that were not finished – and runs of this worker that only the server knows of.
//!
//! The path is the same after a kill, an upgrade and a reboot of the machine.

mod survivor;

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::execution::{Execution, ExecutionRemains, recorded_start};
use crate::intake::{Intake, OrderReceipt};
use crate::report::{KillEntry, LogSource, OutboxEntry, Reporter, StoredEnd};
use crate::run::claim::RunSight;
use crate::run::{Attempt, IncompleteRuns, Order, Outcome, RunId, chain_of};
use crate::upstream::job_runner::{Incomplete, InstanceOrigin, RestClient, SeenRunState};
use crate::upstream::{Backoff, CallFailure, Upstream};
use crate::wire::steps;
use survivor::{OutboxNote, Recorded, Survivor};

/// Longest time that a start waits for leftovers to be taken up. The rest continues in the background: a record that
/// cannot be read, a process that cannot be killed.
const AT_ONCE: Duration = Duration::from_secs(2);
/// Most tries to reset a run.
const RESETS: u32 = 12;

/// Handles of the layers that leftovers are passed to, and the choices that decide about them.
#[derive(Clone)]
pub struct LeftoverSource {
    /// Intake that takes runs up.
    pub intake: Intake,
    /// Reporter that delivers results.
    pub reporter: Reporter,
    /// Execution that finds what is left of the runs.
    pub execution: Execution,
    /// Server that is asked about its incomplete runs.
    pub upstream: Upstream,
    /// Treatment of runs that only the server knows of.
    pub policy: IncompleteRuns,
    /// Origin of the instance id: only an earlier start of this state directory can have begun runs.
    pub origin: InstanceOrigin,
}

/// Leftovers of one run.
#[derive(Default)]
struct RunLeftovers {
    entry: Option<OutboxEntry>,
    attempts: Vec<Attempt>,
    kills: Vec<KillEntry>,
}

impl LeftoverSource {
    /// Takes up the leftovers in the outbox and the state directory. Called before any order is followed: afterwards
    /// every left run is known to the intake, and a run that cannot be taken up yet delays no other.
    pub async fn take_up(&self, runs: Vec<OutboxEntry>, kills: Vec<KillEntry>) {
        // Before any connection is made: a shim takes the last process that connects for its worker.
        self.execution.clear_away_dead();
        let mut left: BTreeMap<RunId, RunLeftovers> = BTreeMap::new();
        for (run, attempt) in self.execution.logs().all() {
            // The outbox may have lost the row, and with it the number.
            self.reporter.outbox().mint_above(run);
            left.entry(run).or_default().attempts.push(attempt);
        }
        for entry in runs {
            let run = entry.run;
            left.entry(run).or_default().entry = Some(entry);
        }
        for kill in kills {
            // A kill request for a run without leftovers, or for an unknown run, has no run to wait for.
            match kill.run.and_then(|run| left.get_mut(&run)) {
                Some(left) => left.kills.push(kill),
                None => self.intake.resume_kill(kill).await,
            }
        }
        // All of them are known before the first is taken up, so that no order executes one of them again.
        for run in left.keys() {
            self.intake.set_aside(*run).await;
        }
        let mut taking_up: JoinSet<()> =
            left.into_iter().map(|(run, left)| self.clone().take_up_run(run, left)).collect();
        let all = async { while taking_up.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(AT_ONCE, all).await;
        taking_up.detach_all();
    }

    async fn take_up_run(self, run: RunId, left: RunLeftovers) {
        let RunLeftovers { entry, attempts, kills } = left;
        for attempt in &attempts {
            // A record that cannot be read may be that of a living shim, so nothing is decided before.
            self.execution.readable(run, *attempt).await;
        }
        let accounts = |entry: &OutboxEntry| attempts.iter().all(|attempt| *attempt == entry.attempt);
        let survivor = match entry {
            Some(entry) if accounts(&entry) => Some(entry),
            Some(entry) => self.survivor(run, Some(&entry), attempts).await.or(Some(entry)),
            None => {
                let survivor = self.survivor(run, None, attempts).await;
                if let Some(entry) = &survivor {
                    tracing::warn!(
                        target: "job_runner_worker.cleanup",
                        %run,
                        execution = entry.attempt.0,
                        "run is not in the outbox; taken up from its record"
                    );
                }
                survivor
            }
        };
        if let Some(entry) = survivor {
            self.take_up_entry(entry).await;
        }
        self.intake.release(run).await;
        for kill in kills {
            self.intake.resume_kill(kill).await;
        }
    }

    async fn take_up_entry(&self, entry: OutboxEntry) {
        if entry.end.is_some() {
            tracing::info!(
                target: "job_runner_worker.cleanup",
                run = %entry.run,
                attempt = entry.attempt_number(),
                execution = entry.attempt.0,
                "delivery of a finished run resumes"
            );
            self.reporter.deliver(entry);
        } else {
            self.intake.take_up(entry).await;
        }
    }

    /// Returns the entry that counts where there are files of attempts that the outbox does not account for. Removes
    /// the other attempts, and writes the entry to the outbox.
    async fn survivor(&self, run: RunId, entry: Option<&OutboxEntry>, attempts: Vec<Attempt>) -> Option<OutboxEntry> {
        let mut records = BTreeMap::new();
        for attempt in attempts {
            let token = entry.filter(|entry| entry.attempt == attempt).map_or("", |entry| &entry.token);
            let found = match self.execution.remains(run, attempt, token).await {
                ExecutionRemains::Living(record) => (Recorded::Living, record),
                ExecutionRemains::Ended(record, _) => (Recorded::Ended, record),
                ExecutionRemains::Orphaned(record) => (Recorded::Orphaned, record),
                ExecutionRemains::Nothing => {
                    self.execution.logs().forget(run, attempt);
                    continue;
                }
            };
            records.insert(attempt, found);
        }
        let listed: Vec<_> = records.iter().map(|(attempt, (is, _))| (*attempt, *is)).collect();
        let noted = entry.map(|entry| OutboxNote { attempt: entry.attempt, ended: entry.end.is_some() });
        let chosen = match survivor::of(noted, &listed)? {
            Survivor::Outbox => entry?.clone(),
            Survivor::Record(attempt) => {
                let (_, record) = records.get(&attempt)?;
                let chosen = OutboxEntry {
                    run,
                    attempt,
                    claim: entry.and_then(|entry| entry.claim),
                    // The record knows only its own attempt; every earlier one counts as lost.
                    losses: attempt.0.saturating_sub(1),
                    token: record.token.clone(),
                    run_log: entry.and_then(|entry| entry.run_log.clone()),
                    start: recorded_start(record),
                    end: None,
                };
                let journal = self.execution.logs().journal(run, attempt).unwrap_or_default();
                let written = match steps::origin_of(&journal) {
                    Some(key) if self.reporter.outbox().origin(run).is_none() => {
                        self.reporter.outbox().try_restore(&chosen, key).await
                    }
                    _ => self.reporter.outbox().try_run(&chosen).await,
                };
                if let Err(e) = written {
                    tracing::error!(
                        target: "job_runner_worker.cleanup",
                        %run,
                        attempt = chosen.attempt_number(),
                        execution = attempt.0,
                        error = %chain_of(&e),
                        "run is not written to the outbox; its record stays"
                    );
                }
                chosen
            }
        };
        for (attempt, (is, record)) in records.into_iter().filter(|(attempt, _)| *attempt != chosen.attempt) {
            match is {
                Recorded::Living => tracing::error!(
                    target: "job_runner_worker.cleanup",
                    %run,
                    execution = attempt.0,
                    "superseded execution still runs"
                ),
                Recorded::Orphaned => {
                    self.execution.clean_up(record).await;
                    self.execution.logs().forget(run, attempt);
                }
                Recorded::Ended => self.execution.logs().forget(run, attempt),
            }
        }
        Some(chosen)
    }

    /// Accounts for the runs that only the server knows of; after that the worker counts as started.
    pub async fn account_for_unknown(self) {
        let intake = self.intake.clone();
        self.reset_unknown().await;
        intake.leftovers_accounted().await;
    }

    /// Resets, as the original does, the runs that the server takes for incomplete runs of this worker and of which
    /// this worker knows nothing. Done once, after the start; the lists are tried until the server answers.
    async fn reset_unknown(self) {
        // A Manager gives its tasks anew to a worker that asks for one.
        let Upstream::JobRunner(client) = &self.upstream else { return };
        for state in [SeenRunState::InQueue, SeenRunState::Started] {
            for listed in incomplete(client, state).await {
                let mut backoff = Backoff::default();
                while let Err(failure) = self.reset(client, &listed).await {
                    tracing::warn!(
                        target: "job_runner_worker.cleanup",
                        run = %listed.run,
                        error = %chain_of(&failure),
                        "incomplete run is not reset"
                    );
                    if !failure.is_passing() || backoff.tries() >= RESETS {
                        break;
                    }
                    tokio::time::sleep(backoff.next(failure.retry_after())).await;
                }
            }
        }
    }

    async fn reset(&self, client: &RestClient, listed: &Incomplete) -> Result<(), CallFailure> {
        let run = listed.run;
        // Checked before and after the read: an order may have brought the run in meanwhile.
        if self.intake.is_known(run).await {
            return Ok(());
        }
        let fresh = client.look(run).await?;
        // A claim that changed since the list was read is a new one, which an order made meanwhile.
        let same = fresh.claimed_at == listed.claimed_at;
        if fresh.seen != RunSight::Ours || !same || self.intake.is_known(run).await {
            return Ok(());
        }
        match self.origin {
            InstanceOrigin::Kept => {
                tracing::warn!(target: "job_runner_worker.cleanup", %run, worker = %client.api_key(), "run was left incomplete");
            }
            InstanceOrigin::Made => tracing::warn!(
                target: "job_runner_worker.cleanup",
                %run,
                worker = %client.api_key(),
                "run was left incomplete, and this state directory is new; if another worker uses this api_key, the run \
                 is taken from it"
            ),
        }
        match self.policy {
            IncompleteRuns::Reset => {
                client.reset(run).await?;
                if self.intake.offer(Order::Enqueue(run)) == OrderReceipt::Full {
                    tracing::info!(target: "job_runner_worker.cleanup", %run, "run will be announced again");
                }
            }
            IncompleteRuns::Fail => {
                let entry = OutboxEntry {
                    run,
                    attempt: Attempt::FIRST,
                    claim: fresh.attempt,
                    losses: 1,
                    token: String::new(),
                    run_log: fresh.run_log,
                    start: None,
                    end: None,
                };
                self.reporter.serve(entry, false).ended(StoredEnd::now(Outcome::Lost(1))).await;
            }
        }
        Ok(())
    }
}

/// Lists the runs that the server takes for incomplete runs of this worker, retrying until it answers.
async fn incomplete(client: &RestClient, state: SeenRunState) -> Vec<Incomplete> {
    let mut backoff = Backoff::default();
    loop {
        match client.incomplete(state).await {
            Ok(runs) => return runs,
            Err(failure) => {
                if matches!(failure, CallFailure::Unauthorised(_)) {
                    client.health().credentials(false);
                }
                let pause = backoff.next(failure.retry_after());
                // The client logs that once a minute for all calls.
                if !matches!(failure, CallFailure::Occupied(_)) {
                    tracing::warn!(
                        target: "job_runner_worker.cleanup",
                        wait_s = pause.as_secs_f64(),
                        error = %chain_of(&failure),
                        "incomplete runs cannot be read; retrying"
                    );
                }
                tokio::time::sleep(pause).await;
            }
        }
    }
}
