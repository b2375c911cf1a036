//! `job_runner schedule`: makes a job due now.

use serde_json::json;

use super::args::OneJob;
use super::exit::{CommandFailure, OK, print};
use super::{server_choice, table};
use crate::wire::operator::RunInfo;

pub async fn run(args: OneJob) -> Result<u8, CommandFailure> {
    let run: RunInfo = server_choice::server(&args.at)?.post(&["jobs", &args.job, "schedule"], &json!({})).await?;
    if args.json {
        table::json(&run)?;
    } else {
        print(&format!("run {} of {} is due now\n", run.id, table::shown(&run.title)))?;
    }
    Ok(OK)
}
