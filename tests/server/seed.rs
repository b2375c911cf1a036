//! What the original held when its answers were recorded, in our store with the same ids.

use serde_json::Value;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection};

use crate::fixture::Fixture;
use crate::stage::write_log;

/// The tables, those first to which others refer.
const TABLES: &[&str] = &[
    "auth_group",
    "project",
    "worker",
    "worker_pool",
    "pool_worker",
    "project_pool",
    "viewers",
    "admins",
    "job_template",
    "job",
    "reschedule_exclude",
    "run",
    "run_log",
    "kill_request",
];

/// Fills the store of a server that is at work.
pub async fn fill(fixture: &Fixture) {
    let seed: Value = serde_json::from_str(include_str!("../fixtures/rest/seed.json")).expect("the seed");
    let path = fixture.app_state().settings.data.join("job_runner.sqlite");
    let options = SqliteConnectOptions::new().filename(path).foreign_keys(false);
    let mut connection = SqliteConnection::connect_with(&options).await.expect("the store");
    let mut change = connection.begin().await.expect("a change");
    for table in TABLES {
        for row in seed[table].as_array().expect("rows") {
            let mut row = row.as_object().expect("a row").clone();
            let content = if *table == "run_log" { row.remove("content") } else { None };
            insert(&mut change, table, &row).await;
            if let Some(content) = content.as_ref().and_then(Value::as_str) {
                write_log(&mut change, row["run"].as_i64().expect("a run"), content).await;
            }
        }
    }
    // The original knows the worker of a kill by its run.
    let worker = "UPDATE kill_request SET worker = (SELECT worker FROM run WHERE run.id = kill_request.run)";
    sqlx::query(worker).execute(&mut *change).await.expect("the workers of kills");
    change.commit().await.expect("a commit");
    connection.close().await.expect("an end");
}

async fn insert(connection: &mut SqliteConnection, table: &str, row: &serde_json::Map<String, Value>) {
    let (table, admin) = match table {
        "viewers" => ("project_group", Some(0)),
        "admins" => ("project_group", Some(1)),
        table => (table, None),
    };
    let mut columns: Vec<&str> = row.keys().map(|name| ours(name)).collect();
    let mut values: Vec<Value> = row.values().cloned().collect();
    if let Some(admin) = admin {
        columns.push("admin");
        values.push(admin.into());
    }
    let holes = vec!["?"; columns.len()].join(", ");
    let sql = format!("INSERT INTO {table} ({}) VALUES ({holes})", columns.join(", "));
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for value in values {
        query = match value {
            Value::Null => query.bind(None::<i64>),
            Value::Number(number) => query.bind(number.as_i64()),
            Value::String(text) => query.bind(text),
            other => panic!("{other} in the seed"),
        };
    }
    query.execute(connection).await.unwrap_or_else(|e| panic!("{table} {row:?}: {e}"));
}

/// What the original calls otherwise.
fn ours(column: &str) -> &str {
    match column {
        "workerpool" => "pool",
        "group" => "auth_group",
        column => column,
    }
}
