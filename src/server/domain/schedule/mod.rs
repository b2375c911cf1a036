//! Schedule of a job: computes its next due time, and decides whether a run that is due may run now. Pure: the clock
//! and the zone are arguments.
//!
//! `next` applies the rule (an interval or a cron expression, without the times of the day that are excluded), and
//! `due_decision` decides about runs that are due.

mod cron;
pub mod due_decision;
mod excludes;
mod interval;
mod next;
mod wall_time;
mod words;

pub use cron::{BadCron, Cron};
pub use next::{Last, LeftOut, MAX_PASSED_TIMES, NextTime, NoNext, NoNextTime, Passed, Rule, next, preview};
pub use words::{clock, exclude_in_words, in_words};
