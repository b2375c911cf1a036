//! Every key of the worker, and what it is when nobody sets it.

/// A program that is configured: what its file and its variables are called.
#[derive(Clone, Copy, Debug)]
pub struct ConfiguredProgram {
    /// The section of the file that is its own.
    pub section: &'static str,
    /// What the environment variables start with; the rest is the key in capitals.
    pub prefix: &'static str,
    /// The variables with that prefix that are not called after a key: names, or their beginnings with a `*`.
    pub others: &'static [&'static str],
    /// The one of them that says where the secret is read from, if the program has one.
    pub secret_file: Option<&'static str>,
    /// The last part of the directory where its state lies.
    pub state: &'static str,
    /// Its keys, in the order in which they are listed.
    pub keys: &'static [Key],
}

/// Where the worker's secret is read from.
const SECRET_FILE: &str = "JOB_RUNNER_WORKER_SECRET_FILE";

/// The worker.
pub const WORKER: ConfiguredProgram = ConfiguredProgram {
    section: "job_runner_worker",
    prefix: "JOB_RUNNER_WORKER_",
    others: &[SECRET_FILE],
    secret_file: Some(SECRET_FILE),
    state: "job-runner-worker",
    keys: KEYS,
};

/// What a key is when neither the environment nor the file sets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// It must be set.
    Required,
    /// The default of the original, which `%(key)s` may refer to.
    Original(&'static str),
    /// The default of a key that the original does not have.
    New(&'static str),
    /// It depends on who runs the worker and where.
    Computed,
}

/// When the change of a key counts in a worker that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counts {
    /// With the next HUP.
    OnReload,
    /// With the next start: who this worker is, whom it works for, where its state lies.
    OnRestart,
}

/// A key and its preset.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Lower case, as in the file.
    pub name: &'static str,
    /// What it is when it is not set.
    pub preset: Preset,
    /// When its change counts.
    pub counts: Counts,
}

pub(super) const fn required(name: &'static str) -> Key {
    Key { name, preset: Preset::Required, counts: Counts::OnRestart }
}

pub(super) const fn original(name: &'static str, default: &'static str) -> Key {
    Key { name, preset: Preset::Original(default), counts: Counts::OnRestart }
}

pub(super) const fn new(name: &'static str, default: &'static str) -> Key {
    Key { name, preset: Preset::New(default), counts: Counts::OnRestart }
}

impl Key {
    pub(super) const fn live(self) -> Self {
        Self { counts: Counts::OnReload, ..self }
    }
}

/// Those of the worker.
pub const KEYS: &[Key] = &[
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
    original("script_temp_path", "/tmp"),
    original("reconnect_after_inactivity", "600").live(),
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
    /// The key of that name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// What the original's defaults say, for `%(key)s`.
    #[must_use]
    pub fn original_default(&self, name: &str) -> Option<&'static str> {
        match self.find(name)?.preset {
            Preset::Original(default) => Some(default),
            _ => None,
        }
    }

    /// The environment variable that sets a key.
    #[must_use]
    pub fn variable(&self, name: &str) -> String {
        format!("{}{}", self.prefix, name.to_ascii_uppercase())
    }

    /// Whether a variable with the prefix sets something, here or elsewhere.
    #[must_use]
    pub fn knows_variable(&self, name: &str) -> bool {
        let other = |other: &&str| match other.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == *other,
        };
        self.keys.iter().any(|key| self.variable(key.name) == name) || self.others.iter().any(other)
    }
}
