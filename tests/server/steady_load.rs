//! Fixture: the server program with a worker whose job is due each second, to see whether anything disturbs it.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use jobrunner::run::{ApiKey, Secret};
use jobrunner::server::domain::model::{Concurrency, Schedule, Worker};
use jobrunner::server::domain::schedule::Cron;
use jobrunner::server::domain::title::Title;
use jobrunner::server::store::NewWorker;
use tempfile::TempDir;

use crate::database;
use crate::port;
use crate::process::Process;
use crate::service::Service;
use crate::stage::Stage;
use crate::wait;
use crate::worker_process::{Make, Place, start_worker};

/// How long anything here may take to happen.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How much memory the server may hold, in KiB.
const MEMORY: u64 = 150 * 1024;

pub struct Scene {
    pub service: Service,
    pub place: Place,
    /// A worker that is in no pool.
    pub greedy: Worker,
    /// The operator's token.
    pub token: String,
    worker: Process,
    folder: TempDir,
}

impl Scene {
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// With settings of its own, which are stronger.
    pub async fn with(settings: &[(&str, &str)]) -> Self {
        Self::prepared(settings, (0, 0)).await
    }

    /// With so many logs of so many bytes each.
    pub async fn with_logs(count: usize, bytes: usize) -> Self {
        Self::prepared(&[], (count, bytes)).await
    }

    async fn prepared(settings: &[(&str, &str)], (logs, bytes): (usize, usize)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        let stage = Stage::with(1, |settings| settings.data = data.clone()).await;
        let record = folder.path().join("record");
        stage
            .job(|new| {
                new.script = format!("echo $JOB_RUNNER_RUN_ID >>{}", record.display());
                new.schedule = Schedule::Cron {
                    expression: Cron::new("* * * * * *").expect("an expression"),
                    zone: chrono_tz::Tz::UTC,
                };
                new.concurrency = Concurrency::Allow;
            })
            .await;
        if logs > 0 {
            let job = stage.job(|new| new.title = Title::fixed("talkative")).await;
            for _ in 0..logs {
                let run = stage.due(&job).await;
                stage.execute(0, run.id, true).await;
                stage.write_log(run.id, &"a line\n".repeat(bytes / 7)).await;
            }
        }
        let api_key = ApiKey::parse("greedy").expect("a key");
        let greedy = NewWorker { title: Title::fixed("greedy"), api_key, secret: Secret::new(b"verysecret".to_vec()) };
        let greedy = stage.store().new_worker(&greedy).await.expect("a worker");
        let token = stage.fixture.app_state().token.expose().to_owned();
        // The data is in a folder of its own.
        drop(stage.fixture.leave().await);
        let place = Place {
            http: SocketAddr::from((Ipv4Addr::LOCALHOST, port::free())),
            events: port::free(),
            broadcaster: port::free(),
        };
        let service = Service::start_with(folder.path(), &data, place, settings);
        let worker = start_worker(Make::Ours, place, "worker1", 4, folder.path());
        let scene = Self { service, place, greedy, token, worker, folder };
        scene.executes(1).await;
        scene
    }

    /// Where everything is; the server's data in `data`.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a template past the server.
    pub fn store_template(&self, id: i64, body: &str) {
        let store = database::Store::of(&self.folder.path().join("data")).connect();
        store.execute("UPDATE job_template SET body = ? WHERE id = ?", [body.to_owned().into(), id.into()]);
    }

    fn executed(&self) -> usize {
        fs::read_to_string(self.folder.path().join("record")).unwrap_or_default().lines().count()
    }

    /// Waits until so many more runs were executed.
    pub async fn executes(&self, more: usize) {
        let wanted = self.executed() + more;
        let wait = async {
            while self.executed() < wanted {
                tokio::task::block_in_place(wait::pause);
                // Without this, the time out would never be looked at.
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("the runs of somebody else");
    }

    fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.service.process.pid())).expect("it lives");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its memory");
        peak.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// The server never held more than it may, and works still.
    pub async fn leave(mut self) {
        assert!(self.resident_kib() < MEMORY, "{} KiB", self.resident_kib());
        self.executes(1).await;
        tokio::task::block_in_place(|| self.service.leave());
        self.worker.signal(nix::sys::signal::Signal::SIGTERM);
        tokio::task::block_in_place(|| self.worker.end_within(30));
    }
}
