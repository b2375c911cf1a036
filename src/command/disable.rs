//! `job_runner disable`: stops running a job when it is due, with a reason.

use super::args::Disable;
use super::exit::{CommandFailure, OK, print};
use super::{server_choice, table};
use crate::wire::operator::{DisableReason, JobInfo};

pub async fn run(args: Disable) -> Result<u8, CommandFailure> {
    let reason = DisableReason { reason: args.reason };
    let job: JobInfo = server_choice::server(&args.at)?.post(&["jobs", &args.job, "disable"], &reason).await?;
    if args.json {
        table::json(&job)?;
    } else {
        print(&format!("job {} ({}) does not run when it is due\n", job.id, table::shown(&job.title)))?;
    }
    Ok(OK)
}
