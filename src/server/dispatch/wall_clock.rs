//! Wall-clock timer (timerfd, `CLOCK_REALTIME`, cancel-on-set): wakes the dispatcher when the next run is due and when
//! the clock is set.

use std::io;
use std::os::fd::AsFd;

use chrono::TimeDelta;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::net::unix::pipe;

use crate::server::domain::model::Timestamp;

#[cfg(test)]
mod tests;

/// Distance of the timer where nothing is due: it is set all the same, because only a set timer reports clock changes.
const FAR: TimeDelta = TimeDelta::days(365);

/// Timer on the wall clock.
#[derive(Debug)]
pub struct WallClockTimer {
    timer: TimerFd,
    /// Readable end of the timer: Tokio has no timer of this kind, but a timerfd is polled and read like a pipe.
    rung: pipe::Receiver,
}

impl WallClockTimer {
    /// Creates a timer that is not set.
    ///
    /// # Errors
    /// If the system has no timer to give.
    pub fn new() -> io::Result<Self> {
        let timer = TimerFd::new(ClockId::CLOCK_REALTIME, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        // The checked constructor refuses a descriptor that is not a pipe.
        let rung = pipe::Receiver::from_owned_fd_unchecked(timer.as_fd().try_clone_to_owned()?)?;
        Ok(Self { timer, rung })
    }

    /// Waits until the wall clock shows `at`, or is set; `now` is the current time, for a timer without a due time.
    ///
    /// # Errors
    /// If the timer cannot be set or read.
    pub async fn wait_until(&self, at: Option<Timestamp>, now: Timestamp) -> io::Result<()> {
        // A time of 0 would disarm the timer, and one before 1970 is invalid; such times are past in any case.
        let at = at.unwrap_or(now + FAR).max(Timestamp::UNIX_EPOCH + TimeDelta::seconds(1));
        let nanos = at.timestamp_subsec_nanos().into();
        let flags = TimerSetTimeFlags::TFD_TIMER_ABSTIME | TimerSetTimeFlags::TFD_TIMER_CANCEL_ON_SET;
        self.timer.set(Expiration::OneShot(TimeSpec::new(at.timestamp(), nanos)), flags)?;
        loop {
            self.rung.readable().await?;
            match self.rung.try_read(&mut [0; 8]) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                // The clock was set: the kernel cancels the timer (`TFD_TIMER_CANCEL_ON_SET`).
                Err(e) if e.raw_os_error() == Some(nix::libc::ECANCELED) => return Ok(()),
                read => return read.map(drop),
            }
        }
    }
}
