//! Crashes of the server, again and again, while its workers work.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant, SystemTime};

use chrono::TimeDelta;
use nix::sys::signal::Signal;

use crate::database::{self, Session};
use crate::full_size::full_size;
use crate::port;
use crate::recorded_runs::RecordedRuns;
use crate::service::Service;
use crate::stage::Stage;
use crate::wait;
use crate::worker_process::{Make, Place, start_worker};

/// How late a start or a result may be, the server's absence included.
const LATE: Duration = Duration::from_secs(10);
/// How long after the last run is due everything must be over.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a process has to leave that is asked to.
const LEAVE_SECONDS: u64 = 30;

/// How much happens.
struct Size {
    runs: u32,
    /// From one due run to the next.
    step: Duration,
    /// From one kill to the next.
    life: Duration,
}

impl Size {
    fn wanted() -> Self {
        if full_size() {
            Self { runs: 500, step: Duration::from_millis(200), life: Duration::from_secs(10) }
        } else {
            Self { runs: 100, step: Duration::from_millis(100), life: Duration::from_secs(2) }
        }
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970")
}

fn returned(store: &Session) -> Vec<i64> {
    store.values("SELECT id FROM run WHERE return_dts IS NOT NULL", [])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_again_and_again_loses_and_doubles_no_run() {
    let size = Size::wanted();
    let stage = Stage::start(2).await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let runs = RecordedRuns::create(&stage, folder.path(), TimeDelta::seconds(3), size.step, size.runs).await;
    let due = &runs.due;
    let data = stage.fixture.leave().await;

    let place = Place {
        http: SocketAddr::from((Ipv4Addr::LOCALHOST, port::free())),
        events: port::free(),
        broadcaster: port::free(),
    };
    let mut service = Service::start(data.path(), &data.path().join("data"), place);
    let (mut born, mut killed) = (Instant::now(), 0);
    let mut workers = ["worker1", "worker2"].map(|key| start_worker(Make::Ours, place, key, 4, folder.path()));
    let store = database::Store::of(&data.path().join("data")).connect();
    let mut results = BTreeMap::new();
    let end = Instant::now() + size.step * size.runs + PATIENCE;
    while results.len() < due.len() {
        if born.elapsed() >= size.life {
            service.kill();
            (born, killed) = (Instant::now(), killed + 1);
        }
        for run in returned(&store) {
            results.entry(run).or_insert_with(now);
        }
        assert!(Instant::now() < end, "{} of {} results", results.len(), due.len());
        tokio::task::block_in_place(wait::pause);
    }
    for worker in &mut workers {
        worker.signal(Signal::SIGTERM);
        tokio::task::block_in_place(|| worker.end_within(LEAVE_SECONDS));
    }

    let executions = runs.executions();
    let count: usize = executions.values().map(Vec::len).sum();
    let mut latest = (Duration::ZERO, Duration::ZERO);
    for (run, due) in due {
        let [executed] = executions[run][..] else { panic!("run {run} was executed at {:?}", executions[run]) };
        let (start, result) = (executed.saturating_sub(*due), results[run].saturating_sub(executed));
        latest = (latest.0.max(start), latest.1.max(result));
    }
    let ask = |question| store.value::<u32>(question, []);
    let rows = ask("SELECT count(*) FROM run");
    let successes = ask("SELECT count(*) FROM run WHERE return_success = 1");
    let attempts = ask("SELECT max(attempt) FROM run");
    println!(
        "{} runs, server killed {killed} times: {count} executions, {} results, the latest start {:?} and the latest result \
         {:?} late",
        size.runs,
        results.len(),
        latest.0,
        latest.1
    );
    assert!(killed >= 4, "killed {} times", killed);
    assert_eq!((count, executions.len()), (due.len(), due.len()));
    assert_eq!((rows, successes, attempts), (size.runs, size.runs, 1));
    assert!(latest.0 <= LATE && latest.1 <= LATE, "{latest:?}");
    tokio::task::block_in_place(|| service.leave());
}
