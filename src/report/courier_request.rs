//! Messages between a run and its courier: events of the run for the courier, and requests of the courier to the run.

use super::outbox_entry::{OutboxEntry, Start, StoredEnd};
use crate::run::Attempt;

/// Request of a courier to the run that it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CourierRequest {
    /// Report when there is more output than this number of bytes.
    Watch(u64),
    /// Stop the script: the server says that the run does not belong to this worker.
    Stop,
}

/// Event of a run, which the task that executes the run passes to the courier.
#[derive(Debug)]
pub(super) enum DeliveryEvent {
    Claimed(Option<Attempt>),
    Started(Start),
    Output(u64),
    Ended(StoredEnd),
    Relaunched(Box<OutboxEntry>),
}
