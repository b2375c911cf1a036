//! The words of the server: projects, pools, workers, templates, jobs, runs.
//!
//! They are the original's, field for field, so that its API can be spoken; what is ours beside them is
//! said where it stands. Instants are UTC; a zone matters where a schedule is reckoned and where a time
//! is shown, nowhere else.

use std::net::IpAddr;

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;

use super::worker_state::{LatestRequest, Report};
use crate::run::{ApiKey, Attempt, Instance, RunId, Secret, id};

#[cfg(test)]
pub mod sample;

id! {
    /// A group of people.
    GroupId
}
id! {
    /// A project.
    ProjectId
}
id! {
    /// A pool of workers.
    PoolId
}
id! {
    /// A worker.
    WorkerId
}
id! {
    /// A template of jobs.
    TemplateId
}
id! {
    /// A job.
    JobId
}
id! {
    /// The log of a run.
    LogId
}

/// An instant.
pub type Timestamp = DateTime<Utc>;

/// A group of people: who may see and change what is not this version's business, its name is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserGroup {
    /// Its id.
    pub id: GroupId,
    /// Its name.
    pub name: String,
}

/// A project: what belongs together, and which pools may work for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// Its title.
    pub title: String,
    /// What it is for.
    pub description: String,
    /// Whether its jobs run when they are due.
    pub enqueue_is_enabled: bool,
    /// Whom to tell of failures, an address a line.
    pub notification_addresses: String,
}

/// A pool of workers, any of which can do the same jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Its id.
    pub id: PoolId,
    /// Its title.
    pub title: String,
    /// What it is for.
    pub description: String,
    /// Whether jobs run on it when they are due.
    pub enqueue_is_enabled: bool,
    /// Whom to tell of failures, an address a line.
    pub notification_addresses: String,
}

/// A worker.
#[derive(Clone, Debug)]
pub struct Worker {
    /// Its id.
    pub id: WorkerId,
    /// Its title.
    pub title: String,
    /// What it is for.
    pub description: String,
    /// Who it says it is.
    pub api_key: ApiKey,
    /// What it signs with.
    pub secret: Secret,
    /// Whether it is given new runs.
    pub enqueue_is_enabled: bool,
    /// When it last answered.
    pub ping_response_dts: Option<Timestamp>,
    /// Its version, as it said.
    pub worker_version: Option<String>,
    /// How many runs it does at once, as it said.
    pub concurrent_jobs: Option<u32>,
    /// When it last told something of itself, by our clock. Ours.
    pub heard_dts: Option<Timestamp>,
    /// What it told, if it is not of the original kind. Ours.
    pub report: Option<Report>,
    /// The latest request to it. Ours.
    pub asked: Option<LatestRequest>,
    /// How far its clock is ahead of ours, as of its last answer; negative where it is behind. Ours.
    pub clock_ahead: Option<TimeDelta>,
}

impl Worker {
    /// When it was last heard of.
    #[must_use]
    pub fn heard(&self) -> Option<Timestamp> {
        self.heard_dts.or(self.ping_response_dts)
    }

    /// What it is asked to do and has not confirmed.
    #[must_use]
    pub fn open_request(&self) -> Option<&LatestRequest> {
        self.asked.as_ref().filter(|asked| asked.over.is_none())
    }
}

/// A template: what stands around the scripts of its jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// Its id.
    pub id: TemplateId,
    /// Its title.
    pub title: String,
    /// What it is for.
    pub description: String,
    /// The text, with `{{ content|safe }}` where the job's own script stands.
    pub body: String,
    /// Whose it is.
    pub project: ProjectId,
    /// Whether its jobs run when they are due.
    pub enqueue_is_enabled: bool,
    /// Whom to tell of failures, an address a line.
    pub notification_addresses: String,
}

/// A job: a script and when it runs.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::struct_excessive_bools)] // the original's fields
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// The job after which it runs.
    pub parent: Option<JobId>,
    /// Its template.
    pub template: TemplateId,
    /// Who does it.
    pub pool: PoolId,
    /// Whether every worker of the pool does it, at the same time.
    pub run_on_all_workers: bool,
    /// Whether its children run although it failed.
    pub schedule_children_on_error: bool,
    /// Its title, unlike any other of its template.
    pub title: String,
    /// What it is for.
    pub description: String,
    /// The script as it was written.
    pub script_content_partial: String,
    /// The script with its template around it: what is executed.
    pub script_content: String,
    /// Whether it runs when it is due.
    pub enqueue_is_enabled: bool,
    /// Why it does not, if somebody said. Ours.
    pub disabled_reason: String,
    /// When it runs again.
    pub schedule: Schedule,
    /// At which times of the day it does not.
    pub excludes: Vec<Exclude>,
    /// Whom to tell of failures, an address a line.
    pub notification_addresses: String,
    /// How often in a row it failed.
    pub fail_times: u32,
    /// It is disabled when it failed more often than this in a row.
    pub disable_enqueue_after_fails: Option<u32>,
    /// The schedule id of its last run that is over.
    pub last_completed_schedule_id: Option<i64>,
    /// How long a run may take, in seconds. Ours.
    pub run_timeout: Option<u32>,
    /// How often a failed run is tried again, and how long after: see [`Retry`]. Ours.
    pub retry: Retry,
    /// What becomes of a run whose worker was lost. Ours.
    pub on_lost: OnLost,
    /// What becomes of a run that is due while another is active. Ours.
    pub concurrency: Concurrency,
}

/// When a job runs again.
#[derive(Clone, Debug, PartialEq)]
pub enum Schedule {
    /// When somebody says so, or its parent is through.
    None,
    /// Every so many units after the last time it was due, in the server's zone.
    Interval {
        /// How many, from 1.
        every: u32,
        /// Of what.
        unit: Unit,
    },
    /// By a cron expression, in a zone of its own. Ours.
    Cron {
        /// Five fields, or six with seconds first.
        expression: String,
        /// Where its hours are reckoned.
        zone: Tz,
    },
}

/// The units of an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Minutes.
    Minute,
    /// Hours.
    Hour,
    /// Days, of whatever length.
    Day,
    /// Months: as many days as the month has in which the last one was.
    Month,
}

impl Unit {
    /// Its name in the original, on the wire and in the store.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Minute => "MINUTE",
            Self::Hour => "HOUR",
            Self::Day => "DAY",
            Self::Month => "MONTH",
        }
    }

    /// The unit of such a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Minute, Self::Hour, Self::Day, Self::Month].into_iter().find(|unit| unit.name() == name)
    }
}

/// A time of the day at which a job is not scheduled: both ends belong to it, in the server's zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exclude {
    /// From.
    pub start: NaiveTime,
    /// To.
    pub end: NaiveTime,
    /// Why.
    pub note: String,
}

/// How a failed run is tried again: as a run of its own that says whose retry it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// How often at most; 0: never.
    pub times: u32,
    /// Seconds until the first; doubled each time, up to a day.
    pub backoff: u32,
}

impl Default for Retry {
    /// Not at all, and after a minute once it is wanted: the store's default, and the form's.
    fn default() -> Self {
        Self { times: 0, backoff: 60 }
    }
}

/// What becomes of a run whose worker was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLost {
    /// It is executed again, under a new attempt.
    Retry,
    /// It fails, as with the original.
    Fail,
}

impl OnLost {
    /// Its name in the store and where it is chosen.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Fail => "fail",
        }
    }

    /// The one of such a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Retry, Self::Fail].into_iter().find(|one| one.name() == name)
    }
}

/// What becomes of a run that is due while another of the job is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concurrency {
    /// It waits, as with the original.
    Wait,
    /// It is skipped, and that is written down.
    Skip,
    /// It runs beside the other.
    Allow,
    /// The other is killed, and it runs then.
    Replace,
}

impl Concurrency {
    /// Its name in the store, on the wire and where it is chosen.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::Skip => "skip",
            Self::Allow => "allow",
            Self::Replace => "replace",
        }
    }

    /// The one of such a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Wait, Self::Skip, Self::Allow, Self::Replace].into_iter().find(|one| one.name() == name)
    }
}

/// A run: one time that a job was, is or will be executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Its job.
    pub job: JobId,
    /// What it has in common with the runs of the same time on other workers.
    pub schedule_id: i64,
    /// Who does it: pinned before the claim, or who claimed it.
    pub worker: Option<WorkerId>,
    /// Whether the worker was chosen by the schedule (run on all workers) and stays through a give-back. Ours.
    pub pinned: bool,
    /// When it is due.
    pub schedule_dts: Timestamp,
    /// When the server found that its time has come: it stays due if the clock is set back after that. Ours.
    pub came_due: Option<Timestamp>,
    /// When it was claimed.
    pub enqueue_dts: Option<Timestamp>,
    /// When its script was started.
    pub start_dts: Option<Timestamp>,
    /// When it was over.
    pub return_dts: Option<Timestamp>,
    /// Whether it succeeded.
    pub return_success: Option<bool>,
    /// The pid that the worker tells, for people to see.
    pub pid: Option<i64>,
    /// Whether somebody asked for it, rather than the schedule.
    pub is_manual: bool,
    /// Whether the job's children run after it.
    pub schedule_children: bool,
    /// How often it was claimed; the execution under way is this one. Ours.
    pub attempt: Attempt,
    /// How many of these were lost with their worker. Ours.
    pub losses: u32,
    /// The run that this is a retry of, and which retry it is. Ours.
    pub retry_of: Option<(RunId, u32)>,
    /// How it ended, as far as that is known. Ours.
    pub exit: Option<RunExit>,
}

/// How a run ended, beyond success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunExit {
    /// With a status, 0 to 255.
    Code(i32),
    /// By a signal.
    Signal(i32),
    /// It ran too long.
    TimedOut,
    /// Somebody killed it.
    Killed,
    /// Its worker was lost too often.
    Lost,
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// Not claimed.
    Scheduled,
    /// Claimed.
    InQueue,
    /// Its script runs.
    Started,
    /// It is over.
    Completed,
}

impl Run {
    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> RunState {
        match (self.return_dts, self.start_dts, self.enqueue_dts) {
            (Some(_), _, _) => RunState::Completed,
            (None, Some(_), Some(_)) => RunState::Started,
            (None, None, Some(_)) => RunState::InQueue,
            (None, _, None) => RunState::Scheduled,
        }
    }

    /// Whether its time has come: a clock that is set back after that does not undo it.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.came_due.is_some() || self.schedule_dts <= now
    }
}

/// A request to kill a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KillRequest {
    /// Its id.
    pub id: crate::run::KillId,
    /// What is to be killed.
    pub run: RunId,
    /// When somebody asked.
    pub schedule_dts: Timestamp,
    /// When a worker took it.
    pub enqueue_dts: Option<Timestamp>,
    /// When nothing was left alive.
    pub execute_dts: Option<Timestamp>,
    /// Why. Ours.
    pub cause: KillCause,
}

/// Who asked for a run, or for the end of one. Ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// The operator, on the dashboard.
    Dashboard,
    /// The operator, by the command.
    Command,
    /// A client of the REST API with the operator's token.
    Client,
    /// A worker, over the REST API.
    Worker(WorkerId),
}

/// Why a run is to be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KillCause {
    /// Somebody asked.
    Asked,
    /// It runs too long.
    TimedOut,
    /// A later run takes its place.
    Replaced,
}

/// A fact about a time at which a job was due: what `why` tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fire {
    /// The job.
    pub job: JobId,
    /// The time that it was or would have been due.
    pub due: Timestamp,
    /// The run, if there is one.
    pub run: Option<RunId>,
    /// What became of it.
    pub what: FireKind,
    /// Why, in a sentence for people.
    pub reason: String,
    /// When this was found.
    pub at: Timestamp,
}

/// What became of a time at which a job was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FireKind {
    /// It waits.
    Delayed,
    /// It does not happen.
    Skipped,
    /// The schedule left it out.
    Excluded,
    /// It was missed while nobody looked.
    Missed,
}

/// Who works under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceTenure {
    /// Which instance.
    pub instance: Instance,
    /// Since when, by the clock on the wall.
    pub since: Timestamp,
    /// From which address it came first.
    pub from: IpAddr,
}
