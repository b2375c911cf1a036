//! What signals wish for.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What somebody wishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalRequest {
    /// TERM, INT: drain; again: stop the runs; again: leave.
    Terminate,
    /// USR2: leave at once, the runs go on.
    HandOver,
    /// USR1: say what is known.
    Dump,
    /// HUP: read the settings again.
    Reload,
}

/// All signals that we follow.
pub struct DaemonSignals {
    term: Signal,
    int: Signal,
    usr1: Signal,
    usr2: Signal,
    hup: Signal,
}

impl DaemonSignals {
    /// # Errors
    /// What the system says.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            usr1: signal(SignalKind::user_defined1())?,
            usr2: signal(SignalKind::user_defined2())?,
            hup: signal(SignalKind::hangup())?,
        })
    }

    /// The next wish.
    pub async fn next(&mut self) -> SignalRequest {
        tokio::select! {
            _ = self.term.recv() => SignalRequest::Terminate,
            _ = self.int.recv() => SignalRequest::Terminate,
            _ = self.usr1.recv() => SignalRequest::Dump,
            _ = self.usr2.recv() => SignalRequest::HandOver,
            _ = self.hup.recv() => SignalRequest::Reload,
        }
    }
}
