//! PostgreSQL engine: one thread that writes, connections that read on blocking threads, and a thread that listens to what
//! other servers at the same database commit and say.

mod bulk;
mod failure;
mod listener;
mod migration;
mod news;
mod place;
mod reader;
mod session;
mod sql;
#[cfg(test)]
mod tests;
mod tls;
mod values;
mod writer;

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tokio::sync::{broadcast, mpsc};

use super::group::{self, QUEUE, Queued};
use super::readers::{READERS, Readers, lock};
use super::{Connection as AnyConnection, DbError, OpenError, Reading, SchemaStep, Transaction, spawn};
use crate::server::store::changes::ChangeFeed;
pub use bulk::Bulk;
pub use failure::Failure;
use listener::Listener;
pub use listener::MISSED;
pub use place::{Place, UrlError};
pub use session::{CopyOut, DatabaseSession};
#[cfg(test)]
pub use sql::rewrite;
use tls::Tls;
pub use values::{column, named, text};
use writer::GroupWriter;

/// Maximum number of messages to other servers that wait.
const WAITING: usize = 1024;
/// Settings of a connection that migrates.
const MIGRATING: &str = "SET client_min_messages = warning";

/// Handle to the engine's threads and connections. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Postgres {
    access: Arc<Access>,
    changes: mpsc::Sender<Queued>,
    readers: Arc<Readers<Option<DatabaseSession>>>,
    outgoing: Arc<Mutex<Option<listener::MessageQueue>>>,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

/// How to reach the database.
pub struct Access {
    place: Place,
    tls: Tls,
    /// Names this handle among all that write to the database.
    writer: i64,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.place.fmt(f)
    }
}

impl Postgres {
    pub fn connect(
        place: Place,
        steps: &[SchemaStep<'_>],
        feed: ChangeFeed,
        messages: broadcast::Sender<Arc<str>>,
    ) -> Result<Self, OpenError> {
        let tls = Tls::new(&place)?;
        let access = Arc::new(Access { place, tls, writer: fastrand::i64(1..) });
        migration::migrate(&DatabaseSession::connect(&access.place, &access.tls, MIGRATING)?, steps)?;
        let (outgoing, listening) = Listener::start(Arc::clone(&access), feed.clone(), messages)?;
        let (changes, queue) = mpsc::channel(QUEUE);
        let writer = GroupWriter::new(Arc::clone(&access), feed)?;
        let writing = spawn("store writer", move || writer.work(queue))?;
        Ok(Self {
            access,
            changes,
            readers: Readers::new((0..READERS).map(|_| None).collect()),
            outgoing: Arc::new(Mutex::new(Some(outgoing))),
            threads: Arc::new(Mutex::new(vec![writing, listening])),
        })
    }

    pub async fn change<T, E>(
        &self,
        change: impl FnMut(&mut Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        group::queue(&self.changes, change).await
    }

    pub async fn read<T, E>(&self, read: impl FnOnce(&Reading<'_>) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        let mut session = self.readers.lend().await?;
        let access = Arc::clone(&self.access);
        // The connection goes along, since the caller may go away meanwhile.
        let reading = tokio::task::spawn_blocking(move || reader::read_consistently(&mut session, &access, read));
        // A runtime that shuts down runs no new blocking task.
        reading.await.map_err(|_| DbError::Closed)?
    }

    /// Sends a message to the other servers at the database.
    pub fn send_message(&self, message: String) {
        if let Some(outgoing) = &*lock(&self.outgoing) {
            outgoing.send(message);
        }
    }

    /// Waits until half of the queue of messages is free.
    pub async fn await_message_room(&self) {
        let queue = lock(&self.outgoing).as_ref().map(listener::MessageQueue::sender);
        if let Some(queue) = queue {
            // An error says that the engine closes.
            drop(queue.reserve_many(WAITING / 2).await);
        }
    }

    pub async fn close(&self) {
        self.readers.close().await;
        // Queued behind what waits, so that all of it is finished first.
        let _ = self.changes.send(Queued::Close).await;
        drop(lock(&self.outgoing).take());
        let threads = std::mem::take(&mut *lock(&self.threads));
        let joined = move || threads.into_iter().for_each(|thread| drop(thread.join()));
        let _ = tokio::task::spawn_blocking(joined).await;
    }
}
