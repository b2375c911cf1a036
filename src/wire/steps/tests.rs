//! Tests of plan and journal: what is written is read again, and what a later version or a crash wrote does no harm.

use proptest::prelude::*;
use serde_json::json;

use super::*;

#[test]
fn a_plan_of_the_first_version_is_read() {
    let plan: StepsPlan = serde_json::from_value(json!({
        "v": 1, "task": "t", "journal": "/j", "line_timeout_ms": 5, "linger_ms": 6, "later": true,
        "steps": [{"name": "echo", "settings": {"message": "a"}}, {"name": "log_a_lot"}],
    }))
    .expect("a plan");
    assert_eq!(plan.steps[0].values(), [("message".to_owned(), SettingValue::Text("a".to_owned()))]);
    assert!(plan.steps[1].values().is_empty() && plan.pid_file.is_none() && plan.roots.is_empty() && !plan.durable);
}

#[test]
fn settings_keep_their_kind() {
    let settings = json!({"a": 1, "b": 1.5, "c": "x", "d": [1], "e": null, "f": true, "g": {}});
    let step = PlannedStep { name: String::new(), settings: settings.as_object().expect("an object").clone() };
    let kinds: Vec<&str> = step.values().iter().map(|(_, value)| value.kind()).collect();
    assert_eq!(kinds, ["a whole number", "a number", "text", "a list", "null", "a boolean", "an object"]);
}

#[test]
fn a_journal_is_read_as_it_was_written_but_for_what_a_crash_cut_and_a_later_version_added() {
    let lines = [
        JournalLine::Started { step: 0, name: "echo".to_owned() },
        JournalLine::Ended { step: 0, ok: true, activity: "finished echo".to_owned(), seconds: 0.5 },
        JournalLine::Finished { activity: "Task completed".to_owned() },
    ];
    let mut bytes: Vec<u8> = lines.iter().flat_map(journal_line).collect();
    bytes.extend(b"{\"is\":\"later\",\"v\":2}\n{\"is\":\"started\",\"st");
    assert_eq!(journal(&bytes), lines);
}

proptest! {
    #[test]
    fn no_bytes_are_too_strange_for_a_journal(bytes in any::<Vec<u8>>()) {
        let _ = journal(&bytes);
    }
}
