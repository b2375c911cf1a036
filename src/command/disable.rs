//! `job_runner disable`

use super::args::Disable;
use super::exit::{Failure, OK, print};
use super::{find, table};
use crate::wire::operator::{Job, Reason};

pub async fn run(args: Disable) -> Result<u8, Failure> {
    let reason = Reason { reason: args.reason };
    let job: Job = find::server(&args.at)?.post(&["jobs", &args.job, "disable"], &reason).await?;
    if args.json {
        table::json(&job)?;
    } else {
        print(&format!("job {} ({}) does not run when it is due\n", job.id, table::shown(&job.title)))?;
    }
    Ok(OK)
}
