use std::collections::BTreeSet;

use chrono::TimeZone as _;
use serde_json::json;

use super::*;

const ID: &str = "5a1b2c3d4e5f60718293a4b5";

fn id() -> ObjectId {
    ID.parse().unwrap()
}

fn keys(document: &impl Serialize) -> BTreeSet<String> {
    serde_json::to_value(document).unwrap().as_object().unwrap().keys().cloned().collect()
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> T {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

#[test]
fn an_id_is_24_hexadecimal_digits() {
    assert_eq!(id().to_string(), ID);
    assert_eq!("5A1B2C3D4E5F60718293A4B5".parse(), Ok(id()));
    for bad in [
        "",
        "5a1b2c3d4e5f60718293a4b",
        "5a1b2c3d4e5f60718293a4b5a",
        "5a1b2c3d4e5f60718293a4bg",
        "../../../../etc/passwd..",
    ] {
        assert_eq!(bad.parse::<ObjectId>(), Err(object_id::NotAnObjectId), "{bad}");
    }
    assert!("é".repeat(12).parse::<ObjectId>().is_err(), "as many bytes, and no digits");
}

#[test]
fn a_later_id_is_higher() {
    let (first, random) = (ObjectId::new(1_700_000_000, [9; 5], 7), [9; 5]);
    assert_eq!(first.to_string(), "6553f100".to_owned() + "0909090909" + "000007");
    assert!(first < ObjectId::new(1_700_000_000, random, 8));
    assert!(ObjectId::new(1_700_000_000, random, ObjectId::COUNTERS - 1) < ObjectId::new(1_700_000_001, random, 0));
}

#[test]
fn states_have_the_names_of_the_wire() {
    for status in TaskStatus::ALL {
        assert_eq!(serde_json::to_value(status).unwrap(), status.word());
        assert_eq!(TaskStatus::named(status.word()), Some(status));
    }
    for status in FarmWorkerStatus::ALL {
        assert_eq!(serde_json::to_value(status).unwrap(), status.word());
        assert_eq!(FarmWorkerStatus::named(status.word()), Some(status));
    }
    assert_eq!(FarmWorkerStatus::named("down"), Some(FarmWorkerStatus::Offline), "as 2.0 says");
    assert_eq!(TaskStatus::named("paused"), None);
}

/// Whatever else stood in these answers, the original worker would never ask again.
#[test]
fn answers_to_a_running_worker_have_exactly_their_fields() {
    let mut answer = MayKeepRunning { may_keep_running: true, reason: None, status_requested: None };
    assert_eq!(serde_json::to_string(&answer).unwrap(), r#"{"may_keep_running":true}"#);
    answer = MayKeepRunning {
        may_keep_running: false,
        reason: Some("no".to_owned()),
        status_requested: Some(FarmWorkerStatus::Asleep),
    };
    let all = ["may_keep_running", "reason", "status_requested"].map(str::to_owned);
    assert_eq!(keys(&answer), BTreeSet::from(all));
    let asked = StatusAsked { status_requested: FarmWorkerStatus::Shutdown };
    assert_eq!(serde_json::to_string(&asked).unwrap(), r#"{"status_requested":"shutdown"}"#);
}

#[test]
fn an_unknown_state_that_is_asked_for_is_sleep() {
    let asked: StatusAsked = read(r#"{"status_requested":"hibernating"}"#);
    assert_eq!(asked.status_requested, FarmWorkerStatus::Asleep);
    let answer: MayKeepRunning = read(r#"{"may_keep_running":true,"status_requested":"hibernating","more":1}"#);
    assert_eq!(answer.status_requested, Some(FarmWorkerStatus::Asleep));
    let answer: MayKeepRunning = read(r#"{"may_keep_running":true,"status_requested":""}"#);
    assert_eq!(answer.status_requested, None, "a Manager in Go may write the empty text");
    assert!(serde_json::from_str::<MayKeepRunning>("{}").is_err(), "no answer at all");
}

#[test]
fn a_registration_is_read_in_both_spellings_and_hides_its_secret() {
    let text =
        json!({"secret": "x".repeat(64), "platform": "linux", "supported_task_types": ["sleep"], "nickname": "a"});
    let registration: Registration = serde_json::from_value(text.clone()).unwrap();
    assert_eq!(registration.supported_task_types, ["sleep"]);
    assert_eq!(serde_json::to_value(&registration).unwrap(), text);
    assert!(!format!("{registration:?}").contains("xxxx"));
    let old: Registration = read(r#"{"secret":"s","platform":"linux","supported_job_types":["sleep"],"nickname":"a"}"#);
    assert_eq!(old.supported_task_types, ["sleep"]);
    let bare: Registration = read(r#"{"secret":"s","supported_task_types":null}"#);
    assert!(bare.supported_task_types.is_empty() && bare.platform.is_empty());
    let wrong = serde_json::from_str::<Registration>(r#"{"secret":["hidden"]}"#).unwrap_err();
    assert!(!wrong.to_string().contains("hidden"), "{wrong}");
    assert!(serde_json::from_str::<Registration>("{}").is_err());
}

#[test]
fn a_sign_on_may_say_nothing() {
    assert_eq!(read::<SignOn>("{}"), SignOn::default());
    let said: SignOn = read(r#"{"supported_job_types":["a"],"nickname":"n"}"#);
    assert_eq!((said.supported_task_types, said.nickname), (vec!["a".to_owned()], "n".to_owned()));
}

#[test]
fn a_task_is_read_by_its_id_and_commands() {
    let text = format!(
        r#"{{"_id":"{ID}","commands":[{{"name":"echo","settings":{{"message":"hi"}}}}],"status":"paused","more":1}}"#
    );
    let task: TaskDocument = read(&text);
    assert_eq!((task.id, task.commands.len(), task.status), (id(), 1, None));
    assert_eq!(task.commands[0].settings["message"], "hi");
    let bare: TaskDocument = read(&format!(r#"{{"_id":"{ID}","commands":null,"parents":null}}"#));
    assert!(bare.commands.is_empty() && bare.parents.is_empty());
    assert!(serde_json::from_str::<TaskDocument>(r#"{"commands":[]}"#).is_err());
}

#[test]
fn a_task_that_is_given_has_the_fields_of_the_original() {
    let task: TaskDocument = read(&format!(r#"{{"_id":"{ID}","status":"active"}}"#));
    let all = [
        "_id",
        "job",
        "manager",
        "project",
        "user",
        "name",
        "status",
        "priority",
        "job_priority",
        "job_type",
        "task_type",
        "commands",
    ];
    assert_eq!(keys(&task), all.map(str::to_owned).into());
    assert_eq!(serde_json::to_value(&task).unwrap()["status"], "active");
}

#[test]
fn an_update_says_only_what_it_has() {
    assert_eq!(serde_json::to_string(&TaskUpdate::default()).unwrap(), "{}");
    let log = TaskUpdate { log: Some("a".to_owned()), ..TaskUpdate::default() };
    assert_eq!(serde_json::to_string(&log).unwrap(), r#"{"log":"a"}"#);
    let text = r#"{"task_status":"completed","activity":"Task completed","task_progress_percentage":0,
        "current_command_idx":1,"command_progress_percentage":100,"log":"l","metrics":{"timing":{"exec":1.5}}}"#;
    let update: TaskUpdate = read(text);
    assert_eq!(update.task_status, Some(TaskStatus::Completed));
    assert_eq!(update.metrics.as_ref().unwrap().timing["exec"], 1.5);
    assert_eq!(serde_json::to_value(&update).unwrap(), read::<Value>(text));
    assert!(serde_json::from_str::<TaskUpdate>(r#"{"task_status":"paused"}"#).is_err());
}

#[test]
fn a_worker_that_registered_reads_its_id_alone() {
    let worker: WorkerDocument = read(&format!(r#"{{"_id":"{ID}","time_cost":3}}"#));
    assert_eq!((worker.id, worker.status), (id(), FarmWorkerStatus::Registered));
    let sent = serde_json::to_value(&worker).unwrap();
    assert_eq!((&sent["status"], &sent["status_requested"]), (&json!(""), &json!("")));
}

#[test]
fn a_line_of_the_log_begins_with_its_time() {
    let at = Utc.timestamp_opt(1_700_000_000, 123_456_000).unwrap();
    assert_eq!(log_line(at, "echo: Starting"), "2023-11-14T22:13:20.123456+00:00: echo: Starting");
}
