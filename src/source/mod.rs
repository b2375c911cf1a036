//! Sources of orders: broadcast, WebSocket, and what the last process left behind. A source offers each order to the
//! intake and does not wait for what becomes of it.

pub mod broadcast;
mod connection;
pub mod leftover;
mod uplink;
pub mod websocket;

use std::time::{Duration, Instant};

use url::Url;

use crate::intake::{Intake, LogLimit, OrderReceipt};
use crate::rest::RestClient;
use crate::run::{KillId, Order, RunId};
use crate::wire::broadcast::{NoOrder, shown};

/// Settings of the sources.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Host name of the broadcaster.
    pub broadcaster_server_hostname: String,
    /// Port of the broadcaster.
    pub broadcaster_server_port: u16,
    /// Silence after which a new connection to the broadcaster is made.
    pub reconnect_after_inactivity: Duration,
    /// WebSocket server that sends orders as well; `None` where there is none.
    pub ws_url: Option<Url>,
}

impl Settings {
    fn broadcaster(&self) -> (&str, u16) {
        (&self.broadcaster_server_hostname, self.broadcaster_server_port)
    }
}

/// Receiver of a transport's messages: offers orders to the intake, and logs messages that are no order, at a bounded
/// rate.
struct Ear {
    offer: Box<dyn Fn(Order) -> OrderReceipt + Send>,
    complaints: LogLimit,
}

impl Ear {
    /// Offers an order that came with its run and job, which are kept so that the run need not be read.
    fn hear_due(&mut self, client: &RestClient, order: Order, run: &[u8], job: &[u8]) {
        if let Order::Enqueue(id) = order {
            // Kept before the order is offered, so that the intake finds the run and the job.
            client.announce(id, run, job);
        }
        self.hear(Ok(order), &[]);
    }
}

impl Ear {
    fn new(intake: Intake) -> Self {
        Self { offer: Box::new(move |order| intake.offer(order)), complaints: LogLimit::new(1) }
    }

    #[cfg(test)]
    fn to(offer: impl Fn(Order) -> OrderReceipt + Send + 'static) -> Self {
        Self { offer: Box::new(offer), complaints: LogLimit::new(1) }
    }

    fn hear(&mut self, read: Result<Order, NoOrder>, content: &[u8]) {
        match read {
            Ok(order) => {
                tracing::debug!(target: "job_runner_worker.enqueuer", order = order.word(),
                    run = order.run().map(RunId::get), kill = order.kill().map(KillId::get), "order received");
                if (self.offer)(order) == OrderReceipt::Full {
                    self.complain(|suppressed| {
                        tracing::warn!(
                            target: "job_runner_worker.enqueuer",
                            order = order.word(),
                            run = order.run().map(RunId::get),
                            kill = order.kill().map(KillId::get),
                            suppressed,
                            "too many orders wait; this one is left to be announced again"
                        );
                    });
                }
            }
            // No defect: messages for workers whose key begins with this one's, and messages that are events.
            Err(NoOrder::OtherTopic | NoOrder::NoAction) => {}
            Err(why @ NoOrder::UnknownAction(_)) => {
                tracing::debug!(target: "job_runner_worker.enqueuer", reason = %why, "message names an unknown action; server may be newer");
            }
            Err(why) => self.complain(|suppressed| {
                tracing::warn!(
                    target: "job_runner_worker.enqueuer",
                    reason = %why,
                    content = shown(content),
                    suppressed,
                    "message is not an order; dropped"
                );
            }),
        }
    }

    fn complain(&mut self, say: impl FnOnce(Option<u64>)) {
        if let Some(suppressed) = self.complaints.due(Instant::now()) {
            say(suppressed);
        }
    }
}
