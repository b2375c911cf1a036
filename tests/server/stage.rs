//! Fixture: a server with a project, a pool, a template and workers, and the steps of a run as a worker makes them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use jobrunner::run::{ApiKey, Attempt, KillId, RunId, Secret};
use jobrunner::server::Settings;
use jobrunner::server::domain::life::{Actor, Patch};
use jobrunner::server::domain::model::{Job, Pool, Run, Template, Worker, WorkerId};
use jobrunner::server::domain::title::Title;
use jobrunner::server::store::changes::{Change, ChangeNotice};
use jobrunner::server::store::{
    NewJob, NewPool, NewProject, NewRun, NewTemplate, NewWorker, RunChange, Store, WorkerAnswer,
};
use rusqlite::types::FromSql;

use crate::database::Session;
use crate::fixture::Fixture;
use crate::subscriber::Subscriber;

/// How long a change may take before a wait for it fails.
const DEADLINE: Duration = Duration::from_secs(20);
/// How often is looked without news.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

pub struct Stage {
    pub fixture: Fixture,
    pub pool: Pool,
    pub template: Template,
    pub workers: Vec<Worker>,
}

impl Stage {
    /// With so many workers, `worker1` and so on.
    pub async fn start(workers: usize) -> Self {
        Self::with(workers, |_| {}).await
    }

    /// With settings of its own. Repeats are quick everywhere.
    pub async fn with(workers: usize, change: impl FnOnce(&mut Settings)) -> Self {
        let fixture = Fixture::with(|settings| {
            settings.announce_interval = Duration::from_millis(200);
            change(settings);
        })
        .await;
        let store = &fixture.app_state().store;
        let mut made = Vec::new();
        for number in 1..=workers {
            made.push(new_worker(store, &format!("worker{number}")).await);
        }
        let workers = made.iter().map(|worker| worker.id).collect();
        let pool = NewPool { workers, ..NewPool::new(Title::fixed("pool")) };
        let pool = store.new_pool(&pool).await.expect("a pool");
        let project = NewProject { pools: vec![pool.id], ..NewProject::new(Title::fixed("project")) };
        let project = store.new_project(&project).await.expect("a project");
        let template = NewTemplate {
            title: Title::fixed("template"),
            body: "#!/bin/sh\n{{ content|safe }}\n".to_owned(),
            project: project.id,
        };
        let template = store.new_template(&template).await.expect("a template");
        Self { fixture, pool, template, workers: made }
    }

    /// The server goes and comes back, with the same data.
    pub async fn restart(self) -> Self {
        Self { fixture: self.fixture.restart().await, ..self }
    }

    pub fn store(&self) -> &Store {
        &self.fixture.app_state().store
    }

    pub fn worker(&self, index: usize) -> WorkerId {
        self.workers[index].id
    }

    /// Makes a job.
    pub async fn job(&self, change: impl FnOnce(&mut NewJob)) -> Job {
        let mut new = NewJob::new(Title::fixed("job"), self.template.id, self.pool.id, "echo hello");
        change(&mut new);
        self.store().new_job(&new).await.expect("a job")
    }

    /// Makes a run that is due now.
    pub async fn due(&self, job: &Job) -> Run {
        self.run_at(job, Utc::now()).await
    }

    pub async fn run_at(&self, job: &Job, at: DateTime<Utc>) -> Run {
        self.store().new_run(&NewRun::due(job.id, at)).await.expect("a run")
    }

    pub async fn subscribe(&self, index: usize) -> Subscriber {
        Subscriber::of(&self.fixture, &self.workers[index].api_key).await
    }

    /// The run as it is now.
    pub async fn run(&self, run: RunId) -> Run {
        self.store().run(run).await.expect("an answer").expect("a run")
    }

    /// A worker changes a run.
    pub async fn change(&self, worker: usize, run: RunId, patch: Patch) -> RunChange {
        self.change_in(worker, run, None, patch).await
    }

    pub async fn change_in(&self, worker: usize, run: RunId, attempt: Option<Attempt>, patch: Patch) -> RunChange {
        let who = Actor::Worker(self.worker(worker), attempt);
        self.store().change_run(run, &patch, who, Utc::now()).await.expect("an answer")
    }

    pub async fn claim(&self, worker: usize, run: RunId) -> RunChange {
        let patch =
            Patch { enqueue_dts: Some(Some(Utc::now())), worker: Some(self.worker(worker)), ..Patch::default() };
        self.change(worker, run, patch).await
    }

    pub async fn begin(&self, worker: usize, run: RunId) {
        let patch = Patch { start_dts: Some(Some(Utc::now())), ..Patch::default() };
        made(self.change(worker, run, patch).await);
    }

    pub async fn finish(&self, worker: usize, run: RunId, success: bool) -> RunChange {
        self.change(worker, run, returned(success)).await
    }

    /// Claimed, started and over.
    pub async fn execute(&self, worker: usize, run: RunId, success: bool) {
        made(self.claim(worker, run).await);
        self.begin(worker, run).await;
        made(self.finish(worker, run, success).await);
    }

    /// Waits until something is there that is looked up after each piece of news, and every so often: not all that is
    /// written down is news.
    pub async fn until<T>(&self, what: &str, mut look: impl AsyncFnMut(&Store) -> Option<T>) -> T {
        let mut news = self.fixture.app_state().changes().subscribe();
        let wait = async {
            loop {
                if let Some(found) = look(self.store()).await {
                    return found;
                }
                if let Ok(heard) = tokio::time::timeout(LOOK_AGAIN, news.next()).await {
                    assert_ne!(heard, ChangeNotice::Closed);
                }
            }
        };
        tokio::time::timeout(DEADLINE, wait).await.unwrap_or_else(|_| panic!("{what} in time"))
    }

    /// The runs of a job that nobody has claimed.
    pub async fn coming(&self, job: &Job) -> Vec<Run> {
        self.store().coming(job.id, 100).await.expect("an answer")
    }

    /// A worker answers a ping.
    pub async fn answer(&self, worker: usize, seats: u32) {
        let answer = WorkerAnswer { at: Some(Utc::now()), slots: Some(seats), ..WorkerAnswer::default() };
        self.store().record_status(self.worker(worker), &answer, Utc::now()).await.expect("an answer");
    }

    /// The reasons that are written down of a job, the oldest first.
    pub async fn reasons(&self, job: &Job) -> Vec<String> {
        let fires = self.store().fires(job.id, 100).await.expect("an answer");
        fires.iter().rev().map(|fire| format!("{:?}: {}", fire.reason.kind(), fire.reason)).collect()
    }

    /// Changes the data as some other part of the server does, which then tells it.
    async fn sql(&self, change: &'static str, id: i64, news: Change) {
        let changed = self.write(move |session| session.execute(change, [id.into()])).await;
        assert_eq!(changed, 1, "{change}");
        self.fixture.app_state().changes().publish(news);
    }

    /// A worker takes a request to kill.
    pub async fn take_kill(&self, kill: KillId) {
        let take = "UPDATE kill_request SET enqueue_dts = 1 WHERE id = ?";
        self.sql(take, kill.get(), Change::KillTaken(kill)).await;
    }

    /// What a request is for, and why.
    pub fn kill(&self, kill: KillId) -> (RunId, String) {
        let session = self.connect();
        let run = session.value("SELECT run FROM kill_request WHERE id = ?", [kill.get().into()]);
        let cause = session.value("SELECT cause FROM kill_request WHERE id = ?", [kill.get().into()]);
        (RunId::new(run).expect("a run"), cause)
    }

    pub async fn disable(&self, job: &Job) {
        self.sql("UPDATE job SET enqueue_is_enabled = 0 WHERE id = ?", job.id.get(), Change::JobChanged(job.id)).await;
    }

    pub async fn enable(&self, job: &Job) {
        self.sql("UPDATE job SET enqueue_is_enabled = 1 WHERE id = ?", job.id.get(), Change::JobChanged(job.id)).await;
    }

    pub async fn disable_worker(&self, worker: usize) {
        let disable = "UPDATE worker SET enqueue_is_enabled = 0 WHERE id = ?";
        self.sql(disable, self.worker(worker).get(), Change::CatalogueChanged).await;
    }

    /// A job is another from now on.
    pub async fn change_job(&self, job: &Job, change: &'static str) {
        self.sql(change, job.id.get(), Change::JobChanged(job.id)).await;
    }

    /// A run that waits for its time is due.
    pub async fn make_due(&self, run: &Run) {
        self.sql("UPDATE run SET schedule_dts = 1 WHERE id = ?", run.id.get(), Change::RunScheduled(run.id)).await;
    }

    /// Many workers with a slot each, and many jobs that run every day, some of them due now.
    pub async fn fill(&self, workers: usize, jobs: usize, due: usize) {
        let fill = format!(
            "BEGIN;
             CREATE TEMP TABLE n AS WITH RECURSIVE n (i) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < {jobs}) SELECT i FROM n;
             INSERT INTO worker (title, api_key, secret, concurrent_jobs) SELECT 'w' || i, 'w' || i, 'secret', 1 FROM n WHERE i <= {workers};
             INSERT INTO pool_worker SELECT {pool}, id FROM worker;
             INSERT INTO job (job_template, worker_pool, title, script_content_partial, script_content, reschedule_interval, reschedule_interval_type)
                 SELECT {template}, {pool}, 'job' || i, '', '', 1, 'DAY' FROM n;
             INSERT INTO run (job, schedule_id, schedule_dts, plan)
                 SELECT id, id, CASE WHEN id <= {due} THEN 1 ELSE 4000000000000000 END, 'every 1 Day in Europe/Amsterdam' FROM job;
             COMMIT;",
            pool = self.pool.id,
            template = self.template.id,
        );
        self.write(move |session| session.batch(&fill)).await;
    }

    /// How many results came too late.
    pub fn late_results(&self, run: RunId) -> i64 {
        self.ask("SELECT count(*) FROM late_result WHERE run = ?", run)
    }

    /// The log of a run; empty if there is none.
    pub async fn log(&self, run: RunId) -> String {
        self.store().log_text(run).await.expect("an answer").unwrap_or_default()
    }

    pub async fn write_log(&self, run: RunId, content: &str) {
        let content = content.to_owned();
        self.write(move |session| {
            session.execute("INSERT INTO run_log (run) VALUES (?)", [run.get().into()]);
            write_log(session, run.get(), &content);
        })
        .await;
    }

    pub fn ask<T: FromSql>(&self, question: &str, run: RunId) -> T {
        self.connect().value(question, [run.get().into()])
    }

    pub fn connect(&self) -> Session {
        self.fixture.connect()
    }

    pub async fn write<T: Send + 'static>(&self, change: impl FnOnce(&Session) -> T + Send + 'static) -> T {
        self.fixture.write(change).await
    }

    /// Makes a run that somebody asked for.
    pub async fn manual(&self, job: &Job) -> Run {
        let new = NewRun { is_manual: true, ..NewRun::due(job.id, Utc::now()) };
        self.store().new_run(&new).await.expect("a run")
    }
}

pub async fn new_worker(store: &Store, key: &str) -> Worker {
    let new = NewWorker {
        title: Title::new(key).expect("a title"),
        api_key: ApiKey::parse(key).expect("a key"),
        secret: Secret::new(b"verysecret".to_vec()),
    };
    store.new_worker(&new).await.expect("a worker")
}

/// What a worker says when a run is over.
pub fn returned(success: bool) -> Patch {
    Patch { return_dts: Some(Some(Utc::now())), return_success: Some(Some(success)), ..Patch::default() }
}

/// The run after a change that must have been made.
pub fn made(change: RunChange) -> Run {
    match change {
        RunChange::Made(changed) => changed.run,
        other => panic!("{other:?}"),
    }
}

/// Writes the text of a log that has none.
pub fn write_log(session: &Session, run: i64, content: &str) {
    let ends = content.matches('\n').count() as i64;
    let is_unended = !content.is_empty() && !content.ends_with('\n');
    let length = "UPDATE run_log SET bytes = ?, newlines = ?, unended = ? WHERE run = ?";
    session.execute(length, [(content.len() as i64).into(), ends.into(), is_unended.into(), run.into()]);
    let text = "INSERT INTO log_chunk (log, start, newlines, data) SELECT id, 0, 0, ? FROM run_log WHERE run = ?";
    session.execute(text, [content.as_bytes().to_vec().into(), run.into()]);
}
