//! Configuration: reads file, environment and options into the settings of each module, collecting every mistake.
//!
//! The file is read by the rules of the Python worker (`ini`, `interpolate`), an environment variable
//! `JOB_RUNNER_WORKER_<KEY>` takes precedence over the file (`layers`), and each module gets its own `Settings`
//! (`check`). Legal but suspicious settings are warnings (`suspicious_text`). The functions depend neither on the clock nor on
//! the process: what the process was started with is passed as [`Surroundings`], and the disk is read only for the
//! file, for the files with secrets, and in [`check_paths`].
//!
//! A running worker reads the configuration again with [`reload()`], which keeps what cannot change at run time.
//!
//! Messages are one line each, `file:line: key: what is wrong, what is allowed`, and never contain a secret.

mod address;
mod daemon_settings;
mod file;
mod findings;
mod flamenco;
mod ini;
mod interpolate;
mod keys;
mod layers;
mod log_level;
mod old_queue;
mod path_checks;
mod redact;
mod reload;
#[cfg(feature = "server")]
mod server;
mod show;
mod spelling;
mod surroundings;
mod suspicious_text;
mod value;
mod worker;

#[cfg(test)]
mod tests;

use std::path::Path;

use crate::source::UpstreamSettings;
use crate::{execution, intake, report};
use findings::{Findings, Texts, one_line};
use ini::Document;
use keys::{ConfiguredProgram, KEYS, WORKER};
use layers::Layers;

pub use daemon_settings::{DaemonSettings, SignalMeanings, TermMeaning, UsrMeaning};
pub use findings::Origin;
pub use log_level::LogLevel;
pub use path_checks::check_paths;
pub use reload::{Reloaded, reload};
#[cfg(feature = "server")]
pub use server::{LoadedServer, ServerSettings, load_server};
pub use show::EffectiveKey;
pub use surroundings::Surroundings;

/// Settings of the worker, by module.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Settings of the service that gives the worker its runs.
    pub upstream: UpstreamSettings,
    /// Settings of the decision whether and when an order is followed.
    pub intake: intake::Settings,
    /// Settings of the execution of runs.
    pub execution: execution::Settings,
    /// Settings of the delivery of reports.
    pub report: report::Settings,
    /// Settings of the daemon process.
    pub daemon: DaemonSettings,
}

/// Usable configuration of the worker.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Program whose configuration it is.
    pub program: WorkerProgram,
    /// Settings by module, as the texts in force give them.
    pub settings: Settings,
    /// Warnings about suspicious settings, a line each.
    pub warnings: Vec<String>,
    /// Every key with its value and origin, for `--check-config`.
    pub effective: Vec<EffectiveKey>,
    /// Texts that the settings were made from, kept for the comparison at a reload.
    given: Texts,
}

/// Error of a configuration that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFailure {
    /// Exit code for the process.
    pub exit: ConfigExit,
    /// Mistakes that must be corrected, a line each.
    pub mistakes: Vec<String>,
    /// Warnings about suspicious settings, a line each.
    pub warnings: Vec<String>,
}

/// Exit code of a configuration failure, by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigExit {
    /// No configuration file was named.
    Usage,
    /// The configuration file cannot be read.
    NoInput,
    /// A directory or file that the settings name cannot be used; see [`check_paths`].
    CannotCreate,
    /// The configuration contains mistakes.
    Config,
}

impl ConfigExit {
    /// Returns the number, as in `sysexits.h`.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Usage => 2,
            Self::NoInput => 66,
            Self::CannotCreate => 73,
            Self::Config => 78,
        }
    }
}

/// Program whose configuration is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerProgram {
    /// Worker of a Job-Runner server.
    JobRunner,
    /// Worker of a Flamenco Manager.
    Flamenco,
}

/// Loads the configuration of a program, from `path`, or else from where the program looks for it.
///
/// # Errors
/// If anything is wrong with it; holds all mistakes at once.
pub fn load_of(
    program: WorkerProgram,
    path: Option<&Path>,
    surroundings: &Surroundings,
) -> Result<Loaded, ConfigFailure> {
    match program {
        WorkerProgram::JobRunner => load(path, surroundings),
        WorkerProgram::Flamenco => load_flamenco(path, surroundings),
    }
}

fn load_flamenco(path: Option<&Path>, surroundings: &Surroundings) -> Result<Loaded, ConfigFailure> {
    let mut findings = Findings::default();
    let given = match flamenco::texts(path, surroundings, &mut findings) {
        Ok(given) => given,
        Err(exit) => return Err(failure(exit, findings)),
    };
    let checked = given.and_then(|given| Some((flamenco::check(path, &given, surroundings, &mut findings)?, given)));
    match checked {
        Some((settings, given)) if findings.mistakes.is_empty() => {
            let effective = show::effective(flamenco::FLAMENCO.keys, &given);
            Ok(Loaded { program: WorkerProgram::Flamenco, settings, warnings: findings.warnings, effective, given })
        }
        _ => Err(failure(ConfigExit::Config, findings)),
    }
}

/// Loads the configuration from `path`, or else from the file that `CONFIG_PATH` names.
///
/// # Errors
/// If anything is wrong with it; holds all mistakes at once.
pub fn load(path: Option<&Path>, surroundings: &Surroundings) -> Result<Loaded, ConfigFailure> {
    let mut findings = Findings::default();
    let Some(path) = choose(path, surroundings, &mut findings) else {
        let what = "no configuration: give --config-path or set CONFIG_PATH".to_owned();
        findings.mistakes.push(what);
        return Err(failure(ConfigExit::Usage, findings));
    };
    let content = match read(path, surroundings, &mut findings) {
        Ok(content) => content,
        Err(exit) => return Err(failure(exit, findings)),
    };
    let given = understand(&WORKER, path, &content, surroundings, &mut findings);
    let checked = given.and_then(|given| Some((worker::check(&given, surroundings, &mut findings)?, given)));
    match checked {
        Some((settings, given)) if findings.mistakes.is_empty() => {
            let effective = show::effective(KEYS, &given);
            let program = WorkerProgram::JobRunner;
            Ok(Loaded { program, settings, warnings: findings.warnings, effective, given })
        }
        _ => Err(failure(ConfigExit::Config, findings)),
    }
}

/// Builds the settings of a worker from texts by key, with defaults for the rest, without a file and without the
/// environment. For workers that are started inside another program.
///
/// # Errors
/// If a text is wrong or a required one is missing.
pub fn built(texts: &[(&str, &str)], surroundings: &Surroundings) -> Result<Settings, ConfigFailure> {
    let variables = texts.iter().map(|(key, text)| (WORKER.variable(key).into(), (*text).into()));
    // The texts stand in for environment variables: they pass the same checks and are not interpolated.
    let alone = Surroundings { variables: variables.collect(), ..surroundings.clone() };
    let mut findings = Findings::default();
    let layers = Layers { program: &WORKER, surroundings: &alone, document: &Document::default(), path: Path::new("") };
    let given = layers.all(&mut findings);
    findings.mistakes.extend(findings.missing.iter().map(|key| format!("{key}: missing")));
    match worker::check(&given, &alone, &mut findings) {
        Some(settings) if findings.mistakes.is_empty() => Ok(settings),
        _ => Err(failure(ConfigExit::Config, findings)),
    }
}

/// Reads the file, which is found from the working directory of the start.
fn read(path: &Path, surroundings: &Surroundings, findings: &mut Findings) -> Result<file::FileContent, ConfigExit> {
    file::read(&surroundings.absolute(path)).map_err(|error| {
        findings.mistakes.push(one_line(&format!("{}: {error}", path.display())));
        ConfigExit::NoInput
    })
}

fn failure(exit: ConfigExit, findings: Findings) -> ConfigFailure {
    ConfigFailure { exit, mistakes: findings.mistakes, warnings: findings.warnings }
}

/// Chooses the file. The command line takes precedence, as in the original; an empty path counts as none.
fn choose<'a>(flag: Option<&'a Path>, surroundings: &'a Surroundings, findings: &mut Findings) -> Option<&'a Path> {
    let variable = surroundings.path("CONFIG_PATH");
    let Some(flag) = flag.filter(|path| !path.as_os_str().is_empty()) else {
        return variable;
    };
    if let Some(variable) = variable.filter(|variable| *variable != flag) {
        let (flag, variable) = (flag.display(), variable.display());
        let what = format!("CONFIG_PATH ({variable}) is not read: --config-path says {flag}");
        findings.warnings.push(one_line(&what));
    }
    Some(flag)
}

/// Resolves the texts in force, as far as there are any.
fn understand(
    program: &ConfiguredProgram,
    path: &Path,
    content: &file::FileContent,
    surroundings: &Surroundings,
    findings: &mut Findings,
) -> Option<Texts> {
    let document = document(program, path, content, findings)?;
    let layers = Layers { program, surroundings, document: &document, path };
    suspicious_text::warn(&layers, findings);
    for name in layers::unknown_variables(program, surroundings) {
        findings.warnings.push(one_line(&format!("environment {name}: {}", unknown(program, &name))));
    }
    let given = layers.all(findings);
    if !findings.missing.is_empty() {
        let missing = findings.missing.join(", ");
        let (section, prefix) = (program.section, program.prefix);
        let what = format!("{}: {missing}: missing; set in [{section}] or as {prefix}<KEY>", path.display());
        findings.mistakes.push(one_line(&what));
    }
    Some(given)
}

fn unknown(program: &ConfiguredProgram, variable: &str) -> String {
    let known: Vec<_> = program.keys.iter().map(|key| program.variable(key.name)).collect();
    let known = known.iter().map(String::as_str).chain(program.secret_file);
    match spelling::suggestion(variable, known) {
        Some(meant) => format!("sets nothing; did you mean {meant}?"),
        None => "sets nothing".to_owned(),
    }
}

/// Parses the file; `None` if nothing further can be checked in it.
fn document(
    program: &ConfiguredProgram,
    path: &Path,
    content: &file::FileContent,
    findings: &mut Findings,
) -> Option<Document> {
    let shown = path.display();
    let (text, marked) = match file::text(&content.bytes) {
        Ok(text) => text,
        Err(error) => {
            findings.mistakes.push(one_line(&format!("{shown}:{}: {error}", error.line())));
            return None;
        }
    };
    if marked {
        let what = "starts with a byte order mark, which is skipped; the Python worker refuses it";
        findings.warnings.push(one_line(&format!("{shown}:1: {what}")));
    }
    let document = Document::parse_as(text, program.dialect);
    for bad in &document.bad_lines {
        findings.mistakes.push(one_line(&format!("{shown}:{}: the line {}", bad.line, bad.fault)));
    }
    // A file without the secret, which may come from the environment, need not be private.
    if content.exposed && holds_secret(&document, program) {
        let what = "holds a secret and can be read by others; chmod 600 it";
        findings.warnings.push(one_line(&format!("{shown}: {what}")));
    }
    if document.has_section(program.section) {
        return Some(document);
    }
    // A file that was not read to its end may have the section further down.
    if document.bad_lines.iter().all(|bad| bad.fault != ini::LineFault::BeforeSection) {
        findings.mistakes.push(one_line(&missing_section(program, path, &document)));
    }
    None
}

/// Returns whether a file has a secret in it, or the password of a database.
fn holds_secret(document: &Document, program: &ConfiguredProgram) -> bool {
    #[cfg(feature = "server")]
    if document.value(program.section, "database").is_some_and(|value| server::database::has_password(&value.raw)) {
        return true;
    }
    document.value(program.section, "secret").is_some()
}

fn missing_section(program: &ConfiguredProgram, path: &Path, document: &Document) -> String {
    let section = program.section;
    let plain = |name: &str| name.trim().to_lowercase().replace(['-', ' ', '.'], "_");
    let meant =
        document.sections().find(|(name, _)| spelling::suggestion(&plain(name), std::iter::once(section)).is_some());
    let path = path.display();
    match meant {
        Some((name, line)) => format!(
            "{path}:{line}: [{name}]: section [{section}] is missing; did you mean this one? \
             Every letter and space of the name counts"
        ),
        None => format!("{path}: section [{section}] is missing; all keys stand in it"),
    }
}
