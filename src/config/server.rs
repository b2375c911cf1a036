//! Configuration of the server: the same file format and precedence as the worker's, with other keys.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono_tz::Tz;

use super::findings::{Findings, Texts};
use super::ini::Dialect;
use super::keys::{ConfiguredProgram, Counts, Key, Preset, new, original, setting};
use super::surroundings::Surroundings;
use super::value::{self, WrongValue, quoted};
use super::worker::Check;
use super::{ConfigExit, ConfigFailure, EffectiveKey, LogLevel, address, failure, read, show, understand};
use crate::server::{self, WorkerWrites};

pub(super) mod database;
mod farm;
#[cfg(test)]
mod tests;

/// Configuration of the server.
pub(super) const SERVER: ConfiguredProgram = ConfiguredProgram {
    section: "job_runner",
    prefix: "JOB_RUNNER_",
    // Variables of the worker and of the command line client, and those that jobs find in their environment.
    others: &[
        "JOB_RUNNER_WORKER_*",
        "JOB_RUNNER_SERVER",
        "JOB_RUNNER_TOKEN_FILE",
        "JOB_RUNNER_PLAIN_HTTP",
        "JOB_RUNNER_RUN_*",
        "JOB_RUNNER_ATTEMPT",
        "JOB_RUNNER_SCHEDULED_AT",
    ],
    secret_file: None,
    state: "job-runner",
    keys: KEYS,
    dialect: Dialect::Python2,
};

const KEYS: &[Key] = &[
    Key { name: "data_path", preset: Preset::Computed, counts: Counts::OnRestart },
    new("database", server::Database::SQLITE),
    new("database_password_file", "none"),
    setting("listen", || defaults().http.to_string()),
    setting("broadcaster_listen", || defaults().broadcaster.to_string()),
    setting("events_listen", || defaults().events.to_string()),
    setting("websocket_listen", || or_none(defaults().websocket)),
    new("public", "no"),
    setting("host_names", || joined(&defaults().host_names)),
    setting("allowed_origins", || joined(&defaults().allowed_origins)),
    setting("listeners", || defaults().listeners.to_string()),
    setting("listener_ping", || seconds(defaults().listener_ping)),
    setting("websocket_listeners", || defaults().websocket_listeners.to_string()),
    setting("connections", || defaults().connections.to_string()),
    setting("strangers_of_address", || defaults().strangers_of_address.to_string()),
    setting("request_memory_bytes", || defaults().request_memory.to_string()),
    setting("request_timeout", || seconds(defaults().request_timeout)),
    setting("idle_timeout", || seconds(defaults().idle_timeout)),
    setting("stop_grace", || seconds(defaults().stop_grace)),
    // Written here and in the settings: only to a fixed text of the original may a value of the file refer.
    original("time_zone", "Europe/Amsterdam"),
    setting("page_limit", || defaults().page_limit.to_string()),
    setting("max_body_bytes", || defaults().max_body.to_string()),
    setting("ping_interval", || seconds(defaults().ping_interval)),
    setting("silent_intervals", || defaults().silent_intervals.to_string()),
    setting("ping_margin", || seconds(defaults().ping_margin)),
    setting("announce_interval", || seconds(defaults().announce_interval)),
    setting("max_losses", || defaults().max_losses.to_string()),
    new("worker_writes", "none"),
    setting("flamenco_listen", || or_none(defaults().farm.listen)),
    new("flamenco_task_logs_path", "none"),
    new("flamenco_registration_secret_file", "none"),
    new("flamenco_variables_file", "none"),
    setting("flamenco_active_worker_timeout", || seconds(defaults().farm.times.worker_silence)),
    setting("flamenco_active_task_timeout", || seconds(defaults().farm.times.task_silence)),
    setting("flamenco_first_check", || seconds(defaults().farm.times.first_check)),
    setting("flamenco_task_cleanup_max_age", || seconds(defaults().farm.times.task_age.unwrap_or_default())),
    setting("flamenco_worker_cleanup_max_age", || seconds(defaults().farm.cleanup.max_age.unwrap_or_default())),
    setting("flamenco_worker_cleanup_status", || {
        let cleanup = defaults().farm.cleanup;
        joined(&cleanup.statuses.iter().map(|status| status.word().to_owned()).collect::<Vec<_>>())
    }),
    setting("flamenco_blacklist_threshold", || defaults().farm.failures.blacklist_threshold.to_string()),
    setting("flamenco_task_fail_after_softfail_count", || defaults().farm.failures.softfail_count.to_string()),
    new("log_level", "info").live(),
    new("pid_file", "none"),
];

/// Returns the settings of a server whose file sets nothing.
fn defaults() -> server::Settings {
    server::Settings::new(PathBuf::new())
}

/// Writes a duration as the file has it.
fn seconds(duration: Duration) -> String {
    duration.as_secs_f64().to_string()
}

/// Writes a value that may be missing as the file has it.
fn or_none(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}

/// Writes a list as the file has it.
fn joined(items: &[String]) -> String {
    or_none(Some(items.join(", ")).filter(|text| !text.is_empty()))
}

/// Longest durations in seconds that can be meant.
const DAY: f64 = 86_400.0;
const HOUR: f64 = 3_600.0;
const TENTH: f64 = 0.1;
/// Range of body sizes in bytes: from a log as workers send it to what memory can hold.
const BODY: std::ops::RangeInclusive<i128> = 1_048_576..=1_073_741_824;
/// Maximum number of items of a list.
const MAX_ITEMS: usize = 100;

/// Settings of the server program.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Settings of the server itself.
    pub server: server::Settings,
    /// Least severe level that is logged.
    pub log_level: LogLevel,
    /// File for the process id, removed at the end.
    pub pid_file: Option<PathBuf>,
}

/// Usable configuration of the server.
#[derive(Clone, Debug)]
pub struct LoadedServer {
    /// Settings as the texts in force give them.
    pub settings: ServerSettings,
    /// Warnings about suspicious settings, a line each.
    pub warnings: Vec<String>,
    /// Every key with its value and origin, for `--check-config`.
    pub effective: Vec<EffectiveKey>,
}

impl LoadedServer {
    /// Returns the keys that differ in another configuration and are applied only by a restart.
    #[must_use]
    pub fn on_restart(&self, other: &Self) -> Vec<&'static str> {
        let keys = KEYS.iter().filter(|key| key.counts == Counts::OnRestart).map(|key| key.name);
        let value = |loaded: &Self, name: &&str| {
            let entry = loaded.effective.iter().find(|entry| entry.key == *name);
            entry.map(|entry| entry.value_shown.clone())
        };
        // Its shown value lacks the password.
        let is_other_database = self.settings.server.database != other.settings.server.database;
        keys.filter(|name| value(self, name) != value(other, name) || (*name == "database" && is_other_database))
            .collect()
    }
}

/// Loads the server's configuration from a file.
///
/// # Errors
/// If anything is wrong with it; holds all mistakes at once.
pub fn load_server(path: &Path, surroundings: &Surroundings) -> Result<LoadedServer, ConfigFailure> {
    let mut findings = Findings::default();
    let content = match read(path, surroundings, &mut findings) {
        Ok(content) => content,
        Err(exit) => return Err(failure(exit, findings)),
    };
    let given = understand(&SERVER, path, &content, surroundings, &mut findings);
    let checked = given.and_then(|given| Some((check(&given, surroundings, &mut findings)?, given)));
    match checked {
        Some((settings, given)) if findings.mistakes.is_empty() => {
            let effective = show::effective(KEYS, &given);
            Ok(LoadedServer { settings, warnings: findings.warnings, effective })
        }
        _ => Err(failure(ConfigExit::Config, findings)),
    }
}

fn check(given: &Texts, surroundings: &Surroundings, findings: &mut Findings) -> Option<ServerSettings> {
    let mut check = Check { given, surroundings, findings };
    let data = check.path("data_path");
    let database = database::database(&mut check);
    let public = check.take("public", value::boolean);
    let http = check.listen("listen", public);
    let broadcaster = check.listen("broadcaster_listen", public);
    let events = check.listen("events_listen", public);
    let websocket = check.optional_listen("websocket_listen", public);
    let host_names = check.take("host_names", names);
    let allowed_origins = check.take("allowed_origins", origins);
    let listeners = check.take("listeners", |text| value::integer(text, 1..=100_000));
    let listener_ping = check.seconds("listener_ping", 1.0, HOUR);
    let websocket_listeners = check.take("websocket_listeners", |text| value::integer(text, 1..=100_000));
    let connections = check.take("connections", |text| value::integer(text, 16..=1_000_000));
    let strangers_of_address = check.take("strangers_of_address", |text| value::integer(text, 1..=1_000_000));
    let request_memory = check.take("request_memory_bytes", |text| value::integer(text, BODY));
    let request_timeout = check.seconds("request_timeout", 1.0, HOUR);
    let idle_timeout = check.seconds("idle_timeout", 1.0, DAY);
    let stop_grace = check.seconds("stop_grace", 0.0, HOUR);
    let time_zone = check.take("time_zone", zone);
    let page_limit = check.take("page_limit", |text| value::integer(text, 1..=1000));
    let max_body = check.take("max_body_bytes", |text| value::integer(text, BODY));
    let ping_interval = check.seconds("ping_interval", 1.0, DAY);
    let silent_intervals = check.take("silent_intervals", |text| value::integer(text, 1..=100));
    let ping_margin = check.seconds("ping_margin", 0.0, HOUR);
    let announce_interval = check.seconds("announce_interval", TENTH, HOUR);
    let max_losses = check.take("max_losses", |text| value::integer(text, 1..=1000));
    let worker_writes = check.take("worker_writes", |text| value::optional(text, worker_writes));
    let farm_listen = check.optional_listen("flamenco_listen", public);
    let farm = farm::farm(&mut check, farm_listen);
    let log_level = check.log_level();
    let pid_file = check.optional_path("pid_file");
    let server = server::Settings {
        database: database?,
        http: http?,
        broadcaster: broadcaster?,
        events: events?,
        websocket: websocket?,
        host_names: host_names?,
        allowed_origins: allowed_origins?,
        listeners: listeners?,
        listener_ping: listener_ping?,
        websocket_listeners: websocket_listeners?,
        connections: connections?,
        strangers_of_address: strangers_of_address?,
        request_memory: request_memory?,
        request_timeout: request_timeout?,
        idle_timeout: idle_timeout?,
        stop_grace: stop_grace?,
        time_zone: time_zone?,
        page_limit: page_limit?,
        max_body: max_body?,
        ping_interval: ping_interval?,
        silent_intervals: silent_intervals?,
        ping_margin: ping_margin?,
        announce_interval: announce_interval?,
        max_losses: max_losses?,
        worker_writes: worker_writes?,
        farm: farm?,
        // The rest has no key, such as the longest log.
        ..server::Settings::new(data?)
    };
    Some(ServerSettings { server, log_level: log_level?, pid_file: pid_file? })
}

impl Check<'_> {
    /// Parses an address to listen at. Without `public = yes`, only loopback addresses are allowed.
    fn listen(&mut self, key: &str, public: Option<bool>) -> Option<SocketAddr> {
        self.take(key, |text| listen(text, public))
    }

    fn optional_listen(&mut self, key: &str, public: Option<bool>) -> Option<Option<SocketAddr>> {
        self.take(key, |text| value::optional(text, |text| listen(text, public)))
    }
}

fn listen(text: &str, public: Option<bool>) -> Result<SocketAddr, WrongValue> {
    let allowed = "allowed is an address with a port, such as 127.0.0.1:8000 or [::1]:8000";
    let wrong = || WrongValue::new(format!("{} is no address with a port", quoted(text)), allowed);
    let address: SocketAddr = text.trim().parse().map_err(|_| wrong())?;
    // The operator must say so explicitly before scripts and logs are served to other machines.
    if public == Some(false) && !address.ip().is_loopback() {
        let what = format!("{address} can be reached from other machines");
        return Err(WrongValue::new(what, "set public = yes if that is meant, or use 127.0.0.1"));
    }
    Ok(address)
}

fn names(text: &str) -> Result<Vec<String>, WrongValue> {
    // Host names are compared in lower case.
    list(text, "", |name| address::host(name).map(|name| name.to_lowercase()))
}

/// Parses origins in the form that browsers send: without a slash at the end.
fn origins(text: &str) -> Result<Vec<String>, WrongValue> {
    list(text, ", or * for all", |origin| match origin.trim() {
        "*" => Ok("*".to_owned()),
        origin => Ok(address::origin(&address::base_url(origin)?).origin().ascii_serialization()),
    })
}

/// Parses comma-separated items. If one is refused, the message also allows several items, the alternative in `beside`,
/// and none.
fn list(
    text: &str,
    beside: &str,
    parse: impl Fn(&str) -> Result<String, WrongValue>,
) -> Result<Vec<String>, WrongValue> {
    if value::is_none(text) {
        return Ok(Vec::new());
    }
    let in_list = |wrong: WrongValue| WrongValue {
        allowed: format!("{}; several separated by commas{beside}, or none", wrong.allowed),
        ..wrong
    };
    let items: Vec<_> = text.split(',').map(|item| parse(item).map_err(in_list)).collect();
    if items.len() > MAX_ITEMS {
        return Err(WrongValue::new("is too long a list", format!("allowed are {MAX_ITEMS}")));
    }
    items.into_iter().collect()
}

fn worker_writes(text: &str) -> Result<WorkerWrites, WrongValue> {
    let wrong = || WrongValue::new(format!("{} is not known", quoted(text)), "allowed are own and original");
    WorkerWrites::named(text.trim()).ok_or_else(wrong)
}

fn zone(text: &str) -> Result<Tz, WrongValue> {
    let allowed = "allowed is a name of the time zone database, such as Europe/Amsterdam or UTC";
    text.trim().parse().map_err(|_| WrongValue::new(format!("{} is no time zone", quoted(text)), allowed))
}
