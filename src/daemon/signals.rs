//! Signals that control a daemon, as requests.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::{SignalMeanings, TermMeaning, UsrMeaning};

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
    /// TERM, INT of a worker of Flamenco: stop the runs and give them back; the second time exit at once.
    GiveBack,
    /// USR1 where the settings say so: take no new runs.
    Sleep,
    /// USR2 where the settings say so: take new runs again.
    Wake,
}

/// Streams of all signals that are followed.
pub struct DaemonSignals {
    term: Signal,
    int: Signal,
    usr1: Signal,
    usr2: Signal,
    hup: Signal,
    poll: Signal,
    meanings: SignalMeanings,
}

impl DaemonSignals {
    /// Installs the handlers.
    ///
    /// # Errors
    /// If a handler cannot be installed.
    pub fn listen(meanings: SignalMeanings) -> io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            usr1: signal(SignalKind::user_defined1())?,
            usr2: signal(SignalKind::user_defined2())?,
            hup: signal(SignalKind::hangup())?,
            poll: signal(SignalKind::io())?,
            meanings,
        })
    }

    /// Waits for the next signal.
    pub async fn next(&mut self) -> SignalRequest {
        let terminate = match self.meanings.term {
            TermMeaning::Drain => SignalRequest::Terminate,
            TermMeaning::GiveBack => SignalRequest::GiveBack,
        };
        let (usr1, usr2) = match self.meanings.usr {
            UsrMeaning::DumpAndHandOver => (SignalRequest::Dump, SignalRequest::HandOver),
            UsrMeaning::SleepAndWake => (SignalRequest::Sleep, SignalRequest::Wake),
        };
        tokio::select! {
            _ = self.term.recv() => terminate,
            _ = self.int.recv() => terminate,
            _ = self.usr1.recv() => usr1,
            _ = self.usr2.recv() => usr2,
            _ = self.hup.recv() => SignalRequest::Reload,
            _ = self.poll.recv() => SignalRequest::Dump,
        }
    }
}
