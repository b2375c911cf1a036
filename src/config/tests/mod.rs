//! Tests of the configuration, with the helpers that they share.

mod bad_input;
mod example;
mod flamenco;
mod golden;
mod layers;
mod path_checks;
mod properties;
mod redact;
mod reference;
mod reload;
mod settings;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{ConfigFailure, Loaded, Settings, Surroundings, load};
use crate::source::{self, UpstreamSettings};
use crate::upstream::job_runner;

impl Settings {
    fn rest(&self) -> &job_runner::Settings {
        let UpstreamSettings::JobRunner { rest, .. } = &self.upstream else { panic!("{self:?}") };
        rest
    }

    fn source(&self) -> &source::Settings {
        let UpstreamSettings::JobRunner { source, .. } = &self.upstream else { panic!("{self:?}") };
        source
    }
}

/// Smallest configuration that a worker accepts.
const REQUIRED: &str = "[job_runner_worker]\n\
    api_base_url = https://server.example.com/\n\
    api_key = key\n\
    secret = verysecret\n\
    ws_server_hostname = ws.example.com\n\
    broadcaster_server_hostname = broadcaster.example.com\n";

/// Configuration file in a directory of its own, and the surroundings in which it is read.
struct Case {
    folder: TempDir,
    surroundings: Surroundings,
}

impl Case {
    fn new() -> Self {
        let surroundings = Surroundings {
            variables: [("HOME".into(), "/home/worker".into())].into(),
            working_directory: PathBuf::from("/work"),
            ..Surroundings::default()
        };
        Self { folder: tempfile::tempdir().expect("a folder"), surroundings }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("worker.ini")
    }

    fn set(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.surroundings.variables.insert(name.into(), value.as_ref().to_owned());
        self
    }

    fn load(&self, content: impl AsRef<[u8]>) -> Result<Loaded, ConfigFailure> {
        write_private(&self.path(), content.as_ref());
        load(Some(&self.path()), &self.surroundings)
    }

    /// Removes the name of the directory from messages.
    fn short(&self, lines: &[String]) -> Vec<String> {
        let folder = format!("{}/", self.folder.path().display());
        lines.iter().map(|line| line.replace(&folder, "")).collect()
    }
}

fn write_private(path: &Path, content: &[u8]) {
    fs::write(path, content).expect("a file");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("its mode");
}

/// Returns the required keys with one of them changed, or one added.
fn with(key: &str, value: &str) -> String {
    let kept = REQUIRED.lines().filter(|line| !line.starts_with(&format!("{key} =")));
    let mut text: String = kept.map(|line| format!("{line}\n")).collect();
    text.push_str(&format!("{key} = {value}\n"));
    text
}

fn loaded(content: impl AsRef<[u8]>) -> Loaded {
    Case::new().load(content).expect("a configuration without mistakes")
}

fn mistakes(content: impl AsRef<[u8]>) -> Vec<String> {
    let case = Case::new();
    let failure = case.load(content).expect_err("a configuration with mistakes");
    assert_eq!(failure.exit.code(), 78);
    case.short(&failure.mistakes)
}

fn warnings(content: impl AsRef<[u8]>) -> Vec<String> {
    let case = Case::new();
    let loaded = case.load(content).expect("a configuration without mistakes");
    case.short(&loaded.warnings)
}

#[track_caller]
fn assert_mentions(lines: &[String], wanted: &[&str]) {
    let found = lines.iter().any(|line| wanted.iter().all(|part| line.contains(part)));
    assert!(found, "{wanted:?} is not in {lines:#?}");
}
