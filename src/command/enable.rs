//! `job_runner enable`: runs a job again when it is due.

use serde_json::json;

use super::args::OneJob;
use super::exit::{CommandFailure, OK, print};
use super::{server_choice, table};
use crate::wire::operator::JobInfo;

pub async fn run(args: OneJob) -> Result<u8, CommandFailure> {
    let job: JobInfo = server_choice::server(&args.at)?.post(&["jobs", &args.job, "enable"], &json!({})).await?;
    if args.json {
        table::json(&job)?;
    } else {
        print(&format!("job {} ({}) runs when it is due\n", job.id, table::shown(&job.title)))?;
    }
    Ok(OK)
}
