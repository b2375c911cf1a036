//! Makes the runs of the plan, a window of them at a time, asks for their kills, and announces both badly.

use std::sync::Arc;
use std::time::Duration;

use super::plan::{Delivery, FalsePid, KillTime, PlannedRun};
use super::script;
use super::stage::{API_KEY, Stage, returned};
use super::support::{RunSpec, State};
use super::weather::Weather;

/// How many runs are under way or waiting at once.
const WINDOW: usize = 24;
/// How many runs are made for ten workers that die.
const RUNS_PER_TEN_DEATHS: usize = 14;
/// How long [`KillTime::Later`] is.
const LATER: Duration = Duration::from_millis(400);

/// Makes all runs; answers when the last is made and every kill is asked for.
pub async fn feed(stage: Arc<Stage>, runs: Vec<PlannedRun>, weather: Weather) {
    let mut late: Option<i64> = None;
    let mut kills = Vec::new();
    for (made, planned) in runs.into_iter().enumerate() {
        let room = |state: &State| made < returned(state) + disowned(&stage) + WINDOW && made < allowed(&stage);
        // The campaign ends by itself if the worker does nothing any more.
        while !stage.server.holds_within(Duration::from_secs(1), room).await {}
        let run = make(&stage, &planned, made, &weather);
        deliver(&stage, run, planned.delivery, &mut late);
        if let Some(time) = planned.kill {
            kills.push(tokio::spawn(ask_for_kill(Arc::clone(&stage), run, time)));
        }
    }
    for kill in kills {
        let _ = kill.await;
    }
}

/// Runs are made no faster than workers die, as long as they do: so that a fast machine sees as many deaths.
fn allowed(stage: &Stage) -> usize {
    let seen = stage.seen();
    if seen.is_unpaced { usize::MAX } else { WINDOW + seen.counted("worker SIGKILL") * RUNS_PER_TEN_DEATHS / 10 }
}

/// Those that may never return.
fn disowned(stage: &Stage) -> usize {
    stage.seen().disowned.len()
}

fn make(stage: &Stage, planned: &PlannedRun, nth: usize, weather: &Weather) -> i64 {
    // Its script must know its number: the next one.
    let id = i64::try_from(nth + 1).expect("a number of runs");
    let mut spec = RunSpec::new(script::text(id, planned.shape, &stage.path()));
    let pid = match planned.false_pid {
        FalsePid::No => None,
        FalsePid::Bystander => Some(stage.bystander(nth)),
        FalsePid::Zero => Some(0),
        FalsePid::One => Some(1),
        FalsePid::MinusOne => Some(-1),
    };
    if let Some(pid) = pid {
        spec = spec.run_field("pid", pid.into());
        stage.count("false pid");
    }
    let run = stage.server.add_run(spec);
    assert_eq!(run, id, "runs are numbered from 1");
    if let Some(status) = planned.disowned {
        weather.disown(run, status);
    }
    if let Some(refused) = planned.refused {
        weather.refuse(run, refused, script::lines(planned.shape));
    }
    run
}

fn deliver(stage: &Stage, run: i64, delivery: Delivery, late: &mut Option<i64>) {
    match delivery {
        Delivery::Once => stage.server.announce_to(API_KEY, run),
        Delivery::Repeated(times) => {
            (0..times).for_each(|_| stage.server.announce_to(API_KEY, run));
            stage.count("broadcast repeated");
        }
        Delivery::Late => stage.count("broadcast reordered"),
        Delivery::Dropped => stage.count("broadcast dropped"),
    }
    // Who was late comes behind this one.
    if let Some(before) = late.take() {
        stage.server.announce_to(API_KEY, before);
    }
    if delivery == Delivery::Late {
        *late = Some(run);
    }
}

async fn ask_for_kill(stage: Arc<Stage>, run: i64, time: KillTime) {
    if time == KillTime::Refused {
        let refused =
            |state: &State| state.run(run).return_dts.is_some() || stage.seen().results_refused.contains(&run);
        while !stage.server.holds_within(Duration::from_secs(1), refused).await {}
    } else if time != KillTime::Early {
        let begun = |state: &State| state.run(run).start_dts.is_some();
        while !stage.server.holds_within(Duration::from_secs(1), begun).await {}
    }
    if time == KillTime::Later {
        tokio::time::sleep(LATER).await;
    }
    let kill = stage.server.add_kill(run);
    stage.seen().killed.insert(kill, run);
    stage.server.announce_kill(kill);
}
