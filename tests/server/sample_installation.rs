//! Fixture: an installation as it may look after some weeks, with named projects, pools, workers and jobs, and runs that
//! mostly succeeded.

use std::fmt::Write;

use chrono::Utc;
use jobrunner::run::RunId;

use crate::database::Session;
use crate::stage::{Stage, write_log};

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    pub workers: usize,
    pub jobs: usize,
    pub runs: usize,
}

const PROJECTS: [&str; 5] = ["Web shop", "Data warehouse", "Backups", "Infrastructure", "Finance"];
const POOLS: [&str; 4] = ["linux", "database", "build", "edge"];
const DEEDS: [&str; 10] = [
    "Import orders",
    "Load sales",
    "Back up",
    "Rotate logs",
    "Close the books",
    "Rebuild the search index",
    "Refresh reports",
    "Verify backups",
    "Renew certificates",
    "Reconcile payments",
];
const THINGS: [&str; 10] = ["nl", "de", "fr", "uk", "pl", "es", "it", "se", "dk", "at"];

/// Fills the store of a stage without workers, and answers with a run that goes on and one that failed.
pub async fn fill(stage: &Stage, extent: Extent) -> (RunId, RunId) {
    let Extent { workers, jobs, runs } = extent;
    let now = Utc::now().timestamp_micros();
    let mut sql = String::from("BEGIN;\n");
    for (id, title) in (1..).zip(PROJECTS) {
        let _ = writeln!(
            sql,
            "INSERT INTO project (id, title) VALUES ({id}, '{title}') ON CONFLICT (id) DO UPDATE SET title = excluded.title;
             INSERT INTO job_template (id, title, body, project) VALUES ({id}, 'bash', '#!/bin/bash -eu\n{{{{ content|safe }}}}', {id})
                 ON CONFLICT (id) DO UPDATE SET title = excluded.title;"
        );
    }
    for (id, title) in (1..).zip(POOLS) {
        let _ = writeln!(
            sql,
            "INSERT INTO worker_pool (id, title) VALUES ({id}, '{title}') ON CONFLICT (id) DO UPDATE SET title = excluded.title;"
        );
    }
    let quoted =
        |names: &[&str]| (1..).zip(names).map(|(id, name)| format!("({id}, '{name}')")).collect::<Vec<_>>().join(", ");
    let _ = write!(
        sql,
        "CREATE TEMP TABLE n AS WITH RECURSIVE n (i) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < {most})
             SELECT i FROM n;
         INSERT INTO worker (title, api_key, secret, concurrent_jobs, ping_response_dts, worker_version)
             SELECT CASE i % 4 WHEN 0 THEN 'web-' WHEN 1 THEN 'db-' WHEN 2 THEN 'build-' ELSE 'edge-' END
                     || CASE WHEN i < 36 THEN '0' ELSE '' END || (1 + i / 4),
                 'w' || i, 'secret', 4, {now}, '3.0.0' FROM n WHERE i <= {workers};
         INSERT INTO pool_worker SELECT 1 + id % {pools}, id FROM worker;
         INSERT INTO project_pool SELECT project.id, worker_pool.id FROM project, worker_pool WHERE TRUE ON CONFLICT DO NOTHING;
         CREATE TEMP TABLE deed (id BIGINT, title TEXT); INSERT INTO deed VALUES {deeds};
         CREATE TEMP TABLE thing (id BIGINT, title TEXT); INSERT INTO thing VALUES {things};
         INSERT INTO job (job_template, worker_pool, title, script_content_partial, script_content, reschedule_interval,
                 reschedule_interval_type)
             SELECT 1 + (i - 1) % {projects}, 1 + i % {pools},
                 (SELECT title FROM deed WHERE id = 1 + (i - 1) % 10) || ' ' || (SELECT title FROM thing WHERE id = 1 + (i - 1) / 10 % 10)
                     || CASE WHEN i > 100 THEN ' ' || (1 + (i - 1) / 100) ELSE '' END,
                 'echo', '#!/bin/bash -eu\necho', 1, 'HOUR' FROM n WHERE i <= {jobs};
         -- Those that are over, the last one seconds ago.
         INSERT INTO run (job, schedule_id, worker, schedule_dts, enqueue_dts, start_dts, return_dts, return_success, attempt, exit)
             SELECT 1 + i * 7 % {jobs}, i, 1 + i % {workers}, due, due + 1200000, due + 1900000, due + 1900000 + took, well, 1,
                 CASE WHEN well = 1 THEN 'code 0' WHEN i % 3 = 0 THEN 'killed' WHEN i % 7 = 0 THEN 'timed_out' ELSE 'code ' || (1 + i % 3) END
             FROM (SELECT i, CASE WHEN i % 17 <> 4 THEN 1 ELSE 0 END AS well, {now} - ({runs} - i) * 21000000 - took - 9000000 AS due, took
                 FROM (SELECT i, (4000000 + (i * 7 % {jobs}) % 23 * 11000000) * (79 + i % 7 * 6) / 100 AS took FROM n WHERE i <= {runs}) AS lasting) AS run_of_n;
         -- Those that go on, those that wait at workers, and those that are to come.
         INSERT INTO run (job, schedule_id, worker, schedule_dts, enqueue_dts, start_dts, attempt, is_manual)
             SELECT 3 + i * 5, 0, 1 + i * 3 % {workers}, {now} - i * 19000000, {now} - i * 18000000, {now} - i * 17000000, 1,
                 CASE WHEN i = 2 THEN 1 ELSE 0 END FROM n WHERE i <= 7;
         INSERT INTO run (job, schedule_id, worker, schedule_dts, enqueue_dts, attempt)
             SELECT 4 + i * 5, 0, 1 + i * 3 % {workers}, {now} - i * 3000000, {now} - i * 2000000, 1 FROM n WHERE i <= 3;
         INSERT INTO run (job, schedule_id, schedule_dts)
             SELECT id, 0, {now} + id * 47000000 % 3600000000 + 30000000 FROM job;
         UPDATE run SET schedule_id = id WHERE schedule_id = 0;
         UPDATE worker SET api_key = title || '.example.net', heard = {now}, duty_since = {now} - 86400000000,
             duty = CASE id WHEN 5 THEN 'asleep' WHEN 8 THEN 'draining' ELSE 'awake' END, outbox = CASE WHEN id = 8 THEN 1 ELSE 0 END,
             seats_taken = (SELECT count(*) FROM run WHERE run.worker = worker.id AND return_dts IS NULL AND enqueue_dts IS NOT NULL)
             WHERE id <> 11;
         COMMIT;",
        most = runs.max(jobs).max(workers),
        pools = POOLS.len(),
        projects = PROJECTS.len(),
        deeds = quoted(&DEEDS),
        things = quoted(&THINGS),
    );
    stage.write(move |session| write(session, &sql)).await
}

/// Makes all this, and logs of the run that goes on and the one that failed.
fn write(session: &Session, sql: &str) -> (RunId, RunId) {
    session.batch(sql);
    let run = |of: &str| session.value::<i64>(of, []);
    let going = run("SELECT max(id) FROM run WHERE start_dts IS NOT NULL AND return_dts IS NULL");
    let failed = run("SELECT max(id) FROM run WHERE exit = 'code 2'");
    for run in [going, failed] {
        session.execute("INSERT INTO run_log (run) VALUES (?)", [run.into()]);
        write_log(session, run, &log(run == failed));
    }
    (RunId::new(going).expect("a run"), RunId::new(failed).expect("a run"))
}

/// What a script says that loads something.
fn log(failed: bool) -> String {
    let mut log = String::from("\u{1b}[1mLoading orders\u{1b}[0m from s3://shop-exports/2026-11-24/\n");
    for part in 1..=60 {
        let rows = 10_000 + part * 7_919 % 4_001;
        let _ = writeln!(
            log,
            "\u{1b}[2m09:{:02}:{:02}\u{1b}[0m part-{part:04}.csv.gz  {rows} rows  \u{1b}[32mok\u{1b}[0m",
            part / 20,
            part * 3 % 60
        );
        if part % 13 == 0 {
            let _ = writeln!(
                log,
                "         \u{1b}[33mwarning:\u{1b}[0m 3 orders without a postal code, kept aside in rejects/part-{part:04}.csv"
            );
        }
    }
    if failed {
        log.push_str("\u{1b}[31;1merror:\u{1b}[0m part-0061.csv.gz: column \u{1b}[36mprice_eur\u{1b}[0m of row 8121 is no number: \"12,50\"\n");
        log.push_str("\u{1b}[31m1 of 61 parts could not be loaded; nothing was committed.\u{1b}[0m\n");
    }
    log
}
