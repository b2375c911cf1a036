//! Reference of the settings in `docs/`: generated from the keys and the checks, so that it cannot drift from them.
//!
//! A key's name, default, variable and reload behaviour come from the table of keys. Its allowed values come from the
//! refusal of values that no key allows: the sentence that an operator reads. The description is the comment above the
//! key in the example file. `JOB_RUNNER_WRITE_DOCS=1` writes the files anew.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::super::keys::{ConfiguredProgram, Counts, Key, Preset, WORKER};
use super::{Case, REQUIRED};

/// Values of which every key refuses at least one: a control character, the empty text, a meaningless word.
const REFUSED: [&str; 3] = ["\u{1}", "", "?"];
/// Variable that makes the test write the files instead of comparing them.
const REWRITE: &str = "JOB_RUNNER_WRITE_DOCS";
/// Directory of the generated references.
const FOLDER: &str = "docs/generated";

#[test]
fn the_reference_of_the_worker_says_what_the_code_says() {
    let example = include_str!("../../../job_runner_worker.ini.example");
    compare(
        "worker_settings.inc",
        &page(&WORKER, example, &|key, value| {
            let case = Case::new().set(&WORKER.variable(key), value);
            match case.load(REQUIRED) {
                Ok(loaded) => loaded.warnings,
                Err(failure) => failure.mistakes,
            }
        }),
    );
}

#[cfg(feature = "server")]
#[test]
fn the_reference_of_the_server_says_what_the_code_says() {
    use super::super::server::{SERVER, load_server};

    let example = include_str!("../../../job_runner.ini.example");
    compare(
        "server_settings.inc",
        &page(&SERVER, example, &|key, value| {
            let case = Case::new().set(&SERVER.variable(key), value);
            super::write_private(&case.path(), b"[job_runner]\n");
            match load_server(&case.path(), &case.surroundings) {
                Ok(loaded) => loaded.warnings,
                Err(failure) => failure.mistakes,
            }
        }),
    );
}

/// Compares the text with the file of the documentation, or writes the file.
fn compare(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER).join(name);
    if std::env::var_os(REWRITE).is_some() {
        fs::write(&path, text).expect("a file of the documentation");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    for (line, (found, expected)) in (1..).zip(found.lines().zip(text.lines())) {
        assert_eq!(found, expected, "{FOLDER}/{name}:{line} is not what the code says; {REWRITE}=1 writes it anew");
    }
    assert!(found == text, "{FOLDER}/{name} is not as long as what the code says; {REWRITE}=1 writes it anew");
}

/// Function that returns the mistakes or warnings about a key with a value.
type Said<'a> = &'a dyn Fn(&str, &str) -> Vec<String>;

/// Renders the reference of a program.
fn page(program: &ConfiguredProgram, example: &str, said: Said<'_>) -> String {
    let descriptions = descriptions(example);
    let entries = program.keys.iter().map(|key| entry(program, key, &descriptions[key.name], said));
    let head =
        format!(".. Written by a test from the code; see CONTRIBUTING.rst.\n\n.. program:: {}.ini\n", program.state);
    head + &entries.collect::<String>()
}

/// Renders the entry of one key.
fn entry(program: &ConfiguredProgram, key: &Key, description: &str, said: Said<'_>) -> String {
    let default = match (key.preset, key.preset.text()) {
        (_, Some(text)) => format!("``{text}``"),
        (Preset::Required, None) => "none: it must be set".to_owned(),
        (_, None) => "see above".to_owned(),
    };
    let counts = match key.counts {
        Counts::OnReload => "with the next ``HUP``",
        Counts::OnRestart => "with the next start",
    };
    let (name, allowed, variable) = (key.name, allowed(key.name, said), program.variable(key.name));
    let description: String = description.lines().map(|line| format!("   {line}\n")).collect();
    format!(
        "\n.. option:: {name}\n\n{description}\n   | Default: {default}\n   | Allowed: {allowed}\n   \
         | Variable: ``{variable}``\n   | A change counts {counts}.\n"
    )
}

/// Returns the allowed values of a key in the words of its refusal, and the value that is used in place of a larger
/// one.
fn allowed(key: &str, said: Said<'_>) -> String {
    let refusals = REFUSED.iter().flat_map(|value| said(key, value));
    let allowed = refusals.filter(|line| line.contains(&format!(" {key}: "))).find_map(|line| {
        let (_, allowed) = line.split_once("; allowed is ").or_else(|| line.split_once("; allowed are "))?;
        Some(allowed.to_owned())
    });
    let allowed = allowed.unwrap_or_else(|| panic!("{key} refuses none of {REFUSED:?}"));
    let most = u64::MAX.to_string();
    let used = said(key, &most).into_iter().find_map(|line| {
        let (_, used) = line.strip_suffix(" is used")?.rsplit_once("; ")?;
        Some(used.to_owned())
    });
    let allowed = match used {
        Some(used) => allowed.replace(&most, &format!("{used}; of a larger one {used} is used, with a warning")),
        None => allowed.replace(&format!(" to {most}"), ""),
    };
    allowed.replace('*', "\\*")
}

/// Returns the comments of an example by the key below them, with code between double backticks.
fn descriptions(example: &str) -> BTreeMap<&str, String> {
    let mut found = BTreeMap::new();
    let mut comment = String::new();
    for line in example.lines() {
        if let Some(more) = line.strip_prefix("# ") {
            comment += &format!("{}\n", more.replace('`', "``"));
        } else if let Some((key, _)) = line.trim_start_matches(';').split_once(" = ") {
            assert!(!comment.is_empty(), "{key} has no comment of its own in the example");
            assert!(found.insert(key, std::mem::take(&mut comment)).is_none(), "{key} stands twice in the example");
        } else {
            comment.clear();
        }
    }
    found
}

#[test]
fn a_comment_belongs_to_the_key_below_it() {
    let found = descriptions("# about the file\n\n[section]\n\n# what `a` is\n# and more\n;a = 1\n\n# of b\nb = 2\n");
    assert_eq!(found["a"], "what ``a`` is\nand more\n");
    assert_eq!(found["b"], "of b\n");
}

#[test]
fn what_is_allowed_is_read_from_the_refusal() {
    let said = |_: &str, value: &str| match value {
        "18446744073709551615" => vec!["environment X: size: is more than is taken; 100 is used".to_owned()],
        "?" => vec![
            "environment X: size: \"?\" will not do; allowed is a number from 0 to 18446744073709551615".to_owned(),
        ],
        _ => vec!["environment Y: other: is wrong; allowed is b".to_owned()],
    };
    assert_eq!(allowed("size", &said), "a number from 0 to 100; of a larger one 100 is used, with a warning");
}
