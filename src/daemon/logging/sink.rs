//! Log sink: a bounded buffer and a thread that writes it out. A caller that logs never waits; lines that do not fit
//! are counted, and the count is logged once stderr can be written again.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout};

#[cfg(test)]
mod tests;

/// Most bytes that wait, besides those that are being written.
const BUFFER: usize = 1 << 20;
/// Stack size of the writing thread in bytes.
const STACK: usize = 256 * 1024;

/// Handle to the sink. Cheap to clone.
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
    /// Lines dropped for lack of space since that was last logged.
    lost: u64,
    is_writing: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink {
    /// Starts the writing thread, which lasts as long as the process.
    ///
    /// # Errors
    /// If the thread cannot be created.
    pub fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let sink = Self(Arc::clone(&shared));
        std::thread::Builder::new().name("log".to_owned()).stack_size(STACK).spawn(move || write(&shared, out))?;
        Ok(sink)
    }

    /// Queues a line, or counts it as lost if the buffer is full.
    pub fn push(&self, line: &[u8]) {
        let mut state = self.0.state();
        if state.waiting.len() + line.len() > BUFFER {
            state.lost += 1;
        } else {
            state.waiting.extend_from_slice(line);
            self.0.changed.notify_all();
        }
    }

    /// Waits until everything is written, at most `at_most`.
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
        // If stderr is closed, there is nobody to tell.
        let _ = out.write_all(&lines);
        // Logged while `is_writing` is still set, so that a flush waits for this line as well.
        let lost = std::mem::take(&mut shared.state().lost);
        if lost > 0 {
            tracing::warn!(target: "job_runner.log", lines = lost, "log lines were dropped because nobody read them in time");
        }
        shared.state().is_writing = false;
        shared.changed.notify_all();
    }
}

/// Raw descriptor of stderr: `std`'s handle would hold its lock while a write blocks, and others would wait for that
/// lock.
pub struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            let stderr = io::stderr();
            match nix::unistd::write(stderr.as_fd(), bytes) {
                Ok(written) => return Ok(written),
                Err(Errno::EINTR) => {}
                // Another process that shares the open file has made it non-blocking.
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
