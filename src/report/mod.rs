//! Report: writes every fact about a run to disk, then delivers it to the server.
//!
//! A fact is accepted once it is on disk: the [`Outbox`] has a row for every run that this worker claimed or is about
//! to claim, and for every kill request that it took. A [`Reporter`] gives each run a courier, which reports start, log
//! and result to the [`Recipient`] in this order, for as long as it takes, and delays no other run.
//!
//! The log itself stays where the execution keeps it: the outbox refers to it by run and attempt, and [`LogSource`]
//! reads it.

mod ballast;
mod call_turns;
mod courier;
mod courier_request;
pub mod delivery;
pub mod endpoint;
mod events;
mod outbox;
mod outbox_entry;
pub mod plan;
mod recipient;
mod remembered_state;
mod reporter;
mod reporter_shared;
mod served_runs;

use std::io;
use std::time::Duration;

pub use courier::flamenco::PushSettings;
pub use courier_request::CourierRequest;
pub use events::EventPublisher;
pub use outbox::{Outbox, OutboxError, OutboxLocation};
pub use outbox_entry::{DeadLetter, KillEntry, KillPhase, OutboxEntry, RunOrigin, Start, StoredEnd, ToldExtent};
pub use recipient::Recipient;
pub use remembered_state::RememberedStateFile;
pub use reporter::{Reporter, RunReport, UnwrittenEnd};

use crate::run::{Attempt, RunId};

/// Event that must not lose a fact once it is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Death of any process, but not loss of power.
    Process,
    /// Loss of power, as well as the death of any process.
    Power,
}

/// Settings of the report.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Most bytes of a run's log that are sent; see [`crate::run::excerpt`].
    pub max_log_bytes: u64,
    /// Shortest interval between two updates of the log of a lasting run; zero sends the log only at the end.
    pub log_update_interval: Duration,
    /// Host of the WebSocket server's ZeroMQ intake, to which events go.
    pub ws_server_hostname: String,
    /// Port of the ZeroMQ intake, to which events go.
    pub ws_server_port: u16,
    /// Durability of the outbox.
    pub durability: Durability,
}

impl Settings {
    /// Returns host and port to which events go.
    #[must_use]
    pub fn ws_server(&self) -> (&str, u16) {
        (&self.ws_server_hostname, self.ws_server_port)
    }
}

/// Part of an output, as far as it was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeptOutput {
    /// Bytes of the output.
    Bytes(Vec<u8>),
    /// Number of bytes that were not kept.
    Gap(u64),
}

/// Output of runs, as the execution keeps it.
pub trait LogSource: Send + Sync + 'static {
    /// Returns the text of a run's output, of at most `limit` bytes plus a marker, and the number of bytes of output
    /// that it represents.
    ///
    /// # Errors
    /// If the output cannot be read.
    fn text(&self, run: RunId, attempt: Attempt, limit: u64) -> io::Result<(String, u64)>;

    /// Returns at most `most` bytes of a run's output, beginning at byte `from`; `None` where part of the output was
    /// not kept.
    ///
    /// # Errors
    /// If the output cannot be read.
    fn piece(&self, run: RunId, attempt: Attempt, from: u64, most: u64) -> io::Result<Option<Vec<u8>>>;

    /// Returns at most `most` bytes of a run's output, beginning at byte `from`, or the number of bytes from there that
    /// were not kept. No bytes where the output does not go on.
    ///
    /// # Errors
    /// If the output cannot be read.
    fn kept(&self, run: RunId, attempt: Attempt, from: u64, most: u64) -> io::Result<KeptOutput>;

    /// Returns the journal of a run of several commands; empty where there is none.
    ///
    /// # Errors
    /// If the journal cannot be read.
    fn journal(&self, run: RunId, attempt: Attempt) -> io::Result<Vec<u8>>;

    /// Removes the output and the record of an attempt.
    fn forget(&self, run: RunId, attempt: Attempt);
}
