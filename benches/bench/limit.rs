//! The limit of the machine: how many scripts a second can be written, spawned, read from and waited for, with nothing
//! around them. What is measured right before and after it is told as a part of it.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::failure::Failure;
use super::script;

/// How many do it at once.
const THREADS: usize = 2;

/// Runs a second, measured for so long.
pub fn measure(time: Duration, folder: &Path) -> Result<f64, Failure> {
    let since = Instant::now();
    let counts = thread::scope(|scope| {
        let work = |thread: usize| scope.spawn(move || run_until(since + time, &folder.join(format!("limit{thread}"))));
        let threads: Vec<_> = (0..THREADS).map(work).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic in a loop")).collect::<Vec<_>>()
    });
    let runs: u32 = counts.into_iter().sum::<Result<u32, std::io::Error>>()?;
    Ok(f64::from(runs) / since.elapsed().as_secs_f64())
}

fn run_until(end: Instant, path: &Path) -> std::io::Result<u32> {
    let mut runs = 0;
    while Instant::now() < end {
        fs::write(path, script::NOTHING)?;
        let mut child = Command::new("/bin/sh")
            .arg(path)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        if let Some(output) = &mut child.stdout {
            output.read_to_end(&mut Vec::new())?;
        }
        let status = child.wait()?;
        fs::remove_file(path)?;
        runs += u32::from(status.success());
    }
    Ok(runs)
}
