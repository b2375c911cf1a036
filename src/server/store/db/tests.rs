//! Promises of the seam: on a file and on PostgreSQL, and in memory where they apply there, too.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use futures_util::FutureExt;
use rusqlite::ErrorCode;
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::{Connection, Db, DbError, OpenError, READERS, Reading, SchemaStep, Transaction};
use crate::server::domain::model::JobId;
use crate::server::store::changes::{Change, ChangeFeed, ChangeNotice, Subscription};

#[allow(dead_code)] // what other tests need beyond this
#[path = "../../../../tests/support/skip.rs"]
mod skip;
#[allow(dead_code)]
#[path = "../../../../tests/support/test_database.rs"]
pub(super) mod test_database;

pub(in crate::server::store) use test_database::TestDatabase;

/// Longest wait for what must happen; nothing here takes long.
const DEADLINE: Duration = Duration::from_secs(60);
const STEPS: &[&str] = &[
    "CREATE TABLE kept (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;",
    "CREATE TABLE part (owner INTEGER NOT NULL REFERENCES kept) STRICT;
     CREATE TABLE late_part (owner INTEGER NOT NULL REFERENCES kept DEFERRABLE INITIALLY DEFERRED) STRICT;",
];

pub(super) const POSTGRES_STEPS: &[SchemaStep<'_>] = &[
    SchemaStep { sql: "CREATE TABLE kept (id BIGINT PRIMARY KEY, name TEXT NOT NULL UNIQUE);", readable_from: 1 },
    SchemaStep {
        sql: "CREATE DOMAIN blob AS BYTEA;
              CREATE TABLE part (owner BIGINT NOT NULL REFERENCES kept);
              CREATE TABLE late_part (owner BIGINT NOT NULL REFERENCES kept DEFERRABLE INITIALLY DEFERRED);",
        readable_from: 2,
    },
];

/// Errors of closures: their own, and those of the database.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error(transparent)]
    Db(#[from] DbError),
    #[error("the closure wants it so")]
    Own,
}

pub(super) type Waiting<'a, T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + 'a>>;

/// A database that outlives its connections.
struct Home {
    db: Db,
    feed: ChangeFeed,
    place: Place,
}

enum Place {
    File(TempDir),
    Postgres(TestDatabase),
}

impl Home {
    /// Opens an empty database of each kind that can be tested here.
    async fn all() -> Vec<Self> {
        let File { db, feed, folder } = File::new();
        let mut homes = vec![Self { db, feed, place: Place::File(folder) }];
        homes.extend(Self::on_postgres().await);
        homes
    }

    async fn on_postgres() -> Option<Self> {
        let database = TestDatabase::fresh()?;
        let feed = ChangeFeed::default();
        let db = connect(&database, &feed).await;
        Some(Self { db, feed, place: Place::Postgres(database) })
    }

    /// Whether a change that fails makes its neighbours run again.
    fn runs_neighbours_again(&self) -> bool {
        matches!(self.place, Place::Postgres(_))
    }

    /// Returns the names that another program finds.
    fn kept(&self) -> Vec<String> {
        match &self.place {
            Place::File(folder) => kept(&rusqlite::Connection::open(folder.path().join("db.sqlite")).unwrap()),
            Place::Postgres(database) => database.ask("SELECT name FROM kept ORDER BY id"),
        }
    }
}

/// Connects to a database of PostgreSQL.
pub(super) async fn connect(database: &TestDatabase, feed: &ChangeFeed) -> Db {
    connect_to(database.url().to_owned(), feed).await
}

pub(super) async fn connect_to(url: String, feed: &ChangeFeed) -> Db {
    let feed = feed.clone();
    let connecting = move || Db::connect(&url, POSTGRES_STEPS, feed).unwrap();
    tokio::task::spawn_blocking(connecting).await.unwrap()
}

fn kept(file: &rusqlite::Connection) -> Vec<String> {
    let mut statement = file.prepare("SELECT name FROM kept ORDER BY id").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

/// A database on a file.
struct File {
    db: Db,
    feed: ChangeFeed,
    folder: TempDir,
}

impl File {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let feed = ChangeFeed::default();
        let db = Db::open(&folder.path().join("db.sqlite"), STEPS, feed.clone()).unwrap();
        Self { db, feed, folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("db.sqlite")
    }

    /// Returns the names of all files of the database.
    fn files(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        names.map(|name| name.into_string().unwrap()).collect()
    }

    /// Opens a connection as another program has it.
    fn other(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path()).unwrap()
    }

    /// Returns the names that another program finds in the file.
    fn kept(&self) -> Vec<String> {
        kept(&self.other())
    }
}

/// Runs a test on a file, on PostgreSQL, and in memory.
async fn on_all(test: impl AsyncFn(&Db, &ChangeFeed)) {
    for home in Home::all().await {
        test(&home.db, &home.feed).await;
    }
    let feed = ChangeFeed::default();
    test(&Db::in_memory(STEPS, feed.clone()).unwrap(), &feed).await;
}

pub(super) async fn soon<T>(wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, wait).await.expect("it happens")
}

/// Keeps a name, and publishes its id.
pub(super) fn keep(transaction: &mut Transaction<'_>, name: &str) -> Result<(), DbError> {
    // Ids without a gap, whatever failed before.
    let sql = "INSERT INTO kept (id, name) SELECT coalesce(max(id), 0) + 1, ? FROM kept RETURNING id";
    let id = transaction.value::<JobId>(sql, &[&name])?.unwrap();
    transaction.publish_on_commit([Change::JobChanged(id)]);
    Ok(())
}

pub(super) fn keeping(name: &'static str) -> impl FnMut(&mut Transaction<'_>) -> Result<(), Fault> + Send + 'static {
    move |transaction| Ok(keep(transaction, name)?)
}

/// Like [`keeping`], and counts how often it is run.
pub(super) fn keeping_and_counting(
    name: &'static str,
    runs: &Arc<AtomicUsize>,
) -> impl FnMut(&mut Transaction<'_>) -> Result<(), Fault> + Send + 'static + use<> {
    let runs = Arc::clone(runs);
    move |transaction| {
        runs.fetch_add(1, Ordering::SeqCst);
        Ok(keep(transaction, name)?)
    }
}

pub(super) fn count(reading: &Reading<'_>) -> Result<i64, Fault> {
    Ok(reading.one("SELECT count(*) FROM kept", &[], |row| row.at(0))?)
}

pub(super) async fn names(db: &Db) -> Vec<String> {
    let sql = "SELECT name FROM kept ORDER BY id";
    soon(db.read(move |reading| Ok::<_, Fault>(reading.values(sql, &[])?))).await.unwrap()
}

/// Takes the ids that were published.
pub(super) fn published(subscription: &mut Subscription) -> Vec<i64> {
    let ids = std::iter::from_fn(|| subscription.try_next()).map(|notice| match notice {
        ChangeNotice::Item(Change::JobChanged(id)) => id.get(),
        other => panic!("{other:?}"),
    });
    ids.collect()
}

/// Returns the connection, for what only a test does to it.
fn raw<'a>(transaction: &Transaction<'a>) -> &'a rusqlite::Connection {
    match transaction.reading.connection {
        Connection::Sqlite(connection) => connection,
        Connection::Postgres(_) => panic!("not on a file"),
    }
}

/// Puts a change into the queue, whose writer cannot take or finish it yet.
pub(super) fn queued<'a, T>(change: impl Future<Output = Result<T, Fault>> + 'a) -> Waiting<'a, T> {
    let mut change: Waiting<'a, T> = Box::pin(change);
    assert!(change.as_mut().now_or_never().is_none(), "it waits");
    change
}

/// A change that keeps its name, and stays in its transaction until the gate is opened.
pub(super) struct Gate<'a> {
    change: Waiting<'a, ()>,
    reached: mpsc::Receiver<()>,
    opener: SyncSender<()>,
}

impl<'a> Gate<'a> {
    fn queue(db: &'a Db, name: &'static str) -> Self {
        let (at_gate, reached) = mpsc::channel(1);
        let (opener, opened) = sync_channel::<()>(1);
        let change = queued(db.change(move |transaction| {
            keep(transaction, name)?;
            // Nobody looks a second time, and an open gate stays open.
            let _ = at_gate.try_send(());
            let _ = opened.recv();
            Ok(())
        }));
        Self { change, reached, opener }
    }

    async fn reached(&mut self) {
        soon(self.reached.recv()).await.expect("a closure at its gate");
    }

    /// Holds the writer in a change that keeps `first`, so that others wait.
    pub(super) async fn hold(db: &'a Db) -> Self {
        let mut gate = Self::queue(db, "first");
        gate.reached().await;
        gate
    }

    pub(super) fn open(self) -> Waiting<'a, ()> {
        drop(self.opener);
        self.change
    }
}

/// A read that has made its first query, and waits for a word before its second.
struct SlowRead<'a> {
    read: Waiting<'a, (i64, i64)>,
    opener: SyncSender<()>,
}

impl<'a> SlowRead<'a> {
    async fn begin(db: &'a Db) -> Self {
        let (at_gate, mut reached) = mpsc::channel(1);
        let (opener, opened) = sync_channel::<()>(1);
        let read = queued(db.read(move |reading| {
            let before = count(reading)?;
            let _ = at_gate.try_send(());
            let _ = opened.recv();
            Ok((before, count(reading)?))
        }));
        soon(reached.recv()).await.expect("a closure at its gate");
        Self { read, opener }
    }

    async fn finish(self) -> (i64, i64) {
        drop(self.opener);
        soon(self.read).await.unwrap()
    }
}

fn is_refused_with(outcome: &Result<(), Fault>, code: ErrorCode) -> bool {
    match outcome {
        Err(Fault::Db(DbError::Sqlite(refusal))) => refusal.sqlite_error_code() == Some(code),
        _ => false,
    }
}

#[tokio::test]
async fn a_change_that_was_answered_is_published_and_can_be_read() {
    on_all(async |db, feed| {
        let mut subscription = feed.subscribe();
        soon(db.change(keeping("a"))).await.unwrap();
        assert_eq!(published(&mut subscription), [1]);
        assert_eq!(names(db).await, ["a"]);
    })
    .await;
}

#[tokio::test]
async fn a_change_is_neither_answered_nor_published_nor_seen_before_its_commit() {
    for file in Home::all().await {
        let mut subscription = file.feed.subscribe();
        let first = Gate::hold(&file.db).await;
        let mut second = queued(file.db.change(keeping("second")));
        let mut third = Gate::queue(&file.db, "third");
        let mut first = first.open();
        third.reached().await;
        assert!(first.as_mut().now_or_never().is_none() && second.as_mut().now_or_never().is_none());
        assert!(published(&mut subscription).is_empty());
        assert_eq!(file.kept(), [""; 0]);
        assert_eq!(names(&file.db).await, [""; 0]);
        soon(third.open()).await.unwrap();
        assert_eq!(published(&mut subscription), [1, 2, 3]);
        assert_eq!(file.kept(), ["first", "second", "third"]);
        soon(first).await.unwrap();
        soon(second).await.unwrap();
    }
}

#[tokio::test]
async fn changes_that_wait_share_one_commit_and_each_sees_those_before_it() {
    for file in Home::all().await.into_iter().map(Arc::new) {
        let db = file.db.clone();
        let gate = Gate::hold(&db).await;
        let waiting: Vec<Waiting<'_, i64>> = (0..20)
            .map(|number| {
                let file = Arc::clone(&file);
                queued(db.change(move |transaction| {
                    keep(transaction, &number.to_string())?;
                    assert_eq!(file.kept(), [""; 0], "the commit comes after the last of them");
                    count(transaction)
                }))
            })
            .collect();
        soon(gate.open()).await.unwrap();
        let seen = soon(futures_util::future::join_all(waiting)).await;
        let seen: Vec<i64> = seen.into_iter().collect::<Result<_, _>>().unwrap();
        assert_eq!(seen, (2..22).collect::<Vec<i64>>());
    }
}

#[tokio::test]
async fn a_change_that_fails_keeps_and_publishes_nothing() {
    on_all(async |db, feed| {
        let mut subscription = feed.subscribe();
        let failed = db.change(|transaction| {
            keep(transaction, "failed")?;
            Err::<(), _>(Fault::Own)
        });
        assert!(matches!(soon(failed).await, Err(Fault::Own)));
        soon(db.change(keeping("next"))).await.unwrap();
        assert_eq!(names(db).await, ["next"]);
        assert_eq!(published(&mut subscription), [1]);
    })
    .await;
}

#[tokio::test]
async fn a_change_that_fails_takes_nothing_of_its_neighbours_with_it() {
    for file in Home::all().await {
        let mut subscription = file.feed.subscribe();
        let runs = Arc::new(AtomicUsize::new(0));
        let gate = Gate::hold(&file.db).await;
        let before = queued(file.db.change(keeping_and_counting("before", &runs)));
        let failing = queued(file.db.change(|transaction| {
            keep(transaction, "failed")?;
            Err::<(), _>(Fault::Own)
        }));
        let refused = queued(file.db.change(keeping("before")));
        let after = queued(file.db.change(keeping_and_counting("after", &runs)));
        soon(gate.open()).await.unwrap();
        soon(before).await.unwrap();
        assert!(matches!(soon(failing).await, Err(Fault::Own)));
        let refused = soon(refused).await.unwrap_err();
        assert!(matches!(&refused, Fault::Db(e) if e.is_unique_violation()), "{refused:?}");
        soon(after).await.unwrap();
        assert_eq!(file.kept(), ["first", "before", "after"]);
        assert_eq!(published(&mut subscription), [1, 2, 3]);
        let again = if file.runs_neighbours_again() { 1 } else { 0 };
        assert_eq!(runs.load(Ordering::SeqCst), 2 + again, "once each, and again who shared the transaction");
    }
}

#[tokio::test]
async fn a_panic_in_a_change_fails_its_caller() {
    on_all(async |db, feed| {
        let mut subscription = feed.subscribe();
        let panicking = db.change::<(), Fault>(|transaction| {
            keep(transaction, "lost")?;
            panic!("on purpose");
        });
        let failed = soon(panicking).await.unwrap_err();
        assert!(matches!(&failed, Fault::Db(DbError::Panicked(text)) if text == "on purpose"), "{failed:?}");
        soon(db.change(keeping("next"))).await.unwrap();
        assert_eq!(names(db).await, ["next"]);
        assert_eq!(published(&mut subscription), [1]);
    })
    .await;
}

#[tokio::test]
async fn a_panic_in_a_change_takes_nothing_of_its_neighbours_with_it() {
    for file in Home::all().await {
        let gate = Gate::hold(&file.db).await;
        let before = queued(file.db.change(keeping("before")));
        let panicking = queued(file.db.change::<(), Fault>(|transaction| {
            keep(transaction, "lost")?;
            panic!("on purpose");
        }));
        let after = queued(file.db.change(keeping("after")));
        soon(gate.open()).await.unwrap();
        soon(before).await.unwrap();
        assert!(matches!(soon(panicking).await, Err(Fault::Db(DbError::Panicked(_)))));
        soon(after).await.unwrap();
        assert_eq!(file.kept(), ["first", "before", "after"]);
    }
}

#[tokio::test]
async fn a_panic_in_a_read_fails_its_caller_and_costs_no_connection() {
    for file in Home::all().await {
        for _ in 0..=READERS {
            let panicking = file.db.read::<(), Fault>(|_| panic!("on purpose"));
            assert!(matches!(soon(panicking).await, Err(Fault::Db(DbError::Panicked(_)))));
        }
        assert_eq!(names(&file.db).await, [""; 0]);
    }
}

#[tokio::test]
async fn a_change_that_breaks_the_transaction_fails_alone_and_its_neighbours_are_made_once() {
    let file = File::new();
    let mut subscription = file.feed.subscribe();
    let runs: [Arc<AtomicUsize>; 3] = Default::default();
    let gate = Gate::hold(&file.db).await;
    let before = queued(file.db.change(keeping_and_counting("before", &runs[0])));
    let mut broken = keeping_and_counting("broken", &runs[1]);
    let breaking = queued(file.db.change(move |transaction| {
        broken(transaction)?;
        transaction.execute("ROLLBACK", &[])?;
        Ok(())
    }));
    let after = queued(file.db.change(keeping_and_counting("after", &runs[2])));
    soon(gate.open()).await.unwrap();
    soon(before).await.unwrap();
    assert!(matches!(soon(breaking).await, Err(Fault::Db(DbError::RolledBack))));
    soon(after).await.unwrap();
    assert_eq!(file.kept(), ["first", "before", "after"]);
    assert_eq!(published(&mut subscription), [1, 2, 3]);
    // Together, and then each alone; the last one was not yet taken from the queue.
    assert_eq!(runs.map(|runs| runs.load(Ordering::SeqCst)), [2, 2, 1]);
}

#[tokio::test]
async fn a_change_that_breaks_the_transaction_and_fails_hears_its_own_error() {
    let file = File::new();
    let gate = Gate::hold(&file.db).await;
    let breaking = queued(file.db.change(|transaction| {
        keep(transaction, "broken")?;
        transaction.execute("ROLLBACK", &[])?;
        Err::<(), _>(Fault::Own)
    }));
    soon(gate.open()).await.unwrap();
    assert!(matches!(soon(breaking).await, Err(Fault::Own)));
    assert_eq!(file.kept(), ["first"]);
}

#[tokio::test]
async fn a_change_that_cannot_be_committed_fails_alone() {
    for file in Home::all().await {
        let gate = Gate::hold(&file.db).await;
        let before = queued(file.db.change(keeping("before")));
        let dangling = queued(file.db.change(|transaction| {
            keep(transaction, "dangling")?;
            transaction.execute("INSERT INTO late_part VALUES (99)", &[])?;
            Ok(())
        }));
        let after = queued(file.db.change(keeping("after")));
        soon(gate.open()).await.unwrap();
        soon(before).await.unwrap();
        let refused = soon(dangling).await.unwrap_err();
        assert!(matches!(&refused, Fault::Db(e) if e.is_foreign_key_violation()), "{refused:?}");
        soon(after).await.unwrap();
        assert_eq!(file.kept(), ["first", "before", "after"]);
    }
}

#[tokio::test]
async fn a_row_that_refers_to_nothing_is_refused_even_where_its_id_is_asked_for() {
    on_all(async |db, _| {
        let sql = "INSERT INTO part VALUES (99) RETURNING owner";
        let refused = soon(db.change(move |transaction| transaction.value::<i64>(sql, &[]))).await.unwrap_err();
        assert!(refused.is_foreign_key_violation() && !refused.is_unique_violation(), "{refused:?}");
    })
    .await;
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_undo_its_change() {
    for file in Home::all().await {
        let mut subscription = file.feed.subscribe();
        let gate = Gate::hold(&file.db).await;
        drop(queued(file.db.change(keeping("nobody waits"))));
        soon(gate.open()).await.unwrap();
        assert_eq!(file.kept(), ["first", "nobody waits"]);
        assert_eq!(published(&mut subscription), [1, 2]);
    }
}

#[tokio::test]
async fn a_read_whose_caller_goes_away_gives_its_connection_back() {
    for file in Home::all().await {
        let mut openers = Vec::new();
        for _ in 0..READERS {
            let slow = SlowRead::begin(&file.db).await;
            openers.push(slow.opener);
        }
        let mut next = queued(file.db.read(count));
        assert!(next.as_mut().now_or_never().is_none(), "all connections are taken");
        drop(openers);
        assert_eq!(soon(next).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_reader_cannot_write() {
    for file in Home::all().await {
        let sql = "INSERT INTO kept VALUES (1, 'written') RETURNING id";
        let writing = file.db.read(move |reading| Ok(reading.value::<i64>(sql, &[])?));
        let refused = soon(writing).await.map(drop);
        let as_postgres = matches!(&refused, Err(Fault::Db(e @ DbError::Postgres(_))) if !e.is_lost());
        assert!(as_postgres || is_refused_with(&refused, ErrorCode::ReadOnly), "{refused:?}");
        assert_eq!(names(&file.db).await, [""; 0]);
    }
}

#[tokio::test]
async fn queries_of_one_read_see_one_state_while_changes_are_committed() {
    for file in Home::all().await {
        let slow = SlowRead::begin(&file.db).await;
        soon(file.db.change(keeping("meanwhile"))).await.unwrap();
        assert_eq!(names(&file.db).await, ["meanwhile"], "another read sees it");
        assert_eq!(slow.finish().await, (0, 0));
        assert_eq!(names(&file.db).await, ["meanwhile"]);
    }
}

#[tokio::test]
async fn all_who_wait_are_refused_while_another_program_holds_the_lock() {
    let file = File::new();
    let impatient = file.db.change(|transaction| raw(transaction).busy_timeout(Duration::ZERO).map_err(DbError::from));
    soon(impatient).await.unwrap();
    let other = file.other();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let runs = Arc::new(AtomicUsize::new(0));
    let refused = ["a", "b", "c", "d"].map(|name| file.db.change(keeping_and_counting(name, &runs)));
    for outcome in soon(futures_util::future::join_all(refused)).await {
        assert!(is_refused_with(&outcome, ErrorCode::DatabaseBusy), "{outcome:?}");
    }
    assert_eq!(runs.load(Ordering::SeqCst), 0);
    other.execute_batch("COMMIT").unwrap();
    soon(file.db.change(keeping("next"))).await.unwrap();
    assert_eq!(file.kept(), ["next"]);
}

async fn limit_pages(db: &Db, spare: i64) {
    let limiting = db.change(move |transaction| {
        let pages: i64 = transaction.one("PRAGMA page_count", &[], |row| row.at(0))?;
        raw(transaction).pragma_update(None, "max_page_count", pages + spare).map_err(DbError::from)
    });
    soon(limiting).await.unwrap();
}

#[tokio::test]
async fn a_change_for_which_there_is_no_room_fails_alone() {
    let file = File::new();
    limit_pages(&file.db, 0).await;
    // Not `keep`: without an id to return, SQLite rolls the whole transaction back by itself.
    let long = |transaction: &mut Transaction<'_>| {
        transaction.execute("INSERT INTO kept (name) VALUES (?)", &[&"x".repeat(100_000)])?;
        Ok::<_, Fault>(())
    };
    let gate = Gate::hold(&file.db).await;
    let before = queued(file.db.change(keeping("before")));
    let too_long = queued(file.db.change(long));
    let after = queued(file.db.change(keeping("after")));
    soon(gate.open()).await.unwrap();
    soon(before).await.unwrap();
    let refused = soon(too_long).await;
    assert!(is_refused_with(&refused, ErrorCode::DiskFull), "{refused:?}");
    soon(after).await.unwrap();
    let again = soon(file.db.change(long)).await;
    assert!(is_refused_with(&again, ErrorCode::DiskFull), "{again:?}");
    limit_pages(&file.db, 1000).await;
    soon(file.db.change(keeping("small"))).await.unwrap();
    assert_eq!(file.kept(), ["first", "before", "after", "small"]);
    soon(file.db.change(long)).await.unwrap();
}

#[tokio::test]
async fn close_finishes_what_is_queued_and_leaves_one_file() {
    let file = File::new();
    let gate = Gate::hold(&file.db).await;
    let before = queued(file.db.change(keeping("before")));
    let mut closing = Box::pin(file.db.close());
    assert!(closing.as_mut().now_or_never().is_none(), "the writer is held");
    let too_late = queued(file.db.change(keeping("too late")));
    soon(gate.open()).await.unwrap();
    soon(before).await.unwrap();
    soon(closing).await;
    assert!(matches!(soon(too_late).await, Err(Fault::Db(DbError::Closed))));
    assert_eq!(file.files(), ["db.sqlite"], "no log is left");
    assert_eq!(file.kept(), ["first", "before"]);
    assert!(matches!(soon(file.db.change(keeping("later"))).await, Err(Fault::Db(DbError::Closed))));
    assert!(matches!(soon(file.db.read(count)).await, Err(Fault::Db(DbError::Closed))));
    soon(file.db.close()).await;
}

#[tokio::test]
async fn close_waits_for_reads() {
    let file = File::new();
    let slow = SlowRead::begin(&file.db).await;
    let mut closing = Box::pin(file.db.close());
    assert!(closing.as_mut().now_or_never().is_none(), "a read goes on");
    assert_eq!(slow.finish().await, (0, 0));
    soon(closing).await;
    assert_eq!(file.files(), ["db.sqlite"], "its connection is closed, too");
}

#[tokio::test]
async fn values_are_read_as_they_were_bound() {
    on_all(async |db, _| {
        let read = db.read(|reading| {
            let sql =
                "SELECT CAST(? AS BIGINT), CAST(? AS TEXT), CAST(? AS BLOB), CAST(? AS BIGINT), CAST(? AS BIGINT)";
            let (number, text) = (i64::MIN, "a\0\u{1f600}".to_owned());
            reading.one(sql, &[&number, &text, &[0_u8, 255].as_slice(), &true, &None::<i64>], |row| {
                let others = (row.at::<bool>(3)?, row.at::<Option<i64>>(4)?);
                Ok::<_, Fault>((row.at::<i64>(0)?, row.at::<String>(1)?, row.at::<Vec<u8>>(2)?, others))
            })
        });
        let expected = (i64::MIN, "a\0\u{1f600}".to_owned(), vec![0, 255], (true, None));
        assert_eq!(soon(read).await.unwrap(), expected);
    })
    .await;
}

#[tokio::test]
async fn a_column_that_is_not_as_it_was_written_is_refused_by_its_name() {
    on_all(async |db, _| {
        for value in ["'text'", "NULL", "1.5", "256", "-1", "x'00'"] {
            let sql = format!("SELECT {value} AS small");
            let read = db.read(move |reading| reading.one(&sql, &[], |row| row.get::<u8>("small")));
            let refused = soon(read).await.unwrap_err();
            assert!(matches!(&refused, DbError::Strange(name) if name == "small"), "{value}: {refused:?}");
        }
        let no_text = db.read(|reading| reading.row("SELECT 1 AS name", &[], |row| row.text("name").map(drop)));
        assert!(matches!(soon(no_text).await, Err(DbError::Strange(name)) if name == "name"));
        let missing = db.read(|reading| reading.one("SELECT 1 WHERE FALSE", &[], |row| row.at::<i64>(0)));
        assert!(matches!(soon(missing).await, Err(DbError::Strange(_))));
    })
    .await;
}

#[tokio::test]
async fn rows_are_read_until_enough_are() {
    on_all(async |db, _| {
        let mut read_rows = Vec::new();
        let read = db.read(move |reading| {
            reading.each("SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 ORDER BY 1", &[], |row| {
                read_rows.push(row.at::<i64>(0)?);
                Ok::<_, DbError>(read_rows.len() < 2)
            })?;
            Ok::<_, DbError>(read_rows)
        });
        assert_eq!(soon(read).await.unwrap(), [1, 2]);
    })
    .await;
}

#[test]
fn a_file_gets_the_steps_that_it_lacks_and_one_of_a_later_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db.sqlite");
    let open = |steps: &[&str]| Db::open(&path, steps, ChangeFeed::default());
    for known in [1, 2, 2] {
        open(&STEPS[..known]).unwrap();
    }
    let refused = open(&STEPS[..1]).unwrap_err();
    assert!(matches!(refused, OpenError::Newer { found: 2, known: 1 }), "{refused:?}");
}

#[test]
fn a_step_that_fails_leaves_the_file_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db.sqlite");
    let steps = ["CREATE TABLE half (id INTEGER); INSERT INTO nowhere VALUES (1);"];
    Db::open(&path, &steps, ChangeFeed::default()).unwrap_err();
    let whole = ["CREATE TABLE half (id INTEGER);"];
    Db::open(&path, &whole, ChangeFeed::default()).unwrap();
}
