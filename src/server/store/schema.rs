//! The schema of the database, as migrations: each brings a SQLite file from one version to the next. `postgres` has
//! those of PostgreSQL.
//!
//! Names are the original's. Timestamps are microseconds since 1970 in UTC, times of the day are seconds since
//! midnight, truth values are 0 or 1.

mod postgres;
#[cfg(test)]
mod tests;

pub use postgres::POSTGRES_MIGRATIONS;

/// Migrations by version, the first from version 0. A released migration is never changed; a new one is added at the
/// end, together with one of PostgreSQL's.
pub const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE auth_group (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE) STRICT;
    CREATE TABLE project (
        id INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT NOT NULL, description TEXT NOT NULL DEFAULT '',
        enqueue_is_enabled INTEGER NOT NULL DEFAULT 1, notification_addresses TEXT NOT NULL DEFAULT ''
    ) STRICT;
    CREATE TABLE worker (
        id INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT NOT NULL, description TEXT NOT NULL DEFAULT '',
        api_key TEXT NOT NULL UNIQUE, secret TEXT NOT NULL, enqueue_is_enabled INTEGER NOT NULL DEFAULT 1,
        ping_response_dts INTEGER, worker_version TEXT, concurrent_jobs INTEGER
    ) STRICT;
    CREATE TABLE worker_pool (
        id INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT NOT NULL, description TEXT NOT NULL DEFAULT '',
        enqueue_is_enabled INTEGER NOT NULL DEFAULT 1, notification_addresses TEXT NOT NULL DEFAULT ''
    ) STRICT;
    CREATE TABLE pool_worker (
        pool INTEGER NOT NULL REFERENCES worker_pool ON DELETE CASCADE,
        worker INTEGER NOT NULL REFERENCES worker ON DELETE CASCADE, PRIMARY KEY (pool, worker)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX pool_worker_by_worker ON pool_worker (worker);
    CREATE TABLE project_pool (
        project INTEGER NOT NULL REFERENCES project ON DELETE CASCADE,
        pool INTEGER NOT NULL REFERENCES worker_pool ON DELETE CASCADE, PRIMARY KEY (project, pool)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX project_pool_by_pool ON project_pool (pool);
    CREATE TABLE project_group (
        project INTEGER NOT NULL REFERENCES project ON DELETE CASCADE,
        auth_group INTEGER NOT NULL REFERENCES auth_group ON DELETE CASCADE,
        admin INTEGER NOT NULL, PRIMARY KEY (project, auth_group, admin)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE job_template (
        id INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT NOT NULL, description TEXT NOT NULL DEFAULT '',
        body TEXT NOT NULL, project INTEGER NOT NULL REFERENCES project ON DELETE CASCADE,
        enqueue_is_enabled INTEGER NOT NULL DEFAULT 1, notification_addresses TEXT NOT NULL DEFAULT ''
    ) STRICT;
    CREATE INDEX job_template_by_project ON job_template (project);
    CREATE TABLE job (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        parent INTEGER REFERENCES job ON DELETE SET NULL,
        job_template INTEGER NOT NULL REFERENCES job_template ON DELETE CASCADE,
        worker_pool INTEGER NOT NULL REFERENCES worker_pool ON DELETE CASCADE,
        run_on_all_workers INTEGER NOT NULL DEFAULT 0, schedule_children_on_error INTEGER NOT NULL DEFAULT 0,
        title TEXT NOT NULL, description TEXT NOT NULL DEFAULT '',
        script_content_partial TEXT NOT NULL, script_content TEXT NOT NULL,
        enqueue_is_enabled INTEGER NOT NULL DEFAULT 1, disabled_reason TEXT NOT NULL DEFAULT '',
        reschedule_interval INTEGER, reschedule_interval_type TEXT NOT NULL DEFAULT '',
        cron TEXT, cron_zone TEXT,
        notification_addresses TEXT NOT NULL DEFAULT '', fail_times INTEGER NOT NULL DEFAULT 0,
        disable_enqueue_after_fails INTEGER, last_completed_schedule_id INTEGER,
        run_timeout INTEGER, retry_times INTEGER NOT NULL DEFAULT 0, retry_backoff INTEGER NOT NULL DEFAULT 60,
        on_lost TEXT NOT NULL DEFAULT 'retry', concurrency TEXT NOT NULL DEFAULT 'wait',
        UNIQUE (title, job_template)
    ) STRICT;
    CREATE INDEX job_by_parent ON job (parent);
    CREATE INDEX job_by_template ON job (job_template);
    CREATE INDEX job_by_pool ON job (worker_pool);
    CREATE TABLE reschedule_exclude (
        id INTEGER PRIMARY KEY AUTOINCREMENT, job INTEGER NOT NULL REFERENCES job ON DELETE CASCADE,
        start_time INTEGER NOT NULL, end_time INTEGER NOT NULL, note TEXT NOT NULL DEFAULT ''
    ) STRICT;
    CREATE INDEX reschedule_exclude_by_job ON reschedule_exclude (job);
    CREATE TABLE run (
        id INTEGER PRIMARY KEY AUTOINCREMENT, job INTEGER NOT NULL REFERENCES job ON DELETE CASCADE,
        schedule_id INTEGER NOT NULL, worker INTEGER REFERENCES worker ON DELETE SET NULL,
        pinned INTEGER NOT NULL DEFAULT 0,
        schedule_dts INTEGER NOT NULL, enqueue_dts INTEGER, start_dts INTEGER, return_dts INTEGER,
        return_success INTEGER, pid INTEGER, is_manual INTEGER NOT NULL DEFAULT 0,
        schedule_children INTEGER NOT NULL DEFAULT 1,
        attempt INTEGER NOT NULL DEFAULT 0, losses INTEGER NOT NULL DEFAULT 0,
        retry_of INTEGER, retry INTEGER, exit TEXT, plan TEXT, moved INTEGER
    ) STRICT;
    CREATE INDEX run_due ON run (schedule_dts) WHERE enqueue_dts IS NULL AND return_dts IS NULL;
    CREATE INDEX run_active ON run (job, schedule_id) WHERE return_dts IS NULL;
    CREATE INDEX run_open ON run (job, schedule_dts) WHERE enqueue_dts IS NULL AND return_dts IS NULL;
    CREATE INDEX run_of_worker ON run (worker) WHERE return_dts IS NULL AND enqueue_dts IS NOT NULL;
    CREATE INDEX run_by_job ON run (job, id);
    CREATE INDEX run_by_schedule ON run (schedule_id);
    CREATE INDEX run_by_return ON run (return_dts);
    CREATE TABLE run_log (
        id INTEGER PRIMARY KEY AUTOINCREMENT, run INTEGER NOT NULL UNIQUE REFERENCES run ON DELETE CASCADE,
        content TEXT
    ) STRICT;
    CREATE TABLE kill_request (
        id INTEGER PRIMARY KEY AUTOINCREMENT, run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
        schedule_dts INTEGER NOT NULL, enqueue_dts INTEGER, execute_dts INTEGER,
        cause TEXT NOT NULL DEFAULT 'asked'
    ) STRICT;
    CREATE INDEX kill_request_by_run ON kill_request (run);
    CREATE INDEX kill_request_open ON kill_request (id) WHERE enqueue_dts IS NULL;
    CREATE TABLE fire (
        id INTEGER PRIMARY KEY AUTOINCREMENT, job INTEGER NOT NULL REFERENCES job ON DELETE CASCADE,
        due INTEGER NOT NULL, run INTEGER, what TEXT NOT NULL, reason TEXT NOT NULL, at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX fire_by_job ON fire (job, id);
    CREATE UNIQUE INDEX fire_once ON fire (job, due, what, reason, coalesce(run, 0));
    CREATE TABLE late_result (
        id INTEGER PRIMARY KEY AUTOINCREMENT, run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
        attempt INTEGER, worker INTEGER, at INTEGER NOT NULL, why TEXT NOT NULL, said TEXT NOT NULL
    ) STRICT;
    CREATE INDEX late_result_by_run ON late_result (run);
    CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
",
    // Status reports of workers, and command requests to them.
    "
    ALTER TABLE worker ADD COLUMN heard INTEGER;
    ALTER TABLE worker ADD COLUMN duty TEXT;
    ALTER TABLE worker ADD COLUMN duty_since INTEGER;
    ALTER TABLE worker ADD COLUMN seats_taken INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE worker ADD COLUMN outbox INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE worker ADD COLUMN restarts INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE worker ADD COLUMN request INTEGER;
    ALTER TABLE worker ADD COLUMN request_action TEXT;
    ALTER TABLE worker ADD COLUMN request_now INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE worker ADD COLUMN request_by TEXT NOT NULL DEFAULT '';
    ALTER TABLE worker ADD COLUMN request_reason TEXT NOT NULL DEFAULT '';
    ALTER TABLE worker ADD COLUMN request_at INTEGER;
    ALTER TABLE worker ADD COLUMN request_sent INTEGER;
    ALTER TABLE worker ADD COLUMN request_heard INTEGER;
    ALTER TABLE worker ADD COLUMN request_over INTEGER;
    ALTER TABLE worker ADD COLUMN request_end TEXT;
",
    // Logs lie in chunks, so that the cost of an append does not grow with the log.
    "
    CREATE TABLE log_chunk (
        id INTEGER PRIMARY KEY, log INTEGER NOT NULL REFERENCES run_log ON DELETE CASCADE,
        start INTEGER NOT NULL, newlines INTEGER NOT NULL, data BLOB NOT NULL
    ) STRICT;
    INSERT INTO log_chunk (log, start, newlines, data)
    WITH RECURSIVE piece (log, start, newlines, stop) AS (
        SELECT id, 0, 0, 0 FROM run_log WHERE octet_length(content) > 0
        UNION ALL
        SELECT piece.log, piece.stop,
            newlines + (SELECT octet_length(data) - octet_length(replace(data, char(10), '')) FROM
                (SELECT CAST(substr(whole, start + 1, stop - start) AS TEXT) AS data)),
            -- No character is cut: what goes on with one has its upper bits so.
            CASE WHEN NOT substr(whole, stop + 65537, 1) BETWEEN x'80' AND x'BF' THEN stop + 65536
                WHEN NOT substr(whole, stop + 65536, 1) BETWEEN x'80' AND x'BF' THEN stop + 65535
                WHEN NOT substr(whole, stop + 65535, 1) BETWEEN x'80' AND x'BF' THEN stop + 65534
                ELSE stop + 65533 END
        FROM piece JOIN (SELECT id, CAST(content AS BLOB) AS whole FROM run_log) AS old ON old.id = piece.log
        WHERE piece.stop < octet_length(whole)
    )
    SELECT log, start, newlines, substr(CAST(content AS BLOB), start + 1, stop - start)
    FROM piece JOIN run_log ON run_log.id = log WHERE stop > 0;
    CREATE UNIQUE INDEX log_chunk_at ON log_chunk (log, start, newlines);
    ALTER TABLE run_log ADD COLUMN bytes INTEGER;
    ALTER TABLE run_log ADD COLUMN newlines INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE run_log ADD COLUMN unended INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE run_log ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE run_log ADD COLUMN kept INTEGER NOT NULL DEFAULT 0;
    UPDATE run_log SET bytes = octet_length(content),
        newlines = octet_length(content) - octet_length(replace(content, char(10), '')),
        unended = octet_length(content) > 0 AND substr(CAST(content AS BLOB), -1) <> x'0A'
    WHERE content IS NOT NULL;
    ALTER TABLE run_log DROP COLUMN content;
",
    // Askers of runs and kills, and an index of ended runs in the order of their ends, with the columns of the filters.
    "
    ALTER TABLE run ADD COLUMN asked_by TEXT;
    ALTER TABLE run ADD COLUMN follows INTEGER;
    ALTER TABLE kill_request ADD COLUMN asked_by TEXT;
    CREATE INDEX run_over ON run (return_dts, id, job, return_success, exit) WHERE return_dts IS NOT NULL;
    DROP INDEX run_by_return;
    CREATE INDEX run_follows ON run (follows) WHERE follows IS NOT NULL;
",
    // Workers of a store that was made before the setting `worker_writes` may write what the original allows them.
    "
    INSERT INTO setting (name, value) SELECT 'worker_writes', 'original' WHERE EXISTS (SELECT 1 FROM worker);
",
    // Nonces of workers' handshakes, which must outlive a restart.
    "
    CREATE TABLE uplink_nonce (
        worker INTEGER NOT NULL REFERENCES worker ON DELETE CASCADE, nonce TEXT NOT NULL, used INTEGER NOT NULL,
        PRIMARY KEY (worker, nonce)
    ) STRICT, WITHOUT ROWID;
",
    // A kill request is for the attempt that is under way when it is made.
    "
    ALTER TABLE kill_request ADD COLUMN attempt INTEGER;
    UPDATE kill_request SET attempt = (SELECT attempt FROM run WHERE run.id = kill_request.run);
",
    // By the server's clock: the time at which the start of an attempt was reported; how far ahead of its worker's
    // clock the server's was at the claim, in microseconds; and how far ahead of the server's clock a worker's is, in
    // milliseconds.
    "
    ALTER TABLE run ADD COLUMN start_heard INTEGER;
    ALTER TABLE run ADD COLUMN clock_lead INTEGER;
    ALTER TABLE worker ADD COLUMN clock_ahead INTEGER;
",
    // Hidden jobs of ad-hoc scripts: the title under which a script was submitted, NULL for any other job. Existing
    // ones are recognised by how they were made, unless an edit has made a job of one since.
    "
    ALTER TABLE job ADD COLUMN ad_hoc TEXT;
    UPDATE job SET ad_hoc = title WHERE concurrency = 'allow' AND parent IS NULL AND reschedule_interval IS NULL
        AND cron IS NULL AND description = '' AND notification_addresses = '' AND NOT run_on_all_workers AND retry_times = 0
        AND script_content = script_content_partial
        AND job_template IN (SELECT job_template.id FROM job_template JOIN project ON project.id = project
            WHERE job_template.title = 'submitted' AND project.title = 'default')
        AND id NOT IN (SELECT parent FROM job WHERE parent IS NOT NULL);
    CREATE INDEX job_by_ad_hoc ON job (ad_hoc) WHERE ad_hoc IS NOT NULL;
",
    // Instance that works under the key of each worker.
    "
    CREATE TABLE worker_instance (
        worker INTEGER PRIMARY KEY REFERENCES worker ON DELETE CASCADE, instance TEXT NOT NULL,
        since INTEGER NOT NULL, address TEXT NOT NULL
    ) STRICT;
",
    // Resources that workers lack, by their own reports: a JSON list.
    "
    ALTER TABLE worker ADD COLUMN held TEXT NOT NULL DEFAULT '';
",
    // Index of runs by the time by which they are listed: when they were due, or ended if that was earlier.
    "
    CREATE INDEX run_latest ON run (min(schedule_dts, coalesce(return_dts, schedule_dts)), id);
",
    // Time at which a run became due by the server's clock, which may be set back after that.
    "
    ALTER TABLE run ADD COLUMN came_due INTEGER;
",
    // Time, by the server's clock, at which the server itself ended a run that a worker had claimed.
    "
    ALTER TABLE run ADD COLUMN closed INTEGER;
",
    // Worker that had the attempt for which a kill was requested: the run may be given back or lost meanwhile. For kills
    // of earlier attempts nobody knows it any more.
    "
    ALTER TABLE kill_request ADD COLUMN worker INTEGER;
    UPDATE kill_request SET worker = (SELECT worker FROM run WHERE run.id = kill_request.run
        AND run.attempt = kill_request.attempt AND run.enqueue_dts IS NOT NULL);
",
    // Late results as data: `why` is a code, and the report, which was kept as a text, has columns of its own. Of earlier
    // ones success and reason are read from the texts; the other columns stay NULL.
    "
    ALTER TABLE late_result ADD COLUMN returned INTEGER;
    ALTER TABLE late_result ADD COLUMN success INTEGER;
    ALTER TABLE late_result ADD COLUMN exit TEXT;
    ALTER TABLE late_result ADD COLUMN clock_ahead INTEGER;
    UPDATE late_result SET
        success = CASE WHEN instr(said, 'return_success: Some(Some(true))') THEN 1
            WHEN instr(said, 'return_success: Some(Some(false))') THEN 0 END,
        why = CASE why WHEN 'the run is over' THEN 'over' WHEN 'the run is in a later attempt' THEN 'later_attempt'
            WHEN 'the run is another worker''s' THEN 'another_worker' WHEN 'the run is not claimed' THEN 'unclaimed'
            ELSE '' END;
    DELETE FROM late_result WHERE id IN (SELECT id FROM
        (SELECT id, row_number() OVER (PARTITION BY run ORDER BY id) AS place FROM late_result) WHERE place > 20);
    ALTER TABLE late_result DROP COLUMN said;
",
    // Reasons of fires as codes with parameters. A stored sentence becomes a code only where the sentence that follows
    // from code and parameters is the same to the letter; any other one stays as it is, under the code `sentence`.
    "
    ALTER TABLE fire ADD COLUMN code TEXT NOT NULL DEFAULT 'sentence';
    ALTER TABLE fire ADD COLUMN params TEXT NOT NULL DEFAULT '{}';
    UPDATE fire SET params = json_object('text', reason);
    WITH known (text, code, params) AS (VALUES
        ('the job is disabled', 'job_disabled', '{}'),
        ('the job''s template is disabled', 'template_disabled', '{}'),
        ('the job''s project is disabled', 'project_disabled', '{}'),
        ('the job''s worker pool is disabled', 'pool_disabled', '{}'),
        ('no worker of the pool is enabled', 'no_worker_enabled', '{}'),
        ('no worker of the pool answers', 'nobody_answers', '{}'),
        ('no worker of the pool has a free slot', 'no_free_slot', '{}'),
        ('no worker is in the pool', 'empty_pool', '{}'),
        ('no worker of the pool takes new runs for now', 'nobody_takes', '{}'),
        ('it was announced, and nobody has claimed it yet', 'unclaimed', '{}'),
        ('every worker of the pool sleeps, leaves or has left', 'everybody_rests', '{}'),
        ('cancelled on the dashboard', 'cancelled', '{\"by\":\"dashboard\"}'),
        ('cancelled by the command', 'cancelled', '{\"by\":\"command\"}'),
        ('cancelled over the REST API', 'cancelled', '{\"by\":\"client\"}'),
        ('the job is not scheduled like that any more', 'schedule_changed', '{}'),
        ('there is no next run: its excludes leave out every time of the next forty years', 'no_next_run',
            '{\"why\":\"all_left_out\"}'),
        ('there is no next run: there is no such time any more', 'no_next_run', '{\"why\":\"never\"}'),
        ('this time passed while the one before waited or nobody looked', 'passed', '{\"times\":1}'),
        ('this and at least 99 more times passed while the one before waited or nobody looked', 'passed',
            '{\"times\":100}'))
    UPDATE fire SET code = known.code, params = known.params FROM known WHERE reason = text;
    -- CAST reads the digits that the text begins with.
    WITH known (head, tail, code, name, plus, other, value) AS (VALUES
        ('run ', ' of the job is not over yet', 'active', 'run', 0, NULL, NULL),
        ('run ', ' of the job comes first', 'behind', 'run', 0, NULL, NULL),
        ('run ', ' is killed to make room', 'replacing', 'run', 0, NULL, NULL),
        ('run ', ' takes its place', 'superseded', 'run', 0, NULL, NULL),
        ('its worker ', ' is disabled', 'worker_disabled', 'worker', 0, NULL, NULL),
        ('its worker ', ' does not answer', 'worker_silent', 'worker', 0, NULL, NULL),
        ('its worker ', ' takes no new runs: it sleeps, leaves or has left', 'worker_rests', 'worker', 0, NULL, NULL),
        ('its worker ', ' claims no runs for now', 'worker_holds', 'worker', 0, NULL, NULL),
        ('its worker ', ' was removed', 'worker_removed', 'worker', 0, NULL, NULL),
        ('worker ', ' does not answer', 'worker_left_out', 'worker', 0, 'why', 'silent'),
        ('worker ', ' sleeps, leaves or has left', 'worker_left_out', 'worker', 0, 'why', 'resting'),
        ('cancelled by worker ', '', 'cancelled', 'worker', 0, 'by', 'worker'),
        ('this and ', ' more times passed while the one before waited or nobody looked', 'passed', 'times', 1, NULL, NULL)),
    read (id, code, name, number, other, value) AS (
        SELECT fire.id, known.code, name, plus + CAST(substr(reason, length(head) + 1) AS INTEGER), other, value
        FROM fire JOIN known
        ON fire.code = 'sentence' AND reason = head || CAST(substr(reason, length(head) + 1) AS INTEGER) || tail)
    UPDATE fire SET code = read.code,
        params = CASE WHEN other IS NULL THEN json_object(name, number) ELSE json_object(name, number, other, value) END
    FROM read WHERE read.id = fire.id AND number > 0 AND NOT (read.code = 'passed' AND number > 99);
    WITH known (head, code) AS (VALUES
        ('the job is disabled: run ', 'child_disabled'), ('its parent failed: run ', 'parent_failed')),
    parent (id, code, head, run) AS (
        SELECT fire.id, known.code, head, CAST(substr(reason, length(head) + 1) AS INTEGER)
        FROM fire JOIN known ON fire.code = 'sentence' AND substr(reason, 1, length(head)) = head),
    read (id, code, run, job) AS (
        SELECT fire.id, parent.code, parent.run, CAST(substr(reason, length(head || parent.run || ' of job ') + 1) AS INTEGER)
        FROM parent JOIN fire USING (id)
        WHERE reason = head || parent.run || ' of job ' ||
            CAST(substr(reason, length(head || parent.run || ' of job ') + 1) AS INTEGER))
    UPDATE fire SET code = read.code, params = json_object('run', read.run, 'job', read.job)
    FROM read WHERE read.id = fire.id AND read.run > 0 AND read.job > 0;
    WITH known (middle, tail, code) AS (VALUES
        (' was lost with attempt ', '', 'worker_lost'), (' gave back attempt ', ', unjudged', 'given_back')),
    taken (id, code, middle, tail, worker) AS (
        SELECT fire.id, known.code, middle, tail, CAST(substr(reason, 8) AS INTEGER)
        FROM fire JOIN known ON fire.code = 'sentence' AND run IS NOT NULL AND substr(reason, 1, 7) = 'worker '),
    read (id, code, worker, attempt) AS (
        SELECT fire.id, taken.code, worker, CAST(substr(reason, length('worker ' || worker || middle) + 1) AS INTEGER)
        FROM taken JOIN fire USING (id)
        WHERE reason = 'worker ' || worker || middle ||
            CAST(substr(reason, length('worker ' || worker || middle) + 1) AS INTEGER) || ' of run ' || run || tail)
    UPDATE fire SET code = read.code, params = json_object('run', run, 'worker', worker, 'attempt', attempt)
    FROM read WHERE read.id = fire.id AND worker > 0;
    -- An exclude with seconds, which is rare, stays a sentence.
    WITH read (id, start, stop, note) AS (
        SELECT id, substr(reason, 25, 5), substr(reason, 34, 5), substr(reason, 41, length(reason) - 41) FROM fire
        WHERE reason GLOB 'the schedule leaves out [0-2][0-9]:[0-5][0-9] to [0-2][0-9]:[0-5][0-9] (?*)')
    UPDATE fire SET code = 'excluded', params = json_object('start', start, 'end', stop, 'note', note)
    FROM read WHERE read.id = fire.id AND time(start) IS NOT NULL AND time(stop) IS NOT NULL;
    UPDATE fire SET code = 'excluded', params = json_object('start', substr(reason, 25, 5), 'end', substr(reason, 34, 5))
    WHERE reason GLOB 'the schedule leaves out [0-2][0-9]:[0-5][0-9] to [0-2][0-9]:[0-5][0-9]'
        AND time(substr(reason, 25, 5)) IS NOT NULL AND time(substr(reason, 34, 5)) IS NOT NULL;
    DROP INDEX fire_once;
    ALTER TABLE fire DROP COLUMN reason;
    CREATE UNIQUE INDEX fire_once ON fire (job, due, what, code, params, coalesce(run, 0));
",
    // Index of due runs that stay due when the clock is set back.
    "
    CREATE INDEX run_came_due ON run (job) WHERE enqueue_dts IS NULL AND return_dts IS NULL AND came_due IS NOT NULL;
",
    // Whether a run has waited for a reason of a kind, and which of its attempts were lost, is asked for by the run.
    "
    CREATE INDEX fire_of_run ON fire (run, code) WHERE run IS NOT NULL;
",
    // The farm: workers of Flamenco with the types of tasks that they support, jobs, tasks with what they wait for, and
    // failures. `blocked` counts the parents that are not completed; `last_update` is the digest of an update.
    // `schedule_status` is the state that the sleep schedule asked for last.
    "
    CREATE TABLE fl_worker (
        id TEXT PRIMARY KEY, salt TEXT NOT NULL, hash TEXT NOT NULL, nickname TEXT NOT NULL, address TEXT NOT NULL,
        platform TEXT NOT NULL, software TEXT NOT NULL, status TEXT NOT NULL, asked TEXT,
        asked_lazily INTEGER NOT NULL DEFAULT 0, registered INTEGER NOT NULL, seen INTEGER NOT NULL,
        schedule TEXT, schedule_status TEXT
    ) STRICT;
    CREATE INDEX fl_worker_awake ON fl_worker (seen) WHERE status = 'awake';
    CREATE INDEX fl_worker_scheduled ON fl_worker (id) WHERE schedule IS NOT NULL;
    CREATE TABLE fl_worker_type (
        worker TEXT NOT NULL REFERENCES fl_worker ON DELETE CASCADE, task_type TEXT NOT NULL,
        PRIMARY KEY (worker, task_type)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX fl_worker_by_type ON fl_worker_type (task_type);
    CREATE TABLE fl_job (
        id TEXT PRIMARY KEY, name TEXT NOT NULL, job_type TEXT NOT NULL, priority INTEGER NOT NULL,
        created INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE fl_task (
        id TEXT PRIMARY KEY, job TEXT NOT NULL REFERENCES fl_job ON DELETE CASCADE, name TEXT NOT NULL,
        task_type TEXT NOT NULL, status TEXT NOT NULL, job_priority INTEGER NOT NULL, priority INTEGER NOT NULL,
        blocked INTEGER NOT NULL, commands TEXT NOT NULL, worker TEXT, worker_name TEXT NOT NULL DEFAULT '',
        pinged INTEGER, activity TEXT NOT NULL DEFAULT '', updated INTEGER NOT NULL, last_update TEXT,
        last_update_at INTEGER
    ) STRICT;
    CREATE INDEX fl_task_waiting ON fl_task (task_type, job_priority DESC, priority DESC, id)
        WHERE blocked = 0 AND status IN ('queued', 'claimed-by-manager', 'soft-failed');
    CREATE INDEX fl_task_held ON fl_task (worker) WHERE status IN ('active', 'cancel-requested');
    CREATE INDEX fl_task_pinged ON fl_task (pinged) WHERE status IN ('active', 'cancel-requested');
    CREATE INDEX fl_task_by_job ON fl_task (job, task_type, status);
    CREATE INDEX fl_task_over ON fl_task (updated) WHERE status IN ('completed', 'failed', 'canceled');
    CREATE TABLE fl_parent (
        task TEXT NOT NULL REFERENCES fl_task ON DELETE CASCADE, parent TEXT NOT NULL REFERENCES fl_task ON DELETE CASCADE,
        PRIMARY KEY (task, parent)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX fl_parent_by_parent ON fl_parent (parent);
    CREATE TABLE fl_failure (
        task TEXT NOT NULL REFERENCES fl_task ON DELETE CASCADE, worker TEXT NOT NULL, PRIMARY KEY (task, worker)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE fl_blacklist (
        worker TEXT NOT NULL REFERENCES fl_worker ON DELETE CASCADE, job TEXT NOT NULL REFERENCES fl_job ON DELETE CASCADE,
        task_type TEXT NOT NULL, expires INTEGER NOT NULL, PRIMARY KEY (worker, job, task_type)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX fl_blacklist_by_job ON fl_blacklist (job);
",
];
