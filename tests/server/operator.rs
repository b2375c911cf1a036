//! Operator's API and dashboard over plain HTTP: access, refusals and bounds.

use serde_json::{Value, json};

use crate::fixture::Fixture;
use crate::http::{Answer, ask};

const BASE: &str = "/operator/v1";

fn header(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn bearer(server: &Fixture) -> (String, String) {
    header("Authorization", &format!("Bearer {}", server.app_state().token.expose()))
}

async fn get(server: &Fixture, path: &str, headers: &[(String, String)]) -> Answer {
    ask(server.http(), "GET", path, headers, None).await
}

async fn post(server: &Fixture, path: &str, headers: &[(String, String)], body: &Value) -> Answer {
    let headers = [headers, &[header("Content-Type", "application/json")]].concat();
    ask(server.http(), "POST", &format!("{BASE}{path}"), &headers, Some(body.to_string().as_bytes())).await
}

#[tokio::test]
async fn the_operator_api_needs_the_token_and_a_cookie_only_reads() {
    let server = Fixture::start().await;
    let script = json!({"title": "x", "script": "#!/bin/sh\n"});
    let wrong = [header("Authorization", "Bearer 0123456789abcdef0123456789abcdef")];
    for headers in [&[][..], &wrong, &[header("Authorization", "ApiKey worker:00")]] {
        for path in ["/runs", "/jobs", "/workers", "/runs/1/log", "/runs/1/follow", "/nothing"] {
            let answer = get(&server, &format!("{BASE}{path}"), headers).await;
            assert_eq!(answer.status, 401, "{path}");
        }
        assert_eq!(post(&server, "/runs", headers, &script).await.status, 401);
        assert_eq!(get(&server, "/", headers).await.status, 401);
        assert_eq!(get(&server, "/parts/now", headers).await.status, 401);
    }
    let operator = [bearer(&server)];
    assert_eq!(get(&server, &format!("{BASE}/runs"), &operator).await.status, 200);
    assert_eq!(post(&server, "/runs", &operator, &script).await.status, 201);

    let login = format!("/login?token={}", server.app_state().token.expose());
    let answer = get(&server, &login, &[]).await;
    assert_eq!((answer.status, answer.headers["location"].as_str()), (303, "/"));
    let cookie = &answer.headers["set-cookie"];
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    assert!(!cookie.contains(server.app_state().token.expose()), "{cookie}");
    let reader = [header("Cookie", cookie.split(';').next().expect("a cookie"))];
    let page = get(&server, "/", &reader).await;
    assert_eq!(page.status, 200);
    let policy = &page.headers["content-security-policy"];
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(get(&server, &format!("{BASE}/runs"), &reader).await.status, 200);
    assert_eq!(post(&server, "/runs", &reader, &script).await.status, 401);
    assert_eq!(post(&server, "/runs/1/kill", &reader, &json!({})).await.status, 401);
    assert_eq!(get(&server, "/login?token=wrong", &[]).await.status, 401);
    server.stop().await;
}

#[tokio::test]
async fn a_server_on_loopback_refuses_foreign_host_names() {
    let server = Fixture::with(|settings| settings.host_names = vec!["jobs.example.com".to_owned()]).await;
    // The tests' client sends a Host of its own, so these requests are written out.
    for (host, status) in [("evil.example.com", 421), ("jobs.example.com", 401), ("localhost:1", 401)] {
        for path in ["/", "/login", "/operator/v1/runs"] {
            let mut socket = tokio::net::TcpStream::connect(server.http()).await.expect("a connection");
            let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
            tokio::io::AsyncWriteExt::write_all(&mut socket, request.as_bytes()).await.expect("a server that reads");
            let mut answer = String::new();
            tokio::io::AsyncReadExt::read_to_string(&mut socket, &mut answer).await.expect("an answer");
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{host} {path}: {answer}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn impossible_requests_are_refused_with_a_reason() {
    let server = Fixture::start().await;
    let operator = [bearer(&server)];
    let sh = "#!/bin/sh\n";
    for (path, body, status, said) in [
        ("/runs", json!({"title": "x", "script": "echo\n"}), 400, "shebang"),
        ("/runs", json!({"title": "", "script": sh}), 400, "title"),
        ("/runs", json!({"title": "x", "script": sh, "timeout": 0}), 400, "timeout"),
        ("/runs", json!({"title": "x", "script": sh, "colour": 1}), 400, "colour"),
        ("/runs", json!({"title": "x"}), 400, "script"),
        ("/jobs", json!({"title": "x", "script": sh, "every": "5 weeks"}), 400, "interval"),
        ("/jobs", json!({"title": "x", "script": sh, "cron": "at noon"}), 400, "cron"),
        ("/jobs", json!({"title": "x", "script": sh, "zone": "Asia/Tokyo"}), 400, "cron expression"),
        ("/jobs", json!({"title": "x", "script": sh, "every": "1 hour", "zone": "Asia/Tokyo"}), 400, "cron expression"),
        ("/jobs", json!({"title": "x", "script": sh, "after": "nobody"}), 404, "nobody"),
        ("/jobs", json!({"title": "x", "script": sh, "retries": 1_000_000}), 400, "retries"),
        ("/workers", json!({"title": "a:b"}), 400, "colon"),
        ("/templates", json!({"title": "x", "body": "{{ content"}), 409, "{{ content|safe }}"),
        ("/templates", json!({"title": "x", "body": "#!/bin/sh\necho\n"}), 409, "{{ content|safe }}"),
        ("/templates", json!({"title": "x", "body": format!("{{{{ {}1 }}}}", "not ".repeat(8000))}), 409, "longer"),
        ("/jobs/nobody/schedule", json!({}), 404, "nobody"),
        ("/jobs/nobody/disable", json!({"reason": ""}), 404, "nobody"),
        ("/runs/x/kill", json!({}), 400, "12 or #12"),
        ("/runs/99/kill", json!({}), 404, "99"),
    ] {
        let answer = post(&server, path, &operator, &body).await;
        let text = String::from_utf8(answer.body).expect("text");
        assert_eq!(answer.status, status, "{path} {body}: {text}");
        let error = serde_json::from_str::<Value>(&text).expect("JSON")["error"].as_str().map(str::to_owned);
        assert!(error.is_some_and(|error| error.contains(said)), "{path} {body}: {text}");
    }
    let long = json!({"title": "x", "script": format!("#!/bin/sh\n{}", "#".repeat(5 * 1024 * 1024))});
    let answer = post(&server, "/runs", &operator, &long).await;
    assert!((400..500).contains(&answer.status), "{}", answer.status);
    assert_eq!(get(&server, &format!("{BASE}/runs?limit=many"), &operator).await.status, 400);
    server.stop().await;
}

#[tokio::test]
async fn retries_that_are_asked_for_without_a_pause_come_after_a_minute() {
    let server = Fixture::start().await;
    let new = json!({"title": "x", "script": "#!/bin/sh\n", "retries": 2});
    let answer = post(&server, "/jobs", &[bearer(&server)], &new).await;
    let made: Value = serde_json::from_slice(&answer.body).expect("JSON");
    let job = jobrunner::server::domain::model::JobId::new(made["id"].as_i64().expect("an id")).expect("an id");
    let job = server.app_state().store.job(job).await.expect("an answer").expect("a job");
    assert_eq!((job.retry.times, job.retry.backoff), (2, 60));
    server.stop().await;
}

#[tokio::test]
async fn scripts_of_one_title_are_one_job_unless_they_are_under_way() {
    let server = Fixture::start().await;
    let operator = [bearer(&server)];
    let submit = async |script: &str| {
        let answer = post(&server, "/runs", &operator, &json!({"title": "x", "script": script})).await;
        let run: Value = serde_json::from_slice(&answer.body).expect("JSON");
        (run["id"].clone(), run["title"].as_str().expect("a title").to_owned())
    };
    let (first, title) = submit("#!/bin/sh\n").await;
    assert_eq!(title, "x");
    assert_eq!(submit("#!/bin/sh\n").await.1, "x");
    // Its script stays what it is while it waits: another one is a job beside it.
    let (other, title) = submit("#!/bin/bash\n").await;
    assert_eq!(title, "x (2)");
    for run in [&first, &other, &json!(2)] {
        assert_eq!(post(&server, &format!("/runs/{run}/kill"), &operator, &json!({})).await.status, 200);
    }
    assert_eq!(submit("#!/bin/bash\n").await.1, "x");
    server.stop().await;
}

fn form(server: &Fixture) -> Vec<(String, String)> {
    let origin = format!("http://{}", server.http());
    vec![header("Origin", &origin), header("Content-Type", "application/x-www-form-urlencoded")]
}

async fn log_in(server: &Fixture, next: &str, headers: &[(String, String)]) -> Answer {
    let next: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
    let body = format!("token={}&next={next}", server.app_state().token.expose());
    ask(server.http(), "POST", "/login", headers, Some(body.as_bytes())).await
}

/// The header of whoever was answered so.
fn cookie_of(answer: &Answer) -> Vec<(String, String)> {
    vec![header("Cookie", answer.headers["set-cookie"].split(';').next().expect("a cookie"))]
}

fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).replace("&#x2f;", "/")
}

#[tokio::test]
async fn a_login_leads_to_the_page_that_was_asked_for_and_never_to_another_site() {
    let server = Fixture::start().await;
    let asked = get(&server, "/runs/5?line=3", &[]).await;
    assert_eq!(asked.status, 401);
    assert!(text(&asked).contains(r#"name="next" value="/runs/5?line=3""#), "{}", text(&asked));
    let answer = log_in(&server, "/runs/5?line=3", &form(&server)).await;
    assert_eq!((answer.status, answer.headers["location"].as_str()), (303, "/runs/5?line=3"));
    for other in ["//evil.example/", "https://evil.example/", r"/\evil.example", "/\t/evil.example", "/logout"] {
        assert_eq!(log_in(&server, other, &form(&server)).await.headers["location"], "/", "{other:?}");
    }
    // Whoever mistypes the token still comes to his page.
    let wrong = ask(server.http(), "POST", "/login", &form(&server), Some(b"token=no&next=%2Fjobs")).await;
    assert!(wrong.status == 401 && text(&wrong).contains(r#"value="/jobs""#), "{}", text(&wrong));
    server.stop().await;
}

#[tokio::test]
async fn a_session_ends_with_its_logout_also_for_who_has_a_copy_of_its_cookie() {
    let server = Fixture::start().await;
    let (mine, other) = (log_in(&server, "/", &form(&server)).await, log_in(&server, "/", &form(&server)).await);
    let (mine, other) = (cookie_of(&mine), cookie_of(&other));
    let page = text(&get(&server, "/", &mine).await);
    let form_token =
        page.split_once("name=\"form_token\" value=\"").expect("a form").1.split('"').next().expect("a token");
    let body = format!("form_token={form_token}");
    let headers = [form(&server), mine.clone()].concat();
    let answer = ask(server.http(), "POST", "/logout", &headers, Some(body.as_bytes())).await;
    assert_eq!((answer.status, answer.headers["location"].as_str()), (303, "/login"));
    // The port belongs to the name of the cookie, so what is asked after the restart is asked of the same port.
    let server = server.pause().await.resume().await;
    for (cookie, status) in [(&mine, 401), (&other, 200)] {
        for path in ["/", "/parts/now", "/operator/v1/runs"] {
            assert_eq!(get(&server, path, cookie).await.status, status, "{path}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_cookie_that_was_given_over_tls_is_sent_over_tls_alone() {
    let server = Fixture::start().await;
    let is_secure = |answer: &Answer| answer.headers["set-cookie"].ends_with("; Secure");
    assert!(!is_secure(&log_in(&server, "/", &form(&server)).await));
    let behind_a_proxy = [form(&server), vec![header("X-Forwarded-Proto", "https")]].concat();
    assert!(is_secure(&log_in(&server, "/", &behind_a_proxy).await));
    let origin = format!("https://{}", server.http());
    let as_browsers_say = [header("Origin", &origin), header("Content-Type", "application/x-www-form-urlencoded")];
    assert!(is_secure(&log_in(&server, "/", &as_browsers_say).await));
    server.stop().await;
}

#[tokio::test]
async fn an_unknown_address_gets_a_page_with_a_link_back() {
    let server = Fixture::start().await;
    let cookie = cookie_of(&log_in(&server, "/", &form(&server)).await);
    for (path, status) in [
        ("/nothing", 404),
        ("/admin/nothing", 404),
        ("/admin/jobs/abc", 400),
        ("/admin/jobs?page=abc", 400),
        ("/jobs/abc", 404),
        ("/logout", 405),
        ("/runs/1/kill", 405),
        ("//evil.example/", 404),
    ] {
        let answer = get(&server, path, &cookie).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.headers["content-type"].starts_with("text/html"), "{path}");
        assert!(text(&answer).contains(r#"<a href="/">"#), "{path}: {}", text(&answer));
    }
    for (path, to) in [("/workers/", "/workers"), ("/jobs//", "/jobs"), ("/jobs/?title=a", "/jobs?title=a")] {
        let answer = get(&server, path, &cookie).await;
        assert_eq!((answer.status, answer.headers["location"].as_str()), (308, to), "{path}");
    }
    // Programs are answered as before.
    let answer = get(&server, "/operator/v1/nothing", &cookie).await;
    assert_eq!((answer.status, answer.headers["content-type"].as_str()), (404, "application/json"));
    assert!(!text(&get(&server, "/api/nothing", &cookie).await).contains('<'));
    server.stop().await;
}

#[tokio::test]
async fn operator_answers_forbid_content_sniffing() {
    let server = Fixture::start().await;
    let operator = [bearer(&server)];
    for (path, headers) in
        [("/runs", &operator[..]), ("/runs/1/log", &operator), ("/nothing", &operator), ("/runs", &[])]
    {
        let answer = get(&server, &format!("{BASE}{path}"), headers).await;
        assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{path}");
    }
    let turned = json!({"title": "invoice\u{202e}fdp", "script": "#!/bin/sh\n"});
    for path in ["/runs", "/jobs"] {
        assert_eq!(post(&server, path, &operator, &turned).await.status, 400, "{path}");
    }
    server.stop().await;
}
