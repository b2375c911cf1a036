//! Domain types of the server: projects, pools, workers, templates, jobs and runs.
//!
//! Fields and their names are the original's, so that its API can be served unchanged; a field that the original does
//! not have says so. Timestamps are UTC; a zone matters only where a schedule is computed and where a time is shown.

use std::net::IpAddr;

use chrono::{NaiveTime, TimeDelta};
use chrono_tz::Tz;

use super::schedule::Cron;
use super::title::Title;
use crate::run::{ApiKey, Attempt, Instance, RunId, Secret, id};

#[cfg(test)]
pub mod sample;
mod status;

pub use super::timestamp::Timestamp;
pub use status::{LatestRequest, Report, RequestEnd};

id! {
    /// Id of a group of people ([`UserGroup`]).
    GroupId
}
id! {
    /// Id of a project ([`Project`]).
    ProjectId
}
id! {
    /// Id of a pool of workers ([`Pool`]).
    PoolId
}
id! {
    /// Id of a worker ([`Worker`]).
    WorkerId
}
id! {
    /// Id of a template of jobs ([`Template`]).
    TemplateId
}
id! {
    /// Id of a job ([`Job`]).
    JobId
}
id! {
    /// Id of the log of a run, as the REST API numbers logs.
    LogId
}

/// A group of people, as the REST API lists it: only the name. Permissions are not part of this version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserGroup {
    /// Number in the REST API.
    pub id: GroupId,
    /// Name of the group.
    pub name: String,
}

/// A project: a set of templates and jobs, and the pools that may run them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// Number in the REST API and on the command line.
    pub id: ProjectId,
    /// Title, as shown and used in names like `project/template/job`.
    pub title: Title,
    /// Free text for people.
    pub description: String,
    /// Whether the scheduled runs of its jobs run; a disabled project lets them wait.
    pub enqueue_is_enabled: bool,
    /// Mail addresses to notify of failures, one a line.
    pub notification_addresses: String,
}

/// A pool of workers, each of which can run the same jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Number in the REST API and on the command line.
    pub id: PoolId,
    /// Title, as shown and used on the command line.
    pub title: Title,
    /// Free text for people.
    pub description: String,
    /// Whether scheduled runs are given to the pool; a disabled pool lets them wait.
    pub enqueue_is_enabled: bool,
    /// Mail addresses to notify of failures, one a line.
    pub notification_addresses: String,
}

/// A worker, as the store knows it.
#[derive(Clone, Debug)]
pub struct Worker {
    /// Number in the REST API and on the command line.
    pub id: WorkerId,
    /// Title, as shown and used on the command line.
    pub title: Title,
    /// Free text for people.
    pub description: String,
    /// Public key under which the worker identifies itself and is addressed in broadcasts.
    pub api_key: ApiKey,
    /// Shared secret with which the worker signs its requests.
    pub secret: Secret,
    /// Whether the worker is given new runs.
    pub enqueue_is_enabled: bool,
    /// Time of its last answer to a ping, by the worker's own clock.
    pub ping_response_dts: Option<Timestamp>,
    /// Version, as its last answer said.
    pub worker_version: Option<String>,
    /// Slots: how many runs the worker executes at once, as its last answer said; `None` before the first.
    pub concurrent_jobs: Option<u32>,
    /// Time of its last answer or status report, by the server's clock. Not in the original.
    pub heard_dts: Option<Timestamp>,
    /// Last status report; `None` for a worker of the original kind. Not in the original.
    pub report: Option<Report>,
    /// Latest request to the worker, also once it is over. Not in the original.
    pub asked: Option<LatestRequest>,
    /// Advance of its clock on the server's, as of its last answer; negative where it is behind. Not in the original.
    pub clock_ahead: Option<TimeDelta>,
}

impl Worker {
    /// Returns when the worker was last heard of: by the server's clock, or else by the worker's own.
    #[must_use]
    pub fn heard(&self) -> Option<Timestamp> {
        // The answer may have been recorded by an earlier version, which kept only the worker's own time.
        self.heard_dts.or(self.ping_response_dts)
    }

    /// Returns the latest request if the worker has not confirmed it yet and it was not cancelled.
    #[must_use]
    pub fn open_request(&self) -> Option<&LatestRequest> {
        self.asked.as_ref().filter(|asked| asked.over.is_none())
    }
}

/// A template: the text around the scripts of its jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// Number in the REST API and on the command line.
    pub id: TemplateId,
    /// Title, as shown and used in names like `project/template/job`.
    pub title: Title,
    /// Free text for people.
    pub description: String,
    /// Text, with `{{ content|safe }}` where the script of the job goes.
    pub body: String,
    /// Project that the template belongs to.
    pub project: ProjectId,
    /// Whether the scheduled runs of its jobs run; a disabled template lets them wait.
    pub enqueue_is_enabled: bool,
    /// Mail addresses to notify of failures, one a line.
    pub notification_addresses: String,
}

/// A job: a script and its schedule.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Number in the REST API and on the command line.
    pub id: JobId,
    /// Parent: the job after whose runs this one runs.
    pub parent: Option<JobId>,
    /// Template whose text surrounds the script.
    pub template: TemplateId,
    /// Pool whose workers execute the runs.
    pub pool: PoolId,
    /// Whether every worker of the pool executes each run, at the same time.
    pub run_on_all_workers: bool,
    /// Whether the children run also after a failure of this job.
    pub schedule_children_on_error: bool,
    /// Title, unlike any other job's of the same template.
    pub title: Title,
    /// Free text for people.
    pub description: String,
    /// Script as it was written, without the template.
    pub script_content_partial: String,
    /// Script rendered into the template: the text that a worker executes.
    pub script_content: String,
    /// Whether its scheduled runs run; a disabled job lets them wait.
    pub enqueue_is_enabled: bool,
    /// Reason given when the job was disabled; empty if none was. Not in the original.
    pub disabled_reason: String,
    /// Rule by which the next run is planned.
    pub schedule: Schedule,
    /// Times of the day at which the job is not scheduled.
    pub excludes: Vec<Exclude>,
    /// Mail addresses to notify of failures, one a line.
    pub notification_addresses: String,
    /// Failures in a row, up to now.
    pub fail_times: u32,
    /// Failures in a row after which one more disables the job; `None` and 0 never do.
    pub disable_enqueue_after_fails: Option<u32>,
    /// Schedule id of the last run that is over.
    pub last_completed_schedule_id: Option<i64>,
    /// Longest duration of a run, in seconds; `None`: no limit. Not in the original.
    pub run_timeout: Option<u32>,
    /// Retries after a failure. Not in the original.
    pub retry: Retry,
    /// Treatment of a run whose worker was lost. Not in the original.
    pub on_lost: OnLost,
    /// Treatment of a run that is due while another one is active. Not in the original.
    pub concurrency: Concurrency,
}

/// Rule by which the next run of a job is planned.
#[derive(Clone, Debug, PartialEq)]
pub enum Schedule {
    /// No schedule: the job runs on request, or after its parent.
    None,
    /// Fixed interval after the last time the job was due, in the server's zone.
    Interval {
        /// Number of units, from 1.
        every: u32,
        /// Unit of the interval.
        unit: Unit,
    },
    /// Cron expression, in a zone of its own. Not in the original.
    Cron {
        /// Five fields, or six with seconds first.
        expression: Cron,
        /// Zone in which the fields are read.
        zone: Tz,
    },
}

/// Units of an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Minutes, by the local clock.
    Minute,
    /// Hours, by the local clock.
    Hour,
    /// Local days, of whatever length.
    Day,
    /// Months: as many days as the month has in which the last time was.
    Month,
}

impl Unit {
    /// Returns the name that the original uses, on the wire and in the store.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Minute => "MINUTE",
            Self::Hour => "HOUR",
            Self::Day => "DAY",
            Self::Month => "MONTH",
        }
    }

    /// Parses the name that [`Unit::name`] returns.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Minute, Self::Hour, Self::Day, Self::Month].into_iter().find(|unit| unit.name() == name)
    }
}

/// A stretch of the day at which a job is not scheduled. Both ends belong to it; in the server's zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exclude {
    /// First time that is left out; later than `end` where the stretch reaches over midnight.
    pub start: NaiveTime,
    /// Last time that is left out.
    pub end: NaiveTime,
    /// Reason for the exclude, for people.
    pub note: String,
}

/// Retries of a failed run: each is a run of its own that names the run it retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Retries at most; 0: none.
    pub times: u32,
    /// Seconds before the first retry; doubled for each further one, up to a day.
    pub backoff: u32,
}

impl Default for Retry {
    /// No retries, and a pause of a minute once some are wanted: the default of the store and of the form.
    fn default() -> Self {
        Self { times: 0, backoff: 60 }
    }
}

/// Treatment of a run whose worker was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLost {
    /// The run is executed again, under a new attempt.
    Retry,
    /// The run fails, as with the original.
    Fail,
}

impl OnLost {
    /// Returns the name used in the store and in forms.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Fail => "fail",
        }
    }

    /// Parses the name that [`OnLost::name`] returns.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Retry, Self::Fail].into_iter().find(|one| one.name() == name)
    }
}

/// Treatment of a run that is due while another run of the job is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concurrency {
    /// The run waits, as with the original.
    Wait,
    /// The run is skipped, and `why` says so.
    Skip,
    /// The run executes beside the other one.
    Allow,
    /// The other run is killed, and this one runs then.
    Replace,
}

impl Concurrency {
    /// Returns the name used in the store, on the wire and in forms.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::Skip => "skip",
            Self::Allow => "allow",
            Self::Replace => "replace",
        }
    }

    /// Parses the name that [`Concurrency::name`] returns.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Wait, Self::Skip, Self::Allow, Self::Replace].into_iter().find(|one| one.name() == name)
    }
}

/// A run: one planned, current or past execution of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Number in the REST API and on the command line.
    pub id: RunId,
    /// Job that is executed.
    pub job: JobId,
    /// Number that the runs of one due time share: those on the other workers, and the retries.
    pub schedule_id: i64,
    /// Worker that claimed the run, or that it is pinned to before the claim.
    pub worker: Option<WorkerId>,
    /// Whether the schedule chose the worker (run on all workers), so that it stays when the run is given back. Not in
    /// the original.
    pub pinned: bool,
    /// Time at which the run is due.
    pub schedule_dts: Timestamp,
    /// Time at which the server found the run due: it stays due if the clock is set back after that. Not in the
    /// original.
    pub came_due: Option<Timestamp>,
    /// Time of the claim, by the worker's clock.
    pub enqueue_dts: Option<Timestamp>,
    /// Time at which its script was started, by the worker's clock.
    pub start_dts: Option<Timestamp>,
    /// Time at which the run was over, by the worker's clock.
    pub return_dts: Option<Timestamp>,
    /// Whether the run succeeded; `None` until it is over.
    pub return_success: Option<bool>,
    /// Process id that the worker reported, for people to see.
    pub pid: Option<i64>,
    /// Whether the run was requested by hand rather than planned by the schedule.
    pub is_manual: bool,
    /// Whether the job's children run after it.
    pub schedule_children: bool,
    /// Number of the current attempt: how often the run was claimed. Not in the original.
    pub attempt: Attempt,
    /// Attempts that were lost with their worker. Not in the original.
    pub losses: u32,
    /// Run that this one retries, and the number of the retry, from 1. Not in the original.
    pub retry_of: Option<(RunId, u32)>,
    /// Way in which the run ended, as far as is known. Not in the original.
    pub exit: Option<RunExit>,
}

/// Way in which a run ended, beyond success or failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunExit {
    /// Exit status of the script, 0 to 255.
    Code(i32),
    /// Number of the signal that ended the script.
    Signal(i32),
    /// Killed because it exceeded its time limit.
    TimedOut,
    /// Killed or cancelled on request.
    Killed,
    /// Failed because its workers were lost too often.
    Lost,
}

/// Life cycle of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// Planned or announced, and not claimed.
    Scheduled,
    /// Claimed, and not started.
    InQueue,
    /// Claimed, with its script running.
    Started,
    /// Over, with a final result.
    Completed,
}

impl Run {
    /// Derives the state from the timestamps, as the original does.
    #[must_use]
    pub fn state(&self) -> RunState {
        match (self.return_dts, self.start_dts, self.enqueue_dts) {
            (Some(_), _, _) => RunState::Completed,
            (None, Some(_), Some(_)) => RunState::Started,
            (None, None, Some(_)) => RunState::InQueue,
            (None, _, None) => RunState::Scheduled,
        }
    }

    /// Returns whether the run is due: a clock that is set back after it came due does not undo that.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.came_due.is_some() || self.schedule_dts <= now
    }
}

/// A request to kill a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KillRequest {
    /// Number in the REST API.
    pub id: crate::run::KillId,
    /// Run that is to be killed.
    pub run: RunId,
    /// Worker that had the attempt for which the kill was requested; `None` where no worker had claimed the run. Not in
    /// the original.
    pub worker: Option<WorkerId>,
    /// Time of the request.
    pub schedule_dts: Timestamp,
    /// Time at which a worker took the request.
    pub enqueue_dts: Option<Timestamp>,
    /// Time at which no process of the run was left alive.
    pub execute_dts: Option<Timestamp>,
    /// Reason for the kill. Not in the original.
    pub cause: KillCause,
}

/// Author of a run or of a kill request. Not in the original.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// The operator, on the dashboard.
    Dashboard,
    /// The operator, with the `job_runner` command.
    Command,
    /// A client of the REST API that has the operator's token.
    Client,
    /// A worker, over the REST API.
    Worker(WorkerId),
}

/// Reason why a run is to be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KillCause {
    /// A request by the operator, a client or a worker.
    Asked,
    /// The time limit of the run.
    TimedOut,
    /// A later run that replaces this one.
    Replaced,
}

/// The worker instance that holds an API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceTenure {
    /// Id of the instance's state directory.
    pub instance: Instance,
    /// Time at which the instance took the key, by the wall clock.
    pub since: Timestamp,
    /// Address of its first request.
    pub from: IpAddr,
}
