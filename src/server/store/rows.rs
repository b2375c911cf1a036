//! Conversions between rows of the database and types of the domain.

use chrono::{DateTime, NaiveTime, TimeDelta, Timelike};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{StoreError, fire_reasons};
use crate::run::{ApiKey, Attempt, KillId, Pace, RequestId, RunId, Secret, WorkerCommand, WorkerRequest, WorkerState};
use crate::server::domain::fire::{Fire, FireKind};
use crate::server::domain::model::{
    Asker, Concurrency, Exclude, Job, JobId, KillCause, KillRequest, LatestRequest, OnLost, Pool, PoolId, Project,
    ProjectId, Report, RequestEnd, Retry, Run, RunExit, Schedule, Template, TemplateId, Timestamp, Unit, Worker,
    WorkerId,
};
use crate::server::domain::schedule::Cron;
use crate::server::domain::title::Title;
use crate::server::domain::worker_state::is_off;
use crate::wire::lack;

/// Error for a row that this program cannot have written.
fn strange(what: &str) -> StoreError {
    StoreError::Ask(sqlx::Error::Decode(format!("{what} in the store is not what was written there").into()))
}

/// Converts a timestamp to its stored form, microseconds since 1970 in UTC.
pub fn micros(at: Timestamp) -> i64 {
    at.timestamp_micros()
}

/// Reads a timestamp from its stored form, microseconds since 1970 in UTC.
pub fn instant(micros: i64) -> Result<Timestamp, StoreError> {
    DateTime::from_timestamp_micros(micros).ok_or_else(|| strange("a time"))
}

pub fn instant_of(row: &SqliteRow, name: &str) -> Result<Option<Timestamp>, StoreError> {
    row.try_get::<Option<i64>, _>(name)?.map(instant).transpose()
}

fn number(row: &SqliteRow, name: &str) -> Result<Option<u32>, StoreError> {
    row.try_get::<Option<i64>, _>(name)?.map(|n| u32::try_from(n).map_err(|_| strange(name))).transpose()
}

fn needed(row: &SqliteRow, name: &str) -> Result<u32, StoreError> {
    number(row, name)?.ok_or_else(|| strange(name))
}

pub fn project(row: &SqliteRow) -> Result<Project, StoreError> {
    Ok(Project {
        id: ProjectId::new(row.try_get("id")?).ok_or_else(|| strange("an id"))?,
        title: Title::stored(row.try_get("title")?),
        description: row.try_get("description")?,
        enqueue_is_enabled: row.try_get("enqueue_is_enabled")?,
        notification_addresses: row.try_get("notification_addresses")?,
    })
}

pub fn pool(row: &SqliteRow) -> Result<Pool, StoreError> {
    Ok(Pool {
        id: PoolId::new(row.try_get("id")?).ok_or_else(|| strange("an id"))?,
        title: Title::stored(row.try_get("title")?),
        description: row.try_get("description")?,
        enqueue_is_enabled: row.try_get("enqueue_is_enabled")?,
        notification_addresses: row.try_get("notification_addresses")?,
    })
}

pub fn worker(row: &SqliteRow) -> Result<Worker, StoreError> {
    Ok(Worker {
        id: WorkerId::new(row.try_get("id")?).ok_or_else(|| strange("an id"))?,
        title: Title::stored(row.try_get("title")?),
        description: row.try_get("description")?,
        api_key: ApiKey::parse(row.try_get("api_key")?).map_err(|_| strange("an api_key"))?,
        secret: Secret::new(row.try_get::<String, _>("secret")?.into_bytes()),
        enqueue_is_enabled: row.try_get("enqueue_is_enabled")?,
        ping_response_dts: instant_of(row, "ping_response_dts")?,
        worker_version: row.try_get("worker_version")?,
        concurrent_jobs: number(row, "concurrent_jobs")?,
        heard_dts: instant_of(row, "heard")?,
        report: report(row)?,
        asked: asked(row)?,
        clock_ahead: row.try_get::<Option<i64>, _>("clock_ahead")?.map(TimeDelta::milliseconds),
    })
}

/// Reads the latest status report of a worker; `None` for one that has sent none, such as the original worker.
fn report(row: &SqliteRow) -> Result<Option<Report>, StoreError> {
    let (Some(duty), Some(since)) = (row.try_get::<Option<String>, _>("duty")?, instant_of(row, "duty_since")?) else {
        return Ok(None);
    };
    Ok(Some(Report {
        duty: WorkerState::named(&duty),
        since,
        seats_taken: needed(row, "seats_taken")?,
        outbox: needed(row, "outbox")?,
        restarts: row.try_get("restarts")?,
        // A row without such a report has the column's default, an empty text, which is not JSON.
        held: serde_json::from_str(row.try_get("held")?).map(|list| lack::read(&list)).unwrap_or_default(),
    }))
}

/// Reads the latest command request to a worker, open or over.
fn asked(row: &SqliteRow) -> Result<Option<LatestRequest>, StoreError> {
    let Some(id) = row.try_get::<Option<i64>, _>("request")?.and_then(RequestId::new) else { return Ok(None) };
    let action = row.try_get::<Option<String>, _>("request_action")?.unwrap_or_default();
    let request = WorkerRequest {
        id,
        action: WorkerCommand::named(&action).ok_or_else(|| strange("an action"))?,
        pace: if row.try_get("request_now")? { Pace::Now } else { Pace::AfterRuns },
    };
    // The end counts only together with `request_over`, which is written in the same statement.
    let end = match row.try_get::<Option<String>, _>("request_end")?.as_deref() {
        Some("cancelled") => RequestEnd::Cancelled,
        _ => RequestEnd::Confirmed,
    };
    Ok(Some(LatestRequest {
        request,
        by: row.try_get("request_by")?,
        reason: row.try_get("request_reason")?,
        at: instant_of(row, "request_at")?.ok_or_else(|| strange("a time"))?,
        sent: instant_of(row, "request_sent")?,
        heard: instant_of(row, "request_heard")?,
        over: instant_of(row, "request_over")?.map(|at| (at, end)),
    }))
}

pub fn template(row: &SqliteRow) -> Result<Template, StoreError> {
    Ok(Template {
        id: TemplateId::new(row.try_get("id")?).ok_or_else(|| strange("an id"))?,
        title: Title::stored(row.try_get("title")?),
        description: row.try_get("description")?,
        body: row.try_get("body")?,
        project: ProjectId::new(row.try_get("project")?).ok_or_else(|| strange("a project"))?,
        enqueue_is_enabled: row.try_get("enqueue_is_enabled")?,
        notification_addresses: row.try_get("notification_addresses")?,
    })
}

/// Reads a job without its excludes, which are rows of their own.
pub fn job(row: &SqliteRow) -> Result<Job, StoreError> {
    Ok(Job {
        id: JobId::new(row.try_get("id")?).ok_or_else(|| strange("an id"))?,
        parent: row.try_get::<Option<i64>, _>("parent")?.and_then(JobId::new),
        template: TemplateId::new(row.try_get("job_template")?).ok_or_else(|| strange("a template"))?,
        pool: PoolId::new(row.try_get("worker_pool")?).ok_or_else(|| strange("a pool"))?,
        run_on_all_workers: row.try_get("run_on_all_workers")?,
        schedule_children_on_error: row.try_get("schedule_children_on_error")?,
        title: Title::stored(row.try_get("title")?),
        description: row.try_get("description")?,
        script_content_partial: row.try_get("script_content_partial")?,
        script_content: row.try_get("script_content")?,
        enqueue_is_enabled: row.try_get("enqueue_is_enabled")?,
        disabled_reason: row.try_get("disabled_reason")?,
        schedule: schedule(row)?,
        excludes: Vec::new(),
        notification_addresses: row.try_get("notification_addresses")?,
        fail_times: needed(row, "fail_times")?,
        disable_enqueue_after_fails: number(row, "disable_enqueue_after_fails")?,
        last_completed_schedule_id: row.try_get("last_completed_schedule_id")?,
        run_timeout: number(row, "run_timeout")?,
        retry: Retry { times: needed(row, "retry_times")?, backoff: needed(row, "retry_backoff")? },
        on_lost: OnLost::named(row.try_get("on_lost")?).unwrap_or(OnLost::Retry),
        concurrency: Concurrency::named(row.try_get("concurrency")?).unwrap_or(Concurrency::Wait),
    })
}

fn schedule(row: &SqliteRow) -> Result<Schedule, StoreError> {
    if let Some(expression) = row.try_get::<Option<String>, _>("cron")? {
        let zone = row.try_get::<Option<String>, _>("cron_zone")?.unwrap_or_default();
        let zone = zone.parse().map_err(|_| strange("a time zone"))?;
        return Ok(Schedule::Cron { expression: Cron::stored(expression), zone });
    }
    let every = number(row, "reschedule_interval")?.filter(|every| *every > 0);
    Ok(match (every, Unit::named(row.try_get("reschedule_interval_type")?)) {
        (Some(every), Some(unit)) => Schedule::Interval { every, unit },
        _ => Schedule::None,
    })
}

pub fn exclude(row: &SqliteRow) -> Result<Exclude, StoreError> {
    let time = |seconds: i64| {
        u32::try_from(seconds)
            .ok()
            .and_then(|seconds| NaiveTime::from_num_seconds_from_midnight_opt(seconds, 0))
            .ok_or_else(|| strange("a time of the day"))
    };
    Ok(Exclude {
        start: time(row.try_get("start_time")?)?,
        end: time(row.try_get("end_time")?)?,
        note: row.try_get("note")?,
    })
}

/// Packs ids into one JSON parameter, for `json_each`.
pub fn json(ids: &[i64]) -> String {
    serde_json::Value::from(ids).to_string()
}

/// Converts a time of the day to its stored form, seconds since midnight.
pub fn seconds(time: NaiveTime) -> i64 {
    i64::from(time.num_seconds_from_midnight())
}

pub fn run(row: &SqliteRow) -> Result<Run, StoreError> {
    let retry_of = match (row.try_get::<Option<i64>, _>("retry_of")?.and_then(RunId::new), number(row, "retry")?) {
        (Some(run), Some(retry)) => Some((run, retry)),
        _ => None,
    };
    Ok(Run {
        id: RunId::new(row.try_get("id")?).ok_or_else(|| strange("an id"))?,
        job: JobId::new(row.try_get("job")?).ok_or_else(|| strange("a job"))?,
        schedule_id: row.try_get("schedule_id")?,
        worker: row.try_get::<Option<i64>, _>("worker")?.and_then(WorkerId::new),
        pinned: row.try_get("pinned")?,
        schedule_dts: instant(row.try_get("schedule_dts")?)?,
        came_due: instant_of(row, "came_due")?,
        enqueue_dts: instant_of(row, "enqueue_dts")?,
        start_dts: instant_of(row, "start_dts")?,
        return_dts: instant_of(row, "return_dts")?,
        return_success: row.try_get("return_success")?,
        pid: row.try_get("pid")?,
        is_manual: row.try_get("is_manual")?,
        schedule_children: row.try_get("schedule_children")?,
        attempt: Attempt(needed(row, "attempt")?),
        losses: needed(row, "losses")?,
        retry_of,
        exit: row.try_get::<Option<String>, _>("exit")?.as_deref().and_then(exit),
    })
}

/// Reads a run as people see it: the timestamps that its worker wrote, and only those, are shifted to the server's
/// clock where the two clocks differ by more than a tolerance, so that no page mixes two clocks.
pub fn shown_run(row: &SqliteRow) -> Result<Run, StoreError> {
    let mut run = run(row)?;
    let lead = TimeDelta::microseconds(row.try_get::<Option<i64>, _>("clock_lead")?.unwrap_or(0));
    if is_off(lead) {
        let closed = instant_of(row, "closed")?;
        // A run that ended without having started has a start time all the same: the server wrote it together with the
        // end.
        let closed_start = closed.filter(|_| row.try_get::<Option<i64>, _>("start_heard").is_ok_and(|at| at.is_none()));
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
pub fn asker(row: &SqliteRow) -> Result<Option<Asker>, StoreError> {
    Ok(match row.try_get::<Option<&str>, _>("asked_by")? {
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

pub fn kill(row: &SqliteRow) -> Result<KillRequest, StoreError> {
    Ok(KillRequest {
        id: KillId::new(row.try_get("id")?).ok_or_else(|| strange("an id"))?,
        run: RunId::new(row.try_get("run")?).ok_or_else(|| strange("a run"))?,
        worker: row.try_get::<Option<i64>, _>("worker")?.and_then(WorkerId::new),
        schedule_dts: instant(row.try_get("schedule_dts")?)?,
        enqueue_dts: instant_of(row, "enqueue_dts")?,
        execute_dts: instant_of(row, "execute_dts")?,
        cause: cause(row.try_get("cause")?),
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

pub fn fire(row: &SqliteRow) -> Result<Fire, StoreError> {
    let kind = FireKind::named(row.try_get("what")?).ok_or_else(|| strange("a kind of fire"))?;
    let params = serde_json::from_str(row.try_get("params")?).map_err(|_| strange("a reason"))?;
    Ok(Fire {
        job: JobId::new(row.try_get("job")?).ok_or_else(|| strange("a job"))?,
        due: instant(row.try_get("due")?)?,
        run: row.try_get::<Option<i64>, _>("run")?.and_then(RunId::new),
        reason: fire_reasons::read(kind, row.try_get("code")?, &params).ok_or_else(|| strange("a reason"))?,
        at: instant(row.try_get("at")?)?,
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
