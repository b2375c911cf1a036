//! Admission gauge: measures what [`super::admission`] decides upon, and waits for what may end a shortage.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::Context;
use super::admission::{self, Admission, AdmissionChange, AdmissionFacts, Bounds};
use super::coordinator::IntakeFacts;
use super::launch_shortage::ShortageChanges;
use crate::execution::{self, DiskRoom, FreeResources};
use crate::run::RunId;
use crate::run::lack::{self, Lack};

/// Interval of rechecks while claims are held: a disk does not tell when it has space again.
const RECHECK: Duration = Duration::from_secs(3);

/// Age up to which a count of descriptors is reused while there are plenty: counting costs as much as half a claim.
const COUNT_AGE: Duration = Duration::from_millis(100);

/// Age up to which a measurement of the disks is reused while there is much space on them.
const ROOMS_AGE: Duration = Duration::from_secs(1);

/// Measurements of the worker's resources, with the decision that follows from the last ones.
pub(super) struct AdmissionGauge {
    context: Arc<Context>,
    admission: Admission,
    backlog: watch::Receiver<usize>,
    outbox: watch::Receiver<Option<String>>,
    shortage: ShortageChanges,
    counted: Option<DescriptorCount>,
    measured: Option<DiskMeasurement>,
}

/// Count of the open descriptors.
#[derive(Clone, Copy)]
struct DescriptorCount {
    open: u64,
    at: Instant,
    /// Runs that were started since, each of which opens some more.
    claims: u64,
}

/// Measurement of the disks.
struct DiskMeasurement {
    rooms: Vec<DiskRoom>,
    at: Instant,
    /// Runs that were started since, each of which takes some space.
    claims: u64,
}

impl AdmissionGauge {
    pub(super) fn new(context: Arc<Context>) -> Self {
        let (backlog, outbox) = (context.reporter.backlog(), context.reporter.outbox().wrong());
        let shortage = context.shortage.changes();
        Self { context, admission: Admission::default(), backlog, outbox, shortage, counted: None, measured: None }
    }

    /// Returns whether runs are claimed, by the last measurement.
    pub(super) fn is_open(&self) -> bool {
        self.admission.is_open()
    }

    fn measure_disks(&mut self) -> Vec<DiskRoom> {
        let rooms = self.context.execution.rooms();
        self.measured = Some(DiskMeasurement { rooms: rooms.clone(), at: Instant::now(), claims: 0 });
        rooms
    }

    /// Waits until a shortage may have ended.
    pub(super) async fn perhaps_relieved(&mut self) {
        tokio::select! {
            () = tokio::time::sleep(RECHECK) => {}
            Ok(()) = self.backlog.changed() => {}
            Ok(()) = self.outbox.changed() => {}
            () = self.shortage.next() => {}
        }
    }
}

impl IntakeFacts for AdmissionGauge {
    fn is_being_delivered(&self, run: RunId) -> bool {
        self.context.reporter.serves(run)
    }

    fn is_in_outbox(&self, run: RunId) -> bool {
        self.context.reporter.outbox().holds(run)
    }

    fn is_announced_by_server(&self, run: RunId) -> bool {
        self.context.upstream.job_runner().is_some_and(|client| client.is_announced(run))
    }

    fn measure_admission(&mut self, bounds: Bounds) {
        let counted = self.counted.filter(|count| count.at.elapsed() < COUNT_AGE);
        let allowed = execution::descriptors_allowed();
        let measured = self.measured.as_ref().filter(|disks| disks.at.elapsed() < ROOMS_AGE);
        let estimated = measured.map(|disks| disks.rooms.iter().map(|room| admission::room_left(room, disks.claims)));
        let rooms_are_estimated = estimated.is_some();
        let rooms = estimated.map_or_else(Vec::new, Iterator::collect);
        let guess = counted.map(|count| admission::descriptors_left(allowed.saturating_sub(count.open), count.claims));
        let mut facts = AdmissionFacts {
            backlog: *self.backlog.borrow_and_update(),
            outbox: self.outbox.borrow_and_update().clone(),
            shortage: self.context.shortage.reason(),
            free: FreeResources { rooms, descriptors: guess.unwrap_or(0) },
        };
        if !rooms_are_estimated {
            facts.free.rooms = self.measure_disks();
        }
        // Counting descriptors reads a directory, so it is done only if the estimate leaves doubt.
        if !self.admission.is_certain(&facts, bounds) {
            let open = execution::descriptors_open();
            facts.free.descriptors = allowed.saturating_sub(open);
            self.counted = Some(DescriptorCount { open, at: Instant::now(), claims: 0 });
        }
        if rooms_are_estimated && !self.admission.is_certain(&facts, bounds) {
            facts.free.rooms = self.measure_disks();
        }
        match self.admission.judge(&facts, bounds) {
            AdmissionChange::None => {}
            AdmissionChange::Held => tracing::warn!(
                target: "job_runner_worker.enqueuer",
                reason = lack::in_words(self.admission.lacks()),
                "no runs are claimed for now; running scripts continue"
            ),
            AdmissionChange::Released => {
                tracing::info!(target: "job_runner_worker.enqueuer", "resources suffice; runs are claimed again");
            }
        }
    }

    fn lacks(&self) -> &[Lack] {
        self.admission.lacks()
    }

    fn note_claim(&mut self) {
        if let Some(count) = &mut self.counted {
            count.claims += 1;
        }
        if let Some(disks) = &mut self.measured {
            disks.claims += 1;
        }
    }
}
