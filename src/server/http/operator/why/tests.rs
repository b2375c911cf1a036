use chrono::{DateTime, TimeDelta, Utc};

use super::{WhyFacts, explain};
use crate::run::lack::Lack;
use crate::run::{RunId, WorkerState};
use crate::server::domain::model::{Job, JobId, Report, Run, Schedule, Unit, Worker, sample};
use crate::server::domain::schedule::due_decision::WaitReason;
use crate::server::domain::title::Title;
use crate::server::store::{JobFrame, JobOverview, JobSurroundings, RunOverview};

fn at(minutes: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_764_000_000, 0).unwrap() + TimeDelta::minutes(minutes)
}

fn job() -> JobOverview {
    let frame = |title: &str| JobFrame { title: title.to_owned(), enabled: true };
    JobOverview {
        job: Job { title: Title::fixed("backup"), ..sample::job() },
        around: JobSurroundings { project: frame("example"), template: frame("shell"), pool: frame("web") },
        next: None,
        last: None,
    }
}

fn run(id: i64, due: DateTime<Utc>) -> Run {
    Run { schedule_dts: due, ..sample::run(id) }
}

fn overview(run: Run, worker: Option<&str>) -> RunOverview {
    RunOverview { run, title: "backup".to_owned(), worker: worker.map(str::to_owned) }
}

fn worker(enabled: bool, answered: Option<DateTime<Utc>>) -> Worker {
    Worker { enqueue_is_enabled: enabled, ping_response_dts: answered, ..sample::worker(1) }
}

fn said(job: &JobOverview, open: &[RunOverview], workers: &[Worker], waits: &[(i64, WaitReason)]) -> String {
    let waits = waits.iter().map(|(run, why)| (RunId::new(*run).unwrap(), why.into())).collect();
    let said = explain(&WhyFacts { job, open, workers, waits: &waits }, at(10));
    said.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_job_that_waits_for_somebody_to_ask() {
    insta::assert_snapshot!(said(&job(), &[], &[worker(true, Some(at(0)))], &[]), @"it has no schedule: it runs when somebody asks for it");
    let mut child = job();
    child.job.parent = JobId::new(7);
    insta::assert_snapshot!(said(&child, &[], &[worker(true, Some(at(0)))], &[]), @"it runs after job 7");
    let mut hourly = job();
    hourly.job.schedule = Schedule::Interval { every: 1, unit: Unit::Hour };
    insta::assert_snapshot!(said(&hourly, &[], &[worker(true, Some(at(0)))], &[]), @"its next run is not planned yet");
}

#[test]
fn everything_that_keeps_it_from_running_is_told() {
    let mut off = job();
    off.job.enqueue_is_enabled = false;
    off.job.disabled_reason = "the disk is full".to_owned();
    off.around.template.enabled = false;
    off.around.project.enabled = false;
    off.around.pool.enabled = false;
    insta::assert_snapshot!(said(&off, &[], &[], &[]), @r"
    the job is disabled: the disk is full
    its template shell is disabled
    its project example is disabled
    its pool web is disabled
    no worker is in its pool web
    it has no schedule: it runs when somebody asks for it
    ");
    insta::assert_snapshot!(said(&job(), &[], &[worker(false, None)], &[]), @r"
    no worker of its pool web is enabled
    it has no schedule: it runs when somebody asks for it
    ");
    insta::assert_snapshot!(said(&job(), &[], &[worker(true, None)], &[]), @r"
    no worker of its pool web has ever answered
    it has no schedule: it runs when somebody asks for it
    ");
    let asleep = Report {
        duty: WorkerState::Asleep,
        since: at(0),
        seats_taken: 0,
        outbox: 0,
        restarts: false,
        held: Vec::new(),
    };
    let asleep = Worker { report: Some(asleep), ..worker(true, Some(at(0))) };
    insta::assert_snapshot!(said(&job(), &[], &[asleep, worker(false, None)], &[]), @r"
    every worker of its pool web sleeps, leaves or has left
    it has no schedule: it runs when somebody asks for it
    ");
}

#[test]
fn what_keeps_a_worker_from_claiming_is_told() {
    let held = vec![Lack::Bytes("state_path".into(), 7)];
    let low = Report { duty: WorkerState::Awake, since: at(0), seats_taken: 0, outbox: 0, restarts: false, held };
    let low = Worker { report: Some(low), ..worker(true, Some(at(0))) };
    let asleep = Report { duty: WorkerState::Asleep, ..low.report.clone().unwrap() };
    let asleep = Worker { report: Some(asleep), ..low.clone() };
    insta::assert_snapshot!(said(&job(), &[], &[low, asleep], &[]), @r"
    worker web1 claims no runs: 7 bytes are free where state_path is
    it has no schedule: it runs when somebody asks for it
    ");
}

#[test]
fn open_runs_say_where_they_stand_and_what_for_they_wait() {
    let running = Run { enqueue_dts: Some(at(1)), start_dts: Some(at(2)), ..run(1, at(0)) };
    let claimed = Run { enqueue_dts: Some(at(3)), ..run(2, at(0)) };
    let open = [
        overview(running, Some("web1")),
        overview(claimed, Some("web2")),
        overview(run(3, at(5)), None),
        overview(run(4, at(6)), None),
        overview(run(5, at(60)), None),
    ];
    let waits = [(3, WaitReason::Active(RunId::new(1).unwrap())), (5, WaitReason::NoSeat)];
    insta::assert_snapshot!(said(&job(), &open, &[worker(true, Some(at(0)))], &waits), @r"
    run 1 is running on web1 since 2025-11-24T16:02:00.000Z
    run 2 was claimed by web2 at 2025-11-24T16:03:00.000Z
    run 3 is due since 2025-11-24T16:05:00.000Z and waits: run 1 of the job is not over yet
    run 4 is due since 2025-11-24T16:06:00.000Z and offered to the workers of its pool
    run 5 is due at 2025-11-24T17:00:00.000Z
    ");
}
