//! The rows of the server's database, as far as a worker sees them.

use std::time::Instant;

use serde_json::{Map, Value, json};

/// A worker that the server knows.
#[derive(Clone, Debug)]
pub struct WorkerRow {
    pub id: i64,
    pub api_key: String,
    pub secret: String,
    /// Workers see the runs of their own pool only.
    pub pool: i64,
    pub ping_response_dts: Option<String>,
    pub worker_version: Option<String>,
    pub concurrent_jobs: Option<i64>,
    /// Number of accepted PATCHes of this row.
    pub patches: usize,
}

impl WorkerRow {
    pub fn uri(&self) -> String {
        format!("/api/v1/worker/{}/", self.id)
    }

    pub fn to_json(&self) -> Value {
        json!({
            "api_key": self.api_key, "concurrent_jobs": self.concurrent_jobs, "description": "",
            "enqueue_is_enabled": true, "id": self.id, "ping_response_dts": self.ping_response_dts,
            "resource_uri": self.uri(), "title": format!("Worker {}", self.id),
            "worker_version": self.worker_version,
        })
    }
}

/// One content that a log had.
#[derive(Clone, Debug)]
pub struct LogVersion {
    pub seq: u64,
    pub at: Instant,
    pub content: String,
}

/// What an accepted request did to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepKind {
    /// `enqueue_dts` was set.
    Claim,
    /// `start_dts` was set.
    Start,
    /// `pid` was set.
    Pid,
    /// The log was made or changed.
    Log,
    /// `return_dts` was set.
    Return,
    /// `enqueue_dts` was set to null.
    Reset,
    /// A PATCH that did nothing of this.
    Other,
}

/// One thing that an accepted request did. A request that does several makes one step for each, with
/// the same `seq`.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub seq: u64,
    pub at: Instant,
    pub kind: StepKind,
    /// The worker that sent the request.
    pub by: i64,
}

/// A run together with its job (each run has a job of its own, with the same id).
#[derive(Clone, Debug)]
pub struct RunRow {
    pub id: i64,
    /// Text in any sane test; anything else is served as it is.
    pub script: Value,
    pub pool: i64,
    pub worker: Option<i64>,
    pub schedule_dts: String,
    pub enqueue_dts: Option<String>,
    pub start_dts: Option<String>,
    pub pid: Option<i64>,
    pub return_dts: Option<String>,
    pub return_success: Option<bool>,
    pub log_id: Option<i64>,
    /// Current content of the log.
    pub log: Option<String>,
    /// Every content that the log had, in order.
    pub log_history: Vec<LogVersion>,
    /// What accepted requests did, in order.
    pub steps: Vec<Step>,
    /// How often the server acted on the end of the run (mail, counters, children): once is right.
    pub completions: usize,
    /// Whether the periodic announcement includes this run.
    pub due: bool,
    /// Fields that replace those of the run's JSON.
    pub run_overrides: Map<String, Value>,
    /// Fields that replace those of the job's JSON.
    pub job_overrides: Map<String, Value>,
}

impl RunRow {
    pub fn uri(&self) -> String {
        format!("/api/v1/run/{}/", self.id)
    }

    /// Number of accepted requests that did this.
    pub fn count(&self, kind: StepKind) -> usize {
        self.steps.iter().filter(|step| step.kind == kind).count()
    }

    /// Number of accepted PATCHes that set `return_dts`.
    pub fn returns(&self) -> usize {
        self.count(StepKind::Return)
    }

    /// Number of accepted PATCHes that set `enqueue_dts`.
    pub fn claims(&self) -> usize {
        self.count(StepKind::Claim)
    }

    /// Current log, empty if there is none.
    pub fn log_text(&self) -> &str {
        self.log.as_deref().unwrap_or("")
    }

    pub fn to_json(&self) -> Value {
        let mut object = json!({
            "enqueue_dts": self.enqueue_dts, "id": self.id, "is_manual": false,
            "job": format!("/api/v1/job/{}/", self.id), "pid": self.pid,
            "resource_uri": self.uri(), "return_dts": self.return_dts,
            "return_success": self.return_success,
            "run_log": self.log_id.map(|id| format!("/api/v1/run_log/{id}/")),
            "schedule_children": true, "schedule_dts": self.schedule_dts, "schedule_id": self.id,
            "start_dts": self.start_dts,
            "worker": self.worker.map(|id| format!("/api/v1/worker/{id}/")),
        });
        replace(&mut object, &self.run_overrides);
        object
    }

    pub fn job_to_json(&self) -> Value {
        let id = self.id;
        let mut object = json!({
            "children": [], "description": "", "disable_enqueue_after_fails": null,
            "enqueue_is_enabled": true, "id": id, "job_template": "/api/v1/job_template/1/",
            "notification_addresses": "", "parent": null, "reschedule_interval": null,
            "reschedule_interval_type": "", "resource_uri": format!("/api/v1/job/{id}/"),
            "run_on_all_workers": false, "schedule_children_on_error": false,
            "script_content": self.script, "script_content_partial": self.script,
            "title": format!("job {id}"),
            "worker_pool": format!("/api/v1/worker_pool/{}/", self.pool),
        });
        replace(&mut object, &self.job_overrides);
        object
    }
}

fn replace(object: &mut Value, overrides: &Map<String, Value>) {
    for (name, value) in overrides {
        object[name.as_str()] = value.clone();
    }
}

/// A wish of the server to end a run.
#[derive(Clone, Debug)]
pub struct KillRow {
    pub id: i64,
    pub run: i64,
    pub schedule_dts: String,
    pub enqueue_dts: Option<String>,
    pub execute_dts: Option<String>,
    /// `seq` of each accepted PATCH that set `enqueue_dts`.
    pub enqueued: Vec<u64>,
    /// `seq` of each accepted PATCH that set `execute_dts`.
    pub executed: Vec<u64>,
}

impl KillRow {
    pub fn uri(&self) -> String {
        format!("/api/v1/kill_request/{}/", self.id)
    }

    pub fn to_json(&self) -> Value {
        json!({
            "enqueue_dts": self.enqueue_dts, "execute_dts": self.execute_dts, "id": self.id,
            "resource_uri": self.uri(), "run": format!("/api/v1/run/{}/", self.run),
            "schedule_dts": self.schedule_dts,
        })
    }
}

/// A run to be made: by default one that is due now, for nobody in particular.
#[derive(Clone, Debug)]
pub struct RunSpec {
    pub script: Value,
    pub worker: Option<String>,
    pub pool: i64,
    pub schedule_dts: Option<String>,
    pub enqueue_dts: Option<String>,
    pub start_dts: Option<String>,
    pub pid: Option<i64>,
    pub returned: Option<(String, bool)>,
    pub log: Option<String>,
    pub due: bool,
    pub run_overrides: Map<String, Value>,
    pub job_overrides: Map<String, Value>,
}

/// A time as the server tells it: naive, in its own zone.
const EARLIER: &str = "2026-01-01T00:00:00";

impl RunSpec {
    pub fn new(script: impl Into<Value>) -> Self {
        Self {
            script: script.into(),
            worker: None,
            pool: 1,
            schedule_dts: None,
            enqueue_dts: None,
            start_dts: None,
            pid: None,
            returned: None,
            log: None,
            due: true,
            run_overrides: Map::new(),
            job_overrides: Map::new(),
        }
    }

    /// Pinned to the worker with this key.
    pub fn worker(mut self, api_key: &str) -> Self {
        self.worker = Some(api_key.to_owned());
        self
    }

    /// Job of another pool: workers of pool 1 get 404.
    pub fn pool(mut self, pool: i64) -> Self {
        self.pool = pool;
        self
    }

    pub fn schedule_dts(mut self, naive: &str) -> Self {
        self.schedule_dts = Some(naive.to_owned());
        self
    }

    /// Already claimed, not started.
    pub fn enqueued(mut self) -> Self {
        self.enqueue_dts = Some(EARLIER.to_owned());
        self
    }

    /// Already claimed and started.
    pub fn started(mut self, pid: Option<i64>) -> Self {
        self = self.enqueued();
        self.start_dts = Some(EARLIER.to_owned());
        self.pid = pid;
        self
    }

    /// Already returned.
    pub fn returned(mut self, success: bool) -> Self {
        self = self.started(None);
        self.returned = Some((EARLIER.to_owned(), success));
        self
    }

    /// There is a log already.
    pub fn log(mut self, content: &str) -> Self {
        self.log = Some(content.to_owned());
        self
    }

    /// Left out of the periodic announcement.
    pub fn quiet(mut self) -> Self {
        self.due = false;
        self
    }

    /// The run's JSON says this instead.
    pub fn run_field(mut self, name: &str, value: Value) -> Self {
        self.run_overrides.insert(name.to_owned(), value);
        self
    }

    /// The job's JSON says this instead.
    pub fn job_field(mut self, name: &str, value: Value) -> Self {
        self.job_overrides.insert(name.to_owned(), value);
        self
    }
}

impl From<&str> for RunSpec {
    fn from(script: &str) -> Self {
        Self::new(script)
    }
}

impl From<String> for RunSpec {
    fn from(script: String) -> Self {
        Self::new(script)
    }
}

impl From<&String> for RunSpec {
    fn from(script: &String) -> Self {
        Self::new(script.as_str())
    }
}
