//! Tests of the configuration of the worker of Flamenco.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::write_private;
use crate::config::{ConfigFailure, Loaded, Settings, Surroundings, TermMeaning, UsrMeaning, WorkerProgram, load_of};
use crate::run::LeftoverPolicy;
use crate::source::UpstreamSettings;
use crate::upstream::flamenco;

/// Working directory and home directory of a worker.
struct Places(TempDir);

impl Places {
    fn new() -> Self {
        let places = Self(tempfile::tempdir().expect("a folder"));
        std::fs::create_dir(places.0.path().join("home")).expect("a folder");
        places
    }

    fn write(&self, name: &str, content: &str) {
        write_private(&self.0.path().join(name), content.as_bytes());
    }

    fn surroundings(&self) -> Surroundings {
        Surroundings {
            variables: [("HOME".into(), self.0.path().join("home").into())].into(),
            working_directory: self.0.path().to_owned(),
            ..Surroundings::default()
        }
    }

    fn load(&self, named: Option<&str>) -> Result<Loaded, ConfigFailure> {
        let named = named.map(|name| self.0.path().join(name));
        load_of(WorkerProgram::Flamenco, named.as_deref(), &self.surroundings())
    }
}

fn client(settings: &Settings) -> &flamenco::Settings {
    let UpstreamSettings::Flamenco { client, .. } = &settings.upstream else { panic!("{settings:?}") };
    client
}

/// Loads a home file with these lines in the section.
fn loaded(lines: &str) -> Result<Loaded, ConfigFailure> {
    let places = Places::new();
    places.write("home/.flamenco-worker.cfg", &format!("[flamenco-worker]\n{lines}"));
    places.load(None)
}

fn mistakes(lines: &str) -> String {
    loaded(lines).expect_err("a mistake").mistakes.join("\n")
}

#[test]
fn without_any_file_the_defaults_are_those_of_the_original() {
    let settings = Places::new().load(None).expect("defaults").settings;
    let UpstreamSettings::Flamenco { client, source, push } = &settings.upstream else { panic!("{settings:?}") };
    assert_eq!(client.manager_url.as_str(), "http://flamenco-manager/");
    assert_eq!(client.task_types, ["unknown", "sleep", "blender-render"]);
    assert!(client.identity.is_none() && client.registration_secret.is_none());
    assert_eq!(source.may_run_interval, Duration::from_secs(5));
    assert!(source.identity_file.ends_with("home/.flamenco-worker.cfg"));
    assert_eq!((push.log_entries, push.log_interval), (1000, Duration::from_secs(30)));
    assert_eq!(push.activity_interval, Duration::from_secs(15));
    assert_eq!(settings.intake.concurrent_jobs, 1);
    assert_eq!(settings.execution.kill_grace, Duration::from_secs(5));
    assert_eq!(settings.execution.leftovers, LeftoverPolicy::Stop);
    assert_eq!(settings.execution.steps.line_timeout, Duration::from_secs(3600));
    assert_eq!(settings.daemon.signals.term, TermMeaning::GiveBack);
    assert_eq!(settings.daemon.signals.usr, UsrMeaning::DumpAndHandOver);
}

#[test]
fn the_home_file_takes_precedence_and_a_named_file_takes_the_place_of_both() {
    let places = Places::new();
    places.write("flamenco-worker.cfg", "[flamenco-worker]\nmanager_url = http://one/\ntask_types = a\n");
    places.write("home/.flamenco-worker.cfg", "[flamenco-worker]\nmanager_url = http://two/\n");
    places.write("third.cfg", "[flamenco-worker]\nworker_id = 5ee1\nworker_secret = s3cret\n");
    let both = places.load(None).expect("settings").settings;
    assert_eq!(client(&both).manager_url.as_str(), "http://two/");
    assert_eq!(client(&both).task_types, ["a"]);
    let third = places.load(Some("third.cfg")).expect("settings").settings;
    assert_eq!(client(&third).manager_url.as_str(), "http://flamenco-manager/");
    assert_eq!(client(&third).identity.as_ref().map(|identity| identity.id.as_str()), Some("5ee1"));
    let UpstreamSettings::Flamenco { source, .. } = &third.upstream else { panic!("{third:?}") };
    assert!(source.identity_file.ends_with("third.cfg"));
    assert!(places.load(Some("missing.cfg")).is_err());
}

#[test]
fn the_file_is_read_by_the_rules_of_python_3() {
    let lines = "farm = farm.example.com\nmanager_url = http://${farm}:8080/\n    ; a comment\ntask_types = a ; b\n\
                 worker_secret = x$$y\nworker_id = 5\n";
    let loaded = loaded(lines).expect("settings");
    let client = client(&loaded.settings);
    assert_eq!(client.manager_url.as_str(), "http://farm.example.com:8080/");
    assert_eq!(client.task_types, ["a", ";", "b"]);
    assert_eq!(client.identity.as_ref().map(|identity| identity.secret.expose()), Some(&b"x$y"[..]));
    assert!(loaded.warnings.iter().any(|line| line.contains("no comment")), "{:?}", loaded.warnings);
    assert!(mistakes("manager_url = http://$farm/\n").contains("a literal $ is written $$"));
    assert!(mistakes("manager_url = ${nothing}\n").contains("nothing"));
}

#[test]
fn task_types_has_an_older_name_and_both_are_a_mistake() {
    assert_eq!(client(&loaded("job_types = sleep test\n").expect("settings").settings).task_types, ["sleep", "test"]);
    assert!(mistakes("job_types = a\ntask_types = b\n").contains("job_types: is another name of task_types"));
}

#[test]
fn quotes_around_the_url_are_named_as_the_mistake() {
    assert!(mistakes("manager_url = 'http://farm/'\n").contains("manager_url: is in quotes"));
}

#[test]
fn sections_of_the_original_are_skipped_with_one_warning_and_no_secret_is_shown() {
    let lines = "manager_url = http://127.0.0.1/\nworker_id = 5ee1\nworker_secret = verysecret\n[loggers]\nkeys = \
                 root\n[handlers]\nkeys = console\n";
    let loaded = loaded(lines).expect("settings");
    let skipped: Vec<_> = loaded.warnings.iter().filter(|line| line.contains("not read")).collect();
    assert_eq!(skipped.len(), 1, "{:?}", loaded.warnings);
    let shown: String = loaded.effective.iter().map(ToString::to_string).collect();
    assert!(shown.contains("worker_secret = ****") && !shown.contains("verysecret"), "{shown}");
}

#[test]
fn a_registration_secret_may_stand_in_a_file() {
    let places = Places::new();
    places.write("secret", "shared\n");
    places.write("flamenco-worker.cfg", "[flamenco-worker]\nworker_registration_secret = @secret\n");
    let settings = places.load(None).expect("settings").settings;
    assert_eq!(client(&settings).registration_secret.as_ref().map(|secret| secret.expose()), Some(&b"shared"[..]));
    assert!(mistakes("worker_registration_secret = @/nowhere/secret\n").contains("/nowhere/secret cannot be read"));
}

#[test]
fn paths_are_found_from_the_working_directory() {
    let places = Places::new();
    let lines =
        "[flamenco-worker]\npre_task_check_write = render /shared\nfile_roots = /shared\ncommands = echo exec\n";
    places.write("flamenco-worker.cfg", lines);
    let settings = places.load(None).expect("settings").settings;
    let UpstreamSettings::Flamenco { source, .. } = &settings.upstream else { panic!("{settings:?}") };
    assert_eq!(source.checks.write, [places.0.path().join("render"), PathBuf::from("/shared")]);
    assert_eq!(settings.execution.steps.roots, [Path::new("/shared")]);
    assert_eq!(settings.execution.steps.commands, ["echo", "exec"]);
}

#[test]
fn updates_that_a_python_worker_left_are_not_started_over() {
    let places = Places::new();
    let file = rusqlite::Connection::open(places.0.path().join("flamenco-worker.db")).expect("a file");
    file.execute_batch(
        "CREATE TABLE fworker_queue(url TEXT, payload BLOB); INSERT INTO fworker_queue VALUES ('a', x'80')",
    )
    .expect("a row");
    let mistakes = places.load(None).expect_err("a mistake").mistakes.join("\n");
    assert!(mistakes.contains("has 1 updates of the Python worker"), "{mistakes}");
}
