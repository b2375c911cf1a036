//! Checkpoints: copies the write-ahead log into the file beside the writer, where SQLite would do it within the commit that
//! fills the log.

use std::cell::Cell;
use std::ffi::c_int;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;
use rusqlite::hooks::Wal;

use super::{DbError, connect, spawn};

/// Frames in the log, of 4 KiB each, after which it is copied.
const FRAMES: c_int = 1000;
/// Frames after which the writer copies it by itself: a slow disk keeps the checkpointer behind, or the log is never free
/// of a reader or a writer, so that it cannot begin anew.
const FRAMES_AT_MOST: c_int = 16_000;

thread_local! {
    /// Frames in the log after the last commit of this thread.
    static LENGTH: Cell<c_int> = const { Cell::new(0) };
}

/// Writer's side of the checkpointer.
pub struct Checkpointer {
    notices: SyncSender<()>,
}

impl Checkpointer {
    /// Starts the thread, which ends when the writer does.
    pub fn start(path: &Path) -> Result<(Self, JoinHandle<()>), DbError> {
        let connection = connect(path)?;
        // One notice is enough: all frames that there are get copied.
        let (notices, noticed) = sync_channel(1);
        let thread = spawn("store checkpoints", move || work(&connection, &noticed))?;
        Ok((Self { notices }, thread))
    }

    /// Has a connection of the writer's thread count frames, in place of SQLite's own checkpoints.
    ///
    /// # Errors
    /// If SQLite refuses.
    pub fn watch(connection: &mut Connection) -> Result<(), DbError> {
        connection.wal_hook(Some(|_: &mut Wal, frames: c_int| {
            LENGTH.set(frames);
            Ok(())
        }))?;
        Ok(())
    }

    /// Sees to the log after a commit of the writer's thread.
    pub fn after_commit(&self, connection: &Connection) {
        match LENGTH.get() {
            // A failure shows in the next write; the log is longer until then.
            FRAMES_AT_MOST.. => drop(copy(connection)),
            // A notice that is not taken yet stands for this one.
            FRAMES.. => drop(self.notices.try_send(())),
            _ => {}
        }
    }
}

fn work(connection: &Connection, notices: &Receiver<()>) {
    while notices.recv().is_ok() {
        // As above.
        let _ = copy(connection);
    }
}

/// Copies as much of the log into the file as no reader needs.
fn copy(connection: &Connection) -> Result<(), DbError> {
    Ok(connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?)
}
