//! Signals that end a command: INT, TERM and HUP.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Streams of the signals that are followed. A signal that was ignored when the process started, as with `nohup` and
/// `&`, stays ignored.
pub struct CommandSignals {
    int: Option<Signal>,
    term: Option<Signal>,
    hup: Option<Signal>,
}

impl CommandSignals {
    /// Installs handlers for the signals that are not ignored.
    ///
    /// # Errors
    /// If `/proc` cannot be read or a handler cannot be installed.
    pub fn listen() -> io::Result<Self> {
        let ignored = ignored()?;
        let listen = |kind: SignalKind| {
            // Installing a handler would undo the `nohup` of the user.
            let is_ignored = ignored >> (kind.as_raw_value() - 1) & 1 == 1;
            if is_ignored { Ok(None) } else { signal(kind).map(Some) }
        };
        Ok(Self {
            int: listen(SignalKind::interrupt())?,
            term: listen(SignalKind::terminate())?,
            hup: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for the next signal and returns its number.
    pub async fn next(&mut self) -> u8 {
        tokio::select! {
            () = arrival(&mut self.int) => 2,
            () = arrival(&mut self.term) => 15,
            () = arrival(&mut self.hup) => 1,
        }
    }
}

async fn arrival(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Returns the signals that this process ignores, bit 0 for signal 1 (proc(5), `SigIgn`).
fn ignored() -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.ok_or_else(|| io::Error::other("/proc/self/status has no SigIgn"))
}
