//! Service manager: reports readiness, status, signs of life, reloads and the stop to the manager that started the
//! process (`sd_notify(3)`), if one did.
//!
//! The sign of life comes from the loop that everything depends on, after the coordinator of the runs has answered it.
//! Messages are sent without blocking: a manager that does not read must not stop the work.

use std::convert::Infallible;
use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use crate::run::chain_of;
use crate::worker::WorkerStatus;

/// Interval of messages if the manager sets no watchdog.
const BEAT: Duration = Duration::from_secs(30);
/// Minimum interval between two messages about a changed number of runs.
const PAUSE: Duration = Duration::from_secs(1);
/// Time that the last reports to the server may take once no script runs.
const LEAVING: Duration = Duration::from_secs(60);
/// Longest extension of the stop timeout that is requested at once.
const EXTENSION: Duration = Duration::from_secs(3600);

/// Connection to the service manager, if there is one.
pub struct Manager {
    /// Socket of the manager; jobs never see this variable.
    socket: Option<OsString>,
    watchdog: bool,
    beat: tokio::time::Interval,
    /// Number of running scripts, as the intake publishes it.
    executing: watch::Receiver<usize>,
    /// Number of running scripts that was reported last.
    told: usize,
    last: Instant,
    /// Set once the worker is about to leave; holds the instant when it will be gone, if that is known.
    leaving: Option<Option<Instant>>,
}

impl Manager {
    /// Creates the connection from the environment of this process.
    pub fn of_process(executing: watch::Receiver<usize>) -> Self {
        let socket = std::env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty());
        let watchdog = sd_notify::watchdog_enabled().filter(|every| !every.is_zero());
        // Twice as often as the watchdog requires.
        let mut beat = tokio::time::interval(watchdog.map_or(BEAT, |every| (every / 2).min(BEAT)));
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let told = *executing.borrow();
        Self { socket, watchdog: watchdog.is_some(), beat, executing, told, last: Instant::now(), leaving: None }
    }

    /// Waits until the next message is due; for ever without a manager.
    pub async fn due(&mut self) {
        if self.socket.is_none() {
            return std::future::pending().await;
        }
        let (told, quiet) = (self.told, self.last + PAUSE);
        let news = async {
            if self.executing.wait_for(|executing| *executing != told).await.is_err() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep_until(quiet).await;
        };
        tokio::select! {
            _ = self.beat.tick() => {}
            () = news => {}
        }
    }

    /// Reports readiness and status. Repeated every time, since a datagram may be lost.
    pub fn tell(&mut self, status: &WorkerStatus) {
        (self.told, self.last) = (*self.executing.borrow(), Instant::now());
        let line = line(status, self.leaving.is_some());
        let mut words = vec![NotifyState::Status(&line)];
        if self.leaving.is_none() {
            words.push(NotifyState::Ready);
        }
        self.live(words);
    }

    /// Sends signs of life while the worker leaves, until the process ends.
    pub async fn hear_us_leave(&mut self) -> Infallible {
        loop {
            self.beat.tick().await;
            self.live(Vec::new());
        }
    }

    fn live<'a>(&self, mut words: Vec<NotifyState<'a>>) {
        if self.watchdog {
            words.push(NotifyState::Watchdog);
        }
        words.extend(self.leaving.flatten().and_then(|gone| extension(gone.saturating_duration_since(Instant::now()))));
        self.send(&words);
    }

    /// Reports that the settings are about to be read again.
    pub fn reloading(&self) {
        if self.leaving.is_none()
            && let Ok(now) = NotifyState::monotonic_usec_now()
        {
            self.send(&[NotifyState::Reloading, now]);
        }
    }

    /// Reports that the settings were read.
    pub fn reloaded(&self) {
        if self.leaving.is_none() {
            self.send(&[NotifyState::Ready]);
        }
    }

    /// Reports that the worker leaves, and asks for a stop timeout of `patience` plus the last reports; without
    /// `patience`, for none.
    pub fn stopping(&mut self, patience: Option<Duration>) {
        if self.leaving.is_none() {
            self.leaving = Some(patience.map(|patience| Instant::now() + patience + LEAVING));
            self.live(vec![NotifyState::Stopping]);
        }
    }

    fn send(&self, words: &[NotifyState<'_>]) {
        let Some(socket) = &self.socket else { return };
        let text: String = words.iter().map(|word| format!("{word}\n")).collect();
        if let Err(e) = send(socket.as_bytes(), text.as_bytes()) {
            tracing::debug!(target: "job_runner_worker.runner", error = %chain_of(&e), "service manager was not reached");
        }
    }
}

fn send(socket: &[u8], text: &[u8]) -> io::Result<()> {
    let address = match socket.split_first() {
        Some((b'@', name)) => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(Path::new(std::ffi::OsStr::from_bytes(socket)))?,
    };
    let ours = UnixDatagram::unbound()?;
    ours.set_nonblocking(true)?;
    ours.send_to_addr(text, &address).map(drop)
}

/// Returns a request for more time to stop, which matters if the unit's own timeout is shorter; `None` if no time is
/// left.
fn extension(left: Duration) -> Option<NotifyState<'static>> {
    let micros = u32::try_from(left.min(EXTENSION).as_micros()).unwrap_or(u32::MAX);
    (micros > 0).then_some(NotifyState::ExtendTimeoutUsec(micros))
}

/// Returns the status line that `systemctl status` shows.
fn line(status: &WorkerStatus, leaving: bool) -> String {
    let (runs, given_up) = (status.intake.runs.len(), status.dead_letters.len());
    let mut parts = Vec::new();
    if leaving {
        parts.push("draining".to_owned());
    } else if matches!(status.intake.state, "draining" | "asleep") {
        parts.push(format!("{}: no new runs", status.intake.state));
    }
    parts.push(format!("{runs} of {} runs", status.intake.concurrent_jobs));
    parts.push(format!("server {}", status.server));
    if status.backlog > 0 {
        parts.push(format!("{} to report", status.backlog));
    }
    if given_up > 0 {
        parts.push(format!("{given_up} given up"));
    }
    if !status.intake.held.is_empty() {
        parts.push(format!("nothing new: {}", status.intake.held.join("; ")));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests;
