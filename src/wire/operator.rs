//! Operator API: requests and answers as JSON, for the command line, the dashboard and any other program.
//!
//! Timestamps are RFC 3339 in UTC with milliseconds. A job is named by its title, where there is only one of that
//! title, or by its id as `#5`: see [`super::reference`].

use serde::{Deserialize, Serialize};

use super::lack::LackFacts;
use super::reason::ReasonParams;

/// Path below which the API is served.
pub const BASE: &str = "/operator/v1";

/// Media type of a followed run: one [`FollowLine`] as JSON a line.
pub const LINES: &str = "application/x-ndjson";

/// Run, as lists and details show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunInfo {
    /// Id of the run.
    pub id: i64,
    /// Id of the job.
    pub job: i64,
    /// Title of the job.
    pub title: String,
    /// State of the run.
    pub state: RunStateName,
    /// Timestamp at which the run is due.
    pub due: String,
    /// Timestamp of the claim by a worker.
    pub claimed: Option<String>,
    /// Timestamp of the start of the script.
    pub started: Option<String>,
    /// Timestamp of the end.
    pub ended: Option<String>,
    /// Title of the worker that claimed the run or to which it is pinned.
    pub worker: Option<String>,
    /// Exit status of the script, if it exited.
    pub exit_code: Option<i32>,
    /// Number of the signal that ended the script, if one did.
    pub exit_signal: Option<i32>,
    /// Number of times that the run was claimed.
    pub attempt: u32,
    /// Id of the run that this one retries.
    pub retry_of: Option<i64>,
    /// Whether an operator asked for the run, rather than the schedule.
    pub manual: bool,
    /// Reason why the run waits: set for a run that is due and unclaimed.
    #[serde(default)]
    pub waits: Option<RunWaits>,
    /// Results of attempts that were reported too late to count, in the order of their reports. Left out in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub late: Vec<LateResultInfo>,
}

/// Result of an attempt at a run that was reported too late to count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateResultInfo {
    /// Id of the run.
    pub run: i64,
    /// Number of the attempt, if the worker named it.
    pub attempt: Option<u32>,
    /// Title of the worker; `None` if it was removed.
    pub worker: Option<String>,
    /// Timestamp of the end, if it is known.
    pub returned: Option<String>,
    /// Timestamp of the report.
    pub reported: String,
    /// Whether the attempt succeeded, if it is known.
    pub success: Option<bool>,
    /// Exit status of the script, if it exited.
    pub exit_code: Option<i32>,
    /// Number of the signal that ended the script, if one did.
    pub exit_signal: Option<i32>,
    /// Reason why the result does not count, as a word: `over`, `later_attempt`, `another_worker`, `unclaimed`.
    pub reason: Option<String>,
    /// Description for people: the attempt, how it ended and why it does not count.
    pub text: String,
}

/// Reason why a run waits, for programs and for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunWaits {
    /// Reason as a word: `nobody_takes`, `no_free_slot`, `empty_pool` …
    pub reason: String,
    /// Reason as text for people, with the workers' own reasons.
    pub text: String,
}

/// State of a run, as operators see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStateName {
    /// No worker has claimed it.
    Scheduled,
    /// A worker has claimed it; its script has not started.
    Claimed,
    /// The script runs now.
    Running,
    /// The script ended with success.
    Succeeded,
    /// The script did not succeed.
    Failed,
    /// The script was stopped for running too long.
    TimedOut,
    /// The run was killed on request.
    Killed,
    /// The worker of the run was lost too often.
    Lost,
}

impl RunStateName {
    /// Returns whether the run has ended.
    #[must_use]
    pub fn is_over(self) -> bool {
        !matches!(self, Self::Scheduled | Self::Claimed | Self::Running)
    }

    /// Returns the name of the state, as in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Claimed => "claimed",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Killed => "killed",
            Self::Lost => "lost",
        }
    }
}

/// Page of runs, the latest first: by when they were due, or ended where that was before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunList {
    /// Runs of this page.
    pub runs: Vec<RunInfo>,
    /// Number of runs that match the request, on the first page only.
    #[serde(default)]
    pub total: Option<u64>,
    /// Value of `after` that asks for the next page; `None` on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Job, as lists and details show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobInfo {
    /// Id of the job.
    pub id: i64,
    /// Title of the job.
    pub title: String,
    /// Title of the job's project.
    pub project: String,
    /// Title of the job's template.
    pub template: String,
    /// Title of the job's pool.
    pub pool: String,
    /// Whether the job runs when it is due.
    pub enabled: bool,
    /// Reason why the job is disabled, if one was given.
    pub disabled_reason: Option<String>,
    /// Schedule in words: an interval, a cron expression or the job before it.
    pub schedule: Option<String>,
    /// Timestamp at which the next run is due.
    pub next: Option<String>,
    /// Id of the latest run.
    pub last_run: Option<i64>,
    /// State of the latest run.
    pub last_state: Option<RunStateName>,
    /// Number of failures in a row, up to the latest run.
    pub fail_times: u32,
}

/// Page of jobs, in the order of their titles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobList {
    /// Jobs of this page.
    pub jobs: Vec<JobInfo>,
    /// Number of all jobs, on the first page only.
    #[serde(default)]
    pub total: Option<u64>,
    /// Value of `after` that asks for the next page; `None` on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Worker, as lists and details show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerInfo {
    /// Id of the worker.
    pub id: i64,
    /// Title of the worker.
    pub title: String,
    /// Key with which the worker signs.
    pub api_key: String,
    /// Whether the worker is given new runs.
    pub enabled: bool,
    /// Titles of the worker's pools.
    pub pools: Vec<String>,
    /// Timestamp of the last answer to a ping.
    pub answered: Option<String>,
    /// Version of the worker, as its last status report said.
    pub version: Option<String>,
    /// Slots of the worker, as its last status report said.
    pub seats: Option<u32>,
    /// Number of runs that the worker has claimed and that have not ended.
    pub runs: u32,
    /// State of the worker.
    pub state: WorkerStateName,
    /// Timestamp since which the worker is in the state that it reported; for a lost one, of its last sign of life.
    pub since: Option<String>,
    /// Free slots of the worker, as its last status report said.
    pub free: Option<u32>,
    /// Results that wait in the worker's outbox, as its last status report said.
    pub outbox: Option<u32>,
    /// Commands that the worker would accept now.
    pub actions: Vec<ActionName>,
    /// Latest request to the worker.
    pub request: Option<CommandInfo>,
    /// Difference between the worker's clock and the server's, in words, where it is more than a few seconds.
    #[serde(default)]
    pub clock: Option<String>,
    /// Shortages that keep an awake worker from claiming runs, as its last status report said.
    #[serde(default)]
    pub held: Vec<Held>,
}

/// Shortage that keeps a worker from claiming runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Kind of the shortage and the amount that is left.
    #[serde(flatten)]
    pub lacking: LackFacts,
    /// Description of the shortage for people.
    pub text: String,
}

/// State of a worker, as operators see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerStateName {
    /// Looks for what an earlier process of the worker left behind.
    Starting,
    /// Takes new runs; the normal state.
    Awake,
    /// Takes no new runs, and has none.
    Asleep,
    /// Takes no new runs, and has unfinished ones.
    Draining,
    /// Has left, or was never heard of.
    Offline,
    /// Does not answer, and has not said that it leaves.
    Lost,
}

impl WorkerStateName {
    /// Returns the name of the state, as in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Awake => "awake",
            Self::Asleep => "asleep",
            Self::Draining => "draining",
            Self::Offline => "offline",
            Self::Lost => "lost",
        }
    }
}

/// Command that an operator can give to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionName {
    /// Leave, and stay away.
    Shutdown,
    /// Leave in such a way that the worker is started again.
    Restart,
    /// Take no new runs.
    Sleep,
    /// Take new runs again.
    Wake,
}

impl ActionName {
    /// All commands, in the order in which they are offered.
    pub const ALL: [Self; 4] = [Self::Shutdown, Self::Restart, Self::Sleep, Self::Wake];

    /// Returns the name of the command, as in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Shutdown => "shutdown",
            Self::Restart => "restart",
            Self::Sleep => "sleep",
            Self::Wake => "wake",
        }
    }
}

/// Request to a worker, and its progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandInfo {
    /// Number of the request.
    pub id: i64,
    /// Command that was given.
    pub action: ActionName,
    /// Whether runs are stopped and given back, rather than waited for.
    pub now: bool,
    /// Name of the person or program that asked.
    pub by: String,
    /// Reason for the request, if one was given.
    pub reason: Option<String>,
    /// Timestamp of the request.
    pub at: String,
    /// Timestamp at which the worker began to follow it.
    pub heard: Option<String>,
    /// Timestamp at which it was over; until then it is *requested*.
    pub over: Option<String>,
    /// Way in which it was over: `confirmed`, `cancelled`.
    pub end: Option<String>,
}

impl CommandInfo {
    /// Returns whether the request is neither confirmed nor cancelled.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.over.is_none()
    }
}

/// Page of workers, in the order of their titles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerList {
    /// Workers of this page.
    pub workers: Vec<WorkerInfo>,
    /// Number of all workers, on the first page only.
    #[serde(default)]
    pub total: Option<u64>,
    /// Value of `after` that asks for the next page; `None` on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Request to run a script now, as an ad-hoc run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
// An unknown field of a request is refused, here and below: a misspelt `timeout` must not be ignored.
#[serde(deny_unknown_fields)]
pub struct Submit {
    /// Title of the run's job.
    pub title: String,
    /// Whole script, with its shebang.
    pub script: String,
    /// Seconds that the run may take; `None` is no limit.
    #[serde(default)]
    pub timeout: Option<u32>,
    /// Title of the pool, which must exist; `None` stands for [`DEFAULT`].
    #[serde(default)]
    pub pool: Option<String>,
}

/// Title of the project, pool and template that stand in where none is named; they are created where they are missing.
pub const DEFAULT: &str = "default";

/// Request to create a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewJobRequest {
    /// Title of the job.
    pub title: String,
    /// Script of the job.
    pub script: String,
    /// Interval between runs: `5 minutes`, `1 hour`, `2 days`, `1 month`.
    #[serde(default)]
    pub every: Option<String>,
    /// Cron expression by which the job is due, instead of an interval.
    #[serde(default)]
    pub cron: Option<String>,
    /// Time zone of the cron expression; `None` stands for the server's.
    #[serde(default)]
    pub zone: Option<String>,
    /// Title or id of the job after which it runs.
    #[serde(default)]
    pub after: Option<String>,
    /// Title of the project; `None` stands for [`DEFAULT`].
    #[serde(default)]
    pub project: Option<String>,
    /// Title of the template; `None` stands for [`DEFAULT`].
    #[serde(default)]
    pub template: Option<String>,
    /// Title of the pool; `None` stands for [`DEFAULT`].
    #[serde(default)]
    pub pool: Option<String>,
    /// Seconds that a run may take; `None` is no limit.
    #[serde(default)]
    pub timeout: Option<u32>,
    /// Number of times that a failed run is tried again.
    #[serde(default)]
    pub retries: Option<u32>,
    /// Rule for a run that is due while another is active: `wait`, `skip`, `allow`, `replace`.
    #[serde(default)]
    pub concurrency: Option<String>,
    /// Whether the named project, template and pool are created where they are missing, rather than refused.
    #[serde(default)]
    pub make_missing: bool,
}

/// Request to create a template.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewTemplateRequest {
    /// Title of the template.
    pub title: String,
    /// Text around the scripts of its jobs, with `{{ content|safe }}` in their place.
    pub body: String,
    /// Title of the project, which is created where it is missing; `None` stands for [`DEFAULT`].
    #[serde(default)]
    pub project: Option<String>,
}

/// Request to create a worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewWorkerRequest {
    /// Title of the worker, which is its key as well.
    pub title: String,
    /// Title of the pool, which is created where it is missing; `None` stands for [`DEFAULT`].
    #[serde(default)]
    pub pool: Option<String>,
}

/// Settings that a new worker needs. The secret is shown this once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeWorker {
    /// Id of the worker.
    pub id: i64,
    /// Key of the worker.
    pub api_key: String,
    /// Secret with which the worker signs.
    pub secret: String,
    /// Port at which the broadcaster listens.
    pub broadcaster_port: u16,
    /// Port at which the server listens for the worker's events.
    pub events_port: u16,
}

/// Request to give a command to workers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionRequest {
    /// Ids, titles or keys of the workers.
    pub workers: Vec<String>,
    /// Command for each of them.
    pub action: ActionName,
    /// Whether runs are stopped and given back, rather than waited for.
    #[serde(default)]
    pub now: bool,
    /// Name of the person or program that asks; `None` stands for `operator`.
    #[serde(default)]
    pub by: Option<String>,
    /// Reason for the request.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Result of an [`ActionRequest`]: one for each worker, in the order in which they were named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acted {
    /// Results, one for each worker.
    pub workers: Vec<WorkerActed>,
}

/// Result of a command for one worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerActed {
    /// Reference to the worker, as the request had it.
    pub named: String,
    /// Result as a word: `requested`; `cancelled` where an earlier request was taken back; `already` where it is so, or
    /// asked for; `refused`.
    pub what: String,
    /// Reason for a refusal, in a sentence fragment.
    pub error: Option<String>,
    /// Worker afterwards, if the reference names one.
    pub worker: Option<WorkerInfo>,
}

/// Job or template that was created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeJob {
    /// Id of the entity.
    pub id: i64,
    /// Title of the entity.
    pub title: String,
}

/// Reason why an operator disables a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisableReason {
    /// Text of the reason; may be empty.
    #[serde(default)]
    pub reason: String,
}

/// Result of a request to end a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleStop {
    /// Id of the run.
    pub run: i64,
    /// Result as a word: `kill` (its worker has to stop it), `cancelled` (no worker had claimed it), `over` (it had
    /// ended already).
    pub what: String,
}

/// Explanation why a job ran or did not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhyAnswer {
    /// Job that is explained.
    pub job: JobInfo,
    /// Sentences on what holds now.
    pub now: Vec<String>,
    /// Due times that did not become a run as planned, the latest first.
    pub facts: Vec<DueTimeFact>,
    /// Results of the job's runs that were reported too late to count, the latest report first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub late: Vec<LateResultInfo>,
}

/// Deviation from the plan at one due time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DueTimeFact {
    /// Timestamp at which the job was due.
    pub due: String,
    /// Deviation as a word: `delayed`, `skipped`, `excluded`, `missed`.
    pub what: String,
    /// Reason for the deviation, as text for people.
    pub reason: String,
    /// Reason as a word: `active`, `passed`, `worker_lost` …; `sentence` for a text that an earlier version stored.
    /// Empty from a server that does not send it.
    #[serde(default)]
    pub code: String,
    /// Parameters of the reason, such as the run that it names.
    #[serde(default)]
    pub params: ReasonParams,
    /// Id of the run, if there is one.
    pub run: Option<i64>,
    /// Timestamp at which the deviation was found.
    pub at: String,
}

/// Line of the stream that follows a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FollowLine {
    /// The run has changed, or the stream begins. A run that has ended is the last line.
    // Boxed, since it is far larger than the other variants.
    Run(Box<RunInfo>),
    /// Text that the log has gained.
    Log(String),
    /// Place at which a part of the log is left out, or at which the log of the next attempt begins: the run that was
    /// sent last tells its attempt.
    Gap,
    /// The log was replaced and has this size. Sent to a reader that named the position from which it follows, instead
    /// of new text, which may be anywhere in the log.
    Replaced(LogSize),
    /// The server stops; a reader has to ask again to know more.
    Bye,
}

/// Size of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSize {
    /// Length of the log in bytes.
    pub bytes: u64,
    /// Number of lines; the last one counts with or without its end.
    pub lines: u64,
    /// Number of times that text of the log was taken back. As long as it is the same, text that was read still stands.
    pub revision: u64,
}

/// Lines of a log as a terminal shows them, with escape sequences, carriage returns and backspaces applied, and the
/// size of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRows {
    /// Length of the log in bytes.
    pub bytes: u64,
    /// Number of lines of the log; the last one counts with or without its end.
    pub lines: u64,
    /// Number of times that text of the log was taken back. As long as it is the same, text that was read still stands.
    pub revision: u64,
    /// Number of the first of these lines; the first of the log is 0.
    pub first: u64,
    /// Lines, fewer than were asked for where they are long.
    pub rows: Vec<LogRow>,
}

/// Line of a log as a terminal shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRow {
    /// Characters of the line, in spans of one style.
    pub spans: Vec<LogSpan>,
    /// Number of characters that are left out at the end.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cut: u64,
}

/// Characters of one style.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSpan {
    /// Text without escape sequences.
    pub text: String,
    /// Style names, separated by blanks: `bold`, `dim`, `italic`, `underline`, `inverse`, `struck`, `f0` to `f15` for
    /// the foreground colour and `b0` to `b15` for the background colour.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub class: String,
    /// Foreground colour where it has no name, as `#rrggbb`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<String>,
    /// Background colour where it has no name, as `#rrggbb`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background: Option<String>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Result of a search in a log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogFound {
    /// Numbers of the lines with a match; the first line of the log is 0.
    pub lines: Vec<u64>,
    /// Whether there are further matches.
    pub more: bool,
}

/// Lines of a log as they were written, and the size of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLines {
    /// Length of the log in bytes.
    pub bytes: u64,
    /// Number of lines of the log; the last one counts with or without its end.
    pub lines: u64,
    /// Number of times that text of the log was taken back. As long as it is the same, text that was read still stands.
    pub revision: u64,
    /// Number of the first of these lines; the first of the log is 0.
    pub first: u64,
    /// Offset in the log at which the lines begin, in bytes.
    pub from: u64,
    /// Offset in the log before which they end, in bytes. It is within a line where the first of them is too long to be
    /// shown whole.
    pub to: u64,
    /// Text of the lines, with their ends.
    pub text: String,
}

/// Body of a refused request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestRefusal {
    /// Reason in a sentence fragment.
    pub error: String,
}
