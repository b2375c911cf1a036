//! Sample worker for tests of the worker views.

use chrono::{TimeZone, Utc};

use crate::run::{Secret, WorkerState};
use crate::server::domain::model::{Report, Timestamp, Worker, sample};
use crate::server::domain::title::Title;
use crate::server::store::WorkerOverview;

/// Timestamp at which the sample views are rendered.
pub fn now() -> Timestamp {
    Utc.with_ymd_and_hms(2026, 11, 24, 10, 0, 0).unwrap()
}

/// An awake worker with four slots, as `change` alters it.
pub fn worker(id: i64, title: &str, change: impl FnOnce(&mut Worker)) -> WorkerOverview {
    let report =
        Report { duty: WorkerState::Awake, since: now(), seats_taken: 1, outbox: 0, restarts: true, held: Vec::new() };
    let mut worker = Worker {
        title: Title::new(title).unwrap(),
        secret: Secret::new(b"s3cr3t".to_vec()),
        ping_response_dts: Some(now()),
        worker_version: Some("3.0.0".to_owned()),
        concurrent_jobs: Some(4),
        heard_dts: Some(now()),
        report: Some(report),
        ..sample::worker(id)
    };
    change(&mut worker);
    WorkerOverview { worker, pools: vec!["default".to_owned()], runs: 1 }
}
