//! What the last process left behind: runs that go on, ended meanwhile, or were lost; kills half done; and
//! runs of this worker that only the server knows of.
//!
//! One path, whether the last process was killed, upgraded or the machine rebooted.

mod survivor;

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::execution::{Execution, ExecutionRemains, recorded_start};
use crate::intake::{Intake, OrderReceipt};
use crate::report::{KillEntry, LogSource, OutboxEntry, Reporter, StoredEnd};
use crate::rest::{Backoff, CallFailure, Incomplete, InstanceOrigin, RestClient, SeenRunState};
use crate::run::claim::RunSight;
use crate::run::{Attempt, IncompleteRuns, Order, Outcome, RunId};
use survivor::{OutboxNote, Recorded, Survivor};

/// How long a start waits for what was left behind to be taken up. What takes longer goes on behind it: a record that cannot
/// be read, a process that cannot be killed.
const AT_ONCE: Duration = Duration::from_secs(2);
/// How often the reset of a run is tried.
const RESETS: u32 = 12;

/// The doors that leftovers are passed through.
#[derive(Clone)]
pub struct LeftoverSource {
    /// Where runs are taken up.
    pub intake: Intake,
    /// Where results go.
    pub reporter: Reporter,
    /// Where executions are found.
    pub execution: Execution,
    /// Whom to ask.
    pub client: RestClient,
    /// What becomes of runs that only the server knows of.
    pub policy: IncompleteRuns,
    /// Whether an earlier start of this worker can have begun runs.
    pub origin: InstanceOrigin,
}

/// What is left of a run.
#[derive(Default)]
struct Left {
    entry: Option<OutboxEntry>,
    attempts: Vec<Attempt>,
    kills: Vec<KillEntry>,
}

impl LeftoverSource {
    /// Takes up what the store and the state directory know. To be done before any order is followed. All of it is known
    /// then; what cannot be taken up yet holds up nothing else.
    pub async fn take_up(&self, runs: Vec<OutboxEntry>, kills: Vec<KillEntry>) {
        // Before anybody is connected to: a shim takes the last to connect for its worker.
        self.execution.clear_away_dead();
        let mut left: BTreeMap<RunId, Left> = BTreeMap::new();
        for (run, attempt) in self.execution.logs().all() {
            left.entry(run).or_default().attempts.push(attempt);
        }
        for entry in runs {
            let run = entry.run;
            left.entry(run).or_default().entry = Some(entry);
        }
        for kill in kills {
            // Of a run that is nowhere, or of none, it waits for nobody.
            match kill.run.and_then(|run| left.get_mut(&run)) {
                Some(left) => left.kills.push(kill),
                None => self.intake.resume_kill(kill).await,
            }
        }
        for run in left.keys() {
            self.intake.set_aside(*run).await;
        }
        let mut taking_up: JoinSet<()> =
            left.into_iter().map(|(run, left)| self.clone().take_up_run(run, left)).collect();
        let all = async { while taking_up.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(AT_ONCE, all).await;
        taking_up.detach_all();
    }

    async fn take_up_run(self, run: RunId, left: Left) {
        let Left { entry, attempts, kills } = left;
        for attempt in &attempts {
            self.execution.readable(run, *attempt).await;
        }
        let accounts = |entry: &OutboxEntry| attempts.iter().all(|attempt| *attempt == entry.attempt);
        let survivor = match entry {
            Some(entry) if accounts(&entry) => Some(entry),
            Some(entry) => self.survivor(run, Some(&entry), attempts).await.or(Some(entry)),
            None => {
                let survivor = self.survivor(run, None, attempts).await;
                if survivor.is_some() {
                    tracing::warn!(target: "job_runner_worker.cleanup", "run {run} is not in the outbox; its record is");
                }
                survivor
            }
        };
        if let Some(entry) = survivor {
            self.take_up_entry(entry).await;
        }
        self.intake.no_more_aside(run).await;
        for kill in kills {
            self.intake.resume_kill(kill).await;
        }
    }

    async fn take_up_entry(&self, entry: OutboxEntry) {
        if entry.end.is_some() {
            tracing::info!(target: "job_runner_worker.cleanup", "run {}: its result goes out", entry.run);
            self.reporter.deliver(entry);
        } else {
            self.intake.take_up(entry).await;
        }
    }

    /// The entry that counts, where files of a run are there that none accounts for. What does not count is removed, and
    /// what does is in the outbox.
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
                    losses: attempt.0.saturating_sub(1),
                    token: record.token.clone(),
                    run_log: entry.and_then(|entry| entry.run_log.clone()),
                    start: recorded_start(record),
                    end: None,
                };
                if let Err(e) = self.reporter.outbox().try_run(&chosen).await {
                    tracing::error!(target: "job_runner_worker.cleanup", "run {run}: {e}; its record stays");
                }
                chosen
            }
        };
        for (attempt, (is, record)) in records.into_iter().filter(|(attempt, _)| *attempt != chosen.attempt) {
            match is {
                Recorded::Living => tracing::error!(
                    target: "job_runner_worker.cleanup",
                    "run {run}: attempt {attempt} still runs, unasked"
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

    /// Accounts for the runs that only the server knows of; then the worker has begun.
    pub async fn account_for_unknown(self) {
        let intake = self.intake.clone();
        self.reset_unknown().await;
        intake.begun().await;
    }

    /// The original's reset: runs that the server takes for ours and incomplete, and that we know nothing of.
    /// Once, at start-up; tried until the server answers.
    async fn reset_unknown(self) {
        for state in [SeenRunState::InQueue, SeenRunState::Started] {
            for listed in self.incomplete(state).await {
                let mut backoff = Backoff::default();
                while let Err(failure) = self.reset(&listed).await {
                    tracing::warn!(target: "job_runner_worker.cleanup", "run {} is left incomplete: {failure}", listed.run);
                    if !failure.is_passing() || backoff.tries() >= RESETS {
                        break;
                    }
                    tokio::time::sleep(backoff.next(failure.retry_after())).await;
                }
            }
        }
    }

    async fn incomplete(&self, state: SeenRunState) -> Vec<Incomplete> {
        let mut backoff = Backoff::default();
        loop {
            match self.client.incomplete(state).await {
                Ok(runs) => return runs,
                Err(failure) => {
                    if matches!(failure, CallFailure::Unauthorised(_)) {
                        self.client.health().credentials(false);
                    }
                    let pause = backoff.next(failure.retry_after());
                    // Once a minute, that is said for all calls.
                    if !matches!(failure, CallFailure::Occupied(_)) {
                        tracing::warn!(
                            target: "job_runner_worker.cleanup",
                            "the incomplete runs cannot be read: {failure}; again in {:.1} s",
                            pause.as_secs_f64()
                        );
                    }
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    async fn reset(&self, listed: &Incomplete) -> Result<(), CallFailure> {
        let run = listed.run;
        if self.intake.knows(run).await {
            return Ok(());
        }
        let fresh = self.client.look(run).await?;
        let same = fresh.claimed_at == listed.claimed_at;
        if fresh.seen != RunSight::Ours || !same || self.intake.knows(run).await {
            return Ok(());
        }
        tracing::warn!(
            target: "job_runner_worker.cleanup",
            "Run {run} was left incomplete{}",
            match self.origin {
                InstanceOrigin::Kept => "",
                InstanceOrigin::Made => {
                    ", and this state directory is new: if another worker uses this api_key, the run is taken from it"
                }
            }
        );
        match self.policy {
            IncompleteRuns::Reset => {
                self.client.reset(run).await?;
                if self.intake.offer(Order::Enqueue(run)) == OrderReceipt::Full {
                    tracing::info!(target: "job_runner_worker.cleanup", "run {run} will be announced again");
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
