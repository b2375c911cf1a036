//! A connection to PostgreSQL that one thread uses: it executes statements, and waits for each on this thread, without a
//! task beside it.

mod copy;
mod unanswered;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::TryStreamExt;
use futures_util::future::try_join;
use tokio::runtime::Runtime;
use tokio_postgres::{Client, Connection, Row, Socket, Statement};

pub use copy::CopyOut;

use super::failure::Failure;
use super::place::{CONNECTING, Place};
use super::sql::{Writes, rewrite};
use super::tls::{Stream, Tls};
use super::values::Bound;
use crate::server::store::db::value::OwnedValue;
use crate::server::store::db::{Argument, DbError, DbRow, EngineRow};
use unanswered::{MOST, Part, Questions, Unanswered};

/// Longest wait for an answer: beyond it, PostgreSQL counts as out of reach, though the connection stands.
const ANSWER: Duration = Duration::from_secs(30);
/// Number of statements that each connection keeps prepared.
const STATEMENTS: usize = 1024;
/// Number of rows that are first asked for of a long list, and thereafter at most.
const ROWS: (usize, usize) = (64, 4096);
/// Bytes that rows of a long list take at a time, about.
const PIECE: usize = 256 * 1024;

/// A connection, and what is prepared on it.
pub struct DatabaseSession {
    place: Arc<str>,
    client: Arc<Client>,
    wire: RefCell<Wire>,
    unanswered: RefCell<Unanswered>,
    asked: RefCell<Questions>,
    statements: RefCell<HashMap<String, Arc<Prepared>>>,
    cursors: Cell<usize>,
    wrote: Cell<usize>,
    failed: Cell<bool>,
    begin_failure: RefCell<Option<DbError>>,
}

/// Socket, and what waits for it.
struct Wire {
    runtime: Option<Runtime>,
    connection: Connection<Socket, Stream>,
    cut: bool,
}

struct Prepared {
    statement: Statement,
    writes: Writes,
}

impl fmt::Debug for DatabaseSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseSession").field("place", &self.place).finish_non_exhaustive()
    }
}

impl DatabaseSession {
    /// Connects, and executes the statements that set the session up.
    ///
    /// # Errors
    /// If PostgreSQL cannot be reached or refuses the connection, or there is no room for the client.
    pub fn connect(place: &Place, tls: &Tls, settings: &str) -> Result<Self, DbError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| DbError::Thread(Arc::new(e)))?;
        let connecting = place.config.connect(tls.clone());
        let connected = runtime.block_on(async { tokio::time::timeout(CONNECTING, connecting).await });
        let name = place.name();
        let (client, connection) = match connected {
            Ok(Ok(connected)) => connected,
            Ok(Err(cause)) => return Err(Failure::of(name, cause, true).into()),
            Err(_) => return Err(Failure::silent(name, CONNECTING).into()),
        };
        let session = Self {
            place: Arc::clone(name),
            client: Arc::new(client),
            unanswered: RefCell::default(),
            asked: RefCell::default(),
            wire: RefCell::new(Wire { runtime: Some(runtime), connection, cut: false }),
            statements: RefCell::default(),
            cursors: Cell::new(0),
            wrote: Cell::new(0),
            failed: Cell::new(false),
            begin_failure: RefCell::default(),
        };
        session.batch(settings)?;
        Ok(session)
    }

    /// Returns whether the connection still stands, as far as is known without a word to the server.
    pub fn is_alive(&self) -> bool {
        let Wire { runtime, connection, cut } = &mut *self.wire.borrow_mut();
        if let Some(runtime) = runtime {
            runtime.block_on(async {
                // Lets the runtime look at the socket.
                tokio::task::yield_now().await;
                poll_fn(|cx| {
                    *cut = *cut || end_of(connection, cx).is_some();
                    Poll::Ready(())
                })
                .await;
            });
        }
        !*cut
    }

    /// Begins a transaction with these statements.
    ///
    /// # Errors
    /// If a statement fails.
    pub fn begin(&self, sql: &str) -> Result<(), DbError> {
        self.forget_transaction();
        self.batch(sql)
    }

    /// Begins a transaction together with the first statement that comes next, which fails if this does.
    pub fn begin_unanswered(&self, sql: &str) {
        self.forget_transaction();
        let (client, sql) = (Arc::clone(&self.client), sql.to_owned());
        let answer = async move { client.batch_execute(&sql).await };
        self.unanswered.borrow_mut().push(Part::Begin, Box::pin(answer));
    }

    /// Returns why the transaction did not begin, once a statement found out.
    pub fn begin_failure(&self) -> Option<DbError> {
        self.begin_failure.borrow().clone()
    }

    fn forget_transaction(&self) {
        self.wrote.set(0);
        self.failed.set(false);
        self.begin_failure.take();
        self.unanswered.borrow_mut().clear();
        self.forget_questions();
    }

    /// Returns the number of statements of the transaction that wrote, as far as their text tells.
    pub fn statements_that_wrote(&self) -> usize {
        self.wrote.get()
    }

    /// Returns whether a statement of the transaction failed, after which PostgreSQL takes no other.
    pub fn has_failed(&self) -> bool {
        self.failed.get()
    }

    /// Executes statements as they are.
    ///
    /// # Errors
    /// If one of them fails.
    pub fn batch(&self, sql: &str) -> Result<(), DbError> {
        self.wait(self.client.batch_execute(sql), Some(ANSWER))
    }

    /// Like [`DatabaseSession::batch`], and waits as long as it takes.
    ///
    /// # Errors
    /// If one of them fails.
    pub fn batch_without_deadline(&self, sql: &str) -> Result<(), DbError> {
        self.wait(self.client.batch_execute(sql), None)
    }

    /// Sends statements, and does not wait for the outcome.
    pub fn send(&self, sql: &str) {
        let mut answer = pin!(self.client.batch_execute(sql));
        let Wire { runtime: Some(runtime), connection, cut } = &mut *self.wire.borrow_mut() else { return };
        runtime.block_on(poll_fn(|cx| {
            // Queued by the first look, and written by the second.
            let _ = answer.as_mut().poll(cx);
            *cut = *cut || end_of(connection, cx).is_some();
            Poll::Ready(())
        }));
    }

    /// Executes a statement, and returns all of its rows.
    ///
    /// # Errors
    /// If the statement fails.
    pub fn rows(&self, sql: &str, arguments: &[&dyn Argument]) -> Result<Vec<Row>, DbError> {
        if let Some(asked) = self.asked.borrow_mut().take(sql, arguments)
            && !self.failed.get()
        {
            return self.noticing_failure(|| self.wait(asked.answer(), Some(ANSWER)));
        }
        let prepared = self.prepared(sql, None)?;
        self.noticing_failure(|| {
            let rows = async {
                let rows = self.client.query_raw(&prepared.statement, bound(arguments)).await?;
                rows.try_collect().await
            };
            self.wait(rows, Some(ANSWER))
        })
    }

    /// Asks a question together with the next statement that is waited for. Its answer is there when it is asked again with
    /// the same arguments, unless a table that it reads was written in between.
    pub fn ask_ahead(&self, sql: &str, arguments: &[&dyn Argument]) {
        // Where it cannot be asked, it will fail when its answer is wanted.
        if self.unanswered.borrow().len() >= MOST || self.asked.borrow().has(sql, arguments) {
            return;
        }
        let Ok(prepared) = self.prepared(sql, None) else { return };
        if prepared.writes != Writes::Nothing {
            return;
        }
        let values = owned(arguments);
        let asked = self.asked.borrow_mut().add(sql, values.clone());
        let client = Arc::clone(&self.client);
        let answer = async move {
            let bound = values.iter().map(|value| Bound(value.value()));
            let rows = client.query_raw(&prepared.statement, bound).await?.try_collect().await?;
            asked.set(rows);
            Ok(())
        };
        self.unanswered.borrow_mut().push(Part::Other, Box::pin(answer));
    }

    /// Forgets the questions that were asked ahead, because their answers may be out of date.
    pub fn forget_questions(&self) {
        self.asked.borrow_mut().clear();
    }

    /// Executes a statement, and returns the number of rows that it changed.
    ///
    /// # Errors
    /// If the statement fails.
    pub fn execute(&self, sql: &str, arguments: &[&dyn Argument]) -> Result<u64, DbError> {
        let prepared = self.prepared(sql, None)?;
        self.noticing_failure(|| {
            self.wait(self.client.execute_raw(&prepared.statement, bound(arguments)), Some(ANSWER))
        })
    }

    /// Executes a statement together with the next one that is waited for, or with the commit. If it fails, these do.
    ///
    /// # Errors
    /// If it cannot be sent.
    pub fn write(&self, sql: &str, arguments: &[&dyn Argument]) -> Result<(), DbError> {
        if self.unanswered.borrow().len() >= MOST {
            return self.execute(sql, arguments).map(drop);
        }
        let prepared = self.prepared(sql, None)?;
        let (client, values) = (Arc::clone(&self.client), owned(arguments));
        let answer = async move {
            client.execute_raw(&prepared.statement, values.iter().map(|value| Bound(value.value()))).await.map(drop)
        };
        self.unanswered.borrow_mut().push(Part::Other, Box::pin(answer));
        Ok(())
    }

    /// Reads the rows of a query one by one, a piece of them at a time, until `read` returns false. Between the pieces,
    /// the connection is free for the statements of `read`.
    ///
    /// # Errors
    /// If the statement fails, or `read` does.
    pub fn each<E: From<DbError>>(
        &self,
        sql: &str,
        arguments: &[&dyn Argument],
        mut read: impl FnMut(&DbRow<'_>) -> Result<bool, E>,
    ) -> Result<(), E> {
        // One that is read within another's callback has a name of its own.
        let depth = self.cursors.replace(self.cursors.get() + 1);
        let cursor = Cursor { session: self, name: format!("list_{depth}") };
        let mut piece = ROWS.0;
        let mut rows = cursor.open(sql, arguments, piece)?;
        loop {
            for row in &rows {
                if !read(&DbRow { row: EngineRow::Postgres(row) })? {
                    return Ok(());
                }
            }
            if rows.len() < piece {
                return Ok(());
            }
            let bytes: usize = rows.iter().map(Row::raw_size_bytes).sum();
            piece = (PIECE * rows.len() / bytes.max(1)).clamp(ROWS.0 / 4, ROWS.1);
            rows = cursor.fetch(piece)?;
        }
    }

    /// Returns a statement that is prepared; where a cursor is named, one that declares it.
    fn prepared(&self, sql: &str, cursor: Option<&str>) -> Result<Arc<Prepared>, DbError> {
        if self.failed.get() {
            return Err(DbError::RolledBack);
        }
        let key = cursor.map(|name| format!("{name} {sql}"));
        let key = key.as_deref().unwrap_or(sql);
        let known = self.statements.borrow().get(key).map(Arc::clone);
        let prepared = match known {
            Some(prepared) => prepared,
            None => self.noticing_failure(|| self.prepare(key, sql, cursor))?,
        };
        if prepared.writes != Writes::Nothing {
            self.wrote.set(self.wrote.get() + 1);
            self.asked.borrow_mut().forget(&prepared.writes);
        }
        Ok(prepared)
    }

    fn prepare(&self, key: &str, sql: &str, cursor: Option<&str>) -> Result<Arc<Prepared>, DbError> {
        let rewritten = rewrite(sql);
        let text = match cursor {
            Some(name) => format!("DECLARE {name} NO SCROLL CURSOR FOR {}", rewritten.text),
            None => rewritten.text,
        };
        let statement = self.wait(self.client.prepare(&text), Some(ANSWER))?;
        let prepared = Arc::new(Prepared { statement, writes: rewritten.writes });
        let mut statements = self.statements.borrow_mut();
        if statements.len() == STATEMENTS {
            statements.clear();
        }
        statements.insert(key.to_owned(), Arc::clone(&prepared));
        Ok(prepared)
    }

    fn noticing_failure<T>(&self, run: impl FnOnce() -> Result<T, DbError>) -> Result<T, DbError> {
        run().inspect_err(|_| {
            self.failed.set(true);
            // One that does not fit its table any more fails each time.
            self.statements.borrow_mut().clear();
        })
    }

    /// Waits for an answer, while this thread reads and writes the socket.
    fn wait<T>(
        &self,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
        patience: Option<Duration>,
    ) -> Result<T, DbError> {
        let mut answer = pin!(answer);
        let wire = &mut *self.wire.borrow_mut();
        let Wire { runtime: Some(runtime), connection, cut } = wire else { return Err(DbError::Closed) };
        let unanswered = &mut *self.unanswered.borrow_mut();
        let answered = poll_fn(|cx| {
            // What is asked is queued by the first look, and sent by the second. An answer before the end is one.
            let mut answered = answer.as_mut().poll(cx);
            let end = if answered.is_pending() && !*cut { end_of(connection, cx) } else { None };
            // PostgreSQL answers in order: what was asked before has its answer by now, if this has.
            unanswered.poll(cx);
            if answered.is_pending() {
                answered = answer.as_mut().poll(cx);
            }
            *cut |= end.is_some();
            match (answered, end) {
                (Poll::Ready(answer), _) => Poll::Ready(answer.map_err(Some)),
                (Poll::Pending, Some(cause)) => Poll::Ready(Err(cause)),
                (Poll::Pending, None) if *cut => Poll::Ready(Err(None)),
                (Poll::Pending, None) => Poll::Pending,
            }
        });
        let answered = runtime.block_on(async {
            match patience {
                Some(patience) => tokio::time::timeout(patience, answered).await.map_err(|_| patience),
                None => Ok(answered.await),
            }
        });
        let (part, failure) = match (unanswered.take_failure(), answered) {
            (Some((part, cause)), _) => (part, Failure::of(&self.place, cause, *cut)),
            (None, Ok(Ok(answer))) => return Ok(answer),
            (None, Ok(Err(Some(cause)))) => (Part::Other, Failure::of(&self.place, cause, *cut)),
            (None, Ok(Err(None))) => (Part::Other, Failure::Cut { place: Arc::clone(&self.place) }),
            (None, Err(patience)) => (Part::Other, Failure::silent(&self.place, patience)),
        };
        // Whatever comes after that is no answer to the next question.
        *cut |= failure.is_lost();
        let failure = DbError::from(failure);
        if part == Part::Begin {
            self.begin_failure.replace(Some(failure.clone()));
        }
        Err(failure)
    }
}

impl Drop for DatabaseSession {
    fn drop(&mut self) {
        // A runtime that is dropped in a task of another one would panic.
        self.wire.get_mut().runtime.take().map(Runtime::shutdown_background).unwrap_or_default();
    }
}

/// Reads and writes what there is; returns the reason why the connection is over, once it is.
fn end_of(connection: &mut Connection<Socket, Stream>, cx: &mut Context<'_>) -> Option<Option<tokio_postgres::Error>> {
    loop {
        match connection.poll_message(cx) {
            // Notices, which the log of PostgreSQL has, too.
            Poll::Ready(Some(Ok(_))) => {}
            Poll::Ready(Some(Err(cause))) => return Some(Some(cause)),
            Poll::Ready(None) => return Some(None),
            Poll::Pending => return None,
        }
    }
}

fn owned(arguments: &[&dyn Argument]) -> Vec<OwnedValue> {
    arguments.iter().map(|argument| OwnedValue::of(*argument)).collect()
}

fn bound<'a>(arguments: &'a [&'a dyn Argument]) -> impl ExactSizeIterator<Item = Bound<'a>> {
    arguments.iter().map(|argument| Bound(argument.value()))
}

/// A cursor of PostgreSQL. Dropped, it is closed.
struct Cursor<'s> {
    session: &'s DatabaseSession,
    name: String,
}

impl Cursor<'_> {
    /// Declares the cursor and reads its first rows, in one round trip.
    fn open(&self, sql: &str, arguments: &[&dyn Argument], rows: usize) -> Result<Vec<Row>, DbError> {
        let Self { session, name } = self;
        let declare = session.prepared(sql, Some(name))?;
        let fetch = fetch(name, rows);
        session.noticing_failure(|| {
            let client = &session.client;
            let declared = client.execute_raw(&declare.statement, bound(arguments));
            let (_, rows) = session.wait(try_join(declared, client.query_typed(&fetch, &[])), Some(ANSWER))?;
            Ok(rows)
        })
    }

    fn fetch(&self, rows: usize) -> Result<Vec<Row>, DbError> {
        let Self { session, name } = self;
        if session.failed.get() {
            return Err(DbError::RolledBack);
        }
        let fetch = fetch(name, rows);
        session.noticing_failure(|| session.wait(session.client.query_typed(&fetch, &[]), Some(ANSWER)))
    }
}

impl Drop for Cursor<'_> {
    fn drop(&mut self) {
        self.session.cursors.set(self.session.cursors.get() - 1);
        // A transaction that failed has none any more.
        if !self.session.failed.get() {
            self.session.send(&format!("CLOSE {}", self.name));
        }
    }
}

fn fetch(name: &str, rows: usize) -> String {
    format!("FETCH {rows} FROM {name}")
}
