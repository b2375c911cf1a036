//! The oracle: judges what a campaign has seen by twelve invariants. Pure functions, so that each can be shown
//! to be able to fail.
//!
//! | | invariant |
//! |---|---|
//! | I1 | no script finds another execution of its run alive |
//! | I2 | an attempt is executed once at most, and another follows only a dead shim |
//! | I3 | every claimed run returns, once |
//! | I4 | the result is the script's own; a run is said to be lost only if its shims were killed |
//! | I5 | the numbered lines of a log are complete, or cut once |
//! | I6 | claim, start, log and return are told in this order, and nothing after the return |
//! | I7 | when a kill is said to be executed, nobody of the run lives; and nobody else was touched |
//! | I8 | nothing is left: no process, file, socket, cgroup |
//! | I9 | the worker does not grow |
//! | I10 | its secret is nowhere |
//! | I11 | never more scripts at once than there are slots |
//! | I12 | a failing API is not pressed |

mod execution;
pub mod history;
mod kill;
mod outage;
mod remains;
mod report;

use std::fmt;

pub use history::History;

/// Something that must not happen, and did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which invariant, from 1 to 12.
    pub invariant: u8,
    /// What is seen of it.
    pub what: String,
}

impl Violation {
    fn new(invariant: u8, what: impl Into<String>) -> Self {
        Self { invariant, what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "I{}: {}", self.invariant, self.what)
    }
}

/// All invariants.
pub fn judge(history: &History) -> Vec<Violation> {
    [
        execution::nothing_overlaps,
        execution::attempts_are_executed_once,
        report::claimed_runs_return,
        report::results_are_true,
        report::logs_are_complete,
        report::facts_come_in_order,
        kill::kills_are_complete,
        remains::nothing_is_left,
        remains::the_worker_does_not_grow,
        remains::the_secret_is_nowhere,
        execution::slots_are_kept,
        outage::a_failing_api_is_not_pressed,
    ]
    .iter()
    .flat_map(|invariant| invariant(history))
    .collect()
}

/// How a campaign is summed up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Claimed and never returned, or returned with another result than the script's, or without its log.
    pub lost: usize,
    /// Executed or completed more than once.
    pub doubled: usize,
    /// Executed twice at once, or beyond the slots.
    pub overlapping: usize,
    /// Alive after a kill, or killed without a reason.
    pub survivors: usize,
    /// Processes, files, memory, secrets, requests beyond the bound.
    pub leaked: usize,
}

impl Verdict {
    pub fn of(violations: &[Violation]) -> Self {
        let mut verdict = Self::default();
        for violation in violations {
            *match violation.invariant {
                1 | 11 => &mut verdict.overlapping,
                2 | 6 => &mut verdict.doubled,
                3..=5 => &mut verdict.lost,
                7 => &mut verdict.survivors,
                _ => &mut verdict.leaked,
            } += 1;
        }
        verdict
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lost, doubled, overlapping, survivors, leaked } = self;
        write!(f, "lost {lost}, doubled {doubled}, overlapping {overlapping}, survivors {survivors}, leaked {leaked}")
    }
}
