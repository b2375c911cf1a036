//! Every key there is, and what it is when nobody sets it.

/// The section of the file that is ours.
pub const SECTION: &str = "job_runner_worker";

/// What the environment variables start with; the rest is the key in capitals.
pub const PREFIX: &str = "JOB_RUNNER_WORKER_";

/// The one variable that is not called after a key: where the secret is read from.
pub const SECRET_FILE: &str = "JOB_RUNNER_WORKER_SECRET_FILE";

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

/// A key and its preset.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Lower case, as in the file.
    pub name: &'static str,
    /// What it is when it is not set.
    pub preset: Preset,
}

const fn required(name: &'static str) -> Key {
    Key { name, preset: Preset::Required }
}

const fn original(name: &'static str, default: &'static str) -> Key {
    Key { name, preset: Preset::Original(default) }
}

const fn new(name: &'static str, default: &'static str) -> Key {
    Key { name, preset: Preset::New(default) }
}

/// All of them, in the order in which they are listed.
pub const KEYS: &[Key] = &[
    required("api_base_url"),
    required("api_key"),
    required("secret"),
    required("ws_server_hostname"),
    required("broadcaster_server_hostname"),
    original("concurrent_jobs", "4"),
    original("log_level", "info"),
    original("max_log_bytes", "819200"),
    original("ws_server_port", "5555"),
    original("broadcaster_server_port", "5556"),
    original("script_temp_path", "/tmp"),
    original("reconnect_after_inactivity", "600"),
    original("run_resource_uri", "/api/v1/run/"),
    original("worker_resource_uri", "/api/v1/worker/"),
    original("run_log_resource_uri", "/api/v1/run_log/"),
    original("kill_request_resource_uri", "/api/v1/kill_request/"),
    Key { name: "state_path", preset: Preset::Computed },
    new("tls_verify", "true"),
    new("ca_file", "none"),
    new("ws_url", "none"),
    new("kill_grace", "0"),
    new("linger", "10"),
    new("leftovers", "keep"),
    new("drain_timeout", "none"),
    new("incomplete_runs", "reset"),
    new("max_attempts", "3"),
    new("log_update_interval", "5"),
    new("environment", "inherit"),
    new("api_timeout", "30"),
    new("run_timeout", "none"),
    new("pid_file", "none"),
];

/// The key of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// What the original's defaults say, for `%(key)s`.
#[must_use]
pub fn original_default(name: &str) -> Option<&'static str> {
    match find(name)?.preset {
        Preset::Original(default) => Some(default),
        _ => None,
    }
}

/// The environment variable that sets a key.
#[must_use]
pub fn variable(name: &str) -> String {
    format!("{PREFIX}{}", name.to_ascii_uppercase())
}
