//! Instance file: the id of the state directory, created once and kept through restarts and upgrades.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use crate::run::{Instance, chain_of};
use crate::upstream::state_file::replace_file;

#[cfg(test)]
mod tests;

/// Name of the file in the state directory.
const FILE: &str = "instance";

/// Origin of an instance id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceOrigin {
    /// Created by an earlier start.
    Kept,
    /// Created by this start: the directory is new, or its file was lost.
    Made,
}

/// Returns the id of a state directory, and creates it where there is none. An id that cannot be written is used for
/// this start only.
///
/// # Errors
/// If the system has no random numbers.
pub fn instance_of(directory: &Path) -> io::Result<(Instance, InstanceOrigin)> {
    let path = directory.join(FILE);
    let why = match fs::read_to_string(&path) {
        Ok(text) => match Instance::parse(text.trim_end()) {
            Some(instance) => return Ok((instance, InstanceOrigin::Kept)),
            None => Some("it is no instance".to_owned()),
        },
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => Some(e.to_string()),
    };
    if let Some(why) = why {
        tracing::warn!(
            target: "job_runner_worker.runner",
            path = %path.display(),
            error = why,
            "instance file cannot be used; a new instance is made, which the server takes for another worker"
        );
    }
    let mut random = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    let instance = Instance::of_number(u128::from_ne_bytes(random));
    if let Err(e) = replace_file(directory, FILE, format!("{instance}\n").as_bytes()) {
        tracing::warn!(
            target: "job_runner_worker.runner",
            path = %path.display(),
            error = %chain_of(&e),
            "instance file is not written; the server takes the next start for another worker"
        );
    }
    Ok((instance, InstanceOrigin::Made))
}
