//! Statements that are sent together with the next one, which alone is waited for: each wait for an answer costs more than the
//! statement.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio_postgres::Error;

/// Maximum number of statements whose answers are not waited for.
pub const MOST: usize = 64;

type Answer = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// Part of a statement in its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// It begins the transaction.
    Begin,
    /// It writes.
    Write,
}

/// Statements whose answers are not known yet, in their order, and the first failure among those that are.
#[derive(Default)]
pub struct Unanswered {
    waiting: VecDeque<(Part, Answer)>,
    failure: Option<(Part, Error)>,
}

impl Unanswered {
    /// Queues a statement for the connection, which sends it when it sends anything.
    pub fn push(&mut self, part: Part, mut answer: Answer) {
        // The first look queues it. Who waits for a later statement looks again.
        match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => self.waiting.push_back((part, answer)),
            Poll::Ready(outcome) => self.note(part, outcome),
        }
    }

    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Takes the answers that have arrived.
    pub fn poll(&mut self, cx: &mut Context<'_>) {
        while let Some((part, answer)) = self.waiting.front_mut() {
            let Poll::Ready(outcome) = answer.as_mut().poll(cx) else { return };
            let part = *part;
            self.waiting.pop_front();
            self.note(part, outcome);
        }
    }

    /// Returns the first failure, once: those after it are its consequences.
    pub fn take_failure(&mut self) -> Option<(Part, Error)> {
        self.failure.take()
    }

    /// Forgets the statements of a transaction that is over. Their answers are dropped as they arrive.
    pub fn clear(&mut self) {
        self.waiting.clear();
        self.failure = None;
    }

    fn note(&mut self, part: Part, outcome: Result<(), Error>) {
        if let Err(error) = outcome {
            self.failure.get_or_insert((part, error));
        }
    }
}
