//! Reload of the configuration by a running worker: applies the keys that can change at run time and keeps the others.
//!
//! The table of keys tells which are which. A key that needs a restart keeps its former text, and all settings are made
//! anew from the mixture, so that there is only one way from texts to settings.

use std::path::Path;

use super::findings::{Findings, Texts};
use super::keys::{Counts, KEYS, Key};
use super::surroundings::Surroundings;
use super::{ConfigExit, ConfigFailure, Loaded, WorkerProgram, failure, flamenco, load_of, show, worker};

/// Result of a successful reload.
#[derive(Clone, Debug)]
pub struct Reloaded {
    /// Configuration in force from now on.
    pub loaded: Loaded,
    /// Changed keys that are in force now.
    pub applied: Vec<&'static str>,
    /// Changed keys that need a restart; `loaded` has their former values.
    pub on_restart: Vec<&'static str>,
}

/// Reads the configuration again, from where [`load_of`] reads it.
///
/// # Errors
/// If anything is wrong with it; nothing changes then.
pub fn reload(running: &Loaded, path: Option<&Path>, surroundings: &Surroundings) -> Result<Reloaded, ConfigFailure> {
    let fresh = load_of(running.program, path, surroundings)?;
    // `load` has checked the new texts as they are; the mixture below is checked again, because it is another
    // configuration.
    let keys = match running.program {
        WorkerProgram::JobRunner => KEYS,
        WorkerProgram::Flamenco => flamenco::FLAMENCO.keys,
    };
    let plan = plan(keys, &running.given, fresh.given.clone());
    let mut findings = Findings::default();
    let settings = match running.program {
        WorkerProgram::JobRunner => worker::check(&plan.given, surroundings, &mut findings),
        WorkerProgram::Flamenco => flamenco::check(path, &plan.given, surroundings, &mut findings),
    };
    match settings {
        Some(settings) if findings.mistakes.is_empty() => {
            let effective = show::effective(keys, &plan.given);
            let loaded = Loaded { settings, effective, given: plan.given, ..fresh };
            Ok(Reloaded { loaded, applied: plan.applied, on_restart: plan.on_restart })
        }
        _ => Err(failure(ConfigExit::Config, findings)),
    }
}

/// Texts after a reload, and the keys that changed.
struct Plan {
    applied: Vec<&'static str>,
    on_restart: Vec<&'static str>,
    given: Texts,
}

fn plan(keys: &[Key], running: &Texts, mut given: Texts) -> Plan {
    let (mut applied, mut on_restart) = (Vec::new(), Vec::new());
    for key in keys {
        let (Some(before), Some(after)) = (running.get(key.name), given.get_mut(key.name)) else { continue };
        match (before.text == after.text, key.counts) {
            (true, _) => {}
            (false, Counts::OnReload) => applied.push(key.name),
            (false, Counts::OnRestart) => {
                on_restart.push(key.name);
                *after = before.clone();
            }
        }
    }
    Plan { applied, on_restart, given }
}
