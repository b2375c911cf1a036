//! The writing thread: takes what waits into one transaction, each change under a savepoint, and answers after the commit.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use tokio::sync::mpsc;

use super::checkpoints::Checkpointer;
use super::{AnyConnection, DbError, Reading, Transaction, connect_writer, run};
use crate::server::store::changes::ChangeFeed;
use crate::server::store::db::group::{Group, Pending, Queued, refuse_all, take};

/// State of the thread.
pub struct Writer {
    path: PathBuf,
    feed: ChangeFeed,
    checkpointer: Checkpointer,
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
        let mut group = Group::default();
        let taken = take(first, queue, |pending| run_member(&mut group, connection, pending));
        if taken.sound && run(connection, "COMMIT").is_ok() {
            crash_point!(GroupCommitted);
            group.tell(&self.feed);
        } else {
            // Whoever broke it is alone the next time.
            let _ = run(connection, "ROLLBACK");
            group.members.into_iter().for_each(|pending| self.write_alone(connection, pending));
        }
        taken.closed
    }

    /// Writes a change in a transaction of its own, after a group of which it was a part has failed.
    fn write_alone(&self, connection: &Connection, pending: Box<dyn Pending>) {
        if let Err(e) = run(connection, "BEGIN IMMEDIATE") {
            pending.answer(Err(e));
            return;
        }
        let mut group = Group::default();
        let sound = run_member(&mut group, connection, pending);
        match if sound { run(connection, "COMMIT") } else { Err(DbError::RolledBack) } {
            Ok(()) => group.tell(&self.feed),
            Err(e) => {
                let _ = run(connection, "ROLLBACK");
                group.refuse(&e);
            }
        }
    }
}

/// Runs a change under a savepoint, and makes it a member; returns false if the whole transaction is lost.
fn run_member(group: &mut Group, connection: &Connection, mut pending: Box<dyn Pending>) -> bool {
    let sound = run_under_savepoint(group, connection, &mut *pending);
    group.members.push(pending);
    sound && !connection.is_autocommit()
}

fn run_under_savepoint(group: &mut Group, connection: &Connection, pending: &mut dyn Pending) -> bool {
    if run(connection, "SAVEPOINT change").is_err() {
        return false;
    }
    let reading = Reading { connection: AnyConnection::Sqlite(connection) };
    let mut transaction = Transaction { reading, changes: Vec::new() };
    if pending.run(&mut transaction) {
        group.changes.append(&mut transaction.changes);
        run(connection, "RELEASE change").is_ok()
    } else {
        run(connection, "ROLLBACK TO change").is_ok() && run(connection, "RELEASE change").is_ok()
    }
}
