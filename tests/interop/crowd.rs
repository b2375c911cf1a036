//! A crowd of workers of both makes, all of which are told of every run.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jobrunner::run::{ApiKey, Order};
use jobrunner::server::domain::model::RunState;
use jobrunner::server::domain::title::Title;
use jobrunner::server::state::AppState;
use jobrunner::server::store::NewJob;
use nix::sys::signal::Signal;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::{block_in_place, spawn_blocking};

use crate::full_size::full_size;
use crate::our_stage::Stage;
use crate::peer::Peer;
use crate::skip::skip;
use crate::slow_line::slow_line;
use crate::stage::tell;
use crate::worker_process::{Make, Place, start_worker};

/// Of each of ours, so that not all is claimed before the others have looked.
const OUR_SLOTS: u32 = 4;
const ORIGINAL_SLOTS: u32 = 8;
/// How short the most calls are: see [`slow_line`]. The original follows one order after another, three calls each,
/// and with calls as long as ours it would come too late to contend.
const OUR_SHORTNESS: i32 = 4;
const ORIGINAL_SHORTNESS: i32 = 40;
const QUICK_RUNS: usize = 100;
const ALL_RUNS: usize = 1_000;
/// How long a worker may take to come or to leave.
const SECONDS: u64 = 120;

/// Whatever one worker is told to run, the others are told at once.
async fn tell_all(app: Arc<AppState>, keys: Vec<ApiKey>) {
    let mut orders = app.orders.carry();
    let mut told = BTreeSet::new();
    loop {
        match orders.recv().await {
            Ok(given) => {
                if let Order::Enqueue(run) = given.order
                    && told.insert(run)
                {
                    let others = keys.iter().filter(|key| **key != given.to);
                    others.for_each(|key| app.orders.send(key.clone(), given.order));
                }
            }
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_all_workers_that_hear_of_a_run_one_executes_it() {
    let Some(peer) = spawn_blocking(Peer::installed).await.expect("an answer") else {
        return skip("no Python 2.7");
    };
    let count = if full_size() { ALL_RUNS } else { QUICK_RUNS };
    let stage = Stage::with(4, |settings| settings.announce_interval = Duration::from_secs(2)).await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let place = Place::of(&stage.fixture);
    let ours = Place { http: slow_line(place.http, OUR_SHORTNESS).await, ..place };
    let original = Place { http: slow_line(place.http, ORIGINAL_SHORTNESS).await, ..place };
    let keys: Vec<ApiKey> = stage.workers.iter().map(|worker| worker.api_key.clone()).collect();
    let mut workers = Vec::new();
    for pair in keys.chunks(2) {
        workers.push(start_worker(Make::Ours, ours, pair[0].as_str(), OUR_SLOTS, folder.path()));
        workers.push(start_worker(Make::Original(peer), original, pair[1].as_str(), ORIGINAL_SLOTS, folder.path()));
    }
    for worker in &stage.workers {
        let answers = async |store: &jobrunner::server::store::Store| {
            store.worker(worker.id).await.unwrap().filter(|worker| worker.ping_response_dts.is_some())
        };
        stage.until("a worker that answers", answers).await;
    }
    let teller = tokio::spawn(tell_all(Arc::clone(stage.fixture.server.app_state()), keys));

    let record = folder.path().join("record");
    let begun = Instant::now();
    let mut runs = Vec::new();
    for number in 0..count {
        let change = |new: &mut NewJob| {
            new.title = Title::new(&format!("job {number}")).unwrap();
            // One short write at the end of the file, so that no two mix.
            new.script = format!("echo {number} >>{}", record.display());
        };
        let job = stage.job(change).await;
        runs.push(stage.due(&job).await.id);
    }
    let mut by = [0; 4];
    for run in runs {
        let over = async |store: &jobrunner::server::store::Store| {
            store.run(run).await.unwrap().filter(|run| run.state() == RunState::Completed)
        };
        let over = stage.until("the end of a run", over).await;
        assert_eq!((over.return_success, over.attempt.0), (Some(true), 1), "{over:?}");
        by[stage.workers.iter().position(|worker| Some(worker.id) == over.worker).expect("one of them")] += 1;
    }
    let took = begun.elapsed();
    for worker in &mut workers {
        worker.signal(Signal::SIGTERM);
    }
    for worker in &mut workers {
        block_in_place(|| worker.end_within(SECONDS));
    }
    let text = fs::read_to_string(&record).expect("a record");
    let mut done: Vec<usize> = text.lines().map(|line| line.parse().expect("a number")).collect();
    let refused: usize = workers.iter().map(|worker| worker.text().matches("Recovering enqueue_actions").count()).sum();
    tell(&format!(
        "{count} runs, each told to four workers: {} executions in {took:?}; ours did {} and {}, the original's {} and \
         {}, which were refused {refused} claims",
        done.len(),
        by[0],
        by[2],
        by[1],
        by[3]
    ));
    done.sort_unstable();
    assert_eq!(done, (0..count).collect::<Vec<_>>());
    assert!(by[0] + by[2] > 0 && by[1] + by[3] > 0, "nobody contended: {by:?}");
    teller.abort();
    stage.fixture.stop().await;
}
