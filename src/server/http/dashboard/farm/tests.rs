use chrono::{TimeZone as _, Utc};

use super::view::{FarmPage, body, parts};
use super::{parse_command, task};
use crate::server::domain::farm::standing::{FarmStanding, StatusChange};
use crate::server::domain::farm::why::{TaskFacts, WorkerFacts};
use crate::server::http::dashboard::form::FormValues;
use crate::server::http::dashboard::visit::Visit;
use crate::server::store::farm::{
    FarmTask, FarmWorker, FarmWorkerOverview, FarmWorkerTask, JobProgress, TaskSituation,
};
use crate::wire::flamenco::supervision::FarmWorkerCommand;
use crate::wire::flamenco::{BlacklistDocument, FarmWorkerStatus, ObjectId, ScheduleDocument, TaskStatus};

fn id(number: u32) -> ObjectId {
    ObjectId::new(1, [0; 5], number)
}

fn now() -> crate::server::domain::model::Timestamp {
    Utc.with_ymd_and_hms(2026, 11, 24, 10, 0, 0).unwrap()
}

fn worker(nickname: &str) -> FarmWorkerOverview {
    let asked = Some(StatusChange { status: FarmWorkerStatus::Asleep, is_lazy: true });
    let worker = FarmWorker {
        id: id(1),
        nickname: nickname.to_owned(),
        address: "10.0.0.1".to_owned(),
        platform: "linux".to_owned(),
        software: "Flamenco-Worker/2.5".to_owned(),
        standing: FarmStanding { status: FarmWorkerStatus::Awake, asked },
        seen: now(),
    };
    let schedule =
        ScheduleDocument { schedule_active: true, time_start: "08:00".to_owned(), ..ScheduleDocument::default() };
    FarmWorkerOverview {
        worker,
        types: vec!["blender-render".to_owned(), "echo".to_owned()],
        task: Some(FarmWorkerTask { id: id(2), job: id(3), name: nickname.to_owned(), status: TaskStatus::Active }),
        schedule: Some(schedule),
        blacklist: vec![BlacklistDocument { job_id: id(3), task_type: "echo".to_owned() }],
    }
}

fn page(name: &str) -> FarmPage {
    let tasks = [(TaskStatus::Queued, 3), (TaskStatus::Failed, 1), (TaskStatus::Completed, 6)].into();
    let job = JobProgress {
        id: id(3),
        name: name.to_owned(),
        job_type: name.to_owned(),
        priority: 50,
        created: now(),
        tasks,
    };
    FarmPage { jobs: vec![job], has_more_jobs: true, workers: vec![worker(name)], has_more_workers: true, now: now() }
}

fn situation(name: &str) -> TaskSituation {
    let task = FarmTask {
        id: id(2),
        job: id(3),
        job_type: String::new(),
        name: name.to_owned(),
        task_type: name.to_owned(),
        status: TaskStatus::SoftFailed,
        job_priority: 50,
        priority: 50,
        blocked: 0,
        commands: Vec::new(),
        worker: Some(id(1)),
        worker_name: name.to_owned(),
        activity: name.to_owned(),
    };
    let failed = WorkerFacts {
        nickname: name.to_owned(),
        standing: FarmStanding { status: FarmWorkerStatus::Awake, asked: None },
        has_failed: true,
        is_blacklisted: false,
        is_busy: false,
    };
    let facts = TaskFacts {
        status: task.status,
        task_type: name.to_owned(),
        worker_name: name.to_owned(),
        parents: Vec::new(),
        workers: vec![failed],
        before: 0,
    };
    TaskSituation {
        task,
        job_name: name.to_owned(),
        pinged: None,
        updated: now(),
        failed_by: vec![name.to_owned()],
        facts,
    }
}

#[test]
fn the_farm_looks_like_this() {
    let parts = parts(&page("shot 010"), &FormValues::default(), &Visit::sample());
    insta::assert_snapshot!(parts.map(|part| part.to_string()).concat());
}

#[test]
fn a_task_looks_like_this() {
    insta::assert_snapshot!(task::body(&situation("f1"), "a line\n", &Visit::sample()));
}

#[test]
fn what_workers_and_jobs_say_is_escaped() {
    let evil = "<script>alert(1)</script>\"'&";
    let page = body(&page(evil), &FormValues::default(), &Visit::sample()).to_string();
    let task = task::body(&situation(evil), evil, &Visit::sample()).to_string();
    for html in [page, task] {
        assert!(!html.contains("<script>alert") && html.contains("&lt;script&gt;alert(1)"), "{html}");
    }
}

#[test]
fn a_command_needs_an_action_and_a_worker() {
    let form = |pairs: &[(&str, &str)]| {
        FormValues::of(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    };
    let worker = id(1).to_string();
    let chosen = form(&[("action", "sleep"), ("worker", &worker), ("worker", "nonsense")]);
    assert_eq!(parse_command(&chosen), Ok((vec![id(1)], FarmWorkerCommand::Sleep)));
    assert_eq!(parse_command(&form(&[("action", "sleep")])), Err("Choose a worker."));
    assert_eq!(parse_command(&form(&[("action", "dance"), ("worker", &worker)])), Err("Choose an action."));
}
