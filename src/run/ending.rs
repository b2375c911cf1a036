//! Ending of an execution: the state machine of the shim, from the start of the script to its outcome.
//!
//! Ending is a path of states, not one blocking call: every wait has a timer, and other inputs are handled meanwhile.
//! The first cause wins, signals only escalate from TERM to KILL, and [`Effect::Finish`] comes exactly once and last.

use super::{Cause, Left, LeftoverPolicy, Outcome, ProcessExit};

#[cfg(test)]
mod tests;

/// Phase of an execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndingPhase {
    /// No process of the script runs yet.
    Starting,
    /// The main process runs.
    Running(Output),
    /// TERM was sent to the tree, and the grace period runs.
    Stopping {
        /// Reason for stopping the run; `None` where the script had ended by itself and only its leftovers are stopped.
        cause: Option<Cause>,
        /// Exit of the main process; `None` while it runs.
        main: Option<ProcessExit>,
    },
    /// KILL was sent to the tree, and its last process is awaited.
    Killing {
        /// Reason for stopping the run; `None` where the script had ended by itself and only its leftovers are stopped.
        cause: Option<Cause>,
        /// Exit of the main process; `None` while it runs.
        main: Option<ProcessExit>,
    },
    /// The main process ended, but another process still holds its output open.
    Closing(ProcessExit),
    /// The execution is over and its outcome is known.
    Finished(Outcome),
}

/// State of the pipe that carries the script's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// At least one process can still write to the pipe.
    Open,
    /// No process can write to the pipe any more.
    Closed,
}

/// Survivors in the process tree at the moment of an input, apart from the main process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Company {
    /// No other process of the tree is alive.
    Alone,
    /// At least one other process of the tree is alive.
    Others,
}

/// Input of the state machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The main process was started.
    Started,
    /// The main process could not be started, for this reason.
    Unstartable(String),
    /// The main process ended.
    MainExited(ProcessExit, Company),
    /// The last writer of the output pipe is gone.
    OutputClosed(Company),
    /// The last process of the tree is gone.
    NobodyLeft,
    /// The run is to be stopped, at once or after a grace period.
    Stop(Cause, Grace),
    /// The timer of [`Effect::StartGrace`] ran out.
    GraceOver,
    /// The timer of [`Effect::StartLinger`] ran out, and the output is still held open.
    LingerOver(Company),
    /// The timer of [`Effect::StartSweep`] ran out, and a process has survived KILL so far.
    SweepOver,
}

/// Choice between TERM before KILL and KILL at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grace {
    /// KILL at once, without TERM.
    Without,
    /// TERM first, and KILL after the grace period.
    With,
}

/// Action of the shim, to be taken in the order given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send TERM to every process of the tree.
    TermTree,
    /// Send KILL to every process of the tree.
    KillTree,
    /// Start the timer of [`Input::GraceOver`].
    StartGrace,
    /// Start the timer of [`Input::LingerOver`].
    StartLinger,
    /// Start the timer of [`Input::SweepOver`].
    StartSweep,
    /// Record the outcome and report it to the worker.
    Finish,
}

impl EndingPhase {
    /// Returns the next phase and the actions to take for it.
    #[must_use]
    pub fn step(self, input: Input, leftovers: LeftoverPolicy) -> (Self, &'static [Effect]) {
        use {EndingPhase as P, Input as I};
        match (self, input) {
            (P::Starting, I::Started) => (P::Running(Output::Open), &[]),
            (P::Starting, I::Unstartable(reason)) => finished(Outcome::Unstartable(reason)),
            (P::Starting, I::Stop(cause, _)) => finished(Outcome::Cancelled(cause)),

            (P::Running(_), I::OutputClosed(_)) => (P::Running(Output::Closed), &[]),
            (P::Running(Output::Open), I::MainExited(exit, _)) => (P::Closing(exit), &[Effect::StartLinger]),
            (P::Running(Output::Closed), I::MainExited(exit, company)) => over(exit, company, leftovers),
            (P::Running(_), I::Stop(cause, Grace::With)) => stopping(Some(cause), None),
            (P::Running(_), I::Stop(cause, Grace::Without)) => killing(Some(cause), None),

            (P::Stopping { cause, .. }, I::MainExited(exit, Company::Alone)) => {
                finished(Outcome::Ran { exit, cause, left: Left::Nobody })
            }
            (P::Stopping { cause, .. }, I::MainExited(exit, Company::Others)) => {
                (P::Stopping { cause, main: Some(exit) }, &[])
            }
            (P::Stopping { cause, main }, I::GraceOver | I::Stop(_, Grace::Without)) => killing(cause, main),

            (P::Killing { cause, .. }, I::MainExited(exit, Company::Alone)) => {
                finished(Outcome::Ran { exit, cause, left: Left::Nobody })
            }
            (P::Killing { cause, .. }, I::MainExited(exit, Company::Others)) => {
                (P::Killing { cause, main: Some(exit) }, &[])
            }
            (P::Stopping { cause, main: Some(exit) } | P::Killing { cause, main: Some(exit) }, I::NobodyLeft) => {
                // Only leftovers that were stopped after a script ended by itself are worth a line in the log: a run
                // that was stopped as a whole leaves nobody anyway.
                let left = if cause.is_none() { Left::Stopped } else { Left::Nobody };
                finished(Outcome::Ran { exit, cause, left })
            }
            // KILL is repeated until nobody is left: a process may fork while the tree is being killed.
            (phase @ P::Killing { .. }, I::SweepOver) => (phase, &[Effect::KillTree, Effect::StartSweep]),

            (P::Closing(exit), I::OutputClosed(company) | I::LingerOver(company)) => over(exit, company, leftovers),
            // A timeout while only leftovers hold the output open does not fail the run: the script itself ended in
            // time, and under this policy its leftovers may stay.
            (P::Closing(exit), I::Stop(Cause::TimedOut, _)) if leftovers == LeftoverPolicy::Keep => {
                over(exit, Company::Others, leftovers)
            }
            (P::Closing(exit), I::Stop(_, Grace::With)) => stopping(None, Some(exit)),
            (P::Closing(exit), I::Stop(_, Grace::Without)) => killing(None, Some(exit)),

            // Inputs that are late, repeated or without meaning in the phase. They are listed, so that a new input or
            // phase does not compile before it is decided here.
            (
                phase @ P::Starting,
                I::MainExited(..) | I::OutputClosed(_) | I::NobodyLeft | I::GraceOver | I::LingerOver(_) | I::SweepOver,
            )
            | (
                phase @ P::Running(_),
                I::Started | I::Unstartable(_) | I::NobodyLeft | I::GraceOver | I::LingerOver(_) | I::SweepOver,
            )
            | (
                phase @ P::Stopping { .. },
                I::Started
                | I::Unstartable(_)
                | I::OutputClosed(_)
                | I::NobodyLeft
                | I::LingerOver(_)
                | I::SweepOver
                | I::Stop(_, Grace::With),
            )
            | (
                phase @ P::Killing { .. },
                I::Started
                | I::Unstartable(_)
                | I::OutputClosed(_)
                | I::NobodyLeft
                | I::GraceOver
                | I::LingerOver(_)
                | I::Stop(..),
            )
            | (
                phase @ P::Closing(_),
                I::Started | I::Unstartable(_) | I::MainExited(..) | I::NobodyLeft | I::GraceOver | I::SweepOver,
            )
            | (
                phase @ P::Finished(_),
                I::Started
                | I::Unstartable(_)
                | I::MainExited(..)
                | I::OutputClosed(_)
                | I::NobodyLeft
                | I::Stop(..)
                | I::GraceOver
                | I::LingerOver(_)
                | I::SweepOver,
            ) => (phase, &[]),
        }
    }
}

fn finished(outcome: Outcome) -> (EndingPhase, &'static [Effect]) {
    (EndingPhase::Finished(outcome), &[Effect::Finish])
}

fn stopping(cause: Option<Cause>, main: Option<ProcessExit>) -> (EndingPhase, &'static [Effect]) {
    (EndingPhase::Stopping { cause, main }, &[Effect::TermTree, Effect::StartGrace])
}

fn killing(cause: Option<Cause>, main: Option<ProcessExit>) -> (EndingPhase, &'static [Effect]) {
    (EndingPhase::Killing { cause, main }, &[Effect::KillTree, Effect::StartSweep])
}

/// Ends an execution whose main process is gone and whose output is complete, or was awaited long enough.
fn over(exit: ProcessExit, company: Company, leftovers: LeftoverPolicy) -> (EndingPhase, &'static [Effect]) {
    match (company, leftovers) {
        (Company::Alone, _) => finished(Outcome::Ran { exit, cause: None, left: Left::Nobody }),
        (Company::Others, LeftoverPolicy::Keep) => finished(Outcome::Ran { exit, cause: None, left: Left::Kept }),
        (Company::Others, LeftoverPolicy::Stop) => killing(None, Some(exit)),
    }
}
