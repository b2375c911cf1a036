//! Orders to execute a run: reads what goes along with one, in one statement.

use super::db::Reading;
use super::rest_lists::{Scope, sees};
use super::{Store, StoreError, rows};
use crate::run::RunId;
use crate::server::domain::model::{LogId, Run};
use crate::server::domain::resource::Resource;

/// Run with what its execution needs of its job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunWithScript {
    /// Run that is to be executed.
    pub run: Run,
    /// Log of the run, if there is one.
    pub log: Option<LogId>,
    /// Script of its job.
    pub script: String,
    /// Seconds that a run of the job may take, if they are limited.
    pub run_timeout: Option<u32>,
}

impl Store {
    /// Reads a run with its script; `None` where the client may not see it, or there is no such run.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn run_with_script(&self, run: RunId, scope: Scope) -> Result<Option<RunWithScript>, StoreError> {
        self.read_short(move |reading| {
            // Whoever sees a run sees its job: both are seen through the template of the job.
            let is_seen = sees(reading, Resource::Run, run.get(), scope)? == Some(true);
            if is_seen { find(reading, run) } else { Ok(None) }
        })
        .await
    }
}

fn find(reading: &Reading<'_>, run: RunId) -> Result<Option<RunWithScript>, StoreError> {
    reading.row(
        "SELECT run.*, job.script_content, job.run_timeout,
         (SELECT run_log.id FROM run_log WHERE run_log.run = run.id) AS log
         FROM run JOIN job ON job.id = run.job WHERE run.id = ?",
        &[&run],
        |row| {
            Ok(RunWithScript {
                run: rows::run(row)?,
                log: row.get("log")?,
                script: row.get("script_content")?,
                run_timeout: row.get("run_timeout")?,
            })
        },
    )
}
