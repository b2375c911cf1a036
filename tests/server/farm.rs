//! The Flamenco Manager, as its workers and operators see it: HTTP requests in the order in which the original worker sends
//! them.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::Utc;
use jobrunner::run::Secret;
use jobrunner::server::identity::session::{Session, cookie_name};
use jobrunner::wire::flamenco::jwt;
use serde_json::{Value, json};

use crate::fixture::Fixture;
use crate::http::{Answer, ask, post};

/// A secret as the original worker makes one.
const SECRET: &str = "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEfGhIjKlMnOpQrStUvWxYz01";
const NOBODY: &str = "5a1b2c3d4e5f60718293a4b5";

pub async fn farm() -> Fixture {
    farm_with(|_| {}).await
}

pub async fn farm_with(change: impl FnOnce(&mut jobrunner::server::Settings)) -> Fixture {
    Fixture::with(|settings| {
        settings.farm.listen = Some("127.0.0.1:0".parse().expect("an address"));
        change(settings);
    })
    .await
}

pub fn face(server: &Fixture) -> SocketAddr {
    server.app_state().settings.farm.listen.expect("it was asked for")
}

/// A worker that has registered.
#[derive(Clone, Debug)]
pub struct FarmWorker {
    at: SocketAddr,
    pub id: String,
    secret: String,
}

impl FarmWorker {
    pub async fn register(server: &Fixture, nickname: &str, types: &[&str]) -> Self {
        let registration = registration(nickname, types);
        let answer = send(face(server), "POST", "/register-worker", &[], Some(registration)).await;
        assert_eq!(answer.status, 200, "{}", text(&answer));
        let id = json_of(&answer)["_id"].as_str().expect("an id").to_owned();
        Self { at: face(server), id, secret: SECRET.to_owned() }
    }

    /// The same worker, which asks another server of the database.
    pub fn at(self, server: &Fixture) -> Self {
        Self { at: face(server), ..self }
    }

    pub async fn send(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let credentials = STANDARD.encode(format!("{}:{}", self.id, self.secret));
        send(self.at, method, path, &[("Authorization", format!("Basic {credentials}"))], body).await
    }

    async fn post(&self, path: &str, body: Option<Value>) -> u16 {
        self.send("POST", path, body).await.status
    }

    /// The task that it gets.
    pub async fn task(&self) -> Value {
        let answer = self.send("POST", "/task", None).await;
        assert_eq!(answer.status, 200, "{}", text(&answer));
        json_of(&answer)
    }

    pub async fn may_i_run(&self, task: &str) -> Value {
        let answer = self.send("GET", &format!("/may-i-run/{task}"), None).await;
        assert_eq!(answer.status, 200, "{}", text(&answer));
        assert_eq!(answer.headers["content-type"], "application/json");
        json_of(&answer)
    }

    pub async fn update(&self, task: &str, update: Value) -> u16 {
        self.post(&format!("/tasks/{task}/update"), Some(update)).await
    }
}

fn registration(nickname: &str, types: &[&str]) -> Value {
    json!({"secret": SECRET, "platform": "linux", "supported_task_types": types, "nickname": nickname})
}

async fn send(at: SocketAddr, method: &str, path: &str, headers: &[(&str, String)], body: Option<Value>) -> Answer {
    let mut all = vec![("User-Agent".to_owned(), "Flamenco-Worker/2.5".to_owned())];
    all.extend(headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    let body = body.map(|body| body.to_string().into_bytes());
    if body.is_some() {
        all.push(("Content-Type".to_owned(), "application/json".to_owned()));
    }
    // The original sends no body and no type of one with a request that has none.
    ask(at, method, path, &all, body.as_deref()).await
}

fn json_of(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|e| panic!("{e}: {}", text(answer)))
}

fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).trim().to_owned()
}

/// A job of as many tasks of a type, which print a line each.
pub async fn submit(server: &Fixture, task_type: &str, tasks: usize) -> Value {
    let tasks: Vec<Value> = (0..tasks)
        .map(|number| {
            json!({"name": format!("f{number}"), "task_type": task_type,
                "commands": [{"name": "echo", "settings": {"message": format!("frame {number}")}}]})
        })
        .collect();
    let (status, answer) = post(server, "/flamenco/jobs", &json!({"name": "shot 010", "tasks": tasks})).await;
    assert_eq!(status, 201, "{answer}");
    answer
}

pub async fn tasks_of(server: &Fixture, job: &Value) -> Vec<Value> {
    let path = format!("/operator/v1/flamenco/jobs/{}/tasks", job["id"].as_str().expect("an id"));
    let token = ("Authorization".to_owned(), format!("Bearer {}", server.app_state().token.expose()));
    let answer = ask(server.http(), "GET", &path, &[token], None).await;
    json_of(&answer)["tasks"].as_array().expect("tasks").clone()
}

pub fn completed(log: &str) -> Value {
    json!({"task_status": "completed", "activity": "Task completed", "task_progress_percentage": 0,
        "current_command_idx": 0, "command_progress_percentage": 100, "metrics": {"timing": {}}, "log": log})
}

#[tokio::test]
async fn a_worker_registers_gets_a_task_works_and_signs_off() {
    let server = farm().await;
    let worker = FarmWorker::register(&server, "render-01", &["sleep", "echo"]).await;
    assert_eq!(worker.post("/task", None).await, 204, "there is no task yet");
    let job = submit(&server, "echo", 1).await;
    let task = worker.task().await;
    let id = task["_id"].as_str().unwrap().to_owned();
    assert_eq!(job["tasks"]["f0"], id.as_str());
    assert_eq!(task["commands"], json!([{"name": "echo", "settings": {"message": "frame 0"}}]));
    assert_eq!((&task["status"], &task["task_type"], &task["job"]), (&json!("active"), &json!("echo"), &job["id"]));
    assert_eq!(worker.task().await["_id"], id.as_str(), "the same one again");
    assert_eq!(worker.update(&id, json!({"task_status": "active", "activity": "starting echo"})).await, 204);
    assert_eq!(worker.may_i_run(&id).await, json!({"may_keep_running": true}));
    let update = completed("2026-11-23T17:02:01.622914+00:00: echo: Starting\n2026-11-23T17:02:02+00:00: frame 0");
    assert_eq!(worker.update(&id, update.clone()).await, 204);
    assert_eq!(worker.update(&id, update).await, 204, "sent again, because the answer was lost");
    let tasks = tasks_of(&server, &job).await;
    assert_eq!((&tasks[0]["status"], &tasks[0]["activity"]), (&json!("completed"), &json!("Task completed")));
    assert_eq!(worker.may_i_run(&id).await["may_keep_running"], false);
    assert_eq!(worker.post("/task", None).await, 204);
    assert_eq!(worker.post("/sign-off", None).await, 204);
    let path = format!("/logfile/{}/{id}", job["id"].as_str().unwrap());
    let token = ("Authorization", format!("Bearer {}", server.app_state().token.expose()));
    let answer = send(face(&server), "GET", &path, std::slice::from_ref(&token), None).await;
    assert_eq!((answer.status, answer.headers["content-type"].as_str()), (200, "text/plain; charset=utf-8"));
    let log = text(&answer);
    let lines: Vec<&str> = log.lines().collect();
    assert!(lines[0].ends_with(&format!(": Manager assigned task {id} to worker render-01")), "{log}");
    assert_eq!(&lines[1..], ["2026-11-23T17:02:01.622914+00:00: echo: Starting", "2026-11-23T17:02:02+00:00: frame 0"]);
    let report = json_of(&send(face(&server), "GET", "/as-json", &[token], None).await);
    assert_eq!((&report["nr_of_workers"], &report["nr_of_tasks"]), (&json!(1), &json!(1)));
    let shown = &report["workers"][0];
    assert_eq!((&shown["status"], &shown["software"]), (&json!("offline"), &json!("Flamenco-Worker/2.5")));
    assert_eq!(shown["address"], "127.0.0.1");
    server.stop().await;
}

/// One more key, or an answer that is no JSON, ends the asking of the original worker for good.
#[tokio::test]
async fn may_i_run_answers_json_with_its_keys_whatever_is_asked() {
    let server = farm().await;
    let worker = FarmWorker::register(&server, "one", &["echo"]).await;
    let other = FarmWorker::register(&server, "two", &["echo"]).await;
    submit(&server, "echo", 1).await;
    let id = worker.task().await["_id"].as_str().unwrap().to_owned();
    let keys = |answer: Value| answer.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(worker.may_i_run(&id).await), ["may_keep_running"]);
    for (asker, task) in [(&other, id.as_str()), (&worker, NOBODY), (&worker, "nonsense"), (&worker, "%FF")] {
        let answer = asker.may_i_run(task).await;
        assert_eq!(answer["may_keep_running"], false, "{task}");
        assert_eq!(keys(answer), ["may_keep_running", "reason"]);
    }
    let stranger = FarmWorker { secret: "wrong".to_owned(), ..worker.clone() };
    assert_eq!(stranger.send("GET", &format!("/may-i-run/{id}"), None).await.status, 401);
    server.stop().await;
}

#[tokio::test]
async fn fifty_workers_that_ask_at_once_get_fifty_tasks() {
    let server = farm().await;
    let mut workers = Vec::new();
    for number in 0..50 {
        workers.push(FarmWorker::register(&server, &format!("worker {number}"), &["echo"]).await);
    }
    let job = submit(&server, "echo", 50).await;
    let asked: Vec<_> = workers.into_iter().map(|worker| tokio::spawn(async move { worker.task().await })).collect();
    let mut given = BTreeSet::new();
    for task in asked {
        given.insert(task.await.expect("a task")["_id"].as_str().unwrap().to_owned());
    }
    assert_eq!(given.len(), 50, "no task is given twice");
    let tasks = tasks_of(&server, &job).await;
    let holders: BTreeSet<&str> = tasks.iter().filter_map(|task| task["worker"].as_str()).collect();
    assert_eq!((tasks.len(), holders.len()), (50, 50));
    server.stop().await;
}

#[tokio::test]
async fn a_registration_is_signed_where_the_manager_asks_for_that() {
    let secret = || Secret::new(b"shared secret\n".to_vec());
    let server = farm_with(|settings| settings.farm.registration_secret = Some(secret())).await;
    let register = async |token: Option<String>| {
        let headers: Vec<_> = token.map(|token| ("Authorization", format!("Bearer {token}"))).into_iter().collect();
        let answer =
            send(face(&server), "POST", "/register-worker", &headers, Some(registration("a", &["echo"]))).await;
        (answer.status, text(&answer))
    };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    assert_eq!(register(None).await, (403, "Missing Bearer token for registration".to_owned()));
    let invalid = (403, "Invalid Bearer token for registration".to_owned());
    assert_eq!(register(Some(jwt::sign(&Secret::new(b"other".to_vec()), now))).await, invalid);
    assert_eq!(register(Some(jwt::sign(&secret(), now - 10_000.0))).await, invalid);
    assert_eq!(register(Some(jwt::sign(&secret(), now))).await.0, 200);
    server.stop().await;
}

#[tokio::test]
async fn what_a_worker_says_wrongly_is_refused_with_the_status_of_the_original() {
    let server = farm().await;
    let worker = FarmWorker::register(&server, "one", &["echo"]).await;
    let mute = FarmWorker::register(&server, "mute", &[]).await;
    submit(&server, "echo", 1).await;
    let id = worker.task().await["_id"].as_str().unwrap().to_owned();
    let update = |id: &str| format!("/tasks/{id}/update");
    let active = Some(json!({"task_status": "active"}));
    let refused = async |worker: &FarmWorker, method: &str, path: &str, body: Option<Value>| {
        let answer = worker.send(method, path, body).await;
        (answer.status, text(&answer))
    };
    let expect = |status: u16, text: &str| (status, text.to_owned());
    assert_eq!(refused(&mute, "POST", "/task", None).await, expect(406, "You do not support any task types."));
    let unknown = format!("Task {NOBODY} is unknown.");
    assert_eq!(refused(&worker, "POST", &update(NOBODY), active.clone()).await, expect(404, &unknown));
    let another = format!("Task {id} is assigned to another worker.");
    assert_eq!(refused(&mute, "POST", &update(&id), active.clone()).await, expect(409, &another));
    let (status, text) = refused(&worker, "POST", &update(&id), Some(json!(["nonsense"]))).await;
    assert!(status == 400 && text.starts_with("Unable to decode JSON: "), "{status} {text}");
    assert_eq!(refused(&worker, "POST", &update("nonsense"), active).await.0, 404);
    assert_eq!(refused(&worker, "POST", &format!("/tasks/{NOBODY}/return"), None).await.0, 404);
    assert_eq!(refused(&mute, "POST", &format!("/tasks/{id}/return"), None).await.0, 204, "nothing to give back");
    assert_eq!(refused(&worker, "POST", "/output-produced", Some(json!({"paths": []}))).await.0, 422);
    assert_eq!(refused(&worker, "POST", "/output-produced", Some(json!({"paths": ["/a"]}))).await.0, 204);
    assert_eq!(refused(&worker, "POST", "/ack-status-change/hibernating", None).await.0, 204);
    assert_eq!(refused(&worker, "GET", "/status-change", None).await.0, 204);
    assert_eq!(refused(&worker, "GET", "/task", None).await.0, 405);
    let slash = worker.send("POST", "/task/", None).await;
    assert_eq!((slash.status, slash.headers["location"].as_str()), (301, "/task"));
    assert_eq!(worker.send("GET", "//other.example/", None).await.status, 404);
    let short = json!({"secret": "short", "platform": "linux", "supported_task_types": [], "nickname": "a"});
    assert_eq!(send(face(&server), "POST", "/register-worker", &[], Some(short)).await.status, 400);
    server.stop().await;
}

/// Every route of workers and people at `flamenco_listen`, and whom it lets in.
#[tokio::test]
async fn each_route_is_for_workers_for_readers_or_for_operators() {
    let server = farm().await;
    let worker = FarmWorker::register(&server, "one", &["echo"]).await;
    let stranger = FarmWorker { secret: "x".repeat(64), ..worker.clone() };
    let operator = [("Authorization", format!("Bearer {}", server.app_state().token.expose()))];
    let session = [("Cookie", cookie(&server))];
    let [of_workers, of_readers, of_operators] = [
        vec![
            ("POST", "/sign-on".to_owned()),
            ("POST", "/sign-off".to_owned()),
            ("POST", "/task".to_owned()),
            ("POST", format!("/tasks/{NOBODY}/update")),
            ("POST", format!("/tasks/{NOBODY}/return")),
            ("GET", format!("/may-i-run/{NOBODY}")),
            ("GET", "/status-change".to_owned()),
            ("POST", "/ack-status-change/awake".to_owned()),
            ("POST", "/output-produced".to_owned()),
        ],
        vec![
            ("GET", "/as-json".to_owned()),
            ("GET", "/kick".to_owned()),
            ("POST", "/kick".to_owned()),
            ("GET", format!("/logfile/{NOBODY}/{NOBODY}")),
        ],
        vec![("POST", format!("/worker-action/{}", worker.id)), ("POST", format!("/set-sleep-schedule/{}", worker.id))],
    ];
    let kinds = [
        (of_workers, [false, false, true, false, false]),
        (of_readers, [false, false, false, true, true]),
        (of_operators, [false, false, false, false, true]),
    ];
    for (routes, admitted) in kinds {
        for (method, path) in routes {
            let body = (method == "POST").then(|| json!({}));
            let nobody = send(face(&server), method, &path, &[], body.clone()).await;
            let answers = [
                nobody.status,
                stranger.send(method, &path, body.clone()).await.status,
                worker.send(method, &path, body.clone()).await.status,
                send(face(&server), method, &path, &session, body.clone()).await.status,
                send(face(&server), method, &path, &operator, body).await.status,
            ];
            let whom = "nobody, a wrong secret, a worker, a session, the token";
            assert_eq!(answers.map(|status| status != 401), admitted, "{method} {path}: {whom}");
            if admitted[2] {
                assert_eq!(nobody.headers["www-authenticate"], "Basic realm=\"Flamenco Manager\"");
            }
        }
    }
    let to_server = send(face(&server), "GET", &format!("/tasks/{NOBODY}/redir-to-server"), &[], None).await;
    assert_eq!(to_server.status, 404, "there is no Flamenco Server, and it is no secret");
    server.stop().await;
}

/// Cookie of a browser that has logged in.
fn cookie(server: &Fixture) -> String {
    let (_, value) = Session::begin(&server.app_state().token, Utc::now()).expect("something random");
    format!("{}={value}", cookie_name(server.http().port()))
}

/// Every route of the farm in the operator's API and the dashboard, and whom it lets in.
#[tokio::test]
async fn operators_alone_change_the_farm_and_readers_see_it() {
    let server = farm().await;
    let worker = FarmWorker::register(&server, "one", &["echo"]).await;
    let job = submit(&server, "echo", 1).await;
    let (job, task) = (job["id"].as_str().unwrap(), job["tasks"]["f0"].as_str().unwrap());
    let operator = [("Authorization".to_owned(), format!("Bearer {}", server.app_state().token.expose()))];
    let session = [("Cookie".to_owned(), cookie(&server))];
    let credentials = STANDARD.encode(format!("{}:{}", worker.id, worker.secret));
    let basic = [("Authorization".to_owned(), format!("Basic {credentials}"))];
    let reads = [
        "/operator/v1/flamenco/jobs".to_owned(),
        format!("/operator/v1/flamenco/jobs/{job}/tasks"),
        format!("/operator/v1/flamenco/tasks/{task}"),
        format!("/operator/v1/flamenco/tasks/{task}/log"),
        "/operator/v1/flamenco/workers".to_owned(),
        "/farm".to_owned(),
        "/parts/farm".to_owned(),
        format!("/farm/jobs/{job}"),
        format!("/parts/farm/jobs/{job}"),
        format!("/farm/tasks/{task}"),
        format!("/parts/farm/tasks/{task}"),
    ];
    for path in reads {
        let mut answers = Vec::new();
        for headers in [&[] as &[_], &basic, &session, &operator] {
            answers.push(ask(server.http(), "GET", &path, headers, None).await.status);
        }
        assert_eq!(answers, [401, 401, 200, 200], "{path}: nobody, a worker, a session, the token");
    }
    let changes = [
        ("/operator/v1/flamenco/jobs".to_owned(), json!({"name": "b", "tasks": []})),
        (format!("/operator/v1/flamenco/jobs/{job}/cancel"), json!({})),
        (format!("/operator/v1/flamenco/requeue/{job}"), json!({})),
        ("/operator/v1/flamenco/workers/act".to_owned(), json!({"workers": [worker.id], "command": "sleep"})),
    ];
    for (path, body) in changes {
        let mut answers = Vec::new();
        for headers in [&[] as &[_], &basic, &session, &operator] {
            let mut headers = headers.to_vec();
            headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
            let body = body.to_string();
            answers.push(ask(server.http(), "POST", &path, &headers, Some(body.as_bytes())).await.status);
        }
        assert_eq!((&answers[..3], answers[3] == 401), ([401, 401, 401].as_slice(), false), "{path}: {answers:?}");
    }
    // A form needs the session and the token that a page has made for it.
    for path in [
        "/farm".to_owned(),
        format!("/farm/jobs/{job}/cancel"),
        format!("/farm/jobs/{job}/requeue"),
        format!("/farm/tasks/{task}/requeue"),
    ] {
        for headers in [&[] as &[_], &basic, &session, &operator] {
            let mut headers = headers.to_vec();
            headers.push(("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned()));
            let status = ask(server.http(), "POST", &path, &headers, Some(b"action=sleep")).await.status;
            assert!([401, 403].contains(&status), "{path}: {status}");
        }
    }
    server.stop().await;
}

/// What the operator's API answers.
async fn get(server: &Fixture, path: &str) -> (u16, String) {
    let token = ("Authorization".to_owned(), format!("Bearer {}", server.app_state().token.expose()));
    let answer = ask(server.http(), "GET", &format!("/operator/v1/flamenco{path}"), &[token], None).await;
    (answer.status, text(&answer))
}

#[tokio::test]
async fn an_operator_sees_why_a_task_waits_reads_its_log_and_has_it_tried_again() {
    let server = farm().await;
    let worker = FarmWorker::register(&server, "render-01", &["echo"]).await;
    let job = submit(&server, "echo", 2).await;
    let task = worker.task().await["_id"].as_str().unwrap().to_owned();
    let why = async |task: &str| {
        let (status, answer) = get(&server, &format!("/tasks/{task}")).await;
        assert_eq!(status, 200, "{answer}");
        serde_json::from_str::<Value>(&answer).unwrap()
    };
    let waiting = job["tasks"]["f1"].as_str().unwrap();
    assert_eq!(why(waiting).await["why"], json!(["render-01 is busy with another task"]));
    assert_eq!(why(&task).await["why"], json!(["worker render-01 executes it"]));
    assert_eq!(get(&server, &format!("/tasks/{waiting}/log")).await, (200, String::new()));
    let failed =
        json!({"task_status": "failed", "activity": "exec.(task_id=1, command_idx=0): Error", "log": "it broke"});
    assert_eq!(worker.update(&task, failed).await, 204);
    let shown = why(&task).await;
    assert_eq!((&shown["status"], &shown["failed_by"]), (&json!("failed"), &json!(["render-01"])));
    assert_eq!(shown["why"], json!(["it has failed; requeue it to have it tried again"]));
    let (_, log) = get(&server, &format!("/tasks/{task}/log")).await;
    assert!(log.ends_with("it broke") && log.contains("Manager assigned task"), "{log}");
    assert_eq!(post(&server, &format!("/flamenco/requeue/{task}"), &json!({})).await, (200, json!({"requeued": 1})));
    assert_eq!(worker.task().await["_id"], task.as_str());
    for path in [format!("/tasks/{NOBODY}"), format!("/tasks/{NOBODY}/log"), "/tasks/nonsense".to_owned()] {
        assert_eq!(get(&server, &path).await.0, 404, "{path}");
    }
    assert_eq!(post(&server, &format!("/flamenco/requeue/{NOBODY}"), &json!({})).await.0, 404);
    let (status, refused) = get(&server, &format!("/jobs/{}/tasks?state=late", job["id"].as_str().unwrap())).await;
    assert!(status == 400 && refused.contains("allowed: queued, "), "{status} {refused}");
    let (_, completed) = get(&server, &format!("/jobs/{}/tasks?state=completed", job["id"].as_str().unwrap())).await;
    assert_eq!(completed, r#"{"tasks":[],"next":null}"#);
    server.stop().await;
}

#[tokio::test]
async fn an_operator_commands_workers_by_their_ids() {
    let server = farm().await;
    let worker = FarmWorker::register(&server, "render-01", &["echo"]).await;
    submit(&server, "echo", 1).await;
    let task = worker.task().await["_id"].clone();
    let workers = async || serde_json::from_str::<Value>(&get(&server, "/workers").await.1).unwrap()["workers"].clone();
    let shown = workers().await[0].clone();
    assert_eq!((&shown["nickname"], &shown["status"], &shown["task"]), (&json!("render-01"), &json!("awake"), &task));
    let command = async |command: &str, now: bool| {
        let order = json!({"workers": [worker.id, NOBODY], "command": command, "now": now});
        post(&server, "/flamenco/workers/act", &order).await
    };
    let done = (200, json!({"done": [worker.id], "unknown": [NOBODY]}));
    assert_eq!(command("sleep", false).await, done);
    let shown = workers().await[0].clone();
    assert_eq!((&shown["status_requested"], &shown["is_lazy"]), (&json!("asleep"), &json!(true)));
    let id = task.as_str().unwrap();
    assert_eq!(worker.may_i_run(id).await["may_keep_running"], true);
    assert_eq!(command("sleep", true).await, done);
    assert_eq!(worker.may_i_run(id).await["may_keep_running"], false);
    assert_eq!(command("dance", true).await.0, 400);
    assert_eq!(command("forget", true).await, done);
    assert_eq!((workers().await, worker.post("/task", None).await), (json!([]), 401));
    server.stop().await;
}

#[tokio::test]
async fn a_submission_with_mistakes_is_refused_as_a_whole() {
    let server = farm().await;
    let task = |name: &str, parents: &[&str]| json!({"name": name, "task_type": "echo", "parents": parents, "commands": [{"name": "echo", "settings": {}}]});
    let wrong = json!({"name": "a", "tasks": [task("f1", &["f2"]), task("f1", &[])]});
    let (status, answer) = post(&server, "/flamenco/jobs", &wrong).await;
    let mistakes = "two tasks have the name \"f1\"; task \"f1\" has the parent \"f2\", which is no task";
    assert_eq!((status, answer["error"].as_str()), (400, Some(mistakes)));
    let unknown = json!({"name": "a", "color": "red", "tasks": []});
    assert_eq!(post(&server, "/flamenco/jobs", &unknown).await.0, 400);
    let worker = FarmWorker::register(&server, "one", &["echo"]).await;
    assert_eq!(worker.post("/task", None).await, 204, "nothing of it was taken");
    let right = json!({"name": "a", "tasks": [task("f1", &[]), task("f2", &["f1"])]});
    assert_eq!(post(&server, "/flamenco/jobs", &right).await.0, 201);
    server.stop().await;
}

#[tokio::test]
async fn a_task_of_a_cancelled_job_is_given_back_and_stays_cancelled() {
    let server = farm().await;
    let worker = FarmWorker::register(&server, "one", &["echo"]).await;
    let job = submit(&server, "echo", 2).await;
    let id = worker.task().await["_id"].as_str().unwrap().to_owned();
    let path = format!("/flamenco/jobs/{}/cancel", job["id"].as_str().unwrap());
    assert_eq!(post(&server, &path, &json!({})).await, (200, json!({"canceled": 1, "requested": 1})));
    assert_eq!(worker.may_i_run(&id).await["may_keep_running"], false);
    assert_eq!(worker.update(&id, json!({"log": "the last words"})).await, 204);
    assert_eq!(worker.post(&format!("/tasks/{id}/return"), None).await, 204);
    assert!(tasks_of(&server, &job).await.iter().all(|task| task["status"] == "canceled"));
    assert_eq!(worker.post("/task", None).await, 204);
    server.stop().await;
}

#[tokio::test]
async fn a_task_survives_the_end_of_the_server_between_assignment_and_answer() {
    let server = farm().await;
    let worker = FarmWorker::register(&server, "one", &["echo"]).await;
    submit(&server, "echo", 2).await;
    let id = worker.task().await["_id"].as_str().unwrap().to_owned();
    let server = server.restart().await;
    assert_eq!(worker.task().await["_id"], id.as_str());
    assert_eq!(worker.update(&id, completed("done")).await, 204);
    assert_ne!(worker.task().await["_id"], id.as_str());
    server.stop().await;
}

#[tokio::test]
async fn no_secret_of_a_worker_is_in_the_database() {
    let server = farm().await;
    FarmWorker::register(&server, "one", &["echo"]).await;
    let found: Vec<String> =
        server.connect().values("SELECT salt || ' ' || hash || ' ' || nickname FROM fl_worker", []);
    assert!(found.len() == 1 && found[0].ends_with(" one") && !found[0].contains(SECRET), "{found:?}");
    let directory = server.leave().await;
    let mut files = vec![directory.path().to_owned()];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()), "{}", path.display());
        }
    }
}

/// What an operator does to a worker.
async fn act(server: &Fixture, worker: &str, form: &str) -> u16 {
    let headers = [
        ("Authorization".to_owned(), format!("Bearer {}", server.app_state().token.expose())),
        ("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned()),
    ];
    ask(face(server), "POST", &format!("/worker-action/{worker}"), &headers, Some(form.as_bytes())).await.status
}

#[tokio::test]
async fn a_worker_that_is_asked_to_sleep_gets_no_task_until_it_is_woken() {
    let server = farm().await;
    let worker = FarmWorker::register(&server, "one", &["echo"]).await;
    submit(&server, "echo", 2).await;
    let id = worker.task().await["_id"].as_str().unwrap().to_owned();
    assert_eq!(act(&server, &worker.id, "action=set-status&status=asleep&lazy=true").await, 204);
    assert_eq!(worker.may_i_run(&id).await, json!({"may_keep_running": true, "status_requested": "asleep"}));
    assert_eq!(worker.update(&id, completed("done")).await, 204);
    let locked = worker.send("POST", "/task", None).await;
    assert_eq!((locked.status, json_of(&locked)), (423, json!({"status_requested": "asleep"})));
    assert_eq!(json_of(&worker.send("GET", "/status-change", None).await), json!({"status_requested": "asleep"}));
    assert_eq!(worker.post("/ack-status-change/asleep", None).await, 204);
    assert_eq!(worker.send("GET", "/status-change", None).await.status, 204);
    assert_eq!(act(&server, &worker.id, "action=set-status&status=awake").await, 204);
    assert_eq!(json_of(&worker.send("GET", "/status-change", None).await), json!({"status_requested": "awake"}));
    assert_eq!(worker.post("/ack-status-change/awake", None).await, 204);
    worker.task().await;
    assert_eq!(act(&server, &worker.id, "action=send-test-job").await, 400);
    assert_eq!(act(&server, NOBODY, "action=forget-worker").await, 404);
    assert_eq!(act(&server, &worker.id, "action=forget-worker").await, 204);
    assert_eq!(worker.post("/task", None).await, 401);
    server.stop().await;
}

#[tokio::test]
async fn a_sleep_schedule_sends_a_worker_to_sleep() {
    let server = farm().await;
    let worker = FarmWorker::register(&server, "one", &["echo"]).await;
    let path = format!("/set-sleep-schedule/{}", worker.id);
    let token = ("Authorization", format!("Bearer {}", server.app_state().token.expose()));
    let set = async |schedule: Value| {
        send(face(&server), "POST", &path, std::slice::from_ref(&token), Some(schedule)).await.status
    };
    let always = json!({"schedule_active": true, "days_of_week": "", "time_start": "", "time_end": ""});
    assert_eq!(set(json!({"schedule_active": true, "days_of_week": "xx"})).await, 400);
    assert_eq!(set(always).await, 204);
    // Schedules are looked at when the server starts, and each minute.
    let server = server.restart().await;
    let asked = async {
        loop {
            let answer = worker.send("GET", "/status-change", None).await;
            if answer.status == 200 {
                return json_of(&answer);
            }
        }
    };
    let asked = tokio::time::timeout(std::time::Duration::from_secs(30), asked).await.expect("sleep is asked for");
    assert_eq!(asked, json!({"status_requested": "asleep"}));
    server.stop().await;
}

#[tokio::test]
async fn a_silent_worker_loses_its_task_to_another() {
    let server = farm_with(|settings| {
        settings.farm.times.first_check = std::time::Duration::ZERO;
        settings.farm.times.worker_silence = std::time::Duration::from_millis(1500);
    })
    .await;
    let silent = FarmWorker::register(&server, "silent", &["echo"]).await;
    let other = FarmWorker::register(&server, "other", &["echo"]).await;
    submit(&server, "echo", 1).await;
    let id = silent.task().await["_id"].as_str().unwrap().to_owned();
    let given = async {
        loop {
            let answer = other.send("POST", "/task", None).await;
            if answer.status == 200 {
                return json_of(&answer);
            }
            assert!([204, 423].contains(&answer.status), "{}", text(&answer));
        }
    };
    let given = tokio::time::timeout(std::time::Duration::from_secs(60), given).await.expect("the task is given");
    assert_eq!(given["_id"], id.as_str());
    let answer = silent.may_i_run(&id).await;
    assert_eq!(
        (&answer["may_keep_running"], &answer["reason"]),
        (&json!(false), &json!("task reassigned to another worker"))
    );
    assert_eq!(silent.update(&id, completed("late")).await, 409);
    server.stop().await;
}

#[tokio::test]
async fn a_worker_gets_the_values_of_its_platform() {
    let values = json!({"blender": {"linux": "/opt/blender", "windows": "C:/blender.exe"}});
    let server = farm_with(|settings| {
        let values = serde_json::from_value(values).expect("values by name and platform");
        settings.farm.variables = jobrunner::server::domain::farm::variables::Variables::new(values);
    })
    .await;
    let worker = FarmWorker::register(&server, "one", &["echo"]).await;
    let command = json!({"name": "exec", "settings": {"cmd": "{blender} -b", "list": ["{blender}"]}});
    let job = json!({"name": "a", "tasks": [{"name": "f1", "task_type": "echo", "commands": [command]}]});
    assert_eq!(post(&server, "/flamenco/jobs", &job).await.0, 201);
    let settings = worker.task().await["commands"][0]["settings"].clone();
    assert_eq!(settings, json!({"cmd": "/opt/blender -b", "list": ["{blender}"]}));
    server.stop().await;
}
