//! The campaign against our worker.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::arguments::Arguments;
use super::chaos::Chaos;
use super::oracle::{self, Verdict, Violation};
use super::plan::Plan;
use super::small_disk::SmallDisk;
use super::stage::{Stage, returned};
use super::support::{Call, KillRow, State, WorkerHome, WorkerOptions, WorkerProcess};
use super::weather::Weather;
use super::{feeder, noise, shims, witness};

/// The size of the worker's disk, in megabytes.
const DISK: usize = 24;
/// How many runs at once.
const SLOTS: usize = 8;
/// How much room the state directory must have, in bytes.
const MIN_FREE: u32 = 4 << 20;
/// After how many lost executions a run is failed: the worker's default.
const MAX_ATTEMPTS: u32 = 3;
/// How long after the last fault every claimed run must have returned.
const SETTLING: Duration = Duration::from_secs(60);
/// How long a drained worker may take to be gone.
const LEAVING: Duration = Duration::from_secs(40);
/// Which part of the runs one worker lives through at the end: one fifth.
const ENDURED: usize = 5;

/// Runs it, prints what came of it, and answers whether all was well.
pub async fn campaign(arguments: &Arguments) -> bool {
    let since = Instant::now();
    let mut plan = Plan::new(arguments.seed, arguments.runs);
    let stage = Arc::new(Stage::new(1).await);
    let weather = Weather::new(plan.weather.clone());
    let home = WorkerHome::new(&stage.server, &options(&stage, arguments));
    let disk = SmallDisk::mount(&home.state_path(), DISK);
    let mut chaos = Chaos::begin(Arc::clone(&stage), weather.clone(), Arc::clone(&home), plan.noise.fork());
    {
        let (stage, weather, home) = (Arc::downgrade(&stage), weather.clone(), home.path().to_owned());
        let on = move |call: &Call| {
            let stage = stage.upgrade()?;
            note_survivors(&stage, &home, call);
            weather.on(&stage, call)
        };
        chaos.set_weather(on);
    }
    let feeding = tokio::spawn(feeder::feed(Arc::clone(&stage), plan.runs.clone(), weather.clone()));
    let making_noise = tokio::spawn(noise::make(Arc::clone(&stage), plan.noise.clone()));

    chaos.rage(&mut plan, arguments.runs - arguments.runs / ENDURED).await;
    let sizes = chaos.endure(arguments.runs).await;
    making_noise.abort();
    weather.calm();
    let settled = settle(&stage).await;
    feeding.abort();
    let _ = feeding.await;
    chaos.worker.sigterm();
    let left = tokio::time::timeout(LEAVING, chaos.worker.ended()).await;
    chaos.read_dead();
    gone(&home).await;

    let exit_code = left.ok().and_then(|status| status.code());
    let mut history = witness::history(&stage, &home, &plan.runs, sizes, exit_code);
    (history.concurrent_jobs, history.max_attempts) = (SLOTS, MAX_ATTEMPTS);
    let complaints = std::mem::take(&mut chaos.complaints);
    drop(chaos);
    let _ = making_noise.await;
    let mut stage = Arc::into_inner(stage).expect("nobody else is on the stage any more");
    history.bystanders_gone = stage.bystanders_gone();
    let violations = oracle::judge(&history);
    report(&stage, arguments, &violations, &complaints, settled, since.elapsed());
    drop(disk);
    if arguments.keep || !violations.is_empty() {
        let kept = stage.keep();
        let _ = std::fs::copy(home.log_path(), kept.join("worker.log"));
        println!("traces and logs: {}", kept.display());
    }
    violations.is_empty() && complaints.is_empty()
}

fn options(stage: &Stage, arguments: &Arguments) -> WorkerOptions {
    let api = format!("http://{}/", stage.server.api().address);
    let options = WorkerOptions::new(&arguments.worker)
        .set("api_base_url", api)
        .set("concurrent_jobs", SLOTS)
        .set("max_attempts", MAX_ATTEMPTS)
        .set("max_log_bytes", 65_536)
        .set("log_update_interval", "0.2")
        .set("api_timeout", 2)
        .set("linger", "0.3")
        .set("leftovers", if arguments.seed.is_multiple_of(2) { "keep" } else { "stop" })
        .set("reconnect_after_inactivity", 3)
        .set("min_free_bytes", MIN_FREE)
        .env(jobrunner::crash_point::VARIABLE, stage.crash_points());
    if arguments.verbose { options.echo() } else { options }
}

/// Looks who lives of a run at the moment at which the server hears that it was killed.
fn note_survivors(stage: &Stage, home: &std::path::Path, call: &Call) {
    let id = call.path.strip_prefix("/api/v1/kill_request/").and_then(|rest| rest.strip_suffix('/')?.parse().ok());
    let Some(kill): Option<i64> = id.filter(|_| call.sets("execute_dts")) else { return };
    let Some(run) = stage.seen().killed.get(&kill).copied() else { return };
    let alive = witness::alive(home, run);
    stage.seen().survivors.entry(kill).or_default().extend(alive);
}

/// Waits until every run has returned and every kill is executed. Whether that came in time.
async fn settle(stage: &Stage) -> bool {
    let (disowned, lost) = {
        let seen = stage.seen();
        (seen.disowned.clone(), seen.kills_forgotten.clone())
    };
    let all = move |state: &State| {
        let runs = state.runs.values().all(|run| run.return_dts.is_some() || disowned.contains(&run.id));
        let is_over = |kill: &KillRow| kill.execute_dts.is_some() || lost.contains(&kill.id);
        let kills = state.kills.values().all(|kill| is_over(kill) || disowned.contains(&kill.run));
        runs && kills
    };
    stage.server.holds_within(SETTLING, all).await
}

/// Waits until nobody but the worker itself and its shims is there.
pub async fn gone_with(worker: &WorkerProcess) {
    let home = worker.home();
    let may_stay = |pid: i32| Some(pid) == worker.id() || shims::living(home).contains(&pid);
    // There is nothing to wait on: they are nobody's children, or somebody else's.
    while home.processes().into_iter().any(|pid| !may_stay(pid)) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until nobody of the worker is there, no longer than it may take.
pub async fn gone(home: &WorkerHome) {
    // As long as a daemon that may be left behind.
    let until = Instant::now() + Duration::from_secs(35);
    // There is nothing to wait on: they are nobody's children, or somebody else's.
    while !home.processes().is_empty() && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn report(
    stage: &Stage,
    arguments: &Arguments,
    violations: &[Violation],
    complaints: &[String],
    settled: bool,
    took: Duration,
) {
    let seen = stage.seen();
    for (name, count) in &seen.faults {
        println!("{count:7} {name}");
    }
    let runs = stage.server.look(returned);
    let (returned, made) = (runs, arguments.runs);
    println!(
        "seed {}, {returned} of {made} runs returned, {} disowned by the server, {:.0} s{}",
        arguments.seed,
        seen.disowned.len(),
        took.as_secs_f64(),
        if settled { "" } else { "; not all of them in time" }
    );
    for complaint in complaints {
        println!("{complaint}");
    }
    for violation in violations {
        println!("{violation}");
    }
    println!(
        "worker SIGKILLs {}, shim SIGKILLs {}, hand-overs {} (the longest {:.1} s)",
        seen.counted("worker SIGKILL"),
        seen.counted("shim SIGKILL"),
        seen.counted("hand-over"),
        seen.hand_overs.iter().max().copied().unwrap_or_default().as_secs_f64()
    );
    let all: usize = seen.faults.values().sum();
    println!("faults injected {all}, runs {made}, {}", Verdict::of(violations));
}
