//! Ad-hoc runs: they are listed as runs, and create no visible job.

use nix::sys::signal::Signal;
use serde_json::Value;

use jobrunner::server::store::Entity;

use crate::fixture::Fixture;
use crate::http::ask;
use crate::program::Place;

const HELLO: &str = "#!/bin/sh\necho hello\n";

fn titles(jobs: &Value) -> Vec<&str> {
    jobs["jobs"].as_array().expect("jobs").iter().filter_map(|job| job["title"].as_str()).collect()
}

#[tokio::test]
async fn a_name_means_the_job_although_its_script_was_run_ad_hoc_before() {
    let place = Place::new();
    let (standalone, _) = place.standalone().await;
    place.script("backup.sh", HELLO);
    assert_eq!(place.run(&["run", "backup.sh"]).await.code, 0);
    assert_eq!(place.run(&["job", "add", "backup.sh", "--every", "1 hour"]).await.code, 0);
    let why = place.run(&["why", "backup.sh", "--json"]).await;
    assert_eq!(why.code, 0, "{why:?}");
    assert_eq!(why.json()["job"]["schedule"], "every hour", "{why:?}");
    let job = why.json()["job"]["id"].clone();
    for act in [&["schedule", "backup.sh", "--json"][..], &["disable", "backup.sh", "--json"]] {
        let done = place.run(act).await;
        assert_eq!(done.code, 0, "{done:?}");
        let named = done.json();
        assert_eq!(if act[0] == "schedule" { &named["job"] } else { &named["id"] }, &job, "{named}");
    }
    let child = place.run(&["job", "add", "backup.sh", "--name", "after", "--after", "backup.sh"]).await;
    assert_eq!(child.code, 0, "{child:?}");
    assert_eq!(titles(&place.run(&["jobs", "--json"]).await.json()), ["after", "backup.sh", "hello"]);
    standalone.signal(Signal::SIGINT);
    assert_eq!(standalone.end().await.code, 0);
}

#[tokio::test]
async fn where_there_is_no_job_of_a_name_its_ad_hoc_run_is_read_and_nothing_else() {
    let place = Place::new();
    let (standalone, _) = place.standalone().await;
    place.script("once.sh", HELLO);
    assert_eq!(place.run(&["run", "once.sh"]).await.code, 0);
    assert_eq!(titles(&place.run(&["jobs", "--json"]).await.json()), ["hello"]);
    assert_eq!(place.run(&["logs", "once.sh"]).await.out, "hello\n");
    let runs = place.run(&["runs", "--job", "once.sh", "--json"]).await.json();
    assert_eq!(runs["runs"].as_array().map(Vec::len), Some(1), "{runs}");
    assert_eq!(place.run(&["why", "once.sh"]).await.code, 0);
    let all = place.run(&["runs"]).await;
    assert!(all.out.contains("once.sh"), "{all:?}");
    for act in ["schedule", "disable", "enable"] {
        let done = place.run(&[act, "once.sh"]).await;
        assert_eq!(done.code, 1, "{done:?}");
        assert!(done.err.contains("ad hoc") && done.err.contains("job add"), "{done:?}");
    }
    standalone.signal(Signal::SIGINT);
    assert_eq!(standalone.end().await.code, 0);
}

async fn submit(server: &Fixture, title: &str, script: &str) -> Value {
    let headers = [
        ("Authorization".to_owned(), format!("Bearer {}", server.app_state().token.expose())),
        ("Content-Type".to_owned(), "application/json".to_owned()),
    ];
    let body = serde_json::json!({"title": title, "script": script}).to_string();
    let answer = ask(server.http(), "POST", "/operator/v1/runs", &headers, Some(body.as_bytes())).await;
    assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
    serde_json::from_slice(&answer.body).expect("JSON")
}

#[tokio::test]
async fn ad_hoc_scripts_are_among_no_jobs_and_the_same_one_keeps_one_place() {
    let server = Fixture::start().await;
    for _ in 0..50 {
        submit(&server, "again.sh", HELLO).await;
    }
    // Another script of that name, while the first one waits.
    let latest = submit(&server, "again.sh", "#!/bin/sh\necho other\n").await;
    let store = &server.app_state().store;
    assert_eq!(store.overview_of_jobs(None, None, 100).await.expect("an answer").len(), 0);
    assert_eq!(store.jobs_of_title("again.sh", 100).await.expect("an answer"), []);
    assert_eq!(store.catalogue(Entity::Job, 100).await.expect("an answer"), []);
    for text in ["", "again"] {
        assert_eq!(store.catalogue_page(Entity::Job, text, 0, 100).await.expect("an answer"), (Vec::new(), 0));
    }
    for thing in [Entity::Project, Entity::Template] {
        let found = store.catalogue(thing, 100).await.expect("an answer");
        assert!(found.iter().all(|entry| entry.holds == 0), "{found:?}");
    }
    // On the Now page their runs are found by their name.
    assert_eq!(store.jobs_with("again").await.expect("an answer").len(), 2);
    let found = store.ad_hoc_of_title("again.sh").await.expect("an answer").map(|job| job.get());
    assert_eq!(found, latest["job"].as_i64(), "the latest of the two");
    let jobs: i64 = server.connect().value("SELECT count(*) FROM job", []);
    assert_eq!(jobs, 2);
    server.stop().await;
}
