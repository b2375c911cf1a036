//! SIGTERM: what runs is finished and reported, a kill still works, nothing new is begun.

use crate::original_database::NewJob;
use crate::stage::on_stage;
use crate::wait::until;
use crate::worker::SECRET;

#[test]
fn eight_runs_and_a_kill_are_finished_before_the_worker_leaves() {
    on_stage(|stage| {
        stage.database.add_worker("one", SECRET, &["one"]);
        let mut worker = stage.ready_worker("one", &[]);
        let release = stage.file("release");
        let jobs: Vec<u64> = (0..8)
            .map(|n| {
                let script = format!(
                    "#!/usr/bin/env bash\necho begin\n\
                     for i in $(seq 600); do [ -e {} ] && break; sleep 0.1; done\necho end {n}\n",
                    release.display()
                );
                stage.database.add_job(&NewJob::new(format!("job {n}"), script, "one"))
            })
            .collect();
        let runs = stage.database.schedule(&jobs);
        stage.running(&runs, 60);

        worker.drain();
        let (killed, finished) = runs.split_first().expect("eight");
        let late = stage.database.add_run(&NewJob::new("late", "#!/bin/sh\ntrue\n", "one"));
        let kill = stage.database.kill(*killed);
        until("the kill is executed", 30, || {
            assert!(worker.ended().is_none(), "left with eight runs");
            stage.database.picture().kill_request(kill).execute_dts.clone()
        });
        let picture = stage.returned(&[*killed], 30);
        assert_eq!(picture.run(*killed).return_success, Some(false));
        for run in finished {
            assert_eq!(picture.run(*run).return_dts, None);
        }

        std::fs::write(&release, "").expect("a file");
        let status = worker.end_within(60);
        assert_eq!(status.code(), Some(0), "{status}");
        let picture = stage.database.picture();
        for (n, run) in runs.iter().enumerate().skip(1) {
            let row = picture.run(*run);
            assert_eq!((row.return_success, row.returns), (Some(true), 1), "{row:?}");
            assert_eq!(stage.database.log(*run), Some(format!("begin\nend {n}\n")));
            until("the return is told", 10, || {
                (stage.feed.of_run(*run) == ["enqueued", "started", "returned"]).then_some(())
            });
        }
        assert_eq!(picture.run(late).enqueue_dts, None, "claimed while draining");
        assert_eq!(stage.feed.of_kill_request(kill), ["enqueued", "executed"]);
    });
}
