//! A job and a run, for tests that change what matters to them.

use chrono::{NaiveTime, TimeZone, Utc};

use crate::run::{Attempt, RunId};
use crate::server::model::{Concurrency, Exclude, Job, JobId, OnLost, PoolId, Retry, Run, Schedule, TemplateId, Unit};
use crate::server::store::{Around, Frame, JobOverview};

pub fn job() -> Job {
    Job {
        id: JobId::new(3).unwrap(),
        parent: None,
        template: TemplateId::new(2).unwrap(),
        pool: PoolId::new(4).unwrap(),
        run_on_all_workers: false,
        schedule_children_on_error: false,
        title: "backup".to_owned(),
        description: String::new(),
        script_content_partial: "echo hello\n".to_owned(),
        script_content: "#!/bin/sh\necho hello\n".to_owned(),
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

pub fn run() -> Run {
    let at = Utc.with_ymd_and_hms(2026, 11, 24, 9, 0, 0).unwrap();
    Run {
        id: RunId::new(12).unwrap(),
        job: JobId::new(3).unwrap(),
        schedule_id: 12,
        worker: None,
        pinned: false,
        schedule_dts: at,
        enqueue_dts: Some(at),
        start_dts: Some(at),
        return_dts: Some(at),
        return_success: Some(true),
        pid: None,
        is_manual: false,
        schedule_children: true,
        attempt: Attempt(1),
        losses: 0,
        retry_of: None,
        exit: None,
    }
}

pub fn overview() -> JobOverview {
    let frame = |title: &str| Frame { title: title.to_owned(), enabled: true };
    let around = Around { project: frame("Backups"), template: frame("shell"), pool: frame("default") };
    let next = Utc.with_ymd_and_hms(2026, 11, 25, 5, 0, 0).single();
    JobOverview { job: job(), around, next, last: Some(run()) }
}

/// Every night, except when it is not to, and not at all.
pub fn disabled() -> JobOverview {
    let at = |hour| NaiveTime::from_hms_opt(hour, 0, 0).unwrap();
    let job = Job {
        enqueue_is_enabled: false,
        disabled_reason: "the disk is full".to_owned(),
        schedule: Schedule::Interval { every: 6, unit: Unit::Hour },
        excludes: vec![Exclude { start: at(22), end: at(6), note: "the backup".to_owned() }],
        fail_times: 2,
        ..job()
    };
    JobOverview { job, ..overview() }
}
