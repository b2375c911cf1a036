//! The store: keeps all data of the server in an SQLite file.
//!
//! Each method is named in the terms of the domain; SQL stands in this folder and nowhere else. There is one writer: a
//! change reads, decides and writes in one transaction, so no decision rests on data that another change has just
//! replaced. Readers see the last commit and never wait for the writer. A commit survives the death of the process.
//!
//! Each commit publishes what it changed on the [`ChangeFeed`]. `db` runs the transactions, and of the server
//! knows the feed alone.

mod ad_hoc_runs;
#[cfg(test)]
mod both_engines;
mod catalogue;
pub mod changes;
mod claim_rule;
mod conflict;
mod db;
mod deletion;
mod due;
mod entities;
mod entity_version;
mod evaluate;
pub mod farm;
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
pub mod migrate;
mod named_entities;
mod nonces;
mod outage;
mod overview;
mod pass_facts;
mod planned_runs;
#[cfg(test)]
mod query_plans;
pub mod rest_lists;
mod rows;
mod run_changes;
mod run_details;
mod run_ends;
mod run_orders;
mod run_tells;
mod runs;
mod schema;
mod servers;
mod values;
mod worker_commands;
mod worker_reports;
mod workers;

use std::path::Path;

pub use ad_hoc_runs::Submission;
pub use catalogue::{CatalogueEntry, Entity};
pub use conflict::{Conflict, MissingEntity, UnknownName};
pub use deletion::{DeletionImpact, Removal};
pub use entities::{NewJob, NewPool, NewProject, NewTemplate, NewWorker};
pub use entity_version::EntityVersion;
pub use evaluate::{JobEvaluation, Offer};
pub use fire_reasons::{reason_facts, wait_facts, wait_of_facts};
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
pub use pass_facts::{PassFacts, PassQuestions};
pub use run_changes::RunChange;
pub use run_details::{RelatedRun, Requester, RunDetails};
pub use run_orders::RunWithScript;
pub use run_tells::{RunTell, TellOutcome, TellRefusal, ToldLog};
pub use runs::NewRun;
pub use servers::{Lease, Renewal, ServerId};
pub use worker_commands::CommandRequest;
pub use worker_reports::{AnswerKind, WorkerAnswer, WorkerReport};
pub use workers::{Claim, Started, StartedRun, WorkerSnapshot};

use crate::server::store::changes::ChangeFeed;
use db::{Db, DbError, OpenError, Reading, Transaction};
pub use db::{MISSED, READERS, UrlError};
use outage::Watchdog;

/// Statement that writes a setting, new or not.
const SET: &str =
    "INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value";

/// Errors of the store, shared by all of its methods.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The URL of the database is wrong.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The file or database cannot be opened, or a migration step failed.
    #[error("the store {path} cannot be opened")]
    Open {
        /// Path of the file, or host and name of the database, for the message.
        path: String,
        /// Error of the database.
        #[source]
        source: DbError,
    },
    /// The store was written by a later version of the program.
    #[error("the store {path} has version {found}; this program reads up to {known}")]
    Newer {
        /// Path of the file, or host and name of the database, for the message.
        path: String,
        /// Version of the store.
        found: i64,
        /// Latest version that this program reads.
        known: usize,
    },
    /// The SQLite store was moved to PostgreSQL.
    #[error(
        "the data of {path} was moved to the PostgreSQL database {place} on {at}; name it in the setting database, or \
         undo that with `job_runner migrate --back`"
    )]
    Moved {
        /// Path of the file.
        path: String,
        /// Host and name of the database that has the data.
        place: String,
        /// Time at which they were moved.
        at: String,
    },
    /// A migration into the database was begun, and not finished.
    #[error("the database {0} has an unfinished migration; `job_runner migrate` does it again, from the beginning")]
    Incomplete(String),
    /// A statement failed: the database refused it or could not be used; [`StoreError::is_outage`] tells which.
    #[error("the store does not answer")]
    Ask(#[from] DbError),
    /// Changes are refused during an outage.
    #[error(transparent)]
    Unwritable(#[from] Outage),
    /// The request breaks a rule of the data.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// Another server dispatches by now.
    #[error("another server dispatches by now")]
    LeaseLost,
    /// The entity differs from the version that the client saw before it sent its change.
    #[error("it was changed meanwhile")]
    Changed,
}

impl StoreError {
    fn opening(path: String, error: OpenError) -> Self {
        match error {
            OpenError::Url(wrong) => Self::Url(wrong),
            OpenError::Newer { found, .. } if migrate::is_marked(found) => match migrate::moved_to(Path::new(&path)) {
                Some((place, at)) => Self::Moved { path, place, at },
                None => Self::Incomplete(path),
            },
            OpenError::Newer { found, known } => Self::Newer { path, found, known },
            OpenError::Db(source) => Self::Open { path, source },
        }
    }

    /// Returns whether the store cannot be used for now. The store logs an outage once, so callers need not log such an
    /// error.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Unwritable(_) => true,
            Self::Ask(error) => outage::is_outage(error),
            Self::Url(_) | Self::Open { .. } | Self::Newer { .. } | Self::Moved { .. } | Self::Incomplete(_) => false,
            Self::Conflict(_) | Self::LeaseLost | Self::Changed => false,
        }
    }
}

/// Handle to the store; cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    db: Db,
    feed: ChangeFeed,
    watchdog: Watchdog,
    /// Lease that changes through this handle depend on.
    lease: Option<Lease>,
}

impl Store {
    /// Opens the store in a file, creates the file where it is missing, and applies the migrations that it lacks.
    ///
    /// # Errors
    /// If the file cannot be opened or migrated, or was written by a later version.
    pub async fn open(path: &Path, feed: ChangeFeed) -> Result<Self, StoreError> {
        let (file, publishing) = (path.to_owned(), feed.clone());
        let opened = move || Db::open(&file, schema::MIGRATIONS, publishing);
        let opened = tokio::task::spawn_blocking(opened).await.unwrap_or(Err(OpenError::Db(DbError::Closed)));
        let db = opened.map_err(|error| StoreError::opening(path.display().to_string(), error))?;
        Ok(Self { db, feed, watchdog: Watchdog::new(path), lease: None })
    }

    /// Connects to a store in PostgreSQL, creates its tables where they are missing, and applies the migrations that it
    /// lacks.
    ///
    /// # Errors
    /// If the URL is wrong, the database cannot be reached or migrated, or was written by a later version.
    pub async fn connect(url: &str, feed: ChangeFeed) -> Result<Self, StoreError> {
        let path = Db::name_of(url)?;
        let (url, publishing) = (url.to_owned(), feed.clone());
        let connected = move || Db::connect(&url, schema::POSTGRES_MIGRATIONS, publishing);
        let connected = tokio::task::spawn_blocking(connected).await.unwrap_or(Err(OpenError::Db(DbError::Closed)));
        let db = connected.map_err(|error| StoreError::opening(path, error))?;
        Ok(Self { db, feed, watchdog: Watchdog::of_server(), lease: None })
    }

    /// Returns the change feed, on which every committed change is published.
    #[must_use]
    pub fn changes(&self) -> &ChangeFeed {
        &self.feed
    }

    /// Runs a closure in a transaction that writes; see [`Db::change`]. Fails at once during an outage.
    async fn change<T: Send + 'static>(
        &self,
        mut change: impl FnMut(&mut Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.watchdog.check()?;
        let lease = self.lease.clone();
        let change = move |transaction: &mut Transaction<'_>| {
            let Some(lease) = &lease else { return change(transaction) };
            servers::ask_for_lease(transaction, lease);
            let outcome = change(transaction)?;
            // Last, because the answer came with that to the first question of the change. Nobody else writes meanwhile.
            servers::check(transaction, lease)?;
            Ok(outcome)
        };
        self.db.change(change).await.inspect_err(|e| {
            if e.is_outage() {
                self.watchdog.report_failure();
            }
        })
    }

    /// Runs a closure that reads, on the state after the last commit.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Reading<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.db.read(read).await
    }

    /// Runs a closure that reads a few rows by an index; see [`Db::read_short`].
    async fn read_short<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Reading<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.db.read_short(read).await
    }

    /// Finishes what is queued, and closes all connections, which writes SQLite's write-ahead log back into the file.
    pub async fn close(&self) {
        self.db.close().await;
    }

    /// Reads a setting that is kept with the data; `None` if it was never set.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        let name = name.to_owned();
        self.read(move |reading| Ok(reading.value("SELECT value FROM setting WHERE name = ?", &[&name])?)).await
    }

    /// Writes a setting that is kept with the data.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn set_setting(&self, name: &str, value: &str) -> Result<(), StoreError> {
        let (name, value) = (name.to_owned(), value.to_owned());
        self.change(move |transaction| {
            transaction.execute(SET, &[&name, &value])?;
            Ok(())
        })
        .await
    }

    /// Replaces a setting that is kept with the data by another value, computed from the present one, and returns it.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn edit_setting(
        &self,
        name: &str,
        mut edit: impl FnMut(Option<String>) -> String + Send + 'static,
    ) -> Result<String, StoreError> {
        let name = name.to_owned();
        self.change(move |transaction| {
            let edited = edit(transaction.value("SELECT value FROM setting WHERE name = ?", &[&name])?);
            transaction.execute(SET, &[&name, &edited])?;
            Ok(edited)
        })
        .await
    }
}
