//! A listener's task: sends what is queued for it, ignores its messages, and pings it.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use futures_util::SinkExt;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Error as WebSocketError;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_util::sync::CancellationToken;

use super::listeners::{ChangeQueue, Language, ListenerSlot};
use super::upgrade::UpgradeRefusal;
use crate::server::state::{AppState, Reader};

/// Longest message of a listener in bytes; none is expected.
const MAX_MESSAGE: usize = 4096;
/// Size of the read buffer in bytes.
const READ: usize = 4096;
/// Size of the write buffer in bytes.
const WRITE: usize = 16 * 1024;
/// Messages that are sent before the listener's own are read again.
const BATCH: usize = 64;
/// Pings that may go unanswered.
const PINGS: u32 = 3;
/// Time for sending the close frame.
const PARTING: Duration = Duration::from_secs(5);

/// Reason for which a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The listener has closed the connection, or it broke.
    Gone,
    /// The listener reads too slowly.
    TooSlow,
    /// The listener answers no pings.
    Silent,
    /// The listener broke the protocol; the close code tells how.
    Broken(u16),
    /// The browser was logged out.
    ShutOut,
    /// The server is stopping.
    Stopped,
}

impl End {
    fn close(self) -> Option<CloseFrame> {
        let (code, reason) = match self {
            // There is no peer that could read a close frame.
            Self::Gone | Self::Silent => return None,
            Self::TooSlow => (close_code::AGAIN, "too slow"),
            Self::Broken(code) => (code, ""),
            Self::ShutOut => (close_code::POLICY, "logged out"),
            Self::Stopped => (close_code::AWAY, "the server stops"),
        };
        Some(CloseFrame { code, reason: Utf8Bytes::from_static(reason) })
    }
}

/// Upgrades a checked request to a WebSocket, if there is a free place. The connection of a `reader` ends when its
/// session does.
pub async fn welcome(app: &Arc<AppState>, request: Request, language: Language, reader: Option<Reader>) -> Response {
    // Before the upgrade, so that a listener beyond the bound receives an HTTP response that says so.
    let Some(place) = app.feed.listeners.join(language) else { return UpgradeRefusal::Full.answer() };
    let upgrade = match WebSocketUpgrade::from_request(request, &()).await {
        Ok(upgrade) => upgrade.max_message_size(MAX_MESSAGE).max_frame_size(MAX_MESSAGE),
        Err(rejection) => return rejection.into_response(),
    };
    let app = Arc::clone(app);
    let tasks = app.feed.listeners.tasks.clone();
    upgrade
        .read_buffer_size(READ)
        .write_buffer_size(WRITE)
        .on_upgrade(move |socket| tasks.track_future(talk(socket, place, app, reader)))
}

async fn talk(mut socket: WebSocket, place: ListenerSlot, app: Arc<AppState>, reader: Option<Reader>) {
    let (every, stop) = (app.settings.listener_ping, app.stop.clone());
    let shut_out = async {
        match &reader {
            Some(reader) => app.until_shut_out(reader).await,
            None => std::future::pending().await,
        }
    };
    let end = tokio::select! {
        end = converse(&mut socket, &place.queue, every, &stop) => end,
        () = shut_out => End::ShutOut,
    };
    // The place is free for the next listener while this one may still be reading its close frame.
    drop(place);
    if let Some(frame) = end.close() {
        let _ = tokio::time::timeout(PARTING, socket.send(Message::Close(Some(frame)))).await;
    }
}

async fn converse(socket: &mut WebSocket, queue: &ChangeQueue, every: Duration, stop: &CancellationToken) -> End {
    let mut ping = tokio::time::interval_at(Instant::now() + every, every);
    let mut patience = Instant::now() + every * PINGS;
    loop {
        let work = tokio::select! {
            () = queue.filled.notified() => Work::Send,
            _ = ping.tick() => Work::Ping,
            said = socket.recv() => match said {
                Some(Ok(Message::Close(_))) | None => return End::Gone,
                Some(Ok(_)) => Work::Heard,
                Some(Err(e)) => return broken(e),
            },
            () = tokio::time::sleep_until(patience) => return End::Silent,
            () = stop.cancelled() => return End::Stopped,
        };
        // A send blocks while the peer does not read, so all reasons to end are watched during it too.
        let sending = async {
            match work {
                Work::Heard => Ok(()),
                Work::Ping => socket.send(Message::Ping(axum::body::Bytes::new())).await,
                Work::Send => {
                    for _ in 0..BATCH {
                        let Some(text) = queue.next() else { return socket.flush().await };
                        socket.feed(Message::Text(text)).await?;
                    }
                    // More may wait: the loop comes back to the queue after it has read what the listener sent.
                    queue.filled.notify_one();
                    socket.flush().await
                }
            }
        };
        if work == Work::Heard {
            patience = Instant::now() + every * PINGS;
        }
        tokio::select! {
            sent = sending => if sent.is_err() { return End::Gone },
            () = queue.given_up.cancelled() => return End::TooSlow,
            () = tokio::time::sleep_until(patience) => return End::Silent,
            () = stop.cancelled() => return End::Stopped,
        }
    }
}

/// Step of a listener's task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Send,
    Ping,
    Heard,
}

/// Reason for which a failed read ends the connection.
fn broken(error: axum::Error) -> End {
    match error.into_inner().downcast_ref::<WebSocketError>() {
        Some(WebSocketError::Capacity(_)) => End::Broken(close_code::SIZE),
        Some(WebSocketError::Utf8(_)) => End::Broken(close_code::INVALID),
        Some(WebSocketError::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => End::Gone,
        Some(WebSocketError::Protocol(_)) => End::Broken(close_code::PROTOCOL),
        _ => End::Gone,
    }
}
