//! References: jobs, workers and runs are named by title first, or by id as `#5`.

use nix::sys::signal::Signal;
use serde_json::json;

use crate::fixture::Fixture;
use crate::http::post;
use crate::program::Place;

const SH: &str = "#!/bin/sh\necho hello\n";

async fn add(server: &Fixture, title: &str) -> i64 {
    let (status, made) = post(server, "/jobs", &json!({"title": title, "script": SH})).await;
    assert_eq!(status, 201, "{made}");
    made["id"].as_i64().expect("an id")
}

#[tokio::test]
async fn a_title_that_is_a_number_is_a_title_first_and_an_id_is_written_with_its_sign() {
    let server = Fixture::start().await;
    let ids = [add(&server, "a").await, add(&server, "b").await, add(&server, "c").await];
    let titled = add(&server, &ids[1].to_string()).await;
    let scheduled = async |name: &str| post(&server, &format!("/jobs/{name}/schedule"), &json!({})).await;
    for (name, job) in [
        (ids[1].to_string(), titled),
        (format!("%23{}", ids[1]), ids[1]),
        (format!("%23{titled}"), titled),
        // Nothing has this title: it is the id.
        (ids[2].to_string(), ids[2]),
    ] {
        let (status, run) = scheduled(&name).await;
        assert_eq!((status, run["job"].as_i64()), (201, Some(job)), "{name}: {run}");
    }
    for name in ["00", "007", "%2B2", "02", "0", "-1", "2.0", "%232 ", "%23", "%23%232", "%2302"] {
        let name = name.replace(' ', "%20");
        assert_eq!(scheduled(&name).await.0, 404, "{name}");
    }
    // Titles they may be.
    for title in ["007", "+5"] {
        let job = add(&server, title).await;
        let (status, run) = scheduled(&title.replace('+', "%2B")).await;
        assert_eq!((status, run["job"].as_i64()), (201, Some(job)), "{title}");
    }
    server.stop().await;
}

#[tokio::test]
async fn runs_and_workers_are_named_by_the_same_rule() {
    let server = Fixture::start().await;
    add(&server, "a").await;
    let (_, run) = post(&server, "/jobs/a/schedule", &json!({})).await;
    let run = run["id"].as_i64().expect("an id");
    for name in [format!("0{run}"), format!("%2B{run}"), format!("%23%23{run}"), "x".to_owned()] {
        assert_eq!(post(&server, &format!("/runs/{name}/kill"), &json!({})).await.0, 400, "{name}");
    }
    for name in [run.to_string(), format!("%23{run}")] {
        assert_eq!(post(&server, &format!("/runs/{name}/kill"), &json!({})).await.0, 200, "{name}");
    }
    for title in ["w", "1", "w3"] {
        assert_eq!(post(&server, "/workers", &json!({"title": title})).await.0, 201);
    }
    for (name, title) in
        [("1", Some("1")), ("#1", Some("w")), ("3", Some("w3")), ("03", None), ("+3", None), ("##3", None)]
    {
        let (status, done) = post(&server, "/workers/act", &json!({"workers": [name], "action": "sleep"})).await;
        assert_eq!(status, 200, "{done}");
        let acted = &done["workers"][0];
        assert_eq!(acted["worker"]["title"].as_str(), title, "{name}: {acted}");
    }
    server.stop().await;
}

#[tokio::test]
async fn titles_that_no_address_can_hold_or_that_are_ids_are_refused() {
    let server = Fixture::start().await;
    for title in [".", "..", "#5"] {
        for (path, body) in [
            ("/jobs", json!({"title": title, "script": SH})),
            ("/runs", json!({"title": title, "script": SH})),
            ("/templates", json!({"title": title, "body": "{{ content }}"})),
            ("/workers", json!({"title": title})),
        ] {
            let (status, said) = post(&server, path, &body).await;
            assert_eq!(status, 400, "{path} {title}: {said}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn the_command_sends_no_name_that_would_become_another_address() {
    let place = Place::new();
    let (standalone, _) = place.standalone().await;
    for name in [".", "..", ""] {
        for act in [&["schedule", name][..], &["why", name], &["disable", name], &["enable", name]] {
            let done = place.run(act).await;
            assert_eq!((done.code, done.err.lines().count()), (1, 1), "{act:?}: {done:?}");
            assert!(done.err.contains("no job"), "{act:?}: {done:?}");
        }
    }
    // A job whose title is a number: its log, where there is no such run; a number is a run first.
    place.script("seven.sh", "#!/bin/sh\necho seven\n");
    assert_eq!(place.run(&["job", "add", "seven.sh", "--name", "777"]).await.code, 0);
    let run = place.run(&["schedule", "777", "--json"]).await.json()["id"].to_string();
    let followed = place.run(&["logs", "-f", &run]).await;
    assert_eq!((followed.code, followed.out.as_str()), (0, "seven\n"), "{followed:?}");
    for name in ["777", &format!("#{run}"), &run] {
        let logs = place.run(&["logs", name]).await;
        assert_eq!((logs.code, logs.out.as_str()), (0, "seven\n"), "{name}: {logs:?}");
    }
    for name in [format!("0{run}"), format!("+{run}")] {
        assert_eq!(place.run(&["logs", &name]).await.code, 1, "{name}");
        assert_eq!(place.run(&["kill", &name]).await.code, 2, "{name}");
    }
    assert_eq!(place.run(&["kill", &format!("#{run}")]).await.code, 0);
    standalone.signal(Signal::SIGINT);
    assert_eq!(standalone.end().await.code, 0);
}
