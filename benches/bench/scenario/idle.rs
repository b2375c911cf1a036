//! A worker with nothing to do.

use std::time::Duration;

use super::Subject;
use crate::failure::Failure;
use crate::figures::Sample;
use crate::proc;
use crate::stage::{Setting, Stage};

/// How long a worker that was just pinged may take to come to rest.
const REST: Duration = Duration::from_secs(2);

pub async fn does_nothing(subject: &Subject) -> Result<Sample, Failure> {
    let stage = Stage::set(Setting { make: &subject.make, seats: 64, slowness: None }).await?;
    tokio::time::sleep(REST).await;
    let pid = stage.worker.pid;
    let before = proc::wake_ups(pid);
    let watched = Duration::from_secs(if subject.quick { 5 } else { 20 });
    tokio::time::sleep(watched).await;
    let wake_ups = before.zip(proc::wake_ups(pid)).map(|(before, after)| after - before);
    let (private, resident) = proc::private(pid).zip(proc::resident(pid)).ok_or_else(proc::unreadable)?;
    let wake_ups = wake_ups.ok_or_else(proc::unreadable)?;
    Ok(vec![
        ("private", private * 1.024e-3),
        ("resident", resident * 1.024e-3),
        ("wake_ups", wake_ups / watched.as_secs_f64()),
    ])
}
