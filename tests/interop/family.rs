//! Jobs with a child each, and scripts that leave a trace of every execution.

use std::fs;

use crate::original_database::{NewJob, Picture};
use crate::stage::{Stage, is_alive};
use crate::wait::until;

/// Runs whose scripts write `start` and `end` into a file of their own and wait between for a release.
pub struct Family {
    names: Vec<String>,
    pub runs: Vec<u64>,
    children: Vec<u64>,
}

impl Family {
    /// Schedules jobs of these names, each with a child.
    pub fn schedule(stage: &Stage, names: &[&str]) -> Self {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let parents: Vec<u64> = names
            .iter()
            .map(|name| stage.database.add_job(&NewJob::new(name.as_str(), recorded(stage, name), "one")))
            .collect();
        let children = parents
            .iter()
            .map(|parent| {
                let job = NewJob::new(format!("after {parent}"), "#!/bin/sh\necho child\n", "one");
                stage.database.add_job(&job.after(*parent))
            })
            .collect();
        let runs = stage.database.schedule(&parents);
        Self { names, runs, children }
    }

    /// Waits until all scripts wait for their release and the server knows that they run.
    pub fn started(&self, stage: &Stage) -> Picture {
        let picture = stage.running(&self.runs, 60);
        for name in &self.names {
            until("the script has started", 10, || stage.file(name).exists().then_some(()));
        }
        picture
    }

    /// Lets the scripts end.
    pub fn release(stage: &Stage) {
        fs::write(stage.file("release"), "").expect("a file");
    }

    /// Waits until no script is left, whoever may know of it.
    pub fn ended(&self, started: &Picture) {
        for run in &self.runs {
            let pid = started.run(*run).pid.expect("it ran");
            until("the script ends", 30, || (!is_alive(pid)).then_some(()));
        }
    }

    /// The scripts live, and the server knows them as it did before.
    pub fn is_undisturbed(&self, stage: &Stage, before: &Picture) {
        let now = stage.database.picture();
        for run in &self.runs {
            let pid = before.run(*run).pid.expect("it runs");
            assert!(is_alive(pid), "{pid} died");
            assert_eq!(now.run(*run).return_dts, None);
            assert_eq!(now.run(*run).pid, before.run(*run).pid);
            assert_eq!(now.run(*run).start_dts, before.run(*run).start_dts);
        }
    }

    /// Waits for all returns, of the children too: once each, after one execution with a whole log.
    pub fn returned_once(&self, stage: &Stage) {
        stage.returned(&self.runs, 60);
        let picture = until("each child returns", 60, || {
            let picture = stage.database.picture();
            self.children
                .iter()
                .all(|job| picture.runs_of(*job).iter().any(|run| run.return_dts.is_some()))
                .then_some(picture)
        });
        for ((name, run), child) in self.names.iter().zip(&self.runs).zip(&self.children) {
            let record = fs::read_to_string(stage.file(name)).expect("a record");
            assert_eq!(record, "start\nend\n", "{name}");
            let row = picture.run(*run);
            assert_eq!((row.return_success, row.returns), (Some(true), 1), "{name}");
            assert_eq!(picture.runs_of(*child).len(), 1, "children of {name}");
            let log = stage.database.log(*run);
            assert_eq!(log, Some(format!("{name} starts\n{name} ends\n")));
            let told = || stage.feed.of_run(*run).iter().filter(|event| *event == "returned").count();
            until("the return is told", 10, || (told() > 0).then_some(()));
            assert_eq!(told(), 1, "{name}");
        }
    }
}

fn recorded(stage: &Stage, name: &str) -> String {
    format!(
        "#!/usr/bin/env bash\necho start >>{0}\necho \"{name} starts\"\n\
         for i in $(seq 600); do [ -e {1} ] && break; sleep 0.1; done\n\
         echo \"{name} ends\"\necho end >>{0}\n",
        stage.file(name).display(),
        stage.file("release").display()
    )
}
