//! The store: keeps all data of the server in an SQLite file, behind methods that a second database could implement.
//!
//! Each method is named in the terms of the domain; SQL stands in this folder and nowhere else. There is one writer: a
//! change reads, decides and writes in one transaction, so no decision rests on data that another change has just
//! replaced. Readers see the last commit and never wait for the writer. A commit survives the death of the process.
//!
//! Each commit publishes what it changed on the [`ChangeFeed`]; `writing` owns that rule.

mod ad_hoc_runs;
mod catalogue;
pub mod changes;
mod claim_rule;
mod conflict;
mod deletion;
mod due;
mod entities;
mod entity_version;
mod evaluate;
mod fire_reasons;
mod fires;
mod forms;
#[cfg(test)]
mod in_memory;
mod instances;
mod job_page;
mod jobs;
mod kill_or_cancel;
mod kill_records;
mod lanes;
mod late_results;
mod log_append;
mod log_chunks;
mod log_reading;
mod log_replacement;
mod named_entities;
mod nonces;
mod outage;
mod overview;
mod planned_runs;
pub mod rest_lists;
mod rows;
mod run_changes;
mod run_details;
mod run_ends;
mod runs;
mod schema;
mod worker_commands;
mod workers;
mod writing;

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};

pub use ad_hoc_runs::Submission;
pub use catalogue::{CatalogueEntry, Entity};
pub use conflict::{Conflict, MissingEntity, UnknownName};
pub use deletion::{DeletionImpact, Removal};
pub use entities::{NewJob, NewPool, NewProject, NewTemplate, NewWorker};
pub use entity_version::EntityVersion;
pub use evaluate::{JobEvaluation, Offer};
pub use fire_reasons::reason_facts;
pub use forms::{EntityForm, WorkerForm};
#[cfg(test)]
pub use in_memory::Contents;
pub use job_page::{JobLink, ScheduleState};
pub use jobs::JobPatch;
pub use kill_or_cancel::{EndOutcome, TimeoutKill};
pub use kill_records::{KillChange, KillPatch};
pub use lanes::{EndFilter, LaneRun, Mark, Sought};
pub use late_results::LateReport;
pub use log_append::Appended;
pub use log_chunks::Extent;
pub use log_reading::LogLineRange;
pub use log_replacement::LogChange;
pub use named_entities::{EntityIds, EntityName, EntityNames};
pub use outage::Outage;
pub use overview::{
    AfterRun, AfterTitle, JobFrame, JobOverview, JobSurroundings, RunFilter, RunOverview, RunStage, WorkerOverview,
};
pub use run_changes::RunChange;
pub use run_details::{RelatedRun, Requester, RunDetails};
pub use runs::NewRun;
pub use worker_commands::{AnswerKind, CommandRequest, WorkerAnswer, WorkerReport};
pub use workers::{Claim, Started, StartedRun, WorkerSnapshot};

use crate::server::store::changes::ChangeFeed;
use outage::Watchdog;
use writing::Writing;

/// Connections for readers, and thus reads at the same time.
pub const READERS: u32 = 4;
/// Longest wait for a connection or for SQLite's lock before the operation fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// Errors of the store, shared by all of its methods.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be opened, or a migration step failed.
    #[error("the store {path} cannot be opened")]
    Open {
        /// Path of the file, for the message.
        path: String,
        /// Error of the driver.
        #[source]
        source: sqlx::Error,
    },
    /// The file was written by a later version of the program.
    #[error("the store {path} has version {found}; this program reads up to {known}")]
    Newer {
        /// Path of the file, for the message.
        path: String,
        /// Version of the file (`PRAGMA user_version`).
        found: i64,
        /// Latest version that this program reads.
        known: usize,
    },
    /// A statement failed: the database refused it or could not be used; [`StoreError::is_outage`] tells which.
    #[error("the store does not answer")]
    Ask(#[from] sqlx::Error),
    /// Changes are refused during an outage.
    #[error(transparent)]
    Unwritable(#[from] Outage),
    /// The request breaks a rule of the data.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// The entity differs from the version that the client saw before it sent its change.
    #[error("it was changed meanwhile")]
    Changed,
}

impl StoreError {
    /// Returns whether the store cannot be used for now. The store logs an outage once, so callers need not log such an
    /// error.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Unwritable(_) => true,
            Self::Ask(error) => outage::is_outage(error),
            Self::Open { .. } | Self::Newer { .. } | Self::Conflict(_) | Self::Changed => false,
        }
    }
}

/// Handle to the store; cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    writer: SqlitePool,
    readers: SqlitePool,
    feed: ChangeFeed,
    watchdog: Watchdog,
}

impl Store {
    /// Opens the store in a file, creates the file where it is missing, and applies the migrations that it lacks.
    ///
    /// # Errors
    /// If the file cannot be opened or migrated, or was written by a later version.
    pub async fn open(path: &Path, feed: ChangeFeed) -> Result<Self, StoreError> {
        let shown = path.display().to_string();
        let opened = |source| StoreError::Open { path: shown.clone(), source };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // NORMAL syncs at checkpoints only: a commit survives a SIGKILL, while a loss of power may take back the
            // last commits.
            .synchronous(SqliteSynchronous::Normal)
            .foreign_keys(true)
            .busy_timeout(PATIENCE)
            .statement_cache_capacity(128);
        let watchdog = Watchdog::new(path);
        // SQLite's file does not go away, so testing a connection before its use would only cost another round trip to
        // its thread. Connections have no maximum age either: on a full disk there may be no room to open another one.
        let pool = || {
            let pool = SqlitePoolOptions::new().test_before_acquire(false).acquire_timeout(PATIENCE);
            pool.max_lifetime(None).idle_timeout(None)
        };
        let for_pool = watchdog.clone();
        // One connection makes all changes wait for one another here, rather than for SQLite's lock with its time-out.
        let one = pool().max_connections(1).after_release(move |connection, _| {
            let watchdog = for_pool.clone();
            Box::pin(async move {
                let sound = outage::is_sound(connection).await;
                if !matches!(sound, Ok(true)) {
                    watchdog.report_failure();
                }
                sound
            })
        });
        let writer = one.connect_with(options.clone()).await.map_err(opened)?;
        migrate(&writer, &shown).await?;
        let many = pool().max_connections(READERS);
        // `query_only` makes a write through a reader fail, rather than contend with the writer.
        let readers = many.connect_with(options.pragma("query_only", "1")).await.map_err(opened)?;
        Ok(Self { writer, readers, feed, watchdog })
    }

    /// Returns the change feed, on which every committed change is published.
    #[must_use]
    pub fn changes(&self) -> &ChangeFeed {
        &self.feed
    }

    /// Begins a write transaction; no other change runs until it ends. Fails at once during an outage.
    async fn write(&self) -> Result<Writing, StoreError> {
        self.watchdog.check()?;
        self.begin().await
    }

    async fn begin(&self) -> Result<Writing, StoreError> {
        // IMMEDIATE takes the write lock before the first read, so that a change that reads first cannot fail when it
        // writes.
        let begun = self.writer.begin_with("BEGIN IMMEDIATE").await;
        let transaction = begun.inspect_err(|_| self.watchdog.report_failure())?;
        Ok(Writing::new(transaction, self.feed.clone()))
    }

    /// Closes all connections, which writes SQLite's write-ahead log back into the file.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// Reads a setting that is kept with the data; `None` if it was never set.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        let query = sqlx::query_scalar("SELECT value FROM setting WHERE name = ?").bind(name);
        Ok(query.fetch_optional(&self.readers).await?)
    }

    /// Writes a setting that is kept with the data.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn set_setting(&self, name: &str, value: &str) -> Result<(), StoreError> {
        let mut writing = self.write().await?;
        let query = sqlx::query("INSERT OR REPLACE INTO setting VALUES (?, ?)").bind(name).bind(value);
        query.execute(&mut *writing).await?;
        writing.commit().await
    }
}

async fn migrate(writer: &SqlitePool, path: &str) -> Result<(), StoreError> {
    let opened = |source| StoreError::Open { path: path.to_owned(), source };
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(writer).await.map_err(opened)?;
    let known = schema::MIGRATIONS.len();
    // No version of this program is negative; such a one counts as later than all, so that the file is refused.
    let from = usize::try_from(version).unwrap_or(usize::MAX);
    if from > known {
        return Err(StoreError::Newer { path: path.to_owned(), found: version, known });
    }
    for (step, schema) in schema::MIGRATIONS.iter().enumerate().skip(from) {
        // A step and its version number are one transaction: a crash leaves a file from which the next start goes on.
        let batch = format!("BEGIN; {schema} PRAGMA user_version = {}; COMMIT;", step + 1);
        sqlx::raw_sql(sqlx::AssertSqlSafe(batch)).execute(writer).await.map_err(opened)?;
    }
    Ok(())
}
