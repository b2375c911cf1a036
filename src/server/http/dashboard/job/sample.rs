//! Sample job and run for tests of views, which change what matters to them.

use chrono::{NaiveTime, TimeZone, Utc};

use crate::run::Attempt;
use crate::server::domain::model::sample;
use crate::server::domain::model::{Exclude, Job, JobId, PoolId, Run, Schedule, TemplateId, Unit};
use crate::server::domain::title::Title;
use crate::server::store::{JobFrame, JobOverview, JobSurroundings};

pub fn job() -> Job {
    Job {
        id: JobId::new(3).unwrap(),
        template: TemplateId::new(2).unwrap(),
        pool: PoolId::new(4).unwrap(),
        title: Title::fixed("backup"),
        script_content_partial: "echo hello\n".to_owned(),
        script_content: "#!/bin/sh\necho hello\n".to_owned(),
        ..sample::job()
    }
}

pub fn run() -> Run {
    let at = Utc.with_ymd_and_hms(2026, 11, 24, 9, 0, 0).unwrap();
    Run {
        job: JobId::new(3).unwrap(),
        schedule_dts: at,
        came_due: None,
        enqueue_dts: Some(at),
        start_dts: Some(at),
        return_dts: Some(at),
        return_success: Some(true),
        attempt: Attempt(1),
        ..sample::run(12)
    }
}

pub fn overview() -> JobOverview {
    let frame = |title: &str| JobFrame { title: title.to_owned(), enabled: true };
    let around = JobSurroundings { project: frame("Backups"), template: frame("shell"), pool: frame("default") };
    let next = Utc.with_ymd_and_hms(2026, 11, 25, 5, 0, 0).single();
    JobOverview { job: job(), around, next, last: Some(run()) }
}

/// Overview of a disabled job with an interval and an exclude.
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
