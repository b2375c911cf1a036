//! A run is watched: its log is printed as it grows, until it is over.

use std::io::Write;
use std::time::Duration;

use super::client::{FollowedLines, OperatorClient};
use super::exit::{BY_SIGNAL, CommandFailure, FAILURE, OK, TIMED_OUT, UNAVAILABLE, say, written};
use super::table::shown;
use crate::rest::Backoff;
use crate::wire::operator::{FollowLine, RunInfo, RunStateName};

#[cfg(test)]
mod tests;

/// How often a server that went away is looked for again before it is given up.
const TRIES: u32 = 8;
/// What stands where something of a log is left out.
const GAP: &str = "\n[... left out ...]\n";

/// Somebody who watches.
#[derive(Debug)]
pub struct Watch {
    client: OperatorClient,
    run: i64,
    lines: Option<FollowedLines>,
    backoff: Backoff,
    /// How many bytes of log were printed, and how many of them come again on a new connection.
    printed: usize,
    again: usize,
    out: Output,
    /// Why the run waits, as far as that was said.
    waits: Option<String>,
}

/// What became of the output so far.
#[derive(Debug)]
enum Output {
    /// Somebody reads it.
    Open,
    /// Nobody reads any more: what follows is not printed.
    Closed,
    /// It could not be written: what follows is not printed.
    Failed(CommandFailure),
}

/// What happened.
#[derive(Debug)]
pub enum WatchEvent {
    /// The run changed. One that is over is the last.
    Run(Box<RunInfo>),
    /// Something was printed.
    Log,
    /// What was printed did not arrive, and nothing more is printed.
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
            printed: 0,
            again: 0,
            out: Output::Open,
            waits: None,
        }
    }

    /// What happens next. May be dropped and asked again.
    pub async fn next(&mut self) -> Result<WatchEvent, CommandFailure> {
        loop {
            let lines = match &mut self.lines {
                Some(lines) => lines,
                None => self.lines.insert(self.client.follow(self.run).await?),
            };
            match lines.next().await {
                Ok(Some(FollowLine::Run(run))) => {
                    self.backoff.reset();
                    return Ok(WatchEvent::Run(run));
                }
                Ok(Some(FollowLine::Log(text))) => return Ok(self.print(&text)),
                Ok(Some(FollowLine::Gap | FollowLine::Replaced(_))) => {
                    // What was printed is no measure any more.
                    self.again = 0;
                    return Ok(self.print(GAP));
                }
                Ok(Some(FollowLine::Bye) | None) => self.begin_again(None).await?,
                Err(failure) if failure.code == UNAVAILABLE => self.begin_again(Some(failure)).await?,
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Says why the run waits, where that has changed.
    pub fn say_waits(&mut self, run: &RunInfo) {
        let waits = run.waits.as_ref().map(|waits| waits.text.clone());
        if let Some(why) = waits.as_ref().filter(|_| waits != self.waits) {
            say(format_args!("run {} waits: {}", run.id, shown(why)));
        }
        self.waits = waits;
    }

    /// A server that restarts is back soon.
    async fn begin_again(&mut self, failure: Option<CommandFailure>) -> Result<(), CommandFailure> {
        self.lines = None;
        self.again = self.printed;
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
        let known = self.again.min(text.len());
        self.again -= known;
        let new = &text.as_bytes()[known..];
        self.printed += new.len();
        if !matches!(self.out, Output::Open) {
            return WatchEvent::Log;
        }
        let mut out = std::io::stdout().lock();
        let Err(error) = out.write_all(new).and_then(|()| out.flush()) else { return WatchEvent::Log };
        self.out = written(Err(error)).map_or_else(Output::Failed, |()| Output::Closed);
        WatchEvent::Closed
    }

    /// The exit code of a command that watched to the end and would exit with `code`: output that was lost is an
    /// error, but says less than a script's own.
    ///
    /// # Errors
    /// That the output could not be written.
    pub fn conclude(self, code: u8) -> Result<u8, CommandFailure> {
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

/// The exit code of a run that is over.
pub fn exit_code(run: &RunInfo) -> u8 {
    let by_signal = |signal: i32| u8::try_from(signal).map_or(FAILURE, |signal| BY_SIGNAL.saturating_add(signal));
    match run.state {
        RunStateName::Succeeded => OK,
        RunStateName::TimedOut => TIMED_OUT,
        RunStateName::Killed => run.exit_signal.map_or_else(|| by_signal(9), by_signal),
        _ => match (run.exit_code, run.exit_signal) {
            (Some(code), _) => u8::try_from(code).ok().filter(|code| *code != OK).unwrap_or(FAILURE),
            (None, Some(signal)) => by_signal(signal),
            (None, None) => FAILURE,
        },
    }
}
