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
    let (resident, wake_ups) = proc::resident(pid).zip(wake_ups).ok_or_else(|| Failure("no worker".to_owned()))?;
    let mut figures = vec![("resident", resident * 1.024e-3), ("wake_ups", wake_ups / watched.as_secs_f64())];
    // The worker is not dumpable, so that only the superuser may read the map of its memory; others measure the rest.
    figures.extend(proc::private(pid).map(|private| ("private", private * 1.024e-3)));
    Ok(figures)
}
