//! Sources of orders: broadcast, WebSocket, and what the last process left behind. A source offers each order to the
//! intake and does not wait for what becomes of it. The server's commands to the worker as a whole come in the answers to
//! status reports.

pub mod broadcast;
mod connection;
pub mod flamenco;
pub mod leftover;
pub mod status_reporter;
mod uplink;
pub mod websocket;

use std::path::Path;
use std::time::{Duration, Instant};

use url::Url;

use crate::intake::{Intake, LogLimit, OrderReceipt};
use crate::run::{KillId, Order, RunId};
use crate::upstream::job_runner::RestClient;
use crate::wire::broadcast::{NoOrder, shown};
use crate::wire::uplink::DueContent;
use crate::{report, upstream};

/// Settings of the service that gives this worker its runs, and of the sources that it has.
#[derive(Clone, Debug)]
pub enum UpstreamSettings {
    /// Server of Job-Runner, with its REST API, its broadcaster and its WebSocket.
    JobRunner {
        /// Settings of the signed HTTP client.
        rest: upstream::job_runner::Settings,
        /// Settings of the connections that deliver orders.
        source: Settings,
    },
    /// Manager of Flamenco 2.x.
    Flamenco {
        /// Settings of the client.
        client: upstream::flamenco::Settings,
        /// Settings of the source of tasks.
        source: flamenco::Settings,
        /// Conditions under which a task that lasts is told of.
        push: report::PushSettings,
    },
}

impl UpstreamSettings {
    /// Returns the address of the service, to which a state directory belongs.
    #[must_use]
    pub fn address(&self) -> &Url {
        match self {
            Self::JobRunner { rest, .. } => &rest.api_base_url,
            Self::Flamenco { client, .. } => &client.manager_url,
        }
    }

    /// Returns the name of this worker at the service, as far as it has one.
    #[must_use]
    pub fn worker(&self) -> &str {
        match self {
            Self::JobRunner { rest, .. } => rest.api_key.as_str(),
            Self::Flamenco { client, .. } => client.identity.as_ref().map_or("", |identity| &identity.id),
        }
    }

    /// Returns the file with trust roots.
    #[must_use]
    pub fn ca_file(&self) -> Option<&Path> {
        match self {
            Self::JobRunner { rest, .. } => rest.ca_file.as_deref(),
            Self::Flamenco { client, .. } => client.ca_file.as_deref(),
        }
    }
}

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
struct OrderReceiver {
    offer: Box<dyn Fn(Order) -> OrderReceipt + Send>,
    warnings: LogLimit,
}

impl OrderReceiver {
    /// Offers an order that came with its run and job, which are kept so that the run need not be read.
    fn receive_with_run(&mut self, client: &RestClient, order: Order, content: DueContent<'_>) {
        if let Order::Enqueue(id) = order {
            // Kept before the order is offered, so that the intake finds the run and the job.
            client.announce(id, content);
        }
        self.receive(Ok(order), &[]);
    }
}

impl OrderReceiver {
    fn new(intake: Intake) -> Self {
        Self { offer: Box::new(move |order| intake.offer(order)), warnings: LogLimit::new(1) }
    }

    #[cfg(test)]
    fn to(offer: impl Fn(Order) -> OrderReceipt + Send + 'static) -> Self {
        Self { offer: Box::new(offer), warnings: LogLimit::new(1) }
    }

    fn receive(&mut self, read: Result<Order, NoOrder>, content: &[u8]) {
        match read {
            Ok(order) => {
                tracing::debug!(target: "job_runner_worker.enqueuer", order = order.word(),
                    run = order.run().map(RunId::get), kill = order.kill().map(KillId::get), "order received");
                if (self.offer)(order) == OrderReceipt::Full {
                    self.warn_rarely(|suppressed| {
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
            Err(why) => self.warn_rarely(|suppressed| {
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

    fn warn_rarely(&mut self, say: impl FnOnce(Option<u64>)) {
        if let Some(suppressed) = self.warnings.due(Instant::now()) {
            say(suppressed);
        }
    }
}
