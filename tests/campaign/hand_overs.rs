//! Hand-overs beneath scripts that last: nobody is disturbed, no line is missing, and the next worker is there soon.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::arguments::Arguments;
use super::oracle::{self, Verdict};
use super::plan::{Delivery, FalsePid, PlannedRun, Shape};
use super::stage::{Stage, api_key, returned};
use super::support::{RunSpec, State, WorkerHome, WorkerOptions, WorkerProcess};
use super::{ours, script, witness};

/// How many workers, each with as many scripts.
const WORKERS: usize = 4;
const SLOTS: usize = 4;
/// What each script does: a line, a pause in milliseconds, a minute in all.
const SHAPE: Shape = Shape::Lines(240, 250);
/// How long a hand-over may take: from the signal until the next worker has taken up the runs and hears the broadcaster.
const AT_MOST: Duration = Duration::from_secs(2);
/// How long anything may take before it is given up.
const DEADLINE: Duration = Duration::from_secs(180);

/// Hands over so many times in all. Whether all was well.
pub async fn campaign(arguments: &Arguments, hand_overs: usize) -> bool {
    let stage = Arc::new(Stage::new(WORKERS).await);
    let mut workers: Vec<(WorkerProcess, PathBuf)> = (0..WORKERS).map(|nth| start(&stage, arguments, nth)).collect();
    let planned = PlannedRun {
        shape: SHAPE,
        kill: None,
        delivery: Delivery::Once,
        disowned: None,
        false_pid: FalsePid::No,
        refused: None,
    };
    for id in 1..=i64::try_from(WORKERS * SLOTS).expect("few runs") {
        let key = api_key(usize::try_from(id).expect("few runs") % WORKERS);
        stage.server.submit(RunSpec::new(script::text(id, SHAPE, &stage.path())).worker(&key));
    }
    let all_run = |state: &State| state.runs.values().all(|run| run.start_dts.is_some());
    assert!(stage.server.holds_within(DEADLINE, all_run).await, "all scripts run");

    let mut took = Vec::new();
    for nth in 0..hand_overs {
        let (worker, binary) = &mut workers[nth % WORKERS];
        renew(binary, &arguments.worker);
        took.push(hand_over(&stage, worker, &api_key(nth % WORKERS)).await);
    }
    let all_ran = stage.server.look(|state| state.runs.values().filter(|run| run.return_dts.is_none()).count());
    let all_over = |state: &State| returned(state) == WORKERS * SLOTS;
    stage.server.holds_within(DEADLINE, all_over).await;

    let mut codes = Vec::new();
    let homes: Vec<Arc<WorkerHome>> = workers.iter().map(|(worker, _)| Arc::clone(worker.home())).collect();
    for (worker, _) in &mut workers {
        worker.sigterm();
        codes.push(worker.ended().await.code());
    }
    let plan = vec![planned; WORKERS * SLOTS];
    let mut history = witness::history(&stage, &homes[0], &plan, Vec::new(), Some(0));
    for home in &homes {
        ours::gone(home).await;
        history.left.extend(witness::left(home, &BTreeSet::new(), &BTreeSet::new(), &BTreeSet::new()));
    }
    history.exit_code = codes.iter().find(|code| **code != Some(0)).copied().unwrap_or(Some(0));
    (history.concurrent_jobs, history.max_attempts) = (WORKERS * SLOTS, 1);
    let violations = oracle::judge(&history);
    violations.iter().for_each(|violation| println!("{violation}"));
    took.sort_unstable();
    let slow = took.iter().filter(|took| **took > AT_MOST).count();
    let at = |part: usize| took.get(took.len() * part / 100).or(took.last()).copied().unwrap_or_default().as_secs_f64();
    println!(
        "hand-overs {}, {slow} took more than {} s: median {:.2} s, 99 of 100 within {:.2} s, the longest {:.2} s; {all_ran} of {} scripts still ran behind the last",
        took.len(),
        AT_MOST.as_secs(),
        at(50),
        at(99),
        at(100),
        plan.len(),
    );
    println!("faults injected {}, runs {}, {}", took.len(), plan.len(), Verdict::of(&violations));
    violations.is_empty() && slow == 0
}

/// A worker whose program can be replaced behind its name.
fn start(stage: &Stage, arguments: &Arguments, nth: usize) -> (WorkerProcess, PathBuf) {
    let binary = stage.path().join(format!("worker-{nth}"));
    renew(&binary, arguments.previous.as_deref().unwrap_or(&arguments.worker));
    let options = WorkerOptions::new(&binary).worker(nth).set("concurrent_jobs", SLOTS);
    (WorkerProcess::start(&stage.server, &options), binary)
}

fn renew(name: &Path, program: &Path) {
    let _ = std::fs::remove_file(name);
    symlink(program, name).expect("a link in our own folder");
}

/// From the signal until the next worker hears the broadcaster, which it does when it has taken up everything.
async fn hand_over(stage: &Stage, worker: &mut WorkerProcess, key: &str) -> Duration {
    let heard = stage.server.look(|state| state.subscribed(key));
    let since = Instant::now();
    worker.signal(Signal::SIGUSR2);
    worker.ended().await;
    worker.restart().await;
    assert!(stage.server.holds_within(DEADLINE, |state| state.subscribed(key) > heard).await, "the next worker works");
    since.elapsed()
}
