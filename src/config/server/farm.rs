//! Settings whose names begin with `flamenco_`: the Manager of Flamenco workers.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::super::file;
use super::super::value::{self, WrongValue, quoted};
use super::super::worker::Check;
use super::{DAY, HOUR};
use crate::run::Secret;
use crate::server::FarmSettings;
use crate::server::domain::farm::timeouts::WorkerCleanup;
use crate::server::domain::farm::variables::Variables;

/// Key of the file with the secret of registrations.
const SECRET_FILE: &str = "flamenco_registration_secret_file";
/// Key of the file with the values of variables.
const VARIABLES_FILE: &str = "flamenco_variables_file";
/// Shortest secret in bytes; a shorter one could be guessed from a signature.
const SHORTEST: usize = 16;
/// What the states may be in which workers are removed.
const AWAY: &str = "allowed are offline, timeout, asleep and error, separated by commas";
/// Longest age in seconds at which tasks are removed.
const YEARS: f64 = 10.0 * 366.0 * DAY;

/// Checks the settings of the Manager; `None` if there is a mistake, which is in the findings.
pub fn farm(check: &mut Check<'_>, listen: Option<Option<SocketAddr>>) -> Option<FarmSettings> {
    let logs = check.optional_path("flamenco_task_logs_path");
    let secret = check.optional_path(SECRET_FILE)?.map(|file| secret_of(check, &file));
    let variables = check.optional_path(VARIABLES_FILE)?.map(|file| variables_of(check, &file));
    let worker_silence = check.seconds("flamenco_active_worker_timeout", 1.0, DAY);
    let task_silence = check.seconds("flamenco_active_task_timeout", 1.0, YEARS);
    let first_check = check.seconds("flamenco_first_check", 0.0, HOUR);
    let task_age = check.seconds("flamenco_task_cleanup_max_age", 0.0, YEARS);
    let worker_age = check.seconds("flamenco_worker_cleanup_max_age", 0.0, YEARS);
    let statuses = check.take("flamenco_worker_cleanup_status", |text| {
        let wrong = |word: &str| WrongValue::new(format!("{} is not known", quoted(word)), AWAY);
        text.split(',').map(|word| WorkerCleanup::status(word.trim()).ok_or_else(|| wrong(word))).collect()
    });
    let blacklist_threshold = check.take("flamenco_blacklist_threshold", |text| value::integer(text, 1..=1_000_000));
    let softfail_count = check.take("flamenco_task_fail_after_softfail_count", |text| value::integer(text, 1..=1000));
    let mut settings = FarmSettings { listen: listen?, logs: logs?, ..FarmSettings::default() };
    if let Some(secret) = secret {
        settings.registration_secret = Some(secret?);
    }
    if let Some(variables) = variables {
        settings.variables = variables?;
    }
    settings.times.worker_silence = worker_silence?;
    settings.times.task_silence = task_silence?;
    settings.times.first_check = first_check?;
    settings.times.task_age = task_age.map(|age| Some(age).filter(|age| *age > Duration::ZERO))?;
    settings.cleanup.max_age = worker_age.map(|age| Some(age).filter(|age| *age > Duration::ZERO))?;
    settings.cleanup.statuses = statuses?;
    settings.failures.blacklist_threshold = blacklist_threshold?;
    settings.failures.softfail_count = softfail_count?;
    Some(settings)
}

/// Reads the secret from its file, without the white space around it, which workers leave out as well.
fn secret_of(check: &mut Check<'_>, path: &Path) -> Option<Secret> {
    let shown = path.display();
    let content = read(check, SECRET_FILE, path)?;
    if content.exposed
        && let Some(given) = check.given.get(SECRET_FILE)
    {
        let what = format_args!("{shown} can be read by others; chmod 600 it");
        check.findings.warning(&given.origin, SECRET_FILE, what);
    }
    let secret = content.bytes.trim_ascii();
    if secret.len() < SHORTEST {
        let allowed = format_args!("{shown} is too short; allowed is a secret of {SHORTEST} characters or more");
        mistake(check, SECRET_FILE, allowed);
        return None;
    }
    Some(Secret::new(secret.to_vec()))
}

/// Reads the values of variables, by name and operating system.
fn variables_of(check: &mut Check<'_>, path: &Path) -> Option<Variables> {
    let shown = path.display();
    let content = read(check, VARIABLES_FILE, path)?;
    match serde_json::from_slice(&content.bytes) {
        Ok(values) => Some(Variables::new(values)),
        Err(error) => {
            let allowed = "allowed is JSON such as {\"blender\": {\"linux\": \"/usr/bin/blender\"}}";
            mistake(check, VARIABLES_FILE, format_args!("{shown} cannot be read: {error}; {allowed}"));
            None
        }
    }
}

fn read(check: &mut Check<'_>, key: &str, path: &Path) -> Option<file::FileContent> {
    match file::read(path) {
        Ok(content) => Some(content),
        Err(error) => {
            mistake(check, key, format_args!("{} {error}", path.display()));
            None
        }
    }
}

fn mistake(check: &mut Check<'_>, key: &str, what: impl std::fmt::Display) {
    if let Some(given) = check.given.get(key) {
        check.findings.mistake(&given.origin, key, what);
    }
}
