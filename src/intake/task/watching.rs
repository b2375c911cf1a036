//! Execution of a run from its launch to its end.

use std::sync::Arc;
use std::time::Duration;

use super::loss::BrokenExecution;
use super::remains::Fate;
use super::{RunTask, stop_asked};
use crate::execution::{Control, Launch, LaunchError, Progress, Running};
use crate::intake::Context;
use crate::intake::slots::Slot;
use crate::report::{CourierRequest, OutboxEntry, RunReport, Start, StoredEnd};
use crate::run::{Cause, Left, Outcome};

/// Report and slot of a run whose execution has no end, and the way in which it failed to end.
type Unended = (RunReport, Slot, BrokenExecution);

impl RunTask {
    /// Reads the script, launches it and watches it end. Returns the report and the slot if the execution has no end.
    pub(super) async fn execute(&mut self, report: Option<RunReport>, slot: Slot) -> Option<Unended> {
        let report = match (report, self.entry.take()) {
            (Some(mut report), _) => {
                report.claimed(self.claimed).await;
                report
            }
            (None, Some(entry)) => self.context.reporter.serve(OutboxEntry { claim: self.claimed, ..entry }, false),
            (None, None) => return None,
        };
        let launched = match self.script().await {
            Err(outcome) => Err(outcome),
            Ok((script, run_timeout)) => {
                let entry = report.entry();
                let launch = Launch {
                    run: entry.run,
                    attempt: entry.attempt,
                    token: entry.token.clone(),
                    script,
                    run_timeout,
                    environment: self.scheduled_at(),
                };
                match self.context.execution.launch(&launch).await {
                    Err(e) if e.is_shortage() => return Some((report, slot, BrokenExecution::Short(e.to_string()))),
                    launched => launched.map_err(|e: LaunchError| Outcome::Unstartable(e.to_string())),
                }
            }
        };
        match launched {
            Ok(running) => self.watch(running, report, slot).await,
            Err(outcome) => {
                tracing::error!(
                    target: "job_runner_worker.worker",
                    "run {} is not executed: {}",
                    self.run,
                    outcome.note().trim_end()
                );
                drop(slot);
                report.ended(StoredEnd::now(outcome)).await;
                None
            }
        }
    }

    /// Watches a script until it ends. Returns the report and the slot if the execution has no end.
    pub(super) async fn watch(
        &mut self,
        mut running: Running,
        mut report: RunReport,
        mut slot: Slot,
    ) -> Option<Unended> {
        let mut asked = ShimRequests::of(running.control());
        let _executing = Executing::begin(&self.context);
        // Progress that arrived while the start was being written.
        let mut heard: Option<Progress> = None;
        loop {
            let next = async {
                match heard.take() {
                    Some(heard) => heard,
                    None => running.next().await,
                }
            };
            tokio::select! {
                progress = next => match progress {
                    Progress::Spawned { pid, at } => {
                        tracing::info!(target: "job_runner_worker.worker", "run {} started, pid {pid}", self.run);
                        crash_point!(SpawnedSeen);
                        self.short = None;
                        heard = self.write_start(Start { pid, at }, &mut running, &mut report, &mut slot, &mut asked).await;
                    }
                    Progress::Output(total) => report.output(total).await,
                    Progress::Stuck(pids) => tracing::error!(
                        target: "job_runner_worker.worker",
                        "run {}: processes {pids:?} cannot be killed; uninterruptible, most likely",
                        self.run
                    ),
                    Progress::Ended(ended) => {
                        crash_point!(EndedSeen);
                        drop(slot);
                        self.ended(report, ended, asked.stop_sent).await;
                        return None;
                    }
                    gone @ (Progress::Refused { .. } | Progress::ShimDied) => {
                        // The shim may be gone while its record tells more than the connection did.
                        let fate = self.fate(report.entry()).await;
                        if let (Progress::Refused { why, shortage }, Fate::NeverBegan) = (&gone, &fate) {
                            if *shortage {
                                return Some((report, slot, BrokenExecution::Short(why.clone())));
                            }
                            drop(slot);
                            report.ended(StoredEnd::now(Outcome::Unstartable(format!("It was refused: {why}.")))).await;
                            return None;
                        }
                        match self.after(fate, report, slot, asked.stop_sent).await {
                            Ok((goes_on, back, kept)) => {
                                (running, report, slot) = (goes_on, back, kept);
                                asked = asked.made_again(running.control()).await;
                            }
                            Err(broken) => return broken,
                        }
                    }
                },
                cause = stop_asked(&mut self.stopped), if !asked.stop_sent => {
                    asked.stop(cause, self.context.execution.kill_grace()).await;
                }
                ask = report.asked() => match ask {
                    CourierRequest::Watch(beyond) => asked.watch(beyond).await,
                    CourierRequest::Stop => {
                        asked.control.stop(Cause::NotOurs, self.context.execution.kill_grace()).await;
                    }
                },
            }
        }
    }

    /// Writes the start to disk. Progress and stop are served meanwhile: a disk that the run fills must not keep it from
    /// being stopped. Returns the progress that arrived.
    async fn write_start(
        &mut self,
        start: Start,
        running: &mut Running,
        report: &mut RunReport,
        slot: &mut Slot,
        asked: &mut ShimRequests,
    ) -> Option<Progress> {
        let mut heard = None;
        let ending = report.ending();
        let started = report.started(start);
        tokio::pin!(started);
        loop {
            tokio::select! {
                () = &mut started => return heard,
                progress = running.next(), if heard.is_none() => {
                    if matches!(progress, Progress::Ended(_)) {
                        // The end is announced before the slot is freed, so that the next run that takes the slot counts
                        // one more result in the backlog.
                        ending.came();
                        slot.leave();
                    }
                    heard = Some(progress);
                }
                cause = stop_asked(&mut self.stopped), if !asked.stop_sent => {
                    asked.stop(cause, self.context.execution.kill_grace()).await;
                }
            }
        }
    }

    pub(super) async fn ended(&mut self, report: RunReport, end: StoredEnd, stop_sent: bool) {
        let outcome = &end.outcome;
        tracing::info!(target: "job_runner_worker.worker", "Run {} ended: {outcome:?}", self.run);
        let kept = matches!(outcome, Outcome::Ran { left: Left::Kept, .. });
        let cause = *self.stopped.borrow();
        if kept && (stop_sent || cause.is_some()) {
            // The run ended by itself as the stop came: what it left behind is ended all the same.
            self.context.execution.end_leftovers(self.run).await;
        }
        report.ended(end).await;
    }

    /// Handles the fate of a run after the connection to its shim was lost. Returns the new connection, or as an error
    /// the result of [`Self::watch`].
    pub(super) async fn after(
        &mut self,
        fate: Fate,
        report: RunReport,
        slot: Slot,
        stop_sent: bool,
    ) -> Result<(Running, RunReport, Slot), Option<Unended>> {
        match fate {
            Fate::GoesOn(running) => Ok((running, report, slot)),
            Fate::Over(_, end) => {
                drop(slot);
                self.ended(report, end, stop_sent).await;
                Err(None)
            }
            Fate::Lost => Err(Some((report, slot, BrokenExecution::Lost))),
            Fate::NeverBegan => Err(Some((report, slot, BrokenExecution::NeverBegan))),
            Fate::LeftBehind => Err(None),
        }
    }
}

/// Requests to the shim over one connection to it.
struct ShimRequests {
    control: Control,
    stop_sent: bool,
    /// Bytes of output beyond which the shim is to tell.
    watched: Option<u64>,
}

impl ShimRequests {
    fn of(control: Control) -> Self {
        Self { control, stop_sent: false, watched: None }
    }

    /// Makes the requests again over a new connection, which knows nothing of earlier ones. A stop is sent again by the
    /// caller, for whom it is still wanted.
    async fn made_again(self, control: Control) -> Self {
        let mut again = Self::of(control);
        if let Some(beyond) = self.watched {
            again.watch(beyond).await;
        }
        again
    }

    async fn stop(&mut self, cause: Cause, grace: Duration) {
        self.stop_sent = true;
        self.control.stop(cause, grace).await;
    }

    async fn watch(&mut self, beyond: u64) {
        self.watched = Some(beyond);
        self.control.watch(beyond).await;
    }
}

/// Counts a running script until it is dropped.
struct Executing(Arc<Context>);

impl Executing {
    fn begin(context: &Arc<Context>) -> Self {
        context.executing.send_modify(|executing| *executing += 1);
        Self(Arc::clone(context))
    }
}

impl Drop for Executing {
    fn drop(&mut self) {
        self.0.executing.send_modify(|executing| *executing -= 1);
    }
}
