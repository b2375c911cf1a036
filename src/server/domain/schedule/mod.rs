//! Schedule of a job: computes its next due time, and decides whether a run that is due may run now. Pure: the clock
//! and the zone are arguments.
//!
//! `next` applies the rule (an interval or a cron expression, without the times of the day that are excluded), and `enqueue`
//! decides about runs that are due.

mod cron;
pub mod enqueue;
mod excludes;
mod interval;
mod next;
mod wall_time;
mod words;

pub use cron::{BadCron, Cron};
pub use next::{COUNTED, Last, LeftOut, NextTime, NoNext, NoNextTime, Passed, Rule, next, preview};
pub use words::{clock, exclude_in_words, in_words};
