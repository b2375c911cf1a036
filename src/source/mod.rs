//! The sources: where orders come from. Each offers at the intake's door, and none waits for an answer.

pub mod broadcast;
pub mod leftover;
mod uplink;
pub mod websocket;

use std::time::{Duration, Instant};

use url::Url;

use crate::intake::{Intake, OrderReceipt, Rarely};
use crate::rest::RestClient;
use crate::run::Order;
use crate::wire::broadcast::{NoOrder, shown};

/// What the sources need to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Host of the broadcaster.
    pub broadcaster_server_hostname: String,
    /// Its port.
    pub broadcaster_server_port: u16,
    /// After how much silence a new connection to the broadcaster is made.
    pub reconnect_after_inactivity: Duration,
    /// A WebSocket server that sends orders too.
    pub ws_url: Option<Url>,
}

impl Settings {
    fn broadcaster(&self) -> (&str, u16) {
        (&self.broadcaster_server_hostname, self.broadcaster_server_port)
    }
}

/// Passes on what a transport receives, and says of what is no order that it is none – not too often.
struct Ear {
    offer: Box<dyn Fn(Order) -> OrderReceipt + Send>,
    complaints: Rarely,
}

impl Ear {
    /// An order came with its run and job.
    fn hear_due(&mut self, client: &RestClient, order: Order, run: &[u8], job: &[u8]) {
        if let Order::Enqueue(id) = order {
            client.announce(id, run, job);
        }
        self.hear(Ok(order), &[]);
    }
}

impl Ear {
    fn new(intake: Intake) -> Self {
        Self { offer: Box::new(move |order| intake.offer(order)), complaints: Rarely::new(1) }
    }

    #[cfg(test)]
    fn to(offer: impl Fn(Order) -> OrderReceipt + Send + 'static) -> Self {
        Self { offer: Box::new(offer), complaints: Rarely::new(1) }
    }

    fn hear(&mut self, read: Result<Order, NoOrder>, content: &[u8]) {
        match read {
            Ok(order) => {
                tracing::debug!(target: "job_runner_worker.enqueuer", "Received: {order:?}");
                if (self.offer)(order) == OrderReceipt::Full {
                    self.complain(|more| {
                        tracing::warn!(
                            target: "job_runner_worker.enqueuer",
                            "too many orders wait, {order:?} is left to be announced again{more}"
                        );
                    });
                }
            }
            // Normal: workers whose key begins as ours does, and events.
            Err(NoOrder::OtherTopic | NoOrder::NoAction) => {}
            Err(why @ NoOrder::UnknownAction(_)) => {
                tracing::debug!(target: "job_runner_worker.enqueuer", "{why}; a newer server, perhaps");
            }
            Err(why) => self.complain(|more| {
                tracing::warn!(
                    target: "job_runner_worker.enqueuer",
                    "a message is no order, {why}: {}{more}",
                    shown(content)
                );
            }),
        }
    }

    fn complain(&mut self, say: impl FnOnce(&str)) {
        if let Some(more) = self.complaints.due(Instant::now()) {
            say(&more);
        }
    }
}
