//! The alarm on the clock on the wall: runs are due by it, so it rings when that clock says so, and when it is set.

use std::io;
use std::os::fd::AsFd;

use chrono::TimeDelta;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::net::unix::pipe;

use crate::server::domain::model::Timestamp;

#[cfg(test)]
mod tests;

/// When it rings if nothing is due: it is set all the same, to hear that the clock was.
const FAR: TimeDelta = TimeDelta::days(365);

/// An alarm.
#[derive(Debug)]
pub struct WallClockTimer {
    timer: TimerFd,
    /// The same timer, to be waited for: the runtime knows no timers of this kind, and a pipe is read like one.
    rung: pipe::Receiver,
}

impl WallClockTimer {
    /// An alarm that is not set.
    ///
    /// # Errors
    /// What the system says.
    pub fn new() -> io::Result<Self> {
        let timer = TimerFd::new(ClockId::CLOCK_REALTIME, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        let rung = pipe::Receiver::from_owned_fd_unchecked(timer.as_fd().try_clone_to_owned()?)?;
        Ok(Self { timer, rung })
    }

    /// Waits until the clock shows a time, or is set.
    ///
    /// # Errors
    /// What the system says.
    pub async fn wait_until(&self, at: Option<Timestamp>, now: Timestamp) -> io::Result<()> {
        let at = at.unwrap_or(now + FAR).max(Timestamp::UNIX_EPOCH + TimeDelta::seconds(1));
        let nanos = at.timestamp_subsec_nanos().into();
        let flags = TimerSetTimeFlags::TFD_TIMER_ABSTIME | TimerSetTimeFlags::TFD_TIMER_CANCEL_ON_SET;
        self.timer.set(Expiration::OneShot(TimeSpec::new(at.timestamp(), nanos)), flags)?;
        loop {
            self.rung.readable().await?;
            match self.rung.try_read(&mut [0; 8]) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                // The clock was set.
                Err(e) if e.raw_os_error() == Some(nix::libc::ECANCELED) => return Ok(()),
                read => return read.map(drop),
            }
        }
    }
}
