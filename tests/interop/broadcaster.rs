//! The broadcaster dies or freezes, and comes back: the worker is subscribed again.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::database::NewJob;
use crate::stage::{Stage, on_stage, tell};
use crate::wait::{pause, until};
use crate::worker::{SECRET, Worker};

/// Seconds without a message until the worker connects anew; a ping comes every 2 s.
const INACTIVITY: u64 = 3;

fn worker(stage: &Stage) -> Worker {
    stage.database.add_worker("one", SECRET, &["one"]);
    stage.ready_worker("one", &[("reconnect_after_inactivity", INACTIVITY.to_string())])
}

/// The run is claimed within some seconds from now; how long it took.
fn claimed(stage: &Stage, run: u64, seconds: u64) -> Duration {
    let since = Instant::now();
    until("the run is claimed", seconds, || stage.database.picture().run(run).enqueue_dts.clone());
    since.elapsed()
}

#[test]
fn subscribed_again_after_the_broadcaster_was_killed() {
    on_stage(|stage| {
        let _worker = worker(stage);
        let mut killed = stage.broadcaster.take().expect("it runs");
        killed.signal(Signal::SIGKILL);
        killed.end_within(10);
        let run = stage.database.add_run(&NewJob::new("meanwhile", "#!/bin/sh\ntrue\n", "one"));
        stage.restart_broadcaster();
        let took = claimed(stage, run, 20);
        tell(&format!("broadcaster killed and back: a run claimed {took:?} after it listens"));
        assert_eq!(stage.returned(&[run], 30).run(run).return_success, Some(true));
    });
}

#[test]
fn subscribed_again_after_the_broadcaster_was_frozen() {
    on_stage(|stage| {
        let _worker = worker(stage);
        let broadcaster = stage.broadcaster.as_ref().expect("it runs");
        broadcaster.signal(Signal::SIGSTOP);
        let run = stage.database.add_run(&NewJob::new("meanwhile", "#!/bin/sh\ntrue\n", "one"));
        // Long enough for the worker to give its silent connection up, twice.
        pause(Duration::from_secs(2 * INACTIVITY + 1));
        broadcaster.signal(Signal::SIGCONT);
        let took = claimed(stage, run, 20);
        tell(&format!("broadcaster frozen and back: a run claimed {took:?} after it goes on"));
        assert_eq!(stage.returned(&[run], 30).run(run).return_success, Some(true));
    });
}
