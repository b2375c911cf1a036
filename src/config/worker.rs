//! Conversion of the texts of all keys into the settings of each module. Every key is checked, whatever is wrong with
//! the others.

use std::path::{Path, PathBuf};
use std::time::Duration;

use url::Url;

use super::address;
use super::findings::{Findings, Texts};
use super::log_level::LOG_LEVELS;
use super::redact::{self, Named};
use super::surroundings::Surroundings;
use super::value::{self, WrongValue};
use super::{DaemonSettings, LogLevel, Settings, SignalMeanings};
use crate::execution::Environment;
use crate::report::Durability;
use crate::run::{ApiKey, IncompleteRuns, LeftoverPolicy, Secret};
use crate::source::UpstreamSettings;
use crate::upstream::job_runner;
use crate::{execution, intake, report, source};

/// Upper bound of `max_log_bytes`; no server accepts a longer log, so a larger value is reduced to this.
const MAX_LOG_BYTES: u64 = 128 * 1024 * 1024;

/// Longest durations in seconds; a larger number is a typing error. The Python worker accepted any number for
/// `reconnect_after_inactivity`, so its bound is generous.
const DAY: f64 = 86_400.0;
pub(super) const HOUR: f64 = 3_600.0;
const EVER: f64 = 1e9;
pub(super) const TENTH: f64 = 0.1;

/// Converts the texts into settings; `None` if there is a mistake, which is in the findings.
pub fn check(given: &Texts, surroundings: &Surroundings, findings: &mut Findings) -> Option<Settings> {
    // Every module's settings are checked before any is unwrapped, so that all mistakes are reported in one run.
    let mut check = Check { given, surroundings, findings };
    let rest = check.rest();
    let source = check.source();
    let intake = check.intake();
    let (max_log_bytes, durability) = (check.max_log_bytes(), check.durability());
    let execution = check.execution(max_log_bytes, durability);
    let report = check.report(max_log_bytes, durability);
    let daemon = check.daemon();
    Some(Settings {
        upstream: UpstreamSettings::JobRunner { rest: rest?, source: source? },
        intake: intake?,
        execution: execution?,
        report: report?,
        daemon: daemon?,
    })
}

pub(super) struct Check<'a> {
    pub given: &'a Texts,
    pub surroundings: &'a Surroundings,
    pub findings: &'a mut Findings,
}

impl Check<'_> {
    /// Parses the value of a key; `None` if it has no usable text, which was reported before, or a wrong one.
    pub fn take<T>(&mut self, key: &str, parse: impl FnOnce(&str) -> Result<T, WrongValue>) -> Option<T> {
        let given = self.given.get(key)?;
        match parse(&given.text) {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.findings.mistake(&given.origin, key, wrong);
                None
            }
        }
    }

    pub fn warn(&mut self, key: &str, what: impl std::fmt::Display) {
        if let Some(given) = self.given.get(key) {
            self.findings.warning(&given.origin, key, what);
        }
    }

    pub fn seconds(&mut self, key: &str, least: f64, most: f64) -> Option<Duration> {
        self.take(key, |text| value::seconds(text, least..=most))
    }

    fn optional_seconds(&mut self, key: &str) -> Option<Option<Duration>> {
        self.take(key, |text| value::optional(text, |text| value::seconds(text, TENTH..=EVER)))
    }

    pub fn path(&mut self, key: &str) -> Option<PathBuf> {
        let directory = &self.surroundings.working_directory;
        self.warn_of_tilde(key);
        self.take(key, |text| value::path(text, directory))
    }

    pub fn optional_path(&mut self, key: &str) -> Option<Option<PathBuf>> {
        let directory = &self.surroundings.working_directory;
        self.warn_of_tilde(key);
        self.take(key, |text| value::optional(text, |text| value::path(text, directory)))
    }

    fn warn_of_tilde(&mut self, key: &str) {
        if self.given.get(key).is_some_and(|given| given.text.starts_with('~')) {
            self.warn(key, "`~` is taken literally; no home directory replaces it");
        }
    }

    pub fn log_level(&mut self) -> Option<LogLevel> {
        self.take("log_level", |text| value::choice(text, LOG_LEVELS))
    }

    fn port(&mut self, key: &str) -> Option<u16> {
        self.take(key, |text| value::integer(text, 1..=65535))
    }

    fn rest(&mut self) -> Option<job_runner::Settings> {
        let base = self.base_url();
        let api_key = self.api_key();
        let secret = self.secret();
        let run_resource = self.resource("run_resource_uri", base.as_ref());
        let worker_resource = self.resource("worker_resource_uri", base.as_ref());
        let run_log_resource = self.resource("run_log_resource_uri", base.as_ref());
        let kill_request_resource = self.resource("kill_request_resource_uri", base.as_ref());
        let tls_verify = self.take("tls_verify", value::boolean);
        if tls_verify == Some(false) {
            self.warn("tls_verify", "certificates are not verified: anybody can be the server");
        }
        let ca_file = self.optional_path("ca_file");
        let api_timeout = self.seconds("api_timeout", TENTH, HOUR);
        Some(job_runner::Settings {
            api_base_url: address::origin(&base?),
            api_key: api_key?,
            secret: secret?,
            run_resource: run_resource?,
            worker_resource: worker_resource?,
            run_log_resource: run_log_resource?,
            kill_request_resource: kill_request_resource?,
            tls_verify: tls_verify?,
            ca_file: ca_file?,
            api_timeout: api_timeout?,
        })
    }

    fn base_url(&mut self) -> Option<Url> {
        let url = self.take("api_base_url", address::base_url)?;
        if address::has_more_than_origin(&url) {
            let used = address::origin(&url);
            let what = format_args!("only {used} of it is used: the resource URIs are absolute");
            // A path is of use to relative resource URIs; a query or a fragment never is.
            if url.query().is_some() || url.fragment().is_some() || !self.joins_relatively() {
                self.warn("api_base_url", what);
            }
        }
        self.warn_of_plain("api_base_url", &url);
        Some(url)
    }

    /// Returns whether any resource URI is relative, so that the path of the base URL matters.
    fn joins_relatively(&self) -> bool {
        let mut uris = self.given.iter().filter(|(key, _)| key.ends_with("_resource_uri"));
        uris.any(|(_, given)| !given.text.starts_with('/') && !given.text.contains("://"))
    }

    pub fn warn_of_plain(&mut self, key: &str, url: &Url) {
        // Requests are signed but not encrypted, and answers are neither.
        if matches!(url.scheme(), "http" | "ws") && !crate::upstream::is_loopback(url) {
            let host = url.host_str().unwrap_or_default();
            let what = format_args!("what goes to and comes from {host} can be read on the way");
            self.warn(key, what);
        }
    }

    fn resource(&mut self, key: &str, base: Option<&Url>) -> Option<String> {
        // Without a base URL there is nothing to join to, and that mistake was reported already.
        let base = base?;
        let path = self.take(key, |text| address::resource(text, base))?;
        if self.given.get(key).is_some_and(|given| given.text != path) {
            self.warn(key, format_args!("is read as {path}"));
        }
        Some(path)
    }

    fn api_key(&mut self) -> Option<ApiKey> {
        self.take("api_key", |text| {
            let allowed = "allowed are 1 to 255 bytes without colons, spaces and control characters";
            ApiKey::parse(text).map_err(|what| WrongValue::new(what, allowed))
        })
    }

    fn secret(&mut self) -> Option<Secret> {
        let secret = self.take("secret", |text| match text {
            "" => Err(WrongValue::new("is empty", "allowed is any text")),
            text => Ok(text.to_owned()),
        })?;
        // Python 2 signed with whatever bytes the file held, which for another encoding than UTF-8 are not these.
        if !secret.is_ascii() {
            self.warn("secret", "is not ASCII; requests are signed with its UTF-8 bytes");
        }
        Some(Secret::new(secret.into_bytes()))
    }

    fn source(&mut self) -> Option<source::Settings> {
        let broadcaster_server_hostname = self.take("broadcaster_server_hostname", address::host);
        let broadcaster_server_port = self.port("broadcaster_server_port");
        let reconnect_after_inactivity = self.reconnect_after_inactivity();
        let ws_url = self.take("ws_url", |text| value::optional(text, address::socket_url));
        if let Some(Some(url)) = &ws_url {
            self.warn_of_plain("ws_url", url);
        }
        Some(source::Settings {
            broadcaster_server_hostname: broadcaster_server_hostname?,
            broadcaster_server_port: broadcaster_server_port?,
            reconnect_after_inactivity: reconnect_after_inactivity?,
            ws_url: ws_url?,
        })
    }

    fn reconnect_after_inactivity(&mut self) -> Option<Duration> {
        let key = "reconnect_after_inactivity";
        let after = self.seconds(key, TENTH, EVER)?;
        if after < Duration::from_secs(30) {
            self.warn(key, "less than 30 seconds: a quiet broadcaster is left again and again");
        }
        Some(after)
    }

    fn intake(&mut self) -> Option<intake::Settings> {
        let concurrent_jobs = self.take("concurrent_jobs", |text| value::integer(text, 1..=1024));
        let rules = self.loss_rules();
        let min_free_bytes = self.min_free_bytes();
        let (incomplete_runs, max_attempts) = rules?;
        Some(intake::Settings {
            concurrent_jobs: concurrent_jobs?,
            min_free_bytes: min_free_bytes?,
            incomplete_runs,
            max_attempts,
        })
    }

    /// Reads what is done about a lost execution, and how often.
    pub fn loss_rules(&mut self) -> Option<(IncompleteRuns, u32)> {
        let choices = [("reset", IncompleteRuns::Reset), ("fail", IncompleteRuns::Fail)];
        let incomplete_runs = self.take("incomplete_runs", |text| value::choice(text, &choices));
        let max_attempts = self.take("max_attempts", |text| value::integer(text, 1..=1000));
        incomplete_runs.zip(max_attempts)
    }

    pub fn min_free_bytes(&mut self) -> Option<u64> {
        self.take("min_free_bytes", |text| value::integer(text, 0..=i128::from(u64::MAX)))
    }

    pub fn execution(
        &mut self,
        max_log_bytes: Option<u64>,
        durability: Option<Durability>,
    ) -> Option<execution::Settings> {
        let script_temp_path = self.path("script_temp_path");
        let kill_grace = self.seconds("kill_grace", 0.0, DAY);
        let linger = self.seconds("linger", 0.0, DAY);
        let choices = [("keep", LeftoverPolicy::Keep), ("stop", LeftoverPolicy::Stop)];
        let leftovers = self.take("leftovers", |text| value::choice(text, &choices));
        let run_timeout = self.optional_seconds("run_timeout");
        let choices = [("inherit", Environment::Inherit), ("clean", Environment::Clean)];
        let environment = self.take("environment", |text| value::choice(text, &choices));
        // Which variables a job has, and so which secrets it can print, depends on the environment it starts with.
        let redact = environment.and_then(|environment| self.redact(environment));
        Some(execution::Settings {
            script_temp_path: script_temp_path?,
            kill_grace: kill_grace?,
            linger: linger?,
            leftovers: leftovers?,
            run_timeout: run_timeout?,
            environment: environment?,
            max_log_bytes: max_log_bytes?,
            redact: redact?,
            durability: durability?,
            steps: execution::StepsSettings::default(),
        })
    }

    /// Collects the secrets that are masked in the output of jobs.
    fn redact(&mut self, environment: Environment) -> Option<Vec<Secret>> {
        let names = self.take("redact", |text| value::optional(text, redact::names));
        let lines = match self.optional_path("redact_file")? {
            Some(path) => self.redact_file(&path)?,
            None => Vec::new(),
        };
        let jobs = execution::of_jobs(environment, self.surroundings.variables.clone().into_iter());
        let names = names?.unwrap_or_default();
        // The worker's own secret is masked too: a job runs as the same user and may be able to read it from the
        // configuration.
        let own = ["secret", "worker_secret"].into_iter().filter_map(|key| {
            let given = self.given.get(key).filter(|given| !given.text.is_empty())?;
            Some(Named::new(key, given.text.as_bytes()))
        });
        let all = own.chain(redact::of_environment(&names, &jobs)).chain(lines);
        let (secrets, ignored) = redact::usable(all);
        for what in ignored {
            self.warn("redact", what);
        }
        Some(secrets)
    }

    fn redact_file(&mut self, path: &Path) -> Option<Vec<Named>> {
        let (key, shown) = ("redact_file", path.display());
        match redact::lines(path) {
            Ok((lines, exposed)) => {
                if exposed {
                    self.warn(key, format_args!("{shown} can be read by others; chmod 600 it"));
                }
                Some(lines)
            }
            Err(error) => {
                self.findings.mistake(&self.given.get(key)?.origin, key, format_args!("{shown} {error}"));
                None
            }
        }
    }

    pub fn durability(&mut self) -> Option<Durability> {
        let choices = [("process", Durability::Process), ("power", Durability::Power)];
        self.take("durability", |text| value::choice(text, &choices))
    }

    fn report(&mut self, max_log_bytes: Option<u64>, durability: Option<Durability>) -> Option<report::Settings> {
        let log_update_interval = self.seconds("log_update_interval", 0.0, DAY);
        let ws_server_hostname = self.take("ws_server_hostname", address::host);
        let ws_server_port = self.port("ws_server_port");
        Some(report::Settings {
            durability: durability?,
            max_log_bytes: max_log_bytes?,
            log_update_interval: log_update_interval?,
            ws_server_hostname: ws_server_hostname?,
            ws_server_port: ws_server_port?,
        })
    }

    pub fn max_log_bytes(&mut self) -> Option<u64> {
        let bytes: u64 = self.take("max_log_bytes", |text| value::integer(text, 0..=i128::from(u64::MAX)))?;
        if bytes > MAX_LOG_BYTES {
            let what = format_args!("is more than a server takes; {MAX_LOG_BYTES} is used");
            self.warn("max_log_bytes", what);
        }
        Some(bytes.min(MAX_LOG_BYTES))
    }

    fn daemon(&mut self) -> Option<DaemonSettings> {
        let base = self.path("state_path");
        let own = self.own_state_directory();
        let drain_timeout = self.drain_timeout();
        let pid_file = self.optional_path("pid_file");
        let restart_exit_code = self.restart_exit_code();
        let log_level = self.log_level();
        Some(DaemonSettings {
            state_path: base?.join(own?),
            drain_timeout: drain_timeout?,
            pid_file: pid_file?,
            restart_exit_code: restart_exit_code?,
            log_level: log_level?,
            signals: SignalMeanings::JOB_RUNNER,
        })
    }

    pub fn drain_timeout(&mut self) -> Option<Option<Duration>> {
        self.optional_seconds("drain_timeout")
    }

    pub fn restart_exit_code(&mut self) -> Option<Option<u8>> {
        self.take("restart_exit_code", |text| value::optional(text, |text| value::integer(text, 1..=255)))
    }

    fn own_state_directory(&mut self) -> Option<String> {
        let given = self.given.get("api_key")?;
        let name = directory_name(&given.text);
        // A key of more than 255 bytes was refused before.
        if name.len() > 255 && given.text.len() <= 255 {
            let what = "is too long for the name of a state directory; allowed are 255 bytes, \
                        of which a slash and a % take three each";
            self.findings.mistake(&given.origin, "api_key", what);
            return None;
        }
        Some(name)
    }
}

/// Returns the name of a key's state directory, different for every key: a slash, a leading dot and the percent sign
/// itself are percent-encoded as in a URL.
pub fn directory_name(api_key: &str) -> String {
    let name = api_key.replace('%', "%25").replace('/', "%2F");
    match name.strip_prefix('.') {
        Some(rest) => format!("%2E{rest}"),
        None => name,
    }
}
