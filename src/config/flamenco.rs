//! Configuration of the worker of Flamenco: its keys, its files, and the settings that follow from them.
//!
//! The keys, their section and the two files are those of the original, whose files are read by the rules of Python 3. The
//! file in the home directory takes precedence over the one in the working directory; a file that the command line names
//! takes the place of both.

use std::path::{Path, PathBuf};
use std::time::Duration;

use url::Url;

use super::daemon_settings::{SignalMeanings, TermMeaning, UsrMeaning};
use super::findings::{Findings, Texts, one_line};
use super::ini::{Dialect, Document};
use super::keys::{ConfiguredProgram, Counts, Key, Preset, new, original};
use super::layers::{self, Layers};
use super::surroundings::Surroundings;
use super::value::{self, WrongValue};
use super::worker::{Check, HOUR, TENTH};
use super::{ConfigExit, DaemonSettings, Settings, address, file, suspicious_text, unknown};
use crate::execution::StepsSettings;
use crate::report::{Durability, PushSettings};
use crate::run::Secret;
use crate::source::flamenco::PreTaskChecks;
use crate::source::{self, UpstreamSettings};
use crate::upstream::flamenco::FarmIdentity;
use crate::{execution, intake, report, upstream};

/// Name of the file in the working directory.
const FILE: &str = "flamenco-worker.cfg";
/// Name of the file in the home directory, which also gets the identity of a registration.
const HOME_FILE: &str = ".flamenco-worker.cfg";

/// Configuration of the worker of Flamenco.
pub const FLAMENCO: ConfiguredProgram = ConfiguredProgram {
    section: "flamenco-worker",
    prefix: "FLAMENCO_WORKER_",
    others: &[],
    secret_file: None,
    state: "flamenco-worker",
    keys: FLAMENCO_KEYS,
    dialect: Dialect::Python3,
};

/// Keys of the worker of Flamenco, in the order of the documentation.
const FLAMENCO_KEYS: &[Key] = &[
    original("manager_url", "http://flamenco-manager/"),
    original("task_types", "unknown sleep blender-render"),
    original("job_types", ""),
    original("task_update_queue_db", "flamenco-worker.db"),
    original("pid", ""),
    original("worker_id", ""),
    original("worker_secret", ""),
    original("may_i_run_interval_seconds", "5"),
    original("push_log_max_interval_seconds", "30"),
    original("push_log_max_entries", "1000"),
    original("push_act_max_interval_seconds", "15"),
    original("pre_task_check_write", ""),
    original("pre_task_check_read", ""),
    original("worker_registration_secret", ""),
    original("subprocess_pid_file", ""),
    Key { name: "state_path", preset: Preset::Computed, counts: Counts::OnRestart },
    new("script_temp_path", "/tmp"),
    new("kill_grace", "5").live(),
    new("line_timeout", "3600").live(),
    new("linger", "10").live(),
    new("leftovers", "stop").live(),
    new("run_timeout", "none").live(),
    new("incomplete_runs", "reset").live(),
    new("max_attempts", "3").live(),
    new("max_log_bytes", "67108864").live(),
    new("environment", "inherit"),
    new("redact", "*_TOKEN, *_SECRET, *_PASSWORD, *_KEY").live(),
    new("redact_file", "none").live(),
    new("tls_verify", "true").live(),
    new("ca_file", "none").live(),
    new("api_timeout", "30").live(),
    new("min_free_bytes", "67108864").live(),
    new("durability", "process"),
    new("restart_exit_code", "none"),
    new("file_roots", "").live(),
    new("commands", "").live(),
    new("on_term", "give_back"),
    new("drain_timeout", "none").live(),
    new("usr_signals", "seed"),
    new("log_level", "info").live(),
    new("reregister", "false"),
    new("testing", "false"),
    new("single", "false"),
];

/// Resolves the texts in force from all files that there are.
pub(super) fn texts(
    named: Option<&Path>,
    surroundings: &Surroundings,
    findings: &mut Findings,
) -> Result<Option<Texts>, ConfigExit> {
    let mut files: Vec<(PathBuf, Document)> = Vec::new();
    for path in paths(named, surroundings) {
        let read = match file::read(&surroundings.absolute(&path)) {
            // Without a name on the command line each file may be missing.
            // A name that was given and does not exist is a typing error.
            Err(file::UnreadableFile::Open(e)) if named.is_none() && e.kind() == std::io::ErrorKind::NotFound => {
                continue;
            }
            read => read,
        };
        let content = read.map_err(|error| {
            findings.mistakes.push(one_line(&format!("{}: {error}", path.display())));
            ConfigExit::NoInput
        })?;
        let Some(document) = super::document(&FLAMENCO, &path, &content, findings) else { return Ok(None) };
        warn_of_sections(&path, &document, findings);
        files.push((path, document));
    }
    for name in layers::unknown_variables(&FLAMENCO, surroundings) {
        findings.warnings.push(one_line(&format!("environment {name}: {}", unknown(&FLAMENCO, &name))));
    }
    Ok(Some(in_force(&files, surroundings, findings)))
}

/// Returns the files in the order in which a later one takes precedence.
fn paths(named: Option<&Path>, surroundings: &Surroundings) -> Vec<PathBuf> {
    match named {
        Some(path) => vec![path.to_owned()],
        None => [Some(PathBuf::from(FILE)), home_file(surroundings)].into_iter().flatten().collect(),
    }
}

fn home_file(surroundings: &Surroundings) -> Option<PathBuf> {
    surroundings.path("HOME").map(|home| home.join(HOME_FILE))
}

/// Takes each key from the last file that has it.
fn in_force(files: &[(PathBuf, Document)], surroundings: &Surroundings, findings: &mut Findings) -> Texts {
    let none = (PathBuf::new(), Document::default());
    let layers_of = |(path, document)| Layers { program: &FLAMENCO, surroundings, document, path };
    for (path, document) in files {
        suspicious_text::warn(&layers_of((path, document)), findings);
    }
    let mut texts = Texts::new();
    for key in FLAMENCO_KEYS {
        let has_key = |(_, document): &&(PathBuf, Document)| document.value(FLAMENCO.section, key.name).is_some();
        let (path, document) = files.iter().rev().find(has_key).unwrap_or(&none);
        if let Some(given) = layers_of((path, document)).given(key, findings) {
            texts.insert(given.key, given);
        }
    }
    texts
}

/// Warns once of sections that mean something to the original alone.
fn warn_of_sections(path: &Path, document: &Document, findings: &mut Findings) {
    let others: Vec<_> = document.sections().map(|(name, _)| name).filter(|name| *name != FLAMENCO.section).collect();
    if !others.is_empty() {
        let what = format!("{}: the sections {} are not read", path.display(), others.join(", "));
        findings.warnings.push(one_line(&what));
    }
}

/// Converts the texts into settings; `None` if there is a mistake, which is in the findings.
pub(super) fn check(
    named: Option<&Path>,
    given: &Texts,
    surroundings: &Surroundings,
    findings: &mut Findings,
) -> Option<Settings> {
    let mut check = Check { given, surroundings, findings };
    let client = check.manager_client();
    let source = check.task_source(named);
    let push = check.push();
    let intake = check.task_intake();
    let (max_log_bytes, durability) = (check.max_log_bytes(), check.durability());
    let steps = check.steps();
    let execution = check.execution(max_log_bytes, durability);
    let daemon = check.task_daemon();
    // Checked here and not at the first fetch: the Manager would hand out tasks whose ends it has not heard of.
    check.refuse_old_queue();
    Some(Settings {
        upstream: UpstreamSettings::Flamenco { client: client?, source: source?, push: push? },
        intake: intake?,
        execution: execution::Settings { steps: steps?, ..execution? },
        report: report_settings(max_log_bytes?, durability?),
        daemon: daemon?,
    })
}

fn report_settings(max_log_bytes: u64, durability: Durability) -> report::Settings {
    report::Settings {
        max_log_bytes,
        // Of a task, the push settings say when its log is told.
        log_update_interval: Duration::ZERO,
        ws_server_hostname: String::new(),
        ws_server_port: 0,
        durability,
    }
}

impl Check<'_> {
    fn manager_client(&mut self) -> Option<upstream::flamenco::Settings> {
        let manager_url = self.manager_url();
        let identity = self.identity();
        let task_types = self.task_types();
        let registration_secret = self.registration_secret();
        let tls_verify = self.take("tls_verify", value::boolean);
        if tls_verify == Some(false) {
            self.warn("tls_verify", "certificates are not verified: anybody can be the Manager");
        }
        let ca_file = self.optional_path("ca_file");
        let timeout = self.seconds("api_timeout", TENTH, HOUR);
        Some(upstream::flamenco::Settings {
            manager_url: manager_url?,
            identity: identity?,
            task_types: task_types?,
            nickname: nickname(),
            registration_secret: registration_secret?,
            tls_verify: tls_verify?,
            ca_file: ca_file?,
            timeout: timeout?,
        })
    }

    fn manager_url(&mut self) -> Option<Url> {
        let url = self.take("manager_url", |text| {
            if text.starts_with(['"', '\'']) {
                return Err(WrongValue::new(
                    "is in quotes, which are part of the value",
                    "allowed is a URL without them",
                ));
            }
            address::base_url(text)
        })?;
        self.warn_of_plain("manager_url", &url);
        Some(address::origin(&url))
    }

    /// Reads id and secret, of which one without the other counts as none, as for the original.
    fn identity(&mut self) -> Option<Option<FarmIdentity>> {
        let id = self.take("worker_id", |text| {
            let allowed = "allowed are letters and digits, as the Manager gave them";
            let is_id = text.chars().all(|c| c.is_ascii_alphanumeric());
            if is_id { Ok(text.to_owned()) } else { Err(WrongValue::new("is no id", allowed)) }
        })?;
        let secret = self.given.get("worker_secret")?.text.clone();
        if id.is_empty() || secret.is_empty() {
            return Some(None);
        }
        Some(Some(FarmIdentity { id, secret: Secret::new(secret.into_bytes()) }))
    }

    fn task_types(&mut self) -> Option<Vec<String>> {
        let is_set = |key: &str| self.given.get(key).is_some_and(|given| given.origin != super::Origin::Default);
        let key = match (is_set("task_types"), is_set("job_types")) {
            (true, true) => {
                let given = self.given.get("job_types")?;
                self.findings.mistake(&given.origin, "job_types", "is another name of task_types, which is set too");
                return None;
            }
            (false, true) => "job_types",
            (_, false) => "task_types",
        };
        self.take(key, |text| {
            let types: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            if types.is_empty() {
                return Err(WrongValue::new("names no type", "allowed are types of tasks, separated by spaces"));
            }
            Ok(types)
        })
    }

    /// Reads the secret, or the file that `@` names.
    fn registration_secret(&mut self) -> Option<Option<Secret>> {
        let given = self.given.get("worker_registration_secret")?;
        let text = match given.text.strip_prefix('@') {
            None => given.text.clone(),
            Some(path) => match std::fs::read_to_string(self.surroundings.absolute(Path::new(path))) {
                Ok(text) => text,
                Err(e) => {
                    self.findings.mistake(&given.origin, given.key, format_args!("{path} cannot be read: {e}"));
                    return None;
                }
            },
        };
        let text = text.trim();
        Some((!value::is_none(text)).then(|| Secret::new(text.as_bytes().to_vec())))
    }

    fn task_source(&mut self, named: Option<&Path>) -> Option<source::flamenco::Settings> {
        let may_run_interval = self.seconds("may_i_run_interval_seconds", TENTH, HOUR);
        let write = self.paths("pre_task_check_write");
        let read = self.paths("pre_task_check_read");
        let reregisters = self.take("reregister", value::boolean);
        let is_test = self.take("testing", value::boolean);
        let is_single = self.take("single", value::boolean);
        let file = named.map(Path::to_owned).or_else(|| home_file(self.surroundings)).unwrap_or_else(|| FILE.into());
        Some(source::flamenco::Settings {
            may_run_interval: may_run_interval?,
            identity_file: self.surroundings.absolute(&file),
            reregisters: reregisters?,
            is_test: is_test?,
            is_single: is_single?,
            checks: PreTaskChecks { write: write?, read: read? },
        })
    }

    /// Reads paths, one a line or separated by spaces.
    fn paths(&mut self, key: &str) -> Option<Vec<PathBuf>> {
        let directory = &self.surroundings.working_directory;
        self.take(key, |text| text.split_whitespace().map(|path| value::path(path, directory)).collect())
    }

    fn push(&mut self) -> Option<PushSettings> {
        let log_interval = self.seconds("push_log_max_interval_seconds", TENTH, HOUR);
        let log_entries = self.take("push_log_max_entries", |text| value::integer(text, 1..=1_000_000));
        let activity_interval = self.seconds("push_act_max_interval_seconds", TENTH, HOUR);
        Some(PushSettings {
            log_entries: log_entries?,
            log_interval: log_interval?,
            activity_interval: activity_interval?,
        })
    }

    fn task_intake(&mut self) -> Option<intake::Settings> {
        let rules = self.loss_rules();
        let min_free_bytes = self.min_free_bytes();
        let (incomplete_runs, max_attempts) = rules?;
        // A Manager gives a worker one task at a time.
        Some(intake::Settings { concurrent_jobs: 1, incomplete_runs, max_attempts, min_free_bytes: min_free_bytes? })
    }

    fn steps(&mut self) -> Option<StepsSettings> {
        let line_timeout = self.seconds("line_timeout", TENTH, 86_400.0 * 30.0);
        let pid_file = self.optional_path("subprocess_pid_file");
        let roots = self.paths("file_roots");
        let commands = self.take("commands", |text| Ok(text.split_whitespace().map(str::to_owned).collect()));
        Some(StepsSettings { line_timeout: line_timeout?, pid_file: pid_file?, roots: roots?, commands: commands? })
    }

    fn task_daemon(&mut self) -> Option<DaemonSettings> {
        let state_path = self.path("state_path");
        let drain_timeout = self.drain_timeout();
        let pid_file = self.optional_path("pid");
        let restart_exit_code = self.restart_exit_code();
        let log_level = self.log_level();
        let choices = [("give_back", TermMeaning::GiveBack), ("drain", TermMeaning::Drain)];
        let term = self.take("on_term", |text| value::choice(text, &choices));
        let choices = [("seed", UsrMeaning::DumpAndHandOver), ("2.1", UsrMeaning::SleepAndWake)];
        let usr = self.take("usr_signals", |text| value::choice(text, &choices));
        Some(DaemonSettings {
            state_path: state_path?,
            drain_timeout: drain_timeout?,
            pid_file: pid_file?,
            restart_exit_code: restart_exit_code?,
            log_level: log_level?,
            signals: SignalMeanings { term: term?, usr: usr? },
        })
    }

    /// Refuses to start over updates of the original worker that its Manager does not have.
    fn refuse_old_queue(&mut self) {
        let key = "task_update_queue_db";
        let Some(path) = self.path(key) else { return };
        let rows = super::old_queue::rows(&path);
        if let Some(given) = self.given.get(key).filter(|_| rows > 0) {
            let what = format_args!(
                "{} has {rows} updates of the Python worker that its Manager does not have; start that worker once more, \
                 or move the file away",
                path.display()
            );
            self.findings.mistake(&given.origin, key, what);
        }
    }
}

/// Returns the name of this machine, as people know the worker.
fn nickname() -> String {
    nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
