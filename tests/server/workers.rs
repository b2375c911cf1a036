//! Workers against our server: ours, and the original.

use jobrunner::server::domain::model::{Job, Run, RunState};
use jobrunner::server::domain::title::Title;
use nix::sys::signal::Signal;

use crate::peer::Peer;
use crate::skip::skip;
use crate::stage::Stage;
use crate::worker_process::{Make, Place, start_worker};

/// How long a worker has to leave.
const DRAIN_SECONDS: u64 = 60;

async fn over(stage: &Stage, run: &Run) -> Run {
    let over = async |store: &jobrunner::server::store::Store| {
        store.run(run.id).await.unwrap().filter(|run| run.state() == RunState::Completed)
    };
    stage.until("the end of a run", over).await
}

/// Due runs, one after another and side by side, a failure, a child, a kill in mid-run, a ping, a drain.
async fn work(make: Make) {
    let stage = Stage::start(1).await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let job = async |title: &str, script: &str, parent: Option<&Job>| {
        let change = |new: &mut jobrunner::server::store::NewJob| {
            (new.title, new.script, new.parent) =
                (Title::new(title).expect("a title"), script.to_owned(), parent.map(|parent| parent.id));
        };
        stage.job(change).await
    };
    let hello = job("hello", "echo hello", None).await;
    let child = job("child", "echo child", Some(&hello)).await;
    let fails = job("fails", "echo no; exit 3", None).await;
    let runs = [stage.due(&hello).await, stage.due(&hello).await, stage.due(&fails).await];
    let mut worker = start_worker(make, Place::of(&stage.fixture), "worker1", 2, folder.path());
    for (run, success, log) in [(&runs[0], true, "hello\n"), (&runs[1], true, "hello\n"), (&runs[2], false, "no\n")] {
        let over = over(&stage, run).await;
        assert_eq!((over.return_success, over.attempt.0), (Some(success), 1));
        assert_eq!(stage.log(run.id).await, log);
    }
    stage
        .until("both children", async |store| {
            let coming = store.coming(child.id, 9).await.unwrap();
            let id = runs[2].id.get() + 1..=runs[2].id.get() + 2;
            let mut done = 0;
            for id in id {
                let run = store.run(jobrunner::run::RunId::new(id).unwrap()).await.unwrap();
                done += usize::from(run.is_some_and(|run| run.job == child.id && run.return_success == Some(true)));
            }
            (coming.is_empty() && done == 2).then_some(())
        })
        .await;
    let endless = stage
        .job(|new| {
            (new.title, new.script, new.run_timeout) = (Title::fixed("endless"), "sleep 600".to_owned(), Some(1))
        })
        .await;
    let killed = over(&stage, &stage.due(&endless).await).await;
    assert_eq!(
        (killed.return_success, killed.exit),
        (Some(false), Some(jobrunner::server::domain::model::RunExit::TimedOut))
    );
    let answered = stage.store().worker(stage.worker(0)).await.unwrap().unwrap();
    assert_eq!((answered.ping_response_dts.is_some(), answered.concurrent_jobs), (true, Some(2)));
    worker.signal(Signal::SIGTERM);
    tokio::task::spawn_blocking(move || worker.end_within(DRAIN_SECONDS)).await.expect("the end of the worker");
    stage.fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_worker_executes_what_the_server_says() {
    work(Make::Ours).await;
}

/// As it was released, Python 2.7 and all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_original_worker_executes_what_the_server_says() {
    let Some(peer) = tokio::task::spawn_blocking(Peer::installed).await.expect("an answer") else {
        return skip("no Python 2.7, so the original worker does nothing for our server");
    };
    work(Make::Original(peer)).await;
}
