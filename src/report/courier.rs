//! Courier of one run: reports its start, its log and its result to the server, in this order.
//!
//! A courier makes one call at a time, so two writes of one run are never under way together. A failure of its run or
//! of the connection delays no other run. After the accepted result no call is made any more.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::Instant;

use super::courier_request::{CourierRequest, DeliveryEvent};
use super::entry::{DeadLetter, OutboxEntry, Start, StoredEnd};
use super::plan::{self, Knowledge, NextCall, Parts, REJECTIONS};
use super::reporter_handle::ReporterHandle;
use crate::rest::{AttemptClaim, Backoff, CallFailure, ToldResult};
use crate::run::claim::RunSight;
use crate::run::{Attempt, Event, RunId, excerpt, shortage};
use crate::wire::time;

/// Pause of a courier while the server refuses the API key or the secret.
const PARKED: Duration = Duration::from_secs(30);
/// Pause of a courier whose log cannot be read for want of file descriptors or memory.
const SHORTAGE: Duration = Duration::from_secs(2);
/// Smallest size in bytes to which a log that is too large is halved; below it only the marker is sent.
const SMALLEST_LOG: usize = 4096;

pub(super) struct Courier {
    desk: Arc<ReporterHandle>,
    run: RunId,
    attempt: Attempt,
    claim: Option<Attempt>,
    run_log: Option<String>,
    start: Option<Start>,
    end: Option<StoredEnd>,
    known: Knowledge,
    news: mpsc::Receiver<DeliveryEvent>,
    asks: mpsc::Sender<CourierRequest>,
    backoff: Backoff,
    /// Reason for which the server last rejected the log.
    log_refusal: Option<String>,
    /// Whether part of the output that the run reported was not kept.
    is_short: bool,
    /// Extent of the log at the server, while the log was only appended to; `None` once that is not certain.
    appended: Option<Appended>,
    /// Most bytes of log that the server takes, as far as its answers showed; `None` before it called a log too large.
    log_cap: Option<usize>,
    /// Turn among the runs that are delivered at once; `None` where none is needed, or after something went wrong.
    turn: Option<OwnedSemaphorePermit>,
}

/// Extent of a log at the server.
#[derive(Clone, Copy, Debug)]
struct Appended {
    /// Bytes of output that the log represents.
    output: u64,
    /// Bytes of text that were made of that output.
    text: u64,
    /// Whether the text is empty or ends with a line feed.
    ends_line: bool,
}

/// Consequence of a call.
enum Step {
    On,
    /// The output cannot be read at the moment.
    Later,
    /// The result is with the server.
    Delivered,
    /// The run is back with the server.
    GivenBack,
    /// The server ended the run by itself, or does not know it any more: no further call is made.
    Moot(&'static str),
    /// The run does not belong to this worker.
    NotOurs,
}

impl Courier {
    pub(super) fn new(
        desk: Arc<ReporterHandle>,
        entry: &OutboxEntry,
        doubt: bool,
        news: mpsc::Receiver<DeliveryEvent>,
        asks: mpsc::Sender<CourierRequest>,
    ) -> Self {
        let known = Knowledge { doubt, started: entry.start.is_some(), ..Knowledge::default() };
        let known = match &entry.end {
            Some(end) => Knowledge { ended: true, given_back: end.outcome.is_given_back(), ..known },
            None => known,
        };
        Self {
            desk,
            run: entry.run,
            attempt: entry.attempt,
            claim: entry.claim,
            run_log: entry.run_log.clone(),
            start: entry.start.clone(),
            end: entry.end.clone(),
            known,
            news,
            asks,
            backoff: Backoff::default(),
            log_refusal: None,
            is_short: false,
            // Only of a log that does not exist yet is the length at the server certain.
            appended: entry.run_log.is_none().then_some(Appended { output: 0, text: 0, ends_line: true }),
            log_cap: None,
            turn: None,
        }
    }

    /// Holds a turn among the runs that are delivered at once, until something goes wrong.
    pub(super) fn in_turn(self, turn: Option<OwnedSemaphorePermit>) -> Self {
        Self { turn, ..self }
    }

    /// Delivers until everything is reported, or until the run's side is dropped before its end.
    pub(super) async fn go(mut self) {
        loop {
            while let Ok(news) = self.news.try_recv() {
                self.learn(news);
            }
            self.known.long_silent = self.desk.client.health().since_ping().is_none_or(|since| since > plan::TRUSTED);
            let live = !self.desk.settings.borrow().log_update_interval.is_zero();
            let step = match self.known.next(Instant::now(), live) {
                _ if self.desk.leave.is_cancelled() => return,
                NextCall::Wait(until) => {
                    if !self.wait(until).await {
                        return;
                    }
                    Step::On
                }
                NextCall::Watch => {
                    self.known.watching = true;
                    let _ = self.asks.try_send(CourierRequest::Watch(self.known.output_sent.unwrap_or(0)));
                    Step::On
                }
                call => self.call(call).await,
            };
            match step {
                // The run belongs to another worker by now, or to none: that is the purpose of giving it back.
                Step::GivenBack | Step::Moot(_) | Step::NotOurs if self.known.given_back => {
                    tracing::info!(target: "job_runner_worker.models", "run {} is given back", self.run);
                    return self.forget().await;
                }
                Step::On => {}
                Step::Later => self.rest(SHORTAGE).await,
                Step::Delivered => {
                    self.settle_letters().await;
                    self.desk.events.tell(Event::RunReturned(self.run));
                    return self.forget().await;
                }
                Step::Moot(why) => {
                    self.dead_letter("result", why.to_owned()).await;
                    self.last_news().await;
                    return self.forget().await;
                }
                Step::NotOurs => {
                    self.dead_letter("result", "the server says that the run belongs to another worker".to_owned())
                        .await;
                    let _ = self.asks.try_send(CourierRequest::Stop);
                    self.last_news().await;
                    return self.forget().await;
                }
                Step::GivenBack => return,
            }
        }
    }

    fn learn(&mut self, news: DeliveryEvent) {
        match news {
            DeliveryEvent::Claimed(claim) => self.claim = claim,
            DeliveryEvent::Started(start) => {
                self.known.started = true;
                self.start = Some(start);
            }
            DeliveryEvent::Output(total) => {
                self.known.watching = false;
                self.known.output = total;
            }
            DeliveryEvent::Ended(end) => {
                (self.known.ended, self.known.given_back) = (true, end.outcome.is_given_back());
                self.end = Some(end);
            }
            DeliveryEvent::Relaunched(entry) => {
                // A lost execution may have appended to the log, so its length is not certain any more.
                (self.attempt, self.claim, self.appended) = (entry.attempt, entry.claim, None);
                self.start = None;
                self.known = Knowledge { doubt: self.known.doubt, ..Knowledge::default() };
            }
        }
    }

    /// Waits for an event of the run, or for an instant. Returns false where no event can come any more.
    async fn wait(&mut self, until: Option<Instant>) -> bool {
        let timer = async {
            match until {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            news = self.news.recv() => match news {
                Some(news) => self.learn(news),
                None => return false,
            },
            () = timer => {}
            () = self.desk.leave.cancelled() => {}
        }
        true
    }

    /// Waits for the end of a run of which no more is reported: only then may its files and its row be removed.
    async fn last_news(&mut self) {
        while !self.known.ended {
            tokio::select! {
                news = self.news.recv() => match news {
                    Some(news) => self.learn(news),
                    None => return,
                },
                () = self.desk.leave.cancelled() => return,
            }
        }
    }

    async fn forget(self) {
        if self.known.ended {
            // The files go first: a full disk may need their space to remove the row.
            self.desk.logs.forget(self.run, self.attempt);
            crash_point!(RecordRemoved);
            self.desk.outbox.forget_run(self.run).await;
            crash_point!(RowRemoved);
        }
    }

    async fn call(&mut self, call: NextCall) -> Step {
        let desk = Arc::clone(&self.desk);
        let Ok(turn) = desk.talking.acquire().await else { return Step::On };
        let answer = self.perform(call).await;
        drop(turn);
        match answer {
            Ok(step) => {
                // A read between two tries does not make a new write of the one that keeps failing.
                if call != NextCall::Look {
                    self.backoff.reset();
                    self.known.accept(call);
                }
                step
            }
            Err(failure) => self.failed(call, failure).await,
        }
    }

    async fn perform(&mut self, call: NextCall) -> Result<Step, CallFailure> {
        match call {
            NextCall::Look => self.look().await,
            NextCall::TellStart => self.tell_start().await,
            NextCall::SendLive => self.send_live().await,
            NextCall::SendLog => self.send_log().await,
            NextCall::Return => self.tell_result().await,
            NextCall::GiveBack => self.give_back().await,
            NextCall::Watch | NextCall::Wait(_) => Ok(Step::On),
        }
    }

    async fn look(&mut self) -> Result<Step, CallFailure> {
        let view = self.desk.client.look(self.run).await?;
        self.known.doubt = false;
        self.known.looked = self.known.ended;
        self.run_log = view.run_log;
        match view.seen {
            _ if self.known.given_back && view.seen != RunSight::Ours => Ok(Step::GivenBack),
            RunSight::Returned if self.known.ended => Ok(Step::Delivered),
            RunSight::Returned => Ok(Step::Moot("the server ended the run before its script did")),
            RunSight::Theirs | RunSight::NotForUs => Ok(Step::NotOurs),
            RunSight::Gone => Ok(Step::Moot("the server does not know the run any more")),
            RunSight::Ours if self.claim.is_some_and(|mine| view.attempt.is_some_and(|now| now != mine)) => {
                Ok(Step::NotOurs)
            }
            RunSight::Ours | RunSight::Free => {
                if view.seen == RunSight::Ours {
                    self.claim = view.attempt;
                }
                // A start at the server may be that of an execution that was lost; only the first execution's is
                // certainly this one.
                self.known.start_told |= self.known.started && self.attempt == Attempt::FIRST && view.started;
                Ok(Step::On)
            }
        }
    }

    async fn tell_start(&mut self) -> Result<Step, CallFailure> {
        if let Some(start) = &self.start {
            let pid = (self.known.parts_of_start() == Parts::All).then_some(start.pid);
            self.desk.client.tell_start(self.claimed(), &start.at, pid).await?;
            crash_point!(StartSent);
            self.desk.events.tell(Event::RunStarted(self.run));
        }
        self.known.start_told = true;
        Ok(Step::On)
    }

    async fn send_live(&mut self) -> Result<Step, CallFailure> {
        if self.append().await? {
            return Ok(Step::On);
        }
        let Some((text, total)) = self.read_log().await else { return Ok(Step::Later) };
        self.put_log(&self.cut(text.clone())).await?;
        // Output that was not kept is not waited for, because it will not come.
        self.is_short = total < self.known.output;
        self.known.output_sent = Some(total.max(self.known.output));
        let interval = self.desk.settings.borrow().log_update_interval;
        self.known.live_from = Some(Instant::now() + plan::pause(interval, text.len()));
        Ok(Step::On)
    }

    /// Appends to the log the output that the server does not have, where the server takes that. Returns false where
    /// the log is to be sent whole.
    async fn append(&mut self) -> Result<bool, CallFailure> {
        // Taken out, because the length at the server is uncertain until the call is answered.
        let Some(known) = self.appended.take().filter(|_| self.desk.client.has_uplink()) else { return Ok(false) };
        let limit = self.desk.settings.borrow().max_log_bytes;
        let piece = self.desk.logs.piece(self.run, self.attempt, known.output, plan::APPEND_BYTES);
        let Ok(Some(piece)) = piece else { return Ok(false) };
        let (text, whole) = excerpt::piece(&piece);
        let after = Appended {
            output: known.output + whole as u64,
            text: known.text + text.len() as u64,
            ends_line: if text.is_empty() { known.ends_line } else { text.ends_with('\n') },
        };
        if after.text > limit {
            return Ok(false);
        }
        if whole > 0 {
            match self.desk.client.append_log(self.claimed(), known.text, &text).await {
                Ok(path) => self.run_log = path.or(self.run_log.take()),
                Err(CallFailure::Rejected(_) | CallFailure::Unreachable(_)) => return Ok(false),
                Err(failure) => return Err(failure),
            }
        }
        self.appended = Some(after);
        // The run reports no more before there is more: neither of a character that is incomplete, nor of output that
        // was not kept. So both count as sent.
        let heard = if piece.is_empty() { self.known.output } else { 0 };
        self.known.output_sent = Some(heard.max(known.output + piece.len() as u64));
        self.known.live_from = Some(Instant::now() + plan::APPEND_PAUSE);
        Ok(true)
    }

    /// Appends the rest of a long log and the note after it, in pieces, so that neither side has to hold all of it at
    /// once. Returns false where the log is to be sent whole.
    async fn append_rest(&mut self, expected: u64, note: &str) -> Result<bool, CallFailure> {
        while let Some(known) = self.appended {
            if known.output < expected {
                if !self.append().await? || self.appended.is_some_and(|after| after.output == known.output) {
                    return Ok(false);
                }
                continue;
            }
            let note = match (note, known.ends_line) {
                ("", _) => return Ok(true),
                (note, true) => note.to_owned(),
                (note, false) => format!("\n{note}"),
            };
            // No more appends follow the note, whatever the answer.
            self.appended = None;
            if known.text + note.len() as u64 > self.desk.settings.borrow().max_log_bytes {
                return Ok(false);
            }
            return match self.desk.client.append_log(self.claimed(), known.text, &note).await {
                Ok(_) => Ok(true),
                Err(CallFailure::Rejected(_) | CallFailure::Unreachable(_)) => Ok(false),
                Err(failure) => Err(failure),
            };
        }
        Ok(false)
    }

    async fn send_log(&mut self) -> Result<Step, CallFailure> {
        let Some(end) = &self.end else { return Ok(Step::On) };
        let (note, expected) = (end.outcome.note(), end.output);
        if self.known.output_sent == Some(expected) && note.is_empty() && self.appended.is_none() && !self.is_short {
            self.known.log_sent = true;
            return Ok(Step::On);
        }
        if expected > plan::APPEND_BYTES && self.append_rest(expected, &note).await? {
            crash_point!(LogSent);
            self.known.log_sent = true;
            return Ok(Step::On);
        }
        let Some((mut text, total)) = self.read_log().await else { return Ok(Step::Later) };
        if !note.is_empty() {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            text.push_str(&note);
        }
        if total < expected {
            text.push_str(&format!("\n[job runner worker] {} bytes of output could not be kept.\n", expected - total));
        }
        self.put_log(&self.cut(text)).await?;
        crash_point!(LogSent);
        self.known.log_sent = true;
        Ok(Step::On)
    }

    async fn tell_result(&mut self) -> Result<Step, CallFailure> {
        let Some(end) = &self.end else { return Ok(Step::On) };
        // The wall clock may have been set back meanwhile; a run must not return before it starts.
        let at = self.start.as_ref().map_or(&end.at, |start| (&start.at).max(&end.at));
        let parts = self.known.parts_of_result();
        // Without a start the server would take the run for one that still waits.
        let start = match &self.start {
            None => Some(end.at.as_str()),
            Some(start) if !self.known.start_told && parts != Parts::ResultAlone => Some(start.at.as_str()),
            Some(_) => None,
        };
        let outcome = if parts == Parts::All {
            ToldResult::Exit(&end.outcome)
        } else {
            ToldResult::Success(end.outcome.success())
        };
        crash_point!(ReturnNext);
        self.desk.client.tell_result(self.claimed(), at, outcome, start).await?;
        crash_point!(ReturnSent);
        Ok(Step::Delivered)
    }

    async fn give_back(&mut self) -> Result<Step, CallFailure> {
        crash_point!(ReturnNext);
        self.desk.client.give_back(self.claimed()).await?;
        crash_point!(ReturnSent);
        Ok(Step::GivenBack)
    }

    fn claimed(&self) -> AttemptClaim {
        AttemptClaim { run: self.run, attempt: self.claim }
    }

    /// Reads the output as text. `None` where the system is short of something for the moment; where the file cannot be
    /// read at all, the text says so.
    async fn read_log(&self) -> Option<(String, u64)> {
        let (logs, run, attempt) = (Arc::clone(&self.desk.logs), self.run, self.attempt);
        let limit = self.desk.settings.borrow().max_log_bytes;
        // A short log is read in the time that it takes to find a thread for it.
        let read = if self.known.output.max(self.end.as_ref().map_or(0, |end| end.output)) < 65_536 {
            logs.text(run, attempt, limit)
        } else {
            tokio::task::spawn_blocking(move || logs.text(run, attempt, limit)).await.unwrap_or_else(|e| Err(e.into()))
        };
        let error = match read {
            Ok(read) => return Some(read),
            Err(error) => error,
        };
        tracing::error!(target: "job_runner_worker.worker", "the output of run {run} cannot be read: {error}");
        match error.raw_os_error().and_then(shortage::of_errno) {
            Some(_) => None,
            None => Some((format!("[job runner worker] The output cannot be read: {error}\n"), 0)),
        }
    }

    fn cut(&self, text: String) -> String {
        match self.log_cap {
            None => text,
            Some(0) => excerpt::MARKER.to_owned(),
            Some(cap) => excerpt::shortened(&text, cap),
        }
    }

    async fn put_log(&mut self, text: &str) -> Result<(), CallFailure> {
        let put = match &self.run_log {
            Some(path) => self.desk.client.change_log(self.claimed(), path, text).await,
            None => match self.desk.client.new_log(self.claimed(), text).await {
                Ok(Some(path)) => {
                    self.run_log = Some(path);
                    Ok(())
                }
                // The path is not known, so it is read before the log is changed.
                Ok(None) => {
                    self.known.doubt = !self.known.ended;
                    Ok(())
                }
                Err(failure) => Err(failure),
            },
        };
        if matches!(put, Err(CallFailure::TooLarge)) {
            let cap = self.log_cap.unwrap_or(text.len()) / 2;
            self.log_cap = Some(if cap < SMALLEST_LOG { 0 } else { cap });
            if text == excerpt::MARKER {
                return Err(CallFailure::Rejected(413));
            }
        }
        put
    }

    async fn failed(&mut self, call: NextCall, failure: CallFailure) -> Step {
        let run = self.run;
        match &failure {
            CallFailure::TooLarge if matches!(call, NextCall::SendLive | NextCall::SendLog) => return Step::On,
            CallFailure::Unauthorised(_) => return self.unauthorised().await,
            CallFailure::Conflict => return Step::NotOurs,
            CallFailure::NotFound if matches!(call, NextCall::SendLive | NextCall::SendLog) && !self.known.doubt => {
                // Either the log was deleted, or the whole run: the next read tells.
                (self.known.doubt, self.run_log) = (true, None);
                return self.rejected(call, &failure).await;
            }
            // A proxy answers 404 too while the API behind it is away, so the answer counts only if the API accepts the
            // credentials.
            CallFailure::NotFound if self.desk.client.credentials().await.is_ok() => {
                return Step::Moot("the server does not know the run any more");
            }
            CallFailure::TooLarge if call == NextCall::Look => {}
            CallFailure::Rejected(_) | CallFailure::TooLarge | CallFailure::Elsewhere(_) => {
                return self.rejected(call, &failure).await;
            }
            _ if failure.is_ambiguous() && call != NextCall::Look => self.known.doubt = true,
            _ => {}
        }
        if call == NextCall::Return {
            // By the next try the server may have changed the run, so a worker that was silent for long reads it again.
            self.known.looked = false;
        }
        let pause = self.backoff.next(failure.retry_after());
        tracing::warn!(
            target: "job_runner_worker.models",
            "run {run}: {failure}; attempt {} in {:.1} s",
            self.backoff.tries() + 1,
            pause.as_secs_f64()
        );
        self.rest(pause).await;
        Step::On
    }

    /// Handles a 401 or 403: it is about this run, unless the server refuses the worker's credentials altogether.
    async fn unauthorised(&mut self) -> Step {
        match self.desk.client.credentials().await {
            Ok(()) => Step::NotOurs,
            Err(CallFailure::Unauthorised(_)) => {
                tracing::error!(
                    target: "job_runner_worker.models",
                    "the server refuses our api_key and secret; results wait on disk, asking again in {} s",
                    PARKED.as_secs()
                );
                self.rest(PARKED).await;
                Step::On
            }
            Err(failure) => {
                let pause = self.backoff.next(failure.retry_after());
                self.rest(pause).await;
                Step::On
            }
        }
    }

    /// Handles a rejection by a server that is well: the call is made again, for as long as it takes, and a part that
    /// may be left out does not hold up the rest.
    async fn rejected(&mut self, call: NextCall, failure: &CallFailure) -> Step {
        if self.known.times_rejected(call) == 0 {
            // The first rejection of another part of the report, which may fare better.
            self.backoff.reset();
        }
        let pause = self.backoff.next(None);
        let waits = self.known.reject(call, Instant::now() + pause);
        self.known.looked &= call != NextCall::Return;
        match call {
            NextCall::TellStart if self.known.rejected.start == REJECTIONS => self.say_kept("start", failure),
            NextCall::SendLog => {
                // The server may have part of the log by now, but not all of it.
                (self.known.output_sent, self.log_refusal) = (None, Some(failure.to_string()));
                if self.known.rejected.log == REJECTIONS && self.known.rejected.result == 0 {
                    self.say_kept("log", failure);
                }
            }
            NextCall::Return | NextCall::GiveBack if self.known.rejected.result == REJECTIONS => {
                self.say_kept("result", failure);
                self.keep_letter("result", failure.to_string()).await;
            }
            NextCall::SendLive if self.known.rejected.live == REJECTIONS => self.say_kept("live log", failure),
            _ => tracing::debug!(target: "job_runner_worker.models", "run {}: {call:?}: {failure}", self.run),
        }
        if waits {
            self.rest(pause).await;
            self.desk.turn_to_retry().await;
        }
        Step::On
    }

    fn say_kept(&self, what: &str, failure: &CallFailure) {
        let run = self.run;
        tracing::error!(
            target: "job_runner_worker.models",
            "run {run}: its {what} is rejected: {failure}; it is kept and told again"
        );
    }

    /// Settles the dead letters of a run whose result the server has: the result's is removed, and a log that was left
    /// out becomes one.
    async fn settle_letters(&mut self) {
        self.desk.delivered(self.run).await;
        if let Some(reason) = self.log_refusal.take().filter(|_| !self.known.log_sent) {
            self.dead_letter("log", reason).await;
        }
    }

    async fn dead_letter(&self, what: &'static str, reason: String) {
        tracing::error!(target: "job_runner_worker.models", "run {}: its {what} is given up: {reason}", self.run);
        self.keep_letter(what, reason).await;
    }

    async fn keep_letter(&self, what: &'static str, reason: String) {
        let at = time::sent(chrono::Utc::now());
        self.desk.give_up(DeadLetter { at, run: self.run, what: what.to_owned(), reason }).await;
    }

    /// Waits, and takes in events meanwhile. A retry that the operator asks for ends the wait.
    async fn rest(&mut self, pause: Duration) {
        // A courier that has to wait makes room for another run.
        self.turn = None;
        let mut retries = self.desk.retries.subscribe();
        let over = tokio::time::sleep(pause);
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = &mut over => return,
                Some(news) = self.news.recv() => self.learn(news),
                Ok(()) = retries.changed() => return,
                () = self.desk.leave.cancelled() => return,
            }
        }
    }
}
