//! The worker dies and comes back; the runs do not notice, the server is told once.

use crate::database::NewJob;
use crate::stage::{Stage, is_alive, on_stage};
use crate::wait::until;
use crate::worker::SECRET;

/// A script that writes `start` and `end` into a file of its own and waits between for another.
fn recorded(stage: &Stage, name: &str) -> String {
    format!(
        "#!/usr/bin/env bash\necho start >>{0}\necho \"{name} starts\"\n\
         for i in $(seq 600); do [ -e {1} ] && break; sleep 0.1; done\n\
         echo \"{name} ends\"\necho end >>{0}\n",
        stage.file(name).display(),
        stage.file("release").display()
    )
}

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
        let names = ["a", "b", "c"];
        let parents: Vec<u64> = names
            .iter()
            .map(|name| stage.database.add_job(&NewJob::new(*name, recorded(stage, name), "one")))
            .collect();
        let children: Vec<u64> = parents
            .iter()
            .map(|parent| {
                let job = NewJob::new(format!("after {parent}"), "#!/bin/sh\necho child\n", "one");
                stage.database.add_job(&job.after(*parent))
            })
            .collect();
        let runs = stage.database.schedule(&parents);
        let before = stage.running(&runs, 30);
        for name in names {
            until("the script has started", 10, || stage.file(name).exists().then_some(()));
        }

        worker.crash();
        for run in &runs {
            let pid = before.run(*run).pid.expect("it runs");
            assert!(is_alive(pid), "{pid} died with the worker");
        }
        let _worker = stage.ready_worker("one", &[]);
        settle(stage, "settled");
        let between = stage.database.picture();
        for run in &runs {
            assert_eq!(between.run(*run).return_dts, None);
            assert_eq!(between.run(*run).pid, before.run(*run).pid);
            assert_eq!(between.run(*run).start_dts, before.run(*run).start_dts);
        }

        std::fs::write(stage.file("release"), "").expect("a file");
        stage.returned(&runs, 30);
        let picture = until("each child returns", 30, || {
            let picture = stage.database.picture();
            children
                .iter()
                .all(|job| picture.runs_of(*job).iter().any(|run| run.return_dts.is_some()))
                .then_some(picture)
        });
        for ((name, run), child) in names.iter().zip(&runs).zip(&children) {
            let record = std::fs::read_to_string(stage.file(name)).expect("a record");
            assert_eq!(record, "start\nend\n", "{name}");
            let row = picture.run(*run);
            assert_eq!((row.return_success, row.returns), (Some(true), 1), "{name}");
            assert_eq!(picture.runs_of(*child).len(), 1, "children of {name}");
            let log = stage.database.log(*run);
            assert_eq!(log, Some(format!("{name} starts\n{name} ends\n")));
            let returns = stage.feed.of_run(*run).iter().filter(|e| *e == "returned").count();
            assert_eq!(returns, 1, "{name}");
        }
    });
}

#[test]
fn a_run_that_ends_while_the_worker_is_down_returns_once() {
    on_stage(|stage| {
        stage.database.add_worker("one", SECRET, &["one"]);
        let worker = stage.ready_worker("one", &[]);
        let job = stage.database.add_job(&NewJob::new("a", recorded(stage, "a"), "one"));
        let child = NewJob::new("child", "#!/bin/sh\ntrue\n", "one").after(job);
        let child = stage.database.add_job(&child);
        let run = stage.database.schedule(&[job])[0];
        let pid = stage.running(&[run], 30).run(run).pid.expect("it runs");
        worker.crash();
        std::fs::write(stage.file("release"), "").expect("a file");
        until("the script ends", 10, || (!is_alive(pid)).then_some(()));

        let _worker = stage.ready_worker("one", &[]);
        let picture = stage.returned(&[run], 30);
        assert_eq!(picture.run(run).return_success, Some(true));
        settle(stage, "settled");
        let picture = stage.database.picture();
        assert_eq!(picture.run(run).returns, 1);
        assert_eq!(picture.runs_of(child).len(), 1);
        let record = std::fs::read_to_string(stage.file("a")).expect("a record");
        assert_eq!(record, "start\nend\n");
        assert_eq!(stage.database.log(run).as_deref(), Some("a starts\na ends\n"));
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
