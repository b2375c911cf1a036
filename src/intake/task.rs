//! One run on its way: look, claim, launch, watch it end. The decisions are [`crate::run::claim`]'s; this
//! is their hands.
//!
//! The task owns the run's entry until the launch, and its seat until the script is over; what is told
//! of the run from the launch on is its courier's.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Context;
use super::seats::Seat;
use crate::execution::{Launch, LaunchError, Progress, Remains, Running};
use crate::report::{Ask, End, Entry, RunReport, Start};
use crate::rest::{Backoff, Failure, RunView};
use crate::run::claim::{Effect, Input, Phase, Seen};
use crate::run::script::Script;
use crate::run::{Attempt, Cause, Event, IncompleteRuns, Left, Outcome, RunId};

/// After this long between look and claim somebody else may have claimed it too: look again.
const FRESH: Duration = Duration::from_secs(1);
/// How long a run waits while our key is not accepted.
const PARKED: Duration = Duration::from_secs(30);

/// How a run comes to us.
#[derive(Debug)]
pub(super) enum Begin {
    /// Somebody said that it is due.
    Hinted,
    /// It was claimed, or about to be, and not executed.
    Resumed(Entry),
    /// It is executed.
    Attached(Entry, Running),
    /// Its execution was lost.
    Lost(Entry),
}

/// How the task of a run ends.
#[derive(Debug)]
pub(super) enum Over {
    /// Nothing is left to do here.
    Done,
    /// It could not be looked up or claimed, and should be tried again.
    Again(Trouble),
}

/// Why a run could not be looked up or claimed.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) why: String,
    pub(super) retry_after: Option<Duration>,
}

pub(super) struct RunTask {
    context: Arc<Context>,
    run: RunId,
    stopped: watch::Receiver<Option<Cause>>,
    ours: CancellationToken,
    over: CancellationToken,
    /// What is on disk of it.
    entry: Option<Entry>,
    /// When it was last looked at.
    looked: Instant,
    /// What was seen then.
    view: Option<RunView>,
    enqueued_told: bool,
}

/// Why the way to the launch ends early.
enum Halt {
    Again(Trouble),
    Stopped(Cause),
}

impl RunTask {
    pub(super) fn new(
        context: Arc<Context>,
        run: RunId,
        stopped: watch::Receiver<Option<Cause>>,
        ours: CancellationToken,
        over: CancellationToken,
    ) -> Self {
        Self {
            context,
            run,
            stopped,
            ours,
            over,
            entry: None,
            looked: Instant::now(),
            view: None,
            enqueued_told: false,
        }
    }

    /// Until nothing is executed any more.
    pub(super) async fn go(mut self, begin: Begin, seat: Seat) -> Over {
        let over = self.over.clone();
        let end = self.begin(begin, seat).await;
        // Said here and nowhere else: a task that is dropped or panics has not seen its run end.
        over.cancel();
        end
    }

    async fn begin(&mut self, begin: Begin, seat: Seat) -> Over {
        match begin {
            Begin::Hinted => self.travel(Phase::Hinted, seat, None).await,
            Begin::Resumed(entry) => {
                let phase = entry.phase;
                self.entry = Some(entry);
                self.travel(phase, seat, None).await
            }
            Begin::Attached(entry, running) => {
                self.ours.cancel();
                self.enqueued_told = true;
                let report = self.context.reporter.serve(entry, true);
                match self.watch(running, report, seat).await {
                    None => Over::Done,
                    Some((report, seat)) => self.after_loss(report, seat).await,
                }
            }
            Begin::Lost(entry) => {
                self.ours.cancel();
                self.enqueued_told = true;
                let report = self.context.reporter.serve(entry, true);
                self.after_loss(report, seat).await
            }
        }
    }

    /// From a phase to the launch, and through the execution. A report is there when an execution was lost.
    async fn travel(&mut self, mut phase: Phase, mut seat: Seat, mut report: Option<RunReport>) -> Over {
        let mut effect = Effect::Look;
        loop {
            let answer = match effect {
                Effect::Look => self.look(phase).await.map(Input::Seen),
                Effect::Claim => self.claim().await,
                Effect::Launch => match self.execute(report.take(), seat).await {
                    None => return Over::Done,
                    Some((lost, back)) => {
                        seat = back;
                        match self.account(lost).await {
                            None => return Over::Done,
                            Some(lost) => report = Some(lost),
                        }
                        Ok(Input::LostOnce)
                    }
                },
                Effect::Forget => return self.drop_it(report).await,
                // What is told from here on is the courier's.
                Effect::TellStart | Effect::SendLog | Effect::Return | Effect::StopScript => return Over::Done,
            };
            let input = match answer {
                Ok(input) => input,
                Err(Halt::Again(trouble)) => return Over::Again(trouble),
                Err(Halt::Stopped(cause)) => return self.cancelled(phase, report, cause).await,
            };
            let effects;
            (phase, effects) = phase.step(input);
            if phase == Phase::Claimed {
                self.ours.cancel();
                if !std::mem::replace(&mut self.enqueued_told, true) {
                    self.context.reporter.event(Event::RunEnqueued(self.run));
                }
            }
            let Some(next) = effects.first() else { return Over::Done };
            effect = *next;
        }
    }

    async fn drop_it(&mut self, report: Option<RunReport>) -> Over {
        let written = self.entry.take().or_else(|| report.as_ref().map(|report| report.entry().clone()));
        if let Some(entry) = written {
            tracing::warn!(target: "job_runner_worker.enqueuer", "run {} is not ours any more", self.run);
            self.context.reporter.forget(&entry).await;
        }
        Over::Done
    }

    /// It was stopped before its script was started.
    async fn cancelled(&mut self, phase: Phase, report: Option<RunReport>, cause: Cause) -> Over {
        match (phase, report) {
            (Phase::Claimed, None) => {
                if let Some(entry) = self.entry.take() {
                    let report = self.context.reporter.serve(entry, false);
                    report.ended(End::now(Outcome::Cancelled(cause))).await;
                }
            }
            (_, Some(report)) => report.ended(End::now(Outcome::Cancelled(cause))).await,
            // Never claimed, or not known to be: the next start finds out.
            (_, None) => {}
        }
        Over::Done
    }

    /// Reads the run. Before it is on disk, trouble lets it go; after, it is tried until it is known.
    async fn look(&mut self, phase: Phase) -> Result<Seen, Halt> {
        let mut backoff = Backoff::default();
        loop {
            self.check_stopped(phase)?;
            let failure = match self.try_look().await {
                Ok(seen) => return Ok(seen),
                Err(failure) => failure,
            };
            let pause = match failure {
                Failure::NotFound => return Ok(Seen::Gone),
                Failure::Unauthorised(_) => match self.credentials().await {
                    Ok(()) => return Ok(Seen::Theirs),
                    Err(_) if phase == Phase::Hinted => return Ok(Seen::NotForUs),
                    Err(pause) => pause,
                },
                failure if phase == Phase::Hinted => {
                    let retry_after = failure.retry_after();
                    return Err(Halt::Again(Trouble { why: failure.to_string(), retry_after }));
                }
                failure => backoff.next(failure.retry_after()),
            };
            self.rest(pause).await;
        }
    }

    async fn try_look(&mut self) -> Result<Seen, Failure> {
        self.looked = Instant::now();
        let view = self.context.client.look(self.run).await?;
        let seen = view.seen;
        self.view = Some(view);
        tracing::debug!(target: "job_runner_worker.enqueuer", "run {}: {seen:?}", self.run);
        Ok(seen)
    }

    /// Claims the run. That we are about to is on disk first.
    async fn claim(&mut self) -> Result<Input, Halt> {
        self.check_stopped(Phase::Hinted)?;
        if self.entry.is_none() {
            let entry = Entry {
                run: self.run,
                attempt: Attempt::FIRST,
                losses: 0,
                token: token(),
                phase: Phase::Claiming,
                run_log: self.view.as_ref().and_then(|view| view.run_log.clone()),
                start: None,
                end: None,
            };
            if let Err(e) = self.context.reporter.outbox().try_run(&entry).await {
                tracing::error!(target: "job_runner_worker.enqueuer", "run {} is not claimed: {e}", self.run);
                return Err(Halt::Again(Trouble { why: e.to_string(), retry_after: None }));
            }
            self.entry = Some(entry);
        }
        match self.context.client.claim(self.run).await {
            Ok(()) => {
                let late = self.looked.elapsed() > FRESH;
                Ok(if late { Input::AcceptedLate } else { Input::Accepted })
            }
            Err(Failure::Unauthorised(_)) => match self.credentials().await {
                Ok(()) => Ok(Input::Refused),
                Err(pause) => {
                    self.rest(pause).await;
                    Ok(Input::Ambiguous)
                }
            },
            Err(failure) if failure.is_passing() => {
                tracing::warn!(target: "job_runner_worker.models", "run {}: the claim: {failure}", self.run);
                self.rest(Backoff::default().next(failure.retry_after())).await;
                Ok(Input::Ambiguous)
            }
            Err(_) => Ok(Input::Refused),
        }
    }

    /// Whether we are who we say, when something of a run was refused; else how long to wait.
    async fn credentials(&self) -> Result<(), Duration> {
        match self.context.client.credentials().await {
            Ok(()) => Ok(()),
            Err(Failure::Unauthorised(_)) => {
                tracing::error!(target: "job_runner_worker.models", "the server refuses our api_key and secret");
                Err(PARKED)
            }
            Err(failure) => Err(Backoff::default().next(failure.retry_after())),
        }
    }

    /// Reads the script, executes it, and watches it end. The report and the seat, if it was lost.
    async fn execute(&mut self, report: Option<RunReport>, seat: Seat) -> Option<(RunReport, Seat)> {
        let report = match (report, self.entry.take()) {
            (Some(report), _) => report,
            (None, Some(entry)) => self.context.reporter.serve(entry, false),
            (None, None) => return None,
        };
        let launched = match self.script().await {
            Err(stop) => Err(stop),
            Ok(script) => {
                let entry = report.entry();
                let launch = Launch {
                    run: entry.run,
                    attempt: entry.attempt,
                    token: entry.token.clone(),
                    script,
                    environment: self.scheduled_at(),
                };
                self.context
                    .execution
                    .launch(&launch)
                    .await
                    .map_err(|e: LaunchError| Outcome::Unstartable(e.to_string()))
            }
        };
        match launched {
            Ok(running) => self.watch(running, report, seat).await,
            Err(outcome) => {
                tracing::error!(
                    target: "job_runner_worker.worker",
                    "run {} is not executed: {}",
                    self.run,
                    outcome.note().trim_end()
                );
                drop(seat);
                report.ended(End::now(outcome)).await;
                None
            }
        }
    }

    fn scheduled_at(&self) -> Vec<(String, String)> {
        let at = self.view.as_ref().and_then(|view| view.scheduled_at.clone());
        at.map(|at| ("JOB_RUNNER_SCHEDULED_AT".to_owned(), at)).into_iter().collect()
    }

    /// The script of the run's job, or the outcome of a run without one.
    async fn script(&mut self) -> Result<Script, Outcome> {
        let unreadable = |why: String| Outcome::Unstartable(format!("The script could not be read: {why}."));
        let Some(path) = self.view.as_ref().and_then(|view| view.job.clone()) else {
            return Err(unreadable("the run names no job".to_owned()));
        };
        let mut backoff = Backoff::default();
        let content = loop {
            let answer = tokio::select! {
                cause = stop_asked(&mut self.stopped) => return Err(Outcome::Cancelled(cause)),
                answer = self.context.client.script(&path) => answer,
            };
            let pause = match answer {
                Ok(content) => break content,
                Err(failure) if failure.is_passing() => backoff.next(failure.retry_after()),
                Err(failure @ Failure::Unauthorised(_)) => match self.credentials().await {
                    Ok(()) => return Err(unreadable(failure.to_string())),
                    Err(pause) => pause,
                },
                Err(failure) => return Err(unreadable(failure.to_string())),
            };
            self.rest(pause).await;
        };
        match content {
            Some(content) => Script::parse(&content).map_err(|e| Outcome::Unstartable(e.to_string())),
            None => Err(unreadable("the job's script_content is no text".to_owned())),
        }
    }

    /// Watches a script end. The report and the seat, if nobody supervises it any more.
    async fn watch(&mut self, mut running: Running, mut report: RunReport, seat: Seat) -> Option<(RunReport, Seat)> {
        let control = running.control();
        let _executing = Executing::begin(&self.context);
        let mut stop_sent = false;
        loop {
            tokio::select! {
                progress = running.next() => match progress {
                    Progress::Spawned { pid, at } => {
                        tracing::info!(target: "job_runner_worker.worker", "run {} started, pid {pid}", self.run);
                        report.started(Start { pid, at }).await;
                    }
                    Progress::Output(total) => report.output(total).await,
                    Progress::Stuck(pids) => tracing::error!(
                        target: "job_runner_worker.worker",
                        "run {}: processes {pids:?} cannot be killed; uninterruptible, most likely",
                        self.run
                    ),
                    Progress::Ended(ended) => {
                        drop(seat);
                        self.ended(report, ended, stop_sent).await;
                        return None;
                    }
                    Progress::Refused(why) => {
                        tracing::warn!(target: "job_runner_worker.worker", "run {}: {why}", self.run);
                        return self.look_for_remains(report, seat, stop_sent).await;
                    }
                    Progress::ShimDied => return self.look_for_remains(report, seat, stop_sent).await,
                },
                cause = stop_asked(&mut self.stopped), if !stop_sent => {
                    stop_sent = true;
                    control.stop(cause, self.context.execution.kill_grace()).await;
                }
                ask = report.asked() => match ask {
                    Ask::Watch(beyond) => control.watch(beyond).await,
                    Ask::Stop => control.stop(Cause::NotOurs, self.context.execution.kill_grace()).await,
                },
            }
        }
    }

    async fn ended(&mut self, report: RunReport, end: End, stop_sent: bool) {
        let outcome = &end.outcome;
        tracing::info!(target: "job_runner_worker.worker", "Run {} ended: {outcome:?}", self.run);
        let kept = matches!(outcome, Outcome::Ran { left: Left::Kept, .. });
        if kept && stop_sent {
            // The stop came as the run ended by itself: what it left behind goes all the same.
            let entry = report.entry();
            if let Remains::Ended(record, _) = self.context.execution.remains(entry.run, entry.attempt, &entry.token) {
                self.context.execution.clean_up(record).await;
            }
        }
        report.ended(end).await;
    }

    /// The shim is gone: what does the disk say?
    async fn look_for_remains(&mut self, report: RunReport, seat: Seat, stop_sent: bool) -> Option<(RunReport, Seat)> {
        let execution = &self.context.execution;
        let entry = report.entry().clone();
        loop {
            match execution.remains(entry.run, entry.attempt, &entry.token) {
                Remains::Ended(_, ended) => {
                    drop(seat);
                    self.ended(report, ended, stop_sent).await;
                    return None;
                }
                Remains::Living(_) => execution.wait_for_end(entry.run, entry.attempt).await,
                Remains::Orphaned(record) => {
                    execution.clean_up(record).await;
                    return Some((report, seat));
                }
                Remains::Nothing => return Some((report, seat)),
            }
        }
    }

    async fn after_loss(&mut self, report: RunReport, seat: Seat) -> Over {
        match self.account(report).await {
            None => Over::Done,
            Some(report) => {
                let (phase, _) = Phase::Spawned.step(Input::LostOnce);
                self.travel(phase, seat, Some(report)).await
            }
        }
    }

    /// An execution was lost. The report, if there is to be another.
    async fn account(&mut self, mut report: RunReport) -> Option<RunReport> {
        let mut entry = report.entry().clone();
        entry.losses += 1;
        let settings = &self.context.settings;
        let stopped = *self.stopped.borrow();
        let again = settings.incomplete_runs == IncompleteRuns::Reset
            && entry.losses < settings.max_attempts
            && stopped.is_none();
        tracing::error!(
            target: "job_runner_worker.worker",
            "run {} was lost {} time(s): its supervising process died; {}",
            self.run,
            entry.losses,
            if again { "it is executed again" } else { "it is reported as failed" }
        );
        if !again {
            report.ended(End::now(Outcome::Lost(entry.losses))).await;
            return None;
        }
        crate::report::LogSource::forget(self.context.execution.logs(), entry.run, entry.attempt);
        entry.attempt = entry.attempt.next();
        entry.token = token();
        entry.phase = Phase::Claiming;
        entry.start = None;
        report.relaunched(entry).await;
        // While we drain, the next start executes it.
        if self.context.draining.is_cancelled() { None } else { Some(report) }
    }

    fn check_stopped(&self, phase: Phase) -> Result<(), Halt> {
        match *self.stopped.borrow() {
            Some(cause) if phase != Phase::Claiming => Err(Halt::Stopped(cause)),
            _ => Ok(()),
        }
    }

    /// Waits, no longer than until it is stopped.
    async fn rest(&mut self, pause: Duration) {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stop_asked(&mut self.stopped), if self.stopped.borrow().is_none() => {}
        }
    }
}

/// A script that runs, counted.
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

/// Waits until somebody wants it stopped.
async fn stop_asked(stopped: &mut watch::Receiver<Option<Cause>>) -> Cause {
    match stopped.wait_for(Option::is_some).await.map(|cause| *cause) {
        Ok(Some(cause)) => cause,
        _ => std::future::pending().await,
    }
}

/// 122 bits that nobody can guess.
fn token() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/uuid")
        .map(|uuid| uuid.trim().replace('-', ""))
        .unwrap_or_else(|_| format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..)))
}
