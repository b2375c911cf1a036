//! Outages: the disk of the server's data is full, and has room again.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jobrunner::server::domain::model::{Concurrency, Schedule};
use jobrunner::server::domain::schedule::Cron;
use jobrunner::server::domain::title::Title;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::database::is_only_sqlite;
use crate::http::{Answer, ask};
use crate::port;
use crate::process::Process;
use crate::service::Service;
use crate::skip::skip;
use crate::stage::Stage;
use crate::tmpfs::Tmpfs;
use crate::wait;
use crate::worker_process::{Make, Place, start_worker};

/// How long anything here may take to happen.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long after there is room everything must work.
const BACK: Duration = Duration::from_secs(5);

/// The program on a small disk, with a worker and a job that is due each second and tells of itself elsewhere.
struct Scene {
    service: Service,
    worker: Process,
    disk: Tmpfs,
    place: Place,
    folder: TempDir,
    token: String,
}

impl Scene {
    /// Nothing where no disk can be mounted.
    async fn start() -> Option<Self> {
        if is_only_sqlite("a full disk of the server") {
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        fs::create_dir(&data).expect("a folder");
        let disk = match Tmpfs::mount(&data, "size=8m") {
            Ok(disk) => disk,
            Err(why) => {
                skip(&format!("no full disk of the server: {why}"));
                return None;
            }
        };
        let stage = Stage::with(1, |settings| settings.data = data.clone()).await;
        let record = folder.path().join("record");
        stage
            .job(|new| {
                new.title = Title::fixed("tick");
                new.script = format!("echo $JOB_RUNNER_RUN_ID >>{}", record.display());
                new.schedule = Schedule::Cron {
                    expression: Cron::new("* * * * * *").expect("an expression"),
                    zone: chrono_tz::Tz::UTC,
                };
                new.concurrency = Concurrency::Allow;
            })
            .await;
        let token = stage.fixture.app_state().token.expose().to_owned();
        stage.fixture.stop().await;
        let place = Place {
            http: SocketAddr::from((Ipv4Addr::LOCALHOST, port::free())),
            events: port::free(),
            broadcaster: port::free(),
        };
        let service = Service::start(folder.path(), &data, place);
        let worker = start_worker(Make::Ours, place, "worker1", 4, folder.path());
        Some(Self { service, worker, disk, place, folder, token })
    }

    fn record(&self) -> PathBuf {
        self.folder.path().join("record")
    }

    /// Runs that were executed, in the order of their starts.
    fn executed(&self) -> Vec<String> {
        lines(&self.record())
    }

    async fn get(&self, path: &str) -> Option<Answer> {
        // Not before it listens.
        if !port::is_open(self.place.http.port()) {
            return None;
        }
        Some(ask(self.place.http, "GET", path, &self.headers(), None).await)
    }

    /// Asks for a run now.
    async fn submit(&self) -> Answer {
        let run = json!({"title": "asked", "script": "#!/bin/sh\n:\n"}).to_string();
        ask(self.place.http, "POST", "/operator/v1/runs", &self.headers(), Some(run.as_bytes())).await
    }

    fn headers(&self) -> [(String, String); 2] {
        [("Authorization", format!("Bearer {}", self.token)), ("Content-Type", "application/json".to_owned())]
            .map(|(name, value)| (name.to_owned(), value))
    }

    /// Waits until the server is ready or not.
    async fn ready(&self, wanted: bool, within: Duration) -> Value {
        let status = if wanted { 200 } else { 503 };
        within_time(within, &format!("/readyz answers {status}"), async || {
            let answer = self.get("/readyz").await?;
            (answer.status == status).then(|| serde_json::from_slice(&answer.body).expect("JSON"))
        })
        .await
    }

    /// Waits until more runs were executed than these.
    async fn executes_more_than(&self, runs: usize, within: Duration) {
        let what = format!("more than {runs} runs");
        within_time(within, &what, async || (self.executed().len() > runs).then_some(())).await;
    }

    fn leave(mut self) {
        self.service.leave();
        self.worker.signal(nix::sys::signal::Signal::SIGTERM);
        self.worker.end_within(30);
    }
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

async fn within_time<T>(limit: Duration, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let wait = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::task::block_in_place(wait::pause);
        }
    };
    tokio::time::timeout(limit, wait).await.unwrap_or_else(|_| panic!("not within {limit:?}: {what}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_writes_again_within_seconds_of_room_on_its_disk() {
    let Some(scene) = Scene::start().await else { return };
    scene.executes_more_than(2, PATIENCE).await;
    scene.disk.fill();
    let refused = async || Some(scene.submit().await.status).filter(|status| *status >= 500);
    within_time(PATIENCE, "a write is refused", refused).await;
    let before = scene.executed().len();
    scene.disk.clear();
    within_time(BACK, "a write is taken", async || (scene.submit().await.status == 201).then_some(())).await;
    scene.executes_more_than(before + 3, PATIENCE).await;
    let executed = scene.executed();
    let once = executed.iter().collect::<std::collections::BTreeSet<_>>();
    assert_eq!(once.len(), executed.len(), "{executed:?}");
    scene.leave();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_room_says_so_once_and_starts_nothing() {
    let Some(scene) = Scene::start().await else { return };
    scene.executes_more_than(0, PATIENCE).await;
    assert_eq!(scene.ready(true, PATIENCE).await, json!({"ready": true}));
    scene.disk.fill();
    let lacks = scene.ready(false, PATIENCE).await;
    assert_eq!((&lacks["ready"], &lacks["lacking"][0]["what"]), (&json!(false), &json!("store")));
    assert!(lacks["lacking"][0]["reason"].as_str().is_some_and(|reason| reason.contains("disk")), "{lacks}");
    let since: chrono::DateTime<chrono::Utc> = lacks["lacking"][0]["since"].as_str().unwrap().parse().expect("a time");

    // What was claimed before may begin still; nothing is claimed from now on.
    let before = scene.executed().len();
    let refused = scene.submit().await;
    assert_eq!(refused.status, 503, "{}", String::from_utf8_lossy(&refused.body));
    assert!(String::from_utf8_lossy(&refused.body).contains("disk"), "it says what is lacking");
    let page = scene.get("/jobs").await.expect("a page");
    assert!([401, 200, 303].contains(&page.status), "what is there can be read: {}", page.status);
    let lasting = || (chrono::Utc::now() - since).num_seconds() >= 4;
    within_time(PATIENCE, "four seconds without room", async || lasting().then_some(())).await;
    assert!(scene.executed().len() <= before + 4, "{} after {before}", scene.executed().len());
    let said = scene.service.process.text();
    let said: Vec<&str> = said.lines().filter(|line| line.contains("WARN") || line.contains("ERROR")).collect();
    let told = said.iter().filter(|line| line.contains("store cannot be written")).count();
    assert!(told == 1 && said.len() <= 8, "{} lines: {said:#?}", said.len());

    scene.disk.clear();
    scene.ready(true, BACK).await;
    scene.executes_more_than(scene.executed().len() + 1, BACK).await;
    assert!(
        scene.service.process.text().contains("store can be written again"),
        "{}",
        scene.service.process.last_words()
    );
    scene.leave();
}
