//! State that a shim keeps from run to run, so that no run pays for its setup.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;

use aho_corasick::BuildError;

use super::cgroup::Cgroup;
use super::memory::Score;
use super::redact::Redactor;
use super::tree;
use crate::run::Secret;

/// Most bytes of output that are read at once: twice as many as a pipe holds at first.
const CHUNK: usize = 128 * 1024;

/// State of a shim beyond the single run.
pub struct Tools {
    /// Cgroup that the processes of jobs are created in, where there is one.
    pub cgroup: Option<Cgroup>,
    /// Boot id of the running system, written to each record.
    pub boot_id: String,
    /// Out-of-memory score, raised while a job is started.
    pub score: Score,
    /// Whether files of scripts can be kept for later scripts, as far as is known.
    pub keeps_scripts: bool,
    /// Environment of this process, as the worker chose it, which every job starts with.
    environment: Vec<CString>,
    /// Redactor for the secrets of the last order; `None` without secrets.
    redactor: Option<Redactor>,
    /// Read buffer for output. Zeroed pages take no memory until they are touched.
    chunk: Box<[u8]>,
}

impl Tools {
    /// Collects the environment and the boot id, and allocates the read buffer.
    pub fn new(cgroup: Option<Cgroup>, score: Score) -> Self {
        Self {
            cgroup,
            boot_id: tree::boot_id(),
            score,
            keeps_scripts: true,
            environment: environment(),
            redactor: None,
            chunk: vec![0; CHUNK].into_boxed_slice(),
        }
    }

    /// Returns the environment without the variables that an order sets itself.
    pub fn environment<'a>(&'a self, set: &'a [(String, String)]) -> impl Iterator<Item = &'a CStr> {
        let is_set = |variable: &CStr| {
            let name = variable.to_bytes().split(|b| *b == b'=').next().unwrap_or_default();
            set.iter().any(|(set, _)| set.as_bytes() == name)
        };
        self.environment.iter().map(CString::as_c_str).filter(move |variable| !is_set(variable))
    }

    /// Sets the secrets that are masked in the output from now on.
    ///
    /// # Errors
    /// If there are more secrets than the search can hold.
    pub fn redact(&mut self, secrets: &[Secret]) -> Result<(), BuildError> {
        match &mut self.redactor {
            // Building the search is expensive beside a short run, and the secrets rarely change.
            Some(redactor) if redactor.is_of(secrets) => redactor.begin_anew(),
            redactor => *redactor = Redactor::new(secrets)?,
        }
        Ok(())
    }

    /// Returns the read buffer and the redactor that output passes through.
    pub fn reading(&mut self) -> (&mut [u8], Option<&mut Redactor>) {
        (&mut self.chunk, self.redactor.as_mut())
    }
}

fn environment() -> Vec<CString> {
    let variables = std::env::vars_os().map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat());
    // Variables of a process contain no NUL, so none is left out here.
    variables.filter_map(|variable| CString::new(variable).ok()).collect()
}

#[cfg(test)]
mod tests;
