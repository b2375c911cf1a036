//! Watching of a run: prints its log as it grows until the run has ended, across restarts of the server.

use std::io::Write;
use std::time::Duration;

use super::client::{FollowedLines, OperatorClient};
use super::exit::{BY_SIGNAL, CommandFailure, FAILURE, OK, TIMED_OUT, UNAVAILABLE, say, written};
use super::table::shown;
use crate::upstream::Backoff;
use crate::wire::operator::{FollowLine, RunInfo, RunStateName};

#[cfg(test)]
mod tests;

/// Tries to reconnect to a server that went away.
const TRIES: u32 = 8;
/// Text printed in place of a part of the log that is left out.
const GAP: &str = "\n[... left out ...]\n";

/// State of a command that watches a run.
#[derive(Debug)]
pub struct Watch {
    client: OperatorClient,
    run: i64,
    lines: Option<FollowedLines>,
    backoff: Backoff,
    position: Position,
    out: Output,
    /// Reason for which the run waits, as it was last printed.
    waits: Option<String>,
}

/// Position in the log of the present attempt.
#[derive(Debug, Default)]
struct Position {
    /// Attempt of the run, as the server last told it.
    attempt: u32,
    /// Attempt whose log is printed; 0 before the first text.
    printed_attempt: u32,
    /// Bytes of the log that were printed.
    printed: usize,
    /// Bytes of them that a new connection still sends again.
    again: usize,
}

impl Position {
    /// Takes a piece of the log and returns how many of its first bytes were printed before.
    fn take(&mut self, bytes: usize) -> usize {
        if self.printed_attempt == 0 {
            self.printed_attempt = self.attempt;
        }
        let known = self.again.min(bytes);
        self.again -= known;
        self.printed += bytes - known;
        known
    }

    /// Passes a gap and returns the text that is printed in its place. The log of another attempt is counted from its
    /// beginning.
    fn pass_gap(&mut self) -> String {
        // After a gap, the count of printed bytes no longer tells what is new.
        self.again = 0;
        if self.attempt == self.printed_attempt {
            return GAP.to_owned();
        }
        (self.printed, self.printed_attempt) = (0, self.attempt);
        format!("\n[... attempt {} ...]\n", self.attempt)
    }

    /// Begins again: a new connection sends the log from its beginning.
    fn begin_again(&mut self) {
        self.again = self.printed;
    }
}

/// State of stdout, to which the log is printed.
#[derive(Debug)]
enum Output {
    /// Stdout is open, so the log is printed.
    Open,
    /// The reader has closed the pipe: nothing more is printed.
    Closed,
    /// A write failed: nothing more is printed, and the failure is reported at the end.
    Failed(CommandFailure),
}

/// Event of a watched run.
#[derive(Debug)]
pub enum WatchEvent {
    /// The run has changed. An event with a run that has ended is the last one.
    Run(Box<RunInfo>),
    /// A piece of the log was printed.
    Log,
    /// The last piece could not be printed, and nothing more is.
    Closed,
}

impl Watch {
    /// Watches a run from its beginning.
    pub fn new(client: OperatorClient, run: i64) -> Self {
        Self {
            client,
            run,
            lines: None,
            backoff: Backoff::default(),
            position: Position::default(),
            out: Output::Open,
            waits: None,
        }
    }

    /// Returns the next event. Cancel-safe: may be dropped and called again.
    pub async fn next(&mut self) -> Result<WatchEvent, CommandFailure> {
        loop {
            let lines = match &mut self.lines {
                Some(lines) => lines,
                None => self.lines.insert(self.client.follow(self.run).await?),
            };
            match lines.next().await {
                Ok(Some(FollowLine::Run(run))) => {
                    self.backoff.reset();
                    self.position.attempt = run.attempt;
                    return Ok(WatchEvent::Run(run));
                }
                Ok(Some(FollowLine::Log(text))) => return Ok(self.print(&text)),
                Ok(Some(FollowLine::Gap | FollowLine::Replaced(_))) => {
                    let mark = self.position.pass_gap();
                    return Ok(self.write(mark.as_bytes()));
                }
                Ok(Some(FollowLine::Bye) | None) => self.reconnect(None).await?,
                Err(failure) if failure.code == UNAVAILABLE => self.reconnect(Some(failure)).await?,
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Prints the reason for which the run waits, if it has changed.
    pub fn print_wait_reason(&mut self, run: &RunInfo) {
        let waits = run.waits.as_ref().map(|waits| waits.text.clone());
        if let Some(why) = waits.as_ref().filter(|_| waits != self.waits) {
            say(format_args!("run {} waits: {}", run.id, shown(why)));
        }
        self.waits = waits;
    }

    /// Reconnects, with short pauses: a server that restarts is back soon.
    async fn reconnect(&mut self, failure: Option<CommandFailure>) -> Result<(), CommandFailure> {
        self.lines = None;
        self.position.begin_again();
        let mut last = failure;
        while self.backoff.tries() < TRIES {
            tokio::time::sleep(self.backoff.next(Some(Duration::from_millis(100)))).await;
            match self.client.follow(self.run).await {
                Ok(lines) => {
                    self.lines = Some(lines);
                    return Ok(());
                }
                Err(failure) if failure.code == UNAVAILABLE => last = Some(failure),
                Err(failure) => return Err(failure),
            }
        }
        Err(last.unwrap_or_else(|| CommandFailure::new(UNAVAILABLE, format!("{} went away", self.client.base()))))
    }

    fn print(&mut self, text: &str) -> WatchEvent {
        let known = self.position.take(text.len());
        self.write(&text.as_bytes()[known..])
    }

    fn write(&mut self, new: &[u8]) -> WatchEvent {
        if !matches!(self.out, Output::Open) {
            return WatchEvent::Log;
        }
        let mut out = std::io::stdout().lock();
        let Err(error) = out.write_all(new).and_then(|()| out.flush()) else { return WatchEvent::Log };
        self.out = written(Err(error)).map_or_else(Output::Failed, |()| Output::Closed);
        WatchEvent::Closed
    }

    /// Returns the exit code of a command that watched to the end and would exit with `code`. Lost output is an error,
    /// but a script's own exit code takes precedence.
    ///
    /// # Errors
    /// If the output could not be written and `code` is 0.
    pub fn end_with(self, code: u8) -> Result<u8, CommandFailure> {
        match self.out {
            Output::Failed(failure) if code == OK => Err(failure),
            Output::Failed(failure) => {
                say(&failure.message);
                Ok(code)
            }
            Output::Open | Output::Closed => Ok(code),
        }
    }
}

/// Returns the exit code for a run that has ended: the script's own, 128+n after signal n, 124 after a time limit.
pub fn exit_code(run: &RunInfo) -> u8 {
    let by_signal = |signal: i32| u8::try_from(signal).map_or(FAILURE, |signal| BY_SIGNAL.saturating_add(signal));
    match run.state {
        RunStateName::Succeeded => OK,
        RunStateName::TimedOut => TIMED_OUT,
        // A kill may come before the script started, when there is no signal to report; it counts as KILL.
        RunStateName::Killed => run.exit_signal.map_or_else(|| by_signal(9), by_signal),
        _ => match (run.exit_code, run.exit_signal) {
            // A failed run whose script exited with 0 must not look like a success.
            (Some(code), _) => u8::try_from(code).ok().filter(|code| *code != OK).unwrap_or(FAILURE),
            (None, Some(signal)) => by_signal(signal),
            (None, None) => FAILURE,
        },
    }
}
