//! How an execution ends: the state machine of the shim.
//!
//! Ending is a path of states, not a call: every wait has a timer and still listens. The first cause
//! wins, signals only escalate, and `Finish` is said once and last.

use super::{Cause, Left, LeftoverPolicy, Outcome, ProcessExit};

#[cfg(test)]
mod tests;

/// Where an execution stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndingPhase {
    /// Nothing runs yet.
    Starting,
    /// The main process runs.
    Running(Output),
    /// TERM was sent to the tree and grace runs.
    Stopping {
        /// Why the run was stopped; `None` where it had ended by itself.
        cause: Option<Cause>,
        /// How the main process ended, if it did.
        main: Option<ProcessExit>,
    },
    /// KILL was sent to the tree; nobody may be left.
    Killing {
        /// Why the run was stopped; `None` where it had ended by itself.
        cause: Option<Cause>,
        /// How the main process ended, if it did.
        main: Option<ProcessExit>,
    },
    /// The main process ended; its output is still held open.
    Closing(ProcessExit),
    /// All is said.
    Finished(Outcome),
}

/// Whether somebody can still write output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// The pipe has writers.
    Open,
    /// It has none.
    Closed,
}

/// Who of the tree is alive when something is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Company {
    /// Nobody.
    Alone,
    /// Somebody.
    Others,
}

/// What happens to an execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The main process runs.
    Started,
    /// It could not be started, and why.
    Unstartable(String),
    /// It ended.
    MainExited(ProcessExit, Company),
    /// The last writer of the output is gone.
    OutputClosed(Company),
    /// The last process of the tree is gone.
    NobodyLeft,
    /// The run is to end, at once or with grace.
    Stop(Cause, Grace),
    /// Grace is over.
    GraceOver,
    /// The output was held open for too long.
    LingerOver(Company),
    /// Somebody survived KILL so far.
    SweepOver,
}

/// Whether a tree is asked before it is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grace {
    /// KILL at once.
    Without,
    /// TERM, and KILL when grace is over.
    With,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// TERM to every process of the tree.
    TermTree,
    /// KILL to every process of the tree.
    KillTree,
    /// `GraceOver` after the grace.
    StartGrace,
    /// `LingerOver` after the linger.
    StartLinger,
    /// `SweepOver` after a moment.
    StartSweep,
    /// Tell the outcome.
    Finish,
}

impl EndingPhase {
    /// What becomes of this phase, and what is to be done.
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
                let left = if cause.is_none() { Left::Stopped } else { Left::Nobody };
                finished(Outcome::Ran { exit, cause, left })
            }
            (phase @ P::Killing { .. }, I::SweepOver) => (phase, &[Effect::KillTree, Effect::StartSweep]),

            (P::Closing(exit), I::OutputClosed(company) | I::LingerOver(company)) => over(exit, company, leftovers),
            // The script ended in time; what it may leave behind may stay.
            (P::Closing(exit), I::Stop(Cause::TimedOut, _)) if leftovers == LeftoverPolicy::Keep => {
                over(exit, Company::Others, leftovers)
            }
            (P::Closing(exit), I::Stop(_, Grace::With)) => stopping(None, Some(exit)),
            (P::Closing(exit), I::Stop(_, Grace::Without)) => killing(None, Some(exit)),

            // What is late, repeated or of no concern here.
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

/// The main process ended and its output is complete, or was waited for long enough.
fn over(exit: ProcessExit, company: Company, leftovers: LeftoverPolicy) -> (EndingPhase, &'static [Effect]) {
    match (company, leftovers) {
        (Company::Alone, _) => finished(Outcome::Ran { exit, cause: None, left: Left::Nobody }),
        (Company::Others, LeftoverPolicy::Keep) => finished(Outcome::Ran { exit, cause: None, left: Left::Kept }),
        (Company::Others, LeftoverPolicy::Stop) => killing(None, Some(exit)),
    }
}
