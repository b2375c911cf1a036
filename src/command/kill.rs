//! `job_runner kill`: kills a run, or cancels one that no worker has claimed.

use serde_json::json;

use super::args::Kill;
use super::exit::{CommandFailure, OK, print};
use super::{server_choice, table};
use crate::wire::operator::ScheduleStop;

pub async fn run(args: Kill) -> Result<u8, CommandFailure> {
    let stopped: ScheduleStop =
        server_choice::server(&args.at)?.post(&["runs", &args.run.to_string(), "kill"], &json!({})).await?;
    if args.json {
        table::json(&stopped)?;
        return Ok(OK);
    }
    let outcome = match stopped.what.as_str() {
        "kill" => "kill requested; its worker has to follow",
        "cancelled" => "cancelled: nobody had begun it",
        _ => "was over already",
    };
    print(&format!("run {}: {outcome}\n", stopped.run))?;
    Ok(OK)
}
