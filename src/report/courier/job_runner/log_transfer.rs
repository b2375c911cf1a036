//! Log transfer of a courier: appends to the log at the server, or sends it whole, shortened where it is too large.

use std::sync::Arc;

use tokio::time::Instant;

use super::super::super::delivery::DeliveryInput;
use super::super::super::plan;
use super::{JobRunnerProtocol, Outcome};
use crate::run::{chain_of, errno, excerpt};
use crate::upstream::CallFailure;

/// Smallest size in bytes to which a log that is too large is halved; below it only the marker is sent.
const SMALLEST_LOG: usize = 4096;

/// Extent of a log at the server, while the log was only appended to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AppendedLog {
    /// Bytes of output that the log represents.
    pub(super) output: u64,
    /// Bytes of text that were made of that output.
    pub(super) text: u64,
    /// Whether the text is empty or ends with a line feed.
    pub(super) ends_line: bool,
}

impl JobRunnerProtocol {
    pub(super) async fn send_live(&mut self) -> Result<Outcome, CallFailure> {
        if self.append().await? {
            return Ok(Outcome::Continues);
        }
        let Some((text, total)) = self.read_log().await else { return Ok(Outcome::OutputUnreadable) };
        self.put_log(&self.cut(text.clone())).await?;
        // Output that was not kept is not waited for, because it will not come.
        let output = self.delivery.extent().output;
        self.is_short = total < output;
        let interval = self.facts.shared.settings.borrow().log_update_interval;
        let next_at = Instant::now() + plan::pause(interval, text.len());
        self.step(DeliveryInput::LogUpdated { sent: total.max(output), next_at });
        Ok(Outcome::Continues)
    }

    /// Appends to the log the output that the server does not have, where the server takes that. Returns false where
    /// the log is to be sent whole.
    async fn append(&mut self) -> Result<bool, CallFailure> {
        // Taken out, because the length at the server is uncertain until the call is answered.
        let Some(known) = self.appended.take().filter(|_| self.client.has_uplink()) else { return Ok(false) };
        let limit = self.facts.shared.settings.borrow().max_log_bytes;
        let piece = self.facts.shared.logs.piece(self.facts.run, self.facts.attempt, known.output, plan::APPEND_BYTES);
        let Ok(Some(piece)) = piece else { return Ok(false) };
        let (text, whole) = excerpt::piece(&piece);
        let after = AppendedLog {
            output: known.output + whole as u64,
            text: known.text + text.len() as u64,
            ends_line: if text.is_empty() { known.ends_line } else { text.ends_with('\n') },
        };
        if after.text > limit {
            return Ok(false);
        }
        if whole > 0 {
            match self.client.append_log(self.claimed(), known.text, &text).await {
                Ok(path) => self.run_log = path.or(self.run_log.take()),
                Err(CallFailure::Rejected(_) | CallFailure::Unreachable(_)) => return Ok(false),
                Err(failure) => return Err(failure),
            }
        }
        self.appended = Some(after);
        // The run reports no more before there is more: neither of a character that is incomplete, nor of output that
        // was not kept. So both count as sent.
        let not_kept = if piece.is_empty() { self.delivery.extent().output } else { 0 };
        let sent = not_kept.max(known.output + piece.len() as u64);
        self.step(DeliveryInput::LogUpdated { sent, next_at: Instant::now() + plan::APPEND_PAUSE });
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
            if known.text + note.len() as u64 > self.facts.shared.settings.borrow().max_log_bytes {
                return Ok(false);
            }
            return match self.client.append_log(self.claimed(), known.text, &note).await {
                Ok(_) => Ok(true),
                Err(CallFailure::Rejected(_) | CallFailure::Unreachable(_)) => Ok(false),
                Err(failure) => Err(failure),
            };
        }
        Ok(false)
    }

    pub(super) async fn send_log(&mut self) -> Result<Outcome, CallFailure> {
        let Some(end) = &self.facts.end else { return Ok(Outcome::Continues) };
        let (note, expected) = (end.outcome.note(), end.output);
        if self.delivery.extent().sent == Some(expected) && note.is_empty() && self.appended.is_none() && !self.is_short
        {
            self.step(DeliveryInput::LogAccepted);
            return Ok(Outcome::Continues);
        }
        if expected > plan::APPEND_BYTES && self.append_rest(expected, &note).await? {
            crash_point!(LogSent);
            self.step(DeliveryInput::LogAccepted);
            return Ok(Outcome::Continues);
        }
        let Some((mut text, total)) = self.read_log().await else { return Ok(Outcome::OutputUnreadable) };
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
        self.step(DeliveryInput::LogAccepted);
        Ok(Outcome::Continues)
    }

    /// Reads the output as text. `None` where the system is short of something for the moment; where the file cannot be
    /// read at all, the text says so.
    async fn read_log(&self) -> Option<(String, u64)> {
        let (logs, run, attempt) = (Arc::clone(&self.facts.shared.logs), self.facts.run, self.facts.attempt);
        let limit = self.facts.shared.settings.borrow().max_log_bytes;
        // A short log is read in the time that it takes to find a thread for it.
        let read = if self.delivery.extent().output.max(self.facts.end.as_ref().map_or(0, |end| end.output)) < 65_536 {
            logs.text(run, attempt, limit)
        } else {
            tokio::task::spawn_blocking(move || logs.text(run, attempt, limit)).await.unwrap_or_else(|e| Err(e.into()))
        };
        let error = match read {
            Ok(read) => return Some(read),
            Err(error) => error,
        };
        tracing::error!(
            target: "job_runner_worker.worker",
            %run,
            attempt = self.facts.attempt_number(),
            execution = attempt.0,
            error = %chain_of(&error),
            "output cannot be read"
        );
        match error.raw_os_error().and_then(errno::shortage_of) {
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
            Some(path) => self.client.change_log(self.claimed(), path, text).await,
            None => match self.client.new_log(self.claimed(), text).await {
                Ok(Some(path)) => {
                    self.run_log = Some(path);
                    Ok(())
                }
                // The path is not known, so it is read before the log is changed.
                Ok(None) => {
                    if !self.delivery.is_over() {
                        self.step(DeliveryInput::CallInDoubt);
                    }
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
}
