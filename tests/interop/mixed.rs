//! The original worker, as it was released, works for our server.

use std::fs;
use std::path::Path;

use chrono::Utc;
use jobrunner::run::RunId;
use jobrunner::server::domain::model::{Asker, Concurrency, Job, Retry, Run, RunExit, RunState};
use jobrunner::server::domain::title::Title;
use jobrunner::server::store::{NewJob, NewTemplate, Store};
use nix::sys::signal::Signal;
use tokio::runtime::Handle;
use tokio::task::{block_in_place, spawn_blocking};

use crate::feed::Feed;
use crate::our_stage::Stage;
use crate::peer::Peer;
use crate::process::Process;
use crate::repertoire::{Kind, kinds};
use crate::skip::skip;
use crate::wait::until;
use crate::worker_process::{Make, Place, start_worker};

const SLOTS: u32 = 8;
/// What the original worker does not do, for whichever server.
const NOT_THE_ORIGINAL_S: [&str; 4] = ["orphan", "binary", "character at the cut", "carriage return"];
/// What no worker is given: our server refuses a job without a script that can be started.
const REFUSED: [&str; 2] = ["no shebang", "empty script"];
/// How many runs are killed. They have one process each: of several the original kills the children first, and their
/// parent may see that and end as it likes.
const KILLED: usize = 4;
/// How many runs there are.
const RUNS: usize = 46;
/// How long anything may take.
const SECONDS: u64 = 120;

/// The jobs and what is known of their runs.
struct Work<'a> {
    stage: &'a Stage,
    feed: &'a Feed,
}

impl Work<'_> {
    async fn job(&self, title: &str, script: &str, change: impl FnOnce(&mut NewJob)) -> Job {
        let change = |new: &mut NewJob| {
            (new.title, new.script) = (Title::new(title).expect("a title"), script.to_owned());
            change(new);
        };
        self.stage.job(change).await
    }

    /// Looks until there is what was looked for; not everything in a row of the store is news.
    fn look<T>(&self, what: &str, look: impl AsyncFn(&Store) -> Option<T>) -> T {
        block_in_place(|| until(what, SECONDS, || Handle::current().block_on(look(self.stage.store()))))
    }

    /// Every run of the jobs, in the order in which they were made.
    async fn runs(&self) -> Vec<Run> {
        let mut runs = Vec::new();
        // Some are not there any more: those that became one run of each worker.
        for id in 1..=2 * RUNS as i64 {
            runs.extend(self.stage.store().run(RunId::new(id).expect("a run")).await.expect("an answer"));
        }
        runs
    }

    /// What is wrong with a run.
    async fn faults(&self, kind: &Kind, run: RunId) -> Vec<String> {
        let row = self.stage.run(run).await;
        let mut faults = Vec::new();
        let mut must = |holds: bool, what: String| {
            if !holds {
                faults.push(format!("{}: {what}", kind.name));
            }
        };
        must(row.return_success == Some(kind.success), format!("success is {:?}", row.return_success));
        must(row.enqueue_dts.is_some() && row.start_dts.is_some(), format!("no times in {row:?}"));
        must(row.pid.is_some() == kind.spawns, format!("pid is {:?}", row.pid));
        let log = kind.log.check(&self.stage.log(run).await);
        must(log.is_ok(), format!("log: {}", log.err().unwrap_or_default()));
        faults
    }
}

async fn all_kinds(work: &Work<'_>, folder: &Path) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut made = Vec::new();
    let folders = ["one", "two"].map(|name| folder.join(name));
    for folder in &folders {
        fs::create_dir(folder).expect("a folder");
        let is_done =
            |kind: &Kind| !kind.killed && !NOT_THE_ORIGINAL_S.contains(&kind.name) && !REFUSED.contains(&kind.name);
        for kind in kinds(folder).into_iter().filter(is_done) {
            let title = format!("{} {}", kind.name, folder.display());
            let job = work.job(&title, &kind.script, |_| {}).await;
            made.push((work.stage.due(&job).await.id, kind));
        }
    }
    for (run, kind) in &made {
        work.look(kind.name, async |store| store.run(*run).await.unwrap()?.return_dts);
        wrong.extend(work.faults(kind, *run).await);
    }
    wrong
}

/// Runs that are killed in their midst.
async fn all_kills(work: &Work<'_>, folder: &Path) {
    let script = format!("#!/bin/sh\necho sleeping\n: >{}/$$\nexec sleep 600\n", folder.display());
    let doomed = work.job("doomed", &script, |new| new.concurrency = Concurrency::Allow).await;
    let mut runs = Vec::new();
    for _ in 0..KILLED {
        runs.push(work.stage.due(&doomed).await.id);
    }
    for run in runs {
        let pid = work.look("a pid", async |store| store.run(run).await.unwrap()?.pid);
        work.look("it sleeps", async |_| folder.join(pid.to_string()).exists().then_some(()));
        let kill = work
            .stage
            .store()
            .end_run(run, Asker::Client, Utc::now())
            .await
            .expect("an answer")
            .expect("a run")
            .request
            .expect("a request")
            .id;
        let over = work.look("its end", async |store| {
            store.run(run).await.unwrap().filter(|run| run.state() == RunState::Completed)
        });
        assert_eq!((over.return_success, over.exit), (Some(false), Some(RunExit::Killed)));
        assert_eq!(work.stage.log(run).await, "sleeping\n");
        work.look("the end of the kill", async |store| store.kill(kill).await.unwrap()?.execute_dts);
        let told = || work.feed.of_kill_request(kill.get().cast_unsigned());
        work.look("all is told of the kill", async |_| (told() == ["enqueued", "executed"]).then_some(()));
    }
}

/// A chain, a parent that fails, a run of every worker, a retry, one that runs too long, one by hand. Answers with
/// how the runs of each must end.
async fn all_courses(work: &Work<'_>) -> Vec<(Job, Vec<bool>)> {
    const WELL: &str = "#!/bin/sh\necho well\n";
    const BADLY: &str = "#!/bin/sh\nexit 3\n";
    let parent = work.job("parent", WELL, |_| {}).await;
    let child = work.job("child", WELL, |new| new.parent = Some(parent.id)).await;
    let grandchild = work.job("grandchild", WELL, |new| new.parent = Some(child.id)).await;
    let bad = work.job("bad", BADLY, |_| {}).await;
    let orphan = work.job("its child", WELL, |new| new.parent = Some(bad.id)).await;
    let everywhere = work.job("everywhere", WELL, |new| new.run_on_all_workers = true).await;
    let retried = work.job("retried", BADLY, |new| new.retry = Retry { times: 1, backoff: 1 }).await;
    let endless = work.job("endless", "#!/bin/sh\nsleep 600\n", |new| new.run_timeout = Some(1)).await;
    let by_hand = work.job("by hand", WELL, |_| {}).await;
    work.stage.disable(&by_hand).await;
    for job in [&parent, &bad, &everywhere, &retried, &endless] {
        work.stage.due(job).await;
    }
    work.stage.manual(&by_hand).await;
    vec![
        (parent, vec![true]),
        (child, vec![true]),
        (grandchild, vec![true]),
        (bad, vec![false]),
        (orphan, vec![]),
        (everywhere, vec![true]),
        (retried, vec![false, false]),
        (endless, vec![false]),
        (by_hand, vec![true]),
    ]
}

/// Asked to leave, it does what it has begun, and nothing new.
async fn drained(work: &Work<'_>, folder: &Path, worker: &mut Process) {
    let release = folder.join("release");
    let script = format!(
        "#!/bin/bash\nfor i in $(seq 600); do [ -e {} ] && break; sleep 0.1; done\necho end\n",
        release.display()
    );
    let last = work.job("last", &script, |_| {}).await;
    let last = work.stage.due(&last).await.id;
    work.look("the last run", async |store| store.run(last).await.unwrap()?.pid);
    worker.signal(Signal::SIGTERM);
    let late = work.job("late", "#!/bin/sh\ntrue\n", |_| {}).await;
    block_in_place(|| {
        until("the wish is heard", SECONDS, || worker.text().contains("going to terminate").then_some(()))
    });
    let late = work.stage.due(&late).await.id;
    fs::write(&release, "").expect("a file");
    block_in_place(|| worker.end_within(SECONDS));
    assert_eq!(work.stage.run(last).await.return_success, Some(true));
    assert_eq!(work.stage.log(last).await, "end\n");
    assert_eq!(work.stage.run(late).await.state(), RunState::Scheduled, "claimed after it was asked to leave");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_original_worker_does_mixed_runs_for_our_server() {
    let Some(peer) = spawn_blocking(Peer::installed).await.expect("an answer") else {
        return skip("no Python 2.7");
    };
    let mut stage = Stage::start(1).await;
    // Scripts bring the first line that they have, or not.
    let bare = NewTemplate {
        title: Title::fixed("bare"),
        body: "{{ content|safe }}".to_owned(),
        project: stage.template.project,
    };
    stage.template = stage.store().new_template(&bare).await.expect("a template");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let feed = block_in_place(|| Feed::open(stage.fixture.websocket().port()));
    let work = Work { stage: &stage, feed: &feed };
    let mut worker = start_worker(Make::Original(peer), Place::of(&stage.fixture), "worker1", SLOTS, folder.path());
    let answered = work.look("an answer to a ping", async |store| {
        let row = store.worker(stage.worker(0)).await.unwrap()?;
        row.ping_response_dts.is_some().then_some((row.worker_version, row.concurrent_jobs))
    });
    assert_eq!(answered, (Some("2.1.2".to_owned()), Some(SLOTS)));

    let courses = all_courses(&work).await;
    all_kills(&work, folder.path()).await;
    let mut wrong = all_kinds(&work, folder.path()).await;
    for (job, outcomes) in &courses {
        let ended = async |_: &Store| {
            let runs: Vec<Run> = work.runs().await.into_iter().filter(|run| run.job == job.id).collect();
            (runs.len() >= outcomes.len() && runs.iter().all(|run| run.return_dts.is_some())).then_some(runs)
        };
        let runs = work.look(&job.title, ended);
        let ends: Vec<Option<bool>> = runs.iter().map(|run| run.return_success).collect();
        if ends != outcomes.iter().copied().map(Some).collect::<Vec<_>>() {
            wrong.push(format!("{}: {ends:?}", job.title));
        }
    }
    drained(&work, folder.path(), &mut worker).await;

    let runs: Vec<Run> = work.runs().await.into_iter().filter(|run| run.return_dts.is_some()).collect();
    for run in &runs {
        let of = || feed.of_run(run.id.get().cast_unsigned());
        work.look("all is told of a run", async |_| of().last().is_some_and(|last| last == "returned").then_some(()));
        if of() != ["enqueued", "started", "returned"] || run.attempt.0 != 1 {
            wrong.push(format!("{run:?} was told as {:?}", of()));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(runs.len(), RUNS);
    stage.fixture.stop().await;
}
