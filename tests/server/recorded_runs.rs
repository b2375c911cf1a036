//! Runs whose scripts record when they are executed, each due at a time of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use jobrunner::server::domain::model::Concurrency;

use crate::stage::Stage;

/// The runs of one job, all times since 1970.
pub struct RecordedRuns {
    /// When each is due.
    pub due: BTreeMap<i64, Duration>,
    record: PathBuf,
}

impl RecordedRuns {
    /// Creates so many; the first is due after a while, each other one a step after the one before. Their record is in a
    /// folder.
    pub async fn create(stage: &Stage, folder: &Path, after: TimeDelta, step: Duration, count: u32) -> Self {
        let record = folder.join("record");
        let job = stage
            .job(|new| {
                // One short write at the end of the file, so that no two mix.
                new.script = format!("echo $JOB_RUNNER_RUN_ID $(date +%s%N) >>{}", record.display());
                new.concurrency = Concurrency::Allow;
            })
            .await;
        let first = Utc::now() + after;
        let mut due = BTreeMap::new();
        for number in 0..count {
            let at = first + TimeDelta::from_std(step * number).expect("soon");
            let run = stage.run_at(&job, at).await.id;
            due.insert(run.get(), Duration::from_micros(at.timestamp_micros().cast_unsigned()));
        }
        Self { due, record }
    }

    /// When the script of each run was executed, however often.
    pub fn executions(&self) -> BTreeMap<i64, Vec<Duration>> {
        let mut executions = BTreeMap::<i64, Vec<Duration>>::new();
        for line in fs::read_to_string(&self.record).expect("a record").lines() {
            let (run, at) = line.split_once(' ').expect("a run and an instant");
            let at = Duration::from_nanos(at.parse().expect("nanoseconds"));
            executions.entry(run.parse().expect("a run")).or_default().push(at);
        }
        executions
    }
}
