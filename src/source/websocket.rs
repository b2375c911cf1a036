//! WebSocket source: receives orders over a WebSocket, for a worker without a route to the broadcaster.
//!
//! The server sends the same objects as the broadcaster, as text or binary messages. The worker pings, and gives up a
//! connection on which nothing comes back.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{Connector, client_async_tls_with_config};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::connection::{CONNECT, ConnectionEnd, PING, SILENCE};
use super::{OrderReceiver, connection, uplink};
use crate::intake::Intake;
use crate::run::chain_of;
use crate::upstream::Backoff;
use crate::upstream::job_runner::RestClient;
use crate::wire::broadcast::{MAX_FRAME, object};

/// Duration after which a connection counts as good, and the pause before the next one is short again.
const GOOD: Duration = Duration::from_secs(5);

/// Bound of the pause before the next connection: runs that are due wait for it.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Server that sends orders, and the TLS configuration for it.
#[derive(Clone)]
pub struct OrderSource {
    /// URL of the server, `ws` or `wss`.
    pub url: Url,
    /// Trust roots and verification, as for REST calls.
    pub tls: Arc<rustls::ClientConfig>,
}

/// Handle of the running source.
pub struct WebSocket {
    target: watch::Sender<Option<OrderSource>>,
}

impl WebSocket {
    /// Starts a task that listens to the target, if there is one, until `stop` is cancelled.
    #[must_use]
    pub fn start(target: Option<OrderSource>, client: RestClient, intake: Intake, stop: CancellationToken) -> Self {
        let (target, targets) = watch::channel(target);
        tokio::spawn(stop.run_until_cancelled_owned(follow(targets, client, OrderReceiver::new(intake))));
        Self { target }
    }

    /// Listens to another target from now on.
    pub fn reconfigure(&self, target: Option<OrderSource>) {
        self.target.send_replace(target);
    }
}

/// Listens to the current target until the handle is dropped.
async fn follow(mut targets: watch::Receiver<Option<OrderSource>>, client: RestClient, mut receiver: OrderReceiver) {
    loop {
        let target = targets.borrow_and_update().clone();
        let listening = async {
            match target {
                Some(target) => listen(&target, &client, &mut receiver).await,
                None => std::future::pending().await,
            }
        };
        // A change of the target drops `listening`, and with it the connection.
        tokio::select! {
            () = listening => {}
            changed = targets.changed() => if changed.is_err() { return },
        }
    }
}

async fn listen(target: &OrderSource, client: &RestClient, receiver: &mut OrderReceiver) {
    let OrderSource { url, tls } = target;
    let (mut backoff, mut tries) = (Backoff::up_to(LONGEST_PAUSE), 0);
    loop {
        let begun = Instant::now();
        let ended = listen_once(url, tries, Arc::clone(tls), client, receiver).await;
        tries += 1;
        let pause = pause_after(&mut backoff, begun.elapsed());
        let why = ended.err().map_or_else(|| "the server closed it".to_owned(), |e| chain_of(&e));
        tracing::warn!(
            target: "job_runner_worker.enqueuer",
            address = %shown(url),
            wait_s = pause.as_secs_f64(),
            error = why,
            "no WebSocket connection; retrying"
        );
        tokio::time::sleep(pause).await;
    }
}

/// Returns the pause after a connection, or an attempt at one, that lasted so long.
fn pause_after(backoff: &mut Backoff, lasted: Duration) -> Duration {
    // A server that closes every connection at once is not pressed, however often it accepts one.
    if lasted > GOOD {
        backoff.reset();
    }
    backoff.next(None)
}

async fn listen_once(
    url: &Url,
    tries: usize,
    tls: Arc<rustls::ClientConfig>,
    client: &RestClient,
    receiver: &mut OrderReceiver,
) -> Result<(), ConnectionEnd> {
    let config = WebSocketConfig::default().max_message_size(Some(MAX_FRAME)).max_frame_size(Some(MAX_FRAME));
    let request = uplink::request(url, client)?;
    let connecting = async {
        let stream = connection::connect(url, tries).await.map_err(tungstenite::Error::Io)?;
        client_async_tls_with_config(request, stream, Some(config), Some(Connector::Rustls(tls))).await
    };
    let (mut socket, response) =
        tokio::time::timeout(CONNECT, connecting).await.map_err(|_| ConnectionEnd::NotMade)??;
    client.health().recovered();
    if let Some(version) = uplink::granted(response.headers()) {
        tracing::info!(
            target: "job_runner_worker.enqueuer",
            address = %shown(url),
            uplink = version.text(),
            "connected, and calls go there too"
        );
        return uplink::serve(socket, version, client, receiver).await;
    }
    tracing::info!(target: "job_runner_worker.enqueuer", address = %shown(url), "connected");
    let mut ping = tokio::time::interval_at(Instant::now() + PING, PING);
    let mut heard = Instant::now();
    loop {
        tokio::select! {
            message = socket.next() => {
                heard = Instant::now();
                match message {
                    None | Some(Ok(Message::Close(_))) => return Ok(()),
                    Some(Ok(Message::Text(text))) => receiver.receive(object(text.as_bytes()), text.as_bytes()),
                    Some(Ok(Message::Binary(bytes))) => receiver.receive(object(&bytes), &bytes),
                    // Pongs count as a sign of life; pings are answered by the next poll.
                    Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                    Some(Err(e)) => return Err(e.into()),
                }
            }
            _ = ping.tick() => socket.send(Message::Ping(tungstenite::Bytes::new())).await?,
            () = tokio::time::sleep_until(heard + SILENCE) => return Err(ConnectionEnd::Silent),
        }
    }
}

/// Returns a URL without the parts that may be secret: user, password and query.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_password(None);
    let _ = url.set_username("");
    url.set_query(None);
    url.to_string()
}

#[cfg(test)]
mod tests;
