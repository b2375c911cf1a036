//! How the server has been lately, and how hard it may be pressed.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

/// Calls to a failing server are this far apart, whoever makes them.
const PACE: Duration = Duration::from_millis(100);
/// What calls that were under way when it began to fail make the next wait at most.
const MOST: Duration = Duration::from_secs(5);

/// How often it is said that another instance of this worker is alive.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// Shared by all who call.
#[derive(Debug, Default)]
pub struct Health {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How many calls in a row failed in a way that is the server's.
    failing: u32,
    /// When the next call may be made while it fails.
    next: Option<Instant>,
    /// Whether it was there at all.
    reached: bool,
    /// When a call succeeded last.
    answered: Option<Instant>,
    pinged: Option<Instant>,
    refused: bool,
    /// When it was said last that another instance of this worker is alive, while it is.
    occupied: Option<Instant>,
}

/// What is known, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerHealth {
    /// Nothing was asked yet.
    Unknown,
    /// The last call was answered.
    Ok,
    /// The last calls failed.
    Failing,
    /// Our key or secret is not accepted.
    Refused,
    /// Another instance of this worker is alive.
    Occupied,
}

impl ServerHealth {
    /// Its name, for people and programs.
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
    /// Takes a turn: at once while all is well, else when it is ours. Whether it was at once.
    pub async fn turn(&self) -> bool {
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

    /// The server is there, and refused what was asked.
    pub fn reached(&self) {
        let mut state = self.lock();
        (state.failing, state.reached) = (0, true);
    }

    /// A call succeeded.
    pub fn answered(&self) {
        let mut state = self.lock();
        (state.failing, state.reached) = (0, true);
        state.answered = Some(Instant::now());
    }

    /// A call failed, and not by what was asked.
    pub fn failed(&self) {
        let mut state = self.lock();
        state.failing = state.failing.saturating_add(1);
    }

    /// A call failed as others did meanwhile, and had not waited for its turn: the next waits the longer.
    pub fn failed_at_once(&self) {
        let mut state = self.lock();
        let now = Instant::now();
        if state.failing > 0 {
            let next = state.next.unwrap_or(now).max(now);
            state.next = Some(if next < now + MOST { next + PACE } else { next });
        }
        state.failing = state.failing.saturating_add(1);
    }

    /// Whether our key and secret are accepted was found out.
    pub fn credentials(&self, accepted: bool) {
        self.lock().refused = !accepted;
    }

    /// Another instance of this worker is alive. Whether that is to be said: it was not in the last minute.
    pub fn occupied(&self) -> bool {
        let now = Instant::now();
        let mut state = self.lock();
        let is_due = state.occupied.is_none_or(|said| now.saturating_duration_since(said) >= SAID_EVERY);
        if is_due {
            state.occupied = Some(now);
        }
        is_due
    }

    /// No other instance of this worker is alive. Whether one was.
    pub fn unoccupied(&self) -> bool {
        self.lock().occupied.take().is_some()
    }

    /// A ping was answered.
    pub fn pinged(&self) {
        self.lock().pinged = Some(Instant::now());
    }

    /// How long ago the server accepted the answer to a ping. Within this time it cannot have taken us for dead
    /// and ended our runs.
    #[must_use]
    pub fn since_ping(&self) -> Option<Duration> {
        self.lock().pinged.map(|at| at.elapsed())
    }

    /// How long ago the server answered anything.
    #[must_use]
    pub fn since_answer(&self) -> Option<Duration> {
        self.lock().answered.map(|at| at.elapsed())
    }

    /// How it looks.
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
