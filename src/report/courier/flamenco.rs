//! Protocol of a Flamenco Manager: updates of a task with its log, its activity and its state, or the task itself given
//! back.
//!
//! [`plan`] decides what is told when; the updates are made at the moment at which they are sent, from the output that the
//! execution keeps and from the journal of the steps program. How much of the output the Manager has is written to disk
//! after each accepted update: a crash in between repeats a piece of log, and loses none.

mod activity;
mod plan;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::super::courier_request::{CourierRequest, DeliveryEvent};
use super::super::outbox_entry::{OutboxEntry, ToldExtent};
use super::super::{KeptOutput, RunOrigin};
use super::{Next, Pause, Protocol, RunFacts};
use crate::run::{chain_of, errno, excerpt};
use crate::upstream::flamenco::FlamencoClient;
use crate::upstream::{Backoff, CallFailure};
use crate::wire::flamenco::{TaskStatus, TaskUpdate, log_line};
use crate::wire::steps;
use activity::Activity;
pub use plan::PushSettings;
pub(in crate::report) use plan::TaskCall;
use plan::{PIECE, PlanInput, Planned, REJECTIONS, TaskDelivery};

#[cfg(test)]
mod tests;

/// Pause of a courier while the Manager refuses the worker's id and secret.
const PARKED: Duration = Duration::from_secs(30);
/// Pause where the log cannot be read for want of file descriptors or memory.
const SHORTAGE: Duration = Duration::from_secs(2);
/// Smallest size in bytes to which a piece of log that is too large is halved.
const SMALLEST_PIECE: u64 = 4096;

/// Delivery of one task to a Flamenco Manager.
pub(in crate::report) struct FlamencoProtocol {
    facts: RunFacts,
    client: FlamencoClient,
    settings: PushSettings,
    /// Task at the Manager; `None` where the outbox does not have it.
    origin: Option<Arc<RunOrigin>>,
    delivery: TaskDelivery,
    /// Activity that the Manager was told last.
    told_activity: Option<Activity>,
    backoff: Backoff,
    /// Most bytes of log in one update, as far as the Manager's answers showed.
    piece: u64,
    /// Whether the log is left out, because the Manager rejects it.
    leaves_out_log: bool,
}

/// Piece of a task's log.
#[derive(Debug, Default)]
struct LogPiece {
    text: String,
    /// Bytes of output that the Manager has with this piece.
    told: u64,
}

impl FlamencoProtocol {
    /// Begins or goes on with the delivery of a task.
    pub(in crate::report) fn new(
        facts: RunFacts,
        client: FlamencoClient,
        settings: PushSettings,
        entry: &OutboxEntry,
    ) -> Self {
        let origin = facts.shared.outbox.origin(entry.run);
        let told = origin.as_ref().map_or(0, |origin| origin.told.output);
        let mut protocol = Self {
            facts,
            client,
            settings,
            origin,
            delivery: TaskDelivery::new(told),
            told_activity: None,
            backoff: Backoff::default(),
            piece: PIECE,
            leaves_out_log: false,
        };
        if protocol.origin.is_none() {
            // Without its id nobody can be told of the task; the Manager gives it to another worker after a while.
            protocol.step(PlanInput::Abandoned);
        }
        if entry.start.is_some() {
            protocol.step(PlanInput::Started);
        }
        if let Some(end) = &entry.end {
            protocol.step(PlanInput::Over { output: end.output, is_given_back: end.outcome.is_given_back() });
        }
        protocol
    }

    fn step(&mut self, input: PlanInput) {
        self.delivery.step(input, Instant::now(), &self.settings);
    }

    fn task(&self) -> &str {
        self.origin.as_ref().map_or("", |origin| &origin.key)
    }

    /// Reads the activity from the journal. What cannot be read explains nothing, and holds up nothing.
    fn activity(&self) -> Activity {
        let journal = self.facts.shared.logs.journal(self.facts.run, self.facts.attempt).unwrap_or_default();
        let journal = steps::journal(&journal);
        let activity = Activity::of(&journal);
        match &self.facts.end {
            Some(end) => activity.at_end(&end.outcome, activity::has_end(&journal)),
            None => activity,
        }
    }

    /// Reads the next piece of the log. While the task lasts, a piece ends with a line.
    async fn log_piece(&self) -> io::Result<LogPiece> {
        let from = self.delivery.told();
        if self.leaves_out_log {
            return Ok(LogPiece { text: String::new(), told: self.delivery.output() });
        }
        let (logs, run, attempt, most) =
            (Arc::clone(&self.facts.shared.logs), self.facts.run, self.facts.attempt, self.piece);
        let read = move || logs.kept(run, attempt, from, most);
        let bytes = match tokio::task::spawn_blocking(read).await.unwrap_or_else(|e| Err(e.into())) {
            Ok(KeptOutput::Bytes(bytes)) => bytes,
            Ok(KeptOutput::Gap(bytes)) => {
                let text = log_line(chrono::Utc::now(), format_args!("{bytes} bytes could not be kept"));
                return Ok(LogPiece { text, told: from + bytes });
            }
            Err(error) if error.raw_os_error().and_then(errno::shortage_of).is_some() => return Err(error),
            Err(error) => {
                self.log_unreadable(&error);
                let text = log_line(chrono::Utc::now(), format_args!("the output cannot be read: {error}"));
                return Ok(LogPiece { text, told: self.delivery.output() });
            }
        };
        let is_last = from + bytes.len() as u64 >= self.delivery.output() && self.delivery.is_over();
        let kept = match bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(end) if !is_last => &bytes[..=end],
            _ => &bytes[..],
        };
        let (text, whole) = excerpt::piece(kept);
        // Bytes that never become a character would be waited for without end.
        let told = if is_last || whole == 0 { from + kept.len() as u64 } else { from + whole as u64 };
        // Output that was not kept will not come.
        let told = if bytes.is_empty() { self.delivery.output() } else { told };
        Ok(LogPiece { text: text.strip_suffix('\n').unwrap_or(&text).to_owned(), told })
    }

    fn log_unreadable(&self, error: &io::Error) {
        tracing::error!(
            target: "job_runner_worker.worker",
            run = %self.facts.run,
            execution = self.facts.attempt.0,
            error = %chain_of(error),
            "output cannot be read"
        );
    }

    async fn call(&mut self, call: TaskCall) -> Option<Pause> {
        let answer = match call {
            TaskCall::Watch => {
                self.step(PlanInput::WatchRequested);
                self.facts.request(CourierRequest::Watch(self.delivery.output()));
                return None;
            }
            TaskCall::Look => {
                self.look().await;
                return None;
            }
            TaskCall::GiveBack => self.give_back().await,
            TaskCall::TellActive | TaskCall::Push | TaskCall::Finish | TaskCall::PushRest => {
                let piece = match self.log_piece().await {
                    Ok(piece) => piece,
                    Err(_) => return Some(Pause::For(SHORTAGE)),
                };
                self.tell(call, piece).await
            }
        };
        match answer {
            Ok(()) => {
                self.backoff.reset();
                None
            }
            Err(failure) => self.failed(call, &failure).await,
        }
    }

    /// Counts the lines that the Manager does not have, and compares the activity.
    async fn look(&mut self) {
        let lines = self.log_piece().await.map_or(0, |piece| piece.text.lines().count());
        let is_activity_new = self.told_activity.as_ref() != Some(&self.activity());
        self.step(PlanInput::Seen { lines, is_activity_new });
    }

    async fn give_back(&mut self) -> Result<(), CallFailure> {
        crash_point!(ReturnNext);
        self.client.give_back(self.task()).await?;
        crash_point!(ReturnSent);
        self.log_given_back();
        self.step(PlanInput::Settled);
        Ok(())
    }

    async fn tell(&mut self, call: TaskCall, piece: LogPiece) -> Result<(), CallFailure> {
        // The end goes with the last piece, never before it: a Manager takes no state after the end, and people read the log
        // as soon as they see the end.
        let is_last = piece.told >= self.delivery.output();
        let activity = self.activity();
        let mut update = match call {
            // While a task is stopped on request, the original tells its log alone.
            TaskCall::PushRest => TaskUpdate::default(),
            _ => activity.update(),
        };
        update.task_status = match call {
            TaskCall::TellActive => Some(TaskStatus::Active),
            TaskCall::Finish if is_last => Some(self.status()),
            _ => None,
        };
        let note = if update.task_status.is_some_and(TaskStatus::is_over) { self.note() } else { String::new() };
        let parts: Vec<&str> = [piece.text.as_str(), &note].into_iter().filter(|part| !part.is_empty()).collect();
        update.log = (!parts.is_empty()).then(|| parts.join("\n"));
        self.client.update(self.task(), &update).await?;
        crash_point!(UpdateSent);
        self.told_activity = Some(activity);
        self.step(PlanInput::Told { output: piece.told });
        if call == TaskCall::Finish && is_last {
            self.facts.shared.remove_letters(self.facts.run).await;
            self.step(PlanInput::Settled);
        } else {
            // The journal is bounded and read as a whole, so nothing is kept of how far it was told.
            let told = ToldExtent { output: piece.told, journal: 0 };
            self.facts.shared.outbox.told(self.facts.run, told).await;
        }
        Ok(())
    }

    fn status(&self) -> TaskStatus {
        match &self.facts.end {
            Some(end) if end.outcome.success() => TaskStatus::Completed,
            _ => TaskStatus::Failed,
        }
    }

    /// Returns the lines of log about an end that the steps program has not logged itself.
    fn note(&self) -> String {
        let Some(end) = &self.facts.end else { return String::new() };
        let now = chrono::Utc::now();
        end.outcome.note().lines().map(|line| log_line(now, line)).collect::<Vec<_>>().join("\n")
    }

    /// Handles the failure of a call. Returns the pause before the next step.
    async fn failed(&mut self, call: TaskCall, failure: &CallFailure) -> Option<Pause> {
        match failure {
            CallFailure::Conflict => self.not_ours("the Manager has given the task to another worker (409)").await,
            // A proxy answers 404 too while the Manager behind it is away, and a Manager answers the question whether a
            // task may run for every id.
            CallFailure::NotFound => match self.client.may_keep_running(self.task()).await {
                Ok(_) => self.not_ours("the Manager does not know the task (404)").await,
                Err(failure) => Some(self.retry_later(&failure)),
            },
            // The session registers anew if this lasts. Until then the end of the task stays on disk.
            CallFailure::Unauthorised(_) => {
                self.log_retry(failure, PARKED);
                Some(Pause::For(PARKED))
            }
            CallFailure::TooLarge if self.piece > SMALLEST_PIECE => {
                self.piece /= 2;
                None
            }
            CallFailure::TooLarge | CallFailure::Rejected(_) | CallFailure::Elsewhere(_) => {
                self.rejected(call, failure).await
            }
            failure => Some(self.retry_later(failure)),
        }
    }

    fn retry_later(&mut self, failure: &CallFailure) -> Pause {
        let pause = self.backoff.next(failure.retry_after());
        self.log_retry(failure, pause);
        Pause::For(pause)
    }

    fn log_retry(&self, failure: &CallFailure, pause: Duration) {
        tracing::warn!(
            target: "job_runner_worker.models",
            run = %self.facts.run,
            task = self.task(),
            execution = self.facts.attempt.0,
            wait_s = (pause.as_secs_f64() * 10.0).round() / 10.0,
            error = %chain_of(failure),
            "report call failed; retrying"
        );
    }

    /// Ends the reports of a task that is not this worker's any more, and stops what still runs of it.
    async fn not_ours(&mut self, reason: &'static str) -> Option<Pause> {
        if self.delivery.is_given_back() {
            self.log_given_back();
        } else {
            self.facts.give_up("task", reason.to_owned()).await;
        }
        if !self.delivery.is_over() {
            self.facts.request(CourierRequest::Stop);
        }
        self.step(PlanInput::Abandoned);
        None
    }

    fn log_given_back(&self) {
        tracing::info!(
            target: "job_runner_worker.models",
            run = %self.facts.run,
            task = self.task(),
            execution = self.facts.attempt.0,
            "run was given back"
        );
    }

    /// Handles a rejection: after some in a row the log is left out, and then the update is given up.
    async fn rejected(&mut self, call: TaskCall, failure: &CallFailure) -> Option<Pause> {
        self.step(PlanInput::Rejected);
        if self.delivery.rejections() < REJECTIONS {
            let pause = self.backoff.next(None);
            self.log_retry(failure, pause);
            return Some(Pause::UntilTurn(pause));
        }
        let is_without_log = self.leaves_out_log || call == TaskCall::GiveBack;
        if is_without_log && self.delivery.is_over() {
            self.facts.give_up("task", failure.to_string()).await;
            self.step(PlanInput::Settled);
            return None;
        }
        // The log is what a Manager may find fault with; without it the end still counts.
        if !self.leaves_out_log {
            self.facts.give_up("log", failure.to_string()).await;
        }
        self.leaves_out_log = true;
        let pause = self.backoff.next(None);
        Some(Pause::UntilTurn(pause))
    }
}

impl Protocol for FlamencoProtocol {
    type Call = TaskCall;

    fn facts(&self) -> &RunFacts {
        &self.facts
    }

    fn learn(&mut self, event: DeliveryEvent) {
        match &event {
            DeliveryEvent::Claimed(_) => {}
            DeliveryEvent::Started(_) => self.step(PlanInput::Started),
            DeliveryEvent::Output(total) => self.step(PlanInput::Output(*total)),
            DeliveryEvent::Ended(end) => {
                self.step(PlanInput::Over { output: end.output, is_given_back: end.outcome.is_given_back() });
            }
            DeliveryEvent::Relaunched(_) => self.step(PlanInput::Relaunched),
        }
        self.facts.note(event);
    }

    fn next(&self) -> Next<TaskCall> {
        match self.delivery.next(Instant::now()) {
            Planned::Call(call) => Next::Call(call),
            Planned::Wait(until) => Next::Wait(until),
            Planned::Forget => Next::Forget,
        }
    }

    async fn perform(&mut self, call: TaskCall) -> Option<Pause> {
        let shared = Arc::clone(&self.facts.shared);
        let Ok(turn) = shared.turns.calling.acquire().await else { return None };
        let pause = self.call(call).await;
        drop(turn);
        pause
    }
}
