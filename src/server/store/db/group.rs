//! Group commit: the changes that wait at the same time share one transaction, and are answered after its commit.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::sync::{mpsc, oneshot};

use super::{DbError, Transaction};
use crate::server::store::changes::{Change, ChangeFeed};

/// Maximum number of changes that wait; more wait in their callers.
pub const QUEUE: usize = 4096;
/// Maximum number of changes that share a commit.
const GROUP: usize = 128;

/// Message to the writer.
pub enum Queued {
    /// A change whose caller waits.
    Change(Box<dyn Pending>),
    /// Finish, and close the connection.
    Close,
}

impl Queued {
    pub fn change<F, T, E>(change: F, caller: oneshot::Sender<Result<T, E>>) -> Self
    where
        F: FnMut(&mut Transaction<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        Self::Change(Box::new(Waiting { change, outcome: None, caller }))
    }
}

/// Queues a change, and waits for its answer.
///
/// # Errors
/// The closure's own error, or that of the database.
pub async fn queue<T, E>(
    changes: &mpsc::Sender<Queued>,
    change: impl FnMut(&mut Transaction<'_>) -> Result<T, E> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<DbError> + Send + 'static,
{
    let (caller, answer) = oneshot::channel();
    changes.send(Queued::change(change, caller)).await.map_err(|_| DbError::Closed)?;
    answer.await.map_err(|_| DbError::Closed)?
}

/// A change whose caller waits, whatever it returns.
pub trait Pending: Send {
    /// Runs the closure; returns whether what it wrote is to be kept.
    fn run(&mut self, transaction: &mut Transaction<'_>) -> bool;

    /// Answers the caller with the outcome of the closure if it was committed, and else with the error of the database.
    fn answer(self: Box<Self>, committed: Result<(), DbError>);
}

struct Waiting<F, T, E> {
    change: F,
    outcome: Option<Result<T, E>>,
    caller: oneshot::Sender<Result<T, E>>,
}

impl<F, T, E> Pending for Waiting<F, T, E>
where
    F: FnMut(&mut Transaction<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<DbError> + Send,
{
    fn run(&mut self, transaction: &mut Transaction<'_>) -> bool {
        let outcome = change_once(transaction, &mut self.change);
        let keeps = outcome.is_ok();
        self.outcome = Some(outcome);
        keeps
    }

    fn answer(self: Box<Self>, committed: Result<(), DbError>) {
        let answer = match (committed, self.outcome) {
            // An error of the closure itself says more than that of a transaction that it may have broken.
            (Ok(()), Some(outcome)) | (Err(_), Some(outcome @ Err(_))) => outcome,
            (Ok(()), None) => Err(DbError::Closed.into()),
            (Err(error), _) => Err(error.into()),
        };
        // A caller that is gone needs no answer.
        let _ = self.caller.send(answer);
    }
}

/// Changes of one transaction, in the order in which they were made, and what they publish.
#[derive(Default)]
pub struct Group {
    pub members: Vec<Box<dyn Pending>>,
    pub changes: Vec<Change>,
}

impl Group {
    /// Publishes what a committed group has changed, and answers its callers.
    pub fn tell(self, feed: &ChangeFeed) {
        self.changes.into_iter().for_each(|change| feed.publish(change));
        self.members.into_iter().for_each(|pending| pending.answer(Ok(())));
        crash_point!(GroupAnswered);
    }

    /// Answers the callers of a group that was not committed.
    pub fn refuse(self, error: &DbError) {
        self.members.into_iter().for_each(|pending| pending.answer(Err(error.clone())));
    }
}

/// Outcome of taking changes from the queue.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// Whether the transaction can be committed.
    pub sound: bool,
    /// Whether the queue was closed.
    pub closed: bool,
}

/// Runs the first change and then those that wait, until there is none, the group is full, or the transaction is lost,
/// which `run` tells by false.
pub fn take(
    first: Box<dyn Pending>,
    queue: &mut mpsc::Receiver<Queued>,
    mut run: impl FnMut(Box<dyn Pending>) -> bool,
) -> Taken {
    let (mut taken, mut next, mut members) = (Taken { sound: true, closed: false }, Some(first), 0);
    while let Some(pending) = next.take() {
        taken.sound = run(pending);
        members += 1;
        if !taken.sound || members == GROUP {
            break;
        }
        match queue.try_recv() {
            Ok(Queued::Change(another)) => next = Some(another),
            Ok(Queued::Close) => taken.closed = true,
            Err(_) => {}
        }
    }
    taken
}

/// Answers everybody who waits with an error, rather than have each wait for the database in turn; returns whether the
/// queue was closed.
pub fn refuse_all(first: Box<dyn Pending>, queue: &mut mpsc::Receiver<Queued>, error: &DbError) -> bool {
    first.answer(Err(error.clone()));
    refuse_waiting(queue, error)
}

/// Like [`refuse_all`], for those in the queue alone.
pub fn refuse_waiting(queue: &mut mpsc::Receiver<Queued>, error: &DbError) -> bool {
    // Who comes after this has not waited yet, and the database may be free by then.
    for _ in 0..queue.len() {
        match queue.try_recv() {
            Ok(Queued::Change(pending)) => pending.answer(Err(error.clone())),
            Ok(Queued::Close) => return true,
            Err(_) => break,
        }
    }
    false
}

/// Runs a closure that writes; catches its panic.
pub fn change_once<T, E: From<DbError>>(
    transaction: &mut Transaction<'_>,
    change: &mut impl FnMut(&mut Transaction<'_>) -> Result<T, E>,
) -> Result<T, E> {
    without_panic(|| change(transaction))
}

/// Runs a closure, and turns its panic into an error.
pub fn without_panic<T, E: From<DbError>>(run: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    // What a closure holds besides the database is its own; after a panic, none of it is used again.
    let outcome = catch_unwind(AssertUnwindSafe(run));
    outcome.unwrap_or_else(|panic| Err(DbError::Panicked(text_of(&*panic)).into()))
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".to_owned())
}
