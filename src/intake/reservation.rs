//! Reservation of a slot, for a source that is given a run before it can name it.

use super::Intake;
use super::message::IntakeMessage;
use super::slots::Slot;
use crate::report::OutboxEntry;

/// Slot that is held for a run to come. It is free again when the reservation is dropped.
#[must_use]
#[derive(Debug)]
pub struct Reservation {
    intake: Intake,
    slot: Slot,
}

impl Reservation {
    pub(super) fn new(intake: Intake, slot: Slot) -> Self {
        Self { intake, slot }
    }

    /// Begins a run whose entry is in the outbox. Where the worker sleeps or leaves by now, the run is given back.
    pub async fn begin(self, entry: OutboxEntry) {
        self.intake.send(IntakeMessage::Begin(Box::new(entry), self.slot)).await;
    }
}
