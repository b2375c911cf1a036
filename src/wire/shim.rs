//! Protocol between worker and shim: one JSON object a packet, over `SOCK_SEQPACKET`.
//!
//! A shim may be older than the worker that finds it again, so every packet tolerates fields it does not know, and a
//! field that a later version adds has a default.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::disk::{EndCause, EndKind};
use crate::run::Secret;

/// Longest packet in bytes, in both directions.
pub const MAX_PACKET: usize = 128 * 1024;

/// Packet from the worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum ToShim {
    /// Executes a run; a shim has one at a time.
    // Boxed, since it is far larger than the other variants.
    Execute(Box<ExecutionOrder>),
    /// Stops the run; without effect on one that has ended already.
    Stop {
        /// Cause that the record names.
        cause: EndCause,
        /// Milliseconds between TERM and KILL; 0 sends KILL at once.
        grace_ms: u64,
    },
    /// Asks to be told, once, when the output exceeds a length.
    Watch {
        /// Length in bytes that the output has to exceed.
        beyond: u64,
    },
}

/// Order to execute one attempt of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExecutionOrder {
    /// Id of the run.
    pub run: i64,
    /// Number of the attempt.
    pub attempt: u32,
    /// Token that the job's processes carry in their environment, by which they are found.
    pub token: String,
    /// Command line; its last word is the path of the script.
    pub command: Vec<String>,
    /// Path of the script, which the shim removes or renames at the end of the run.
    pub script: PathBuf,
    /// Path at which the shim creates the record.
    pub record: PathBuf,
    /// Existing file that may be renamed to become the record; the shim owns it from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spare: Option<PathBuf>,
    /// Path at which the script's file, emptied, is kept for a later script; `None` removes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script_spare: Option<PathBuf>,
    /// Path of the file that keeps the output.
    pub output: PathBuf,
    /// Bytes that are kept of the beginning of the output.
    pub head: u64,
    /// Bytes that are kept of the end of the output.
    pub tail: u64,
    /// Milliseconds that the output may be held open after the main process ended.
    pub linger_ms: u64,
    /// Whether processes that outlive the script are stopped.
    pub stop_leftovers: bool,
    /// Milliseconds between TERM and KILL when the run is stopped for running too long.
    pub grace_ms: u64,
    /// Milliseconds that the run may take; `None` is no limit.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    /// Whether record and output are forced to the disk where a loss of power would lose the result, or have the
    /// attempt executed again.
    #[serde(default)]
    pub durable: bool,
    /// Variables of the job's environment, besides the shim's own.
    pub environment: Vec<(String, String)>,
    /// Secrets that are removed from the output before it is kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "secrets")]
    pub redact: Vec<Secret>,
}

/// Serde format of secrets. They are bytes and JSON has only text, so each byte becomes the character of its number.
mod secrets {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::run::Secret;

    pub fn serialize<S: Serializer>(secrets: &[Secret], to: S) -> Result<S::Ok, S::Error> {
        let text = |secret: &Secret| secret.expose().iter().map(|byte| char::from(*byte)).collect::<String>();
        secrets.iter().map(text).collect::<Vec<_>>().serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Secret>, D::Error> {
        // A character beyond U+00FF stands for no byte, and an order with one is refused.
        let bytes = |text: &String| text.chars().map(u8::try_from).collect::<Result<Vec<_>, _>>();
        let texts = Vec::<String>::deserialize(from)?;
        texts.iter().map(|text| bytes(text).map(Secret::new).map_err(serde::de::Error::custom)).collect()
    }
}

/// Packet from the shim.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum FromShim {
    /// First packet to each worker that connects.
    Hello {
        /// [`super::disk::VERSION`] of the shim.
        v: u32,
        /// Pid of the shim.
        shim: i32,
        /// Means by which all processes of a run are found and killed: `cgroup` or `subreaper`.
        supervision: String,
    },
    /// The record exists and the script runs.
    Spawned {
        /// Pid of the script.
        pid: i32,
        /// Timestamp of the start, as [`super::time::sent`] formats it.
        at: String,
        /// Milliseconds until the timeout and the grace after it are over; `None` without a timeout.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        left_ms: Option<u64>,
    },
    /// The output has exceeded the length of [`ToShim::Watch`].
    Output {
        /// Bytes of output so far.
        total: u64,
    },
    /// Processes of the run survive KILL for long.
    Stuck {
        /// Pids of those processes.
        pids: Vec<i32>,
    },
    /// The run has ended and its record says so.
    Ended {
        /// Outcome, as the record has it.
        how: EndKind,
        /// Bytes of output, without the secrets that were removed.
        output: u64,
        /// Timestamp of the end, as [`super::time::sent`] formats it.
        at: String,
        /// Whether the shim can take the next run at once.
        free: bool,
        /// Whether the script's file lies at [`ExecutionOrder::script_spare`].
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        script_kept: bool,
    },
    /// The run cannot be executed: another shim has the licence (see [`super::disk`]), the script is gone, or the
    /// system refuses what is needed. A shim that cannot begin at all sends this as its only packet.
    Refused {
        /// Reason in one clear sentence.
        reason: String,
        /// Error number of the system call that failed, if one did.
        #[serde(default)]
        errno: Option<i32>,
    },
}

#[cfg(test)]
mod tests;
