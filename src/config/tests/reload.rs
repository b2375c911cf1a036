//! Tests of the reload: effects of a changed file on a running worker.

use super::super::keys::{Counts, KEYS};
use super::super::{ConfigFailure, Loaded, Reloaded, reload};
use super::{Case, REQUIRED, assert_mentions, with, write_private};
use crate::config::LogLevel;

impl Case {
    fn reload(&self, running: &Loaded, content: impl AsRef<[u8]>) -> Result<Reloaded, ConfigFailure> {
        write_private(&self.path(), content.as_ref());
        reload(running, Some(&self.path()), &self.surroundings)
    }
}

/// Reloads after the change of one key.
fn change(key: &str, value: &str) -> Reloaded {
    let case = Case::new();
    let running = case.load(REQUIRED).expect("loaded");
    case.reload(&running, with(key, value)).expect("reloaded")
}

#[test]
fn who_the_worker_is_and_where_it_lives_needs_a_restart() {
    let keys = KEYS.iter().filter(|key| key.counts == Counts::OnRestart);
    let names: String = keys.map(|key| format!("{}\n", key.name)).collect();
    insta::assert_snapshot!(names, @r"
    api_base_url
    api_key
    script_temp_path
    run_resource_uri
    worker_resource_uri
    run_log_resource_uri
    kill_request_resource_uri
    state_path
    environment
    pid_file
    durability
    restart_exit_code
    ");
}

#[test]
fn an_unchanged_file_changes_nothing() {
    let reloaded = change("secret", "verysecret");
    assert!(reloaded.applied.is_empty() && reloaded.on_restart.is_empty(), "{reloaded:?}");
}

#[test]
fn each_key_is_applied_or_kept_as_its_row_says() {
    // A value other than the default for every key.
    let values = [
        ("api_base_url", "https://other.example.com/"),
        ("api_key", "other"),
        ("secret", "other"),
        ("ws_server_hostname", "other"),
        ("broadcaster_server_hostname", "other"),
        ("log_level", "error"),
        ("script_temp_path", "/other"),
        ("run_resource_uri", "/other/"),
        ("worker_resource_uri", "/other/"),
        ("run_log_resource_uri", "/other/"),
        ("kill_request_resource_uri", "/other/"),
        ("state_path", "/other"),
        ("tls_verify", "no"),
        ("ca_file", "/other"),
        ("ws_url", "wss://other/"),
        ("leftovers", "stop"),
        ("incomplete_runs", "fail"),
        ("environment", "clean"),
        ("pid_file", "/other"),
        ("redact_file", concat!(env!("CARGO_MANIFEST_DIR"), "/rustfmt.toml")),
        ("durability", "power"),
    ];
    for key in KEYS {
        let value = values.iter().find(|(name, _)| *name == key.name).map_or("77", |(_, value)| value);
        let reloaded = change(key.name, value);
        let expected = match key.counts {
            Counts::OnReload => (vec![key.name], vec![]),
            Counts::OnRestart => (vec![], vec![key.name]),
        };
        assert_eq!((reloaded.applied, reloaded.on_restart), expected);
        let shown = reloaded.loaded.effective.iter().find(|entry| entry.key == key.name).expect("an entry");
        let kept = shown.origin.to_string() == "default" || !shown.value_shown.contains(value);
        assert_eq!(kept, key.counts == Counts::OnRestart || key.name == "secret", "{shown}");
    }
}

#[test]
fn what_needs_a_restart_keeps_its_value_beside_what_changes() {
    let case = Case::new();
    let running = case.load(with("log_level", "warning")).expect("loaded");
    let text = with("log_level", "debug") + "concurrent_jobs = 9\nscript_temp_path = /elsewhere\nsecret = new\n";
    let reloaded = case.reload(&running, text).expect("reloaded");
    assert_eq!(reloaded.applied, ["secret", "concurrent_jobs", "log_level"]);
    assert_eq!(reloaded.on_restart, ["script_temp_path"]);
    let settings = &reloaded.loaded.settings;
    assert_eq!((settings.daemon.log_level, settings.intake.concurrent_jobs), (LogLevel::Debug, 9));
    assert_eq!(settings.rest().secret.expose(), b"new");
    assert_eq!(settings.execution.script_temp_path, running.settings.execution.script_temp_path);
    // The change still waits for a restart, so the next reload reports it again.
    let again = case.reload(&reloaded.loaded, std::fs::read(case.path()).expect("a file")).expect("reloaded");
    assert_eq!((again.applied.len(), again.on_restart), (0, vec!["script_temp_path"]));
}

#[test]
fn a_broken_file_is_told_whole() {
    let case = Case::new();
    let running = case.load(REQUIRED).expect("loaded");
    let failure = case.reload(&running, with("linger", "soon") + "concurrent_jobs = 0\n").expect_err("two mistakes");
    assert_mentions(&failure.mistakes, &["worker.ini:7: linger: "]);
    assert_mentions(&failure.mistakes, &["worker.ini:8: concurrent_jobs: "]);
}

#[test]
fn no_secret_can_be_printed() {
    let case = Case::new();
    let shown = format!("{:?}", case.load(REQUIRED).expect("loaded"));
    assert!(!shown.contains("verysecret"), "{shown}");
}
