//! The original worker under the part of the campaign that it can be put through: SIGKILLs and repeated
//! announcements, before a server that answers well.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::arguments::Arguments;
use super::oracle::history::{Did, Says};
use super::oracle::{self, Verdict};
use super::peer::Peer;
use super::plan::Plan;
use super::stage::{Stage, returned};
use super::support::{State, WorkerHome, WorkerOptions, WorkerProcess};
use super::weather::Weather;
use super::{feeder, ours, witness};

/// How many runs at once: the original's default.
const SLOTS: usize = 4;
/// Within how many milliseconds the worker is killed; it takes some hundred to be up.
const LIFE: std::ops::Range<u64> = 1000..6000;
/// How long the last runs may take.
const SETTLING: Duration = Duration::from_secs(60);

/// Runs it, and then ours through the same. The original is not expected to pass: what came of it is printed, and that
/// is all.
pub async fn campaign(arguments: &Arguments) -> bool {
    let Some(peer) = Peer::installed() else {
        eprintln!("there is no Python 2.7 for the original");
        return false;
    };
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    survive(arguments, "the original", &program(folder.path(), &peer.command("worker"))).await;
    survive(arguments, "ours", &arguments.worker).await
}

/// Puts a worker through it. Whether all was well.
async fn survive(arguments: &Arguments, name: &str, binary: &Path) -> bool {
    let since = Instant::now();
    let mut plan = Plan::plain(arguments.seed, arguments.runs);
    let stage = Arc::new(Stage::new(1).await);
    let weather = Weather::new(plan.weather.clone());
    weather.calm();
    let options = WorkerOptions::new(binary).set("concurrent_jobs", SLOTS);
    let home = WorkerHome::new(&stage.server, &options);
    let mut worker = WorkerProcess::start_in(Arc::clone(&home));
    stage.seen().is_unpaced = true;
    let feeding = tokio::spawn(feeder::feed(Arc::clone(&stage), plan.runs.clone(), weather));

    let mut deaths = 0;
    let over = |state: &State| returned(state) >= arguments.runs;
    while !stage.server.look(over) {
        let life = Duration::from_millis(plan.number(LIFE));
        if !stage.server.holds_within(life, over).await {
            worker.restart().await;
            deaths += 1;
        }
    }
    // What still runs may be another execution of what has returned.
    let _ = tokio::time::timeout(SETTLING, ours::gone_with(&worker)).await;
    feeding.abort();
    let _ = feeding.await;
    worker.sigterm();
    let exit_code = tokio::time::timeout(SETTLING, worker.ended()).await.ok().and_then(|status| status.code());
    ours::gone(&home).await;

    // The original exits with 1 when all is well.
    let exit_code = if exit_code == Some(1) { Some(0) } else { exit_code };
    let mut history = witness::history(&stage, &home, &plan.runs, Vec::new(), exit_code);
    (history.concurrent_jobs, history.max_attempts) = (SLOTS, 1);
    // The original resets what it finds at its start, and tells start and pid apart: what is judged is what comes of
    // that.
    for run in &mut history.runs {
        run.was_forgotten = true;
        run.steps.retain(|step| step.did != Did::Pid);
    }
    let violations = oracle::judge(&history);
    if arguments.verbose {
        violations.iter().for_each(|violation| println!("{violation}"));
    }
    let mut executions: BTreeMap<i64, usize> = BTreeMap::new();
    for mark in history.marks.iter().filter(|mark| matches!(mark.says, Says::Begin { .. })) {
        *executions.entry(mark.run).or_default() += 1;
    }
    println!(
        "{name}, seed {}: {} executions of {} runs, {} of them executed more than once; {:.0} s",
        arguments.seed,
        executions.values().sum::<usize>(),
        arguments.runs,
        executions.values().filter(|times| **times > 1).count(),
        since.elapsed().as_secs_f64()
    );
    println!("worker SIGKILLs {deaths}");
    drop(worker);
    let faults = deaths + stage.seen().counted("broadcast");
    println!("faults injected {faults}, runs {}, {}", arguments.runs, Verdict::of(&violations));
    violations.is_empty()
}

/// The original's command line behind the one of our worker.
fn program(folder: &Path, command: &Command) -> PathBuf {
    let path = folder.join("original");
    let words: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| format!("'{}'", word.to_string_lossy()))
        .collect();
    fs::write(&path, format!("#!/bin/sh\nexec {} \"$2\"\n", words.join(" "))).expect("a file in our own folder");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("our own file");
    path
}
