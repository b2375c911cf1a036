//! Types and rules of runs, shared by every layer. Pure: no clock, no files, no runtime.

mod action;
pub mod claim;
pub mod ending;
pub mod errno;
mod error_chain;
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
pub mod steps;
pub mod worker_lifecycle;

pub use action::{Pace, RequestId, WorkerCommand, WorkerRequest, WorkerState};
pub use error_chain::chain_of;
pub use event::Event;
#[cfg(feature = "server")]
pub(crate) use id::id;
pub use instance::Instance;
pub use key::{ApiKey, Attempt, KillId, RunId, Secret};
pub use order::Order;
pub use outcome::{Cause, Left, Outcome, ProcessExit};
pub use policy::{IncompleteRuns, LeftoverPolicy};
