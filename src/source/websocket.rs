//! Orders over a WebSocket, for a worker without a route to the broadcaster.
//!
//! The server sends the same objects as the broadcaster does, as text or binary messages. We ping, and a
//! connection on which nothing comes back is given up.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{Connector, connect_async_tls_with_config};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{Ear, uplink};
use crate::intake::Intake;
use crate::rest::{Backoff, RestClient};
use crate::wire::broadcast::{MAX_FRAME, object};

/// How often we ping.
pub(super) const PING: Duration = Duration::from_secs(15);
/// How long a connection may be silent: a ping must have been answered.
pub(super) const SILENCE: Duration = Duration::from_secs(25);
/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);
/// A connection that lasted this long was a good one: the next is tried soon.
const GOOD: Duration = Duration::from_secs(60);

/// Where orders come from, and whom we believe to be there.
#[derive(Clone)]
pub struct OrderSource {
    /// The server.
    pub url: Url,
    /// Which certificates are good.
    pub tls: Arc<rustls::ClientConfig>,
}

/// The running source.
pub struct WebSocket {
    target: watch::Sender<Option<OrderSource>>,
}

impl WebSocket {
    /// Listens to the target, if there is one, until it is stopped.
    #[must_use]
    pub fn start(target: Option<OrderSource>, client: RestClient, intake: Intake, stop: CancellationToken) -> Self {
        let (target, targets) = watch::channel(target);
        tokio::spawn(stop.run_until_cancelled_owned(follow(targets, client, Ear::new(intake))));
        Self { target }
    }

    /// Listens to another target from now on.
    pub fn reconfigure(&self, target: Option<OrderSource>) {
        self.target.send_replace(target);
    }
}

/// Listens to whatever the target is, until nobody can change it any more.
async fn follow(mut targets: watch::Receiver<Option<OrderSource>>, client: RestClient, mut ear: Ear) {
    loop {
        let target = targets.borrow_and_update().clone();
        let listening = async {
            match target {
                Some(target) => listen(&target, &client, &mut ear).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = listening => {}
            changed = targets.changed() => if changed.is_err() { return },
        }
    }
}

async fn listen(target: &OrderSource, client: &RestClient, ear: &mut Ear) {
    let OrderSource { url, tls } = target;
    let mut backoff = Backoff::default();
    loop {
        let begun = Instant::now();
        let ended = listen_once(url, Arc::clone(tls), client, ear).await;
        if begun.elapsed() > GOOD {
            backoff.reset();
        }
        let pause = backoff.next(None);
        let why = ended.err().map_or_else(|| "the server closed it".to_owned(), |e| e.to_string());
        tracing::warn!(
            target: "job_runner_worker.enqueuer",
            "no WebSocket connection to {}: {why}; the next in {:.1} s",
            shown(url),
            pause.as_secs_f64()
        );
        tokio::time::sleep(pause).await;
    }
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionEnd {
    #[error("{0}")]
    WebSocket(#[from] tungstenite::Error),
    #[error("it could not be made in {} s", CONNECT.as_secs())]
    NotMade,
    #[error("nothing came for {} s", SILENCE.as_secs())]
    Silent,
}

async fn listen_once(
    url: &Url,
    tls: Arc<rustls::ClientConfig>,
    client: &RestClient,
    ear: &mut Ear,
) -> Result<(), ConnectionEnd> {
    let config = WebSocketConfig::default().max_message_size(Some(MAX_FRAME)).max_frame_size(Some(MAX_FRAME));
    let request = uplink::request(url, client)?;
    let connecting = connect_async_tls_with_config(request, Some(config), true, Some(Connector::Rustls(tls)));
    let (mut socket, response) =
        tokio::time::timeout(CONNECT, connecting).await.map_err(|_| ConnectionEnd::NotMade)??;
    if uplink::granted(response.headers()) {
        tracing::info!(target: "job_runner_worker.enqueuer", "connected to {}, and calls go there too", shown(url));
        return uplink::serve(socket, client, ear).await;
    }
    tracing::info!(target: "job_runner_worker.enqueuer", "connected to {}", shown(url));
    let mut ping = tokio::time::interval_at(Instant::now() + PING, PING);
    let mut heard = Instant::now();
    loop {
        tokio::select! {
            message = socket.next() => {
                heard = Instant::now();
                match message {
                    None | Some(Ok(Message::Close(_))) => return Ok(()),
                    Some(Ok(Message::Text(text))) => ear.hear(object(text.as_bytes()), text.as_bytes()),
                    Some(Ok(Message::Binary(bytes))) => ear.hear(object(&bytes), &bytes),
                    // Pongs are heard; pings are answered with the next poll.
                    Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                    Some(Err(e)) => return Err(e.into()),
                }
            }
            _ = ping.tick() => socket.send(Message::Ping(tungstenite::Bytes::new())).await?,
            () = tokio::time::sleep_until(heard + SILENCE) => return Err(ConnectionEnd::Silent),
        }
    }
}

/// A URL without what may be secret in it.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_password(None);
    let _ = url.set_username("");
    url.set_query(None);
    url.to_string()
}
