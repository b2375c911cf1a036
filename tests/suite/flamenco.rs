//! The worker of Flamenco at a Manager that keeps to the rules and misbehaves on request.

mod manager;
mod worker;

use serde_json::{Value, json};

use crate::kill::{alive, marker, until_alive};
use manager::{Fault, Manager};
use worker::FlamencoWorker;

fn echo(message: &str) -> Value {
    json!({"name": "echo", "settings": {"message": message}})
}

fn exec(cmd: &str) -> Value {
    json!({"name": "exec", "settings": {"cmd": cmd}})
}

/// Lines of a log without their times.
fn plain(log: &str) -> Vec<&str> {
    log.lines()
        .map(|line| line.split_once("+00:00: ").map_or(line, |(_, text)| text))
        .map(|line| if line.starts_with("pid=") { line.split_once(" > ").unwrap().1 } else { line })
        .filter(|line| !line.contains("timing information"))
        .collect()
}

#[tokio::test]
async fn a_worker_registers_and_executes_one_task_after_another() {
    let manager = Manager::start().await;
    let mut worker = FlamencoWorker::start(&manager, &[]);
    let first = manager.submit(&[echo("one"), exec("sh -c 'echo two; test -z $JOB_RUNNER_SCHEDULED_AT'")]);
    let task = manager.wait_status(&first, "completed").await;
    let wanted =
        ["echo: Starting", "one", "echo: Finished", "exec: Starting", "two", "exec: Finished", "Task completed"];
    assert_eq!(plain(&task.log), wanted);
    assert_eq!((task.told, task.activity.as_str()), (vec!["active".into(), "completed".into()], "Task completed"));
    let second = manager.submit(&[echo("three")]);
    manager.wait_status(&second, "completed").await;
    let registration = &manager.calls()[0];
    assert_eq!(registration.line, "POST /register-worker");
    assert_eq!(registration.authorization, None, "there is no secret for registrations");
    let secret = registration.body["secret"].as_str().unwrap();
    assert!(secret.len() == 64 && secret.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{secret}");
    assert_eq!(registration.body["platform"], "linux");
    assert_eq!(registration.body["supported_task_types"], json!(["unknown", "sleep", "blender-render"]));
    assert!(manager.lines()[1].starts_with("POST /task"), "no sign-on follows a registration");
    worker.terminate().await;
    assert_eq!(manager.lines().last().unwrap(), "POST /sign-off");
    // The identity is kept.
    worker.restart();
    manager.wait_call("POST /sign-on").await;
}

#[tokio::test]
async fn an_update_carries_the_whole_activity() {
    let manager = Manager::start().await;
    let _worker = FlamencoWorker::start(&manager, &[]);
    let id = manager.submit(&[echo("one"), exec("sh -c 'exit 3'"), echo("never")]);
    let task = manager.wait_status(&id, "failed").await;
    let activity = format!("exec.(task_id={id}, command_idx=1): Error executing: sh exited with status 3");
    assert_eq!(task.activity, activity);
    assert!(!task.log.contains("never"));
    let updates: Vec<_> = manager.calls().into_iter().filter(|call| call.line.ends_with("/update")).collect();
    let last = &updates.last().unwrap().body;
    assert_eq!(last["task_status"], "failed");
    assert_eq!(last["task_progress_percentage"], 0);
    assert_eq!(last["current_command_idx"], 1);
    assert_eq!(last["command_progress_percentage"], 0);
    assert!(last["metrics"]["timing"]["echo"].is_number(), "{last}");
}

#[tokio::test]
async fn a_bad_command_leaves_the_ones_before_it_undone() {
    let manager = Manager::start().await;
    let _worker = FlamencoWorker::start(&manager, &[]);
    let id = manager.submit(&[echo("one"), json!({"name": "exec", "settings": {"cmd": 5}})]);
    let task = manager.wait_status(&id, "failed").await;
    assert!(task.activity.contains("Invalid settings: cmd must be text"), "{}", task.activity);
    assert!(!task.log.contains("one"));
}

#[tokio::test]
async fn only_commands_that_are_allowed_are_executed() {
    let manager = Manager::start().await;
    let _worker = FlamencoWorker::start(&manager, &[("commands", "echo sleep")]);
    let id = manager.submit(&[echo("one"), exec("true")]);
    let task = manager.wait_status(&id, "failed").await;
    assert!(task.activity.contains("exec: the command is not allowed on this worker"), "{}", task.activity);
}

#[tokio::test]
async fn a_task_that_must_not_run_is_stopped_whole_and_given_back() {
    let manager = Manager::start().await;
    let _worker = FlamencoWorker::start(&manager, &[]);
    let marker = marker("flamenco");
    let id = manager.submit(&[exec(&format!("sh -c 'setsid sleep {marker} & sleep {marker}'"))]);
    until_alive(&marker, 2).await;
    manager.ask("asleep", false);
    manager.wait_call(&format!("/tasks/{id}/return")).await;
    assert_eq!(alive(&marker), 0);
    manager.wait_call("POST /ack-status-change/asleep").await;
    let task = manager.task(&id);
    assert_eq!(task.status, "claimed-by-manager");
    assert_eq!(task.told, ["active"], "neither failed nor canceled");
    let calls = manager.calls();
    let back = calls.iter().position(|call| call.line.ends_with("/return")).unwrap();
    let update = &calls[..back].iter().rfind(|call| call.line.ends_with("/update")).unwrap().body;
    assert!(update.get("task_status").is_none_or(|status| status == "active"), "{update}");
}

#[tokio::test]
async fn a_task_goes_on_while_the_manager_talks_nonsense() {
    let manager = Manager::start().await;
    let _worker = FlamencoWorker::start(&manager, &[]);
    manager.set_broken(Some(("/may-i-run", Fault::WebPage)));
    let id = manager.submit(&[exec("sleep 1"), echo("last")]);
    let task = manager.wait_status(&id, "completed").await;
    assert!(task.log.contains("last"));
}

#[tokio::test]
async fn a_worker_that_the_manager_does_not_know_registers_anew() {
    let manager = Manager::start().await;
    let _worker = FlamencoWorker::start(&manager, &[("worker_id", "5ee1"), ("worker_secret", "forgotten")]);
    let id = manager.submit(&[echo("one")]);
    manager.wait_status(&id, "completed").await;
    let lines = manager.lines();
    assert_eq!(lines[..3], ["POST /sign-on", "POST /register-worker", "POST /sign-on"]);
}

#[tokio::test]
async fn a_refused_registration_ends_the_worker() {
    let manager = Manager::start().await;
    manager.set_broken(Some(("/register-worker", Fault::Status(403))));
    let mut worker = FlamencoWorker::start(&manager, &[("worker_registration_secret", "wrong")]);
    assert_eq!(worker.wait_exit().await, Some(77));
    let authorization = manager.calls()[0].authorization.clone().unwrap();
    assert!(authorization.starts_with("Bearer ey"), "{authorization}");
}

#[tokio::test]
async fn a_worker_that_is_terminated_gives_its_task_back_and_signs_off_last() {
    let manager = Manager::start().await;
    let mut worker = FlamencoWorker::start(&manager, &[]);
    let marker = marker("flamenco-term");
    let id = manager.submit(&[exec(&format!("sleep {marker}"))]);
    until_alive(&marker, 1).await;
    assert_eq!(worker.terminate().await, Some(0));
    assert_eq!(alive(&marker), 0);
    let task = manager.task(&id);
    assert_eq!((task.status.as_str(), task.told), ("claimed-by-manager", vec!["active".to_owned()]));
    assert_eq!(manager.lines().last().unwrap(), "POST /sign-off");
}

#[tokio::test]
async fn the_next_command_is_executed_although_the_worker_was_killed_and_the_end_is_told_once() {
    let manager = Manager::start().await;
    let mut worker = FlamencoWorker::start(&manager, &[("push_log_max_interval_seconds", "1")]);
    let gate = worker.gate();
    let id = manager.submit(&[echo("first"), exec(&format!("cat {}", gate.display())), echo("last")]);
    manager.wait_logged(&id, "exec: Starting").await;
    // By then the worker has noted what it has told: of a worker that dies before that, the log is told again.
    manager.wait_asked().await;
    manager.wait_asked().await;
    worker.kill().await;
    worker.open_gate().await;
    crate::until("the end of the task", || worker.processes().is_empty()).await;
    assert_eq!(manager.task(&id).ends, 0);
    worker.restart();
    let task = manager.wait_status(&id, "completed").await;
    let wanted = [
        "echo: Starting",
        "first",
        "echo: Finished",
        "exec: Starting",
        "open",
        "exec: Finished",
        "echo: Starting",
        "last",
        "echo: Finished",
        "Task completed",
    ];
    assert_eq!(plain(&task.log), wanted);
    assert_eq!(task.ends, 1);
}

#[tokio::test]
async fn nothing_is_fetched_before_the_end_of_the_last_task_is_told() {
    let manager = Manager::start().await;
    let mut worker = FlamencoWorker::start(&manager, &[]);
    manager.set_broken(Some(("/tasks/", Fault::Status(503))));
    let count = worker.directory().join("count");
    let id = manager.submit(&[exec(&format!("sh -c 'echo executed >> {}'", count.display()))]);
    let other = manager.submit(&[echo("other")]);
    crate::until("the execution", || count.exists()).await;
    worker.kill().await;
    worker.restart();
    manager.wait_call("POST /sign-on").await;
    let asked = || manager.lines().iter().filter(|line| *line == "POST /task").count();
    let before = asked();
    manager.set_broken(None);
    let task = manager.wait_status(&id, "completed").await;
    assert_eq!(asked(), before, "no task was asked for meanwhile");
    assert_eq!((task.told.last().map(String::as_str), task.ends), (Some("completed"), 1));
    manager.wait_status(&other, "completed").await;
    assert_eq!(std::fs::read_to_string(count).unwrap(), "executed\n");
}

#[tokio::test]
async fn an_update_whose_answer_was_lost_is_told_again_and_its_task_not_executed_again() {
    let manager = Manager::start().await;
    let worker = FlamencoWorker::start(&manager, &[]);
    let count = worker.directory().join("count");
    let id = manager.submit(&[exec(&format!("sh -c 'echo executed >> {}'", count.display()))]);
    manager.fail("/tasks/", Fault::AnswerLost);
    manager.fail("/tasks/", Fault::AnswerLost);
    let other = manager.submit(&[echo("other")]);
    manager.wait_status(&other, "completed").await;
    let task = manager.task(&id);
    assert_eq!((task.status.as_str(), task.ends), ("completed", 1));
    assert_eq!(std::fs::read_to_string(count).unwrap(), "executed\n");
}

#[tokio::test]
async fn a_task_of_another_worker_is_stopped_and_told_nothing_more() {
    let manager = Manager::start().await;
    let _worker = FlamencoWorker::start(&manager, &[("push_log_max_interval_seconds", "0.1")]);
    let marker = marker("flamenco-conflict");
    let id = manager.submit(&[exec(&format!("sh -c 'echo one; sleep {marker}'"))]);
    until_alive(&marker, 1).await;
    manager.fail("/tasks/", Fault::Status(409));
    let other = manager.submit(&[echo("other")]);
    // The Manager gives a worker the task that is active, and so it must not be.
    manager.cancel(&id);
    manager.wait_status(&other, "completed").await;
    assert_eq!(alive(&marker), 0);
    assert_eq!(manager.task(&id).ends, 0);
}

#[tokio::test]
async fn a_worker_can_be_told_to_leave_after_its_task() {
    let manager = Manager::start().await;
    let mut worker = FlamencoWorker::start(&manager, &[]);
    let gate = worker.gate();
    let id = manager.submit(&[exec(&format!("cat {}", gate.display()))]);
    manager.wait_call(&format!("/tasks/{id}/update")).await;
    manager.ask("shutdown", true);
    worker.open_gate().await;
    assert_eq!(worker.wait_exit().await, Some(0));
    assert_eq!(manager.task(&id).status, "completed");
    assert_eq!(manager.lines().last().unwrap(), "POST /sign-off");
    assert!(manager.acknowledged().is_empty(), "a shutdown is not acknowledged");
}

#[tokio::test]
async fn a_worker_for_one_task_leaves_after_it() {
    let manager = Manager::start().await;
    let mut worker = FlamencoWorker::start_with(&manager, &[], &["-1"]);
    let id = manager.submit(&[echo("one")]);
    manager.submit(&[echo("another worker's")]);
    assert_eq!(worker.wait_exit().await, Some(0));
    assert_eq!(manager.task(&id).status, "completed");
    assert_eq!(manager.lines().iter().filter(|line| *line == "POST /task").count(), 1);
}

#[tokio::test]
async fn a_worker_without_its_disk_fetches_no_task_and_says_so() {
    let manager = Manager::start().await;
    let _worker = FlamencoWorker::start(&manager, &[("pre_task_check_read", "/nowhere/render")]);
    manager.submit(&[echo("one")]);
    manager.wait_call("POST /ack-status-change/error").await;
    assert!(!manager.lines().contains(&"POST /task".to_owned()));
}

#[tokio::test]
async fn a_task_whose_outbox_is_lost_goes_on_and_its_end_is_told() {
    let manager = Manager::start().await;
    let mut worker = FlamencoWorker::start(&manager, &[]);
    let (gate, count) = (worker.gate(), worker.directory().join("count"));
    let cmd = format!("sh -c 'echo executed >> {}; cat {}'", count.display(), gate.display());
    let id = manager.submit(&[exec(&cmd), echo("last")]);
    crate::until("the execution", || count.exists()).await;
    worker.kill().await;
    for name in ["outbox.sqlite", "outbox.sqlite-wal", "outbox.sqlite-shm"] {
        let _ = std::fs::remove_file(worker.directory().join("state").join(name));
    }
    worker.restart();
    manager.wait_call("POST /sign-on").await;
    worker.open_gate().await;
    let task = manager.wait_status(&id, "completed").await;
    assert_eq!((task.ends, std::fs::read_to_string(&count).unwrap().as_str()), (1, "executed\n"));
    let other = manager.submit(&[echo("other")]);
    manager.wait_status(&other, "completed").await;
}
