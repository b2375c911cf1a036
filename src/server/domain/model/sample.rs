//! Plain samples of a job, a run and a worker, for tests that change the fields they are about.

use chrono::DateTime;

use super::{Concurrency, Job, JobId, OnLost, PoolId, Retry, Run, Schedule, TemplateId, Worker, WorkerId};
use crate::run::{ApiKey, Attempt, RunId, Secret};
use crate::server::domain::title::Title;

/// Returns an enabled job without a schedule.
pub fn job() -> Job {
    Job {
        id: JobId::new(1).unwrap(),
        parent: None,
        template: TemplateId::new(1).unwrap(),
        pool: PoolId::new(1).unwrap(),
        run_on_all_workers: false,
        schedule_children_on_error: false,
        title: Title::fixed("job"),
        description: String::new(),
        script_content_partial: String::new(),
        script_content: String::new(),
        enqueue_is_enabled: true,
        disabled_reason: String::new(),
        schedule: Schedule::None,
        excludes: Vec::new(),
        notification_addresses: String::new(),
        fail_times: 0,
        disable_enqueue_after_fails: None,
        last_completed_schedule_id: None,
        run_timeout: None,
        retry: Retry::default(),
        on_lost: OnLost::Retry,
        concurrency: Concurrency::Wait,
    }
}

/// Returns an unclaimed run of that job, due since 1970, with a schedule id of its own.
pub fn run(id: i64) -> Run {
    Run {
        id: RunId::new(id).unwrap(),
        job: JobId::new(1).unwrap(),
        schedule_id: id,
        worker: None,
        pinned: false,
        schedule_dts: DateTime::UNIX_EPOCH,
        came_due: None,
        enqueue_dts: None,
        start_dts: None,
        return_dts: None,
        return_success: None,
        pid: None,
        is_manual: false,
        schedule_children: true,
        attempt: Attempt(0),
        losses: 0,
        retry_of: None,
        exit: None,
    }
}

/// Returns an enabled worker of the original kind that has never answered.
pub fn worker(number: i64) -> Worker {
    Worker {
        id: WorkerId::new(number).unwrap(),
        title: Title::stored(format!("web{number}")),
        description: String::new(),
        api_key: ApiKey::parse(&format!("web{number}")).unwrap(),
        secret: Secret::new(Vec::new()),
        enqueue_is_enabled: true,
        ping_response_dts: None,
        worker_version: None,
        concurrent_jobs: None,
        heard_dts: None,
        report: None,
        asked: None,
        clock_ahead: None,
    }
}
