//! A thousand runs at once.

use std::os::unix::fs::OpenOptionsExt;

use nix::sys::stat::Mode;

use super::Subject;
use crate::failure::Failure;
use crate::figures::{Sample, quantile, sorted};
use crate::moment::{self, millis};
use crate::proc;
use crate::stage::PATIENCE;

/// Runs until it can read a line from a pipe that all have in common.
fn waits_for(pipe: &std::path::Path) -> String {
    format!("#!/bin/sh\nread line < {}\n", pipe.display())
}

pub async fn at_once(subject: &Subject) -> Result<Sample, Failure> {
    let count = subject.count(1000, 200, 0);
    let stage = subject.stage(count, None).await?;
    let pipe = stage.worker.folder().join("pipe");
    nix::unistd::mkfifo(&pipe, Mode::S_IRUSR | Mode::S_IWUSR)?;
    // Open at both ends before anybody reads, so that nobody waits for the other end.
    let mut release = std::fs::OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(&pipe)?;
    let (pids, returned) = stage.stub.look(|ledger| (ledger.counts.pids, ledger.counts.returned));
    let runs = stage.stub.make(&waits_for(&pipe), count);
    proc::forget_peak(stage.worker.pid);
    stage.stub.announce(&runs)?;
    let began = moment::now();
    let all = stage.stub.until("pid of every run", PATIENCE, move |counts| counts.pids >= pids + count).await;
    stage.told(all)?;
    let running = moment::now();
    let shims = stage.worker.shims();
    let private: Vec<f64> = shims.iter().filter_map(|pid| proc::private(*pid)).collect();
    let proportional: f64 = shims.iter().filter_map(|pid| proc::proportional(*pid)).sum();
    Failure::unless(private.len() >= count, || format!("{} shims for {count} runs", private.len()))?;
    let released = moment::now();
    std::io::Write::write_all(&mut release, &vec![b'\n'; count])?;
    stage.over(returned + count, returned + count, PATIENCE).await?;
    let over = moment::now();
    stage.judge(&runs)?;
    let private = sorted(&private);
    let at = |part| quantile(&private, part).unwrap_or(f64::NAN);
    Ok(vec![
        ("private", at(0.5) * 1.024e-3),
        ("private_max", at(1.0) * 1.024e-3),
        ("proportional", proportional * 1.024e-3 / private.len() as f64),
        ("worker_peak", proc::peak(stage.worker.pid).unwrap_or(0.0) * 1.024e-3),
        ("started_after", millis(began, running) / 1e3),
        ("over_after", millis(released, over) / 1e3),
    ])
}
