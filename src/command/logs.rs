//! `job_runner logs`

use std::io::Write;

use super::args::Logs;
use super::client::Client;
use super::exit::{FAILURE, Failure, OK, written};
use super::find;
use super::watch::{Seen, Watch};
use crate::wire::operator::Runs;

pub async fn run(args: Logs) -> Result<u8, Failure> {
    let client = find::server(&args.at)?;
    let run = which(&client, &args.run).await?;
    if !args.follow {
        let mut printed = Ok(());
        let print = |piece: &[u8]| {
            let mut out = std::io::stdout().lock();
            printed = out.write_all(piece).and_then(|()| out.flush());
            printed.is_ok()
        };
        client.text(&["runs", &run.to_string(), "log"], print).await?;
        return written(printed).map(|()| OK);
    }
    let mut watch = Watch::new(client, run);
    loop {
        match watch.next().await? {
            Seen::Run(run) if !run.state.is_over() => {}
            Seen::Log => {}
            Seen::Run(_) | Seen::Closed => return watch.conclude(OK),
        }
    }
}

/// The run of that number, or the latest of a job of that title.
async fn which(client: &Client, name: &str) -> Result<i64, Failure> {
    if let Ok(run) = name.parse() {
        return Ok(run);
    }
    let runs: Runs = client.get(&["runs"], &[("job", name), ("begun", "true"), ("limit", "1")]).await?;
    let none = || Failure::new(FAILURE, format!("no run of {name} has begun yet"));
    runs.runs.first().map(|run| run.id).ok_or_else(none)
}
