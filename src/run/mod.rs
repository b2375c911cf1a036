//! The words of the house and their rules. Pure: no clock, no files, no runtime.

mod key;
mod policy;

pub use key::{ApiKey, Attempt, KillId, RunId, Secret};
pub use policy::{IncompleteRuns, Leftovers};
