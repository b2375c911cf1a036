//! `job_runner job add`

use super::args::{Job, JobAdd};
use super::exit::{Failure, OK, print};
use super::{find, reading, table};
use crate::wire::operator::{Made, NewJob};

pub async fn run(args: Job) -> Result<u8, Failure> {
    let Job::Add(args) = args;
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
    let title = reading::title(name.as_deref(), &script);
    let script = reading::read(&script)?;
    let new = NewJob {
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
    let made: Made = find::server(&args.at)?.post(&["jobs"], &new).await?;
    if args.json {
        table::json(&made)?;
    } else {
        print(&format!("job {} ({}) is made\n", made.id, table::shown(&made.title)))?;
    }
    Ok(OK)
}
