//! `job_runner job add`: adds a job that runs a script.

use super::args::{JobAdd, JobArgs};
use super::exit::{CommandFailure, OK, print};
use super::{script_file, server_choice, table};
use crate::wire::operator::{MadeJob, NewJobRequest};

pub async fn run(args: JobArgs) -> Result<u8, CommandFailure> {
    let JobArgs::Add(args) = args;
    let JobAdd {
        script,
        name,
        every,
        cron,
        zone,
        after,
        project,
        template,
        pool,
        timeout,
        retries,
        concurrency,
        make_missing,
        ..
    } = args;
    let title = script_file::title(name.as_deref(), &script);
    let script = script_file::read(&script)?;
    let new = NewJobRequest {
        title,
        script,
        every,
        cron,
        zone,
        after,
        project,
        template,
        pool,
        timeout,
        retries,
        concurrency,
        make_missing,
    };
    let made: MadeJob = server_choice::server(&args.at)?.post(&["jobs"], &new).await?;
    if args.json {
        table::json(&made)?;
    } else {
        print(&format!("job {} ({}) is created\n", made.id, table::shown(&made.title)))?;
    }
    Ok(OK)
}
