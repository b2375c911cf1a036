//! Signals that want the command to end.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Those that are followed: whatever was ignored when the process started, as `nohup` and `&` have it, stays ignored.
pub struct CommandSignals {
    int: Option<Signal>,
    term: Option<Signal>,
    hup: Option<Signal>,
}

impl CommandSignals {
    /// # Errors
    /// What the system says.
    pub fn listen() -> io::Result<Self> {
        let ignored = ignored()?;
        let listen = |kind: SignalKind| {
            let is_ignored = ignored >> (kind.as_raw_value() - 1) & 1 == 1;
            if is_ignored { Ok(None) } else { signal(kind).map(Some) }
        };
        Ok(Self {
            int: listen(SignalKind::interrupt())?,
            term: listen(SignalKind::terminate())?,
            hup: listen(SignalKind::hangup())?,
        })
    }

    /// The number of the next one.
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

/// The signals that this process ignores, bit 0 for signal 1 (proc(5), `SigIgn`).
fn ignored() -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.ok_or_else(|| io::Error::other("/proc/self/status has no SigIgn"))
}
