//! Tests of the steps program: plans go in, and the log, the journal and the end come out.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::wire::steps::journal;

/// Outcome of a plan.
struct Ran {
    succeeded: bool,
    log: Vec<String>,
    journal: Vec<JournalLine>,
}

/// Executes steps in a directory, under the fields of `others` in place of the usual ones.
fn ran(directory: &TempDir, steps: Value, others: Value) -> Ran {
    let mut plan = json!({
        "v": 1, "task": "t", "steps": steps, "journal": directory.path().join("journal"),
        "line_timeout_ms": 20_000, "linger_ms": 50,
    });
    plan.as_object_mut().expect("an object").extend(others.as_object().expect("an object").clone());
    let path = directory.path().join("plan");
    std::fs::write(&path, format!("#!/a/program --steps\n{plan}")).expect("written");
    let mut log = Vec::new();
    let succeeded = run(&path, &mut log).expect("an outcome");
    let journal = journal(&std::fs::read(directory.path().join("journal")).expect("a journal"));
    Ran { succeeded, log: unstamped(&log), journal }
}

/// Returns the lines of a log without their times, which must be there.
fn unstamped(log: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(log).expect("text");
    let unstamped = |line: &str| {
        let (at, text) = line.split_once("+00:00: ").expect("a time");
        chrono::NaiveDateTime::parse_from_str(at, "%Y-%m-%dT%H:%M:%S%.f").expect("a time");
        text.to_owned()
    };
    text.lines().map(unstamped).collect()
}

fn executed(steps: Value) -> Ran {
    ran(&tempfile::tempdir().expect("a directory"), steps, json!({}))
}

/// Returns the lines that a program printed, without the pids before them.
fn printed(log: &[String]) -> Vec<&str> {
    log.iter().filter_map(|line| line.strip_prefix("pid=")?.split_once(" > ").map(|(_, text)| text)).collect()
}

fn exec(cmd: &str) -> Value {
    json!({"name": "exec", "settings": {"cmd": cmd}})
}

#[test]
fn commands_are_executed_in_order_with_the_log_and_the_journal_of_each() {
    let steps = json!([
        {"name": "echo", "settings": {"message": "hello\nworld"}},
        {"name": "log_a_lot", "settings": {"lines": 2}},
        {"name": "sleep", "settings": {"time_in_seconds": 0.001}},
    ]);
    let Ran { succeeded, log, journal } = executed(steps);
    assert!(succeeded);
    let log: Vec<&String> = log.iter().filter(|line| !line.contains("timing information")).collect();
    let wanted = [
        "echo: Starting",
        "hello",
        "world",
        "echo: Finished",
        "log_a_lot: Starting",
        "line 1",
        "line 2",
        "log_a_lot: Finished",
        "sleep: Starting",
        "sleep: Finished",
        "Task completed",
    ];
    assert_eq!(log, wanted);
    let told: Vec<String> = journal
        .into_iter()
        .map(|line| match line {
            JournalLine::Started { step, name } => format!("{step} starts {name}"),
            JournalLine::Ended { step, ok, activity, .. } => format!("{step} {ok} {activity}"),
            JournalLine::Finished { activity } => activity,
            JournalLine::Origin { .. } | JournalLine::Unknown => "?".to_owned(),
        })
        .collect();
    let wanted = [
        "0 starts echo",
        "0 true finished echo",
        "1 starts log_a_lot",
        "1 true finished log_a_lot",
        "2 starts sleep",
        "2 true finished sleep",
        "Task completed",
    ];
    assert_eq!(told, wanted);
}

#[test]
fn a_mistake_in_the_last_command_keeps_the_first_from_being_executed() {
    let Ran { succeeded, log, journal } = executed(json!([exec("echo a"), {"name": "echo"}]));
    assert!(!succeeded);
    let activity = "echo.(task_id=t, command_idx=1): Invalid settings: message is missing";
    assert_eq!(log, [activity]);
    let activity = activity.to_owned();
    assert_eq!(journal, [JournalLine::Ended { step: 1, ok: false, activity, seconds: 0.0 }]);
}

#[test]
fn the_first_failure_ends_the_task() {
    let Ran { succeeded, log, journal } = executed(json!([exec("sh -c 'exit 3'"), exec("echo no")]));
    assert!(!succeeded);
    assert_eq!(log, ["exec: Starting", "exec.(task_id=t, command_idx=0): Error executing: sh exited with status 3"]);
    assert_eq!(journal.len(), 2);
    for (cmd, end) in [
        ("sh -c 'kill -9 $$'", "sh was ended by signal 9"),
        ("/no/such/program", "/no/such/program cannot be started: No such file or directory (os error 2)"),
    ] {
        let Ran { succeeded, log, .. } = executed(json!([exec(cmd)]));
        assert!(!succeeded && log.last().is_some_and(|line| line.ends_with(end)), "{log:?}");
    }
}

#[test]
fn a_program_cannot_write_a_line_in_another_name() {
    let cmd =
        r"sh -c 'printf %s\\n a; echo b >&2; printf \\377\\377; echo; printf last; test -z $LD_LIBRARY_PATH; cat'";
    let Ran { succeeded, log, .. } = executed(json!([exec(cmd)]));
    assert!(succeeded, "{log:?}");
    assert_eq!(printed(&log), ["a", "b", "\u{fffd}\u{fffd}", "last"]);
}

#[test]
fn a_daemon_that_holds_the_output_does_not_hold_up_the_next_command() {
    let Ran { succeeded, log, .. } = executed(json!([exec("sh -c 'sleep 3 & echo up'"), exec("echo next")]));
    assert!(succeeded, "{log:?}");
    assert_eq!(printed(&log), ["up", "next"]);
}

#[test]
fn a_program_that_closes_its_output_is_waited_for() {
    let Ran { succeeded, log, .. } = executed(json!([exec("sh -c 'exec >&- 2>&-; sleep 0.2; exit 4'")]));
    assert!(!succeeded && log.last().is_some_and(|line| line.ends_with("sh exited with status 4")), "{log:?}");
}

#[test]
fn a_silent_program_has_failed() {
    let directory = tempfile::tempdir().expect("a directory");
    let steps = json!([exec("sh -c 'echo a; exec sleep 60'")]);
    let Ran { succeeded, log, .. } = ran(&directory, steps, json!({"line_timeout_ms": 300}));
    assert!(!succeeded);
    assert_eq!(printed(&log), ["a"]);
    assert!(log.last().is_some_and(|line| line.ends_with("sh printed nothing for 0 s")), "{log:?}");
}

#[test]
fn a_lot_of_output_takes_little_room() {
    let cmd = "sh -c 'yes 0123456789012345678901234567890123456789 | head -n 200000'";
    let Ran { succeeded, log, .. } = executed(json!([exec(cmd)]));
    assert!(succeeded);
    assert_eq!(printed(&log).len(), 200_000);
}

#[test]
fn the_pid_file_names_the_program_and_refuses_a_second_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("pid");
    let others = json!({"pid_file": path});
    // The file is written after the program is started, which therefore waits for it.
    let cat = exec(&format!("sh -c 'echo $$; until grep . {} 2>/dev/null; do sleep 0.01; done'", path.display()));
    let Ran { succeeded, log, .. } = ran(&directory, json!([exec("true"), cat]), others.clone());
    let said = printed(&log);
    assert!(succeeded && said.len() == 2 && said[0] == said[1], "{log:?}");
    assert!(!path.exists());
    std::fs::write(&path, std::process::id().to_string()).expect("written");
    let Ran { succeeded, log, .. } = ran(&directory, json!([exec("echo no")]), others.clone());
    assert!(!succeeded && printed(&log).is_empty(), "{log:?}");
    assert!(log.last().is_some_and(|line| line.contains("still runs")), "{log:?}");
    std::fs::write(&path, "no pid").expect("written");
    assert!(ran(&directory, json!([exec("true")]), others).succeeded);
    assert!(!path.exists());
}

#[test]
fn a_plan_that_nobody_understands_is_an_error_and_no_success() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("plan");
    for text in ["", "#!", "{}", "[", "#!/a\n"] {
        std::fs::write(&path, text).expect("written");
        assert!(run(&path, Vec::new()).is_err(), "{text}");
    }
    assert!(run(&directory.path().join("none"), Vec::new()).is_err());
}
