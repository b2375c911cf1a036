//! What an operator asks the server and is told, as JSON: the command and the page read it, and so may anybody.
//!
//! Instants are RFC 3339 in UTC with milliseconds. A job is named by its title, where
//! there is only one of that title, or by its id as `#5`: see [`super::reference`].

use serde::{Deserialize, Serialize};

use super::lack::LackFacts;

/// Where it is all served.
pub const BASE: &str = "/operator/v1";

/// What the lines of a run that is followed are, as their media type.
pub const LINES: &str = "application/x-ndjson";

/// A run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunInfo {
    /// Its id.
    pub id: i64,
    /// Its job.
    pub job: i64,
    /// The job's title.
    pub title: String,
    /// Where it stands.
    pub state: RunStateName,
    /// When it is due.
    pub due: String,
    /// When a worker claimed it.
    pub claimed: Option<String>,
    /// When its script was started.
    pub started: Option<String>,
    /// When it was over.
    pub ended: Option<String>,
    /// The title of its worker.
    pub worker: Option<String>,
    /// The status with which it ended.
    pub exit_code: Option<i32>,
    /// The signal by which it ended.
    pub exit_signal: Option<i32>,
    /// How often it was claimed.
    pub attempt: u32,
    /// The run that it is a retry of.
    pub retry_of: Option<i64>,
    /// Whether somebody asked for it, rather than the schedule.
    pub manual: bool,
    /// Why nobody has claimed it, where it is due and has to wait.
    #[serde(default)]
    pub waits: Option<RunWaits>,
}

/// Why a run waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunWaits {
    /// The reason, in a word: `nobody_takes`, `no_free_slot`, `empty_pool` …
    pub reason: String,
    /// The same for people, with the workers' own reasons.
    pub text: String,
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStateName {
    /// Nobody has it yet.
    Scheduled,
    /// A worker has it.
    Claimed,
    /// Its script runs.
    Running,
    /// Its script ended well.
    Succeeded,
    /// It did not.
    Failed,
    /// It ran too long.
    TimedOut,
    /// Somebody wanted it to end.
    Killed,
    /// Its worker was lost too often.
    Lost,
}

impl RunStateName {
    /// Whether it is over.
    #[must_use]
    pub fn is_over(self) -> bool {
        !matches!(self, Self::Scheduled | Self::Claimed | Self::Running)
    }

    /// The word for it.
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

/// Runs, the latest first: by when they were due, or ended where that was before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunList {
    /// A page of them.
    pub runs: Vec<RunInfo>,
    /// How many there are of what was asked for, told with the first page.
    #[serde(default)]
    pub total: Option<u64>,
    /// What to ask for as `after` to have the next page, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobInfo {
    /// Its id.
    pub id: i64,
    /// Its title.
    pub title: String,
    /// The title of its project.
    pub project: String,
    /// The title of its template.
    pub template: String,
    /// The title of its pool.
    pub pool: String,
    /// Whether it runs when it is due.
    pub enabled: bool,
    /// Why it does not, if somebody said.
    pub disabled_reason: Option<String>,
    /// When it runs again, in words.
    pub schedule: Option<String>,
    /// When its next run is due.
    pub next: Option<String>,
    /// Its latest run.
    pub last_run: Option<i64>,
    /// Where that stands.
    pub last_state: Option<RunStateName>,
    /// How often in a row it failed.
    pub fail_times: u32,
}

/// Jobs, in the order of their titles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobList {
    /// A page of them.
    pub jobs: Vec<JobInfo>,
    /// How many there are, told with the first page.
    #[serde(default)]
    pub total: Option<u64>,
    /// What to ask for as `after` to have the next page, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerInfo {
    /// Its id.
    pub id: i64,
    /// Its title.
    pub title: String,
    /// Who it says it is.
    pub api_key: String,
    /// Whether it is given new runs.
    pub enabled: bool,
    /// The titles of its pools.
    pub pools: Vec<String>,
    /// When it last answered.
    pub answered: Option<String>,
    /// Its version, as it said.
    pub version: Option<String>,
    /// How many runs it does at once, as it said.
    pub seats: Option<u32>,
    /// How many it has now.
    pub runs: u32,
    /// Where it stands.
    pub state: WorkerStateName,
    /// Since when it does what it says that it does.
    pub since: Option<String>,
    /// How many seats are free, as it said.
    pub free: Option<u32>,
    /// How many results wait in its outbox, as it said.
    pub outbox: Option<u32>,
    /// What may be asked of it now.
    pub actions: Vec<ActionName>,
    /// The latest request to it.
    pub request: Option<CommandInfo>,
    /// How its clock differs from the server's, in words, where that is more than a few seconds.
    #[serde(default)]
    pub clock: Option<String>,
    /// What it has too little of to claim runs, as it said, though it is awake.
    #[serde(default)]
    pub held: Vec<Held>,
}

/// Something of which a worker has too little to claim runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// What, and how much is left of it.
    #[serde(flatten)]
    pub lacking: LackFacts,
    /// The same for people.
    pub text: String,
}

/// Where a worker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerStateName {
    /// It finds out what was left behind.
    Starting,
    /// It takes new runs.
    Awake,
    /// It takes no new runs, and has none.
    Asleep,
    /// It takes no new runs, and has some.
    Draining,
    /// It has left, or was never there.
    Offline,
    /// It does not answer, and has not said that it leaves.
    Lost,
}

impl WorkerStateName {
    /// The word for it.
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

/// What can be asked of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionName {
    /// To leave.
    Shutdown,
    /// To leave in such a way that it is started again.
    Restart,
    /// To take no new runs.
    Sleep,
    /// To take new runs.
    Wake,
}

impl ActionName {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Shutdown, Self::Restart, Self::Sleep, Self::Wake];

    /// The word for it.
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

/// A request to a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandInfo {
    /// Its number.
    pub id: i64,
    /// What was asked.
    pub action: ActionName,
    /// Whether its runs are stopped and given back, rather than waited for.
    pub now: bool,
    /// Who asked.
    pub by: String,
    /// Why, if somebody said.
    pub reason: Option<String>,
    /// When.
    pub at: String,
    /// When the worker began to follow it.
    pub heard: Option<String>,
    /// When it was over; until then it is *requested*.
    pub over: Option<String>,
    /// How it was over: `confirmed`, `cancelled`.
    pub end: Option<String>,
}

impl CommandInfo {
    /// Whether the worker has not confirmed it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.over.is_none()
    }
}

/// Workers, in the order of their titles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerList {
    /// A page of them.
    pub workers: Vec<WorkerInfo>,
    /// How many there are, told with the first page.
    #[serde(default)]
    pub total: Option<u64>,
    /// What to ask for as `after` to have the next page, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A script that is to run now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Submit {
    /// What it is called.
    pub title: String,
    /// The whole script, with its shebang.
    pub script: String,
    /// How long it may run, in seconds.
    #[serde(default)]
    pub timeout: Option<u32>,
    /// The title of the pool that does it, which must exist; if nobody says, [`DEFAULT`].
    #[serde(default)]
    pub pool: Option<String>,
}

/// The title of the project, pool and template that are meant where none is named, and made where they are missing.
pub const DEFAULT: &str = "default";

/// A job to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewJobRequest {
    /// Its title.
    pub title: String,
    /// Its script.
    pub script: String,
    /// When it runs again: `5 minutes`, `1 hour`, `2 days`, `1 month`.
    #[serde(default)]
    pub every: Option<String>,
    /// When it runs again, as a cron expression.
    #[serde(default)]
    pub cron: Option<String>,
    /// The time zone of that; the server's if nobody says.
    #[serde(default)]
    pub zone: Option<String>,
    /// The job after which it runs.
    #[serde(default)]
    pub after: Option<String>,
    /// The title of its project.
    #[serde(default)]
    pub project: Option<String>,
    /// The title of its template.
    #[serde(default)]
    pub template: Option<String>,
    /// The title of its pool.
    #[serde(default)]
    pub pool: Option<String>,
    /// How long a run may take, in seconds.
    #[serde(default)]
    pub timeout: Option<u32>,
    /// How often a failed run is tried again.
    #[serde(default)]
    pub retries: Option<u32>,
    /// What becomes of a run that is due while another is active: `wait`, `skip`, `allow`, `replace`.
    #[serde(default)]
    pub concurrency: Option<String>,
    /// Whether the project, template and pool that are named are made where they are missing, rather than refused.
    #[serde(default)]
    pub make_missing: bool,
}

/// A template to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewTemplateRequest {
    /// Its title.
    pub title: String,
    /// The text around the scripts of its jobs, with `{{ content|safe }}` for them.
    pub body: String,
    /// The title of its project, which is made where it is missing.
    #[serde(default)]
    pub project: Option<String>,
}

/// A worker to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewWorkerRequest {
    /// Its title, and its key.
    pub title: String,
    /// The title of its pool, which is made where it is missing.
    #[serde(default)]
    pub pool: Option<String>,
}

/// What a new worker must know. The secret is told this once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeWorker {
    /// Its id.
    pub id: i64,
    /// Who it is.
    pub api_key: String,
    /// What it signs with.
    pub secret: String,
    /// The port of the broadcaster.
    pub broadcaster_port: u16,
    /// The port where its events go.
    pub events_port: u16,
}

/// What workers are to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionRequest {
    /// Which workers: their ids, titles or keys.
    pub workers: Vec<String>,
    /// What they are to do.
    pub action: ActionName,
    /// Whether their runs are stopped and given back, rather than waited for.
    #[serde(default)]
    pub now: bool,
    /// Whose wish it is; if nobody says, `operator`.
    #[serde(default)]
    pub by: Option<String>,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
}

/// What became of a wish, a worker each, in the order in which they were named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acted {
    /// They.
    pub workers: Vec<WorkerActed>,
}

/// What became of a wish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerActed {
    /// The worker, as it was named.
    pub named: String,
    /// `requested`; `cancelled` where an earlier request was taken back; `already` where it is so, or asked for; `refused`.
    pub what: String,
    /// Why it is refused, in a sentence.
    pub error: Option<String>,
    /// The worker afterwards, if there is one of that name.
    pub worker: Option<WorkerInfo>,
}

/// A thing that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeJob {
    /// Its id.
    pub id: i64,
    /// Its title.
    pub title: String,
}

/// Why a job is disabled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisableReason {
    /// In words.
    #[serde(default)]
    pub reason: String,
}

/// What became of a run that was to end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleStop {
    /// The run.
    pub run: i64,
    /// What happens: `kill` (its worker is told), `cancelled` (nobody had it), `over` (it was over already).
    pub what: String,
}

/// Why a job ran or did not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhyAnswer {
    /// The job.
    pub job: JobInfo,
    /// What holds now, a sentence each.
    pub now: Vec<String>,
    /// What became of the times at which it was due, the latest first.
    pub facts: Vec<DueTimeFact>,
}

/// What became of a time at which a job was due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DueTimeFact {
    /// When it was due.
    pub due: String,
    /// What became of it: `delayed`, `skipped`, `excluded`, `missed`.
    pub what: String,
    /// Why.
    pub reason: String,
    /// The run, if there is one.
    pub run: Option<i64>,
    /// When this was found.
    pub at: String,
}

/// A line of a run that is followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FollowLine {
    /// The run has changed, or this is how it is at the beginning. One that is over is the last line.
    Run(Box<RunInfo>),
    /// More of its log.
    Log(String),
    /// Something of its log is left out here.
    Gap,
    /// Its log is another now, and this long. Told to who said from where on it follows, in place of what is new:
    /// that stands anywhere in it.
    Replaced(LogSize),
    /// The server stops; who wants to know more asks again.
    Bye,
}

/// How long a log is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSize {
    /// In bytes.
    pub bytes: u64,
    /// In lines, with the last one whether it has an end or not.
    pub lines: u64,
    /// How often something of it was taken back. While this is the same, what was read of it still stands.
    pub revision: u64,
}

/// Lines of a log as a terminal shows them, and how long the log is: escape sequences, carriage returns and backspaces have
/// been followed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRows {
    /// The length of the log in bytes.
    pub bytes: u64,
    /// How many lines it has, with the last one whether it has an end or not.
    pub lines: u64,
    /// How often something of the log was taken back. While this is the same, what was read of it still stands.
    pub revision: u64,
    /// The number of the first of these lines; the first of the log is 0.
    pub first: u64,
    /// The lines, fewer than were asked for where they are long.
    pub rows: Vec<LogRow>,
}

/// A line of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRow {
    /// Its characters, those that look alike together.
    pub spans: Vec<LogSpan>,
    /// How many characters beyond those are left out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cut: u64,
}

/// Characters that look alike.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSpan {
    /// The characters.
    pub text: String,
    /// Names with blanks between them: `bold`, `dim`, `italic`, `underline`, `inverse`, `struck`, `f0` to `f15` for the
    /// letter's colour and `b0` to `b15` for the one behind it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub class: String,
    /// The letter's colour where it has no name, as `#rrggbb`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<String>,
    /// The colour behind the letter where it has no name, as `#rrggbb`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background: Option<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// In which lines of a log something was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogFound {
    /// Their numbers; the first line of the log is 0.
    pub lines: Vec<u64>,
    /// Whether there are more.
    pub more: bool,
}

/// Some lines of a log, and how long all of it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLines {
    /// How long the log is, in bytes.
    pub bytes: u64,
    /// How many lines it has, with the last one whether it has an end or not.
    pub lines: u64,
    /// How often something of it was taken back. While this is the same, what was read of it still stands.
    pub revision: u64,
    /// The number of the first of these lines; the first of the log is 0.
    pub first: u64,
    /// At which byte of the log they begin.
    pub from: u64,
    /// Before which byte they end. That is within a line where the first of them is too long to be shown whole.
    pub to: u64,
    /// They, with their ends.
    pub text: String,
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestRefusal {
    /// In a sentence fragment.
    pub error: String,
}
