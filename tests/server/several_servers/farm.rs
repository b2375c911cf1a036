//! Workers of Flamenco at two servers of one database: each task is given once, and either server takes its updates.

use std::collections::BTreeSet;

use jobrunner::server::Settings;
use serde_json::json;

use super::join;
use crate::farm::{FarmWorker, completed, farm_with, submit, tasks_of};
use crate::fixture::Fixture;
use crate::test_database::TestDatabase;

/// Two servers with a Manager at one database.
async fn two(database: &TestDatabase) -> [Fixture; 2] {
    let change = |settings: &mut Settings| join(settings, database);
    [farm_with(change).await, farm_with(change).await]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_workers_that_ask_two_servers_at_once_get_fifty_tasks() {
    let Some(database) = TestDatabase::fresh() else { return };
    let [here, there] = two(&database).await;
    let mut workers = Vec::new();
    for number in 0..50 {
        let server = if number % 2 == 0 { &here } else { &there };
        workers.push(FarmWorker::register(server, &format!("worker {number}"), &["echo"]).await);
    }
    let job = submit(&here, "echo", 50).await;
    let asked: Vec<_> = workers.into_iter().map(|worker| tokio::spawn(async move { worker.task().await })).collect();
    let mut given = BTreeSet::new();
    for task in asked {
        given.insert(task.await.expect("a task")["_id"].as_str().unwrap().to_owned());
    }
    assert_eq!(given.len(), 50, "no task is given twice");
    let tasks = tasks_of(&there, &job).await;
    let holders: BTreeSet<&str> = tasks.iter().filter_map(|task| task["worker"].as_str()).collect();
    assert_eq!((tasks.len(), holders.len()), (50, 50));
    here.stop().await;
    there.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_goes_on_at_the_other_server_when_its_own_is_gone() {
    let Some(database) = TestDatabase::fresh() else { return };
    let [here, there] = two(&database).await;
    let worker = FarmWorker::register(&here, "one", &["echo"]).await;
    let job = submit(&there, "echo", 2).await;
    let id = worker.task().await["_id"].as_str().unwrap().to_owned();
    here.stop().await;
    let worker = worker.at(&there);
    assert_eq!(worker.task().await["_id"], id.as_str(), "the answer may have been lost");
    assert_eq!(worker.may_i_run(&id).await, json!({"may_keep_running": true}));
    assert_eq!(worker.update(&id, completed("done")).await, 204);
    assert_ne!(worker.task().await["_id"], id.as_str());
    let tasks = tasks_of(&there, &job).await;
    assert_eq!((&tasks[0]["status"], &tasks[1]["status"]), (&json!("completed"), &json!("active")));
    there.stop().await;
}
