//! Signals that control a daemon, as requests.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Request that a signal makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalRequest {
    /// TERM, INT: drain; the second time stop the runs; the third time exit at once.
    Terminate,
    /// USR2: exit at once and leave running scripts to the next start.
    HandOver,
    /// USR1: write the status to the log.
    Dump,
    /// HUP: read the settings again.
    Reload,
}

/// Streams of all signals that are followed.
pub struct DaemonSignals {
    term: Signal,
    int: Signal,
    usr1: Signal,
    usr2: Signal,
    hup: Signal,
}

impl DaemonSignals {
    /// Installs the handlers.
    ///
    /// # Errors
    /// If a handler cannot be installed.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            usr1: signal(SignalKind::user_defined1())?,
            usr2: signal(SignalKind::user_defined2())?,
            hup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next signal.
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
