//! The listening thread: publishes what other servers commit, and carries messages between the servers.
//!
//! Notifications are not kept for who is not connected. So a connection that was lost may have cost some: once it is
//! back, subscribers are told that they missed changes, and those to messages get [`MISSED`].

use std::collections::VecDeque;
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc};
use tokio::time::{sleep, timeout};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, Connection, Notification, Socket};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::failure::Failure;
use super::news::{self, CHANNEL, News};
use super::place::CONNECTING;
use super::tls::Stream;
use super::{Access, WAITING};
use crate::run::chain_of;
use crate::server::store::changes::ChangeFeed;
use crate::server::store::db::{DbError, spawn};

/// Message in place of those that were lost.
pub const MISSED: &str = "missed";
/// Pause before a lost connection is made again.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest time for which messages that wait when the engine closes are still sent.
const PARTING: Duration = Duration::from_secs(1);

/// Sending side of the messages to other servers.
#[derive(Debug)]
pub struct MessageQueue {
    queue: mpsc::Sender<String>,
    overflowed: Arc<AtomicBool>,
    _stop: DropGuard,
}

impl MessageQueue {
    /// Queues a message. One for which there is no room is lost, and the other servers are told so.
    pub fn send(&self, message: String) {
        let message = if news::is_too_long(&message) { MISSED.to_owned() } else { message };
        if self.queue.try_send(message).is_err() {
            self.overflowed.store(true, Ordering::SeqCst);
        }
    }

    /// Returns the sending end of the queue.
    pub fn sender(&self) -> mpsc::Sender<String> {
        self.queue.clone()
    }
}

/// State of the thread.
pub struct Listener {
    access: Arc<Access>,
    feed: ChangeFeed,
    heard: broadcast::Sender<Arc<str>>,
    queue: mpsc::Receiver<String>,
    waiting: VecDeque<String>,
    overflowed: Arc<AtomicBool>,
    stop: CancellationToken,
}

/// A connection on which the server is listened to.
struct Line {
    client: Client,
    connection: Connection<Socket, Stream>,
}

type Sending<'a> = Pin<Box<dyn Future<Output = Result<(), tokio_postgres::Error>> + 'a>>;

impl Listener {
    /// Begins to listen, and starts the thread. It ends when the sending side is dropped.
    ///
    /// # Errors
    /// If PostgreSQL cannot be reached, or the thread cannot be started.
    pub fn start(
        access: Arc<Access>,
        feed: ChangeFeed,
        heard: broadcast::Sender<Arc<str>>,
    ) -> Result<(MessageQueue, JoinHandle<()>), DbError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| DbError::Thread(Arc::new(e)))?;
        let (sender, queue) = mpsc::channel(WAITING);
        let (overflowed, stop) = (Arc::<AtomicBool>::default(), CancellationToken::new());
        let outgoing =
            MessageQueue { queue: sender, overflowed: Arc::clone(&overflowed), _stop: stop.clone().drop_guard() };
        let mut listener = Self { access, feed, heard, queue, waiting: VecDeque::new(), overflowed, stop };
        let line = runtime.block_on(listener.connect())?;
        let thread = spawn("store listener", move || runtime.block_on(listener.listen(line)))?;
        Ok((outgoing, thread))
    }

    /// Listens until the sending side is dropped, and what it has queued is sent.
    async fn listen(mut self, mut line: Line) {
        let stop = self.stop.clone();
        loop {
            let parting = async {
                stop.cancelled().await;
                sleep(PARTING).await;
            };
            let lost = tokio::select! {
                lost = self.serve(line) => lost,
                () = parting => return,
            };
            let Some(lost) = lost else { return };
            tracing::warn!(
                target: "job_runner.store",
                error = %chain_of(&lost),
                "connection that listens to other servers is lost; it is made again"
            );
            let Some(again) = stop.run_until_cancelled(self.connect_again()).await else { return };
            line = again;
            tracing::info!(target: "job_runner.store", "other servers are listened to again");
            self.feed.publish_missed();
            self.tell(MISSED);
        }
    }

    async fn connect_again(&mut self) -> Line {
        loop {
            sleep(PAUSE).await;
            if let Ok(line) = self.connect().await {
                return line;
            }
        }
    }

    async fn connect(&mut self) -> Result<Line, DbError> {
        let place = self.access.place.name();
        let connecting = async {
            let (client, mut connection) = self.access.place.config.connect(self.access.tls.clone()).await?;
            let sql = format!("LISTEN {CHANNEL}; LISTEN {}", news::MESSAGES);
            let mut asked = Box::pin(client.batch_execute(&sql));
            // What is heard before the answer counts already.
            let mut heard = Vec::new();
            loop {
                tokio::select! {
                    biased;
                    answered = asked.as_mut() => {
                        answered?;
                        break;
                    }
                    message = next(&mut connection) => heard.extend(message?),
                }
            }
            drop(asked);
            Ok((Line { client, connection }, heard))
        };
        let connected = timeout(CONNECTING, connecting).await;
        let connected = connected.map_err(|_| Failure::silent(place, CONNECTING))?;
        let (line, heard) = connected.map_err(|cause| Failure::of(place, cause, true))?;
        heard.iter().for_each(|notification| self.hear(notification));
        Ok(line)
    }

    /// Hears and sends until the connection is lost, and returns the reason; none once the sending side is dropped, and
    /// nothing waits any more.
    async fn serve(&mut self, line: Line) -> Option<tokio_postgres::Error> {
        let Line { client, mut connection } = line;
        let stop = self.stop.clone();
        let mut sending: Option<Sending<'_>> = None;
        loop {
            let free = sending.is_none();
            tokio::select! {
                message = next(&mut connection) => match message {
                    Ok(notification) => notification.iter().for_each(|notification| self.hear(notification)),
                    Err(lost) => return Some(lost),
                },
                sent = async { match &mut sending { Some(sending) => sending.await, None => pending().await } } => {
                    sending = None;
                    if sent.is_err() {
                        self.overflowed.store(true, Ordering::SeqCst);
                    }
                }
                Some(message) = self.queue.recv(), if free && self.waiting.is_empty() => {
                    self.waiting.push_back(message);
                    sending = Some(self.send(&client));
                }
                () = stop.cancelled(), if free && self.waiting.is_empty() && self.queue.is_empty() => return None,
                () = std::future::ready(()), if free && !self.waiting.is_empty() => sending = Some(self.send(&client)),
            }
        }
    }

    /// Begins to send what waits, as much of it as one notification takes.
    fn send<'a>(&mut self, client: &'a Client) -> Sending<'a> {
        while self.waiting.len() < WAITING
            && let Ok(message) = self.queue.try_recv()
        {
            self.waiting.push_back(message);
        }
        if self.overflowed.swap(false, Ordering::SeqCst) {
            self.waiting.push_back(MISSED.to_owned());
        }
        let payload = news::messages(self.access.writer, &mut self.waiting);
        Box::pin(async move {
            let arguments: [(&(dyn ToSql + Sync), Type); 2] = [(&news::MESSAGES, Type::TEXT), (&payload, Type::TEXT)];
            client.query_typed("SELECT pg_notify($1, $2)", &arguments).await.map(drop)
        })
    }

    /// Publishes what another server notifies of.
    fn hear(&self, notification: &Notification) {
        let own = self.access.writer;
        if notification.channel() == CHANNEL {
            match news::read(notification.payload()) {
                (Some(writer), _) if writer == own => {}
                (_, News::Changes(changes)) => changes.into_iter().for_each(|change| self.feed.publish(change)),
                (_, News::TooMuch) => self.feed.publish_missed(),
            }
        } else {
            match news::read_messages(notification.payload()) {
                Some((writer, _)) if writer == own => {}
                Some((_, messages)) => messages.iter().for_each(|message| self.tell(message)),
                None => self.tell(MISSED),
            }
        }
    }

    fn tell(&self, message: &str) {
        // Nobody may be interested.
        let _ = self.heard.send(message.into());
    }
}

/// Waits for the next message of the server, which may be a notification.
async fn next(connection: &mut Connection<Socket, Stream>) -> Result<Option<Notification>, tokio_postgres::Error> {
    match poll_fn(|cx| connection.poll_message(cx)).await {
        Some(Ok(AsyncMessage::Notification(notification))) => Ok(Some(notification)),
        Some(Ok(_)) => Ok(None),
        Some(Err(lost)) => Err(lost),
        // It ends only after its client is dropped.
        None => pending().await,
    }
}
