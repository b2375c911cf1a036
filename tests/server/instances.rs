//! Two workers that use one key: the second is refused while the first is alive, and takes its place when it is gone.

use std::fs;
use std::path::Path;
use std::time::Duration;

use jobrunner::server::Settings;
use jobrunner::server::domain::model::{Job, Run, RunState};
use nix::sys::signal::Signal;

use crate::process::Process;
use crate::stage::Stage;
use crate::wait::until;
use crate::worker_process::{Make, Place, start_worker_with};

/// How long a process has to leave that is asked to.
const LEAVE_SECONDS: u64 = 60;
/// What the second worker says.
const REFUSED: &str = "server refuses this worker";
/// The exit code of a worker that hands over.
const HANDED_OVER: i32 = 75;

/// How a worker hears orders, and where its calls go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Broadcast,
    Uplink,
}

fn start_worker(way: Way, stage: &Stage, folder: &Path) -> Process {
    let place = Place::of(&stage.fixture);
    let mut settings = vec![("kill_grace", "1".to_owned())];
    if way == Way::Uplink {
        settings.push(("ws_url", format!("ws://{}/worker", place.http)));
        settings.push(("broadcaster_server_port", "1".to_owned()));
    }
    start_worker_with(Make::Ours, place, "worker1", 4, folder, &settings)
}

/// Workers answer no more often than every five seconds, and may be silent for eight.
fn impatient(settings: &mut Settings) {
    settings.ping_interval = Duration::from_secs(1);
    settings.silent_intervals = 7;
    settings.ping_margin = Duration::from_secs(1);
}

/// A job that writes who executes it, and lasts until it is let go.
async fn lasting(stage: &Stage, record: &Path) -> Job {
    let (record, gate) = (record.display(), record.with_extension("gate").display().to_string());
    let script =
        format!("echo $JOB_RUNNER_RUN_ID $JOB_RUNNER_ATTEMPT >>{record}\nwhile [ ! -e {gate} ]; do sleep 0.1; done");
    stage.job(|job| job.script = script).await
}

fn let_go(record: &Path) {
    fs::write(record.with_extension("gate"), "").expect("a file");
}

fn executions(record: &Path) -> Vec<String> {
    fs::read_to_string(record).unwrap_or_default().lines().map(str::to_owned).collect()
}

async fn begun(stage: &Stage, run: &Run, record: &Path) {
    let begun =
        async |_: &_| executions(record).iter().any(|line| line.starts_with(&format!("{} ", run.id))).then_some(());
    stage.until("the script", begun).await;
}

async fn over(stage: &Stage, run: &Run) -> Run {
    let over = async |store: &jobrunner::server::store::Store| {
        store.run(run.id).await.unwrap().filter(|run| run.state() == RunState::Completed)
    };
    stage.until("the end of a run", over).await
}

/// When the worker last answered a ping.
async fn answered(stage: &Stage) -> Option<chrono::DateTime<chrono::Utc>> {
    let worker = stage.store().worker(stage.worker(0)).await.expect("an answer").expect("a worker");
    worker.ping_response_dts
}

/// Waits until a worker has said something: one that is refused asks every half a minute at last.
fn said(worker: &Process, what: &str) {
    let is_said = || worker.text().contains(what).then_some(());
    tokio::task::block_in_place(|| until(what, LEAVE_SECONDS, is_said));
}

fn end(worker: &mut Process, signal: Signal) -> std::process::ExitStatus {
    worker.signal(signal);
    tokio::task::block_in_place(|| worker.end_within(LEAVE_SECONDS))
}

async fn second_worker_with_the_key_of_one_that_lives(way: Way) {
    let stage = Stage::with(1, impatient).await;
    let (here, there) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let record = here.path().join("record");
    let job = lasting(&stage, &record).await;
    let run = stage.due(&job).await;
    let mut first = start_worker(way, &stage, here.path());
    begun(&stage, &run, &record).await;

    let mut second = start_worker(way, &stage, there.path());
    said(&second, REFUSED);
    // The first goes on answering pings, and the second asking.
    for _ in 0..2 {
        let before = answered(&stage).await;
        let again = async |_: &_| (answered(&stage).await > before).then_some(());
        stage.until("another answer to a ping", again).await;
    }
    assert_eq!(second.text().matches("ERROR").count(), 1, "said once, though it tries on: {}", second.text());
    let now = stage.run(run.id).await;
    assert_eq!((now.state(), now.attempt.0, now.losses), (RunState::Started, 1, 0));
    let_go(&record);
    let done = over(&stage, &run).await;
    assert_eq!((done.return_success, done.attempt.0, done.losses), (Some(true), 1, 0));
    assert_eq!(executions(&record), [format!("{} 1", run.id)]);

    // The first dies: when it has been silent for long enough, the second works in its place.
    end(&mut first, Signal::SIGKILL);
    said(&second, "server takes this worker in place of the other instance");
    if way == Way::Uplink {
        said(&second, "and calls go there too");
    }
    let next = stage.due(&job).await;
    assert_eq!(over(&stage, &next).await.return_success, Some(true));
    // The first comes back, with all that it knows, and is refused now.
    let mut first = start_worker(way, &stage, here.path());
    said(&first, REFUSED);
    assert!(end(&mut second, Signal::SIGTERM).success());
    assert!(end(&mut first, Signal::SIGTERM).success());
    stage.fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_worker_with_one_key_is_refused_and_resets_nothing_until_the_first_is_gone() {
    second_worker_with_the_key_of_one_that_lives(Way::Broadcast).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_worker_that_connects_out_is_refused_too() {
    second_worker_with_the_key_of_one_that_lives(Way::Uplink).await;
}

/// By the default patience the place of a silent worker is free after fifteen minutes: here nobody waits for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_started_again_or_has_left_makes_nobody_wait() {
    let stage = Stage::start(1).await;
    let folder = tempfile::tempdir().expect("a folder");
    let record = folder.path().join("record");
    let job = lasting(&stage, &record).await;
    let run = stage.due(&job).await;
    let mut worker = start_worker(Way::Broadcast, &stage, folder.path());
    begun(&stage, &run, &record).await;
    end(&mut worker, Signal::SIGKILL);
    let mut worker = start_worker(Way::Uplink, &stage, folder.path());
    said(&worker, "and calls go there too");
    assert_eq!(end(&mut worker, Signal::SIGUSR2).code(), Some(HANDED_OVER));
    let mut worker = start_worker(Way::Broadcast, &stage, folder.path());
    let_go(&record);
    let done = over(&stage, &run).await;
    assert_eq!((done.return_success, done.attempt.0, done.losses), (Some(true), 1, 0));
    assert!(end(&mut worker, Signal::SIGTERM).success());
    assert!(!worker.text().contains(REFUSED), "{}", worker.text());

    // It has said that it leaves: another machine takes over at once.
    let elsewhere = tempfile::tempdir().expect("a folder");
    let mut worker = start_worker(Way::Broadcast, &stage, elsewhere.path());
    assert_eq!(over(&stage, &stage.due(&job).await).await.return_success, Some(true));
    assert!(!worker.text().contains(REFUSED), "{}", worker.text());
    assert!(end(&mut worker, Signal::SIGTERM).success());
    stage.fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_whose_state_directory_is_lost_waits_until_its_former_self_is_given_up() {
    let stage = Stage::with(1, impatient).await;
    let folder = tempfile::tempdir().expect("a folder");
    let record = folder.path().join("record");
    let job = lasting(&stage, &record).await;
    let run = stage.due(&job).await;
    let mut worker = start_worker(Way::Broadcast, &stage, folder.path());
    begun(&stage, &run, &record).await;
    end(&mut worker, Signal::SIGKILL);
    // The machine is gone with everything on it.
    let_go(&record);
    fs::remove_dir_all(folder.path().join("worker1.state")).expect("a state directory");
    let stage = stage.restart().await;
    let mut worker = start_worker(Way::Broadcast, &stage, folder.path());
    said(&worker, REFUSED);
    let done = over(&stage, &run).await;
    assert_eq!((done.return_success, done.attempt.0, done.losses), (Some(true), 2, 1));
    // A script sees the server's count: the new worker does not know what the last one began.
    assert_eq!(executions(&record), [format!("{} 1", run.id), format!("{} 2", run.id)]);
    assert!(end(&mut worker, Signal::SIGTERM).success());
    stage.fixture.stop().await;
}
