//! Execution of a run from its launch to its end: carries out what [`super::execution_watch`] decides.

use std::collections::VecDeque;
use std::sync::Arc;

use super::broken_execution::BrokenExecution;
use super::execution_watch::{ExecutionWatch, RecordedFate, ScriptEffect, WatchEffect, WatchInput};
use super::fate::Fate;
use super::{RunTask, stop_asked};
use crate::execution::{Launch, LaunchError, Running, shown_pids};
use crate::intake::Context;
use crate::intake::slots::Slot;
use crate::report::{OutboxEntry, RunReport, Start, StoredEnd, UnwrittenEnd};
use crate::run::Outcome;

/// Report and slot of a run whose execution broke off, and how the execution broke off.
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
        let launched = match self.script(report.entry().attempt).await {
            Err(outcome) => Err(outcome),
            Ok((script, run_timeout)) => {
                let entry = report.entry();
                let launch = Launch {
                    run: entry.run,
                    attempt: entry.attempt,
                    told_attempt: entry.told_attempt(),
                    token: entry.token.clone(),
                    script,
                    run_timeout,
                    environment: self.schedule_variables(),
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
                    run = %self.run,
                    attempt = report.entry().attempt_number(),
                    execution = report.entry().attempt.0,
                    reason = outcome.note().trim_end(),
                    "run is not executed"
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
        let mut watch = ExecutionWatch::new();
        let _executing = Executing::begin(&self.context);
        loop {
            let input = tokio::select! {
                progress = running.next(), if watch.reads_progress() => WatchInput::Progress(progress),
                cause = stop_asked(&mut self.signals.stopped), if !watch.has_sent_stop() => WatchInput::Stop(cause),
                request = report.asked() => WatchInput::Courier(request),
            };
            let mut effects = VecDeque::from(self.step(&mut watch, input));
            while let Some(effect) = effects.pop_front() {
                match effect {
                    WatchEffect::WriteStart(start) => {
                        self.log_start(&report, &start);
                        crash_point!(SpawnedSeen);
                        self.shortage = None;
                        effects.extend(self.write_start(start, &mut watch, &mut running, &mut report, &mut slot).await);
                    }
                    WatchEffect::ReadRecord => {
                        let fate = match self.fate(report.entry()).await {
                            Fate::GoesOn(reconnected) => {
                                running = reconnected;
                                RecordedFate::Reconnected
                            }
                            Fate::Over(_, end) => RecordedFate::Ended(end),
                            Fate::Lost => RecordedFate::Lost,
                            Fate::NeverBegan => RecordedFate::NeverBegan,
                            Fate::LeftBehind => RecordedFate::LeftBehind,
                        };
                        effects.extend(self.step(&mut watch, WatchInput::Record(fate)));
                    }
                    WatchEffect::ReportEnd(end) => {
                        crash_point!(EndedSeen);
                        self.log_end(&report, &end);
                        report.ended(end).await;
                        return None;
                    }
                    WatchEffect::GiveUp(broken) => return Some((report, slot, broken)),
                    WatchEffect::LeaveToNextStart => return None,
                    WatchEffect::ReportOutput(total) => report.output(total).await,
                    WatchEffect::Script(effect) => {
                        let ending = report.ending();
                        self.act_on_script(effect, &running, &mut slot, &ending, LoggedNumbers::of(&report)).await;
                    }
                }
            }
        }
    }

    fn step(&self, watch: &mut ExecutionWatch, input: WatchInput) -> Vec<WatchEffect> {
        watch.step(input, *self.signals.stopped.borrow())
    }

    /// Writes the start to disk. Progress and stop are served meanwhile: a disk that the run fills must not keep it from
    /// being stopped. Returns the effects to carry out afterwards.
    async fn write_start(
        &mut self,
        start: Start,
        watch: &mut ExecutionWatch,
        running: &mut Running,
        report: &mut RunReport,
        slot: &mut Slot,
    ) -> Vec<WatchEffect> {
        let mut afterwards = Vec::new();
        let (ending, numbers) = (report.ending(), LoggedNumbers::of(report));
        let written = report.started(start);
        tokio::pin!(written);
        loop {
            let input = tokio::select! {
                () = &mut written => {
                    afterwards.extend(self.step(watch, WatchInput::StartWritten));
                    return afterwards;
                }
                progress = running.next(), if watch.reads_progress() => WatchInput::Progress(progress),
                cause = stop_asked(&mut self.signals.stopped), if !watch.has_sent_stop() => WatchInput::Stop(cause),
            };
            for effect in self.step(watch, input) {
                match effect {
                    WatchEffect::Script(effect) => self.act_on_script(effect, running, slot, &ending, numbers).await,
                    needs_report => afterwards.push(needs_report),
                }
            }
        }
    }

    async fn act_on_script(
        &self,
        effect: ScriptEffect,
        running: &Running,
        slot: &mut Slot,
        ending: &UnwrittenEnd,
        numbers: LoggedNumbers,
    ) {
        match effect {
            ScriptEffect::Stop(cause) => running.control().stop(cause, self.context.execution.kill_grace()).await,
            ScriptEffect::WatchOutput(beyond) => running.control().watch(beyond).await,
            ScriptEffect::LogUnkillable(pids) => tracing::error!(
                target: "job_runner_worker.worker",
                run = %self.run,
                attempt = numbers.attempt,
                execution = numbers.execution,
                pids = shown_pids(&pids),
                "processes cannot be killed; they are most likely in uninterruptible sleep"
            ),
            ScriptEffect::CountEnd => ending.came(),
            ScriptEffect::FreeSlot => slot.free(),
            ScriptEffect::EndLeftovers => self.context.execution.end_leftovers(self.run).await,
        }
    }

    fn log_start(&self, report: &RunReport, start: &Start) {
        tracing::info!(
            target: "job_runner_worker.worker",
            run = %self.run,
            attempt = report.entry().attempt_number(),
            execution = report.entry().attempt.0,
            pid = start.pid,
            "script started"
        );
    }

    fn log_end(&self, report: &RunReport, end: &StoredEnd) {
        tracing::info!(
            target: "job_runner_worker.worker",
            run = %self.run,
            attempt = report.entry().attempt_number(),
            execution = report.entry().attempt.0,
            outcome = end.outcome.word(),
            exit_code = end.outcome.exit_code(),
            signal = end.outcome.signal(),
            "run ended"
        );
    }
}

/// Numbers of an execution for log lines that are written while its report is in use.
#[derive(Clone, Copy, Debug)]
struct LoggedNumbers {
    attempt: Option<u32>,
    execution: u32,
}

impl LoggedNumbers {
    fn of(report: &RunReport) -> Self {
        let entry = report.entry();
        Self { attempt: entry.attempt_number(), execution: entry.attempt.0 }
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
