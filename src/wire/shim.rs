//! What worker and shim say to each other: one JSON object a packet, over `SOCK_SEQPACKET`.
//!
//! A shim may be older than the worker that finds it again, so every packet tolerates fields it does
//! not know, and what a later version adds has a default.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::disk::{EndCause, EndKind};
use crate::run::Secret;

/// The longest packet, in bytes.
pub const MAX_PACKET: usize = 128 * 1024;

/// From the worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum ToShim {
    /// Execute a run.
    Execute(Box<ExecutionOrder>),
    /// Stop the run; what it does when it is over already is nothing.
    Stop {
        /// Why.
        cause: EndCause,
        /// Milliseconds between TERM and KILL; 0: KILL at once.
        grace_ms: u64,
    },
    /// Tell when more than this many bytes of output are there.
    Watch {
        /// Bytes.
        beyond: u64,
    },
}

/// A run to execute.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExecutionOrder {
    /// The run.
    pub run: i64,
    /// The attempt.
    pub attempt: u32,
    /// What the job's processes carry in their environment.
    pub token: String,
    /// The command; the script's path is its last word.
    pub command: Vec<String>,
    /// The script's path.
    pub script: PathBuf,
    /// Where the record is made.
    pub record: PathBuf,
    /// A file that the record may be made of; it is the shim's from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spare: Option<PathBuf>,
    /// Where the output is kept.
    pub output: PathBuf,
    /// How many bytes of the output's head are kept.
    pub head: u64,
    /// How many of its tail.
    pub tail: u64,
    /// Milliseconds that the output may be held open after the main process ended.
    pub linger_ms: u64,
    /// Whether what outlives the script is stopped.
    pub stop_leftovers: bool,
    /// Milliseconds between TERM and KILL when the run is stopped for running too long.
    pub grace_ms: u64,
    /// Milliseconds that the run may take.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    /// Whether record and output are forced to the disk where a loss of power would lose the result, or have the attempt
    /// executed again.
    #[serde(default)]
    pub durable: bool,
    /// What the job's environment gets besides the shim's own.
    pub environment: Vec<(String, String)>,
    /// What is taken out of the output before it is kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "secrets")]
    pub redact: Vec<Secret>,
}

/// Secrets are bytes and JSON has none: each byte is the character of its number.
mod secrets {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::run::Secret;

    pub fn serialize<S: Serializer>(secrets: &[Secret], to: S) -> Result<S::Ok, S::Error> {
        let text = |secret: &Secret| secret.expose().iter().map(|byte| char::from(*byte)).collect::<String>();
        secrets.iter().map(text).collect::<Vec<_>>().serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Secret>, D::Error> {
        let bytes = |text: &String| text.chars().map(u8::try_from).collect::<Result<Vec<_>, _>>();
        let texts = Vec::<String>::deserialize(from)?;
        texts.iter().map(|text| bytes(text).map(Secret::new).map_err(serde::de::Error::custom)).collect()
    }
}

/// From the shim.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum FromShim {
    /// The first packet to whoever connects.
    Hello {
        /// [`super::disk::VERSION`] of the shim.
        v: u32,
        /// The pid of the shim.
        shim: i32,
        /// How kills are made sure of: `cgroup` or `subreaper`.
        supervision: String,
    },
    /// The record is there and the script runs.
    Spawned {
        /// Its pid.
        pid: i32,
        /// When, as it is sent.
        at: String,
        /// In how many milliseconds its time is up and grace over.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        left_ms: Option<u64>,
    },
    /// There is output, as it was asked for.
    Output {
        /// How many bytes by now.
        total: u64,
    },
    /// Somebody survives KILL for long.
    Stuck {
        /// Who.
        pids: Vec<i32>,
    },
    /// The run is over and its record says so.
    Ended {
        /// How.
        how: EndKind,
        /// How many bytes of output there were, without what was taken out.
        output: u64,
        /// When, as it is sent.
        at: String,
        /// Whether the shim can take the next run at once.
        free: bool,
    },
    /// The licence was not given: somebody else has it, the script is gone, or the system refuses what is needed. Of a
    /// shim that cannot begin at all, it is the first and last word.
    Refused {
        /// One clear sentence.
        reason: String,
        /// The error of the system, where it was one.
        #[serde(default)]
        errno: Option<i32>,
    },
}

#[cfg(test)]
mod tests;
