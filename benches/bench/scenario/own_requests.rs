//! Requests of a worker to our own server, after many runs: the kill of a run, the log of a run, the list of its open runs.

use std::time::{Duration, Instant};

use chrono::Utc;
use jobrunner::run::{ApiKey, Secret};
use jobrunner::wire::hmac;
use reqwest::header::AUTHORIZATION;
use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::Subject;
use crate::failure::Failure;
use crate::figures::{Sample, quantile, sorted};
use crate::own::{Data, LOGS_FROM, Own, SECRET, key};

/// Requests of each kind.
const REQUESTS: usize = 50;
/// Length of each log that is there before, in bytes.
const LOG: usize = 1000;
/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Times of the requests after so many runs that are over.
pub async fn after(subject: &Subject, history: usize) -> Result<Sample, Failure> {
    let data =
        Data { workers: 1, seats: 4, jobs: 1000, history, kills: REQUESTS, logs: (REQUESTS, LOG), ..Data::default() };
    let own = Own::start(&subject.server, &data).await?;
    // The client insists on a provider, even where nothing is encrypted; it is an error only that one is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let worker = Requester { client: Client::new(), base: format!("http://{}", own.http) };
    let (mut kills, mut logs, mut lists) = (Vec::new(), Vec::new(), Vec::new());
    for number in 1..=REQUESTS {
        let began = Instant::now();
        let path = format!("/api/v1/kill_request/{number}/");
        worker.send(Method::GET, &path, None).await?;
        worker.send(Method::PATCH, &path, Some(&json!({"enqueue_dts": now()}))).await?;
        worker.send(Method::PATCH, &path, Some(&json!({"execute_dts": now()}))).await?;
        kills.push(began.elapsed());
        let began = Instant::now();
        let run = worker.send(Method::GET, &format!("/api/v1/run/{}/", LOGS_FROM + number), None).await?;
        let log = run.get("run_log").and_then(Value::as_str);
        let log = log.ok_or_else(|| Failure(format!("no log of run {}: {run}", LOGS_FROM + number)))?;
        worker.send(Method::PATCH, log, Some(&json!({"content": "a line\n"}))).await?;
        logs.push(began.elapsed());
        let began = Instant::now();
        worker
            .send(
                Method::GET,
                "/api/v1/run/?limit=0&return_dts__isnull=true&enqueue_dts__isnull=false&worker__api_key=w1",
                None,
            )
            .await?;
        lists.push(began.elapsed());
    }
    Ok(vec![("kill", median(&kills)), ("log", median(&logs)), ("list", median(&lists))])
}

/// Worker 1, over plain HTTP as the original worker speaks it.
struct Requester {
    client: Client,
    base: String,
}

impl Requester {
    /// Sends a signed request and returns its answer, `null` where that is empty.
    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let body = body.map(ToString::to_string).unwrap_or_default();
        let key = ApiKey::parse(&key(1)).map_err(|e| Failure(e.to_owned()))?;
        let secret = Secret::new(SECRET.as_bytes().to_vec());
        let signature = hmac::authorization(&key, &secret, method.as_str(), path, body.as_bytes());
        let request = self.client.request(method.clone(), format!("{}{path}", self.base)).timeout(PATIENCE);
        let request = request.header(AUTHORIZATION, signature).header("Content-Type", "application/json").body(body);
        let answer = request.send().await.map_err(|e| Failure(e.to_string()))?;
        let status = answer.status();
        let text = answer.text().await.map_err(|e| Failure(e.to_string()))?;
        Failure::unless(status.is_success(), || format!("{method} {path}: {status} {text}"))?;
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }
}

/// Median in milliseconds.
fn median(times: &[Duration]) -> f64 {
    let times = sorted(&times.iter().map(|time| time.as_secs_f64() * 1e3).collect::<Vec<_>>());
    quantile(&times, 0.5).unwrap_or(f64::NAN)
}

fn now() -> String {
    Utc::now().format("%Y-%m-%d %H:%M:%S%.6f+00:00").to_string()
}
