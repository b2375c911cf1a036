//! Killed processes until they are gone. A pidfd becomes readable when its process ends, whether or not it
//! is a child of this one.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::unistd::Pid;

use super::syscall::pidfd_open;

/// Set of killed processes: pid for messages, pidfd to wait by.
#[derive(Debug, Default)]
pub struct Killed(Vec<(i32, OwnedFd)>);

impl Killed {
    /// Adds a process with its pidfd.
    pub fn add(&mut self, pid: i32, pidfd: OwnedFd) {
        self.0.push((pid, pidfd));
    }

    /// Adds a process by its pid alone. If the pid has been reused, the only harm is to wait for another process.
    pub fn add_by_number(&mut self, pid: i32) {
        if let Ok(pidfd) = pidfd_open(Pid::from_raw(pid)) {
            self.add(pid, pidfd);
        }
    }

    /// Adds the processes of another search.
    pub fn join(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// Returns whether no process was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Waits until all processes are gone, at most `at_most`, and returns the pids that are left. An empty set waits
    /// for the whole time too.
    pub fn wait(&mut self, at_most: Duration) -> Vec<i32> {
        let until = Instant::now() + at_most;
        loop {
            let mut fds: Vec<PollFd<'_>> =
                self.0.iter().map(|(_, pidfd)| PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)).collect();
            // Rounded up, because `poll` counts in whole milliseconds.
            let left = until.saturating_duration_since(Instant::now()) + Duration::from_micros(999);
            match nix::poll::poll(&mut fds, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)) {
                Ok(0) => return self.numbers(),
                Ok(_) => {
                    let mut gone = fds.iter().map(|fd| fd.any().unwrap_or(true)).collect::<Vec<_>>().into_iter();
                    self.0.retain(|_| !gone.next().unwrap_or(false));
                    if self.0.is_empty() {
                        return Vec::new();
                    }
                }
                Err(Errno::EINTR) => {}
                Err(_) => return self.numbers(),
            }
        }
    }

    /// Returns each pid once, however many searches found it.
    fn numbers(&self) -> Vec<i32> {
        let mut pids: Vec<i32> = self.0.iter().map(|(pid, _)| *pid).collect();
        pids.sort_unstable();
        pids.dedup();
        pids
    }
}

#[cfg(test)]
mod tests;
