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
use super::shortage::Wait;
use crate::execution::{Launch, LaunchError, Progress, Remains, Running, recorded_start};
use crate::report::{Ask, End, Entry, RunReport, Start};
use crate::rest::{Backoff, Failure, RunView};
use crate::run::claim::{Effect, Input, Phase, Seen};
use crate::run::script::Script;
use crate::run::{Attempt, Cause, Event, IncompleteRuns, Left, Outcome, RunId};

/// After this long between look and claim somebody else may have claimed it too: look again.
const FRESH: Duration = Duration::from_secs(1);
/// How long a run waits while our key is not accepted.
const PARKED: Duration = Duration::from_secs(30);
/// How long a shim that lives and does not answer is left alone at most.
const UNANSWERED: Duration = Duration::from_secs(5);
/// How many answers that are no script are listened to before the run fails.
const ANSWERS: u32 = 12;
/// After how many executions that never began a run is given up.
const NEVER_BEGAN: u32 = 10;

/// How a run comes to us.
#[derive(Debug)]
pub(super) enum Begin {
    /// Somebody said that it is due.
    Hinted,
    /// It was left behind: claimed or about to be, perhaps executed, perhaps over.
    Found(Entry),
}

/// What became of an execution that nobody watched.
enum Fate {
    /// It goes on.
    GoesOn(Running),
    /// It is over.
    Over(Option<Start>, End),
    /// It was lost, and nothing of it is left alive.
    Lost,
    /// It never began, and never will.
    NeverBegan,
}

/// How an execution ends without an end.
enum Broken {
    /// It began, and its supervisor died.
    Lost,
    /// It never began.
    NeverBegan,
    /// It cannot begin yet: the system has too little of something.
    Short(String),
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
    /// Which attempt the server says this is.
    claimed: Option<Attempt>,
    enqueued_told: bool,
    /// That it waits for the means to be launched.
    short: Option<Wait>,
}

/// Why the way to the launch ends early.
enum Halt {
    Again(Trouble),
    Stopped(Cause),
    /// We leave, and nobody claimed it yet.
    LeftToOthers,
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
            claimed: None,
            enqueued_told: false,
            short: None,
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
            Begin::Found(entry) => self.found(entry, seat).await,
        }
    }

    /// Takes up what the last process left behind.
    async fn found(&mut self, mut entry: Entry, seat: Seat) -> Over {
        let fate = match self.fate(&entry).await {
            // Its record is gone, so it was executed.
            Fate::NeverBegan if entry.start.is_some() => Fate::Lost,
            fate => fate,
        };
        if !matches!(fate, Fate::NeverBegan) {
            self.ours.cancel();
            self.enqueued_told = true;
        }
        match fate {
            Fate::GoesOn(running) => {
                crash_point!(Attached);
                tracing::info!(target: "job_runner_worker.cleanup", "run {} goes on, taken up again", self.run);
                let report = self.context.reporter.serve(entry, true);
                match self.watch(running, report, seat).await {
                    None => Over::Done,
                    Some((report, seat, how)) => self.after_breach(report, seat, how).await,
                }
            }
            Fate::Over(start, end) => {
                tracing::info!(target: "job_runner_worker.cleanup", "run {} ended meanwhile", self.run);
                drop(seat);
                entry.start = start;
                self.context.reporter.serve(entry, true).ended(end).await;
                Over::Done
            }
            Fate::Lost => {
                let report = self.context.reporter.serve(entry, true);
                self.after_breach(report, seat, Broken::Lost).await
            }
            Fate::NeverBegan => {
                tracing::info!(target: "job_runner_worker.cleanup", "run {} was not executed yet", self.run);
                // On disk before anything can be started under it.
                (entry.attempt, entry.token) = (entry.attempt.next(), token());
                self.context.reporter.outbox().run(&entry).await;
                self.entry = Some(entry);
                self.travel(Phase::Claiming, seat, None).await
            }
        }
    }

    /// Finds out what became of an execution. Where its shim lives but does not answer, it is asked again.
    async fn fate(&self, entry: &Entry) -> Fate {
        let execution = &self.context.execution;
        let mut backoff = Backoff::default();
        loop {
            match execution.remains(entry.run, entry.attempt, &entry.token).await {
                Remains::Living(record) => match execution.attach(&record).await {
                    Ok(running) => return Fate::GoesOn(running),
                    // About to end, most likely.
                    Err(_) => tokio::time::sleep(backoff.next(None).min(UNANSWERED)).await,
                },
                Remains::Ended(record, end) => return Fate::Over(recorded_start(&record), end),
                Remains::Orphaned(record) => {
                    execution.clean_up(record).await;
                    return Fate::Lost;
                }
                Remains::Nothing => return Fate::NeverBegan,
            }
        }
    }

    /// From a phase to the launch, and through the execution. A report is there when an execution was lost.
    async fn travel(&mut self, mut phase: Phase, mut seat: Seat, mut report: Option<RunReport>) -> Over {
        let mut effect = Effect::Look;
        loop {
            let answer = match effect {
                Effect::Look => self.look(phase).await.map(Input::Seen),
                Effect::Claim => self.claim(report.is_some()).await,
                Effect::Launch => match self.execute(report.take(), seat).await {
                    None => return Over::Done,
                    Some((lost, back, how)) => {
                        seat = back;
                        match self.account(lost, how).await {
                            None => return Over::Done,
                            Some(lost) => report = Some(lost),
                        }
                        Ok(Input::Lost)
                    }
                },
                Effect::Forget => return self.drop_it(report).await,
                Effect::Nothing => return Over::Done,
            };
            let input = match answer {
                Ok(input) => input,
                Err(Halt::Again(trouble)) => return Over::Again(trouble),
                Err(Halt::Stopped(cause)) => return self.cancelled(phase, report, cause).await,
                Err(Halt::LeftToOthers) => return Over::Done,
            };
            (phase, effect) = phase.step(input);
            if phase == Phase::Claimed {
                self.ours.cancel();
                if !std::mem::replace(&mut self.enqueued_told, true) {
                    self.context.reporter.event(Event::RunEnqueued(self.run));
                }
            }
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
                    let report = self.context.reporter.serve(Entry { claim: self.claimed, ..entry }, false);
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
                Ok(seen) => {
                    if phase == Phase::Hinted {
                        self.tell_wrong_hint();
                    }
                    return Ok(seen);
                }
                Err(failure) => failure,
            };
            let pause = match failure {
                // A proxy says so too when the API behind it is away.
                Failure::NotFound | Failure::Unauthorised(_) => match self.credentials().await {
                    Ok(()) if failure == Failure::NotFound => return Ok(Seen::Gone),
                    Ok(()) => return Ok(Seen::Theirs),
                    Err(pause) if phase == Phase::Hinted => {
                        return Err(Halt::Again(Trouble { why: failure.to_string(), retry_after: Some(pause) }));
                    }
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
        if seen == Seen::Ours {
            self.claimed = view.attempt;
        }
        self.view = Some(view);
        tracing::debug!(target: "job_runner_worker.enqueuer", "run {}: {seen:?}", self.run);
        Ok(seen)
    }

    /// Says of a run that was announced to us and is not for us to start why it is not.
    fn tell_wrong_hint(&self) {
        let Some(view) = self.view.as_ref().filter(|view| view.seen == Seen::NotForUs) else { return };
        let why = match (view.pinned_elsewhere, &view.scheduled_at) {
            (true, _) => "it is another worker's".to_owned(),
            (false, at) => format!("it is due at {}", at.as_deref().unwrap_or("another time")),
        };
        tracing::warn!(
            target: "job_runner_worker.enqueuer",
            "run {} was announced and is left alone: {why}",
            self.run
        );
    }

    /// Claims the run. That we are about to is on disk first.
    /// With a report, an earlier execution was lost and it is on disk already.
    async fn claim(&mut self, reported: bool) -> Result<Input, Halt> {
        self.check_stopped(Phase::Hinted)?;
        if self.entry.is_none() && !reported {
            // The drain may have begun while we looked.
            if self.context.draining.is_cancelled() {
                return Err(Halt::LeftToOthers);
            }
            let entry = Entry {
                run: self.run,
                attempt: Attempt::FIRST,
                claim: None,
                losses: 0,
                token: token(),
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
        crash_point!(ClaimNext);
        match self.context.client.claim(self.run).await {
            Ok(attempt) => {
                self.claimed = attempt;
                crash_point!(ClaimSent);
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

    /// Reads the script, executes it, and watches it end. The report and the seat, if it has no end.
    async fn execute(&mut self, report: Option<RunReport>, seat: Seat) -> Option<(RunReport, Seat, Broken)> {
        let report = match (report, self.entry.take()) {
            (Some(mut report), _) => {
                report.claimed(self.claimed).await;
                report
            }
            (None, Some(entry)) => self.context.reporter.serve(Entry { claim: self.claimed, ..entry }, false),
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
                    Err(e) if e.is_shortage() => return Some((report, seat, Broken::Short(e.to_string()))),
                    launched => launched.map_err(|e: LaunchError| Outcome::Unstartable(e.to_string())),
                }
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
        let at = at.map(|at| at.chars().take(64).collect());
        at.map(|at| ("JOB_RUNNER_SCHEDULED_AT".to_owned(), at)).into_iter().collect()
    }

    /// The script of the run's job and how long it may run, or the outcome of a run without one.
    async fn script(&mut self) -> Result<(Script, Option<Duration>), Outcome> {
        let unreadable = |why: String| Outcome::Unstartable(format!("The script could not be read: {why}."));
        let Some(path) = self.view.as_ref().and_then(|view| view.job.clone()) else {
            return Err(unreadable("the run names no job".to_owned()));
        };
        let mut backoff = Backoff::default();
        let job = loop {
            let answer = tokio::select! {
                cause = stop_asked(&mut self.stopped) => return Err(Outcome::Cancelled(cause)),
                answer = self.context.client.job(&path) => answer,
            };
            let pause = match answer {
                Ok(job) => break job,
                // The server is there, and has nothing better to say of this job.
                Err(failure) if failure.is_answer() && backoff.tries() >= ANSWERS => {
                    return Err(unreadable(failure.to_string()));
                }
                Err(failure) if failure.is_passing() => backoff.next(failure.retry_after()),
                Err(failure @ (Failure::Unauthorised(_) | Failure::NotFound)) => match self.credentials().await {
                    Ok(()) => return Err(unreadable(failure.to_string())),
                    Err(pause) => pause,
                },
                Err(failure) => return Err(unreadable(failure.to_string())),
            };
            self.rest(pause).await;
        };
        match job.script {
            Some(content) => Script::parse(&content)
                .map(|script| (script, job.run_timeout))
                .map_err(|e| Outcome::Unstartable(e.to_string())),
            None => Err(unreadable("the job's script_content is no text".to_owned())),
        }
    }

    /// Watches a script end. The report and the seat, if it has no end.
    async fn watch(
        &mut self,
        mut running: Running,
        mut report: RunReport,
        mut seat: Seat,
    ) -> Option<(RunReport, Seat, Broken)> {
        let mut control = running.control();
        let _executing = Executing::begin(&self.context);
        let mut stop_sent = false;
        let mut watched = None;
        loop {
            tokio::select! {
                progress = running.next() => match progress {
                    Progress::Spawned { pid, at } => {
                        tracing::info!(target: "job_runner_worker.worker", "run {} started, pid {pid}", self.run);
                        crash_point!(SpawnedSeen);
                        self.short = None;
                        // A disk that this run fills must not keep it from being stopped.
                        let started = report.started(Start { pid, at });
                        tokio::pin!(started);
                        loop {
                            tokio::select! {
                                () = &mut started => break,
                                cause = stop_asked(&mut self.stopped), if !stop_sent => {
                                    stop_sent = true;
                                    control.stop(cause, self.context.execution.kill_grace()).await;
                                }
                            }
                        }
                    }
                    Progress::Output(total) => report.output(total).await,
                    Progress::Stuck(pids) => tracing::error!(
                        target: "job_runner_worker.worker",
                        "run {}: processes {pids:?} cannot be killed; uninterruptible, most likely",
                        self.run
                    ),
                    Progress::Ended(ended) => {
                        crash_point!(EndedSeen);
                        drop(seat);
                        self.ended(report, ended, stop_sent).await;
                        return None;
                    }
                    gone @ (Progress::Refused { .. } | Progress::ShimDied) => {
                        let fate = self.fate(report.entry()).await;
                        if let (Progress::Refused { why, shortage }, Fate::NeverBegan) = (&gone, &fate) {
                            if *shortage {
                                return Some((report, seat, Broken::Short(why.clone())));
                            }
                            drop(seat);
                            report.ended(End::now(Outcome::Unstartable(format!("It was refused: {why}.")))).await;
                            return None;
                        }
                        match self.after(fate, report, seat, stop_sent).await {
                            Ok((goes_on, back, kept)) => {
                                (running, report, seat) = (goes_on, back, kept);
                                // Another connection: what was asked for is asked for again.
                                (control, stop_sent) = (running.control(), false);
                                if let Some(beyond) = watched {
                                    control.watch(beyond).await;
                                }
                            }
                            Err(broken) => return broken,
                        }
                    }
                },
                cause = stop_asked(&mut self.stopped), if !stop_sent => {
                    stop_sent = true;
                    control.stop(cause, self.context.execution.kill_grace()).await;
                }
                ask = report.asked() => match ask {
                    Ask::Watch(beyond) => {
                        watched = Some(beyond);
                        control.watch(beyond).await;
                    }
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
            let remains = self.context.execution.remains(entry.run, entry.attempt, &entry.token).await;
            if let Remains::Ended(record, _) = remains {
                self.context.execution.clean_up(record).await;
            }
        }
        report.ended(end).await;
    }

    /// The connection to the shim is gone, and this became of the run. Goes on, or the answer of [`Self::watch`].
    #[allow(clippy::type_complexity)]
    async fn after(
        &mut self,
        fate: Fate,
        report: RunReport,
        seat: Seat,
        stop_sent: bool,
    ) -> Result<(Running, RunReport, Seat), Option<(RunReport, Seat, Broken)>> {
        match fate {
            Fate::GoesOn(running) => Ok((running, report, seat)),
            Fate::Over(_, end) => {
                drop(seat);
                self.ended(report, end, stop_sent).await;
                Err(None)
            }
            Fate::Lost => Err(Some((report, seat, Broken::Lost))),
            Fate::NeverBegan => Err(Some((report, seat, Broken::NeverBegan))),
        }
    }

    async fn after_breach(&mut self, report: RunReport, seat: Seat, how: Broken) -> Over {
        match self.account(report, how).await {
            None => Over::Done,
            Some(report) => self.travel(Phase::Claimed, seat, Some(report)).await,
        }
    }

    /// An execution was lost, or could not begin. The report, if there is to be another.
    async fn account(&mut self, report: RunReport, how: Broken) -> Option<RunReport> {
        match how {
            Broken::Short(why) => self.wait_for_means(report, &why).await,
            Broken::Lost => self.lost(report, true).await,
            Broken::NeverBegan => self.lost(report, false).await,
        }
    }

    /// Waits for the end of a shortage, with the seat.
    async fn wait_for_means(&mut self, report: RunReport, why: &str) -> Option<RunReport> {
        let context = Arc::clone(&self.context);
        let wait = self.short.get_or_insert_with(|| {
            tracing::error!(
                target: "job_runner_worker.worker",
                "run {} is claimed and waits until it can be launched: {why}",
                self.run
            );
            context.shortage.met(why)
        });
        tokio::select! {
            () = tokio::time::sleep(wait.pause()) => Some(report),
            cause = stop_asked(&mut self.stopped) => {
                report.ended(End::now(Outcome::Cancelled(cause))).await;
                None
            }
            // The next start launches it.
            () = context.draining.cancelled() => None,
        }
    }

    async fn lost(&mut self, mut report: RunReport, began: bool) -> Option<RunReport> {
        crash_point!(LossSeen);
        let mut entry = report.entry().clone();
        let began = began || entry.start.is_some() || entry.attempt.0 >= NEVER_BEGAN;
        entry.losses += u32::from(began);
        let settings = self.context.settings();
        let stopped = *self.stopped.borrow();
        let again = (!began || settings.incomplete_runs == IncompleteRuns::Reset)
            && entry.losses < settings.max_attempts
            && entry.attempt.0 < NEVER_BEGAN + settings.max_attempts
            && stopped.is_none();
        tracing::error!(
            target: "job_runner_worker.worker",
            "run {} was lost {} time(s): its supervising process died; {}",
            self.run,
            entry.losses,
            if again { "it is executed again" } else { "it is reported as failed" }
        );
        if !again {
            let outcome = match stopped {
                Some(cause) if !began => Outcome::Cancelled(cause),
                _ => Outcome::Lost(entry.losses.max(1)),
            };
            report.ended(End::now(outcome)).await;
            return None;
        }
        crate::report::LogSource::forget(self.context.execution.logs(), entry.run, entry.attempt);
        entry.attempt = entry.attempt.next();
        entry.token = token();
        (entry.start, entry.claim) = (None, None);
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
