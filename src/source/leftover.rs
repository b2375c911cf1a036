//! What the last process left behind: runs that go on, ended meanwhile, or were lost; kills half done; and
//! runs of this worker that only the server knows of.
//!
//! One path, whether the last process was killed, upgraded or the machine rebooted.

use std::collections::HashMap;
use std::path::Path;

use crate::execution::{Execution, Remains, recorded_start, shim};
use crate::intake::{Intake, Receipt};
use crate::report::{End, Entry, KillEntry, LogSource, Reporter};
use crate::rest::{Backoff, Client, Failure, Incomplete, RunState};
use crate::run::claim::Seen;
use crate::run::{Attempt, IncompleteRuns, Order, Outcome, RunId};

/// How often the reset of a run is tried.
const RESETS: u32 = 12;

/// The doors that leftovers are passed through.
#[derive(Clone)]
pub struct Leftovers {
    /// Where runs are taken up.
    pub intake: Intake,
    /// Where results go.
    pub reporter: Reporter,
    /// Where executions are found.
    pub execution: Execution,
    /// Whom to ask.
    pub client: Client,
    /// What becomes of runs that only the server knows of.
    pub policy: IncompleteRuns,
}

impl Leftovers {
    /// Takes up what the store and the state directory know. To be done before any order is followed.
    pub async fn take_up(&self, runs: Vec<Entry>, kills: Vec<KillEntry>, state: &Path) {
        // Before anybody is connected to: a shim takes the last to connect for its worker.
        shim::clear_away_dead(state);
        let mut known: HashMap<RunId, Attempt> = HashMap::new();
        for entry in runs {
            known.insert(entry.run, entry.attempt);
            if entry.end.is_some() {
                tracing::info!(target: "job_runner_worker.cleanup", "run {}: its result goes out", entry.run);
                drop(self.reporter.serve(entry, true));
            } else {
                self.intake.take_up(entry).await;
            }
        }
        for (run, attempt) in self.execution.logs().all() {
            match known.get(&run) {
                Some(of_entry) if *of_entry == attempt => {}
                of_entry => self.take_up_stray(run, attempt, of_entry.is_some()).await,
            }
        }
        for kill in kills {
            self.intake.resume_kill(kill).await;
        }
    }

    /// Files that no entry accounts for: the store was lost, or the last step of a run or of an attempt was.
    async fn take_up_stray(&self, run: RunId, attempt: Attempt, known: bool) {
        match self.execution.remains(run, attempt, "").await {
            Remains::Living(_) if known => {
                tracing::error!(target: "job_runner_worker.cleanup", "run {run}: attempt {attempt} still runs, unasked");
            }
            Remains::Orphaned(record) if known => {
                self.execution.clean_up(record).await;
                self.execution.logs().forget(run, attempt);
            }
            Remains::Ended(..) if known => self.execution.logs().forget(run, attempt),
            Remains::Nothing => self.execution.logs().forget(run, attempt),
            Remains::Living(record) | Remains::Ended(record, _) | Remains::Orphaned(record) => {
                tracing::warn!(target: "job_runner_worker.cleanup", "run {run} is not in the outbox; its record is");
                let start = recorded_start(&record);
                let losses = attempt.0.saturating_sub(1);
                let token = record.token;
                let entry = Entry { run, attempt, losses, token, run_log: None, start, end: None };
                self.intake.take_up(entry).await;
            }
        }
    }

    /// The original's reset: runs that the server takes for ours and incomplete, and that we know nothing of.
    /// Once, at start-up; tried until the server answers.
    pub async fn reset_unknown(self) {
        for state in [RunState::InQueue, RunState::Started] {
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

    async fn incomplete(&self, state: RunState) -> Vec<Incomplete> {
        let mut backoff = Backoff::default();
        loop {
            match self.client.incomplete(state).await {
                Ok(runs) => return runs,
                Err(failure) => {
                    if matches!(failure, Failure::Unauthorised(_)) {
                        self.client.health().credentials(false);
                    }
                    let pause = backoff.next(failure.retry_after());
                    tracing::warn!(
                        target: "job_runner_worker.cleanup",
                        "the incomplete runs cannot be read: {failure}; again in {:.1} s",
                        pause.as_secs_f64()
                    );
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    async fn reset(&self, listed: &Incomplete) -> Result<(), Failure> {
        let run = listed.run;
        if self.intake.knows(run).await {
            return Ok(());
        }
        let fresh = self.client.look(run).await?;
        let same = fresh.claimed_at == listed.claimed_at;
        if fresh.seen != Seen::Ours || !same || self.intake.knows(run).await {
            return Ok(());
        }
        tracing::warn!(target: "job_runner_worker.cleanup", "Run {run} was left incomplete");
        match self.policy {
            IncompleteRuns::Reset => {
                self.client.reset(run).await?;
                if self.intake.offer(Order::Enqueue(run)) == Receipt::Full {
                    tracing::info!(target: "job_runner_worker.cleanup", "run {run} will be announced again");
                }
            }
            IncompleteRuns::Fail => {
                let entry = Entry {
                    run,
                    attempt: Attempt::FIRST,
                    losses: 1,
                    token: String::new(),
                    run_log: fresh.run_log,
                    start: None,
                    end: None,
                };
                self.reporter.serve(entry, false).ended(End::now(Outcome::Lost(1))).await;
            }
        }
        Ok(())
    }
}
