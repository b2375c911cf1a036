//! Recipient of the reports: the upstream, and what it is told of besides the calls about runs.

use tokio::sync::{OwnedSemaphorePermit, mpsc};

use std::sync::Arc;

use super::EventPublisher;
use super::courier::flamenco::{FlamencoProtocol, PushSettings};
use super::courier::job_runner::JobRunnerProtocol;
use super::courier::{Courier, RunFacts};
use super::courier_request::{CourierRequest, DeliveryEvent};
use super::delivery::ServerView;
use super::outbox_entry::OutboxEntry;
use super::reporter_shared::ReporterShared;
use crate::run::Event;
use crate::upstream::Health;
use crate::upstream::flamenco::FlamencoClient;
use crate::upstream::job_runner::RestClient;

/// Upstream to which runs are reported.
#[derive(Clone, Debug)]
pub enum Recipient {
    /// Server of Job-Runner, and its WebSocket server.
    JobRunner {
        /// Client of its REST API.
        client: RestClient,
        /// Publisher of the events that its WebSocket server passes on.
        event_publisher: EventPublisher,
    },
    /// Manager of Flamenco 2.x.
    Flamenco {
        /// Client of the Manager.
        client: FlamencoClient,
        /// Conditions under which a task that lasts is told of.
        push: PushSettings,
    },
}

impl Recipient {
    /// Publishes an event, where the upstream takes events.
    pub(super) fn tell(&self, event: Event) {
        match self {
            Self::JobRunner { event_publisher, .. } => event_publisher.tell(event),
            Self::Flamenco { .. } => {}
        }
    }

    /// Sends later events to another host and port.
    pub(super) fn move_events_to(&self, address: (&str, u16)) {
        match self {
            Self::JobRunner { event_publisher, .. } => event_publisher.move_to(address),
            Self::Flamenco { .. } => {}
        }
    }

    /// Returns the health of the calls to the upstream.
    pub(super) fn health(&self) -> &Health {
        match self {
            Self::JobRunner { client, .. } => client.health(),
            Self::Flamenco { client, .. } => client.health(),
        }
    }

    /// Ends the publisher of events once it has sent what waits. Blocks while its queue is full.
    pub(super) fn close_events(&self) {
        match self {
            Self::JobRunner { event_publisher, .. } => event_publisher.close(),
            Self::Flamenco { .. } => {}
        }
    }
}

/// Run that is to be delivered, with the channels between it and its courier.
pub(super) struct DeliveryOrder {
    pub(super) entry: OutboxEntry,
    pub(super) view: ServerView,
    pub(super) events: mpsc::Receiver<DeliveryEvent>,
    pub(super) requests: mpsc::Sender<CourierRequest>,
    /// Turn among the runs that are delivered at once; `None` for a run under way.
    pub(super) turn: Option<OwnedSemaphorePermit>,
}

/// Delivers a run to the recipient, until everything is reported or the run's side is dropped before its end.
pub(super) async fn deliver(shared: Arc<ReporterShared>, order: DeliveryOrder) {
    let DeliveryOrder { entry, view, events, requests, turn } = order;
    let facts = RunFacts::new(Arc::clone(&shared), &entry, requests);
    match shared.recipient.clone() {
        Recipient::JobRunner { client, event_publisher } => {
            let protocol = JobRunnerProtocol::new(facts, client, event_publisher, &entry, view);
            Courier::new(protocol, events, turn).deliver().await;
        }
        Recipient::Flamenco { client, push } => {
            let protocol = FlamencoProtocol::new(facts, client, push, &entry);
            Courier::new(protocol, events, turn).deliver().await;
        }
    }
}
