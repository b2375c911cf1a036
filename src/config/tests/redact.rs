//! Tests of the choice of secrets that are masked in the output of jobs.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::{Case, REQUIRED, assert_mentions, loaded, mistakes, with, write_private};

/// Returns the secrets that a worker with these variables and additional lines masks, and its warnings.
fn redacted(lines: &str, variables: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
    let case = variables.iter().fold(Case::new(), |case, (name, value)| case.set(name, value));
    let loaded = case.load(format!("{REQUIRED}{lines}")).expect("a configuration without mistakes");
    let text = |secret: &crate::run::Secret| String::from_utf8_lossy(secret.expose()).into_owned();
    (loaded.settings.execution.redact.iter().map(text).collect(), case.short(&loaded.warnings))
}

#[test]
fn the_workers_own_secret_is_always_taken_out() {
    assert_eq!(redacted("", &[]).0, ["verysecret"]);
    assert_eq!(redacted("redact = none\n", &[("A_TOKEN", "long enough")]).0, ["verysecret"]);
}

#[test]
fn variables_that_are_named_like_secrets_are_taken_out() {
    let variables = [
        ("DEPLOY_TOKEN", "the token"),
        ("db_password", "the password"),
        ("TOKEN", "a word"),
        ("MY_KEYS", "some keys"),
        ("SIGNING_KEY", "line one\nline two\r\n"),
        ("JOB_RUNNER_WORKER_API_KEY", "the-worker"),
    ];
    assert_eq!(redacted("", &variables).0, ["verysecret", "the token", "line one", "line two", "the password"]);
    assert_eq!(redacted("redact = MY*, *oke*\n", &variables).0, ["verysecret", "the token", "some keys", "a word"]);
    assert_eq!(redacted("environment = clean\n", &variables).0, ["verysecret"]);
}

#[test]
fn every_line_of_a_file_is_taken_out() {
    let case = Case::new();
    let file = case.folder.path().join("secrets");
    write_private(&file, b"hunter2000\n\n caf\xe9, with spaces\r\nverysecret\n");
    let text = format!("{REQUIRED}redact_file = {}\n", file.display());
    let secrets = case.load(&text).expect("no mistakes").settings.execution.redact;
    let bytes: Vec<&[u8]> = secrets.iter().map(crate::run::Secret::expose).collect();
    assert_eq!(bytes, [&b"verysecret"[..], b"hunter2000", b" caf\xe9, with spaces"]);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("its mode");
    assert_mentions(&case.load(&text).expect("no mistake").warnings, &["redact_file", "chmod 600"]);
    fs::remove_file(&file).expect("our file");
    assert_mentions(&case.load(&text).expect_err("a mistake").mistakes, &["redact_file", "cannot be read"]);
}

#[test]
fn what_cannot_be_looked_for_is_told_without_being_shown() {
    let (long, wide) = ("x".repeat(5000), "y".repeat(4000));
    let variables =
        [("A_TOKEN", "short"), ("B_TOKEN", &long), ("C_KEY", &wide), ("D_KEY", &format!("{wide}z")), ("E_SECRET", "")];
    let (secrets, warnings) = redacted("", &variables);
    assert_eq!(secrets.len(), 3);
    assert_eq!(warnings.len(), 2, "{warnings:#?}");
    assert_mentions(&warnings, &["default: redact: A_TOKEN is shorter than 6 bytes"]);
    assert_mentions(&warnings, &["B_TOKEN is longer than 4096 bytes"]);
    let many: Vec<(String, String)> = (0..5).map(|n| (format!("T{n}_KEY"), n.to_string().repeat(4000))).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_mentions(&redacted("", &many).1, &["T4_KEY is one too many"]);
    let case = Case::new();
    assert_mentions(&case.load(with("secret", "four")).expect("no mistake").warnings, &["secret is shorter"]);
}

#[test]
fn names_are_names() {
    for bad in ["*", "A_TOKEN,", "A TOKEN", "A-TOKEN", "$TOKEN", "hunter2000; rm"] {
        assert_mentions(&mistakes(with("redact", bad)), &["redact:", "names no variable"]);
    }
    assert_eq!(loaded(with("redact", " A_TOKEN ,b_*key* ")).settings.execution.redact.len(), 1);
}
