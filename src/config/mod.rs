//! Text and environment to settings; every mistake collected, then told at once.
//!
//! The file is read by the rules of the Python worker (`ini`, `interpolate`), an environment
//! variable `JOB_RUNNER_WORKER_<KEY>` is stronger than the file (`layers`), and each room gets its own
//! `Settings` (`check`). What is legal and yet suspicious is a warning (`traps`). Nothing here looks at
//! the clock or at the process: what it was started with comes as [`Surroundings`], and the disk is
//! read for the file, for the files with secrets, and in [`check_places`] alone.
//!
//! A worker that runs reads it again with [`reload`], which keeps what cannot change under it.
//!
//! Messages are one line each, `file:line: key: what is wrong, what is allowed`, and never repeat a
//! secret.

mod address;
mod check;
mod daemon_settings;
mod file;
mod findings;
mod ini;
mod interpolate;
mod keys;
mod layers;
mod log_level;
mod places;
mod redact;
mod reload;
#[cfg(feature = "server")]
mod server;
mod show;
mod spelling;
mod surroundings;
mod traps;
mod value;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use crate::{execution, intake, report, rest, source};
use findings::{Findings, Texts, one_line};
use ini::Document;
use keys::{ConfiguredProgram, KEYS, WORKER};
use layers::Layers;

pub use daemon_settings::DaemonSettings;
pub use findings::Origin;
pub use log_level::LogLevel;
pub use places::check_places;
pub use reload::{Reloaded, reload};
#[cfg(feature = "server")]
pub use server::{LoadedServer, ServerSettings, load_server};
pub use show::EffectiveKey;
pub use surroundings::Surroundings;

/// What each room needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The signed HTTP client.
    pub rest: rest::Settings,
    /// Where orders come from.
    pub source: source::Settings,
    /// Whether and when an order is followed.
    pub intake: intake::Settings,
    /// How runs are executed.
    pub execution: execution::Settings,
    /// Where facts are carried.
    pub report: report::Settings,
    /// The process itself.
    pub daemon: DaemonSettings,
}

/// A configuration that can be used.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What each room needs to know.
    pub settings: Settings,
    /// What should be looked at, a line each.
    pub warnings: Vec<String>,
    /// Every key with its value and where that comes from.
    pub effective: Vec<EffectiveKey>,
    /// The file that was read, from the root.
    pub path: PathBuf,
    /// The texts that all this was made from.
    given: Texts,
}

/// A configuration that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFailure {
    /// What the process should exit with.
    pub exit: ConfigExit,
    /// All that must be changed, a line each.
    pub mistakes: Vec<String>,
    /// What should be looked at on the way, a line each.
    pub warnings: Vec<String>,
}

/// The exit codes of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigExit {
    /// Nobody said where the configuration is.
    Usage,
    /// The file cannot be read.
    NoInput,
    /// A place that the settings name cannot be used; see [`check_places`].
    CannotCreate,
    /// The configuration is wrong.
    Config,
}

impl ConfigExit {
    /// The number, after `sysexits.h`.
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

/// Reads the configuration: `path` is the command line's, else the variable `CONFIG_PATH` counts.
///
/// # Errors
/// Everything that is wrong with it, all at once.
pub fn load(path: Option<&Path>, surroundings: &Surroundings) -> Result<Loaded, ConfigFailure> {
    let mut findings = Findings::default();
    let Some(path) = choose(path, surroundings, &mut findings) else {
        let what = "no configuration: give --config-path or set CONFIG_PATH".to_owned();
        findings.mistakes.push(what);
        return Err(failure(ConfigExit::Usage, findings));
    };
    let (absolute, content) = match read(path, surroundings, &mut findings) {
        Ok(read) => read,
        Err(exit) => return Err(failure(exit, findings)),
    };
    let given = understand(&WORKER, path, &content, surroundings, &mut findings);
    let checked = given.and_then(|given| Some((check::check(&given, surroundings, &mut findings)?, given)));
    match checked {
        Some((settings, given)) if findings.mistakes.is_empty() => {
            let effective = show::effective(KEYS, &given);
            Ok(Loaded { settings, warnings: findings.warnings, effective, path: absolute, given })
        }
        _ => Err(failure(ConfigExit::Config, findings)),
    }
}

/// The settings of a worker that somebody starts who knows them: texts by key, defaults for the rest, neither file nor
/// environment.
///
/// # Errors
/// Everything that is wrong with them.
pub fn built(texts: &[(&str, &str)], surroundings: &Surroundings) -> Result<Settings, ConfigFailure> {
    let variables = texts.iter().map(|(key, text)| (WORKER.variable(key).into(), (*text).into()));
    let alone = Surroundings { variables: variables.collect(), ..surroundings.clone() };
    let mut findings = Findings::default();
    let layers = Layers { program: &WORKER, surroundings: &alone, document: &Document::default(), path: Path::new("") };
    let given = layers.all(&mut findings);
    findings.mistakes.extend(findings.missing.iter().map(|key| format!("{key}: missing")));
    match check::check(&given, &alone, &mut findings) {
        Some(settings) if findings.mistakes.is_empty() => Ok(settings),
        _ => Err(failure(ConfigExit::Config, findings)),
    }
}

/// The file, and where it is from the root.
fn read(
    path: &Path,
    surroundings: &Surroundings,
    findings: &mut Findings,
) -> Result<(PathBuf, file::FileContent), ConfigExit> {
    let absolute = surroundings.absolute(path);
    match file::read(&absolute) {
        Ok(content) => Ok((absolute, content)),
        Err(error) => {
            findings.mistakes.push(one_line(&format!("{}: {error}", path.display())));
            Err(ConfigExit::NoInput)
        }
    }
}

fn failure(exit: ConfigExit, findings: Findings) -> ConfigFailure {
    ConfigFailure { exit, mistakes: findings.mistakes, warnings: findings.warnings }
}

/// The command line wins, as it always did. Empty is as good as not given.
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

/// The texts that count, as far as there are any.
fn understand(
    program: &ConfiguredProgram,
    path: &Path,
    content: &file::FileContent,
    surroundings: &Surroundings,
    findings: &mut Findings,
) -> Option<Texts> {
    let document = document(program, path, content, findings)?;
    let layers = Layers { program, surroundings, document: &document, path };
    traps::warn(&layers, findings);
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

/// The file as lines and sections; `None` if there is nothing in it to look at further.
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
    let document = Document::parse(text);
    for bad in &document.bad_lines {
        findings.mistakes.push(one_line(&format!("{shown}:{}: the line {}", bad.line, bad.fault)));
    }
    if content.exposed && document.value(program.section, "secret").is_some() {
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
