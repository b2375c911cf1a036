//! Tests of scripts: the first line, one rule at a time, and the splitting compared with recorded answers of Python's
//! `shlex.split`.

use proptest::prelude::*;
use serde::Deserialize;

use super::*;

fn interpreter(content: &str) -> Vec<String> {
    Script::parse(content).expect("a script").interpreter
}

fn refusal(content: &str) -> ScriptDefect {
    Script::parse(content).expect_err("no script")
}

#[test]
fn a_plain_script_is_kept_to_the_byte() {
    let content = "#!/usr/bin/env bash\necho hello\n";
    let script = Script::parse(content).expect("a script");
    assert_eq!(script.interpreter(), ["/usr/bin/env", "bash"]);
    assert_eq!(script.body(), content);
}

#[test]
fn crlf_becomes_lf() {
    let script = Script::parse("#!/bin/bash\r\necho a\r\necho b\r\n").expect("a script");
    assert_eq!(script.interpreter(), ["/bin/bash"]);
    assert_eq!(script.body(), "#!/bin/bash\necho a\necho b\n");
}

#[test]
fn a_carriage_return_before_no_line_feed_is_kept() {
    let content = "#!/bin/bash\nprintf 'a\rb'\n\r";
    assert_eq!(Script::parse(content).expect("a script").body(), content);
}

#[test]
fn a_first_line_that_ends_in_a_lone_carriage_return_is_read_without_it() {
    assert_eq!(interpreter("#!/bin/bash\r"), ["/bin/bash"]);
}

#[test]
fn no_shebang_fails_in_the_words_of_the_original() {
    let said = refusal("echo hello\n").to_string();
    assert_eq!(
        said,
        "The first line of the job to run needs to start with a shebang (#!). The current first line is: \"echo hello\""
    );
}

#[test]
fn a_blank_first_line_is_no_shebang() {
    assert_eq!(refusal("\n#!/bin/bash\n"), ScriptDefect::NoShebang(String::new()));
    assert_eq!(refusal("\r\n#!/bin/bash\r\n"), ScriptDefect::NoShebang(String::new()));
}

#[test]
fn an_empty_script_is_no_shebang() {
    assert_eq!(refusal(""), ScriptDefect::NoShebang(String::new()));
}

#[test]
fn a_shebang_begins_at_the_first_character() {
    assert_eq!(refusal(" #!/bin/bash\n"), ScriptDefect::NoShebang(" #!/bin/bash".to_owned()));
    assert_eq!(refusal("# !/bin/bash\n"), ScriptDefect::NoShebang("# !/bin/bash".to_owned()));
}

#[test]
fn of_a_long_first_line_without_a_shebang_only_its_beginning_is_told() {
    assert_eq!(refusal(&"é".repeat(100_000)), ScriptDefect::NoShebang("é".repeat(200)));
}

#[test]
fn a_byte_order_mark_is_dropped() {
    let script = Script::parse("\u{feff}#!/bin/bash\necho \u{feff}\n").expect("a script");
    assert_eq!(script.interpreter(), ["/bin/bash"]);
    assert_eq!(script.body(), "#!/bin/bash\necho \u{feff}\n");
}

#[test]
fn of_two_byte_order_marks_one_is_dropped() {
    assert_eq!(refusal("\u{feff}\u{feff}#!/bin/bash\n"), ScriptDefect::NoShebang("\u{feff}#!/bin/bash".to_owned()));
}

#[test]
fn several_arguments_are_several_words() {
    assert_eq!(interpreter("#!/bin/bash -e -u\n"), ["/bin/bash", "-e", "-u"]);
    assert_eq!(interpreter("#! \t/usr/bin/env  python3\t-u \n"), ["/usr/bin/env", "python3", "-u"]);
}

#[test]
fn a_quoted_argument_is_one_word() {
    assert_eq!(interpreter("#!/usr/bin/env 'my shell' \"-x y\"\n"), ["/usr/bin/env", "my shell", "-x y"]);
}

#[test]
fn a_comment_behind_the_interpreter_is_its_arguments_as_in_the_original() {
    assert_eq!(interpreter("#!/bin/sh # note\n"), ["/bin/sh", "#", "note"]);
}

#[test]
fn a_quotation_without_an_end_is_told_in_one_sentence() {
    let refused = refusal("#!/bin/sh -c \"x\necho \"hello\"\n");
    assert_eq!(refused, ScriptDefect::OpenQuotation("#!/bin/sh -c \"x".to_owned()));
    assert_eq!(refused.to_string().lines().count(), 1);
}

#[test]
fn a_backslash_at_the_end_is_told_in_one_sentence() {
    assert_eq!(refusal("#!/bin/sh \\\necho\n"), ScriptDefect::OpenEscape("#!/bin/sh \\".to_owned()));
}

#[test]
fn a_shebang_alone_names_an_empty_interpreter() {
    for content in ["#!", "#!\n", "#! \t \n", "#!\r\n", "#!''\n", "#!\"\" -e\n"] {
        assert_eq!(refusal(content), ScriptDefect::EmptyInterpreter, "{content:?}");
    }
}

#[test]
fn an_interpreter_may_have_any_characters() {
    assert_eq!(interpreter("#!/bin/bäsh\n"), ["/bin/bäsh"]);
    assert_eq!(interpreter("#!/opt/a\\ b/日本\n"), ["/opt/a b/日本"]);
}

#[test]
fn whether_an_interpreter_exists_is_not_asked_here() {
    assert_eq!(interpreter("#!/no/such\n"), ["/no/such"]);
}

#[test]
fn a_nul_in_the_first_line_is_refused() {
    assert_eq!(refusal("#!/bin/ba\0sh\n"), ScriptDefect::Nul);
}

#[test]
fn a_nul_in_the_body_is_passed_on() {
    assert_eq!(Script::parse("#!/bin/bash\n\0").expect("a script").body(), "#!/bin/bash\n\0");
}

#[test]
fn only_the_prefix_is_taken_off() {
    assert_eq!(interpreter("#!/bin/echo #!x a#!b\n"), ["/bin/echo", "#!x", "a#!b"]);
}

#[test]
fn a_first_line_of_four_kilobytes_is_read_and_a_longer_one_refused() {
    let line = |length: usize| format!("#!{}\necho\n", "x".repeat(length - 2));
    assert_eq!(interpreter(&line(MAX_SHEBANG)).len(), 1);
    assert_eq!(refusal(&line(MAX_SHEBANG + 1)), ScriptDefect::TooLong(MAX_SHEBANG + 1));
}

#[test]
fn a_body_of_ten_megabytes_is_read() {
    let content = format!("#!/bin/bash\n{}", ": # a line\n".repeat(1_000_000));
    assert_eq!(Script::parse(&content).expect("a script").body().len(), content.len());
}

/// Row of `shlex.json`; see `record.py` beside it.
#[derive(Deserialize)]
struct Recorded {
    line: String,
    words: Option<Vec<String>>,
    error: Option<String>,
}

#[test]
fn every_recorded_line_is_split_as_python_splits_it() {
    let rows = include_str!("../../../tests/fixtures/python/shlex.json");
    let rows: Vec<Recorded> = serde_json::from_str(rows).expect("the recorded rows");
    assert!(rows.len() >= 60, "only {} lines are recorded", rows.len());
    for row in rows {
        let theirs = match (row.words, row.error.as_deref()) {
            (Some(words), None) => Ok(words),
            (None, Some("No closing quotation")) => Err(OpenQuote::Quotation),
            (None, Some("No escaped character")) => Err(OpenQuote::Escape),
            other => panic!("an answer of no known kind: {other:?}"),
        };
        assert_eq!(split(&row.line), theirs, "{:?}", row.line);
    }
}

/// Text made of the characters that matter to the splitting.
fn any_line() -> impl Strategy<Value = String> {
    prop_oneof![r#"[ab\\'" \t#!$é\r]{0,40}"#, "\\PC{0,40}", ".{0,40}"]
}

/// Quotes a word as Python's `pipes.quote` does.
fn quoted_word(word: &str) -> String {
    format!("'{}'", word.replace('\'', r#"'"'"'"#))
}

proptest! {
    #[test]
    fn any_text_is_split_or_refused(line in any_line()) {
        if let Ok(words) = split(&line) {
            prop_assert!(words.iter().map(String::len).sum::<usize>() <= line.len());
        }
    }

    #[test]
    fn quoted_words_come_back_as_they_were(words in proptest::collection::vec(any_line(), 0..6)) {
        let line: Vec<_> = words.iter().map(|word| quoted_word(word)).collect();
        prop_assert_eq!(split(&line.join(" ")), Ok(words));
    }

    #[test]
    fn any_content_is_a_script_or_one_sentence(content in prop_oneof![any_line(), any_line().prop_map(|line| format!("#!{line}\nx\r\n"))]) {
        match Script::parse(&content) {
            Ok(script) => {
                prop_assert!(script.interpreter().first().is_some_and(|program| !program.is_empty()));
                prop_assert!(script.interpreter().iter().all(|word| !word.contains('\0')));
                prop_assert!(script.body().starts_with("#!"));
                // One carriage return is dropped with each line feed, and no other character is.
                prop_assert_eq!(script.body(), content.trim_start_matches('\u{feff}').replace("\r\n", "\n"));
            }
            Err(refused) => prop_assert!(!refused.to_string().is_empty()),
        }
    }
}

#[test]
fn a_script_may_be_long_but_not_endless() {
    let script = |length: usize| format!("#!/bin/sh\n{}", "x".repeat(length - 10));
    assert!(Script::parse(&script(MAX_SCRIPT)).is_ok());
    assert_eq!(Script::parse(&script(MAX_SCRIPT + 1)), Err(ScriptDefect::TooMuch(MAX_SCRIPT + 1)));
}
