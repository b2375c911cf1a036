//! A store in memory for tests that begin thousands of times from one state: it is opened once, and its rows are put
//! back to that state. Its contents can be read as a whole, and only as far as they have changed.

use std::path::Path;

use super::changes::ChangeFeed;
use super::db::{Db, OpenError, Reading};
use super::outage::Watchdog;
use super::{Store, StoreError, rows, schema};
use crate::run::KillId;
use crate::server::domain::model::{Job, Run, Worker};

/// Contents of a store, as far as the rules of dispatching read them.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// All jobs, without their excludes.
    pub jobs: Vec<Job>,
    /// All workers, by id. Their answers may be older.
    pub workers: Vec<Worker>,
    /// All runs that are not over.
    pub open: Vec<Run>,
    /// Columns of jobs and workers that decide something.
    catalogue: String,
    /// Rows that had been written when this was read.
    written: i64,
}

impl Store {
    /// Opens an empty store in memory. One operation after the other is executed, so that a test that is repeated sees the
    /// same sequence of them.
    ///
    /// # Errors
    /// If SQLite refuses.
    pub async fn in_memory() -> Result<Self, OpenError> {
        let feed = ChangeFeed::default();
        let db = Db::in_memory(schema::MIGRATIONS, feed.clone())?;
        Ok(Self { db, feed, watchdog: Watchdog::new(Path::new(".")), lease: None })
    }

    /// Copies all rows aside, for [`Store::restore_rows`].
    ///
    /// # Errors
    /// If SQLite refuses.
    pub async fn save_rows(&self) -> Result<(), StoreError> {
        let tables = self.tables().await?;
        let copies =
            tables.iter().map(|table| format!("CREATE TABLE saved.\"of_{table}\" AS SELECT * FROM main.\"{table}\";"));
        let batch: String = ["ATTACH ':memory:' AS saved;".to_owned()].into_iter().chain(copies).collect();
        Ok(self.db.batch(&batch)?)
    }

    /// Puts all rows back as they were at [`Store::save_rows`], with the ids that come next, and returns the store with
    /// a change feed that nobody has subscribed to.
    ///
    /// # Errors
    /// If SQLite refuses.
    pub async fn restore_rows(&self) -> Result<Self, StoreError> {
        let tables = self.tables().await?;
        // A table refers to those that were made before it.
        let delete = tables.iter().rev().map(|table| format!("DELETE FROM main.\"{table}\";"));
        let insert =
            tables.iter().map(|table| format!("INSERT INTO main.\"{table}\" SELECT * FROM saved.\"of_{table}\";"));
        let batch = ["BEGIN;".to_owned()].into_iter().chain(delete).chain(insert).chain(["COMMIT;".to_owned()]);
        self.db.batch(&batch.collect::<String>())?;
        let feed = ChangeFeed::default();
        Ok(Self { db: self.db.with_feed(feed.clone()), feed, watchdog: self.watchdog.clone(), lease: None })
    }

    /// Brings contents up to date; reads again what may have changed since.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn read_contents(&self, contents: &mut Contents) -> Result<(), StoreError> {
        let mut known = std::mem::take(contents);
        *contents = self.read(move |reading| update(reading, &mut known).map(|()| known)).await?;
        Ok(())
    }

    /// Returns the run that a kill request is for.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn run_to_kill(&self, kill: KillId) -> Result<Option<Run>, StoreError> {
        let sql = "SELECT run.* FROM run JOIN kill_request ON run = run.id WHERE kill_request.id = ?";
        self.read(move |reading| reading.row(sql, &[&kill], rows::run)).await
    }

    /// Returns the names of all tables in the order in which they were made; the one that holds the last ids comes last.
    async fn tables(&self) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT name FROM main.sqlite_master WHERE type = 'table' ORDER BY name = 'sqlite_sequence', rowid";
        self.read(move |reading| Ok(reading.values(sql, &[])?)).await
    }
}

fn update(reading: &Reading<'_>, contents: &mut Contents) -> Result<(), StoreError> {
    let sql = "SELECT total_changes(), (SELECT group_concat(concat_ws(' ', id, worker_pool, enqueue_is_enabled,
             run_on_all_workers, concurrency, 'every', reschedule_interval, reschedule_interval_type, 'cron', cron))
             FROM (SELECT * FROM job ORDER BY id))
         || (SELECT group_concat(concat_ws(' ', id, enqueue_is_enabled)) FROM (SELECT * FROM worker ORDER BY id))";
    let (written, catalogue): (i64, String) =
        reading.one(sql, &[], |row| Ok::<_, StoreError>((row.at(0)?, row.at(1)?)))?;
    if contents.catalogue != catalogue {
        contents.jobs = reading.rows("SELECT * FROM job ORDER BY id", &[], rows::job)?;
        contents.workers = reading.rows("SELECT * FROM worker ORDER BY id", &[], rows::worker)?;
    }
    if contents.written != written {
        contents.open = reading.rows("SELECT * FROM run WHERE return_dts IS NULL ORDER BY id", &[], rows::run)?;
    }
    (contents.catalogue, contents.written) = (catalogue, written);
    Ok(())
}
