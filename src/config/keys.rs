//! Table of all configuration keys of the worker, with their defaults.

use std::borrow::Cow;

use super::ini::Dialect;

/// Names by which a program is configured: its section, variables and keys.
#[derive(Clone, Copy, Debug)]
pub struct ConfiguredProgram {
    /// Section of the configuration file that belongs to the program.
    pub section: &'static str,
    /// Prefix of its environment variables; the rest is the key in capitals.
    pub prefix: &'static str,
    /// Other variables with that prefix that are in use: names, or prefixes of names followed by `*`.
    pub others: &'static [&'static str],
    /// Variable among them that names the file with the secret, if the program has one.
    pub secret_file: Option<&'static str>,
    /// Last component of its default state directory.
    pub state: &'static str,
    /// Keys of the program, in the order in which they are listed.
    pub keys: &'static [Key],
    /// Rules by which its file is read.
    pub dialect: Dialect,
}

/// Variable that names the file with the worker's secret.
const SECRET_FILE: &str = "JOB_RUNNER_WORKER_SECRET_FILE";

/// Configuration of the worker.
pub const WORKER: ConfiguredProgram = ConfiguredProgram {
    section: "job_runner_worker",
    prefix: "JOB_RUNNER_WORKER_",
    others: &[SECRET_FILE],
    secret_file: Some(SECRET_FILE),
    state: "job-runner-worker",
    keys: KEYS,
    dialect: Dialect::Python2,
};

/// Value of a key that neither the environment nor the file sets.
#[derive(Clone, Copy, Debug)]
pub enum Preset {
    /// No default: the key must be set.
    Required,
    /// Default of the original, to which `%(key)s` may refer.
    Original(&'static str),
    /// Default of a key that the original does not have.
    New(&'static str),
    /// Default of a key that the original does not have, from the settings of the program, where it is a value.
    Setting(fn() -> String),
    /// Default that depends on the user and the machine.
    Computed,
}

impl Preset {
    /// Returns the default as it would be written in the file; `None` where there is none, or it is not the same
    /// everywhere.
    #[must_use]
    pub fn text(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Original(text) | Self::New(text) => Some(Cow::Borrowed(text)),
            Self::Setting(text) => Some(Cow::Owned(text())),
            Self::Required | Self::Computed => None,
        }
    }
}

/// Point in time from which the change of a key is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counts {
    /// Applied by a reload (HUP).
    OnReload,
    /// Applied by the next start: the identity of the worker, its server, and the places of its state.
    OnRestart,
}

/// Configuration key with its default.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Name in lower case, as in the file.
    pub name: &'static str,
    /// Value if the key is not set.
    pub preset: Preset,
    /// Time from which a change is in force.
    pub counts: Counts,
}

pub(super) const fn required(name: &'static str) -> Key {
    Key { name, preset: Preset::Required, counts: Counts::OnRestart }
}

pub(super) const fn original(name: &'static str, default: &'static str) -> Key {
    Key { name, preset: Preset::Original(default), counts: Counts::OnRestart }
}

/// Returns a key whose default is a value of the program's settings.
#[cfg(feature = "server")]
pub(super) const fn setting(name: &'static str, default: fn() -> String) -> Key {
    Key { name, preset: Preset::Setting(default), counts: Counts::OnRestart }
}

pub(super) const fn new(name: &'static str, default: &'static str) -> Key {
    Key { name, preset: Preset::New(default), counts: Counts::OnRestart }
}

impl Key {
    /// Returns whether a value of the key may have a secret in it, which no message may show.
    #[must_use]
    pub fn may_hold_secret(&self) -> bool {
        matches!(self.name, "secret" | "database" | "worker_secret" | "worker_registration_secret")
    }

    pub(super) const fn live(self) -> Self {
        Self { counts: Counts::OnReload, ..self }
    }
}

/// Keys of the worker, in the order of the documentation.
pub const KEYS: &[Key] = &[
    // A key without `live()` is applied by a restart only: it defines the worker's identity, or runs under way depend on
    // it.
    required("api_base_url"),
    required("api_key"),
    required("secret").live(),
    required("ws_server_hostname").live(),
    required("broadcaster_server_hostname").live(),
    original("concurrent_jobs", "4").live(),
    original("log_level", "info").live(),
    original("max_log_bytes", "819200").live(),
    original("ws_server_port", "5555").live(),
    original("broadcaster_server_port", "5556").live(),
    // Fixed until the restart: scripts of running attempts are looked for in the directories that were known at the
    // start.
    original("script_temp_path", "/tmp"),
    // As the original's documentation says; its code has 600.
    original("reconnect_after_inactivity", "300").live(),
    original("run_resource_uri", "/api/v1/run/"),
    original("worker_resource_uri", "/api/v1/worker/"),
    original("run_log_resource_uri", "/api/v1/run_log/"),
    original("kill_request_resource_uri", "/api/v1/kill_request/"),
    Key { name: "state_path", preset: Preset::Computed, counts: Counts::OnRestart },
    new("tls_verify", "true").live(),
    new("ca_file", "none").live(),
    new("ws_url", "none").live(),
    new("kill_grace", "0").live(),
    new("linger", "10").live(),
    new("leftovers", "keep").live(),
    new("drain_timeout", "none").live(),
    new("incomplete_runs", "reset").live(),
    new("max_attempts", "3").live(),
    new("log_update_interval", "5").live(),
    new("environment", "inherit"),
    new("redact", "*_TOKEN, *_SECRET, *_PASSWORD, *_KEY").live(),
    new("redact_file", "none").live(),
    new("api_timeout", "30").live(),
    new("run_timeout", "none").live(),
    new("pid_file", "none"),
    new("min_free_bytes", "67108864").live(),
    new("durability", "process"),
    new("restart_exit_code", "none"),
];

impl ConfiguredProgram {
    /// Returns the key with that name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// Returns the original's default for a key, which `%(key)s` may refer to.
    #[must_use]
    pub fn original_default(&self, name: &str) -> Option<&'static str> {
        match self.find(name)?.preset {
            Preset::Original(default) => Some(default),
            _ => None,
        }
    }

    /// Returns the environment variable that sets a key.
    #[must_use]
    pub fn variable(&self, name: &str) -> String {
        format!("{}{}", self.prefix, name.to_ascii_uppercase())
    }

    /// Returns whether a variable with the prefix is in use, by this program or another.
    #[must_use]
    pub fn knows_variable(&self, name: &str) -> bool {
        let other = |other: &&str| match other.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == *other,
        };
        self.keys.iter().any(|key| self.variable(key.name) == name) || self.others.iter().any(other)
    }
}
