//! The report: writes every fact to disk, then carries it out.
//!
//! Accepted means on disk: the [`Outbox`] has a row for every run that we claimed or are about to claim,
//! and for every kill that we took. A [`Reporter`] gives each run a courier, which tells the server in
//! order – start, log, result – for as long as it takes, and delays nobody else. What the server
//! knows is never assumed: after any doubt the courier looks first.
//!
//! The log itself stays where the execution keeps it: the outbox refers to it by run and attempt, and
//! [`LogSource`] reads it.

mod ballast;
mod courier;
pub mod endpoint;
mod entry;
mod events;
mod memory;
mod outbox;
pub mod plan;
mod reporter;

use std::io;
use std::time::Duration;

pub use entry::{DeadLetter, KillEntry, KillPhase, OutboxEntry, Start, StoredEnd};
pub use events::EventPublisher;
pub use memory::WorkerMemory;
pub use outbox::{Outbox, OutboxError, OutboxLocation};
pub use reporter::{CourierRequest, Reporter, RunReport, UnwrittenEnd};

use crate::run::{Attempt, RunId};

/// What must not lose a fact that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The death of any process.
    Process,
    /// Nor the loss of power.
    Power,
}

/// What the report needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The most bytes of a run's log that are sent; see [`crate::run::excerpt`].
    pub max_log_bytes: u64,
    /// How often the log of a lasting run is sent at most; zero: only at its end.
    pub log_update_interval: Duration,
    /// Where events go: host of the WebSocket server's ZeroMQ intake.
    pub ws_server_hostname: String,
    /// Its port.
    pub ws_server_port: u16,
    /// What the outbox must survive.
    pub durability: Durability,
}

impl Settings {
    /// Host and port of events.
    #[must_use]
    pub fn ws_server(&self) -> (&str, u16) {
        (&self.ws_server_hostname, self.ws_server_port)
    }
}

/// Where the output of runs is.
pub trait LogSource: Send + Sync + 'static {
    /// The text of a run's output, at most `limit` bytes and a marker, and how many bytes of output it stands for.
    ///
    /// # Errors
    /// That it cannot be read.
    fn text(&self, run: RunId, attempt: Attempt, limit: u64) -> io::Result<(String, u64)>;

    /// At most `most` bytes of a run's output from a byte on; nothing where not everything is kept any more.
    ///
    /// # Errors
    /// That it cannot be read.
    fn piece(&self, run: RunId, attempt: Attempt, from: u64, most: u64) -> io::Result<Option<Vec<u8>>>;

    /// Removes all that was kept of a run.
    fn forget(&self, run: RunId, attempt: Attempt);
}
