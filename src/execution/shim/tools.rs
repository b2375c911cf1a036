//! What a shim keeps from run to run, so that a run does not pay for it.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;

use aho_corasick::BuildError;

use super::cgroup::Cgroup;
use super::memory::Score;
use super::redact::Redactor;
use super::tree;
use crate::run::Secret;

/// How much output is read at once.
const CHUNK: usize = 64 * 1024;

/// The tools.
pub struct Tools {
    /// Where the processes of jobs are born, where a group can be had.
    pub cgroup: Option<Cgroup>,
    /// The boot this is.
    pub boot_id: String,
    /// How soon a job goes when there is no memory left.
    pub score: Score,
    /// Our own environment, which the worker chose: what every job starts with.
    environment: Vec<CString>,
    /// Takes the secrets of the last order out of output.
    redactor: Option<Redactor>,
    /// Room for a piece of output. Untouched, it takes no memory.
    chunk: Box<[u8]>,
}

impl Tools {
    /// Lays them out.
    pub fn new(cgroup: Option<Cgroup>, score: Score) -> Self {
        Self {
            cgroup,
            boot_id: tree::boot_id(),
            score,
            environment: environment(),
            redactor: None,
            chunk: vec![0; CHUNK].into_boxed_slice(),
        }
    }

    /// Our environment without what an order sets itself.
    pub fn environment<'a>(&'a self, set: &'a [(String, String)]) -> impl Iterator<Item = &'a CStr> {
        let is_set = |variable: &CStr| {
            let name = variable.to_bytes().split(|b| *b == b'=').next().unwrap_or_default();
            set.iter().any(|(set, _)| set.as_bytes() == name)
        };
        self.environment.iter().map(CString::as_c_str).filter(move |variable| !is_set(variable))
    }

    /// Takes these secrets out of the output that comes from now on.
    ///
    /// # Errors
    /// That there are more than can be searched for.
    pub fn redact(&mut self, secrets: &[Secret]) -> Result<(), BuildError> {
        match &mut self.redactor {
            Some(redactor) if redactor.is_of(secrets) => redactor.begin_anew(),
            redactor => *redactor = Redactor::new(secrets)?,
        }
        Ok(())
    }

    /// Room for output, and what it passes through before it is kept.
    pub fn reading(&mut self) -> (&mut [u8], Option<&mut Redactor>) {
        (&mut self.chunk, self.redactor.as_mut())
    }
}

fn environment() -> Vec<CString> {
    let variables = std::env::vars_os().map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat());
    // No variable of a process contains a NUL: none is left out.
    variables.filter_map(|variable| CString::new(variable).ok()).collect()
}

#[cfg(test)]
mod tests;
