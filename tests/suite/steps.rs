//! The steps program under a real shim: the commands of a task go on without the worker, and end with the run.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::job_output::peak_memory;
use crate::kill::{alive, marker, until_alive};
use crate::up;

/// Most memory of the steps program in kB, which a build with its debug information needs for itself.
const MEMORY: u64 = 40_000;

/// Directory of a task, with its journal and a gate at which a command waits.
struct Task(TempDir);

impl Task {
    fn new() -> Self {
        let task = Self(tempfile::tempdir().unwrap());
        mkfifo(&task.gate(), Mode::S_IRWXU).unwrap();
        task
    }

    fn gate(&self) -> PathBuf {
        self.0.path().join("gate")
    }

    fn journal(&self) -> PathBuf {
        self.0.path().join("journal")
    }

    /// A command that waits until the gate is opened.
    fn wait(&self) -> Value {
        exec(&format!("cat {}", self.gate().display()))
    }

    /// Opens the gate to the command that waits at it, and prints a line through it.
    async fn open(&self) {
        let gate = self.gate();
        let opened = move || OpenOptions::new().write(true).open(gate).and_then(|mut gate| gate.write_all(b"open\n"));
        tokio::task::spawn_blocking(opened).await.unwrap().unwrap();
    }

    /// The script of a job that executes these steps.
    fn script(&self, steps: &[Value]) -> String {
        let plan = json!({
            "v": 1, "task": "5ee1", "steps": steps, "journal": self.journal(), "line_timeout_ms": 60_000,
            "linger_ms": 100,
        });
        format!("#!/proc/self/exe --steps\n{plan}\n")
    }

    /// What the journal says, in words.
    fn told(&self) -> Vec<String> {
        let lines = std::fs::read_to_string(self.journal()).unwrap();
        let told = |line: &str| {
            let line: Value = serde_json::from_str(line).unwrap();
            match (line["is"].as_str().unwrap(), line["ok"].as_bool()) {
                ("started", _) => format!("{} starts", line["step"]),
                ("ended", Some(ok)) => format!("{} ended {ok}", line["step"]),
                (is, _) => is.to_owned(),
            }
        };
        lines.lines().map(told).collect()
    }
}

fn exec(cmd: &str) -> Value {
    json!({"name": "exec", "settings": {"cmd": cmd}})
}

/// The lines of a log without times and pids.
fn plain(log: &str) -> Vec<&str> {
    log.lines()
        .map(|line| line.split_once("+00:00: ").unwrap().1)
        .map(|line| if line.starts_with("pid=") { line.split_once(" > ").unwrap().1 } else { line })
        .filter(|line| !line.contains("timing information"))
        .collect()
}

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

#[tokio::test]
async fn a_task_is_a_run_that_executes_its_commands_in_order() {
    let (server, _worker) = up(&[]).await;
    let task = Task::new();
    let (from, to) = (task.0.path().join("from"), task.0.path().join("to"));
    let steps = [
        exec(&format!("sh -c 'echo 1 > {}; echo one'", from.display())),
        json!({"name": "move_to_final", "settings": {"src": from, "dest": to}}),
        exec("sh -c 'echo two >&2; echo $JOB_RUNNER_RUN_ID'"),
    ];
    let id = server.submit(task.script(&steps));
    let run = server.wait_returned(id).await;
    assert_eq!(run.return_success, Some(true), "{}", run.log_text());
    let run_id = id.to_string();
    let wanted = [
        "exec: Starting",
        "one",
        "exec: Finished",
        "move_to_final: Starting",
        "move_to_final: Finished",
        "exec: Starting",
        "two",
        &run_id,
        "exec: Finished",
        "Task completed",
    ];
    assert_eq!(plain(run.log_text()), wanted);
    assert!(is_there(&to) && !is_there(&from));
    server.assert_whole_life(id);
}

#[tokio::test]
async fn a_task_whose_command_fails_has_failed() {
    let (server, _worker) = up(&[]).await;
    let task = Task::new();
    let id = server.submit(task.script(&[exec("false"), exec("echo never")]));
    let run = server.wait_returned(id).await;
    assert_eq!(run.return_success, Some(false));
    let end = "exec.(task_id=5ee1, command_idx=0): Error executing: false exited with status 1";
    assert_eq!(plain(run.log_text()), ["exec: Starting", end]);
    assert_eq!(task.told(), ["0 starts", "0 ended false"]);
}

#[tokio::test]
async fn the_next_command_is_executed_although_the_worker_was_killed_and_all_is_told_once() {
    let (server, mut worker) = up(&[]).await;
    let task = Task::new();
    let id = server.submit(task.script(&[exec("echo first"), task.wait(), exec("echo last")]));
    server.wait_logged(id, "first").await;
    worker.sigkill();
    worker.wait_exit().await;
    task.open().await;
    crate::until("the end of the task", || task.told().last().is_some_and(|line| line == "finished")).await;
    assert_eq!(server.run(id).return_success, None);
    worker.restart().await;
    let run = server.wait_returned(id).await;
    assert_eq!((run.return_success, run.completions), (Some(true), 1));
    let wanted = [
        "exec: Starting",
        "first",
        "exec: Finished",
        "exec: Starting",
        "open",
        "exec: Finished",
        "exec: Starting",
        "last",
        "exec: Finished",
        "Task completed",
    ];
    assert_eq!(plain(run.log_text()), wanted);
    assert_eq!(task.told().iter().filter(|line| line.ends_with("starts")).count(), 3, "no command was executed twice");
}

#[tokio::test]
async fn a_kill_ends_the_command_that_runs_with_all_that_it_has_started() {
    let (server, _worker) = up(&[]).await;
    let (task, marker) = (Task::new(), marker("steps"));
    let cmd = format!("sh -c '(sleep {marker} &) ; setsid sleep {marker} & exec sleep {marker}'");
    let id = server.submit(task.script(&[exec(&cmd), exec("echo never")]));
    until_alive(&marker, 3).await;
    let kill = server.kill(id);
    server.wait_executed(kill).await;
    assert_eq!(alive(&marker), 0);
    let run = server.wait_returned(id).await;
    assert_eq!(run.return_success, Some(false));
    assert_eq!(task.told(), ["0 starts"], "the next command is not executed");
}

#[tokio::test]
async fn much_output_of_a_command_takes_little_memory() {
    let (server, worker) = up(&[]).await;
    let task = Task::new();
    let much = exec("sh -c 'yes 012345678901234567890123456789012345678901234567890123456789012 | head -c 30000000'");
    let id = server.submit(task.script(&[much, task.wait()]));
    crate::until("the second command", || is_there(&task.journal()) && task.told().contains(&"1 starts".to_owned()))
        .await;
    let peak = peak_memory(&worker, "exe");
    assert!(peak < MEMORY, "{peak} kB");
    task.open().await;
    assert_eq!(server.wait_returned(id).await.return_success, Some(true));
}
