//! `job_runner why`: prints why a job ran or did not.

use std::fmt::Write as _;

use super::args::OneJob;
use super::exit::{CommandFailure, OK, print};
use super::server_choice;
use super::table::{json, local, or_dash, shown, table};
use crate::wire::operator::{DueTimeFact, LateResultInfo, WhyAnswer};

pub async fn run(args: OneJob) -> Result<u8, CommandFailure> {
    let why: WhyAnswer = server_choice::server(&args.at)?.get(&["jobs", &args.job, "why"], &[]).await?;
    if args.json {
        json(&why)?;
    } else {
        print(&text(&why))?;
    }
    Ok(OK)
}

fn text(why: &WhyAnswer) -> String {
    let job = &why.job;
    let mut text = format!("job {} ({})", job.id, shown(&job.title));
    if let Some(schedule) = &job.schedule {
        let _ = write!(text, ", {}", shown(schedule));
    }
    text.push('\n');
    for line in &why.now {
        let _ = writeln!(text, "  {}", shown(line));
    }
    if !why.facts.is_empty() {
        text.push('\n');
        let rows: Vec<_> = why.facts.iter().map(row).collect();
        text.push_str(&table(["DUE", "WHAT", "RUN", "WHY"], &rows));
    }
    if !why.late.is_empty() {
        text.push_str("\nresults that came too late:\n");
        let rows: Vec<_> = why.late.iter().map(late).collect();
        text.push_str(&table(["REPORTED", "RUN", "RESULT"], &rows));
    }
    text
}

fn row(fact: &DueTimeFact) -> [String; 4] {
    [local(&fact.due), fact.what.clone(), or_dash(fact.run.map(|run| run.to_string())), fact.reason.clone()]
}

fn late(late: &LateResultInfo) -> [String; 3] {
    [local(&late.reported), late.run.to_string(), late.text.clone()]
}
