//! Tests of the check of steps: each command with good settings, and what is refused of the others.

use proptest::prelude::*;

use super::*;

fn text(value: &str) -> SettingValue {
    SettingValue::Text(value.to_owned())
}

fn parse(name: &str, settings: &[(&str, SettingValue)]) -> Result<StepCommand, StepDefect> {
    let settings: StepSettings = settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    TaskStep::parse(name, &settings).map(|step| step.command)
}

fn transfer(source: &str, destination: &str) -> Transfer {
    Transfer { source: source.to_owned(), destination: destination.to_owned() }
}

#[test]
fn every_command_is_read_with_its_settings() {
    let both = [("src", text("/a")), ("dest", text("/b"))];
    let cases = [
        (parse("echo", &[("message", text(""))]), StepCommand::Echo(String::new())),
        (parse("sleep", &[("time_in_seconds", SettingValue::Integer(3))]), StepCommand::Sleep(Duration::from_secs(3))),
        (
            parse("sleep", &[("time_in_seconds", SettingValue::Fraction(0.5))]),
            StepCommand::Sleep(Duration::from_millis(500)),
        ),
        (parse("log_a_lot", &[]), StepCommand::LogALot(20_000)),
        (parse("log_a_lot", &[("lines", SettingValue::Integer(2))]), StepCommand::LogALot(2)),
        (
            parse("exec", &[("cmd", text(r#"echo "a b" 'c'"#))]),
            StepCommand::Exec(["echo", "a b", "c"].map(str::to_owned).to_vec()),
        ),
        (parse("move_out_of_way", &[("src", text("/a"))]), StepCommand::MoveOutOfWay("/a".to_owned())),
        (parse("move_to_final", &both), StepCommand::MoveToFinal(transfer("/a", "/b"))),
        (parse("copy_file", &both), StepCommand::CopyFile(transfer("/a", "/b"))),
        (parse("move_with_counter", &both), StepCommand::MoveWithCounter(transfer("/a", "/b"))),
        (parse("remove_tree", &[("path", text("/a"))]), StepCommand::RemoveTree("/a".to_owned())),
        (parse("remove_file", &[("path", text("/a"))]), StepCommand::RemoveFile("/a".to_owned())),
        (
            parse("create_python_file", &[("filepath", text("/a.py")), ("contents", text("pass"))]),
            StepCommand::CreatePythonFile { path: "/a.py".to_owned(), contents: "pass".to_owned() },
        ),
    ];
    for (parsed, wanted) in cases {
        assert_eq!(parsed, Ok(wanted));
    }
}

#[test]
fn what_cannot_be_executed_is_refused_with_the_setting_and_what_is_allowed() {
    let cases = [
        (parse("merge", &[]), "there is no such command"),
        (parse("echo", &[]), "message is missing"),
        (parse("echo", &[("message", SettingValue::Integer(1))]), "message must be text, not a whole number"),
        (parse("echo", &[("message", text(&"x".repeat(MAX_SETTING + 1)))]), "message has more than 1 MiB"),
        (parse("exec", &[("cmd", text(""))]), "cmd is empty"),
        (parse("exec", &[("cmd", text("  "))]), "cmd is empty"),
        (parse("exec", &[("cmd", text("'' a"))]), "cmd is empty"),
        (parse("exec", &[("cmd", text("a 'b"))]), "cmd has a quotation or a backslash without an end"),
        (parse("exec", &[("cmd", text("a\0b"))]), "cmd contains a NUL character"),
        (parse("exec", &[("cmd", SettingValue::Other("a list"))]), "cmd must be text, not a list"),
        (parse("sleep", &[("time_in_seconds", text("3"))]), "time_in_seconds must be a number, not text"),
        (
            parse("sleep", &[("time_in_seconds", SettingValue::Integer(-1))]),
            "time_in_seconds must be a number of seconds from 0",
        ),
        (
            parse("sleep", &[("time_in_seconds", SettingValue::Fraction(f64::NAN))]),
            "time_in_seconds must be a number of seconds from 0",
        ),
        (parse("log_a_lot", &[("lines", SettingValue::Integer(-1))]), "lines must be from 0 to 10000000"),
        (parse("move_to_final", &[("src", text("/a"))]), "dest is missing"),
        (parse("remove_tree", &[("path", text(""))]), "path is empty"),
        (
            parse("create_python_file", &[("filepath", text("/a.sh")), ("contents", text(""))]),
            "filepath does not end in .py",
        ),
    ];
    for (parsed, wanted) in cases {
        assert_eq!(parsed.expect_err(wanted).to_string(), wanted);
    }
}

#[test]
fn the_last_setting_of_a_name_counts() {
    let twice = [("message", text("a")), ("message", text("b"))];
    assert_eq!(parse("echo", &twice), Ok(StepCommand::Echo("b".to_owned())));
}

proptest! {
    #[test]
    fn no_settings_are_too_strange(name in "[a-z_]{0,20}", key in "[a-z_]{0,20}", value in ".{0,50}") {
        let _ = parse(&name, &[(&key, text(&value))]);
        let _ = parse("exec", &[("cmd", text(&value))]);
    }
}
