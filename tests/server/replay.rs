//! Replay: requests recorded from the original are sent to our server with the same data; status, headers and bodies are the
//! same. What differs is in `DIFFERENCES`, each with its reason.
//!
//! The recordings are made by `tests/interop/peer/record`. A person of the dashboard is an operator here. Not compared:
//! dates, the server's name, bodies of errors (clients look at the status), the order of a page's parameters, the order
//! of what the original leaves to its database, and the fields `attempt` and `actions`, which are ours alone.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDateTime, TimeDelta, TimeZone, Utc};
use jobrunner::server::WorkerWrites;
use serde::Deserialize;
use serde_json::Value;

use crate::fixture::Fixture;
use crate::http::{self, Answer};
use crate::signature::sign;
use crate::{differences_from_original, seed};
use differences_from_original::{DIFFERENCES, Difference, Instead};

/// One call and its answer.
#[derive(Debug, Deserialize)]
pub struct Recorded {
    pub who: String,
    pub method: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: Option<String>,
    pub status: u16,
    pub answer_headers: BTreeMap<String, String>,
    pub answer: Value,
}

/// What came of one.
#[derive(Default)]
struct Replay {
    calls: usize,
    complaints: Vec<String>,
    used: Vec<bool>,
}

const RECORDINGS: &[(&str, &str)] = &[
    ("1-reading", include_str!("../fixtures/rest/1-reading.jsonl")),
    ("2-listing", include_str!("../fixtures/rest/2-listing.jsonl")),
    ("3-methods", include_str!("../fixtures/rest/3-methods.jsonl")),
    ("4-running", include_str!("../fixtures/rest/4-running.jsonl")),
    ("5-answering", include_str!("../fixtures/rest/5-answering.jsonl")),
    ("6-scheduling", include_str!("../fixtures/rest/6-scheduling.jsonl")),
    ("7-trespassing", include_str!("../fixtures/rest/7-trespassing.jsonl")),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recorded_answers_of_the_original_are_ours() {
    let mut replay = Replay { used: vec![false; DIFFERENCES.len()], ..Replay::default() };
    for (name, lines) in RECORDINGS {
        let fixture = Fixture::with(|settings| settings.worker_writes = Some(WorkerWrites::Original)).await;
        seed::fill(&fixture).await;
        for line in lines.lines() {
            let recorded: Recorded = serde_json::from_str(line).expect("a recorded call");
            replay.one(&fixture, name, &recorded).await;
        }
        fixture.stop().await;
    }
    let unused = DIFFERENCES.iter().zip(&replay.used).filter(|(_, used)| !**used);
    replay.complaints.extend(unused.map(|(difference, _)| format!("no call needs {difference:?}")));
    assert!(replay.calls >= 200, "only {} calls are recorded", replay.calls);
    let complaints = replay.complaints.join("\n");
    assert!(complaints.is_empty(), "of {} calls, {} differ:\n{complaints}", replay.calls, replay.complaints.len());
}

impl Replay {
    async fn one(&mut self, fixture: &Fixture, file: &str, recorded: &Recorded) {
        self.calls += 1;
        let body = recorded.body.as_deref().map(str::as_bytes);
        let mut headers: Vec<_> = recorded.headers.clone().into_iter().collect();
        headers.extend(credentials(fixture, recorded));
        let answer = http::ask(fixture.http(), &recorded.method, &recorded.path, &headers, body).await;
        let difference = DIFFERENCES.iter().position(|difference| difference.is_of(file, recorded));
        let complaint = match difference {
            Some(index) => {
                self.used[index] = true;
                let difference = &DIFFERENCES[index];
                instead(difference, &answer).err().map(|what| format!("{what}, against {:?}", difference.reason))
            }
            None => same(recorded, &answer).err(),
        };
        let text = recorded.body.as_deref().unwrap_or_default();
        let call = format!("{file}: {} {} {} {text}", recorded.who, recorded.method, recorded.path);
        self.complaints.extend(complaint.map(|complaint| format!("{call}\n    {complaint}")));
    }
}

fn credentials(fixture: &Fixture, recorded: &Recorded) -> Vec<(String, String)> {
    let line = |name: &str, value: String| (name.to_owned(), value);
    let ajax = line("X-Requested-With", "XMLHttpRequest".to_owned());
    let authorization = match recorded.who.as_str() {
        "nobody" => return Vec::new(),
        "session" => {
            let token = fixture.app_state().token.expose();
            return vec![line("Authorization", format!("Bearer {token}")), ajax];
        }
        "session basic" | "junk scheme" => "Basic eDp5".to_owned(),
        "session junk" => "ApiKey web1:junk".to_owned(),
        "junk signature" => signed("web1", "not the secret", recorded),
        worker => signed(worker, &format!("secret of {worker}"), recorded),
    };
    vec![line("Authorization", authorization)]
}

fn signed(key: &str, secret: &str, recorded: &Recorded) -> String {
    let body = recorded.body.as_deref().unwrap_or_default();
    format!("ApiKey {key}:{}", sign(secret, &recorded.method, &recorded.path, body.as_bytes()))
}

fn instead(difference: &Difference, answer: &Answer) -> Result<(), String> {
    match difference.instead {
        Instead::Status(status) if answer.status == status => Ok(()),
        Instead::Status(status) => Err(format!("{} instead of {status}", answer.status)),
        Instead::Objects(ids) => {
            let body: Value = serde_json::from_slice(&answer.body).map_err(|e| e.to_string())?;
            let found: Vec<i64> =
                body["objects"].as_array().into_iter().flatten().filter_map(|one| one["id"].as_i64()).collect();
            if found == ids { Ok(()) } else { Err(format!("objects {found:?} instead of {ids:?}")) }
        }
        Instead::Field(name, value) => {
            let body: Value = serde_json::from_slice(&answer.body).map_err(|e| e.to_string())?;
            let found = body[name].to_string();
            if found == value { Ok(()) } else { Err(format!("{name} {found} instead of {value}")) }
        }
    }
}

fn same(recorded: &Recorded, answer: &Answer) -> Result<(), String> {
    if answer.status != recorded.status {
        let body = String::from_utf8_lossy(&answer.body);
        return Err(format!("{} instead of {}: {body}", answer.status, recorded.status));
    }
    for name in ["content-type", "location", "vary", "allow", "cache-control"] {
        let ours = answer.headers.get(name).map(|value| without_port(value));
        let theirs = recorded.answer_headers.get(name).cloned();
        if ours != theirs {
            return Err(format!("{name} {ours:?} instead of {theirs:?}"));
        }
    }
    if answer.status >= 400 {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let ours = plain(read(&text));
    let theirs = plain(recorded.answer.as_str().map_or_else(|| recorded.answer.clone(), read));
    if ours == theirs { Ok(()) } else { Err(format!("{ours}\n    instead of\n    {theirs}")) }
}

/// JSON, also as the argument of a function; or text.
fn read(text: &str) -> Value {
    let argument = text.strip_prefix("show(").and_then(|rest| rest.strip_suffix(')'));
    serde_json::from_str(argument.unwrap_or(text)).unwrap_or_else(|_| text.into())
}

fn without_port(url: &str) -> String {
    let Some((before, after)) = url.split_once("//127.0.0.1:") else { return url.to_owned() };
    format!("{before}//127.0.0.1{}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
}

/// Without what is not compared.
fn plain(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().filter(|(name, _)| name != "attempt" && name != "actions");
            fields.map(|(name, value)| (name.clone(), plain_field(&name, value))).collect()
        }
        Value::Array(values) => values.into_iter().map(plain).collect(),
        Value::String(text) if is_now(&text) => "<now>".into(),
        other => other,
    }
}

fn plain_field(name: &str, value: Value) -> Value {
    match (name, value) {
        ("next" | "previous", Value::String(path)) => {
            let (path, query) = path.split_once('?').unwrap_or((&path, ""));
            let mut pairs: Vec<&str> = query.split('&').collect();
            pairs.sort_unstable();
            format!("{path}?{}", pairs.join("&")).into()
        }
        // The order of groups and of requests to kill is left to the database.
        ("auth_groups", Value::Array(groups)) => sorted(groups),
        ("objects", Value::Array(objects)) if objects.iter().all(has_no_order) => {
            sorted(objects.into_iter().map(plain).collect())
        }
        (_, value) => plain(value),
    }
}

fn has_no_order(object: &Value) -> bool {
    let path = object["resource_uri"].as_str().unwrap_or_default();
    path.starts_with("/api/v1/group/") || path.starts_with("/api/v1/kill_request/")
}

fn sorted(mut values: Vec<Value>) -> Value {
    values.sort_by_key(Value::to_string);
    Value::Array(values)
}

/// Whether a text is a time of today, in the server's zone.
fn is_now(text: &str) -> bool {
    let Ok(naive) = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f") else { return false };
    let at: Option<DateTime<Utc>> =
        chrono_tz::Europe::Amsterdam.from_local_datetime(&naive).earliest().map(|at| at.to_utc());
    at.is_some_and(|at| (Utc::now() - at).abs() < TimeDelta::minutes(10))
}
