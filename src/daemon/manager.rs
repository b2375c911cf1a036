//! The service manager that started us, if one did (`sd_notify(3)`): it hears that we are up, how we are, that we
//! live, and that we leave.
//!
//! A sign of life is given by the loop that everything depends on, after the keeper of the runs has answered it. What
//! cannot be sent at once is not waited for: who does not listen must not stop the work.

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

use crate::worker::WorkerStatus;

/// How often it hears of us where it does not say how often it wants to.
const BEAT: Duration = Duration::from_secs(30);
/// How often it hears at most that the number of runs has changed.
const PAUSE: Duration = Duration::from_secs(1);
/// What leaving takes when nothing runs any more: the last attempts to tell the server.
const LEAVING: Duration = Duration::from_secs(60);
/// The most time that is asked for at once.
const EXTENSION: Duration = Duration::from_secs(3600);

/// Whoever started us.
pub struct Manager {
    /// Where it listens; nobody else is told of this.
    socket: Option<OsString>,
    watchdog: bool,
    beat: tokio::time::Interval,
    /// How many scripts run.
    executing: watch::Receiver<usize>,
    /// How many it was told.
    told: usize,
    last: Instant,
    /// Set once we are about to leave: when we shall be gone, if that is known.
    leaving: Option<Option<Instant>>,
}

impl Manager {
    /// The one that the environment names.
    pub fn of_process(executing: watch::Receiver<usize>) -> Self {
        let socket = std::env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty());
        let watchdog = sd_notify::watchdog_enabled().filter(|every| !every.is_zero());
        // Twice as often as it has to be.
        let mut beat = tokio::time::interval(watchdog.map_or(BEAT, |every| (every / 2).min(BEAT)));
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let told = *executing.borrow();
        Self { socket, watchdog: watchdog.is_some(), beat, executing, told, last: Instant::now(), leaving: None }
    }

    /// Waits until it should hear of us again: for ever, if there is none.
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

    /// We are up, and how: said again and again, as a word may be lost.
    pub fn tell(&mut self, status: &WorkerStatus) {
        (self.told, self.last) = (*self.executing.borrow(), Instant::now());
        let line = line(status, self.leaving.is_some());
        let mut words = vec![NotifyState::Status(&line)];
        if self.leaving.is_none() {
            words.push(NotifyState::Ready);
        }
        self.live(words);
    }

    /// Signs of life while we leave, until the end of the process.
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

    /// The settings are about to be read again.
    pub fn reloading(&self) {
        if self.leaving.is_none()
            && let Ok(now) = NotifyState::monotonic_usec_now()
        {
            self.send(&[NotifyState::Reloading, now]);
        }
    }

    /// They were read.
    pub fn reloaded(&self) {
        if self.leaving.is_none() {
            self.send(&[NotifyState::Ready]);
        }
    }

    /// We leave, and how long the runs have: the manager is asked to be as patient.
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
            tracing::debug!(target: "job_runner_worker.runner", "the service manager did not hear us: {e}");
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

/// More time to leave in, which counts where the unit would not give as much.
fn extension(left: Duration) -> Option<NotifyState<'static>> {
    let micros = u32::try_from(left.min(EXTENSION).as_micros()).unwrap_or(u32::MAX);
    (micros > 0).then_some(NotifyState::ExtendTimeoutUsec(micros))
}

/// What `systemctl status` shows.
fn line(status: &WorkerStatus, leaving: bool) -> String {
    let (runs, given_up) = (status.intake.runs.len(), status.dead_letters.len());
    let mut parts = Vec::new();
    if leaving {
        parts.push("draining".to_owned());
    } else if matches!(status.intake.duty, "draining" | "asleep") {
        parts.push(format!("{}: no new runs", status.intake.duty));
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
