//! Rules of a Flamenco Manager, as decisions without effects: the life of a task, which task a worker gets, what a failure
//! leads to, what a worker is asked and told, its hours of sleep, time-outs, and what may be submitted.
//!
//! The states are those of the wire, because Manager, workers and Flamenco Server share them by name.

pub mod choose;
pub mod life;
pub mod sleep;
pub mod softfail;
pub mod standing;
pub mod submission;
pub mod timeouts;
pub mod variables;
pub mod why;
