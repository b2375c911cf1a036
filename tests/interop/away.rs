//! The REST API goes away, comes back, or loses answers: nothing is lost, and nothing happens twice.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::family::Family;
use crate::gateway::Gateway;
use crate::original_database::NewJob;
use crate::stage::{Stage, on_stage, tell};
use crate::wait::until;
use crate::worker::SECRET;

/// What the worker says of a last try without the API, and as much again for a busy machine.
const LAST_TRY: Duration = Duration::from_secs(2 * 10);

#[test]
fn a_drain_without_the_api_leaves_the_results_on_disk() {
    on_stage(|stage| {
        stage.database.add_worker("one", SECRET, &["one"]);
        let mut worker = stage.ready_worker("one", &[]);
        let family = Family::schedule(stage, &["a", "b", "c"]);
        let started = family.started(stage);

        stage.stop_rest();
        worker.drain();
        until("the drain begins", 10, || (worker.said("worker drains") > 0).then_some(()));
        assert!(worker.ended().is_none(), "left with three runs");
        Family::release(stage);
        family.ended(&started);
        let since = Instant::now();
        let status = worker.end_within(60);
        let took = since.elapsed();
        assert_eq!(status.code(), Some(0), "{status}");
        tell(&format!("drain without the API: left {took:?} after the last script"));
        assert!(took < LAST_TRY, "{took:?}");
        let picture = stage.database.picture();
        assert!(family.runs.iter().all(|run| picture.run(*run).return_dts.is_none()));

        stage.restart_rest();
        let _worker = stage.ready_worker("one", &[]);
        family.returned_once(stage);
    });
}

/// Jobs whose scripts append their number to one record, each with a child.
struct Crowd {
    jobs: Vec<u64>,
    children: Vec<u64>,
}

impl Crowd {
    fn add(stage: &Stage, count: usize) -> Self {
        let jobs: Vec<u64> = (0..count)
            .map(|n| {
                let script = format!(
                    "#!/bin/sh\necho {n} >>{}\necho one\nsleep 0.5\necho two\n",
                    stage.file("record").display()
                );
                stage.database.add_job(&NewJob::new(format!("job {n}"), script, "one"))
            })
            .collect();
        let children = jobs
            .iter()
            .map(|job| {
                let child = NewJob::new(format!("after {job}"), "#!/bin/sh\necho child\n", "one");
                stage.database.add_job(&child.after(*job))
            })
            .collect();
        Self { jobs, children }
    }

    /// How many runs have returned, and how many children.
    fn returned(&self, stage: &Stage) -> (usize, usize) {
        let picture = stage.database.picture();
        let count = |jobs: &[u64]| {
            jobs.iter().flat_map(|job| picture.runs_of(*job)).filter(|run| run.return_dts.is_some()).count()
        };
        (count(&self.jobs), count(&self.children))
    }

    /// Waits for all, and checks that nothing happened twice.
    fn all_once(&self, stage: &Stage, seconds: u64) {
        let all = self.jobs.len();
        until("all runs and their children return", seconds, || {
            let (runs, children) = self.returned(stage);
            (runs >= all && children >= all).then_some(())
        });
        let picture = stage.database.picture();
        for job in self.jobs.iter().chain(&self.children) {
            let runs = picture.runs_of(*job);
            assert_eq!(runs.len(), 1, "{}", picture.job(*job).title);
            assert_eq!((runs[0].return_success, runs[0].returns), (Some(true), 1), "{:?}", runs[0]);
            assert_eq!(picture.job(*job).fail_times, 0);
        }
        for job in &self.jobs {
            assert_eq!(stage.database.log(picture.runs_of(*job)[0].id).as_deref(), Some("one\ntwo\n"));
        }
        let record = std::fs::read_to_string(stage.file("record")).expect("a record");
        let mut executions: BTreeMap<&str, usize> = BTreeMap::new();
        for line in record.lines() {
            *executions.entry(line).or_default() += 1;
        }
        assert_eq!(executions.len(), all);
        assert!(executions.values().all(|times| *times == 1), "executed twice: {executions:?}");
    }
}

#[test]
fn the_api_is_restarted_in_the_middle_of_runs() {
    on_stage(|stage| {
        stage.database.add_worker("one", SECRET, &["one"]);
        let worker = stage.ready_worker("one", &[("concurrent_jobs", "4".into())]);
        let crowd = Crowd::add(stage, 16);
        stage.database.schedule(&crowd.jobs);
        for round in 1..=3 {
            until("some more have returned", 60, || (crowd.returned(stage).0 >= 3 * round).then_some(()));
            let missed = worker.said("call failed");
            stage.stop_rest();
            until("the worker misses the API", 30, || (worker.said("call failed") > missed).then_some(()));
            stage.restart_rest();
        }
        crowd.all_once(stage, 120);
        tell(&format!("API restarted 3 times under 16 runs: {} calls failed", worker.said("call failed")));
    });
}

#[test]
fn children_are_scheduled_once_though_answers_are_lost() {
    on_stage(|stage| {
        stage.database.add_worker("one", SECRET, &["one"]);
        let gateway = Gateway::to(stage.ports.rest);
        let _worker = stage.ready_worker("one", &[("api_base_url", format!("http://127.0.0.1:{}", gateway.port()))]);
        let crowd = Crowd::add(stage, 30);
        stage.database.schedule(&crowd.jobs);
        crowd.all_once(stage, 180);
        let (returns, after, before) = gateway.counts();
        tell(&format!(
            "30 runs and their children: {returns} PATCHes of a return, {after} reset after the commit, \
             {before} before the server had them; {} child runs",
            crowd.returned(stage).1
        ));
        assert!(after * 10 >= 60 * 3, "{after} of {returns} answers lost");
    });
}
