//! Conversions between rows of the database and types of the domain.

use chrono::{NaiveTime, TimeDelta, Timelike};

use super::db::{DbError, DbRow};
use super::{StoreError, fire_reasons};
use crate::run::{ApiKey, Attempt, Pace, Secret, WorkerCommand, WorkerRequest, WorkerState};
use crate::server::domain::fire::{Fire, FireKind};
use crate::server::domain::model::{
    Asker, Concurrency, Exclude, Job, KillCause, KillRequest, LatestRequest, OnLost, Pool, Project, Report, RequestEnd,
    Retry, Run, RunExit, Schedule, Template, Timestamp, Unit, Worker, WorkerId,
};
use crate::server::domain::schedule::Cron;
use crate::server::domain::title::Title;
use crate::server::domain::worker_state::is_off;
use crate::wire::lack;

/// Error for a row that this program cannot have written.
fn strange(what: &str) -> StoreError {
    DbError::Strange(what.to_owned()).into()
}

pub fn project(row: &DbRow<'_>) -> Result<Project, StoreError> {
    Ok(Project {
        id: row.get("id")?,
        title: Title::stored(row.get("title")?),
        description: row.get("description")?,
        enqueue_is_enabled: row.get("enqueue_is_enabled")?,
        notification_addresses: row.get("notification_addresses")?,
    })
}

pub fn pool(row: &DbRow<'_>) -> Result<Pool, StoreError> {
    Ok(Pool {
        id: row.get("id")?,
        title: Title::stored(row.get("title")?),
        description: row.get("description")?,
        enqueue_is_enabled: row.get("enqueue_is_enabled")?,
        notification_addresses: row.get("notification_addresses")?,
    })
}

pub fn worker(row: &DbRow<'_>) -> Result<Worker, StoreError> {
    Ok(Worker {
        id: row.get("id")?,
        title: Title::stored(row.get("title")?),
        description: row.get("description")?,
        api_key: ApiKey::parse(&row.text("api_key")?).map_err(|_| strange("an api_key"))?,
        secret: Secret::new(row.get::<String>("secret")?.into_bytes()),
        enqueue_is_enabled: row.get("enqueue_is_enabled")?,
        ping_response_dts: row.get("ping_response_dts")?,
        worker_version: row.get("worker_version")?,
        concurrent_jobs: row.get("concurrent_jobs")?,
        heard_dts: row.get("heard")?,
        report: report(row)?,
        asked: asked(row)?,
        clock_ahead: row.get::<Option<i64>>("clock_ahead")?.map(TimeDelta::milliseconds),
    })
}

/// Reads the latest status report of a worker; `None` for one that has sent none, such as the original worker.
fn report(row: &DbRow<'_>) -> Result<Option<Report>, StoreError> {
    let (Some(duty), Some(since)) = (row.get::<Option<String>>("duty")?, row.get("duty_since")?) else {
        return Ok(None);
    };
    Ok(Some(Report {
        duty: WorkerState::named(&duty),
        since,
        seats_taken: row.get("seats_taken")?,
        outbox: row.get("outbox")?,
        restarts: row.get("restarts")?,
        // A row without such a report has the column's default, an empty text, which is not JSON.
        held: serde_json::from_str(&row.text("held")?).map(|list| lack::read(&list)).unwrap_or_default(),
    }))
}

/// Reads the latest command request to a worker, open or over.
fn asked(row: &DbRow<'_>) -> Result<Option<LatestRequest>, StoreError> {
    let Some(id) = row.get("request")? else { return Ok(None) };
    let action = row.get::<Option<String>>("request_action")?.unwrap_or_default();
    let request = WorkerRequest {
        id,
        action: WorkerCommand::named(&action).ok_or_else(|| strange("an action"))?,
        pace: if row.get("request_now")? { Pace::Now } else { Pace::AfterRuns },
    };
    // The end counts only together with `request_over`, which is written in the same statement.
    let end = match row.get::<Option<String>>("request_end")?.as_deref() {
        Some("cancelled") => RequestEnd::Cancelled,
        _ => RequestEnd::Confirmed,
    };
    Ok(Some(LatestRequest {
        request,
        by: row.get("request_by")?,
        reason: row.get("request_reason")?,
        at: row.get::<Option<Timestamp>>("request_at")?.ok_or_else(|| strange("a time"))?,
        sent: row.get("request_sent")?,
        heard: row.get("request_heard")?,
        over: row.get::<Option<Timestamp>>("request_over")?.map(|at| (at, end)),
    }))
}

pub fn template(row: &DbRow<'_>) -> Result<Template, StoreError> {
    Ok(Template {
        id: row.get("id")?,
        title: Title::stored(row.get("title")?),
        description: row.get("description")?,
        body: row.get("body")?,
        project: row.get("project")?,
        enqueue_is_enabled: row.get("enqueue_is_enabled")?,
        notification_addresses: row.get("notification_addresses")?,
    })
}

/// Reads a job without its excludes, which are rows of their own.
pub fn job(row: &DbRow<'_>) -> Result<Job, StoreError> {
    Ok(Job {
        id: row.get("id")?,
        parent: row.get("parent")?,
        template: row.get("job_template")?,
        pool: row.get("worker_pool")?,
        run_on_all_workers: row.get("run_on_all_workers")?,
        schedule_children_on_error: row.get("schedule_children_on_error")?,
        title: Title::stored(row.get("title")?),
        description: row.get("description")?,
        script_content_partial: row.get("script_content_partial")?,
        script_content: row.get("script_content")?,
        enqueue_is_enabled: row.get("enqueue_is_enabled")?,
        disabled_reason: row.get("disabled_reason")?,
        schedule: schedule(row)?,
        excludes: Vec::new(),
        notification_addresses: row.get("notification_addresses")?,
        fail_times: row.get("fail_times")?,
        disable_enqueue_after_fails: row.get("disable_enqueue_after_fails")?,
        last_completed_schedule_id: row.get("last_completed_schedule_id")?,
        run_timeout: row.get("run_timeout")?,
        retry: Retry { times: row.get("retry_times")?, backoff: row.get("retry_backoff")? },
        on_lost: OnLost::named(&row.text("on_lost")?).unwrap_or(OnLost::Retry),
        concurrency: Concurrency::named(&row.text("concurrency")?).unwrap_or(Concurrency::Wait),
    })
}

fn schedule(row: &DbRow<'_>) -> Result<Schedule, StoreError> {
    if let Some(expression) = row.get::<Option<String>>("cron")? {
        let zone = row.get::<Option<String>>("cron_zone")?.unwrap_or_default();
        let zone = zone.parse().map_err(|_| strange("a time zone"))?;
        return Ok(Schedule::Cron { expression: Cron::stored(expression), zone });
    }
    let every = row.get::<Option<u32>>("reschedule_interval")?.filter(|every| *every > 0);
    Ok(match (every, Unit::named(&row.text("reschedule_interval_type")?)) {
        (Some(every), Some(unit)) => Schedule::Interval { every, unit },
        _ => Schedule::None,
    })
}

pub fn exclude(row: &DbRow<'_>) -> Result<Exclude, StoreError> {
    let time = |seconds: i64| {
        u32::try_from(seconds)
            .ok()
            .and_then(|seconds| NaiveTime::from_num_seconds_from_midnight_opt(seconds, 0))
            .ok_or_else(|| strange("a time of the day"))
    };
    Ok(Exclude { start: time(row.get("start_time")?)?, end: time(row.get("end_time")?)?, note: row.get("note")? })
}

/// Packs ids into one JSON parameter, for `json_each`.
pub fn json(ids: &[i64]) -> String {
    serde_json::Value::from(ids).to_string()
}

/// Converts a time of the day to its stored form, seconds since midnight.
pub fn seconds(time: NaiveTime) -> i64 {
    i64::from(time.num_seconds_from_midnight())
}

pub fn run(row: &DbRow<'_>) -> Result<Run, StoreError> {
    let retry_of = match (row.get("retry_of")?, row.get("retry")?) {
        (Some(run), Some(retry)) => Some((run, retry)),
        _ => None,
    };
    Ok(Run {
        id: row.get("id")?,
        job: row.get("job")?,
        schedule_id: row.get("schedule_id")?,
        worker: row.get("worker")?,
        pinned: row.get("pinned")?,
        schedule_dts: row.get("schedule_dts")?,
        came_due: row.get("came_due")?,
        enqueue_dts: row.get("enqueue_dts")?,
        start_dts: row.get("start_dts")?,
        return_dts: row.get("return_dts")?,
        return_success: row.get("return_success")?,
        pid: row.get("pid")?,
        is_manual: row.get("is_manual")?,
        schedule_children: row.get("schedule_children")?,
        attempt: Attempt(row.get("attempt")?),
        losses: row.get("losses")?,
        retry_of,
        exit: row.get::<Option<String>>("exit")?.as_deref().and_then(exit),
    })
}

/// Reads a run as people see it: the timestamps that its worker wrote, and only those, are shifted to the server's
/// clock where the two clocks differ by more than a tolerance, so that no page mixes two clocks.
pub fn shown_run(row: &DbRow<'_>) -> Result<Run, StoreError> {
    let mut run = run(row)?;
    let lead = TimeDelta::microseconds(row.get::<Option<i64>>("clock_lead")?.unwrap_or(0));
    if is_off(lead) {
        let closed: Option<Timestamp> = row.get("closed")?;
        // A run that ended without having started has a start time all the same: the server wrote it together with the
        // end.
        let closed_start = closed.filter(|_| row.get::<Option<i64>>("start_heard").is_ok_and(|at| at.is_none()));
        let shown = |at: Option<Timestamp>, ours: Option<Timestamp>| {
            at.map(|at| ours.unwrap_or_else(|| at.checked_add_signed(lead).unwrap_or(at)))
        };
        run.enqueue_dts = shown(run.enqueue_dts, None);
        run.start_dts = shown(run.start_dts, closed_start);
        run.return_dts = shown(run.return_dts, closed);
    }
    Ok(run)
}

/// Reads how a run ended from column `exit`.
pub fn exit(text: &str) -> Option<RunExit> {
    match text.split_once(' ') {
        Some(("code", code)) => code.parse().ok().map(RunExit::Code),
        Some(("signal", signal)) => signal.parse().ok().map(RunExit::Signal),
        None if text == "timed_out" => Some(RunExit::TimedOut),
        None if text == "killed" => Some(RunExit::Killed),
        None if text == "lost" => Some(RunExit::Lost),
        _ => None,
    }
}

/// Stored form of an asker, in column `asked_by`.
pub fn asker_text(asker: Asker) -> String {
    match asker {
        Asker::Dashboard => "dashboard".to_owned(),
        Asker::Command => "command".to_owned(),
        Asker::Client => "client".to_owned(),
        Asker::Worker(worker) => format!("worker {worker}"),
    }
}

/// Reads the asker of a run or kill request; `None` if it is not known.
pub fn asker(row: &DbRow<'_>) -> Result<Option<Asker>, StoreError> {
    Ok(match row.get::<Option<String>>("asked_by")?.as_deref() {
        Some("dashboard") => Some(Asker::Dashboard),
        Some("command") => Some(Asker::Command),
        Some("client") => Some(Asker::Client),
        Some(text) => text.strip_prefix("worker ").and_then(|id| WorkerId::new(id.parse().ok()?)).map(Asker::Worker),
        None => None,
    })
}

/// Stored form of how a run ended, in column `exit`.
pub fn exit_text(exit: RunExit) -> String {
    match exit {
        RunExit::Code(code) => format!("code {code}"),
        RunExit::Signal(signal) => format!("signal {signal}"),
        RunExit::TimedOut => "timed_out".to_owned(),
        RunExit::Killed => "killed".to_owned(),
        RunExit::Lost => "lost".to_owned(),
    }
}

pub fn kill(row: &DbRow<'_>) -> Result<KillRequest, StoreError> {
    Ok(KillRequest {
        id: row.get("id")?,
        run: row.get("run")?,
        worker: row.get("worker")?,
        schedule_dts: row.get("schedule_dts")?,
        enqueue_dts: row.get("enqueue_dts")?,
        execute_dts: row.get("execute_dts")?,
        cause: cause(&row.text("cause")?),
    })
}

/// Reads the cause of a kill from column `cause`.
pub fn cause(text: &str) -> KillCause {
    match text {
        "timed_out" => KillCause::TimedOut,
        "replaced" => KillCause::Replaced,
        _ => KillCause::Asked,
    }
}

pub fn fire(row: &DbRow<'_>) -> Result<Fire, StoreError> {
    let kind = FireKind::named(&row.text("what")?).ok_or_else(|| strange("a kind of fire"))?;
    let params = serde_json::from_str(&row.text("params")?).map_err(|_| strange("a reason"))?;
    Ok(Fire {
        job: row.get("job")?,
        due: row.get("due")?,
        run: row.get("run")?,
        reason: fire_reasons::read(kind, &row.text("code")?, &params).ok_or_else(|| strange("a reason"))?,
        at: row.get("at")?,
    })
}

/// Stored form of the cause of a kill, in column `cause`.
pub fn cause_name(cause: KillCause) -> &'static str {
    match cause {
        KillCause::Asked => "asked",
        KillCause::TimedOut => "timed_out",
        KillCause::Replaced => "replaced",
    }
}
