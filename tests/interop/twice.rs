//! Every order comes over both transports, more than once: it is followed once.

use serde_json::json;

use crate::orders::Orders;
use crate::original_database::NewJob;
use crate::stage::{on_stage, tell};
use crate::wait::until;
use crate::worker::SECRET;

/// How many orders; `JOB_RUNNER_INTEROP_ORDERS` says another number.
const ORDERS: usize = 100;

#[test]
fn orders_on_both_transports_are_followed_once() {
    on_stage(|stage| {
        let count = std::env::var("JOB_RUNNER_INTEROP_ORDERS").map_or(ORDERS, |count| count.parse().expect("a number"));
        stage.database.add_worker("one", SECRET, &["one"]);
        let orders = Orders::listen();
        let worker = stage.ready_worker("one", &[("ws_url", orders.url()), ("log_update_interval", "0".into())]);
        until("the worker connects", 30, || orders.is_connected().then_some(()));
        let record = stage.file("record");
        let jobs: Vec<u64> = (0..count)
            .map(|n| {
                let script = format!("#!/bin/sh\necho {n} >>{}\n", record.display());
                stage.database.add_job(&NewJob::new(format!("job {n}"), script, "one"))
            })
            .collect();
        let begun = std::time::Instant::now();
        let runs = stage.database.schedule(&jobs);
        for _ in 0..2 {
            for run in &runs {
                orders.send(&json!({"action": "enqueue", "run_id": run}));
            }
        }
        // Meanwhile the broadcaster announces whatever is not claimed, again and again.
        let picture = stage.returned(&runs, 60 + u64::try_from(count).expect("a number"));
        let took = begun.elapsed();
        for run in &runs {
            let row = picture.run(*run);
            assert_eq!((row.return_success, row.returns), (Some(true), 1), "{row:?}");
        }
        let text = std::fs::read_to_string(&record).expect("a record");
        let mut done: Vec<usize> = text.lines().map(|line| line.parse().expect("n")).collect();
        done.sort_unstable();
        assert_eq!(done, (0..count).collect::<Vec<_>>());
        tell(&format!(
            "{count} orders on both transports, heard {} times: {} executions in {took:?}",
            worker.said("order received order=enqueue"),
            done.len()
        ));
    });
}
