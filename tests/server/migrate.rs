//! `job_runner migrate`: the program moves a store to a real PostgreSQL, is killed on its way, and is refused.

use std::fmt::Write as _;
use std::fs::{DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jobrunner::server::store::Store;
use jobrunner::server::store::changes::ChangeFeed;
use nix::sys::signal::Signal;
use rusqlite::Connection;
use rusqlite::types::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;
use tokio_postgres::{Client, NoTls, Row};

use crate::full_size::full_size;
use crate::program::{Done, JOB_RUNNER, Lasting, Place};
use crate::sqlite;
use crate::test_database::TestDatabase;

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(600);
/// Tables of the store; each has rows.
const TABLES: [&str; 26] = [
    "auth_group",
    "fire",
    "fl_blacklist",
    "fl_failure",
    "fl_job",
    "fl_parent",
    "fl_task",
    "fl_worker",
    "fl_worker_type",
    "job",
    "job_template",
    "kill_request",
    "late_result",
    "log_chunk",
    "pool_worker",
    "project",
    "project_group",
    "project_pool",
    "reschedule_exclude",
    "run",
    "run_log",
    "setting",
    "uplink_nonce",
    "worker",
    "worker_instance",
    "worker_pool",
];
/// Rows of every table, with values at the edges of what columns hold.
const ODD_ROWS: &str = "
    INSERT INTO auth_group (id, name) VALUES (1, 'ops'), (7, '');
    INSERT INTO project (id, title, description) VALUES (1, 'default', ''), (9, 'café 😀', 'a' || char(0) || 'b');
    INSERT INTO worker (id, title, api_key, secret, heard, held) VALUES (1, 'web1', 'web1', 's', -1, '[]'),
        (2, 'web2', 'ключ', char(1114111) || char(0) || char(1114111) || '0', 9223372036854775807, '');
    INSERT INTO worker_pool (id, title) VALUES (1, 'default');
    INSERT INTO pool_worker (pool, worker) VALUES (1, 2), (1, 1);
    INSERT INTO project_pool (project, pool) VALUES (9, 1), (1, 1);
    INSERT INTO project_group (project, auth_group, admin) VALUES (9, 7, 0), (9, 7, 1), (1, 1, 0);
    INSERT INTO job_template (id, title, body, project) VALUES (1, 't', '{{ content|safe }}', 1);
    -- A job comes before its parent, one is its own, and the last id was given to one that is deleted.
    INSERT INTO job (id, parent, job_template, worker_pool, title, script_content_partial, script_content, ad_hoc)
        VALUES (1, NULL, 1, 1, 'a', '', '', NULL), (2, NULL, 1, 1, 'b', hex(zeroblob(1000000)), '', ''),
        (3, 1, 1, 1, 'c' || char(10), char(0), char(13) || char(10) || '\\N', 'x'), (40, NULL, 1, 1, 'gone', '', '', NULL);
    UPDATE job SET parent = 3 WHERE id = 2;
    UPDATE job SET parent = 1 WHERE id = 1;
    DELETE FROM job WHERE id = 40;
    INSERT INTO reschedule_exclude (job, start_time, end_time) VALUES (1, 0, 86400);
    INSERT INTO run (id, job, schedule_id, worker, schedule_dts, return_success, exit, plan) VALUES
        (1, 1, 1, NULL, -9223372036854775807 - 1, NULL, NULL, NULL), (5, 2, 5, 2, 0, 0, '', '{}'),
        (6, 3, 5, 1, 9223372036854775807, 1, '{\"exit\":0}', char(0));
    INSERT INTO run_log (id, run, bytes) VALUES (1, 1, NULL), (2, 5, 0), (8, 6, 5000000);
    INSERT INTO log_chunk (id, log, start, newlines, data) VALUES
        (1, 8, 0, 0, x'00ff80000a'), (3, 2, 0, 0, x''), (900, 8, 5, 1, randomblob(5000000));
    DELETE FROM run_log WHERE id = 1;
    INSERT INTO kill_request (run, schedule_dts, asked_by) VALUES (5, 1, NULL), (6, 2, 'operator');
    INSERT INTO fire (job, due, run, what, at, code, params) VALUES (1, 0, NULL, 'missed', 1, 'sentence', '{}'),
        (1, 0, 5, 'missed', 1, 'sentence', '{\"text\":\"' || hex(zeroblob(5000)) || '\"}'),
        (1, 0, 5, 'missed', 1, 'sentence', '{\"text\":\"' || hex(zeroblob(5000)) || '1\"}');
    INSERT INTO late_result (run, at, why) VALUES (5, 1, 'over');
    INSERT INTO uplink_nonce (worker, nonce, used) VALUES (2, 'b', 1), (2, 'B', 2), (1, 'ä', 3), (1, 'z', 4);
    INSERT INTO worker_instance (worker, instance, since, address) VALUES (2, 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 1, '::1');
    INSERT INTO fl_worker (id, salt, hash, nickname, address, platform, software, status, registered, seen)
        VALUES ('b', '', '', char(0), '', 'ä', char(10), '', -1, 9223372036854775807), ('a', 's', 'h', '', '', '', '', 'awake', 0, 0);
    INSERT INTO fl_worker_type (worker, task_type) VALUES ('b', 'x'), ('b', 'X'), ('a', '');
    INSERT INTO fl_job (id, name, job_type, priority, created) VALUES ('j', '\\N', '', -5, 0);
    -- A task comes before its parent.
    INSERT INTO fl_task (id, job, name, task_type, status, job_priority, priority, blocked, commands, updated)
        VALUES ('a', 'j', '', '', 'queued', -5, 0, 1, hex(zeroblob(1000000)), 0), ('b', 'j', 'b', 'x', 'active', -5, 0, 0, '[]', 1);
    INSERT INTO fl_parent (task, parent) VALUES ('a', 'b');
    INSERT INTO fl_failure (task, worker) VALUES ('a', 'gone'), ('a', 'a');
    INSERT INTO fl_blacklist (worker, job, task_type, expires) VALUES ('b', 'j', 'x', -9223372036854775807 - 1);
    INSERT INTO setting (name, value) VALUES ('Z', ''), ('a', 'line' || char(10)), ('ä', char(0));";

/// A directory with a store, and a database to which it is moved.
struct Scene {
    place: Place,
    database: TestDatabase,
}

impl Scene {
    /// Makes a store, and fills it; `None` where there is no PostgreSQL.
    async fn with(rows: &str) -> Option<Self> {
        let scene = Self { database: TestDatabase::fresh()?, place: Place::new() };
        DirBuilder::new().mode(0o700).create(scene.place.path().join("data")).expect("a folder");
        let store = Store::open(&scene.file(), ChangeFeed::default()).await.expect("a store");
        store.close().await;
        std::fs::set_permissions(scene.file(), Permissions::from_mode(0o600)).expect("rights");
        scene.sqlite().execute_batch(rows).expect("rows");
        Some(scene)
    }

    fn file(&self) -> PathBuf {
        self.place.path().join("data/job_runner.sqlite")
    }

    fn sqlite(&self) -> Connection {
        sqlite::connect(&self.file()).expect("the store")
    }

    /// Connects to the database of the test, beside the program.
    async fn postgres(&self) -> Client {
        let (client, connection) = tokio_postgres::connect(self.database.url(), NoTls).await.expect("PostgreSQL");
        tokio::spawn(connection);
        client
    }

    /// Migrates to the end.
    async fn migrate(&self, more: &[&str]) -> Done {
        let url = self.database.url();
        self.place.run(&[&["migrate", "--data", "data", "--to", url], more].concat()).await
    }

    /// Starts a migration; its reports come on the returned lines.
    fn begin(&self) -> (Child, tokio::io::Lines<BufReader<tokio::process::ChildStderr>>) {
        let command = &mut self.place.command(&["migrate", "--data", "data", "--to", self.database.url()]);
        let mut child = command.spawn().expect("the command");
        let lines = BufReader::new(child.stderr.take().expect("its reports")).lines();
        (child, lines)
    }

    /// Starts a server, on SQLite or on the database; returns what it says where it does not start.
    async fn serve(&self, database: &str) -> Result<Lasting, Done> {
        let mut ini = "[job_runner]\ndata_path = data\nlisten = 127.0.0.1:0\nbroadcaster_listen = 127.0.0.1:0\n\
            events_listen = 127.0.0.1:0\n"
            .to_owned();
        writeln!(ini, "database = {database}").expect("a string");
        self.place.script("server.ini", &ini);
        let line = format!("exec {JOB_RUNNER} serve --config server.ini 2>&1");
        let mut serve = self.place.start_by("sh", &["-c", &line]);
        let mut said = String::new();
        loop {
            // The dispatcher may have something to say before the server is said to be started.
            let line = serve.next_line().await;
            if line.contains("server started") {
                return Ok(serve);
            }
            if line.is_empty() {
                return Err(Done { out: said, ..serve.end().await });
            }
            said += &line;
        }
    }

    /// Asserts that a server does not start, and what it says.
    async fn refuses(&self, database: &str, words: &str) {
        match self.serve(database).await {
            Ok(_) => panic!("a server started on {database}"),
            Err(done) => {
                assert_eq!(done.code, 73, "{done:?}");
                assert!(done.out.contains(words) && done.out.lines().count() == 1, "{done:?}");
            }
        }
    }

    /// Asserts that a server starts, and stops it.
    async fn starts(&self, database: &str) {
        let serve = self.serve(database).await.unwrap_or_else(|done| panic!("{done:?}"));
        serve.signal(Signal::SIGTERM);
        assert_eq!(serve.end().await.code, 0);
    }

    /// Asserts that both databases have the same rows.
    async fn assert_same(&self) {
        let (here, there) = (self.sqlite(), self.postgres().await);
        for table in TABLES {
            let (sqlite, postgres) = (rows_of_sqlite(&here, table), rows_of_postgres(&there, table).await);
            assert_eq!(sqlite.len(), postgres.len(), "rows of {table}");
            for (sqlite, postgres) in sqlite.iter().zip(&postgres) {
                assert_eq!(sqlite, postgres, "{table}");
            }
        }
    }
}

/// Columns of a table, in the order of their names.
fn columns(sqlite: &Connection, table: &str) -> Vec<String> {
    let mut question = sqlite.prepare("SELECT name FROM pragma_table_info(?) ORDER BY name").expect("a question");
    let names = question.query_map([table], |row| row.get(0)).expect("columns");
    names.collect::<Result<_, _>>().expect("names")
}

/// Rows of a table, sorted, without what the migration itself writes.
fn rows_of_sqlite(sqlite: &Connection, table: &str) -> Vec<String> {
    let columns = columns(sqlite, table);
    let mut question =
        sqlite.prepare(&format!("SELECT \"{}\" FROM {table}", columns.join("\", \""))).expect("a question");
    let rows = question.query_map([], |row| {
        let value = |index| match row.get::<_, Value>(index)? {
            Value::Null => Ok("NULL".to_owned()),
            Value::Integer(number) => Ok(number.to_string()),
            // As PostgreSQL holds what it cannot hold.
            Value::Text(text) => {
                Ok(format!("{:?}", text.replace('\u{10ffff}', "\u{10ffff}\u{10ffff}").replace('\0', "\u{10ffff}0")))
            }
            other => Ok(format!("{other:?}")),
        };
        let values: rusqlite::Result<Vec<String>> = (0..columns.len()).map(value).collect();
        Ok(values?.join(" "))
    });
    let mut rows: Vec<String> = rows.expect("rows").collect::<Result<_, _>>().expect("rows");
    rows.retain(|row| !row.starts_with("\"moved_"));
    rows.sort_unstable();
    rows
}

async fn rows_of_postgres(postgres: &Client, table: &str) -> Vec<String> {
    let names = "SELECT CAST(attname AS TEXT), CAST(atttypid AS BIGINT) FROM pg_attribute
        WHERE attrelid = CAST(CAST($1 AS TEXT) AS regclass) AND attnum > 0 AND NOT attisdropped ORDER BY attname COLLATE \"C\"";
    let columns: Vec<String> =
        postgres.query(names, &[&table]).await.expect("columns").iter().map(|row| row.get(0)).collect();
    let question = format!("SELECT \"{}\" FROM {table}", columns.join("\", \""));
    let value = |row: &Row, index: usize| match row.columns()[index].type_().name() {
        "int8" => row.get::<_, Option<i64>>(index).map(|number| number.to_string()),
        "text" => row.get::<_, Option<String>>(index).map(|text| format!("{text:?}")),
        _ => row.get::<_, Option<Vec<u8>>>(index).map(|bytes| format!("{:?}", Value::Blob(bytes))),
    };
    let rows = postgres.query(&question, &[]).await.expect("rows");
    let text = |row: &Row| {
        let values = (0..row.len()).map(|index| value(row, index).unwrap_or_else(|| "NULL".to_owned()));
        values.collect::<Vec<_>>().join(" ")
    };
    let mut rows: Vec<String> = rows.iter().map(text).collect();
    rows.sort_unstable();
    rows
}

#[tokio::test]
async fn a_store_with_odd_values_arrives_as_it_is_and_a_server_goes_on_with_it() {
    let Some(scene) = Scene::with(ODD_ROWS).await else { return };
    let done = scene.migrate(&["--json"]).await;
    assert_eq!(done.code, 0, "{done:?}");
    let result = done.json();
    assert_eq!(result["outcome"], "moved", "{result}");
    let tables = result["tables"].as_array().expect("tables");
    let is_empty = |table: &&serde_json::Value| table["rows"] == 0;
    assert_eq!(tables.iter().find(is_empty), None, "every table has rows to compare");
    let counted: u64 = tables.iter().map(|table| table["rows"].as_u64().expect("rows")).sum();
    assert_eq!((tables.len(), result["rows"].as_u64()), (TABLES.len(), Some(counted)));
    assert!(done.err.contains("copied run: 3 rows") && done.err.contains("checked run: 3 rows"), "{}", done.err);
    scene.assert_same().await;
    let postgres = scene.postgres().await;
    // No id is given again, not even that of a deleted row.
    for (table, id) in [("job", 41), ("run", 7), ("run_log", 9), ("log_chunk", 901), ("project", 10)] {
        let next = format!("SELECT nextval(pg_get_serial_sequence('{table}', 'id'))");
        assert_eq!(postgres.query_one(&next, &[]).await.expect("an id").get::<_, i64>(0), id, "{table}");
    }
    // The old store is none any more, until somebody says so.
    scene.refuses("sqlite", "was moved to the PostgreSQL database").await;
    scene.starts(scene.database.url()).await;
    let again = scene.migrate(&[]).await;
    assert_eq!(again.code, 0, "{again:?}");
    assert!(again.out.contains("was moved to") && again.out.contains("nothing was changed"), "{again:?}");
    let back = scene.place.run(&["migrate", "--back", "--data", "data"]).await;
    assert!(back.code == 0 && back.out.contains("A server may start"), "{back:?}");
    scene.starts("sqlite").await;
    let refused = scene.migrate(&[]).await;
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.err.contains("has the data of this store already"), "{refused:?}");
}

/// Rows of a store that takes a while: jobs, runs with logs, and fires.
fn many_rows(runs: u32, log_bytes: u32) -> String {
    format!(
        "INSERT INTO project (id, title) VALUES (1, 'default');
        INSERT INTO worker (id, title, api_key, secret) VALUES (1, 'web1', 'web1', 's');
        INSERT INTO worker_pool (id, title) VALUES (1, 'default');
        INSERT INTO job_template (id, title, body, project) VALUES (1, 't', '{{{{ content|safe }}}}', 1);
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
        INSERT INTO job (job_template, worker_pool, title, script_content_partial, script_content)
            SELECT 1, 1, 'job ' || i, 'echo ' || i, '#!/bin/sh' || char(10) || 'echo ' || i FROM n;
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {runs})
        INSERT INTO run (job, schedule_id, worker, schedule_dts, enqueue_dts, start_dts, return_dts, return_success, exit, attempt)
            SELECT 1 + i % 1000, i, 1, i * 1000000, i * 1000000, i * 1000000, i * 1000000 + 5, 1, '{{\"code\":0}}', 1 FROM n;
        INSERT INTO fire (job, due, run, what, at) SELECT job, schedule_dts, id, 'fired', schedule_dts FROM run;
        INSERT INTO run_log (id, run, bytes) SELECT id, id, {log_bytes} FROM run;
        INSERT INTO log_chunk (log, start, newlines, data) SELECT id, 0, 0, randomblob({log_bytes}) FROM run_log;"
    )
}

#[tokio::test]
async fn a_migration_that_is_killed_begins_anew_and_no_server_starts_on_half_a_store() {
    let Some(scene) = Scene::with(&format!("{ODD_ROWS}{}", MORE_RUNS)).await else { return };
    let mut seen = (0, 0);
    // Each report is a place to be killed at: after so many of them, and some in the middle of what comes next.
    for reports in [0, 7, 14, 18, 19, 26, 37] {
        let (mut child, mut lines) = scene.begin();
        for _ in 0..reports {
            let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("a report in time");
            line.expect("text").expect("a report");
        }
        child.start_kill().expect("it goes on");
        tokio::time::timeout(PATIENCE, child.wait()).await.expect("an end").expect("an end");
        let postgres = scene.postgres().await;
        let begun = "SELECT to_regclass('schema_version') IS NOT NULL";
        let begun: bool = postgres.query_one(begun, &[]).await.expect("an answer").get(0);
        if begun {
            let count: i64 = postgres.query_one("SELECT count(*) FROM run", &[]).await.expect("an answer").get(0);
            assert_eq!(count, 0, "after {reports} reports");
            scene.refuses(scene.database.url(), "has an unfinished migration").await;
            seen.0 += 1;
        } else {
            seen.1 += 1;
        }
    }
    assert!(seen.0 >= 5, "{seen:?} were killed on their way, and before");
    // Nothing has become of the SQLite store.
    scene.starts("sqlite").await;
    // Killed between the two commits: the SQLite store is marked, the database is not whole.
    let sqlite = scene.sqlite();
    let version: i64 = sqlite.query_row("PRAGMA user_version", [], |row| row.get(0)).expect("a version");
    sqlite.pragma_update(None, "user_version", version + 1_000_000).expect("a mark");
    let mark = |place: &str| {
        let sql = "INSERT OR REPLACE INTO setting VALUES ('moved_to', ?), ('moved_at', 'then')";
        sqlite.execute(sql, [place]).expect("a mark");
    };
    // Another database has the store, and this one an earlier attempt.
    mark("elsewhere");
    let refused = scene.migrate(&[]).await;
    assert!(refused.code == 1 && refused.err.contains("is not the one to which this store was moved"), "{refused:?}");
    let name = scene.database.url().rsplit('/').next().expect("a name");
    let socket = scene.database.socket();
    let here = format!("{}:5432/{name}", socket.parent().expect("a folder").display());
    mark(&here);
    drop(sqlite);
    scene.refuses("sqlite", &format!("was moved to the PostgreSQL database {here} on then")).await;
    scene.refuses(scene.database.url(), "has an unfinished migration").await;
    let done = scene.migrate(&[]).await;
    assert_eq!(done.code, 0, "{done:?}");
    scene.assert_same().await;
    scene.refuses("sqlite", "was moved to").await;
    scene.starts(scene.database.url()).await;
}

/// More runs, so that tables take a while.
const MORE_RUNS: &str = "
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
    INSERT INTO run (job, schedule_id, schedule_dts) SELECT 1, 100 + i, i FROM n;
    INSERT INTO run_log (run) SELECT id FROM run WHERE id > 6;
    INSERT INTO log_chunk (log, start, newlines, data) SELECT id, 0, 0, randomblob(2000) FROM run_log WHERE id > 8;";

#[tokio::test]
async fn a_database_that_is_not_empty_is_refused_and_stays_as_it_was() {
    let Some(scene) = Scene::with(ODD_ROWS).await else { return };
    let refused = async |words: &str| {
        let done = scene.migrate(&[]).await;
        assert_eq!(done.code, 1, "{done:?}");
        assert!(done.err.contains(words) && done.err.lines().count() == 1 && done.out.is_empty(), "{done:?}");
    };
    let postgres = scene.postgres().await;
    postgres.batch_execute("CREATE TABLE customer (id INT)").await.expect("a table");
    refused("has tables of another program").await;
    postgres.batch_execute("DROP TABLE customer").await.expect("no table");
    // A server that was started on it has made a store there.
    scene.starts(scene.database.url()).await;
    refused("has the data of another installation").await;
    // An incomplete copy of another installation is not this one's to finish.
    let mark = "INSERT INTO setting VALUES ('installation', 'other');
        UPDATE schema_version SET version = version + 1000000, readable_from = readable_from + 1000000";
    postgres.batch_execute(mark).await.expect("a mark");
    refused("has an incomplete copy of another installation").await;
    scene.refuses(scene.database.url(), "has an unfinished migration").await;
    scene.starts("sqlite").await;
}

/// A trigger that comes to life with a table of the store, and does something to its rows.
fn trigger(table: &str, act: &str) -> String {
    format!(
        "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {act} END $$;
        CREATE FUNCTION watch_tables() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
            IF to_regclass('{table}') IS NOT NULL AND NOT EXISTS (SELECT 1 FROM pg_trigger WHERE tgname = 'spoil') THEN
                CREATE TRIGGER spoil BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION spoil();
            END IF; END $$;
        CREATE EVENT TRIGGER watch ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION watch_tables()"
    )
}

#[tokio::test]
async fn a_row_that_arrives_as_another_one_is_found_and_nothing_is_moved() {
    for (table, act, words) in [
        (
            "run",
            "NEW.attempt := NEW.attempt + (NEW.id = 5)::int; RETURN NEW;",
            "the column attempt of the row 5 of the table run in",
        ),
        (
            "run",
            "IF NEW.id = 6 THEN NEW.exit := NULL; END IF; RETURN NEW;",
            "the column exit of the row 6 of the table run in",
        ),
        (
            "log_chunk",
            "IF NEW.id = 3 THEN NEW.id := 4; END IF; RETURN NEW;",
            "the column id of the row 3 of the table log_chunk",
        ),
        (
            "log_chunk",
            "NEW.data := set_byte(NEW.data || '\\x00', 0, 1); RETURN NEW;",
            "the column data of the row 1 of the table",
        ),
        (
            "setting",
            "NEW.value := rtrim(NEW.value, E'\\n'); RETURN NEW;",
            "the column value of the row \"a\" of the table setting",
        ),
        ("fire", "IF NEW.id = 3 THEN RETURN NULL; END IF; RETURN NEW;", "the number of rows of the table fire in"),
    ] {
        let Some(scene) = Scene::with(ODD_ROWS).await else { return };
        let postgres = scene.postgres().await;
        postgres.batch_execute(&trigger(table, act)).await.expect("a trigger");
        let done = scene.migrate(&[]).await;
        assert_eq!(done.code, 1, "{act}: {done:?}");
        let last = done.err.lines().last().expect("an error");
        assert!(
            last.contains(words) && last.ends_with("differs from the one in SQLite; nothing was moved"),
            "{act}: {last}"
        );
        scene.refuses(scene.database.url(), "has an unfinished migration").await;
        postgres
            .batch_execute(&format!("DROP EVENT TRIGGER watch; DROP TRIGGER spoil ON {table}"))
            .await
            .expect("none");
        assert_eq!(scene.migrate(&[]).await.code, 0);
        scene.assert_same().await;
    }
}

#[tokio::test]
async fn an_older_store_is_brought_forward_first_and_a_newer_one_is_refused() {
    let Some(scene) = Scene::with(ODD_ROWS).await else { return };
    let version =
        || scene.sqlite().query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0)).expect("a version");
    let present = version();
    scene.sqlite().pragma_update(None, "user_version", present + 1).expect("a version");
    let done = scene.migrate(&[]).await;
    assert!(
        done.code == 1 && done.err.contains(&format!("has version {}; this program reads up to", present + 1)),
        "{done:?}"
    );
    assert!(done.err.lines().count() == 1 && version() == present + 1, "{done:?}");
    // What the last three steps have made; a table goes before those to which it refers.
    let farm = ["blacklist", "failure", "parent", "task", "job", "worker_type", "worker"];
    let mut before: String = farm.iter().map(|table| format!("DROP TABLE fl_{table};")).collect();
    before.push_str("DROP INDEX fire_of_run; DROP INDEX run_came_due;");
    before.push_str(&format!("PRAGMA user_version = {}", present - 3));
    scene.sqlite().execute_batch(&before).expect("an older store");
    let done = scene.migrate(&[]).await;
    assert_eq!(done.code, 0, "{done:?}");
    scene.assert_same().await;
    assert_eq!(scene.place.run(&["migrate", "--back", "--data", "data"]).await.code, 0);
    assert_eq!(version(), present);
    scene.starts("sqlite").await;
}

#[tokio::test]
async fn the_store_of_a_running_server_is_not_moved() {
    let Some(scene) = Scene::with("").await else { return };
    let serve = scene.serve("sqlite").await.expect("a server");
    let done = scene.migrate(&[]).await;
    assert_eq!(done.code, 75, "{done:?}");
    assert_eq!(done.err, "job_runner: a server works in the data directory data; stop it first\n");
    serve.signal(Signal::SIGTERM);
    assert_eq!(serve.end().await.code, 0);
    assert_eq!(scene.migrate(&[]).await.code, 0);
}

#[tokio::test]
async fn a_migration_without_a_store_or_a_database_says_what_is_missing() {
    let place = Place::new();
    let cases: [(&[&str], i32, &str); 4] = [
        (
            &["migrate", "--to", "postgres://a@127.0.0.1:1/a"],
            66,
            "there is no SQLite store job_runner_data/job_runner.sqlite",
        ),
        (
            &["migrate", "--to", "mysql://a:geheim@b/c"],
            2,
            "--to does not begin with postgres://; allowed is postgres://",
        ),
        (&["migrate", "--config", "none.ini"], 66, "none.ini: cannot be read"),
        (&["migrate", "--back", "--to", "postgres://a@b/c"], 2, "cannot be used with"),
    ];
    for (arguments, code, words) in cases {
        let done = place.run(arguments).await;
        assert_eq!(done.code, code, "{arguments:?}: {done:?}");
        assert!(done.err.contains(words) && !done.err.contains("geheim"), "{arguments:?}: {done:?}");
    }
    assert!(!place.path().join("job_runner_data").exists(), "a directory was made for nothing");
}

#[tokio::test]
async fn the_file_of_the_server_names_store_database_and_password() {
    let Some(scene) = Scene::with(ODD_ROWS).await else { return };
    scene.place.script("password", "geheim\n");
    std::fs::set_permissions(scene.place.path().join("password"), Permissions::from_mode(0o600)).expect("rights");
    let ini = format!(
        "[job_runner]\ndata_path = data\ndatabase = {}\ndatabase_password_file = password\n",
        scene.database.url()
    );
    scene.place.script("server.ini", &ini);
    let done = scene.place.run(&["migrate", "--config", "server.ini"]).await;
    assert_eq!(done.code, 0, "{done:?}");
    assert!(!format!("{done:?}").contains("geheim"), "{done:?}");
    scene.assert_same().await;
}

/// Highest memory of a process so far, in bytes.
fn highest_memory(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// Memory stays within its bound, whatever the size. `JOB_RUNNER_FULL_SIZE=1`: 100,000 runs with 1 GB of logs.
#[tokio::test]
async fn a_large_store_is_moved_in_little_memory() {
    let (runs, log_bytes) = if full_size() { (100_000, 10_000) } else { (2_000, 20_000) };
    let Some(scene) = Scene::with(&many_rows(runs, log_bytes)).await else { return };
    let begun = Instant::now();
    let (mut child, mut lines) = scene.begin();
    let pid = child.id().expect("it goes on");
    let (mut highest, mut reports) = (0, String::new());
    while let Some(line) = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("in time").expect("text") {
        // The last report comes after the last row was compared.
        highest = highest_memory(pid).unwrap_or(highest).max(highest);
        writeln!(reports, "{line}").expect("a string");
    }
    child.stdout.take();
    let status = tokio::time::timeout(PATIENCE, child.wait()).await.expect("an end").expect("an end");
    assert!(status.success(), "{reports}");
    println!("{runs} runs in {:?}, {:.1} MB of memory\n{reports}", begun.elapsed(), highest as f64 / 1e6);
    assert!((1_000_000..60_000_000).contains(&highest), "{highest} bytes of memory");
}
