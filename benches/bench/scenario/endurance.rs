//! Many runs, one after another: does anything grow?

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::Subject;
use crate::failure::Failure;
use crate::figures::Sample;
use crate::moment::millis;
use crate::stage::Stage;
use crate::{proc, script};

/// How long a part of them may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// In how many parts they come; after each it is looked.
const PARTS: usize = 10;
/// What has been used after so many parts is what it may go on using.
const SETTLED: usize = 3;
/// Parts at the end, and as many after the first ones, of which the least use is compared.
const COMPARED: usize = 3;

/// What a worker uses.
#[derive(Clone, Copy, Debug)]
struct Use {
    /// KiB.
    memory: f64,
    descriptors: f64,
    /// KiB.
    disk: f64,
}

pub async fn in_a_row(subject: &Subject) -> Result<Sample, Failure> {
    let count = subject.count(50_000, 5_000, 0) / PARTS;
    let stage = subject.stage(64, None).await?;
    let (mut uses, mut seconds) = (Vec::new(), 0.0);
    for _ in 0..PARTS {
        let runs = stage.stub.make(script::NOTHING, count);
        stage.burst(&runs, PATIENCE).await?;
        stage.judge(&runs)?;
        seconds += stage.stub.look(|ledger| {
            let first = runs.iter().map(|run| ledger.runs[*run].announced).min().unwrap_or(0);
            millis(first, runs.iter().map(|run| ledger.runs[*run].returned).max().unwrap_or(0)) / 1e3
        });
        uses.push(used(&stage)?);
    }
    let (settled, last) = (uses[SETTLED - 1], uses[PARTS - 1]);
    let most = |of: fn(&Use) -> f64, among: &[Use]| among.iter().map(of).fold(0.0, f64::max);
    let grown = |of: fn(&Use) -> f64| most(of, &uses[SETTLED..]) - most(of, &uses[..SETTLED]);
    // How many descriptors are open at one moment depends on what happens just then; what is never closed raises the least.
    let least = |among: &[Use]| among.iter().map(|of| of.descriptors).fold(f64::INFINITY, f64::min);
    let leaked = least(&uses[PARTS - COMPARED..]) - least(&uses[SETTLED..SETTLED + COMPARED]);
    Ok(vec![
        ("runs", (count * PARTS) as f64 / seconds),
        ("memory", last.memory * 1.024e-3),
        ("memory_settled", settled.memory * 1.024e-3),
        ("memory_grown", grown(|of| of.memory) * 1.024e-3),
        ("descriptors_grown", leaked),
        ("disk_grown", grown(|of| of.disk) * 1.024e-3),
        ("disk", last.disk * 1.024e-3),
    ])
}

fn used(stage: &Stage) -> Result<Use, Failure> {
    let pid = stage.worker.pid;
    let found = proc::private(pid).zip(proc::descriptors(pid));
    let (memory, descriptors) = found.ok_or_else(proc::unreadable)?;
    let disk = ["state", "scripts"].map(|name| bytes(&stage.worker.folder().join(name))).iter().sum::<u64>();
    Ok(Use { memory, descriptors, disk: disk as f64 / 1024.0 })
}

/// How much lies in a folder. What is removed meanwhile is nothing.
fn bytes(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => bytes(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    };
    entries.map(size).sum()
}
