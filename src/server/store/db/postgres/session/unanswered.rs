//! Statements that are sent together with the next one, which alone is waited for: each wait for an answer costs more than the
//! statement.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use tokio_postgres::{Error, Row};

use crate::server::store::db::postgres::sql::Writes;
use crate::server::store::db::value::OwnedValue;
use crate::server::store::db::{Argument, Value};

/// Maximum number of statements whose answers are not waited for.
pub const MOST: usize = 64;

type Answer = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// Part of a statement in its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// It begins the transaction.
    Begin,
    /// It comes after the one that begins the transaction.
    Other,
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

/// Questions that were asked before their answers are wanted.
#[derive(Default)]
pub struct Questions(Vec<(String, Vec<OwnedValue>, Asked)>);

/// A question, and its answer once that has arrived.
#[derive(Clone, Default)]
pub struct Asked(Arc<OnceLock<Vec<Row>>>);

impl Questions {
    pub fn add(&mut self, sql: &str, values: Vec<OwnedValue>) -> Asked {
        let asked = Asked::default();
        self.0.push((sql.to_owned(), values, asked.clone()));
        asked
    }

    /// Returns whether a question was asked with the same arguments, and its answer is not taken yet.
    pub fn has(&self, sql: &str, arguments: &[&dyn Argument]) -> bool {
        self.place_of(sql, arguments).is_some()
    }

    /// Takes a question out, if it was asked with the same arguments.
    pub fn take(&mut self, sql: &str, arguments: &[&dyn Argument]) -> Option<Asked> {
        let place = self.place_of(sql, arguments)?;
        Some(self.0.swap_remove(place).2)
    }

    fn place_of(&self, sql: &str, arguments: &[&dyn Argument]) -> Option<usize> {
        let is_same = |values: &[OwnedValue]| {
            let ours = values.iter().map(Argument::value);
            ours.eq(arguments.iter().map(|argument| -> Value<'_> { argument.value() }))
        };
        self.0.iter().position(|(text, values, _)| text == sql && is_same(values))
    }

    /// Forgets the questions whose answers may be others after a statement that writes.
    pub fn forget(&mut self, writes: &Writes) {
        self.0.retain(|(question, ..)| !writes.concern(question));
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }
}

impl Asked {
    pub fn set(&self, rows: Vec<Row>) {
        // It is answered once.
        let _ = self.0.set(rows);
    }

    /// Waits for the answer. Who waits takes the answers of the connection as they arrive.
    pub async fn answer(mut self) -> Result<Vec<Row>, Error> {
        let rows = std::future::poll_fn(|_| match Arc::get_mut(&mut self.0).and_then(OnceLock::take) {
            Some(rows) => Poll::Ready(rows),
            None => Poll::Pending,
        });
        Ok(rows.await)
    }
}
