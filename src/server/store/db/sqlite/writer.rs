//! The writing thread: takes what waits into one transaction, each change under a savepoint, and answers after the commit.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::checkpoints::Checkpointer;
use super::{AnyConnection, DbError, Reading, Transaction, change_once, connect_writer, run};
use crate::server::store::changes::{Change, ChangeFeed};

/// Maximum number of changes that share a commit.
const GROUP: usize = 128;

/// Message to the writer.
pub enum Queued {
    /// A change whose caller waits.
    Change(Box<dyn Pending>),
    /// Finish, and close the connection.
    Close,
}

impl Queued {
    pub fn change<F, T, E>(change: F, caller: oneshot::Sender<Result<T, E>>) -> Self
    where
        F: FnMut(&mut Transaction<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        Self::Change(Box::new(Waiting { change, outcome: None, caller }))
    }
}

/// A change whose caller waits, whatever it returns.
pub trait Pending: Send {
    /// Runs the closure; returns whether what it wrote is to be kept.
    fn run(&mut self, transaction: &mut Transaction<'_>) -> bool;

    /// Answers the caller with the outcome of the closure if it was committed, and else with the error of the database.
    fn answer(self: Box<Self>, committed: Result<(), DbError>);
}

struct Waiting<F, T, E> {
    change: F,
    outcome: Option<Result<T, E>>,
    caller: oneshot::Sender<Result<T, E>>,
}

impl<F, T, E> Pending for Waiting<F, T, E>
where
    F: FnMut(&mut Transaction<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<DbError> + Send,
{
    fn run(&mut self, transaction: &mut Transaction<'_>) -> bool {
        let outcome = change_once(transaction, &mut self.change);
        let keeps = outcome.is_ok();
        self.outcome = Some(outcome);
        keeps
    }

    fn answer(self: Box<Self>, committed: Result<(), DbError>) {
        let answer = match (committed, self.outcome) {
            // An error of the closure itself says more than that of a transaction that it may have broken.
            (Ok(()), Some(outcome)) | (Err(_), Some(outcome @ Err(_))) => outcome,
            (Ok(()), None) => Err(DbError::Closed.into()),
            (Err(error), _) => Err(error.into()),
        };
        // A caller that is gone needs no answer.
        let _ = self.caller.send(answer);
    }
}

/// State of the thread.
pub struct Writer {
    path: PathBuf,
    feed: ChangeFeed,
    checkpointer: Checkpointer,
}

/// Changes of one transaction, in the order in which they were made, and what they publish.
#[derive(Default)]
struct Group {
    members: Vec<Box<dyn Pending>>,
    changes: Vec<Change>,
}

impl Writer {
    pub fn new(path: &Path, feed: ChangeFeed, checkpointer: Checkpointer) -> Self {
        Self { path: path.to_owned(), feed, checkpointer }
    }

    /// Writes what is queued until the queue is closed.
    // The checkpointer ends when `self` is dropped, after the connection: parameters are dropped from the last to the first.
    // So its connection is the last one, and SQLite removes the log with it.
    pub fn work(self, mut connection: Connection, mut queue: mpsc::Receiver<Queued>) {
        while let Some(Queued::Change(first)) = queue.blocking_recv() {
            let is_last = self.write_group(&connection, first, &mut queue);
            // SQLite ends a transaction by itself where the disk is full or broken. A fresh connection carries nothing
            // of that along.
            if !connection.is_autocommit()
                && run(&connection, "ROLLBACK").is_err()
                && let Ok(fresh) = connect_writer(&self.path)
            {
                connection = fresh;
            }
            self.checkpointer.after_commit(&connection);
            if is_last {
                return;
            }
        }
    }

    /// Writes what waits, in one transaction; returns whether the queue was closed.
    fn write_group(
        &self,
        connection: &Connection,
        first: Box<dyn Pending>,
        queue: &mut mpsc::Receiver<Queued>,
    ) -> bool {
        crash_point!(GroupNext);
        if let Err(e) = run(connection, "BEGIN IMMEDIATE") {
            return refuse_all(first, queue, &e);
        }
        let (mut group, mut closed, mut sound) = (Group::default(), false, true);
        let mut next = Some(first);
        while let Some(pending) = next.take() {
            sound = group.run(connection, pending);
            if !sound || group.members.len() == GROUP {
                break;
            }
            match queue.try_recv() {
                Ok(Queued::Change(another)) => next = Some(another),
                Ok(Queued::Close) => closed = true,
                Err(_) => {}
            }
        }
        if sound && run(connection, "COMMIT").is_ok() {
            crash_point!(GroupCommitted);
            self.tell(group);
        } else {
            // Whoever broke it is alone the next time.
            let _ = run(connection, "ROLLBACK");
            group.members.into_iter().for_each(|pending| self.write_alone(connection, pending));
        }
        closed
    }

    /// Writes a change in a transaction of its own, after a group of which it was a part has failed.
    fn write_alone(&self, connection: &Connection, pending: Box<dyn Pending>) {
        if let Err(e) = run(connection, "BEGIN IMMEDIATE") {
            pending.answer(Err(e));
            return;
        }
        let mut group = Group::default();
        let sound = group.run(connection, pending);
        match if sound { run(connection, "COMMIT") } else { Err(DbError::RolledBack) } {
            Ok(()) => self.tell(group),
            Err(e) => {
                let _ = run(connection, "ROLLBACK");
                group.members.into_iter().for_each(|pending| pending.answer(Err(e.clone())));
            }
        }
    }

    /// Publishes what a committed group has changed, and answers its callers.
    fn tell(&self, group: Group) {
        group.changes.into_iter().for_each(|change| self.feed.publish(change));
        group.members.into_iter().for_each(|pending| pending.answer(Ok(())));
        crash_point!(GroupAnswered);
    }
}

impl Group {
    /// Runs a change under a savepoint, and makes it a member; returns false if the whole transaction is lost.
    fn run(&mut self, connection: &Connection, mut pending: Box<dyn Pending>) -> bool {
        let sound = self.run_under_savepoint(connection, &mut *pending);
        self.members.push(pending);
        sound && !connection.is_autocommit()
    }

    fn run_under_savepoint(&mut self, connection: &Connection, pending: &mut dyn Pending) -> bool {
        if run(connection, "SAVEPOINT change").is_err() {
            return false;
        }
        let reading = Reading { connection: AnyConnection::Sqlite(connection) };
        let mut transaction = Transaction { reading, changes: Vec::new() };
        if pending.run(&mut transaction) {
            self.changes.append(&mut transaction.changes);
            run(connection, "RELEASE change").is_ok()
        } else {
            run(connection, "ROLLBACK TO change").is_ok() && run(connection, "RELEASE change").is_ok()
        }
    }
}

/// Answers everybody who waits with an error, rather than have each wait for the lock in turn; returns whether the queue
/// was closed.
fn refuse_all(first: Box<dyn Pending>, queue: &mut mpsc::Receiver<Queued>, error: &DbError) -> bool {
    // Who comes after this has not waited yet, and the lock may be free by then.
    let waiting = queue.len();
    first.answer(Err(error.clone()));
    for _ in 0..waiting {
        match queue.try_recv() {
            Ok(Queued::Change(pending)) => pending.answer(Err(error.clone())),
            Ok(Queued::Close) => return true,
            Err(_) => break,
        }
    }
    false
}
