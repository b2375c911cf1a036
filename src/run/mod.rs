//! The words of the house and their rules. Pure: no clock, no files, no runtime.

mod action;
pub mod claim;
pub mod conduct;
pub mod ending;
mod event;
pub mod excerpt;
mod id;
mod instance;
mod key;
pub mod lack;
mod order;
mod outcome;
mod policy;
pub mod script;
pub mod shortage;

pub use action::{Action, Duty, Pace, Request, RequestId};
pub use event::Event;
#[cfg(feature = "server")]
pub(crate) use id::id;
pub use instance::Instance;
pub use key::{ApiKey, Attempt, KillId, RunId, Secret};
pub use order::Order;
pub use outcome::{Cause, Exit, Left, Outcome};
pub use policy::{IncompleteRuns, Leftovers};
