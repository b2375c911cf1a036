//! What the stub answers: the resources that a worker needs, in the original's JSON.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::API_KEY;
use super::http::Request;
use super::ledger::{KillRow, Ledger, RunRow};
use crate::moment::{self, Moment};

/// A time of the server's, which nobody reckons with.
const SOME_TIME: &str = "2026-01-01T00:00:00";
/// How much of a log is searched for what the script says, at either end.
const SEARCHED: usize = 4096;

/// What is answered.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub location: Option<String>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn bare(status: u16) -> Self {
        Self { status, location: None, body: Vec::new() }
    }

    fn json(body: String) -> Self {
        Self { status: 200, location: None, body: body.into_bytes() }
    }
}

/// What can be changed of a run or of a kill request. Only that something is set is of interest.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Patch {
    enqueue_dts: Option<IgnoredAny>,
    start_dts: Option<IgnoredAny>,
    return_dts: Option<IgnoredAny>,
    execute_dts: Option<IgnoredAny>,
    ping_response_dts: Option<IgnoredAny>,
    return_success: Option<bool>,
    pid: Option<i32>,
}

/// A log, or a part of it.
#[derive(Deserialize)]
struct LogBody<'a> {
    #[serde(borrow, default)]
    run: Cow<'a, str>,
    #[serde(borrow)]
    content: Cow<'a, str>,
}

/// Answers a call that is signed as it must be.
pub fn answer(ledger: &mut Ledger, request: &Request) -> Reply {
    let path = request.path.split('?').next().unwrap_or_default();
    let Some(rest) = path.strip_prefix("/api/v1/") else { return Reply::bare(404) };
    let mut words = rest.trim_end_matches('/').split('/');
    let (resource, id) = (words.next().unwrap_or_default(), words.next().and_then(index));
    match (request.method, resource, id) {
        ("GET", "run", Some(id)) => known(ledger.runs.get(id).map(|run| run_text(id, run))),
        ("GET", "run", None) => Reply::json(page(Vec::new())),
        ("GET", "job", Some(id)) => known(ledger.runs.get(id).map(|run| job_text(id, run))),
        ("GET", "worker", None) => Reply::json(page(vec![worker_text()])),
        ("GET", "worker", Some(0)) => Reply::json(worker_text()),
        ("GET", "kill_request", Some(id)) => known(ledger.kills.get(id).map(|kill| kill_text(id, kill))),
        ("PATCH", "run", Some(id)) => patched(request, |patch| patch_run(ledger, id, patch)),
        ("PATCH", "worker", Some(0)) => patched(request, |patch| {
            ledger.counts.answers += usize::from(patch.ping_response_dts.is_some());
            Some(())
        }),
        ("PATCH", "kill_request", Some(id)) => patched(request, |patch| patch_kill(ledger, id, patch)),
        ("POST", "run_log", None) => log(ledger, request, None),
        ("PATCH", "run_log", Some(id)) => log(ledger, request, Some(id)),
        _ => Reply::bare(404),
    }
}

/// Numbers of the wire begin with 1.
fn index(word: &str) -> Option<usize> {
    word.parse::<usize>().ok()?.checked_sub(1)
}

fn known(text: Option<String>) -> Reply {
    text.map_or_else(|| Reply::bare(404), Reply::json)
}

fn patched(request: &Request, change: impl FnOnce(&Patch) -> Option<()>) -> Reply {
    let Ok(patch) = serde_json::from_slice::<Patch>(request.body) else { return Reply::bare(400) };
    Reply::bare(if change(&patch).is_some() { 202 } else { 404 })
}

fn patch_run(ledger: &mut Ledger, id: usize, patch: &Patch) -> Option<()> {
    let (now, counts) = (moment::now(), &mut ledger.counts);
    let run = ledger.runs.get_mut(id)?;
    if patch.enqueue_dts.is_some() {
        run.claimed = now;
    }
    if patch.start_dts.is_some() {
        run.started = now;
        run.starts += 1;
    }
    if patch.pid.is_some() {
        counts.pids += usize::from(run.pid.is_none());
        run.pid = patch.pid;
    }
    if patch.return_dts.is_some() {
        counts.returned += usize::from(run.returned == 0);
        run.returned = now;
        run.success = patch.return_success;
        run.returns += 1;
    }
    Some(())
}

fn patch_kill(ledger: &mut Ledger, id: usize, patch: &Patch) -> Option<()> {
    let now = moment::now();
    let kill = ledger.kills.get_mut(id)?;
    if patch.enqueue_dts.is_some() {
        kill.claimed = now;
    }
    if patch.execute_dts.is_some() {
        kill.executed = now;
        ledger.counts.executed += 1;
    }
    Some(())
}

/// The log of a run has the run's number.
fn log(ledger: &mut Ledger, request: &Request, id: Option<usize>) -> Reply {
    let Ok(body) = serde_json::from_slice::<LogBody>(request.body) else { return Reply::bare(400) };
    let of = id.or_else(|| body.run.trim_end_matches('/').rsplit('/').next().and_then(index));
    let Some((of, run)) = of.and_then(|id| Some((id, ledger.runs.get_mut(id)?))) else { return Reply::bare(400) };
    ledger.counts.logged += usize::from(run.logged == 0);
    run.logged = moment::now();
    run.log_bytes = body.content.len();
    let text = body.content.as_bytes();
    run.script_began = said(&text[..text.len().min(SEARCHED)], "S=");
    run.script_ended = said(&text[text.len().saturating_sub(SEARCHED)..], "E=");
    match id {
        Some(_) => Reply::bare(202),
        None => Reply { location: Some(format!("/api/v1/run_log/{}/", of + 1)), ..Reply::bare(201) },
    }
}

fn said(text: &[u8], mark: &str) -> Moment {
    let text = String::from_utf8_lossy(text);
    let mut found = text.lines().filter_map(|line| moment::of_bash(line.strip_prefix(mark)?));
    found.next().unwrap_or(0)
}

fn time(moment: Moment) -> &'static str {
    if moment == 0 { "null" } else { "\"2026-01-01T00:00:00.000001\"" }
}

fn run_text(id: usize, run: &RunRow) -> String {
    let id = id + 1;
    let pid = run.pid.map_or_else(|| "null".to_owned(), |pid| pid.to_string());
    let success = run.success.map_or("null", |success| if success { "true" } else { "false" });
    let log = if run.logged == 0 { "null".to_owned() } else { format!("\"/api/v1/run_log/{id}/\"") };
    let worker = if run.claimed == 0 { "null" } else { "\"/api/v1/worker/1/\"" };
    format!(
        r#"{{"enqueue_dts": {}, "id": {id}, "is_manual": false, "job": "/api/v1/job/{id}/", "pid": {pid}, "resource_uri": "/api/v1/run/{id}/", "return_dts": {}, "return_success": {success}, "run_log": {log}, "schedule_children": true, "schedule_dts": "{SOME_TIME}", "schedule_id": {id}, "start_dts": {}, "worker": {worker}}}"#,
        time(run.claimed),
        time(run.returned),
        time(run.started),
    )
}

fn job_text(id: usize, run: &RunRow) -> String {
    let id = id + 1;
    let script = json!(*run.script);
    format!(
        r#"{{"children": [], "description": "", "disable_enqueue_after_fails": null, "enqueue_is_enabled": true, "id": {id}, "job_template": "/api/v1/job_template/1/", "notification_addresses": "", "parent": null, "reschedule_interval": null, "reschedule_interval_type": "", "resource_uri": "/api/v1/job/{id}/", "run_on_all_workers": false, "schedule_children_on_error": false, "script_content": {script}, "script_content_partial": {script}, "title": "job {id}", "worker_pool": "/api/v1/worker_pool/1/"}}"#,
    )
}

fn kill_text(id: usize, kill: &KillRow) -> String {
    format!(
        r#"{{"enqueue_dts": {}, "execute_dts": {}, "id": {}, "resource_uri": "/api/v1/kill_request/{}/", "run": "/api/v1/run/{}/", "schedule_dts": "{SOME_TIME}"}}"#,
        time(kill.claimed),
        time(kill.executed),
        id + 1,
        id + 1,
        kill.run + 1,
    )
}

fn worker_text() -> String {
    format!(
        r#"{{"api_key": "{API_KEY}", "concurrent_jobs": null, "description": "", "enqueue_is_enabled": true, "id": 1, "ping_response_dts": null, "resource_uri": "/api/v1/worker/1/", "title": "measured", "worker_version": null}}"#
    )
}

fn page(objects: Vec<String>) -> String {
    let (count, objects) = (objects.len(), objects.join(", "));
    format!(
        r#"{{"meta": {{"limit": 200, "next": null, "offset": 0, "previous": null, "total_count": {count}}}, "objects": [{objects}]}}"#
    )
}
