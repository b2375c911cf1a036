//! A script that prints more than is kept.

use std::fs;
use std::process::Stdio;
use std::time::Instant;

use tokio::process::Command;

use super::Subject;
use crate::failure::Failure;
use crate::figures::Sample;
use crate::moment::millis;
use crate::stage::PATIENCE;
use crate::{proc, script};

/// How much it prints, in MiB.
const PRINTED: u32 = 200;

pub async fn much(subject: &Subject) -> Result<Sample, Failure> {
    let stage = subject.stage(4, None).await?;
    let script = script::prints(PRINTED);
    let piped_before = piped(&stage.worker.folder().join("piped"), &script).await?;
    // The shim that the first run has left takes the next.
    let involved: Vec<i32> = stage.worker.shims().into_iter().chain([stage.worker.pid]).collect();
    involved.iter().copied().for_each(proc::forget_peak);
    let runs = stage.stub.make(&script, 1);
    stage.burst(&runs, PATIENCE).await?;
    let peak: f64 = involved.iter().filter_map(|pid| proc::peak(*pid)).sum();
    let piped_after = piped(&stage.worker.folder().join("piped"), &script).await?;
    stage.judge(&runs)?;
    let run = stage.stub.look(|ledger| ledger.runs[runs[0]].clone());
    let (took, piped) = (millis(run.script_began, run.script_ended), f64::midpoint(piped_before, piped_after));
    Ok(vec![
        ("peak", peak * 1.024e-3),
        ("returned", millis(run.script_ended, run.returned)),
        ("script", took),
        ("piped", piped),
        ("of_piped", 100.0 * took / piped),
        ("log", run.log_bytes as f64),
    ])
}

/// How long the same script takes where only `cat` reads what it prints, in milliseconds.
async fn piped(path: &std::path::Path, script: &str) -> Result<f64, Failure> {
    fs::write(path, script)?;
    let began = Instant::now();
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "bash \"$0\" | cat"]).arg(path).stdin(Stdio::null()).stdout(Stdio::null());
    shell.kill_on_drop(true).status().await?;
    Ok(began.elapsed().as_secs_f64() * 1e3)
}
