//! Jobs of every kind end in the server's database as they should.

use std::collections::BTreeMap;
use std::path::Path;

use crate::original_database::{NewJob, Picture};
use crate::repertoire::{Kind, kinds};
use crate::stage::{Stage, is_alive, on_stage};
use crate::wait::until;
use crate::worker::is_ours;

/// The kinds without those that `JOB_RUNNER_INTEROP_SKIP` names.
fn wanted(folder: &Path) -> Vec<Kind> {
    let skip = std::env::var("JOB_RUNNER_INTEROP_SKIP").unwrap_or_default();
    let skip: Vec<&str> = skip.split(',').map(str::trim).collect();
    kinds(folder).into_iter().filter(|kind| !skip.contains(&kind.name)).collect()
}

/// What is wrong with a run that has returned.
fn faults(kind: &Kind, run: u64, stage: &Stage, picture: &Picture, log: &str) -> Vec<String> {
    let row = picture.run(run);
    let mut faults = Vec::new();
    let mut must = |holds: bool, what: String| {
        if !holds {
            faults.push(format!("{}: {what}", kind.name));
        }
    };
    must(row.return_success == Some(kind.success), format!("success is {:?}", row.return_success));
    must(row.enqueue_dts.is_some() && row.start_dts.is_some(), format!("no times in {row:?}"));
    must(row.pid.is_some() == kind.spawns, format!("pid is {:?}", row.pid));
    must(row.worker.is_some(), "no worker".into());
    must(row.returns == 1, format!("returned {} times", row.returns));
    must(row.log_length.is_some() || log.is_empty() && kind.success, "no log".into());
    let fails = picture.job(row.job).fail_times;
    must(fails == u64::from(!kind.success), format!("fail_times is {fails}"));
    let output = if is_ours() { log.strip_suffix(kind.note) } else { Some(log) };
    must(output.is_some(), format!("log: without {:?} at its end: {log:?}", kind.note));
    if let Err(why) = kind.log.check(output.unwrap_or(log)) {
        must(false, format!("log: {why}"));
    }
    let events = stage.feed.of_run(run);
    let all = ["enqueued", "started", "returned"];
    must(events == all || (!kind.spawns && events == ["enqueued", "returned"]), format!("events {events:?}"));
    faults
}

fn pid_in(stage: &Stage, name: &str) -> i32 {
    let text = std::fs::read_to_string(stage.file(name)).unwrap_or_default();
    text.trim().parse().unwrap_or_else(|_| panic!("{name} has no pid: {text:?}"))
}

#[test]
fn every_kind_of_job_ends_as_it_should() {
    on_stage(|stage| {
        stage.database.add_worker("one", crate::worker::SECRET, &["one"]);
        let _worker = stage.ready_worker("one", &[]);
        let kinds = wanted(stage.path());
        let jobs: Vec<u64> =
            kinds.iter().map(|kind| stage.database.add_job(&NewJob::new(kind.name, &*kind.script, "one"))).collect();
        let runs = stage.database.schedule(&jobs);

        let doomed: BTreeMap<&str, u64> =
            kinds.iter().zip(&runs).filter(|(kind, _)| kind.killed).map(|(kind, run)| (kind.name, *run)).collect();
        let kills: Vec<(&str, u64)> = doomed
            .iter()
            .map(|(name, run)| {
                let what = format!("{name} sleeps");
                until(&what, 60, || stage.running(&[*run], 60).run(*run).pid);
                if *name != "sleeper" {
                    until(&what, 10, || stage.file(&format!("{name}.pid")).exists().then_some(()));
                }
                (*name, stage.database.kill(*run))
            })
            .collect();
        let mut wrong: Vec<String> = Vec::new();
        for (name, kill) in &kills {
            until(&format!("{name} killed"), 60, || stage.database.picture().kill_request(*kill).execute_dts.clone());
            if *name != "sleeper" {
                let pid = pid_in(stage, &format!("{name}.pid"));
                if is_alive(pid) {
                    wrong.push(format!("{name}: the kill is executed, and {pid} lives"));
                }
            }
        }

        let picture = stage.returned(&runs, 90);
        let told = |wait: &str, count: usize, of: &dyn Fn() -> usize| {
            until(wait, 10, || (of() >= count).then_some(()));
        };
        told("all returns are told", runs.len(), &|| {
            runs.iter().filter(|run| stage.feed.of_run(**run).iter().any(|e| e == "returned")).count()
        });
        let logs = stage.database.logs(runs.iter().copied());
        for (kind, run) in kinds.iter().zip(&runs) {
            wrong.extend(faults(kind, *run, stage, &picture, &logs[run]));
        }
        for (name, kill) in &kills {
            told(name, 2, &|| stage.feed.of_kill_request(*kill).len());
            if picture.kill_request(*kill).enqueue_dts.is_none() {
                wrong.push(format!("{name}: the kill has no enqueue_dts"));
            }
            let events = stage.feed.of_kill_request(*kill);
            if events != ["enqueued", "executed"] {
                wrong.push(format!("{name}: events of the kill {events:?}"));
            }
        }
        if stage.file("closed.pid").exists() && !is_alive(pid_in(stage, "closed.pid")) {
            wrong.push("a daemon was ended, and may stay".into());
        }
        assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));

        let row = picture.worker("one");
        assert_eq!(row.concurrent_jobs, Some(8));
        if is_ours() {
            assert_eq!(row.worker_version.as_deref(), Some(env!("CARGO_PKG_VERSION")));
        }
        // A run that was done twice or a double return would have left its traces by now.
        assert_eq!(stage.database.picture().runs.len(), runs.len());
    });
}

#[test]
fn children_follow_once() {
    on_stage(|stage| {
        stage.database.add_worker("one", crate::worker::SECRET, &["one"]);
        let _worker = stage.ready_worker("one", &[]);
        let job = |title: &str, script: &str| NewJob::new(title, script, "one");
        let good = stage.database.add_job(&job("good", "#!/bin/sh\necho parent\n"));
        let bad = stage.database.add_job(&job("bad", "#!/bin/sh\nexit 1\n"));
        let tolerant = stage
            .database
            .add_job(&NewJob { schedule_children_on_error: true, ..job("tolerant", "#!/bin/sh\nexit 1\n") });
        let after_good = stage.database.add_job(&job("after good", "#!/bin/sh\necho child\n").after(good));
        let grandchild = stage.database.add_job(&job("grandchild", "#!/bin/sh\necho last\n").after(after_good));
        let after_bad = stage.database.add_job(&job("after bad", "#!/bin/sh\ntrue\n").after(bad));
        let after_tolerant = stage.database.add_job(&job("after tolerant", "#!/bin/sh\ntrue\n").after(tolerant));
        stage.database.schedule(&[good, bad, tolerant]);

        let count = |picture: &Picture, job| picture.runs_of(job).iter().filter(|run| run.return_dts.is_some()).count();
        let picture = until("parents and children return", 60, || {
            let picture = stage.database.picture();
            [good, bad, tolerant, after_good, grandchild, after_tolerant]
                .iter()
                .all(|job| count(&picture, *job) > 0)
                .then_some(picture)
        });
        for job in [good, bad, tolerant, after_good, grandchild, after_tolerant] {
            assert_eq!(picture.runs_of(job).len(), 1, "{}", picture.job(job).title);
        }
        assert!(picture.runs_of(after_bad).is_empty(), "a child of a failed run");
        let log = stage.database.log(picture.runs_of(grandchild)[0].id);
        assert_eq!(log.as_deref(), Some("last\n"));
    });
}

#[test]
fn a_job_on_all_workers_runs_once_on_each() {
    on_stage(|stage| {
        let (secret, both) = (crate::worker::SECRET, ["both"]);
        let one = stage.database.add_worker("one", secret, &both);
        // The broadcaster's topics match by prefix: this one must not take what is for `one`.
        let eleven = stage.database.add_worker("one1", secret, &both);
        // One slot each: what finds none is announced once only, and must be remembered.
        let seats = [("concurrent_jobs", "1".to_owned())];
        let _workers = [stage.ready_worker("one", &seats), stage.ready_worker("one1", &seats)];
        let busy: Vec<u64> = (0..2)
            .map(|n| NewJob {
                run_on_all_workers: true,
                ..NewJob::new(format!("busy {n}"), "#!/bin/sh\nsleep 2\n", "both")
            })
            .map(|job| stage.database.add_job(&job))
            .collect();
        let everywhere = stage.database.add_job(&NewJob {
            run_on_all_workers: true,
            ..NewJob::new("everywhere", "#!/bin/sh\necho here\n", "both")
        });
        let after = stage.database.add_job(&NewJob::new("after", "#!/bin/sh\necho all\n", "both").after(everywhere));
        // The broadcaster deletes these runs and makes one for each worker.
        stage.database.schedule(&[busy[0], busy[1], everywhere]);

        let picture = until("the child of both returns", 60, || {
            let picture = stage.database.picture();
            let done = picture.runs_of(after).iter().any(|run| run.return_dts.is_some())
                && picture.runs.iter().all(|run| run.return_dts.is_some());
            done.then_some(picture)
        });
        for job in [busy[0], busy[1], everywhere] {
            let runs = picture.runs_of(job);
            let mut workers: Vec<_> = runs.iter().filter_map(|run| run.worker).collect();
            workers.sort_unstable();
            assert_eq!(workers, [one, eleven], "{}", picture.job(job).title);
            assert!(runs.iter().all(|run| run.return_success == Some(true) && run.returns == 1));
            assert_eq!(runs[0].schedule_id, runs[1].schedule_id);
        }
        assert_eq!(picture.runs_of(after).len(), 1, "a child once, after both");
    });
}
