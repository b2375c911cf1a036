//! Lines on their way to stderr: a buffer with a bound, and a thread that writes. Who logs never waits; what there is no
//! room for is counted, and the count is said when somebody reads again.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout};

#[cfg(test)]
mod tests;

/// How many bytes wait at most, beside those that are being written.
const BUFFER: usize = 1 << 20;
/// The stack of the thread.
const STACK: usize = 256 * 1024;

/// The door. Cheap to clone.
#[derive(Clone)]
pub struct Sink(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    /// How many lines there was no room for since that was said.
    lost: u64,
    is_writing: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink {
    /// Starts the thread, which lasts as long as the process.
    ///
    /// # Errors
    /// What the system says.
    pub fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let sink = Self(Arc::clone(&shared));
        std::thread::Builder::new().name("log".to_owned()).stack_size(STACK).spawn(move || write(&shared, out))?;
        Ok(sink)
    }

    /// Takes a line, or counts it.
    pub fn push(&self, line: &[u8]) {
        let mut state = self.0.state();
        if state.waiting.len() + line.len() > BUFFER {
            state.lost += 1;
        } else {
            state.waiting.extend_from_slice(line);
            self.0.changed.notify_all();
        }
    }

    /// Waits until everything is written, no longer than so long.
    pub fn flush(&self, at_most: Duration) {
        let until = Instant::now() + at_most;
        let mut state = self.0.state();
        while !state.waiting.is_empty() || state.is_writing {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.0.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn write(shared: &Shared, mut out: impl Write) {
    loop {
        let lines = {
            let mut state = shared.state();
            while state.waiting.is_empty() {
                state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            state.is_writing = true;
            std::mem::take(&mut state.waiting)
        };
        // Where nobody can read any more nothing can be done.
        let _ = out.write_all(&lines);
        let lost = std::mem::take(&mut shared.state().lost);
        if lost > 0 {
            tracing::warn!(target: "job_runner.log", "{lost} lines of the log could not be written: nobody read them in time");
        }
        shared.state().is_writing = false;
        shared.changed.notify_all();
    }
}

/// The descriptor itself: a thread that waits to write holds no lock of the library that others wait for.
pub struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            let stderr = io::stderr();
            match nix::unistd::write(stderr.as_fd(), bytes) {
                Ok(written) => return Ok(written),
                Err(Errno::EINTR) => {}
                // Somebody who shares it wants it not to block.
                Err(Errno::EAGAIN) => {
                    let _ = nix::poll::poll(&mut [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)], PollTimeout::NONE);
                }
                Err(e) => return Err(e.into()),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
