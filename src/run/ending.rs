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
        match self {
            Self::Starting => before_start(input),
            Self::Running(output) => while_main_runs(output, input, leftovers),
            Self::Stopping { cause, main } => during_grace(cause, main, input),
            Self::Killing { cause, main } => after_kill(cause, main, input),
            Self::Closing(exit) => while_output_is_held(exit, input, leftovers),
            // `Finish` is said once: nothing that comes later changes the outcome.
            Self::Finished(outcome) => (Self::Finished(outcome), &[]),
        }
    }
}

// Each phase lists at its end the inputs that are late, repeated or without meaning in it, so that a new input does not
// compile before it is decided in every phase.

/// Decides before the main process runs: it starts, or cannot, or is not wanted any more.
fn before_start(input: Input) -> (EndingPhase, &'static [Effect]) {
    use Input as I;
    match input {
        I::Started => (EndingPhase::Running(Output::Open), &[]),
        I::Unstartable(reason) => finished(Outcome::Unstartable(reason)),
        I::Stop(cause, _) => finished(Outcome::Cancelled(cause)),
        I::MainExited(..) | I::OutputClosed(_) | I::NobodyLeft | I::GraceOver | I::LingerOver(_) | I::SweepOver => {
            (EndingPhase::Starting, &[])
        }
    }
}

/// Decides while the main process runs: its end ends the execution once the output is complete.
fn while_main_runs(output: Output, input: Input, leftovers: LeftoverPolicy) -> (EndingPhase, &'static [Effect]) {
    use Input as I;
    match (input, output) {
        (I::OutputClosed(_), _) => (EndingPhase::Running(Output::Closed), &[]),
        (I::MainExited(exit, _), Output::Open) => (EndingPhase::Closing(exit), &[Effect::StartLinger]),
        (I::MainExited(exit, company), Output::Closed) => over(exit, company, leftovers),
        (I::Stop(cause, Grace::With), _) => stopping(Some(cause), None),
        (I::Stop(cause, Grace::Without), _) => killing(Some(cause), None),
        (I::Started | I::Unstartable(_) | I::NobodyLeft | I::GraceOver | I::LingerOver(_) | I::SweepOver, _) => {
            (EndingPhase::Running(output), &[])
        }
    }
}

/// Decides while the tree, which was sent TERM, has time to end by itself.
fn during_grace(cause: Option<Cause>, main: Option<ProcessExit>, input: Input) -> (EndingPhase, &'static [Effect]) {
    use Input as I;
    match (input, main) {
        (I::MainExited(exit, Company::Alone), _) => finished(Outcome::Ran { exit, cause, left: Left::Nobody }),
        (I::MainExited(exit, Company::Others), _) => (EndingPhase::Stopping { cause, main: Some(exit) }, &[]),
        (I::GraceOver | I::Stop(_, Grace::Without), _) => killing(cause, main),
        (I::NobodyLeft, Some(exit)) => tree_gone(exit, cause),
        (
            I::Started
            | I::Unstartable(_)
            | I::OutputClosed(_)
            | I::NobodyLeft
            | I::LingerOver(_)
            | I::SweepOver
            | I::Stop(_, Grace::With),
            _,
        ) => (EndingPhase::Stopping { cause, main }, &[]),
    }
}

/// Decides after the tree was sent KILL, until nobody of it is left.
fn after_kill(cause: Option<Cause>, main: Option<ProcessExit>, input: Input) -> (EndingPhase, &'static [Effect]) {
    use Input as I;
    match (input, main) {
        (I::MainExited(exit, Company::Alone), _) => finished(Outcome::Ran { exit, cause, left: Left::Nobody }),
        (I::MainExited(exit, Company::Others), _) => (EndingPhase::Killing { cause, main: Some(exit) }, &[]),
        (I::NobodyLeft, Some(exit)) => tree_gone(exit, cause),
        // KILL is repeated until nobody is left: a process may fork while the tree is being killed.
        (I::SweepOver, _) => killing(cause, main),
        (
            I::Started
            | I::Unstartable(_)
            | I::OutputClosed(_)
            | I::NobodyLeft
            | I::GraceOver
            | I::LingerOver(_)
            | I::Stop(..),
            _,
        ) => (EndingPhase::Killing { cause, main }, &[]),
    }
}

/// Decides after the main process ended by itself, while other processes hold its output open.
fn while_output_is_held(
    exit: ProcessExit,
    input: Input,
    leftovers: LeftoverPolicy,
) -> (EndingPhase, &'static [Effect]) {
    use Input as I;
    match input {
        I::OutputClosed(company) | I::LingerOver(company) => over(exit, company, leftovers),
        // A timeout while only leftovers hold the output open does not fail the run: the script itself ended in time,
        // and under this policy its leftovers may stay.
        I::Stop(Cause::TimedOut, _) if leftovers == LeftoverPolicy::Keep => over(exit, Company::Others, leftovers),
        I::Stop(_, Grace::With) => stopping(None, Some(exit)),
        I::Stop(_, Grace::Without) => killing(None, Some(exit)),
        I::Started | I::Unstartable(_) | I::MainExited(..) | I::NobodyLeft | I::GraceOver | I::SweepOver => {
            (EndingPhase::Closing(exit), &[])
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

/// Ends an execution whose tree was stopped and is gone.
fn tree_gone(exit: ProcessExit, cause: Option<Cause>) -> (EndingPhase, &'static [Effect]) {
    // Only leftovers that were stopped after a script ended by itself are worth a line in the log: a run that was stopped
    // as a whole leaves nobody anyway.
    let left = if cause.is_none() { Left::Stopped } else { Left::Nobody };
    finished(Outcome::Ran { exit, cause, left })
}

/// Ends an execution whose main process is gone and whose output is complete, or was awaited long enough.
fn over(exit: ProcessExit, company: Company, leftovers: LeftoverPolicy) -> (EndingPhase, &'static [Effect]) {
    match (company, leftovers) {
        (Company::Alone, _) => finished(Outcome::Ran { exit, cause: None, left: Left::Nobody }),
        (Company::Others, LeftoverPolicy::Keep) => finished(Outcome::Ran { exit, cause: None, left: Left::Kept }),
        (Company::Others, LeftoverPolicy::Stop) => killing(None, Some(exit)),
    }
}
