//! The store: what the server knows, behind questions that a second database could answer.
//!
//! A question is a method that speaks in the server's words; SQL is said in this folder and nowhere else.
//! There is one writer: a change reads, decides and writes in one transaction, so a decision is never made
//! on what somebody else has just changed. Readers see the last commit and wait for nobody. What was
//! committed survives the death of the process.
//!
//! Whoever changes something tells it: after a commit the store passes the facts to [`News`].

mod adhoc;
mod catalogue;
pub mod changes;
mod deletion;
mod due;
mod entities;
mod entity_version;
mod evaluate;
mod fires;
mod forms;
mod instances;
mod job_page;
mod jobs;
mod kills;
mod lanes;
pub mod lists;
mod log_append;
mod log_chunks;
mod log_lines;
mod logs;
mod nonces;
mod outage;
mod overview;
mod placing;
mod plan;
mod rows;
mod run_control;
mod run_details;
mod runs;
mod schema;
#[cfg(test)]
mod whole;
mod worker_commands;
mod workers;

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Sqlite, Transaction};

pub use adhoc::Submission;
pub use catalogue::{CatalogueEntry, Entity};
pub use deletion::{DeletionImpact, Removal};
pub use entities::{NewJob, NewPool, NewProject, NewTemplate, NewWorker};
pub use entity_version::EntityVersion;
pub use evaluate::{JobEvaluation, Offer};
pub use forms::{EntityForm, WorkerForm};
pub use job_page::{JobLink, ScheduleState};
pub use jobs::JobPatch;
pub use kills::{KillChange, KillPatch};
pub use lanes::{EndFilter, LaneRun, Mark, Sought};
pub use log_append::Appended;
pub use log_chunks::Extent;
pub use log_lines::LogLineRange;
pub use logs::LogChange;
pub use outage::Outage;
pub use overview::{
    AfterRun, AfterTitle, JobFrame, JobOverview, JobSurroundings, RunOverview, RunStage, Which, WorkerOverview,
};
pub use placing::{PlaceIds, PlaceName, PlaceNames};
pub use run_control::EndDecision;
pub use run_details::{Other, RunDetails, Somebody};
pub use runs::{Changed, NewRun, RunChange};
#[cfg(test)]
pub use whole::Whole;
pub use worker_commands::{AnswerKind, CommandRequest, Tells, WorkerAnswer};
pub use workers::{Claim, Started, StartedRun, WorkerSnapshot};

use crate::server::store::changes::ChangeFeed;
use outage::Watchdog;

/// How many readers at once.
pub const READERS: u32 = 4;
/// How long somebody waits for the writer before it is an error.
const PATIENCE: Duration = Duration::from_secs(30);

/// What can be wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be opened.
    #[error("the store {path} cannot be opened")]
    Open {
        /// Where it is.
        path: String,
        /// Why not.
        #[source]
        source: sqlx::Error,
    },
    /// It was written by a later version.
    #[error("the store {path} has version {found}; this program reads up to {known}")]
    Newer {
        /// Where it is.
        path: String,
        /// Its version.
        found: i64,
        /// The last one we know.
        known: usize,
    },
    /// A question was not answered.
    #[error("the store does not answer")]
    Ask(#[from] sqlx::Error),
    /// Nothing can be written for now.
    #[error(transparent)]
    Unwritable(#[from] Outage),
    /// What is asked for breaks a rule of the data: a title twice, a thing that is not there.
    #[error("{0}")]
    Conflict(String),
    /// What is to be changed is not any more what whoever changes it saw.
    #[error("it was changed meanwhile")]
    Changed,
}

impl StoreError {
    /// Whether the store cannot be used for now, which is told once by the store itself, and not by everybody who meets it.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Unwritable(_) => true,
            Self::Ask(error) => outage::is_outage(error),
            Self::Open { .. } | Self::Newer { .. } | Self::Conflict(_) | Self::Changed => false,
        }
    }
}

/// The door to the store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    writer: SqlitePool,
    readers: SqlitePool,
    news: ChangeFeed,
    watchdog: Watchdog,
}

/// A change under way. Dropped without [`Writing::commit`], nothing happened.
pub(super) type Writing = Transaction<'static, Sqlite>;

impl Store {
    /// Opens the store of a file, which is made where it is missing.
    ///
    /// # Errors
    /// What is wrong with it.
    pub async fn open(path: &Path, news: ChangeFeed) -> Result<Self, StoreError> {
        let shown = path.display().to_string();
        let opened = |source| StoreError::Open { path: shown.clone(), source };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .foreign_keys(true)
            .busy_timeout(PATIENCE)
            .statement_cache_capacity(128);
        let watchdog = Watchdog::new(path);
        // A file of ours does not go away: to ask a connection first whether it lives is one more way to its thread and back.
        // Nor is a connection ever too old: on a full disk there may be no room to open another.
        let pool = || {
            let pool = SqlitePoolOptions::new().test_before_acquire(false).acquire_timeout(PATIENCE);
            pool.max_lifetime(None).idle_timeout(None)
        };
        let doubt = watchdog.clone();
        let one = pool().max_connections(1).after_release(move |connection, _| {
            let doubt = doubt.clone();
            Box::pin(async move {
                let sound = outage::is_sound(connection).await;
                if !matches!(sound, Ok(true)) {
                    doubt.doubt();
                }
                sound
            })
        });
        let writer = one.connect_with(options.clone()).await.map_err(opened)?;
        migrate(&writer, &shown).await?;
        let many = pool().max_connections(READERS);
        let readers = many.connect_with(options.pragma("query_only", "1")).await.map_err(opened)?;
        Ok(Self { writer, readers, news, watchdog })
    }

    /// What has changed, for those who want to know.
    #[must_use]
    pub fn changes(&self) -> &ChangeFeed {
        &self.news
    }

    /// Begins a change. Nobody else changes anything until it is over. Refused where it could not be written.
    pub(super) async fn write(&self) -> Result<Writing, StoreError> {
        self.watchdog.check()?;
        self.begin().await
    }

    async fn begin(&self) -> Result<Writing, StoreError> {
        let begun = self.writer.begin_with("BEGIN IMMEDIATE").await;
        Ok(begun.inspect_err(|_| self.watchdog.doubt())?)
    }

    /// Writes what waits and closes the file.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// A setting that is kept with the data.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        let query = sqlx::query_scalar("SELECT value FROM setting WHERE name = ?").bind(name);
        Ok(query.fetch_optional(&self.readers).await?)
    }

    /// Keeps a setting with the data.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn set_setting(&self, name: &str, value: &str) -> Result<(), StoreError> {
        let mut writing = self.write().await?;
        let query = sqlx::query("INSERT OR REPLACE INTO setting VALUES (?, ?)").bind(name).bind(value);
        query.execute(&mut *writing).await?;
        Ok(writing.commit().await?)
    }
}

async fn migrate(writer: &SqlitePool, path: &str) -> Result<(), StoreError> {
    let opened = |source| StoreError::Open { path: path.to_owned(), source };
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(writer).await.map_err(opened)?;
    let known = schema::MIGRATIONS.len();
    let from = usize::try_from(version).unwrap_or(usize::MAX);
    if from > known {
        return Err(StoreError::Newer { path: path.to_owned(), found: version, known });
    }
    for (step, schema) in schema::MIGRATIONS.iter().enumerate().skip(from) {
        let batch = format!("BEGIN; {schema} PRAGMA user_version = {}; COMMIT;", step + 1);
        sqlx::raw_sql(sqlx::AssertSqlSafe(batch)).execute(writer).await.map_err(opened)?;
    }
    Ok(())
}
