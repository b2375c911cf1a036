//! Tells of a courier: one call that says all that is known of the run, in place of one for each of its start, log and
//! result.
//!
//! A tell is made while nothing of the run was rejected, and where the text of the log is certain: it begins at the byte up
//! to which the server has the log, and the server compares what it has from there on. So a tell whose answer was lost is
//! told again, with what has come since. Everything else is left to the single calls.

use tokio::time::Instant;

use super::super::super::delivery::DeliveryInput;
use super::super::super::plan::{self, NextCall, TellLog, TellPlan};
use super::log_transfer::AppendedLog;
use super::{JobRunnerProtocol, Outcome, Settlement};
use crate::run::{Event, excerpt};
use crate::upstream::CallFailure;
use crate::upstream::job_runner::RefusedTell;
use crate::wire::resources::RunPatch;
use crate::wire::uplink::{ELSEWHERE, TellPart};

/// Tell that is about to be made.
pub(super) struct Tell {
    plan: TellPlan,
    change: RunPatch,
    log: Option<LogText>,
}

/// Text of a log that is told.
struct LogText {
    /// Byte of the log at which the text begins.
    from: u64,
    text: String,
    /// Extent of the log at the server once the text is taken.
    after: AppendedLog,
    /// Bytes of output that count as sent then.
    sent: u64,
}

impl JobRunnerProtocol {
    /// Composes the tell of what is known now; `None` where the next call is made by itself.
    pub(super) fn tell_to_make(&self) -> Option<Tell> {
        if !self.client.takes_tells() {
            return None;
        }
        let mut plan = self.delivery.tell_plan(&self.conditions());
        let log = plan.log.and_then(|log| self.text_to_tell(log));
        if plan.log.is_some() && log.is_none() {
            plan = plan.before_log();
        }
        let change = self.change_to_tell(plan)?;
        (!plan.is_empty()).then_some(Tell { plan, change, log })
    }

    /// Returns the change of the run in a tell; `None` where a fact is not at hand.
    fn change_to_tell(&self, plan: TellPlan) -> Option<RunPatch> {
        let mut change = RunPatch::default();
        if plan.result {
            let end = self.facts.end.as_ref()?;
            // Without a start the server would take a run whose script was not started for one that still waits.
            let start = self.facts.start.is_none().then_some(end.at.as_str());
            change = RunPatch::result(self.time_of_return(end), end.outcome.success(), start);
            // Only a server that counts attempts knows the exit.
            if self.facts.claim.is_some() {
                change = change.with_exit(&end.outcome);
            }
        }
        if plan.start {
            let RunPatch { start_dts, pid, .. } =
                RunPatch::start(&self.facts.start.as_ref()?.at, Some(self.facts.start.as_ref()?.pid));
            change = RunPatch { start_dts, pid, ..change };
        }
        Some(change)
    }

    /// Returns the text of the log that the server does not have; `None` where the log is sent in another way: it is long,
    /// part of it was not kept, or it is not certain what the server has.
    fn text_to_tell(&self, log: TellLog) -> Option<LogText> {
        let known = self.appended.filter(|_| self.log_cap.is_none() && !self.is_short)?;
        let piece = self
            .facts
            .shared
            .logs
            .piece(self.facts.run, self.facts.attempt, known.output, plan::APPEND_BYTES)
            .ok()??;
        let (mut text, mut whole) = excerpt::piece(&piece);
        let sent = known.output + piece.len() as u64;
        match log {
            // Neither an incomplete character nor output that was not kept is told while the run lasts.
            TellLog::Live if whole == 0 => return None,
            TellLog::Live => {}
            TellLog::Whole => {
                let end = self.facts.end.as_ref()?;
                if sent != end.output {
                    return None;
                }
                text.push_str(&String::from_utf8_lossy(&piece[whole..]));
                whole = piece.len();
                let ends_line = if text.is_empty() { known.ends_line } else { text.ends_with('\n') };
                let note = end.outcome.note();
                if !note.is_empty() && !ends_line {
                    text.push('\n');
                }
                text.push_str(&note);
            }
        }
        let after = AppendedLog {
            output: known.output + whole as u64,
            text: known.text + text.len() as u64,
            ends_line: if text.is_empty() { known.ends_line } else { text.ends_with('\n') },
        };
        let limit = self.facts.shared.settings.borrow().max_log_bytes;
        (after.text <= limit).then_some(LogText { from: known.text, text, after, sent })
    }

    /// Makes a tell in place of the call `first`. Returns the outcome, and the call that it is the outcome of.
    pub(super) async fn tell(&mut self, first: NextCall, tell: Tell) -> (NextCall, Result<Outcome, CallFailure>) {
        if tell.plan.result {
            crash_point!(ReturnNext);
        }
        let log = tell.log.as_ref().map(|log| (log.from, log.text.as_str()));
        match self.client.tell_run(self.claimed(), &tell.change, log).await {
            Ok(path) => {
                self.run_log = path.or(self.run_log.take());
                (first, Ok(self.told(&tell, None)))
            }
            // The connection is gone, and nothing was sent.
            Err(RefusedTell { part: None, failure: CallFailure::Unreachable(_) }) => (first, self.perform(first).await),
            Err(RefusedTell { part: None, failure }) => {
                if tell.plan.result && failure.is_ambiguous() {
                    self.step(DeliveryInput::ResultFailed);
                }
                (first, Err(failure))
            }
            Err(RefusedTell { part: Some(part), failure }) => {
                self.told(&tell, Some(part));
                self.part_refused(first, &tell, part, failure)
            }
        }
    }

    /// Records the parts that the server has taken: all of them, or those before the one that it refused.
    fn told(&mut self, tell: &Tell, refused: Option<TellPart>) -> Outcome {
        let is_taken = |part| refused.is_none_or(|refused| part < refused);
        if tell.plan.start && is_taken(TellPart::Start) {
            crash_point!(StartSent);
            self.event_publisher.tell(Event::RunStarted(self.facts.run));
            self.step(DeliveryInput::StartAccepted);
        }
        if let Some(log) = tell.log.as_ref().filter(|_| is_taken(TellPart::Log)) {
            self.appended = Some(log.after);
            match tell.plan.log {
                Some(TellLog::Whole) => {
                    crash_point!(LogSent);
                    self.step(DeliveryInput::LogAccepted);
                }
                Some(TellLog::Live) | None => {
                    let next_at = Instant::now() + plan::APPEND_PAUSE;
                    self.step(DeliveryInput::LogUpdated { sent: log.sent, next_at });
                }
            }
        }
        if tell.plan.result && refused.is_none() {
            crash_point!(ReturnSent);
            return Outcome::Settled(Settlement::Delivered);
        }
        Outcome::Continues
    }

    /// Returns the outcome of the single call that stands for a refused part.
    fn part_refused(
        &mut self,
        first: NextCall,
        tell: &Tell,
        part: TellPart,
        failure: CallFailure,
    ) -> (NextCall, Result<Outcome, CallFailure>) {
        let call = match (part, tell.plan.log) {
            (TellPart::Start, _) => first,
            (TellPart::Log, Some(TellLog::Live)) => NextCall::SendLive,
            (TellPart::Log, _) => NextCall::SendLog,
            (TellPart::Result, _) => NextCall::Return,
        };
        // The log at the server is another one, or is not to become so long: it is sent whole.
        if part == TellPart::Log && matches!(failure, CallFailure::Rejected(ELSEWHERE) | CallFailure::TooLarge) {
            self.appended = None;
            return (call, Ok(Outcome::Continues));
        }
        (call, Err(failure))
    }
}
