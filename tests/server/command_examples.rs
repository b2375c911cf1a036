//! Examples of `--help`, executed as they are printed.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::program::{Done, JOB_RUNNER, Place};

/// The commands whose examples end by themselves, jobs and workers before what names them.
const COMMANDS: [&str; 14] = [
    "run",
    "job add",
    "template add",
    "worker add",
    "jobs",
    "runs",
    "workers",
    "logs",
    "schedule",
    "why",
    "disable",
    "enable",
    "kill",
    "",
];
/// Examples of the program itself that last.
const LASTING: [&str; 1] = ["job_runner standalone"];
/// How many runs there are at least, since examples name a run by its id.
const RUNS: usize = 12;

/// The lines of a help that stand under its examples, without what is said beside them.
fn examples(help: &str) -> Vec<String> {
    let mut lines = help.lines().skip_while(|line| *line != "Examples:").skip(1);
    let mut found = Vec::new();
    for line in lines.by_ref() {
        let Some(example) = line.strip_prefix("  ") else { break };
        let typed = example.split_once("   ").map_or(example, |(typed, _)| typed);
        found.push(typed.trim_end().to_owned());
    }
    found
}

/// Types a line into a shell.
async fn type_in(place: &Place, line: &str) -> Done {
    let programs = Path::new(JOB_RUNNER).parent().expect("a folder").display();
    place.run_by("sh", &["-c", &format!("PATH={programs}:$PATH; {line}")]).await
}

/// A worker with the file that was made for it, on a machine that starts it again.
fn start_worker(place: &Place, file: &str) -> Child {
    let state = place.path().join(format!("{file}.state"));
    Command::new(env!("CARGO_BIN_EXE_job_runner_worker"))
        .arg("--config-path")
        .arg(place.path().join(file))
        .env("JOB_RUNNER_WORKER_STATE_PATH", state)
        .env("JOB_RUNNER_WORKER_SCRIPT_TEMP_PATH", place.path().join("tmp"))
        .env("JOB_RUNNER_WORKER_RESTART_EXIT_CODE", "47")
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("a worker")
}

/// Waits until a worker can be asked to restart.
async fn is_awake(place: &Place, title: &str) {
    let awake = async {
        loop {
            let workers = place.run(&["workers", "--json"]).await.json();
            let all = workers["workers"].as_array().expect("workers");
            let it = all.iter().find(|worker| worker["title"] == title).expect("the worker");
            if it["actions"].as_array().is_some_and(|actions| actions.iter().any(|action| *action == "restart")) {
                break;
            }
        }
    };
    timeout(Duration::from_secs(60), awake).await.unwrap_or_else(|_| panic!("{title} is never awake"));
}

/// What the examples speak of and do not make.
async fn prepare(place: &Place) {
    for name in ["backup.sh", "report.sh", "clean.sh"] {
        place.script(name, &format!("#!/bin/sh\necho {name} on $(uname -n)\n"));
    }
    place.script("bash.template", "#!/bin/bash\nset -eu\n{{ content|safe }}\n");
    assert_eq!(place.run(&["worker", "add", "disk1", "--pool", "disks", "--output", "disk1.ini"]).await.code, 0);
    for _ in 0..RUNS {
        assert_eq!(place.run(&["run", "--quiet", "report.sh"]).await.code, 0);
    }
}

#[tokio::test]
async fn every_example_of_the_help_does_what_it_says() {
    let place = Place::new();
    let (standalone, _) = place.standalone().await;
    prepare(&place).await;
    let mut workers = Vec::new();
    let mut count = 0;
    for command in COMMANDS {
        let mut words: Vec<&str> = command.split_whitespace().collect();
        words.push("--help");
        let help = place.run(&words).await;
        assert_eq!(help.code, 0, "{help:?}");
        let examples = examples(&help.out);
        assert!(!examples.is_empty(), "{command} has no examples: {}", help.out);
        for line in examples {
            if LASTING.contains(&&*line) {
                continue;
            }
            // The program's own help shows again what its commands do; a job can be made once.
            let line = if command.is_empty() { line.replace("job add", "job add --name again") } else { line };
            let done = type_in(&place, &line).await;
            assert_eq!(done.code, 0, "{line}: {done:?}");
            says_what_it_should(&line, &done);
            count += 1;
        }
        match command {
            "job add" => {
                // Its first run, so that there is a log of it.
                assert_eq!(
                    type_in(&place, "job_runner schedule backup.sh && job_runner logs -f backup.sh").await.code,
                    0
                );
            }
            "worker add" => {
                for (file, title) in [("job-runner-worker.ini", "web1"), ("web2.ini", "web2")] {
                    workers.push(start_worker(&place, file));
                    is_awake(&place, title).await;
                }
            }
            _ => {}
        }
    }
    assert!(count >= 25, "{count} examples");
    for worker in &mut workers {
        // The one that was asked to restart has left.
        if let Some(id) = worker.id() {
            let _ = kill(Pid::from_raw(i32::try_from(id).expect("a pid")), Signal::SIGTERM);
        }
    }
    let restarted = timeout(Duration::from_secs(60), workers[0].wait()).await.expect("an end in time").expect("an end");
    assert!(matches!(restarted.code(), Some(0 | 47)), "{restarted:?}");
    standalone.signal(Signal::SIGINT);
    assert_eq!(standalone.end().await.code, 0);
}

/// What an example says of itself, where it is to be seen in its output.
fn says_what_it_should(line: &str, done: &Done) {
    let expected = match line {
        "job_runner run backup.sh" | "job_runner logs backup.sh" | "job_runner logs -f backup.sh" => "backup.sh on ",
        "printf '#!/bin/sh\\necho hello\\n' | job_runner run -" => "hello\n",
        "job_runner logs 12" | "job_runner logs -f 12" => "report.sh on ",
        "job_runner schedule backup.sh" => " of backup.sh is due now",
        "job_runner jobs" => "report.sh",
        "job_runner jobs --json" => "\"title\": \"report.sh\"",
        "job_runner runs" | "job_runner runs --job backup.sh --limit 10" => "backup.sh",
        "job_runner runs --with 12" => "report.sh",
        "job_runner workers" => "web2",
        "job_runner why backup.sh" => "(backup.sh), every hour",
        "job_runner why '#1' --json" => "\"id\": 1,",
        "job_runner run --detach backup.sh" => {
            assert!(done.out.trim().parse::<i64>().is_ok(), "{line}: {done:?}");
            return;
        }
        _ => return,
    };
    assert!(done.out.contains(expected), "{line}: {done:?}");
}

#[test]
fn examples_end_at_the_first_other_line() {
    let help =
        "About\n\nExamples:\n  job_runner a 'b  c'\n  job_runner d   what it does\n\nAfterwards.\n\n  no example\n";
    assert_eq!(examples(help), ["job_runner a 'b  c'", "job_runner d"]);
}
