//! Our own server as a Flamenco Manager: a thousand workers that poll among a hundred thousand tasks, and tasks that do
//! nothing, from the question for one to the next.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::Subject;
use crate::failure::Failure;
use crate::figures::{Sample, quantile, sorted};
use crate::own::{Data, Own};

/// How long a worker waits for an answer, as the original does.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long the server may take for a job.
const SUBMISSION: Duration = Duration::from_secs(60);
/// Time between two questions of a worker.
const POLL: Duration = Duration::from_secs(5);
/// Tasks of a job.
const TASKS: usize = 100;
/// Workers that execute one task after the other.
const BUSY: usize = 16;
/// A secret as the original worker makes one.
const SECRET: &str = "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEfGhIjKlMnOpQrStUvWxYz01";

/// Many workers among many tasks: each asks for a task, and then whether it may go on with it, every five seconds.
pub async fn polling(subject: &Subject) -> Result<Sample, Failure> {
    let (jobs, workers) = (subject.count(1000, 10, 0), subject.count(1000, 100, 0));
    let farm = Farm::start(subject, jobs).await?;
    let missed = Arc::new(AtomicUsize::new(0));
    let mut asked = JoinSet::new();
    for number in 0..workers {
        let (worker, missed) = (farm.register(number).await?, Arc::clone(&missed));
        // Spread over the time between two questions, as they are where workers were started one after the other.
        let begin = POLL.mul_f64(number as f64 / workers as f64);
        asked.spawn(async move {
            tokio::time::sleep(begin).await;
            let (task, took) = worker.task().await?;
            let task = task.ok_or_else(|| Failure("there is no task".to_owned()))?;
            for _ in 0..3 {
                tokio::time::sleep(POLL).await;
                if worker.may_go_on(&task).await.ok() != Some(true) {
                    missed.fetch_add(1, Ordering::Relaxed);
                }
            }
            Ok::<_, Failure>(took)
        });
    }
    let mut times = Vec::new();
    while let Some(took) = asked.join_next().await {
        times.push(took??.as_secs_f64() * 1e3);
    }
    let times = sorted(&times);
    Ok(vec![
        ("task_p50", quantile(&times, 0.5).unwrap_or(f64::NAN)),
        ("task_p99", quantile(&times, 0.99).unwrap_or(f64::NAN)),
        ("missed", missed.load(Ordering::Relaxed) as f64),
    ])
}

/// Tasks that do nothing: asked for, told to be active, told to be completed.
pub async fn no_ops(subject: &Subject) -> Result<Sample, Failure> {
    let jobs = subject.count(20, 2, 0);
    let farm = Farm::start(subject, jobs).await?;
    let mut workers = Vec::new();
    for number in 0..BUSY {
        workers.push(farm.register(number).await?);
    }
    let began = Instant::now();
    let mut busy = JoinSet::new();
    for worker in workers {
        busy.spawn(async move {
            let mut done = 0;
            while let (Some(task), _) = worker.task().await? {
                for status in ["active", "completed"] {
                    worker.update(&task, status).await?;
                }
                done += 1;
            }
            Ok::<_, Failure>(done)
        });
    }
    let mut done = 0;
    while let Some(tasks) = busy.join_next().await {
        done += tasks??;
    }
    let took = began.elapsed();
    Failure::unless(done == jobs * TASKS, || format!("{done} of {} tasks were executed", jobs * TASKS))?;
    Ok(vec![("tasks", done as f64 / took.as_secs_f64())])
}

/// The Manager with queued tasks.
struct Farm {
    client: Client,
    at: SocketAddr,
    _own: Own,
}

impl Farm {
    async fn start(subject: &Subject, jobs: usize) -> Result<Self, Failure> {
        let own = Own::start(&subject.server, &Data { farm: true, ..Data::default() }).await?;
        let at = own.farm.ok_or_else(|| Failure("there is no farm".to_owned()))?;
        // The client insists on a provider, even where nothing is encrypted; it is an error only that one is there already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().tcp_nodelay(true).no_proxy().build()?;
        let (url, token) = (format!("http://{}/operator/v1/flamenco/jobs", own.http), own.token()?);
        for number in 0..jobs {
            let task = |task: usize| {
                json!({"name": format!("f{task}"), "task_type": "no-op",
                    "commands": [{"name": "echo", "settings": {"message": format!("frame {task}")}}]})
            };
            let tasks: Vec<Value> = (0..TASKS).map(task).collect();
            let job = json!({"name": format!("shot {number}"), "tasks": tasks});
            let answer = with(client.post(&url).bearer_auth(&token), &job).timeout(SUBMISSION).send().await?;
            Failure::unless(answer.status() == StatusCode::CREATED, || format!("no job: {}", answer.status()))?;
        }
        Ok(Self { client, at, _own: own })
    }

    async fn register(&self, number: usize) -> Result<FarmWorker, Failure> {
        let worker = json!({"secret": SECRET, "platform": "linux", "supported_task_types": ["no-op"],
            "nickname": format!("worker {number}")});
        let url = format!("http://{}/register-worker", self.at);
        let answer = with(self.client.post(url), &worker).timeout(PATIENCE).send().await?;
        let answer: Value = serde_json::from_slice(&answer.bytes().await?)?;
        let id = answer["_id"].as_str().ok_or_else(|| Failure(format!("no worker: {answer}")))?.to_owned();
        Ok(FarmWorker { client: self.client.clone(), base: format!("http://{}", self.at), id })
    }
}

/// A worker of Flamenco that has registered.
struct FarmWorker {
    client: Client,
    base: String,
    id: String,
}

impl FarmWorker {
    /// The task that it gets, if there is one, and how long it waited for the answer.
    async fn task(&self) -> Result<(Option<String>, Duration), Failure> {
        let began = Instant::now();
        let request = self.client.post(format!("{}/task", self.base)).basic_auth(&self.id, Some(SECRET));
        let answer = request.timeout(PATIENCE).send().await?;
        let (status, body) = (answer.status(), answer.bytes().await?);
        let took = began.elapsed();
        if status == StatusCode::NO_CONTENT {
            return Ok((None, took));
        }
        let task: Value = serde_json::from_slice(&body)?;
        let id = task["_id"].as_str().ok_or_else(|| Failure(format!("no task: {task}")))?.to_owned();
        Ok((Some(id), took))
    }

    async fn may_go_on(&self, task: &str) -> Result<bool, Failure> {
        let request = self.client.get(format!("{}/may-i-run/{task}", self.base)).basic_auth(&self.id, Some(SECRET));
        let answer: Value = serde_json::from_slice(&request.timeout(PATIENCE).send().await?.bytes().await?)?;
        Ok(answer["may_keep_running"] == true)
    }

    async fn update(&self, task: &str, status: &str) -> Result<(), Failure> {
        let update = json!({"task_status": status, "activity": status, "log": format!("{task}: {status}")});
        let request = self.client.post(format!("{}/tasks/{task}/update", self.base)).basic_auth(&self.id, Some(SECRET));
        let answer = with(request, &update).timeout(PATIENCE).send().await?;
        Failure::unless(answer.status() == StatusCode::NO_CONTENT, || format!("no update: {}", answer.status()))
    }
}

/// A request with a document.
fn with(request: RequestBuilder, document: &Value) -> RequestBuilder {
    request.header(CONTENT_TYPE, "application/json").body(document.to_string())
}
