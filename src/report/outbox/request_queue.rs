//! Request queue: lets a thread wait for requests of asynchronous callers, and no longer than until an instant.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

use tokio::sync::mpsc;

#[cfg(test)]
mod tests;

/// Receiving end of a channel, for the thread that made it. The blocking calls of tokio know no instant at which to
/// return, and its timers need a runtime, which the thread may outlive.
pub struct RequestQueue<T> {
    requests: mpsc::Receiver<T>,
    /// Waker that unparks the thread.
    waker: Waker,
}

/// Event that ended a wait.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// At least one request was appended.
    Requests,
    /// The instant has come.
    Due,
    /// No request is left and none can come, because all senders are gone.
    Closed,
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

impl<T> RequestQueue<T> {
    /// Makes the queue of the current thread.
    pub fn new(requests: mpsc::Receiver<T>) -> Self {
        Self { requests, waker: Waker::from(Arc::new(Unpark(thread::current()))) }
    }

    /// Blocks until there are requests, of which at most `most` are appended to `taken`, or until the instant `due`. If
    /// `most` is 0, all requests stay in the queue.
    pub fn receive(&mut self, taken: &mut Vec<T>, most: usize, due: Option<Instant>) -> Received {
        loop {
            // The instant comes first: requests without end would put it off for ever.
            let left = due.map(|due| due.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Received::Due;
            }
            if most > 0 {
                match self.requests.poll_recv_many(&mut Context::from_waker(&self.waker), taken, most) {
                    Poll::Ready(0) => return Received::Closed,
                    Poll::Ready(_) => return Received::Requests,
                    Poll::Pending => {}
                }
            }
            // Returns at once where a request has come since the poll, and now and then without any reason.
            match left {
                Some(left) => thread::park_timeout(left),
                None => thread::park(),
            }
            // Where no processor is idle, the callers go first, and more of them share the commit.
            thread::yield_now();
        }
    }
}
