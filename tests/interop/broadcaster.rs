//! The broadcaster dies or freezes, and comes back: the worker is subscribed again.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::original_database::NewJob;
use crate::relay::Relay;
use crate::stage::{Stage, on_stage, tell};
use crate::wait::until;
use crate::worker::{SECRET, Worker};

/// Seconds without a message until the worker connects anew; a ping comes every 2 s.
const INACTIVITY: u64 = 3;

/// What it says then, as the original does.
const GIVEN_UP: &str = "no activity from the broadcaster; reconnecting";

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
        let worker = worker(stage);
        let broadcaster = stage.broadcaster.as_ref().expect("it runs");
        broadcaster.signal(Signal::SIGSTOP);
        let given_up = worker.said(GIVEN_UP);
        let run = stage.database.add_run(&NewJob::new("meanwhile", "#!/bin/sh\ntrue\n", "one"));
        until("the worker gives its silent connection up, twice", 60, || {
            (worker.said(GIVEN_UP) >= given_up + 2).then_some(())
        });
        broadcaster.signal(Signal::SIGCONT);
        let took = claimed(stage, run, 20);
        tell(&format!("broadcaster frozen and back: a run claimed {took:?} after it goes on"));
        assert_eq!(stage.returned(&[run], 30).run(run).return_success, Some(true));
    });
}

#[test]
fn subscribed_again_after_the_connection_fell_silent() {
    on_stage(|stage| {
        stage.database.add_worker("one", SECRET, &["one"]);
        let relay = Relay::to(stage.ports.broadcaster);
        let changes = [
            ("broadcaster_server_port", relay.port().to_string()),
            ("reconnect_after_inactivity", INACTIVITY.to_string()),
        ];
        let _worker = stage.ready_worker("one", &changes);
        let connections = relay.connections();
        // Nothing arrives and nothing fails: the connection looks as good as before.
        relay.silence();
        let run = stage.database.add_run(&NewJob::new("meanwhile", "#!/bin/sh\ntrue\n", "one"));
        let took = claimed(stage, run, 20);
        tell(&format!("connection to the broadcaster silent: a run claimed {took:?} later (patience {INACTIVITY} s)"));
        assert!(relay.connections() > connections, "claimed without a new connection");
        assert_eq!(stage.returned(&[run], 30).run(run).return_success, Some(true));
    });
}
