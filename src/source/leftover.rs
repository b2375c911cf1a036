//! What the last process left behind: runs that go on, ended meanwhile, or were lost; kills half done; and
//! runs of this worker that only the server knows of.
//!
//! One path, whether the last process was killed, upgraded or the machine rebooted.

use std::collections::HashSet;
use std::path::Path;

use crate::execution::{Execution, Remains, recorded_start, shim};
use crate::intake::{Intake, Receipt};
use crate::report::{End, Entry, KillEntry, LogSource, Reporter};
use crate::rest::{Backoff, Client, Failure, Incomplete, RunState};
use crate::run::claim::{Phase, Seen};
use crate::run::{Attempt, IncompleteRuns, Order, Outcome, RunId};

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
        // First: a shim takes whoever connects for its worker, and the last one counts.
        remove_dead_sockets(&shim::socket::directory(state));
        let mut known: HashSet<(RunId, Attempt)> = HashSet::new();
        for entry in runs {
            known.insert((entry.run, entry.attempt));
            self.take_up_run(entry).await;
        }
        // Files that no entry accounts for: the store was lost, or the last step of a run was.
        let strays: Vec<_> =
            self.execution.logs().all().into_iter().filter(|execution| !known.contains(execution)).collect();
        for (run, attempt) in strays {
            self.take_up_stray(run, attempt).await;
        }
        for kill in kills {
            self.intake.resume_kill(kill).await;
        }
    }

    async fn take_up_run(&self, mut entry: Entry) {
        if entry.end.is_some() {
            tracing::info!(target: "job_runner_worker.cleanup", "run {} ended before, its result goes out", entry.run);
            drop(self.reporter.serve(entry, true));
            return;
        }
        loop {
            match self.execution.remains(entry.run, entry.attempt, &entry.token) {
                Remains::Living(record) => match self.execution.attach(&record).await {
                    Ok(running) => {
                        tracing::info!(target: "job_runner_worker.cleanup", "run {} goes on, taken up again", entry.run);
                        return self.intake.attach(entry, running).await;
                    }
                    // It is about to end, or does not answer: its end will be on disk.
                    Err(_) => self.execution.wait_for_end(entry.run, entry.attempt).await,
                },
                Remains::Ended(record, end) => {
                    tracing::info!(target: "job_runner_worker.cleanup", "run {} ended meanwhile", entry.run);
                    entry.start = recorded_start(&record);
                    return self.reporter.serve(entry, true).ended(end).await;
                }
                Remains::Orphaned(record) => {
                    self.execution.clean_up(record).await;
                    return self.intake.lost(entry).await;
                }
                Remains::Nothing if entry.start.is_some() => return self.intake.lost(entry).await,
                Remains::Nothing => {
                    tracing::info!(target: "job_runner_worker.cleanup", "run {} was not executed yet", entry.run);
                    entry.attempt = entry.attempt.next();
                    return self.intake.resume(entry).await;
                }
            }
        }
    }

    async fn take_up_stray(&self, run: RunId, attempt: Attempt) {
        match self.execution.remains(run, attempt, "") {
            Remains::Nothing => self.execution.logs().forget(run, attempt),
            Remains::Living(record) | Remains::Ended(record, _) | Remains::Orphaned(record) => {
                tracing::warn!(target: "job_runner_worker.cleanup", "run {run} is not in the outbox; its record is");
                self.take_up_run(Entry {
                    run,
                    attempt,
                    losses: attempt.0 - 1,
                    start: recorded_start(&record),
                    token: record.token,
                    phase: Phase::Spawned,
                    run_log: None,
                    end: None,
                })
                .await;
            }
        }
    }

    /// The original's reset: runs that the server takes for ours and incomplete, and that we know nothing of.
    /// Once, at start-up; tried until the server answers.
    pub async fn reset_unknown(self) {
        for state in [RunState::InQueue, RunState::Started] {
            for listed in self.incomplete(state).await {
                let run = listed.run;
                if let Err(failure) = self.reset(&listed).await {
                    tracing::warn!(target: "job_runner_worker.cleanup", "run {run} is left incomplete: {failure}");
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
                    phase: Phase::Spawned,
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

/// Sockets at which nobody listens any more.
fn remove_dead_sockets(directory: &Path) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        if shim::socket::is_dead(&entry.path()) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}
