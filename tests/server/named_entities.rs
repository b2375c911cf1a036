//! Projects, templates and pools named by a command: found, or refused with the existing names; never created by a typing error.

use serde_json::{Value, json};

use crate::fixture::Fixture;
use crate::http::post;
use crate::program::Place;

const SH: &str = "#!/bin/sh\n";

/// How many projects, templates, pools, jobs and runs there are.
fn counts(server: &Fixture) -> [i64; 5] {
    let session = server.connect();
    ["project", "job_template", "worker_pool", "job", "run"]
        .map(|table| session.value(&format!("SELECT count(*) FROM {table}"), []))
}

#[tokio::test]
async fn an_unknown_name_is_refused_with_the_existing_names_and_creates_nothing() {
    let server = Fixture::start().await;
    assert_eq!(post(&server, "/workers", &json!({"title": "web1", "pool": "web"})).await.0, 201);
    assert_eq!(post(&server, "/runs", &json!({"title": "x", "script": SH})).await.0, 201);
    let before = counts(&server);
    for (path, body, said) in [
        (
            "/runs",
            json!({"title": "y", "script": SH, "pool": "wbe"}),
            r#"there is no pool "wbe"; there are "default" and "web""#,
        ),
        (
            "/jobs",
            json!({"title": "y", "script": SH, "pool": "wbe"}),
            r#"there is no pool "wbe"; there are "default" and "web""#,
        ),
        (
            "/jobs",
            json!({"title": "y", "script": SH, "project": "ops"}),
            r#"there is no project "ops"; there is "default""#,
        ),
        (
            "/jobs",
            json!({"title": "y", "script": SH, "template": "bsah"}),
            r#"there is no template "bsah" in project "default"; there is "submitted""#,
        ),
    ] {
        let (status, answer) = post(&server, path, &body).await;
        assert_eq!((status, answer["error"].as_str()), (409, Some(said)), "{path} {body}");
        assert_eq!(counts(&server), before, "{path} {body}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_job_that_is_refused_leaves_nothing_behind() {
    let server = Fixture::start().await;
    let made = json!({"project": "ops", "template": "plain", "pool": "web", "make_missing": true});
    let with = |more: Value| {
        let mut body = made.clone();
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        body
    };
    for refused in [
        json!({"title": "y", "script": "echo without a shebang\n"}),
        json!({"title": "y", "script": SH, "after": "nobody"}),
        json!({"title": "y", "script": SH, "cron": "at noon"}),
    ] {
        let (status, answer) = post(&server, "/jobs", &with(refused)).await;
        assert!((400..500).contains(&status), "{status} {answer}");
        assert_eq!(counts(&server), [0; 5], "{answer}");
    }
    // A template that is refused does not leave its project.
    let (status, _) = post(&server, "/templates", &json!({"title": "x", "body": "{{ content", "project": "ops"})).await;
    assert_eq!((status, counts(&server)), (409, [0; 5]));
    // A worker whose key is taken does not leave its pool.
    assert_eq!(post(&server, "/workers", &json!({"title": "web1"})).await.0, 201);
    assert_eq!(post(&server, "/workers", &json!({"title": "web1", "pool": "web"})).await.0, 409);
    assert_eq!(counts(&server), [0, 0, 1, 0, 0]);
    server.stop().await;
}

#[tokio::test]
async fn make_missing_creates_exactly_the_named_entities() {
    let server = Fixture::start().await;
    assert_eq!(post(&server, "/workers", &json!({"title": "web1", "pool": "web"})).await.0, 201);
    assert_eq!(counts(&server), [0, 0, 1, 0, 0]);
    let template = json!({"title": "bash", "body": "#!/bin/bash\n{{ content|safe }}\n", "project": "ops"});
    assert_eq!(post(&server, "/templates", &template).await.0, 201);
    assert_eq!(counts(&server), [1, 1, 1, 0, 0]);
    let job = json!({"title": "x", "script": "true\n", "project": "ops", "template": "bash", "pool": "web"});
    assert_eq!(post(&server, "/jobs", &job).await.0, 201);
    assert_eq!(counts(&server), [1, 1, 1, 1, 0]);
    let job = json!({"title": "y", "script": SH, "project": "new", "make_missing": true});
    assert_eq!(post(&server, "/jobs", &job).await.0, 201);
    assert_eq!(counts(&server), [2, 2, 2, 2, 0]);
    server.stop().await;
}

#[tokio::test]
async fn run_and_job_add_refuse_a_pool_that_is_not_there_in_one_line() {
    let place = Place::new();
    place.script("well", SH);
    let (standalone, _) = place.standalone().await;
    for args in [&["run", "--pool", "defualt", "well"][..], &["job", "add", "well", "--pool", "defualt"]] {
        let done = place.run(args).await;
        assert_eq!(done.code, 1, "{done:?}");
        assert_eq!(done.err, "job_runner: there is no pool \"defualt\"; there is \"default\"\n", "{args:?}");
    }
    let jobs = place.run(&["jobs", "--json"]).await.json();
    assert_eq!(jobs["jobs"].as_array().map(Vec::len), Some(1), "{jobs}");
    standalone.signal(nix::sys::signal::Signal::SIGINT);
    assert_eq!(standalone.end().await.code, 0);
}
