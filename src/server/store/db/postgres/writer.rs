//! The writing thread: takes what waits into one transaction, and answers after the commit. Of all servers at a database,
//! one writes at a time: each transaction begins with the same lock, so that what its closures read is the latest state.
//!
//! There are no savepoints. Where one change breaks the transaction, all of its changes are run again, each in one of its
//! own. Where the answer to a commit is lost, a row that the commit wrote tells whether it was made. The number of the
//! transaction would not tell: after a crash, PostgreSQL gives it out again.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::news;
use super::session::DatabaseSession;
use super::{Access, AnyConnection};
use crate::server::store::changes::ChangeFeed;
use crate::server::store::db::group::{Group, Pending, Queued, refuse_all, refuse_waiting, take};
use crate::server::store::db::{DbError, Reading, Transaction};

/// Key of the lock that each transaction that writes takes, in the database of the store.
const LOCK: i64 = 0x6a6f_6272_756e_6e72;
/// Settings of the connection. A server that hangs in a transaction holds the lock no longer than this; a lock is waited
/// for long enough for another server to be found dead. Statements are planned once for all values: the plan for a job that
/// has most of the runs would go through all of them in the order of their ids.
const SETTINGS: &str = "SET idle_in_transaction_session_timeout = '5s'; SET lock_timeout = '20s';
    SET client_min_messages = warning; SET jit = off; SET cursor_tuple_fraction = 1;
    SET plan_cache_mode = force_generic_plan;
    PREPARE group_commit (BIGINT, BIGINT) AS INSERT INTO group_commit VALUES ($1, $2, now())
    ON CONFLICT (writer) DO UPDATE SET number = EXCLUDED.number, made = EXCLUDED.made";
/// Pause between two attempts to connect while it is unknown whether a commit was made.
const PAUSE: Duration = Duration::from_secs(1);
/// Maximum number of times that a change alone is run because the answer to its commit was lost.
const ATTEMPTS: usize = 3;

/// Returns the statements that begin a transaction that writes, once no other one does. Each statement in it sees what was
/// committed before the statement.
pub fn begin() -> String {
    format!("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SELECT pg_advisory_xact_lock({LOCK})")
}

/// State of the thread.
pub struct GroupWriter {
    access: Arc<Access>,
    feed: ChangeFeed,
    /// Waits for the queue with a deadline.
    runtime: Runtime,
    session: Option<DatabaseSession>,
    /// Number of the last group that was to be committed.
    number: i64,
    begin: String,
}

/// What became of a transaction.
enum End {
    /// It is committed, and all callers have their answers.
    Told,
    /// It was rolled back; nobody was answered.
    Failed(Group, DbError),
    /// The answer to the commit was lost.
    Unknown(Group, DbError),
}

impl GroupWriter {
    pub fn new(access: Arc<Access>, feed: ChangeFeed) -> Result<Self, DbError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(|e| DbError::Thread(Arc::new(e)))?;
        Ok(Self { access, feed, runtime, session: None, number: 0, begin: begin() })
    }

    /// Writes what is queued until the queue is closed.
    pub fn work(mut self, mut queue: mpsc::Receiver<Queued>) {
        while let Some(Queued::Change(first)) = queue.blocking_recv() {
            if self.write_group(first, &mut queue) {
                return;
            }
        }
    }

    /// Writes what waits, in one transaction; returns whether the queue was closed.
    fn write_group(&mut self, first: Box<dyn Pending>, queue: &mut mpsc::Receiver<Queued>) -> bool {
        crash_point!(GroupNext);
        let session = match self.begin_with_first_statement() {
            Ok(session) => session,
            Err(e) => return refuse_all(first, queue, &e),
        };
        let mut group = Group::default();
        let taken = take(first, queue, |pending| run_member(&mut group, &session, pending));
        if let Some(e) = session.begin_failure().filter(|e| !e.is_lost()) {
            self.keep(session);
            group.refuse(&e);
            return taken.closed || refuse_waiting(queue, &e);
        }
        let (left, closed) = match self.end(session, group, taken.sound) {
            End::Told => return taken.closed,
            // Whoever broke it is alone the next time.
            End::Failed(group, _) => (Some(group), taken.closed),
            End::Unknown(group, e) => self.find_out(group, &e, queue, taken.closed),
        };
        left.map_or(closed, |group| self.write_each(group, queue, closed))
    }

    /// Writes each change of a group that was not committed in a transaction of its own; returns whether the queue was
    /// closed.
    fn write_each(&mut self, group: Group, queue: &mut mpsc::Receiver<Queued>, mut closed: bool) -> bool {
        let mut members = group.members.into_iter();
        while let Some(mut pending) = members.next() {
            for attempt in 1..=ATTEMPTS {
                let session = match self.begin() {
                    Ok(session) => session,
                    // Nobody else would fare better.
                    Err(e) => {
                        pending.answer(Err(e.clone()));
                        members.for_each(|pending| pending.answer(Err(e.clone())));
                        return closed;
                    }
                };
                let mut alone = Group::default();
                let sound = run_member(&mut alone, &session, pending);
                let (left, error) = match self.end(session, alone, sound) {
                    End::Told => break,
                    End::Failed(alone, e) => {
                        alone.refuse(&e);
                        break;
                    }
                    End::Unknown(alone, e) => (self.find_out(alone, &e, queue, closed), e),
                };
                closed = left.1;
                let Some(again) = left.0.and_then(|mut alone| alone.members.pop()) else { break };
                if attempt == ATTEMPTS {
                    again.answer(Err(error));
                    break;
                }
                pending = again;
            }
        }
        closed
    }

    /// Begins a transaction, on a new connection where there is none, without a round trip of its own.
    fn begin_with_first_statement(&mut self) -> Result<DatabaseSession, DbError> {
        // One that was cut while it was idle is made anew.
        let session = match self.session.take().filter(DatabaseSession::is_alive) {
            Some(session) => session,
            None => self.connect()?,
        };
        session.begin_unanswered(&self.begin);
        Ok(session)
    }

    /// Begins a transaction, on a new connection where there is none.
    fn begin(&mut self) -> Result<DatabaseSession, DbError> {
        if let Some(session) = self.session.take() {
            match session.begin(&self.begin) {
                Ok(()) => return Ok(session),
                // It was cut while it was idle: nothing is lost with it.
                Err(e) if e.is_lost() => {}
                Err(e) => {
                    self.keep(session);
                    return Err(e);
                }
            }
        }
        let session = self.connect()?;
        match session.begin(&self.begin) {
            Ok(()) => Ok(session),
            Err(e) => {
                self.keep(session);
                Err(e)
            }
        }
    }

    fn connect(&self) -> Result<DatabaseSession, DbError> {
        DatabaseSession::connect(&self.access.place, &self.access.tls, SETTINGS)
    }

    /// Keeps a connection whose transaction is not wanted any more.
    fn keep(&mut self, session: DatabaseSession) {
        session.send("ROLLBACK");
        self.session = Some(session);
    }

    /// Ends the transaction of a group: with a commit if it is sound.
    fn end(&mut self, session: DatabaseSession, group: Group, sound: bool) -> End {
        if !sound {
            self.keep(session);
            return End::Failed(group, DbError::RolledBack);
        }
        if session.statements_that_wrote() > 0 || !group.changes.is_empty() {
            self.number += 1;
            let (writer, number) = (self.access.writer, self.number);
            let notify = news::notification(writer, &group.changes);
            match session.batch(&format!("EXECUTE group_commit ({writer}, {number}); {notify}COMMIT")) {
                Ok(()) => self.session = Some(session),
                Err(e) if e.is_lost() => return End::Unknown(group, e),
                Err(e) => {
                    self.keep(session);
                    return End::Failed(group, e);
                }
            }
        } else {
            // There is nothing to be lost.
            self.keep(session);
        }
        self.tell(group);
        End::Told
    }

    fn tell(&self, group: Group) {
        crash_point!(GroupCommitted);
        group.tell(&self.feed);
    }

    /// Finds out whether the last group was committed, however long that takes: then it is told. Returns it if it was not,
    /// and whether the queue was closed.
    fn find_out(
        &mut self,
        group: Group,
        error: &DbError,
        queue: &mut mpsc::Receiver<Queued>,
        mut closed: bool,
    ) -> (Option<Group>, bool) {
        loop {
            match self.was_committed() {
                Ok(true) => {
                    self.tell(group);
                    return (None, closed);
                }
                Ok(false) => return (Some(group), closed),
                Err(_) if closed => {
                    group.refuse(error);
                    return (None, closed);
                }
                Err(_) => closed = self.pause(queue, error),
            }
        }
    }

    fn was_committed(&mut self) -> Result<bool, DbError> {
        // The lock is free once the transaction in question is over, in whichever way.
        let session = self.begin()?;
        let sql = "SELECT number FROM group_commit WHERE writer = ?";
        let number = session
            .rows(sql, &[&self.access.writer])
            .and_then(|rows| rows.first().map(|row| super::values::column::<i64>(row, 0)).transpose());
        self.keep(session);
        Ok(number? == Some(self.number))
    }

    /// Refuses what is queued for a while; returns whether the queue was closed.
    fn pause(&self, queue: &mut mpsc::Receiver<Queued>, error: &DbError) -> bool {
        self.runtime.block_on(async {
            let end = Instant::now() + PAUSE;
            while let Ok(queued) = timeout_at(end, queue.recv()).await {
                match queued {
                    Some(Queued::Change(pending)) => pending.answer(Err(error.clone())),
                    Some(Queued::Close) | None => return true,
                }
            }
            false
        })
    }
}

/// Runs a change, and makes it a member; returns false if the transaction cannot be committed with it.
fn run_member(group: &mut Group, session: &DatabaseSession, mut pending: Box<dyn Pending>) -> bool {
    let written = session.statements_that_wrote();
    let reading = Reading { connection: AnyConnection::Postgres(session) };
    let mut transaction = Transaction { reading, changes: Vec::new() };
    let keeps = pending.run(&mut transaction);
    session.forget_questions();
    if keeps {
        group.changes.append(&mut transaction.changes);
    }
    group.members.push(pending);
    // What a closure wrote before it failed cannot be taken back alone.
    !session.has_failed() && (keeps || written == session.statements_that_wrote())
}
