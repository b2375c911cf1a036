//! Jobs, tasks and workers of the farm as HTML, and the outcome of commands in sentences. Pure.

use chrono_tz::Tz;
use minijinja::{Value, context};

use crate::server::domain::model::Timestamp;
use crate::server::http::dashboard::form::FormValues;
use crate::server::http::dashboard::format::short_time;
use crate::server::http::dashboard::notice::Notice;
use crate::server::http::dashboard::template::fill;
use crate::server::http::dashboard::visit::Visit;
use crate::server::store::farm::{FarmTask, FarmWorkerOverview, JobProgress};
use crate::wire::flamenco::supervision::FarmWorkerCommand;
use crate::wire::flamenco::{FarmWorkerStatus, ScheduleDocument, TaskStatus};

/// Facts that the page of the farm is rendered from.
#[derive(Clone, Debug)]
pub struct FarmPage {
    /// Jobs that were submitted last, the latest first.
    pub jobs: Vec<JobProgress>,
    /// Whether there are more jobs.
    pub has_more_jobs: bool,
    /// Workers in the order of their names.
    pub workers: Vec<FarmWorkerOverview>,
    /// Whether there are more workers.
    pub has_more_workers: bool,
    /// Timestamp of this rendering.
    pub now: Timestamp,
}

/// Renders the page without its frame, with what was chosen before.
pub(super) fn body(page: &FarmPage, typed: &FormValues, visit: &Visit) -> Value {
    let [jobs, workers] = parts(page, typed, visit);
    let actions = FarmWorkerCommand::ALL.map(|command| {
        let label = match command {
            FarmWorkerCommand::Sleep => "Send to sleep",
            FarmWorkerCommand::Wake => "Wake up",
            FarmWorkerCommand::Shutdown => "Shut down",
            FarmWorkerCommand::Forget => "Remove",
        };
        context!(value => command.word(), label, chosen => typed.text("action") == Some(command.word()))
    });
    let context = context! {
        jobs, workers, actions => actions.to_vec(), form_token => &visit.form_token, some => !page.workers.is_empty(),
        now => typed.text("pace") == Some("now"),
    };
    fill("farm", context)
}

/// Renders the parts that the script fetches again: the tables of jobs and of workers.
pub(super) fn parts(page: &FarmPage, typed: &FormValues, visit: &Visit) -> [Value; 2] {
    let jobs: Vec<Value> = page.jobs.iter().map(|job| progress(job, page.now, visit.zone)).collect();
    // A page that answers a form shows again what was chosen in it.
    let chosen: Vec<&str> = typed.all("worker").collect();
    let row = |overview: &FarmWorkerOverview| worker_row(overview, &chosen, page.now, visit.zone);
    let workers: Vec<Value> = page.workers.iter().map(row).collect();
    [
        fill("farm_jobs", context!(jobs, unlisted => page.has_more_jobs)),
        fill("farm_workers", context!(workers, unlisted => page.has_more_workers, listens => visit.has_farm)),
    ]
}

/// Renders a job with the numbers of its tasks.
pub(super) fn progress(job: &JobProgress, now: Timestamp, zone: Tz) -> Value {
    let number = |status| job.tasks.get(&status).copied().unwrap_or_default();
    let states: Vec<Value> = job.tasks.iter().map(|(status, number)| counted(*status, *number)).collect();
    // What can still be cancelled, so that the button says how much that is.
    let open: u64 = job.tasks.iter().filter(|(status, _)| !status.is_over()).map(|(_, number)| number).sum();
    context! {
        id => job.id.to_string(), name => &job.name, job_type => &job.job_type, priority => job.priority,
        created => short_time(job.created, now, zone), completed => number(TaskStatus::Completed),
        total => job.tasks.values().sum::<u64>(), states, open,
        failed => number(TaskStatus::Failed) + number(TaskStatus::SoftFailed) + number(TaskStatus::Canceled),
    }
}

/// Renders the row of a task in a list.
pub(super) fn task_row(task: &FarmTask) -> Value {
    context! {
        id => task.id.to_string(), name => &task.name, task_type => &task.task_type, badge => task_badge(task.status),
        parents => parents_of(task), worker => &task.worker_name, activity => &task.activity,
    }
}

fn parents_of(task: &FarmTask) -> Option<String> {
    match task.blocked {
        // One that is over keeps its count, but waits for nothing.
        _ if task.status.is_over() => None,
        0 => None,
        1 => Some("1 task".to_owned()),
        parents => Some(format!("{parents} tasks")),
    }
}

/// State of a task as a word in its colours.
pub(super) fn task_badge(status: TaskStatus) -> Value {
    fill("farm_state", context!(class => class(status), word => status.word()))
}

fn counted(status: TaskStatus, number: u64) -> Value {
    fill("farm_state", context!(class => class(status), word => status.word(), number))
}

fn class(status: TaskStatus) -> &'static str {
    match status {
        TaskStatus::Queued | TaskStatus::ClaimedByManager => "scheduled",
        TaskStatus::Active => "running",
        TaskStatus::SoftFailed => "timed_out",
        TaskStatus::CancelRequested => "killed",
        TaskStatus::Completed => "succeeded",
        TaskStatus::Failed => "failed",
        TaskStatus::Canceled => "off",
    }
}

fn worker_row(overview: &FarmWorkerOverview, chosen: &[&str], now: Timestamp, zone: Tz) -> Value {
    let FarmWorkerOverview { worker, types, task, schedule, blacklist } = overview;
    let id = worker.id.to_string();
    let requested = worker.standing.asked.map(|asked| match asked.is_lazy {
        true => format!("{} after its task", status_word(asked.status)),
        false => status_word(asked.status).to_owned(),
    });
    let blacklisted: Vec<&str> = blacklist.iter().map(|line| line.task_type.as_str()).collect();
    context! {
        is_chosen => chosen.contains(&id.as_str()), id, name => &worker.nickname, platform => &worker.platform,
        badge => fill("farm_state", context!(class => worker_class(worker.standing.status), word => status_word(worker.standing.status))),
        requested, sleeps => schedule.as_ref().and_then(hours), types => types.join(" "),
        blacklist => (!blacklisted.is_empty()).then(|| format!("{} of jobs that it failed", blacklisted.join(", "))),
        task => task.as_ref().map(|task| context!(id => task.id.to_string(), name => &task.name)),
        seen => short_time(worker.seen, now, zone), address => &worker.address, software => &worker.software,
    }
}

/// Hours of sleep in words; `None` where the schedule is turned off.
fn hours(schedule: &ScheduleDocument) -> Option<String> {
    let ScheduleDocument { schedule_active, days_of_week, time_start, time_end } = schedule;
    let days = if days_of_week.is_empty() { "daily" } else { days_of_week };
    let or = |text: &str, other: &str| if text.is_empty() { other.to_owned() } else { text.to_owned() };
    schedule_active.then(|| format!("sleeps {days} {} to {}", or(time_start, "00:00"), or(time_end, "24:00")))
}

fn status_word(status: FarmWorkerStatus) -> &'static str {
    match status {
        FarmWorkerStatus::Registered => "registered",
        FarmWorkerStatus::Timeout => "silent",
        FarmWorkerStatus::Shutdown => "shut down",
        status => status.word(),
    }
}

fn worker_class(status: FarmWorkerStatus) -> &'static str {
    match status {
        FarmWorkerStatus::Awake => "awake",
        FarmWorkerStatus::Starting | FarmWorkerStatus::Testing => "starting",
        FarmWorkerStatus::Asleep => "asleep",
        FarmWorkerStatus::Error | FarmWorkerStatus::Timeout => "failed",
        FarmWorkerStatus::Registered | FarmWorkerStatus::Offline | FarmWorkerStatus::Shutdown => "off",
    }
}

/// Notice of a command that as many workers got.
pub(super) fn outcome(command: FarmWorkerCommand, workers: usize) -> Notice {
    let whom = match workers {
        0 => return Notice::refused("Nothing was requested: these workers are gone."),
        1 => "1 worker".to_owned(),
        workers => format!("{workers} workers"),
    };
    Notice::done(match command {
        FarmWorkerCommand::Sleep => format!("{whom} asked to sleep."),
        FarmWorkerCommand::Wake => format!("{whom} asked to wake up."),
        FarmWorkerCommand::Shutdown => format!("{whom} asked to shut down."),
        FarmWorkerCommand::Forget => format!("{whom} removed."),
    })
}
