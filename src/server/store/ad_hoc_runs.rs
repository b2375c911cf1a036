//! Ad-hoc runs: runs a script once, now, without a job that an operator has set up.
//!
//! Each run belongs to a job, so a script gets one that is hidden from all lists and choices of jobs. Scripts with one
//! title share it, one after the other, so that a script that is run every minute leaves runs behind but no jobs. An
//! operator who edits such a job makes it a job like any other.

use super::db::Transaction;
use super::entities::{NewJob, insert_row};
use super::named_entities::{EntityIds, EntityNames, find_place};
use super::runs::{NewRun, insert};
use super::{Conflict, Store, StoreError, rows};
use crate::server::domain::model::{Asker, Concurrency, JobId, Run, Timestamp};
use crate::server::domain::title::Title;
use crate::server::store::changes::Change;

/// Jobs of one title at most, for different scripts of that title that run at the same time.
const MAX_TWINS: u32 = 1000;

/// A script that is to run now.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Title of the script.
    pub title: Title,
    /// Text of the script.
    pub script: String,
    /// Time limit in seconds.
    pub timeout: Option<u32>,
}

impl Store {
    /// Creates a run of a script that is due now. Scripts with one title share a hidden job. While a run of it goes on,
    /// the job keeps its script, and another script of that title gets a job beside it.
    ///
    /// # Errors
    /// If the store cannot be read or written, a named entity does not exist, or too many scripts of that title run.
    pub async fn enqueue_adhoc_run(
        &self,
        names: &EntityNames,
        new: &Submission,
        now: Timestamp,
    ) -> Result<Run, StoreError> {
        let (names, new) = (names.clone(), new.clone());
        self.change(move |transaction| {
            let place = find_place(transaction, &names)?;
            let mut twin = 1;
            let job = loop {
                if twin > MAX_TWINS {
                    return Err(Conflict::TooManyAlike { title: new.title.clone(), most: MAX_TWINS }.into());
                }
                let title = match twin {
                    1 => new.title.clone(),
                    // The longest titles become longer so than anybody could type them, which keeps them apart all the
                    // same.
                    twin => Title::stored(format!("{} ({twin})", new.title)),
                };
                if let Some(job) = find_or_create_hidden_job(transaction, place, &new, &title)? {
                    break job;
                }
                twin += 1;
            };
            transaction.publish_on_commit([Change::JobChanged(job)]);
            let run = NewRun { is_manual: true, asked_by: Some(Asker::Command), ..NewRun::now(job, now) };
            insert(transaction, &run)
        })
        .await
    }
}

/// Returns the hidden job of a title, set up for the script. `None` if the job has unfinished runs of another script,
/// or is not a hidden one.
fn find_or_create_hidden_job(
    transaction: &mut Transaction<'_>,
    place: EntityIds,
    new: &Submission,
    title: &Title,
) -> Result<Option<JobId>, StoreError> {
    let sql = "SELECT * FROM job WHERE title = ? AND job_template = ?";
    let found = transaction.row(sql, &[&title.as_str(), &place.template], |row| {
        // A job that an operator set up is left alone.
        let is_hidden = row.get::<Option<String>>("ad_hoc")?.is_some();
        is_hidden.then(|| rows::job(row)).transpose()
    })?;
    let Some(found) = found else {
        let job = NewJob::new(title.clone(), place.template, place.pool, &new.script);
        let job = NewJob { run_timeout: new.timeout, concurrency: Concurrency::Allow, ..job };
        // The script of a request is the whole script, whatever the template has become.
        let job = insert_row(transaction, &job, &new.script, Some(&new.title))?;
        return Ok(Some(job.id));
    };
    let Some(job) = found else { return Ok(None) };
    let same = job.script_content == new.script && job.run_timeout == new.timeout && job.pool == place.pool;
    // The same script may run beside itself: hidden jobs have the concurrency `allow`.
    if !same {
        let is_active = transaction.value(
            "SELECT EXISTS (SELECT 1 FROM run INDEXED BY run_active WHERE job = ? AND return_dts IS NULL)",
            &[&job.id],
        )?;
        if is_active.unwrap_or(false) {
            return Ok(None);
        }
        transaction.execute(
            "UPDATE job SET script_content_partial = ?1, script_content = ?1, run_timeout = ?2, worker_pool = ?3
             WHERE id = ?4",
            &[&new.script, &new.timeout, &place.pool, &job.id],
        )?;
    }
    Ok(Some(job.id))
}
