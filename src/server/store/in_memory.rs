//! A store in memory for tests that begin thousands of times from one state: it is opened once, and its rows are put
//! back to that state. Its contents can be read as a whole, and only as far as they have changed.

use std::path::Path;

use sqlx::SqliteConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};

use super::changes::ChangeFeed;
use super::outage::Watchdog;
use super::{PATIENCE, Store, StoreError, migrate, rows};
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
    /// Opens an empty store in memory. Readers and the writer share its one connection, so that one operation after the
    /// other is executed and a test that is repeated sees the same sequence of them.
    ///
    /// # Errors
    /// If SQLite refuses.
    pub async fn in_memory() -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new().filename(":memory:").foreign_keys(true).statement_cache_capacity(256);
        let one = SqlitePoolOptions::new().max_connections(1).test_before_acquire(false).acquire_timeout(PATIENCE);
        // The data is gone with its connection.
        let pool = one.max_lifetime(None).idle_timeout(None).connect_with(options).await?;
        migrate(&pool, ":memory:").await?;
        let watchdog = Watchdog::new(Path::new("."));
        Ok(Self { writer: pool.clone(), readers: pool, feed: ChangeFeed::default(), watchdog })
    }

    /// Copies all rows aside, for [`Store::restore_rows`].
    ///
    /// # Errors
    /// If SQLite refuses.
    pub async fn save_rows(&self) -> Result<(), StoreError> {
        let mut connection = self.writer.acquire().await?;
        execute(&mut connection, "ATTACH ':memory:' AS saved".to_owned()).await?;
        for table in tables(&mut connection).await? {
            execute(&mut connection, format!("CREATE TABLE saved.\"of_{table}\" AS SELECT * FROM main.\"{table}\""))
                .await?;
        }
        Ok(())
    }

    /// Puts all rows back as they were at [`Store::save_rows`], with the ids that come next, and returns the store with
    /// a change feed that nobody has subscribed to.
    ///
    /// # Errors
    /// If SQLite refuses.
    pub async fn restore_rows(&self) -> Result<Self, StoreError> {
        let mut connection = self.writer.acquire().await?;
        let tables = tables(&mut connection).await?;
        // A table refers to those that were made before it.
        let delete = tables.iter().rev().map(|table| format!("DELETE FROM main.\"{table}\";"));
        let insert =
            tables.iter().map(|table| format!("INSERT INTO main.\"{table}\" SELECT * FROM saved.\"of_{table}\";"));
        let batch = ["BEGIN;".to_owned()].into_iter().chain(delete).chain(insert).chain(["COMMIT;".to_owned()]);
        execute(&mut connection, batch.collect()).await?;
        Ok(Self { feed: ChangeFeed::default(), ..self.clone() })
    }

    /// Brings contents up to date; reads again what may have changed since.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn read_contents(&self, contents: &mut Contents) -> Result<(), StoreError> {
        let query = sqlx::query_as(
            "SELECT total_changes(), (SELECT group_concat(concat_ws(' ', id, worker_pool, enqueue_is_enabled,
                 run_on_all_workers, concurrency, 'every', reschedule_interval, reschedule_interval_type, 'cron', cron))
                 FROM (SELECT * FROM job ORDER BY id))
             || (SELECT group_concat(concat_ws(' ', id, enqueue_is_enabled)) FROM (SELECT * FROM worker ORDER BY id))",
        );
        let (written, catalogue): (i64, String) = query.fetch_one(&self.readers).await?;
        if contents.catalogue != catalogue {
            let jobs = sqlx::query("SELECT * FROM job ORDER BY id").fetch_all(&self.readers).await?;
            contents.jobs = jobs.iter().map(rows::job).collect::<Result<_, _>>()?;
            let workers = sqlx::query("SELECT * FROM worker ORDER BY id").fetch_all(&self.readers).await?;
            contents.workers = workers.iter().map(rows::worker).collect::<Result<_, _>>()?;
        }
        if contents.written != written {
            let open = sqlx::query("SELECT * FROM run WHERE return_dts IS NULL ORDER BY id");
            contents.open = open.fetch_all(&self.readers).await?.iter().map(rows::run).collect::<Result<_, _>>()?;
        }
        (contents.catalogue, contents.written) = (catalogue, written);
        Ok(())
    }

    /// Returns the run that a kill request is for.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn run_to_kill(&self, kill: KillId) -> Result<Option<Run>, StoreError> {
        let query = sqlx::query("SELECT run.* FROM run JOIN kill_request ON run = run.id WHERE kill_request.id = ?");
        query.bind(kill.get()).fetch_optional(&self.readers).await?.as_ref().map(rows::run).transpose()
    }
}

/// Returns the names of all tables in the order in which they were made; the one that holds the last ids comes last.
async fn tables(connection: &mut SqliteConnection) -> Result<Vec<String>, StoreError> {
    let query = sqlx::query_scalar(
        "SELECT name FROM main.sqlite_master WHERE type = 'table' ORDER BY name = 'sqlite_sequence', rowid",
    );
    Ok(query.fetch_all(connection).await?)
}

async fn execute(connection: &mut SqliteConnection, batch: String) -> Result<(), StoreError> {
    sqlx::raw_sql(sqlx::AssertSqlSafe(batch)).execute(connection).await?;
    Ok(())
}
