//! Health of the server: the outcome of the latest calls, and the pace at which the next calls may be made.

use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// Pause between two calls to a failing server, over all callers.
const PACE: Duration = Duration::from_millis(100);
/// Longest delay that the failures of calls under way may put on the next call.
const MOST: Duration = Duration::from_secs(5);

/// Interval at which the log repeats that another instance of this worker is alive.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Health of the server, shared by all callers.
#[derive(Debug, Default)]
pub struct Health {
    state: Mutex<State>,
    /// Sent when the server takes reports again.
    recoveries: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    /// Number of calls that failed in a row for reasons of the server.
    failing: u32,
    /// Instant at which the next call may be made while calls fail.
    next: Option<Instant>,
    /// Whether the server has ever answered.
    reached: bool,
    /// Instant of the last call that succeeded.
    answered: Option<Instant>,
    pinged: Option<Instant>,
    /// Whether a call that changes something failed for a reason of the server, and none has succeeded since. A server
    /// whose store is away may still answer those that read.
    is_unwritable: bool,
    refused: bool,
    /// Instant at which the log said last that another instance of this worker is alive; `None` while none is.
    occupied: Option<Instant>,
}

/// Verdict on the server, for the status report of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerHealth {
    /// No call was made yet.
    Unknown,
    /// The last call was answered, with success or with a refusal of what was asked.
    Ok,
    /// The last calls failed for reasons of the server.
    Failing,
    /// The server refuses the API key or the secret.
    Refused,
    /// Another instance of this worker is alive.
    Occupied,
}

impl ServerHealth {
    /// Returns the name of the verdict, as the status shows it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Ok => "ok",
            Self::Failing => "failing",
            Self::Refused => "refused",
            Self::Occupied => "occupied",
        }
    }
}

impl Health {
    /// Waits for a turn: not at all while the server is well, otherwise until the next one; turns are 100 ms apart, over
    /// all callers. Returns true where there was no wait.
    pub async fn turn(&self) -> bool {
        // The turn is taken under the lock, and the wait for it comes after.
        let at = {
            let mut state = self.lock();
            if state.failing == 0 {
                return true;
            }
            let at = state.next.unwrap_or_else(Instant::now).max(Instant::now());
            state.next = Some(at + PACE);
            at
        };
        tokio::time::sleep_until(at).await;
        false
    }

    /// Records that the server is there and refused what was asked.
    pub fn reached(&self) {
        let mut state = self.lock();
        (state.failing, state.reached) = (0, true);
    }

    /// Records that a call succeeded.
    pub fn answered(&self) {
        let mut state = self.lock();
        (state.failing, state.reached) = (0, true);
        state.answered = Some(Instant::now());
    }

    /// Records that a call failed for a reason of the server.
    pub fn failed(&self) {
        let mut state = self.lock();
        state.failing = state.failing.saturating_add(1);
    }

    /// Records the failure of a call that had not waited for its turn, because the server was well when it began. The
    /// next call waits the longer for it, up to 5 s.
    pub fn failed_at_once(&self) {
        let mut state = self.lock();
        let now = Instant::now();
        // Counts as a turn taken: otherwise a burst of calls that was sent before the first failure would exceed the
        // pace.
        if state.failing > 0 {
            let next = state.next.unwrap_or(now).max(now);
            state.next = Some(if next < now + MOST { next + PACE } else { next });
        }
        state.failing = state.failing.saturating_add(1);
    }

    /// Records the outcome of a call that changes something. The first success after a failure is a recovery.
    pub fn wrote(&self, succeeded: bool) {
        let before = std::mem::replace(&mut self.lock().is_unwritable, !succeeded);
        if before && succeeded {
            self.recovered();
        }
    }

    /// Tells those who wait before they try again that the server may be back.
    pub fn recovered(&self) {
        self.recoveries.send_replace(());
    }

    /// Returns a receiver of the recoveries from now on.
    #[must_use]
    pub fn recoveries(&self) -> watch::Receiver<()> {
        self.recoveries.subscribe()
    }

    /// Records whether the server accepts the API key and the secret.
    pub fn credentials(&self, accepted: bool) {
        self.lock().refused = !accepted;
    }

    /// Records that another instance of this worker is alive. Returns true where the log is to say so, at most once a
    /// minute.
    pub fn occupied(&self) -> bool {
        let now = Instant::now();
        let mut state = self.lock();
        let is_due = state.occupied.is_none_or(|said| now.saturating_duration_since(said) >= LOG_INTERVAL);
        if is_due {
            state.occupied = Some(now);
        }
        is_due
    }

    /// Records that no other instance of this worker is alive. Returns true where one was.
    pub fn unoccupied(&self) -> bool {
        self.lock().occupied.take().is_some()
    }

    /// Records that the server accepted the answer to a ping.
    pub fn pinged(&self) {
        self.lock().pinged = Some(Instant::now());
    }

    /// Returns the time since the server accepted the answer to a ping. Within this time it cannot have taken this
    /// worker for dead and ended its runs.
    #[must_use]
    pub fn since_ping(&self) -> Option<Duration> {
        self.lock().pinged.map(|at| at.elapsed())
    }

    /// Returns the time since a call succeeded.
    #[must_use]
    pub fn since_answer(&self) -> Option<Duration> {
        self.lock().answered.map(|at| at.elapsed())
    }

    /// Returns the verdict on the server.
    #[must_use]
    pub fn verdict(&self) -> ServerHealth {
        let state = self.lock();
        if state.occupied.is_some() {
            return ServerHealth::Occupied;
        }
        match (state.refused, state.failing, state.reached) {
            (true, ..) => ServerHealth::Refused,
            (_, 1.., _) => ServerHealth::Failing,
            (_, 0, true) => ServerHealth::Ok,
            (_, 0, false) => ServerHealth::Unknown,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
