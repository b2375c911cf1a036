//! REST API, where it is to be better than the original.

use std::sync::atomic::{AtomicU16, Ordering};

use jobrunner::run::RunId;
use jobrunner::server::WorkerWrites;
use jobrunner::server::domain::model::RunExit;
use jobrunner::server::domain::title::Title;
use jobrunner::server::store::NewTemplate;
use serde_json::{Value, json};

use crate::fixture::Fixture;
use crate::http::{self, Answer};
use crate::signature::sign;
use crate::stage::Stage;

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// Who asks.
#[derive(Clone, Copy)]
enum Caller {
    Worker(usize),
    Operator,
}

impl Stage {
    async fn call(&self, who: Caller, method: &str, path: &str, body: Value) -> Answer {
        self.call_in(who, None, method, path, body).await
    }

    /// With the attempt that a worker speaks of.
    async fn call_in(&self, who: Caller, attempt: Option<&str>, method: &str, path: &str, body: Value) -> Answer {
        let body = body.to_string();
        let authorization = match who {
            Caller::Worker(index) => {
                let signature = sign("verysecret", method, path, body.as_bytes());
                format!("ApiKey {}:{signature}", self.workers[index].api_key)
            }
            Caller::Operator => format!("Bearer {}", self.fixture.app_state().token.expose()),
        };
        let mut headers = vec![line(JSON), line(("Authorization", &authorization))];
        headers.extend(attempt.map(|attempt| line(("Job-Runner-Attempt", attempt))));
        http::ask(self.fixture.http(), method, path, &headers, Some(body.as_bytes())).await
    }

    async fn get(&self, who: Caller, path: &str) -> Value {
        let authorization = match who {
            Caller::Worker(index) => {
                format!("ApiKey {}:{}", self.workers[index].api_key, sign("verysecret", "GET", path, b""))
            }
            Caller::Operator => format!("Bearer {}", self.fixture.app_state().token.expose()),
        };
        let answer = ask_as(&self.fixture, "GET", path, &[("Authorization", &authorization)], b"").await;
        assert_eq!(answer.status, 200, "{path}");
        serde_json::from_slice(&answer.body).expect("JSON")
    }

    async fn patch_run(&self, worker: usize, run: RunId, body: Value) -> Answer {
        self.call(Caller::Worker(worker), "PATCH", &path("run", run.get()), body).await
    }

    fn claim_of(&self, worker: usize) -> Value {
        json!({"enqueue_dts": "2026-03-02 12:00:00+00:00", "worker": path("worker", self.worker(worker).get())})
    }
}

fn line((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn path(resource: &str, id: i64) -> String {
    format!("/api/v1/{resource}/{id}/")
}

async fn ask_as(fixture: &Fixture, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let headers: Vec<_> = headers.iter().copied().map(line).collect();
    http::ask(fixture.http(), method, path, &headers, (!body.is_empty()).then_some(body)).await
}

fn result(success: bool) -> Value {
    json!({"start_dts": "2026-03-02 12:00:01+00:00", "return_dts": "2026-03-02 12:00:02+00:00", "return_success": success})
}

#[tokio::test]
async fn h5_completion_follows_once_however_often_a_result_is_told() {
    let stage = Stage::start(1).await;
    let job = stage.job(|_| {}).await;
    let child = stage.job(|job| (job.title, job.parent) = (Title::fixed("child"), Some(job_id(&stage)))).await;
    assert_eq!(child.parent, Some(job.id));
    let run = stage.due(&job).await.id;
    assert_eq!(stage.patch_run(0, run, stage.claim_of(0)).await.status, 202);
    for _ in 0..3 {
        assert_eq!(stage.patch_run(0, run, result(true)).await.status, 202);
    }
    assert_eq!(stage.patch_run(0, run, json!({"pid": 7})).await.status, 409);
    assert_eq!(
        stage.patch_run(0, run, json!({"return_dts": "2026-03-02 13:00:00Z", "return_success": false})).await.status,
        409
    );
    assert_eq!(stage.coming(&child).await.len(), 1);
    let after = stage.store().job(job.id).await.expect("an answer").expect("the job");
    assert_eq!(after.fail_times, 0);
    stage.fixture.stop().await;
}

/// The first job of a stage.
fn job_id(_: &Stage) -> jobrunner::server::domain::model::JobId {
    jobrunner::server::domain::model::JobId::new(1).expect("an id")
}

#[tokio::test]
async fn h6_a_header_that_only_looks_like_a_worker_s_gives_no_rights() {
    let stage = Stage::start(2).await;
    let job = stage.job(|_| {}).await;
    let job_path = path("job", job.id.get());
    let body = json!({"script_content_partial": "echo owned"}).to_string();
    let others = sign("not the secret", "PATCH", &job_path, body.as_bytes());
    let moved = sign("verysecret", "PATCH", &path("job", 2), body.as_bytes());
    let tries = ["ApiKey worker1:junk", "ApiKey worker1:", "ApiKey nobody:00", "Bearer junk", "Bearer "];
    let tries = tries.map(str::to_owned).into_iter();
    for authorization in tries.chain([format!("ApiKey worker1:{others}"), format!("ApiKey worker1:{moved}")]) {
        let headers = [JSON, ("Authorization", authorization.as_str())];
        let answer = ask_as(&stage.fixture, "PATCH", &job_path, &headers, body.as_bytes()).await;
        assert_eq!(answer.status, 401, "{authorization}");
    }
    let after = stage.store().job(job.id).await.expect("an answer").expect("the job");
    assert_eq!(after.script_content_partial, "echo hello");
    // A session beside it does not help: there is none.
    let headers = [JSON, ("Cookie", "sessionid=1"), ("Authorization", "ApiKey worker1:junk")];
    assert_eq!(ask_as(&stage.fixture, "PATCH", &job_path, &headers, body.as_bytes()).await.status, 401);
    stage.fixture.stop().await;
}

#[tokio::test]
async fn h44_credentials_of_another_kind_are_refused_without_an_error() {
    let stage = Stage::start(1).await;
    for authorization in ["Basic eDp5", "ApiKey", "ApiKey nocolon", "", "\u{e9}", "Digest x:y"] {
        let headers = [("Authorization", authorization), ("Cookie", "sessionid=1")];
        let answer = ask_as(&stage.fixture, "GET", "/api/v1/run/", &headers, b"").await;
        assert_eq!(answer.status, 401, "{authorization}");
    }
    stage.fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h17_p9_of_many_claims_of_a_run_one_is_granted() {
    let stage = Stage::start(4).await;
    let job = stage.job(|_| {}).await;
    let run = stage.due(&job).await.id;
    let granted = AtomicU16::new(0);
    let claims = (0..4).map(|worker| {
        let (stage, granted) = (&stage, &granted);
        async move {
            let answer = stage.patch_run(worker, run, stage.claim_of(worker)).await;
            match answer.status {
                202 => {
                    assert_eq!(answer.headers.get("job-runner-attempt").map(String::as_str), Some("1"));
                    granted.fetch_add(1, Ordering::Relaxed);
                }
                status => assert_eq!(status, 401),
            }
        }
    });
    futures_util::future::join_all(claims).await;
    assert_eq!(granted.into_inner(), 1);
    stage.fixture.stop().await;
}

#[tokio::test]
async fn h16_a_run_cannot_be_claimed_before_it_is_due_or_while_its_job_is_disabled() {
    let stage = Stage::start(1).await;
    let job = stage.job(|_| {}).await;
    let later = stage.run_at(&job, chrono::Utc::now() + chrono::TimeDelta::days(1)).await.id;
    assert_eq!(stage.patch_run(0, later, stage.claim_of(0)).await.status, 409);
    stage.disable(&job).await;
    let due = stage.due(&job).await.id;
    assert_eq!(stage.patch_run(0, due, stage.claim_of(0)).await.status, 409);
    stage.enable(&job).await;
    assert_eq!(stage.patch_run(0, due, stage.claim_of(0)).await.status, 202);
    let other = stage.due(&job).await.id;
    assert_eq!(stage.patch_run(0, other, stage.claim_of(0)).await.status, 409, "another run of the job is active");
    stage.fixture.stop().await;
}

#[tokio::test]
async fn p9_reports_of_an_old_attempt_are_recorded_and_change_nothing() {
    let stage = Stage::start(1).await;
    let job = stage.job(|_| {}).await;
    let run = stage.due(&job).await.id;
    let run_path = path("run", run.get());
    let patch = async |attempt, body| stage.call_in(Caller::Worker(0), attempt, "PATCH", &run_path, body).await;
    let claimed = patch(None, stage.claim_of(0)).await;
    assert_eq!(claimed.headers.get("job-runner-attempt").map(String::as_str), Some("1"));
    assert_eq!(patch(Some("1"), json!({"enqueue_dts": null, "start_dts": null})).await.status, 202);
    let again = json!({"enqueue_dts": "2026-03-02 12:01:00Z", "worker": path("worker", stage.worker(0).get())});
    let claimed = patch(None, again).await;
    assert_eq!(claimed.headers.get("job-runner-attempt").map(String::as_str), Some("2"));
    assert_eq!(patch(Some("1"), result(false)).await.status, 409);
    assert_eq!(stage.late_results(run), 1);
    let log = json!({"run": run_path, "content": "of the first"});
    assert_eq!(stage.call_in(Caller::Worker(0), Some("1"), "POST", "/api/v1/run_log/", log).await.status, 409);
    assert_eq!(patch(Some("2"), result(true)).await.status, 202);
    assert_eq!(patch(Some("two"), result(true)).await.status, 400);
    let shown = stage.get(Caller::Worker(0), &run_path).await;
    assert_eq!((&shown["attempt"], &shown["return_success"]), (&json!(2), &json!(true)));
    stage.fixture.stop().await;
}

#[tokio::test]
async fn h9_a_log_that_is_sent_twice_replaces_itself_and_ends_with_the_run() {
    let stage = Stage::start(2).await;
    let job = stage.job(|_| {}).await;
    let run = stage.due(&job).await.id;
    stage.patch_run(0, run, stage.claim_of(0)).await;
    let post = async |worker, content: &str| {
        let body = json!({"run": path("run", run.get()), "content": content});
        stage.call(Caller::Worker(worker), "POST", "/api/v1/run_log/", body).await
    };
    let first = post(0, "half").await;
    let second = post(0, "whole").await;
    assert_eq!((first.status, second.status), (201, 201));
    let place = |answer: &Answer| answer.headers.get("location").cloned().expect("a place");
    assert_eq!(place(&first), place(&second));
    assert_eq!(post(1, "not mine").await.status, 401);
    assert_eq!(stage.patch_run(0, run, result(true)).await.status, 202);
    assert_eq!(post(0, "whole").await.status, 201, "the same again is known");
    assert_eq!(post(0, "more").await.status, 409);
    assert_eq!(stage.log(run).await, "whole");
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_set_of_more_than_a_thousand_ids_is_refused_and_not_cut() {
    let stage = Stage::start(1).await;
    let job = stage.job(|_| {}).await.id;
    let ids = |count: usize| vec![job.to_string(); count].join(";");
    let set = async |count: usize| {
        let authorization = format!("Bearer {}", stage.fixture.app_state().token.expose());
        let path = format!("/api/v1/job/set/{}/", ids(count));
        ask_as(&stage.fixture, "GET", &path, &[("Authorization", &authorization)], b"").await
    };
    let answer = set(1000).await;
    let found: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!((answer.status, found["objects"].as_array().map(Vec::len)), (200, Some(1000)));
    let answer = set(1001).await;
    assert_eq!(answer.status, 400);
    assert!(String::from_utf8_lossy(&answer.body).contains("1001 ids; 1000 at once"), "{answer:?}");
    stage.fixture.stop().await;
}

#[tokio::test]
async fn h42_a_parent_is_refused_for_a_loop_and_for_nothing_else() {
    let stage = Stage::start(1).await;
    let mut jobs = Vec::new();
    for title in ["a", "b", "c"] {
        jobs.push(stage.job(|job| job.title = Title::new(title).expect("a title")).await.id.get());
    }
    let parent = async |job: usize, parent: usize| {
        let body = json!({"parent": path("job", jobs[parent])});
        stage.call(Caller::Operator, "PATCH", &path("job", jobs[job]), body).await.status
    };
    // The original refuses the second time what it allowed the first.
    for _ in 0..3 {
        assert_eq!(parent(1, 0).await, 202);
        assert_eq!(parent(2, 1).await, 202);
    }
    assert_eq!(parent(0, 0).await, 400, "itself");
    assert_eq!(parent(0, 2).await, 400, "a grandchild");
    assert_eq!(parent(2, 0).await, 202);
    stage.fixture.stop().await;
}

#[tokio::test]
async fn h45_a_body_has_a_bound_and_strangers_are_not_listened_to() {
    let stage = Stage::with(1, |settings| settings.max_body = 1000).await;
    let job = stage.job(|_| {}).await;
    let run = stage.due(&job).await.id;
    stage.patch_run(0, run, stage.claim_of(0)).await;
    let log = |length: usize| json!({"run": path("run", run.get()), "content": "x".repeat(length)});
    assert_eq!(stage.call(Caller::Worker(0), "POST", "/api/v1/run_log/", log(2000)).await.status, 413);
    assert_eq!(stage.call(Caller::Worker(0), "POST", "/api/v1/run_log/", log(500)).await.status, 201);
    // Nothing of the body is sent, and the answer comes all the same.
    let headers = [JSON, ("Authorization", "ApiKey stranger:00"), ("Content-Length", "900")];
    let answer = ask_as(&stage.fixture, "POST", "/api/v1/run_log/", &headers, b"").await;
    assert_eq!(answer.status, 401);
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_kill_of_a_run_that_nobody_has_claimed_cancels_it() {
    let stage = Stage::start(1).await;
    let job = stage.job(|_| {}).await;
    let run = stage.run_at(&job, chrono::Utc::now() + chrono::TimeDelta::days(1)).await.id;
    let body = json!({"run": path("run", run.get())});
    let answer = stage.call(Caller::Operator, "POST", "/api/v1/kill_request/", body).await;
    assert_eq!(answer.status, 201);
    let after = stage.run(run).await;
    assert_eq!((after.return_success, after.exit), (Some(false), Some(RunExit::Killed)));
    assert_eq!(stage.patch_run(0, run, stage.claim_of(0)).await.status, 409);
    let kills = stage.get(Caller::Operator, "/api/v1/kill_request/").await;
    assert!(kills["objects"][0]["execute_dts"].is_string(), "{kills}");
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_schedule_by_cron_survives_a_client_that_knows_intervals_only() {
    let stage = Stage::start(1).await;
    let cron = jobrunner::server::domain::model::Schedule::Cron {
        expression: jobrunner::server::domain::schedule::Cron::new("0 3 * * *").expect("an expression"),
        zone: chrono_tz::Europe::Amsterdam,
    };
    let job = stage.job(|job| job.schedule = cron.clone()).await;
    let job_path = path("job", job.id.get());
    let mut shown = stage.get(Caller::Operator, &job_path).await;
    shown["description"] = json!("changed");
    assert_eq!(stage.call(Caller::Operator, "PUT", &job_path, shown).await.status, 204);
    let after = stage.store().job(job.id).await.expect("an answer").expect("the job");
    assert_eq!((after.schedule, after.description.as_str()), (cron, "changed"));
    stage.fixture.stop().await;
}

#[tokio::test]
async fn an_interval_without_its_unit_is_refused_and_one_that_lacks_nothing_is_taken() {
    let stage = Stage::start(1).await;
    let job = stage.job(|_| {}).await;
    let job_path = path("job", job.id.get());
    let change = async |body: Value| stage.call(Caller::Operator, "PATCH", &job_path, body).await;
    for half in [json!({"reschedule_interval": 5}), json!({"reschedule_interval": 5, "reschedule_interval_type": ""})] {
        let answer = change(half.clone()).await;
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(answer.status == 400 && body.contains("reschedule_interval_type"), "{half}: {} {body}", answer.status);
    }
    let new = json!({"title": "half", "job_template": path("job_template", stage.template.id.get()),
        "worker_pool": path("worker_pool", stage.pool.id.get()), "reschedule_interval": 5});
    assert_eq!(stage.call(Caller::Operator, "POST", "/api/v1/job/", new).await.status, 400);
    assert_eq!(stage.store().jobs_of_title("half", 2).await.expect("an answer"), []);
    // A unit without an interval is a job that runs when somebody asks for it; either may follow the other.
    for (body, every) in [
        (json!({"reschedule_interval_type": "HOUR"}), Value::Null),
        (json!({"reschedule_interval": 5, "reschedule_interval_type": "MINUTE"}), json!(5)),
        (json!({"reschedule_interval": 7}), json!(7)),
        (json!({"reschedule_interval": null}), Value::Null),
    ] {
        assert_eq!(change(body.clone()).await.status, 202, "{body}");
        assert_eq!(stage.get(Caller::Operator, &job_path).await["reschedule_interval"], every, "{body}");
    }
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_worker_s_secret_writes_what_a_worker_needs_and_nothing_else() {
    for (writes, status) in [(None, 403), (Some(WorkerWrites::Own), 403), (Some(WorkerWrites::Original), 0)] {
        let stage = Stage::with(2, |settings| settings.worker_writes = writes).await;
        let job = stage.job(|_| {}).await;
        let job_path = path("job", job.id.get());
        let new_job = json!({"title": "mine", "job_template": path("job_template", stage.template.id.get()),
            "worker_pool": path("worker_pool", stage.pool.id.get()), "script_content_partial": "echo owned"});
        let run = stage.due(&job).await.id;
        let calls = [
            ("POST", "/api/v1/job/".to_owned(), new_job),
            ("PATCH", job_path.clone(), json!({"script_content_partial": "echo owned"})),
            ("POST", "/api/v1/run/".to_owned(), json!({"job": job_path, "schedule_dts": "2026-03-02 12:00:00+00:00"})),
            ("POST", "/api/v1/kill_request/".to_owned(), json!({"run": path("run", run.get())})),
        ];
        for (method, path, body) in calls {
            let answer = stage.call(Caller::Worker(0), method, &path, body.clone()).await;
            let said = String::from_utf8_lossy(&answer.body).into_owned();
            match status {
                403 => assert!(answer.status == 403 && said.contains("worker_writes"), "{method} {path}: {said}"),
                _ => assert!((200..300).contains(&answer.status), "{method} {path}: {} {said}", answer.status),
            }
        }
        let after = stage.store().job(job.id).await.expect("an answer").expect("the job");
        assert_eq!(after.script_content_partial == "echo hello", status == 403);
        // What a worker needs.
        let me = path("worker", stage.worker(0).get());
        let ping =
            json!({"ping_response_dts": "2026-03-02 12:00:00+00:00", "worker_version": "2.1.2", "concurrent_jobs": 4});
        assert_eq!(stage.call(Caller::Worker(0), "PATCH", &me, ping).await.status, 202);
        if status == 403 {
            assert_eq!(stage.patch_run(0, run, stage.claim_of(0)).await.status, 202);
            let log = json!({"run": path("run", run.get()), "content": "hello"});
            assert_eq!(stage.call(Caller::Worker(0), "POST", "/api/v1/run_log/", log).await.status, 201);
            assert_eq!(stage.patch_run(0, run, result(true)).await.status, 202);
        }
        stage.fixture.stop().await;
    }
}

#[tokio::test]
async fn a_job_obeys_the_same_rules_on_every_interface() {
    let stage = Stage::start(1).await;
    let bare = NewTemplate {
        title: Title::fixed("bare"),
        body: "{{ content|safe }}".to_owned(),
        project: stage.template.project,
    };
    let bare = stage.store().new_template(&bare).await.expect("a template");
    let job = |title: &str, template: i64, script: &str| {
        json!({"title": title, "job_template": path("job_template", template),
            "worker_pool": path("worker_pool", stage.pool.id.get()), "script_content_partial": script})
    };
    let (plain, bare) = (stage.template.id.get(), bare.id.get());
    let long = "x".repeat(100_000);
    for (title, template, script, said) in [
        ("", plain, "echo", "1 to 255 characters"),
        ("two\nlines", plain, "echo", "one line"),
        ("..", plain, "echo", "no title"),
        ("#5", plain, "echo", "no title"),
        (&long, plain, "echo", "1 to 255 characters"),
        ("no shebang", bare, "echo", "shebang"),
        ("no interpreter", bare, "#!\necho", "cannot be executed"),
    ] {
        let answer = stage.call(Caller::Operator, "POST", "/api/v1/job/", job(title, template, script)).await;
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(answer.status == 400 && body.contains(said), "{} {body:.300}", answer.status);
    }
    assert_eq!(
        stage.call(Caller::Operator, "POST", "/api/v1/job/", job(" sound ", bare, "#!/bin/sh\n")).await.status,
        201
    );
    let sound = path("job", 1);
    assert_eq!(stage.get(Caller::Operator, &sound).await["title"], "sound");
    for change in [
        json!({"title": "a\tb"}),
        json!({"script_content_partial": "echo"}),
        json!({"notification_addresses": "nobody"}),
    ] {
        assert_eq!(stage.call(Caller::Operator, "PATCH", &sound, change.clone()).await.status, 400, "{change}");
    }
    assert_eq!(stage.call(Caller::Operator, "PATCH", &sound, json!({"enqueue_is_enabled": false})).await.status, 202);
    stage.fixture.stop().await;
}

/// A title from the database of an earlier version, or of the original, that no door would take today.
#[tokio::test]
async fn a_stored_title_that_breaks_a_later_rule_is_shown_and_stays_until_it_changes() {
    let stage = Stage::start(1).await;
    let job = stage.job(|_| ()).await;
    stage.change_job(&job, "UPDATE job SET title = '#5' WHERE id = ?").await;
    let address = path("job", job.id.get());
    assert_eq!(stage.get(Caller::Operator, &address).await["title"], "#5");
    assert_eq!(stage.get(Caller::Worker(0), &address).await["title"], "#5");
    assert_eq!(stage.get(Caller::Operator, "/operator/v1/jobs").await["jobs"][0]["title"], "#5");
    let patch = async |change: Value| stage.call(Caller::Operator, "PATCH", &address, change).await.status;
    // A client may send back all that it has read.
    assert_eq!(patch(json!({"title": "#5", "description": "old"})).await, 202);
    assert_eq!(patch(json!({"title": "#6"})).await, 400);
    let kept = stage.get(Caller::Operator, &address).await;
    assert_eq!((&kept["title"], &kept["description"]), (&json!("#5"), &json!("old")));
    assert_eq!(patch(json!({"title": "five"})).await, 202);
    assert_eq!(stage.get(Caller::Operator, &address).await["title"], "five");
    stage.fixture.stop().await;
}
