//! Paging of lists: every entity appears, or the answer says that there are more.

use std::path::PathBuf;

use serde_json::Value;

use crate::http::ask;
use crate::program::{Done, Place, finish};
use crate::stage::Stage;

const JOBS: usize = 5000;
const WORKERS: usize = 1500;

/// A server with many jobs, each with a run that is planned for later, and an operator.
struct Desk {
    stage: Stage,
    place: Place,
}

impl Desk {
    async fn of(workers: usize) -> Self {
        let stage = Stage::start(0).await;
        stage.fill(workers, JOBS, 0).await;
        Self { stage, place: Place::new() }
    }

    async fn run(&self, args: &[&str]) -> Done {
        let url = format!("http://{}", self.stage.fixture.http());
        let token: PathBuf = self.stage.fixture.app_state().settings.data.join("operator.token");
        let at = ["--server", &url, "--token-file", token.to_str().expect("text")];
        finish(self.place.command(&[args, &at].concat()).spawn().expect("the command")).await
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let token = format!("Bearer {}", self.stage.fixture.app_state().token.expose());
        let path = format!("/operator/v1{path}");
        let answer = ask(self.stage.fixture.http(), "GET", &path, &[("Authorization".to_owned(), token)], None).await;
        (answer.status, serde_json::from_slice(&answer.body).expect("JSON"))
    }

    /// Runs that are over, due one second after the other since 1970, the last of which is due in a year but was cancelled
    /// before the others ended.
    async fn history(&self, runs: i64) {
        let sql = format!(
            "INSERT INTO run (job, schedule_id, schedule_dts, enqueue_dts, start_dts, return_dts, return_success)
             WITH RECURSIVE n (i) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < {runs})
             SELECT 1, 100000 + i, i * 1000000, i * 1000000, i * 1000000, i * 1000000, 1 FROM n;
             INSERT INTO run (job, schedule_id, schedule_dts, return_dts, return_success, exit)
             VALUES (2, 200000, 4000000000000000, 500000, 0, 'killed');"
        );
        self.stage.write(move |session| session.batch(&sql)).await;
    }
}

fn ids(list: &Value) -> Vec<i64> {
    list.as_array().expect("a list").iter().map(|one| one["id"].as_i64().expect("an id")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paging_lists_every_job_and_worker() {
    let desk = Desk::of(WORKERS).await;
    for (what, many) in [("jobs", JOBS), ("workers", WORKERS)] {
        let table = desk.run(&[what]).await;
        assert_eq!((table.code, table.out.lines().count(), table.err.as_str()), (0, 1 + many, ""), "{what}");
        let json = desk.run(&[what, "--json"]).await;
        assert_eq!((json.code, json.err.as_str()), (0, ""), "{what}");
        let json = json.json();
        let mut all = ids(&json[what]);
        all.sort_unstable();
        all.dedup();
        assert_eq!((all.len(), json["total"].as_u64()), (many, Some(many as u64)), "{what}");
        // What is cut is said, also to who reads JSON.
        let cut = format!("job_runner: showing 1001 of {many} {what}; --limit N shows more, up to 100000\n");
        let some = desk.run(&[what, "--limit", "1001"]).await;
        assert_eq!((some.out.lines().count(), &some.err), (1002, &cut), "{what}");
        let some = desk.run(&[what, "--limit", "1001", "--json"]).await;
        assert_eq!((ids(&some.json()[what]).len(), &some.err), (1001, &cut), "{what}");
    }
    let token = format!("Bearer {}", desk.stage.fixture.app_state().token.expose());
    let page = ask(desk.stage.fixture.http(), "GET", "/workers", &[("Authorization".to_owned(), token)], None).await;
    assert!(String::from_utf8_lossy(&page.body).contains("500 more are not shown"), "the page says it, too");
    desk.stage.fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_are_the_latest_first_and_what_is_planned_is_asked_for() {
    let desk = Desk::of(0).await;
    let none = desk.run(&["runs", "--json"]).await;
    assert_eq!((none.json()["total"].as_u64(), none.err.as_str()), (Some(0), ""), "nothing has begun");
    desk.history(2500).await;

    let latest = desk.run(&["runs", "--json"]).await;
    let first = i64::try_from(JOBS).expect("few");
    assert_eq!(ids(&latest.json()["runs"]), (first + 2481..=first + 2500).rev().collect::<Vec<_>>());
    assert_eq!(latest.err, "job_runner: showing 20 of 2501 runs; --limit N shows more, up to 100000\n");
    let all = desk.run(&["runs", "--json", "--limit", "100000"]).await;
    // What was cancelled long before it was due is listed by its end.
    let expected: Vec<_> = (first + 1..=first + 2500).rev().chain([first + 2501]).collect();
    assert_eq!((ids(&all.json()["runs"]), all.err.as_str()), (expected, ""));
    let of_job = desk.run(&["runs", "--json", "--job", "#2"]).await;
    assert_eq!((ids(&of_job.json()["runs"]), of_job.json()["total"].as_u64()), (vec![first + 2501], Some(1)));

    let planned = desk.run(&["runs", "--planned", "--json"]).await;
    assert_eq!(ids(&planned.json()["runs"]), (1..=20).collect::<Vec<_>>());
    assert_eq!(planned.err, "job_runner: showing 20 of 5000 runs; --limit N shows more, up to 100000\n");
    let planned = desk.run(&["runs", "--planned", "--json", "--limit", "100000"]).await;
    assert_eq!((ids(&planned.json()["runs"]), planned.err.as_str()), ((1..=first).collect(), ""));
    desk.stage.fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_continues_after_the_last_one_even_if_entities_are_deleted() {
    let desk = Desk::of(0).await;
    let (_, first) = desk.get("/jobs?limit=2").await;
    let next = first["next"].as_str().expect("more");
    assert_eq!((ids(&first["jobs"]), first["total"].as_u64()), (vec![1, 10], Some(JOBS as u64)));
    desk.stage.write(|session| session.execute("DELETE FROM job WHERE id = 10", [])).await;
    let (_, second) = desk.get(&format!("/jobs?limit=2&after={next}")).await;
    assert_eq!((ids(&second["jobs"]), &second["total"]), (vec![100, 1000], &Value::Null));
    // The server has a bound of its own.
    let (_, most) = desk.get("/jobs?limit=4294967295").await;
    assert_eq!(ids(&most["jobs"]).len(), 1000);
    for path in ["/jobs?after=x", "/workers?after=", "/runs?after=1", "/runs?begun=true&planned=true", "/jobs?offset=1"]
    {
        assert_eq!(desk.get(path).await.0, 400, "{path}");
    }
    desk.stage.fixture.stop().await;
}
