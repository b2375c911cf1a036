//! The original's database, asked and changed through the original's own models.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A run's row.
#[derive(Clone, Debug, Deserialize)]
pub struct Run {
    pub id: u64,
    pub job: u64,
    pub worker: Option<u64>,
    pub schedule_id: Option<u64>,
    pub enqueue_dts: Option<String>,
    pub start_dts: Option<String>,
    pub return_dts: Option<String>,
    pub return_success: Option<bool>,
    pub pid: Option<i32>,
    /// Characters in its log; `None` when there is no log.
    pub log_length: Option<usize>,
    /// How often it was saved with a `return_dts`: each one had consequences.
    pub returns: usize,
}

/// A job's row.
#[derive(Clone, Debug, Deserialize)]
pub struct Job {
    pub id: u64,
    pub title: String,
    pub fail_times: u64,
}

/// A kill request's row.
#[derive(Clone, Debug, Deserialize)]
pub struct KillRequest {
    pub id: u64,
    pub enqueue_dts: Option<String>,
    pub execute_dts: Option<String>,
}

/// A worker's row.
#[derive(Clone, Debug, Deserialize)]
pub struct Worker {
    pub api_key: String,
    pub ping_response_dts: Option<String>,
    pub worker_version: Option<String>,
    pub concurrent_jobs: Option<u64>,
}

/// Everything at one moment.
#[derive(Clone, Debug, Deserialize)]
pub struct Picture {
    pub runs: Vec<Run>,
    pub jobs: Vec<Job>,
    pub kill_requests: Vec<KillRequest>,
    pub workers: Vec<Worker>,
}

impl Picture {
    /// The run of that id.
    pub fn run(&self, id: u64) -> &Run {
        self.runs.iter().find(|run| run.id == id).unwrap_or_else(|| panic!("no run {id}"))
    }

    /// The runs of a job, oldest first.
    pub fn runs_of(&self, job: u64) -> Vec<&Run> {
        self.runs.iter().filter(|run| run.job == job).collect()
    }

    /// The job of that id.
    pub fn job(&self, id: u64) -> &Job {
        self.jobs.iter().find(|job| job.id == id).unwrap_or_else(|| panic!("no job {id}"))
    }

    /// The kill request of that id.
    pub fn kill_request(&self, id: u64) -> &KillRequest {
        self.kill_requests.iter().find(|request| request.id == id).unwrap_or_else(|| panic!("no kill request {id}"))
    }

    /// The worker of that key.
    pub fn worker(&self, api_key: &str) -> &Worker {
        self.workers.iter().find(|worker| worker.api_key == api_key).unwrap_or_else(|| panic!("no worker {api_key}"))
    }
}

/// A job to be created.
#[derive(Clone, Debug, Default)]
pub struct NewJob {
    pub title: String,
    /// With its shebang, if it has one.
    pub script: String,
    pub pool: String,
    pub parent: Option<u64>,
    pub run_on_all_workers: bool,
    pub schedule_children_on_error: bool,
}

impl NewJob {
    /// A job of one run at a time on some worker of the pool.
    pub fn new(title: impl Into<String>, script: impl Into<String>, pool: &str) -> Self {
        Self { title: title.into(), script: script.into(), pool: pool.into(), ..Self::default() }
    }

    /// The same, scheduled when a run of `parent` has succeeded.
    pub fn after(mut self, parent: u64) -> Self {
        self.parent = Some(parent);
        self
    }
}

/// A process of the original's Django that answers, one line each.
pub struct Database {
    child: Child,
    pipes: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
}

impl Database {
    /// Starts the process.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("peer.py answer starts");
        let stdin = child.stdin.take().expect("piped");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, pipes: Mutex::new((stdin, stdout)) }
    }

    fn ask<T: DeserializeOwned>(&self, verb: &str, mut order: Value) -> T {
        #[derive(Deserialize)]
        struct Reply {
            ok: Option<Value>,
            error: Option<String>,
        }
        order["do"] = verb.into();
        let mut pipes = self.pipes.lock().expect("nobody panics while asking");
        writeln!(pipes.0, "{order}").expect("peer.py listens");
        let mut line = String::new();
        pipes.1.read_line(&mut line).expect("peer.py answers");
        drop(pipes);
        let reply: Reply = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{verb}: {error} in {line:?}"));
        assert!(reply.error.is_none(), "{verb}: {}", reply.error.unwrap_or_default());
        serde_json::from_value(reply.ok.unwrap_or_default())
            .unwrap_or_else(|error| panic!("{verb}: {error} in {line:?}"))
    }

    /// A worker, in pools that are made when they do not exist.
    pub fn add_worker(&self, api_key: &str, secret: &str, pools: &[&str]) -> u64 {
        self.ask("add_worker", json!({"api_key": api_key, "secret": secret, "pools": pools}))
    }

    /// A job; its id.
    pub fn add_job(&self, job: &NewJob) -> u64 {
        self.ask(
            "add_job",
            json!({
                "title": job.title,
                "script": job.script,
                "pool": job.pool,
                "parent": job.parent,
                "run_on_all_workers": job.run_on_all_workers,
                "schedule_children_on_error": job.schedule_children_on_error,
            }),
        )
    }

    /// A run, due now, of each job; their ids in the same order.
    pub fn schedule(&self, jobs: &[u64]) -> Vec<u64> {
        self.ask("schedule", json!({"jobs": jobs}))
    }

    /// A job and its run, due now.
    pub fn add_run(&self, job: &NewJob) -> u64 {
        self.schedule(&[self.add_job(job)])[0]
    }

    /// A kill request for a run; its id.
    pub fn kill(&self, run: u64) -> u64 {
        self.ask("kill", json!({"run": run}))
    }

    /// All rows.
    pub fn picture(&self) -> Picture {
        self.ask("dump", json!({}))
    }

    /// The log of a run, if it has one.
    pub fn log(&self, run: u64) -> Option<String> {
        self.ask("log", json!({"run": run}))
    }

    /// The logs of runs.
    pub fn logs(&self, runs: impl IntoIterator<Item = u64>) -> BTreeMap<u64, String> {
        runs.into_iter().map(|run| (run, self.log(run).unwrap_or_default())).collect()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
