//! Durability: which writes are forced to the disk, and when.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::support::{Options, Server, WorkerProcess, skip};
use crate::worker;

/// A library that says what is synced, or why there is none.
fn tracer(folder: &TempDir) -> Result<PathBuf, String> {
    let (source, library) = (folder.path().join("trace.c"), folder.path().join("trace.so"));
    fs::write(&source, include_str!("../support/sync_trace.c")).expect("a file");
    let compiled = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).arg("-ldl").output();
    match compiled {
        Ok(output) if output.status.success() => Ok(library),
        Ok(output) => panic!("{}", String::from_utf8_lossy(&output.stderr)),
        Err(e) => Err(format!("cc: {e}")),
    }
}

/// The steps of one run: what its script wrote, and what was synced before and after; files by their names.
async fn steps(durability: &str) -> Option<Vec<String>> {
    let folder = TempDir::new().unwrap();
    let library = match tracer(&folder) {
        Ok(library) => library,
        Err(why) => {
            skip(&why);
            return None;
        }
    };
    let trace = folder.path().join("trace");
    let server = Server::start(Options::default()).await;
    let options = worker().set("durability", durability).env("LD_PRELOAD", &library).env("SYNC_TRACE", &trace);
    let mut worker = WorkerProcess::start(&server, &options);
    server.wait_up().await;
    fs::write(&trace, "").unwrap();
    let run = server.submit(format!("#!/bin/sh\necho 'script' >> {}\necho output\n", trace.display()));
    assert_eq!(server.wait_returned(run).await.log_text(), "output\n");
    worker.assert_clean_end().await;
    let text = fs::read_to_string(&trace).unwrap();
    Some(text.lines().map(|line| line.rsplit('/').next().unwrap_or_default().to_owned()).collect())
}

#[tokio::test]
async fn p2_durability_power_syncs_before_every_start_and_report() {
    let Some(steps) = steps("power").await else { return };
    let first =
        |step: &str| steps.iter().position(|it| it == step).unwrap_or_else(|| panic!("{step} is not in {steps:?}"));
    let last =
        |step: &str| steps.iter().rposition(|it| it == step).unwrap_or_else(|| panic!("{step} is not in {steps:?}"));
    // The claim is remembered before the licence, and the licence before the script runs.
    let [outbox, record, directory, script] = ["outbox.sqlite-wal", "1.1.record", "runs", "script"].map(first);
    assert!(outbox < record && record < directory && directory < script, "{steps:?}");
    // The end vouches for the output, and the outbox for both.
    let [output, directory, record, outbox] = ["1.1.output", "runs", "1.1.record", "outbox.sqlite-wal"].map(last);
    assert!(script < output && output < directory && directory < record && record < outbox, "{steps:?}");
}

#[tokio::test]
async fn durability_process_syncs_nothing_in_the_path_of_a_run() {
    let Some(steps) = steps("process").await else { return };
    assert_eq!(steps.first().map(String::as_str), Some("script"), "{steps:?}");
    assert!(!steps.iter().any(|step| step.starts_with("1.1.") || step == "runs"), "{steps:?}");
}
