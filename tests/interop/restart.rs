//! The worker dies and comes back; the runs do not notice, the server is told once.

use std::time::Instant;

use crate::family::Family;
use crate::original_database::NewJob;
use crate::stage::{Stage, on_stage, tell};
use crate::wait::until;
use crate::worker::SECRET;

/// Schedules a job and waits for its return: whatever was announced before is dealt with then.
fn settle(stage: &Stage, title: &str) {
    let run = stage.database.add_run(&NewJob::new(title, "#!/bin/sh\ntrue\n", "one"));
    stage.returned(&[run], 30);
}

#[test]
fn three_runs_outlive_a_killed_worker() {
    on_stage(|stage| {
        stage.database.add_worker("one", SECRET, &["one"]);
        let worker = stage.ready_worker("one", &[]);
        let family = Family::schedule(stage, &["a", "b", "c"]);
        let before = family.started(stage);

        worker.crash();
        family.is_undisturbed(stage, &before);
        let _worker = stage.ready_worker("one", &[]);
        settle(stage, "settled");
        family.is_undisturbed(stage, &before);

        Family::release(stage);
        family.returned_once(stage);
    });
}

#[test]
fn runs_that_end_while_the_worker_is_down_return_once() {
    on_stage(|stage| {
        stage.database.add_worker("one", SECRET, &["one"]);
        let worker = stage.ready_worker("one", &[]);
        let family = Family::schedule(stage, &["a", "b"]);
        let started = family.started(stage);
        worker.crash();
        Family::release(stage);
        family.ended(&started);

        let _worker = stage.ready_worker("one", &[]);
        settle(stage, "settled");
        family.returned_once(stage);
    });
}

#[test]
fn a_worker_hands_its_runs_over() {
    on_stage(|stage| {
        stage.database.add_worker("one", SECRET, &["one"]);
        let mut worker = stage.ready_worker("one", &[]);
        let family = Family::schedule(stage, &["a", "b", "c"]);
        // This one prints while nobody listens.
        let gap = stage.file("gap");
        let script = format!(
            "#!/usr/bin/env bash\necho before\nfor i in $(seq 600); do [ -e {0} ] && break; sleep 0.1; done\n\
             echo between\necho >{0}.done\nfor i in $(seq 600); do [ -e {1} ] && break; sleep 0.1; done\necho after\n",
            gap.display(),
            stage.file("release").display()
        );
        let talker = stage.database.add_run(&NewJob::new("talker", script, "one"));
        let sleeper = NewJob::new("sleeper", "#!/usr/bin/env bash\necho sleeping\nsleep 300\n", "one");
        let sleeper = stage.database.add_run(&sleeper);
        let before = family.started(stage);
        stage.running(&[talker, sleeper], 30);

        let since = Instant::now();
        worker.hand_over();
        let status = worker.end_within(10);
        let took = since.elapsed();
        assert_eq!(status.code(), Some(75), "{status}");
        family.is_undisturbed(stage, &before);
        std::fs::write(&gap, "").expect("a file");
        until("the talker talks", 10, || stage.file("gap.done").exists().then_some(()));

        let since = Instant::now();
        let _worker = stage.ready_worker("one", &[]);
        tell(&format!("handed over in {took:?}; the next worker answers a ping after {:?}", since.elapsed()));
        settle(stage, "settled");
        family.is_undisturbed(stage, &before);
        until("the log has what was said meanwhile", 30, || {
            (stage.database.log(talker).as_deref() == Some("before\nbetween\n")).then_some(())
        });

        let kill = stage.database.kill(sleeper);
        until("the kill is executed", 30, || stage.database.picture().kill_request(kill).execute_dts.clone());
        let picture = stage.returned(&[sleeper], 30);
        assert_eq!((picture.run(sleeper).return_success, picture.run(sleeper).returns), (Some(false), 1));

        Family::release(stage);
        family.returned_once(stage);
        let picture = stage.returned(&[talker], 30);
        assert_eq!((picture.run(talker).return_success, picture.run(talker).returns), (Some(true), 1));
        assert_eq!(stage.database.log(talker).as_deref(), Some("before\nbetween\nafter\n"));
    });
}

#[test]
fn a_run_that_could_not_start_stays_returned() {
    on_stage(|stage| {
        stage.database.add_worker("one", SECRET, &["one"]);
        let worker = stage.ready_worker("one", &[]);
        let job = stage.database.add_job(&NewJob::new("no shebang", "echo nothing\n", "one"));
        let run = stage.database.schedule(&[job])[0];
        let before = stage.returned(&[run], 30).run(run).clone();
        until("the return is told", 10, || {
            stage.feed.of_run(run).iter().any(|event| event == "returned").then_some(())
        });
        let events = stage.feed.of_run(run);
        worker.crash();

        let _worker = stage.ready_worker("one", &[]);
        settle(stage, "settled");
        settle(stage, "settled again");
        let picture = stage.database.picture();
        let after = picture.run(run);
        assert_eq!((after.return_success, after.returns), (Some(false), 1));
        assert_eq!(after.return_dts, before.return_dts);
        assert_eq!(after.enqueue_dts, before.enqueue_dts);
        assert_eq!(after.start_dts, before.start_dts);
        assert_eq!(picture.job(job).fail_times, 1);
        assert_eq!(picture.runs_of(job).len(), 1);
        assert_eq!(stage.feed.of_run(run), events);
    });
}
