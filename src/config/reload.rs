//! The configuration read again by a worker that runs: what may change under it does, the rest stays.
//!
//! Which is which stands in the table of keys. A key that needs a restart keeps the text it had, and all settings are
//! made anew from the mixture, so that there is one way from texts to settings.

use std::path::Path;

use super::findings::{Findings, Texts};
use super::keys::{Counts, KEYS};
use super::surroundings::Surroundings;
use super::{ConfigExit, ConfigFailure, Loaded, check, failure, load, show};

/// A configuration that was read again.
#[derive(Clone, Debug)]
pub struct Reloaded {
    /// What holds from now on.
    pub loaded: Loaded,
    /// The keys that changed and count now.
    pub applied: Vec<&'static str>,
    /// The keys that changed and count with the next start; in `loaded` they are as they were.
    pub on_restart: Vec<&'static str>,
}

/// Reads the configuration again, from where [`load`] reads it.
///
/// # Errors
/// Everything that is wrong with it; nothing changes then.
pub fn reload(running: &Loaded, path: Option<&Path>, surroundings: &Surroundings) -> Result<Reloaded, ConfigFailure> {
    let fresh = load(path, surroundings)?;
    let plan = plan(&running.given, fresh.given.clone());
    let mut findings = Findings::default();
    match check::check(&plan.given, surroundings, &mut findings) {
        Some(settings) if findings.mistakes.is_empty() => {
            let effective = show::effective(KEYS, &plan.given);
            let loaded = Loaded { settings, effective, given: plan.given, ..fresh };
            Ok(Reloaded { loaded, applied: plan.applied, on_restart: plan.on_restart })
        }
        _ => Err(failure(ConfigExit::Config, findings)),
    }
}

/// What becomes of each text.
struct Plan {
    applied: Vec<&'static str>,
    on_restart: Vec<&'static str>,
    given: Texts,
}

fn plan(running: &Texts, mut given: Texts) -> Plan {
    let (mut applied, mut on_restart) = (Vec::new(), Vec::new());
    for key in KEYS {
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
