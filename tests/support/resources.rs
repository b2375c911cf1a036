//! The rules of the REST API: a request and the rows give an answer and perhaps changed rows.
//!
//! It behaves as the original server was seen to behave, surprises included.

use std::time::Instant;

use chrono::{DateTime, NaiveDateTime};
use serde_json::{Map, Value, json};

use super::ledger::State;
use super::rows::{LogVersion, RunRow, Step, StepKind};

/// What the rules need of a request.
pub struct Request<'a> {
    pub seq: u64,
    pub at: Instant,
    pub method: &'a str,
    pub path: &'a str,
    pub query: &'a str,
    pub body: &'a [u8],
    /// Host and port as the client calls them.
    pub host: &'a str,
    /// Id of the worker that signed.
    pub signer: i64,
}

/// An answer before it becomes bytes.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn bare(status: u16) -> Self {
        let html = ("content-type".to_owned(), "text/html; charset=utf-8".to_owned());
        Self { status, headers: vec![html], body: Vec::new() }
    }

    fn json(status: u16, body: &Value) -> Self {
        let header = ("content-type".to_owned(), "application/json; charset=utf-8".to_owned());
        Self { status, headers: vec![header], body: body.to_string().into_bytes() }
    }

    /// What the original says to anything that it did not expect.
    fn sorry() -> Self {
        let message = "Sorry, this request could not be processed. Please try again later.";
        Self::json(500, &json!({ "error_message": message }))
    }

    fn accepted() -> Self {
        Self::bare(202)
    }

    fn not_found() -> Self {
        Self::bare(404)
    }
}

type Fields = Map<String, Value>;

/// Serves a request whose signature is right.
pub fn answer(state: &mut State, request: &Request) -> Reply {
    let Some(rest) = request.path.strip_prefix("/api/v1/") else { return Reply::not_found() };
    let mut segments = rest.trim_end_matches('/').split('/');
    let resource = segments.next().unwrap_or_default();
    let id = match segments.next().map(str::parse::<i64>) {
        None => None,
        Some(Ok(id)) => Some(id),
        Some(Err(_)) => return Reply::not_found(),
    };
    if segments.next().is_some() {
        return Reply::not_found();
    }
    match (request.method, resource, id) {
        ("GET", "run", None) => list_runs(state, request),
        ("GET", "run", Some(id)) => show(visible_run(state, request, id).map(RunRow::to_json)),
        ("GET", "job", Some(id)) => show(visible_run(state, request, id).map(RunRow::job_to_json)),
        ("GET", "worker", None) => {
            let own = state.workers.iter().filter(|worker| worker.id == request.signer);
            list(state, request, own.map(|worker| worker.to_json()).collect())
        }
        ("GET", "worker", Some(id)) => {
            let own = state.workers.iter().find(|w| w.id == id && w.id == request.signer);
            show(own.map(|worker| worker.to_json()))
        }
        ("GET", "run_log", Some(id)) => show(run_log(state, id)),
        ("GET", "kill_request", None) => list_kills(state, request),
        ("GET", "kill_request", Some(id)) => show(state.kills.get(&id).map(|kill| kill.to_json())),
        ("POST", "run_log", None) => post_log(state, request),
        ("PATCH", _, Some(id)) => {
            let Ok(fields) = serde_json::from_slice::<Fields>(request.body) else {
                return Reply::sorry();
            };
            match resource {
                "run" => patch_run(state, request, id, &fields),
                "worker" => patch_worker(state, request, id, &fields),
                "run_log" => patch_log(state, request, id, &fields),
                "kill_request" => patch_kill(state, request, id, &fields),
                _ => Reply::bare(405),
            }
        }
        (_, "run" | "job" | "worker" | "run_log" | "kill_request", _) => Reply::bare(405),
        _ => Reply::not_found(),
    }
}

fn show(object: Option<Value>) -> Reply {
    object.map_or_else(Reply::not_found, |object| Reply::json(200, &object))
}

fn pool_of(state: &State, worker: i64) -> Option<i64> {
    state.workers.iter().find(|row| row.id == worker).map(|row| row.pool)
}

fn visible_run<'a>(state: &'a State, request: &Request, id: i64) -> Option<&'a RunRow> {
    let pool = pool_of(state, request.signer);
    state.runs.get(&id).filter(|run| Some(run.pool) == pool)
}

fn run_log(state: &State, id: i64) -> Option<Value> {
    let run = state.log_runs.get(&id).and_then(|run| state.runs.get(run))?;
    Some(json!({
        "content": run.log_text(), "id": id, "resource_uri": format!("/api/v1/run_log/{id}/"),
        "run": run.uri(),
    }))
}

fn query_pairs(query: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

/// A page of a list. `meta.next` is a path with a query, as the original makes it.
fn list(state: &State, request: &Request, objects: Vec<Value>) -> Reply {
    let pairs = query_pairs(request.query);
    let number = |name: &str| pairs.iter().find(|(n, _)| n == name).and_then(|(_, value)| value.parse::<usize>().ok());
    let limit = number("limit").filter(|&limit| limit > 0).unwrap_or(state.page_size);
    let offset = number("offset").unwrap_or(0);
    let total = objects.len();
    let page_from = |offset: usize| {
        let mut next = url::form_urlencoded::Serializer::new(String::new());
        next.extend_pairs(pairs.iter().filter(|(name, _)| name != "limit" && name != "offset"));
        next.append_pair("limit", &limit.to_string());
        next.append_pair("offset", &offset.to_string());
        format!("{}?{}", request.path, next.finish())
    };
    let next = (offset + limit < total).then(|| page_from(offset + limit));
    let previous = (offset >= limit && offset > 0).then(|| page_from(offset - limit));
    let page: Vec<Value> = objects.into_iter().skip(offset).take(limit).collect();
    Reply::json(
        200,
        &json!({
            "meta": {"limit": limit, "next": next, "offset": offset, "previous": previous,
                     "total_count": total},
            "objects": page,
        }),
    )
}

fn list_runs(state: &State, request: &Request) -> Reply {
    let pairs = query_pairs(request.query);
    let wanted = |name: &str| pairs.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    let worker = wanted("worker__api_key");
    let pool = pool_of(state, request.signer);
    let key_of = |id: i64| state.workers.iter().find(|w| w.id == id).map(|w| w.api_key.as_str());
    let in_state = |run: &RunRow| {
        let set = (run.enqueue_dts.is_some(), run.start_dts.is_some(), run.return_dts.is_some());
        match wanted("state") {
            Some("scheduled") => !set.0,
            Some("in_queue") => set.0 && !set.1,
            Some("started") => set.0 && set.1 && !set.2,
            Some("completed") => set.0 && set.1 && set.2,
            _ => true,
        }
    };
    let runs = state
        .runs
        .values()
        .filter(|run| Some(run.pool) == pool && in_state(run))
        .filter(|run| worker.is_none_or(|key| run.worker.and_then(key_of) == Some(key)));
    list(state, request, runs.map(RunRow::to_json).collect())
}

fn list_kills(state: &State, request: &Request) -> Reply {
    let paging = |name: &str| name == "limit" || name == "offset" || name == "format";
    if query_pairs(request.query).iter().any(|(name, _)| !paging(name)) {
        return Reply::bare(400);
    }
    list(state, request, state.kills.values().map(|kill| kill.to_json()).collect())
}

/// A value of the wrong type: the whole request fails.
struct WrongType;

/// `Ok(None)`: not in the request. `Ok(Some(None))`: null.
type Given<T> = Result<Option<Option<T>>, WrongType>;

fn given<T>(fields: &Fields, name: &str, read: impl Fn(&Value) -> Option<T>) -> Given<T> {
    match fields.get(name) {
        None => Ok(None),
        Some(Value::Null) => Ok(Some(None)),
        Some(value) => read(value).map(|value| Some(Some(value))).ok_or(WrongType),
    }
}

/// A time as it is sent, made into one as it is told: naive, in the server's zone.
fn given_time(state: &State, fields: &Fields, name: &str) -> Given<String> {
    let zone = state.zone();
    given(fields, name, |value| {
        let text = value.as_str()?.replacen('T', " ", 1);
        let text = text.strip_suffix('Z').map_or(text.clone(), |utc| format!("{utc}+00:00"));
        let naive = match DateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S%.f%:z") {
            Ok(aware) => aware.with_timezone(&zone).naive_local(),
            Err(_) => NaiveDateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S%.f").ok()?,
        };
        Some(naive.format("%Y-%m-%dT%H:%M:%S%.6f").to_string())
    })
}

fn id_of(uri: &str, resource: &str) -> Option<i64> {
    uri.strip_prefix("/api/v1/")?.strip_prefix(resource)?.trim_matches('/').parse().ok()
}

struct RunPatch {
    enqueue: Option<Option<String>>,
    start: Option<Option<String>>,
    end: Option<Option<String>>,
    pid: Option<Option<i64>>,
    success: Option<Option<bool>>,
    worker: Option<Option<i64>>,
}

impl RunPatch {
    fn read(state: &State, fields: &Fields) -> Result<Self, WrongType> {
        let patch = Self {
            enqueue: given_time(state, fields, "enqueue_dts")?,
            start: given_time(state, fields, "start_dts")?,
            end: given_time(state, fields, "return_dts")?,
            pid: given(fields, "pid", Value::as_i64)?,
            success: given(fields, "return_success", Value::as_bool)?,
            worker: given(fields, "worker", |v| id_of(v.as_str()?, "worker/"))?,
        };
        match patch.worker {
            Some(Some(id)) if pool_of(state, id).is_none() => Err(WrongType),
            _ => Ok(patch),
        }
    }

    fn kinds(&self) -> Vec<StepKind> {
        let set = |given: &Option<Option<String>>| given.as_ref().is_some_and(Option::is_some);
        let mut kinds = Vec::new();
        if matches!(self.enqueue, Some(None)) {
            kinds.push(StepKind::Reset);
        }
        for (there, kind) in [
            (set(&self.enqueue), StepKind::Claim),
            (set(&self.start), StepKind::Start),
            (matches!(self.pid, Some(Some(_))), StepKind::Pid),
            (set(&self.end), StepKind::Return),
        ] {
            if there {
                kinds.push(kind);
            }
        }
        if kinds.is_empty() {
            kinds.push(StepKind::Other);
        }
        kinds
    }
}

fn patch_run(state: &mut State, request: &Request, id: i64, fields: &Fields) -> Reply {
    let Some(owner) = visible_run(state, request, id).map(|run| run.worker) else {
        return Reply::not_found();
    };
    let Ok(patch) = RunPatch::read(state, fields) else { return Reply::sorry() };
    // The server looks at the row with the patch in it: a claim by another worker passes, whatever
    // else comes from one that does not own the run is refused.
    let owner_then = patch.worker.flatten().or(owner);
    if owner_then.is_some_and(|owner| owner != request.signer) {
        return Reply::bare(401);
    }
    let run = state.runs.get_mut(&id).expect("it was visible");
    for kind in patch.kinds() {
        run.steps.push(Step { seq: request.seq, at: request.at, kind, by: request.signer });
    }
    run.worker = owner_then;
    keep(&mut run.enqueue_dts, patch.enqueue);
    keep(&mut run.start_dts, patch.start);
    keep(&mut run.return_dts, patch.end);
    keep(&mut run.pid, patch.pid);
    keep(&mut run.return_success, patch.success);
    if run.return_dts.is_some() {
        run.completions += 1;
    }
    Reply::accepted()
}

fn keep<T>(slot: &mut Option<T>, given: Option<Option<T>>) {
    if let Some(value) = given {
        *slot = value;
    }
}

fn patch_worker(state: &mut State, request: &Request, id: i64, fields: &Fields) -> Reply {
    if id != request.signer {
        return Reply::not_found();
    }
    let read = || {
        Ok::<_, WrongType>((
            given_time(state, fields, "ping_response_dts")?,
            given(fields, "worker_version", |v| v.as_str().map(str::to_owned))?,
            given(fields, "concurrent_jobs", Value::as_i64)?,
        ))
    };
    let Ok((ping, version, jobs)) = read() else { return Reply::sorry() };
    let Some(worker) = state.workers.iter_mut().find(|worker| worker.id == id) else {
        return Reply::not_found();
    };
    keep(&mut worker.ping_response_dts, ping);
    keep(&mut worker.worker_version, version);
    keep(&mut worker.concurrent_jobs, jobs);
    worker.patches += 1;
    Reply::accepted()
}

fn post_log(state: &mut State, request: &Request) -> Reply {
    let Ok(fields) = serde_json::from_slice::<Fields>(request.body) else {
        return Reply::sorry();
    };
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let (Some(run), Some(content)) = (text("run"), text("content")) else {
        return Reply::sorry();
    };
    let Some(run) = id_of(run, "run/").filter(|id| visible_run(state, request, *id).is_some()) else {
        return Reply::bare(400);
    };
    if state.run(run).log_id.is_some() {
        return Reply::sorry();
    }
    let id = state.add_log(run);
    write_log(state, request, run, content);
    state.runs.get_mut(&run).expect("it was visible").log_id = Some(id);
    let mut reply = Reply::bare(201);
    let location = format!("http://{}/api/v1/run_log/{id}/", request.host);
    reply.headers.push(("location".to_owned(), location));
    reply
}

fn patch_log(state: &mut State, request: &Request, id: i64, fields: &Fields) -> Reply {
    let run = state.log_runs.get(&id).copied();
    let Some(run) = run.filter(|run| visible_run(state, request, *run).is_some()) else {
        return Reply::not_found();
    };
    match fields.get("content") {
        None => {}
        Some(Value::String(content)) => write_log(state, request, run, content),
        Some(_) => return Reply::sorry(),
    }
    Reply::accepted()
}

fn write_log(state: &mut State, request: &Request, run: i64, content: &str) {
    let (seq, at) = (request.seq, request.at);
    let run = state.runs.get_mut(&run).expect("it was visible");
    run.log = Some(content.to_owned());
    run.log_history.push(LogVersion { seq, at, content: content.to_owned() });
    run.steps.push(Step { seq, at, kind: StepKind::Log, by: request.signer });
}

fn patch_kill(state: &mut State, request: &Request, id: i64, fields: &Fields) -> Reply {
    let read = || {
        let enqueue = given_time(state, fields, "enqueue_dts")?;
        Ok::<_, WrongType>((enqueue, given_time(state, fields, "execute_dts")?))
    };
    let Ok((enqueue, execute)) = read() else { return Reply::sorry() };
    let Some(kill) = state.kills.get_mut(&id) else { return Reply::not_found() };
    if matches!(enqueue, Some(Some(_))) {
        kill.enqueued.push(request.seq);
    }
    if matches!(execute, Some(Some(_))) {
        kill.executed.push(request.seq);
    }
    keep(&mut kill.enqueue_dts, enqueue);
    keep(&mut kill.execute_dts, execute);
    Reply::accepted()
}
