//! What the original held when its answers were recorded, in our store with the same ids.

use rusqlite::types::Value as Stored;
use serde_json::Value;

use crate::database::Session;
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
    fixture.write(move |session| session.seed(|session| insert_all(session, &seed))).await;
}

fn insert_all(session: &Session, seed: &Value) {
    for table in TABLES {
        for row in seed[table].as_array().expect("rows") {
            let mut row = row.as_object().expect("a row").clone();
            let content = if *table == "run_log" { row.remove("content") } else { None };
            insert(session, table, &row);
            if let Some(content) = content.as_ref().and_then(Value::as_str) {
                write_log(session, row["run"].as_i64().expect("a run"), content);
            }
        }
    }
    // The original knows the worker of a kill by its run.
    let worker = "UPDATE kill_request SET worker = (SELECT worker FROM run WHERE run.id = kill_request.run)";
    session.execute(worker, []);
}

fn insert(session: &Session, table: &str, row: &serde_json::Map<String, Value>) {
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
    let values = values.into_iter().map(|value| match value {
        Value::Null => Stored::Null,
        Value::Number(number) => number.as_i64().into(),
        Value::String(text) => text.into(),
        other => panic!("{other} in the seed"),
    });
    session.execute(&sql, values);
}

/// What the original calls otherwise.
fn ours(column: &str) -> &str {
    match column {
        "workerpool" => "pool",
        "group" => "auth_group",
        column => column,
    }
}
