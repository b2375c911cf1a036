//! Promises of the engine that SQLite need not keep: several servers at one database, and a database that goes away.

mod proxy;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use tokio::sync::broadcast;

use crate::server::domain::model::JobId;
use crate::server::store::changes::{Change, ChangeFeed, ChangeNotice, Subscription};
use crate::server::store::db::tests::test_database::{TestDatabase, TestPostgres};
use crate::server::store::db::tests::{
    Fault, Gate, POSTGRES_STEPS, connect, connect_to, keep, keeping, keeping_and_counting, names, published, queued,
    soon,
};
use crate::server::store::db::{Db, DbError, OpenError, READERS, Reading, SchemaStep};
use proxy::{Loss, Proxy};

/// A database with two servers at it.
struct Two {
    database: TestDatabase,
    dbs: [Db; 2],
    feeds: [ChangeFeed; 2],
}

impl Two {
    async fn new() -> Option<Self> {
        let database = TestDatabase::fresh()?;
        let feeds = [ChangeFeed::default(), ChangeFeed::default()];
        let dbs = [connect(&database, &feeds[0]).await, connect(&database, &feeds[1]).await];
        Some(Self { database, dbs, feeds })
    }
}

/// A database with a proxy before it.
struct Proxied {
    database: TestDatabase,
    proxy: Proxy,
    db: Db,
    feed: ChangeFeed,
}

impl Proxied {
    async fn new() -> Option<Self> {
        let database = TestDatabase::fresh()?;
        let proxy = Proxy::start(&database.socket());
        let url = database.url().replace(&quoted(&database.socket()), &quoted(&proxy.socket()));
        let feed = ChangeFeed::default();
        let db = connect_to(url, &feed).await;
        soon(db.change(keeping("before"))).await.unwrap();
        Some(Self { database, proxy, db, feed })
    }

    fn kept(&self) -> Vec<String> {
        self.database.ask("SELECT name FROM kept ORDER BY id")
    }
}

/// Returns the folder of a socket as it stands in a URL.
fn quoted(socket: &std::path::Path) -> String {
    socket.parent().unwrap().display().to_string().replace('/', "%2F")
}

async fn next_ids(subscription: &mut Subscription, number: usize) -> Vec<i64> {
    let mut ids = Vec::new();
    while ids.len() < number {
        match soon(subscription.next()).await {
            ChangeNotice::Item(Change::JobChanged(id)) => ids.push(id.get()),
            other => panic!("{other:?}"),
        }
    }
    ids
}

async fn next_message(messages: &mut broadcast::Receiver<Arc<str>>) -> String {
    soon(messages.recv()).await.unwrap().to_string()
}

fn is_lost(outcome: &Result<(), Fault>) -> bool {
    matches!(outcome, Err(Fault::Db(DbError::Postgres(failure))) if failure.is_lost() && failure.is_outage())
}

#[tokio::test]
async fn two_servers_never_decide_on_the_same_state() {
    let Some(two) = Two::new().await else { return };
    soon(two.dbs[0].change(|transaction| transaction.execute("INSERT INTO kept VALUES (0, 'counter')", &[])))
        .await
        .unwrap();
    let add_one = |db: &Db| {
        let db = db.clone();
        tokio::spawn(async move {
            db.change(|transaction| {
                let id: i64 = transaction.one("SELECT id FROM kept", &[], |row| row.at(0))?;
                transaction.execute("UPDATE kept SET id = ?", &[&(id + 1)])
            })
            .await
        })
    };
    let added = (0..400).map(|number| add_one(&two.dbs[number % 2]));
    for added in soon(join_all(added)).await {
        assert_eq!(added.unwrap().unwrap(), 1);
    }
    assert_eq!(two.database.ask("SELECT id FROM kept"), ["400"]);
}

#[tokio::test]
async fn a_server_hears_what_the_other_commits_and_its_own_changes_once() {
    let Some(two) = Two::new().await else { return };
    let mut heard = two.feeds.each_ref().map(ChangeFeed::subscribe);
    soon(two.dbs[0].change(keeping("a"))).await.unwrap();
    soon(two.dbs[1].change(keeping("b"))).await.unwrap();
    soon(two.dbs[0].change(keeping("c"))).await.unwrap();
    assert_eq!(next_ids(&mut heard[1], 3).await, [1, 2, 3]);
    let mut first = next_ids(&mut heard[0], 3).await;
    first.sort_unstable();
    assert_eq!(first, [1, 2, 3]);
    // Whatever came twice would come before this.
    two.dbs[1].send_message("last".to_owned());
    assert_eq!(next_message(&mut two.dbs[0].messages()).await, "last");
    assert!(published(&mut heard[0]).is_empty() && published(&mut heard[1]).is_empty());
}

#[tokio::test]
async fn what_the_other_commits_can_be_read_once_it_is_heard() {
    let Some(two) = Two::new().await else { return };
    let mut heard = two.feeds[1].subscribe();
    for (name, id) in [("a", 1), ("b", 2), ("c", 3)] {
        soon(two.dbs[0].change(keeping(name))).await.unwrap();
        assert_eq!(next_ids(&mut heard, 1).await, [id]);
        assert_eq!(names(&two.dbs[1]).await.last().unwrap(), name);
    }
}

#[tokio::test]
async fn more_changes_than_a_notification_takes_are_missed_by_the_other_server_alone() {
    let Some(two) = Two::new().await else { return };
    let mut heard = two.feeds.each_ref().map(ChangeFeed::subscribe);
    let id = JobId::new(i64::MAX).unwrap();
    let many = two.dbs[0].change(move |transaction| {
        transaction.publish_on_commit([Change::JobChanged(id); 1_000]);
        Ok::<_, Fault>(())
    });
    soon(many).await.unwrap();
    assert_eq!(next_ids(&mut heard[0], 1_000).await.len(), 1_000);
    assert_eq!(soon(heard[1].next()).await, ChangeNotice::Missed);
}

#[tokio::test]
async fn messages_reach_the_other_servers_in_order_and_not_their_sender() {
    let Some(two) = Two::new().await else { return };
    let mut heard = two.dbs.each_ref().map(Db::messages);
    let sent: Vec<String> = (0..500).map(|number| format!("message {number} 'quoted' {}", "x".repeat(100))).collect();
    sent.iter().for_each(|message| two.dbs[0].send_message(message.clone()));
    for expected in &sent {
        assert_eq!(&next_message(&mut heard[1]).await, expected);
    }
    two.dbs[1].send_message("back".to_owned());
    assert_eq!(next_message(&mut heard[0]).await, "back");
}

/// Many times as many as wait at once.
#[tokio::test]
async fn of_many_messages_that_are_sent_in_turn_none_is_missed_and_others_have_room_beside_them() {
    const MANY: usize = 3_000;
    let Some(two) = Two::new().await else { return };
    let mut heard = two.dbs[1].messages();
    for number in 0..MANY {
        soon(two.dbs[0].await_message_room()).await;
        two.dbs[0].send_message(number.to_string());
        if number % 100 == 0 {
            (0..100).for_each(|_| two.dbs[0].send_message("beside".to_owned()));
        }
    }
    let mut next = 0;
    while next < MANY {
        match &*next_message(&mut heard).await {
            "beside" => {}
            message => {
                assert_eq!(message, next.to_string());
                next += 1;
            }
        }
    }
}

#[tokio::test]
async fn what_a_server_says_right_before_it_closes_is_heard() {
    let Some(two) = Two::new().await else { return };
    let mut heard = two.dbs[1].messages();
    two.dbs[0].send_message("farewell".to_owned());
    soon(two.dbs[0].close()).await;
    assert_eq!(next_message(&mut heard).await, "farewell");
}

#[tokio::test]
async fn a_message_that_is_too_long_is_told_as_missed() {
    let Some(two) = Two::new().await else { return };
    let mut heard = two.dbs[1].messages();
    two.dbs[0].send_message("x".repeat(8_000));
    assert_eq!(next_message(&mut heard).await, "missed");
}

#[tokio::test]
async fn a_server_whose_listening_is_cut_knows_that_it_missed_something() {
    let Some(two) = Two::new().await else { return };
    let (mut heard, mut messages) = (two.feeds[1].subscribe(), two.dbs[1].messages());
    let listening = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                     WHERE datname = current_database() AND query LIKE 'LISTEN %'";
    assert_eq!(two.database.ask(listening), ["t", "t"]);
    assert_eq!(soon(heard.next()).await, ChangeNotice::Missed);
    assert_eq!(next_message(&mut messages).await, "missed");
    soon(two.dbs[0].change(keeping("after"))).await.unwrap();
    assert_eq!(next_ids(&mut heard, 1).await, [1]);
}

#[tokio::test]
async fn a_server_that_hangs_in_a_change_does_not_hold_the_other_up() {
    let Some(two) = Two::new().await else { return };
    let hanging = Gate::hold(&two.dbs[0]).await;
    // PostgreSQL ends its transaction.
    soon(two.dbs[1].change(keeping("other"))).await.unwrap();
    soon(hanging.open()).await.unwrap();
    assert_eq!(two.database.ask("SELECT name FROM kept ORDER BY id"), ["other", "first"]);
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_made_once_and_answered() {
    let Some(proxied) = Proxied::new().await else { return };
    let mut heard = proxied.feed.subscribe();
    let runs = Arc::new(AtomicUsize::new(0));
    proxied.proxy.lose(Loss::Answer);
    soon(proxied.db.change(keeping_and_counting("answered", &runs))).await.unwrap();
    assert!(proxied.proxy.has_lost());
    assert_eq!(proxied.kept(), ["before", "answered"]);
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    soon(proxied.db.change(keeping("after"))).await.unwrap();
    assert_eq!(published(&mut heard), [2, 3]);
    assert_eq!(proxied.kept(), ["before", "answered", "after"]);
}

#[tokio::test]
async fn a_commit_that_is_lost_on_the_way_is_made_by_another_run_of_the_change() {
    let Some(proxied) = Proxied::new().await else { return };
    let mut heard = proxied.feed.subscribe();
    let runs = Arc::new(AtomicUsize::new(0));
    proxied.proxy.lose(Loss::Commit);
    soon(proxied.db.change(keeping_and_counting("again", &runs))).await.unwrap();
    assert!(proxied.proxy.has_lost());
    assert_eq!(proxied.kept(), ["before", "again"]);
    assert_eq!(runs.load(Ordering::SeqCst), 2);
    assert_eq!(published(&mut heard), [2]);
}

#[tokio::test]
async fn a_group_whose_commit_is_lost_in_either_way_is_made_once() {
    for loss in [Loss::Answer, Loss::Commit] {
        let Some(proxied) = Proxied::new().await else { return };
        let mut heard = proxied.feed.subscribe();
        let gate = Gate::hold(&proxied.db).await;
        let others = ["a", "b", "c"].map(|name| queued(proxied.db.change(keeping(name))));
        proxied.proxy.lose(loss);
        soon(gate.open()).await.unwrap();
        for other in others {
            soon(other).await.unwrap();
        }
        assert!(proxied.proxy.has_lost());
        assert_eq!(proxied.kept(), ["before", "first", "a", "b", "c"], "{loss:?}");
        assert_eq!(published(&mut heard), [2, 3, 4, 5], "{loss:?}");
    }
}

#[tokio::test]
async fn while_it_is_unknown_whether_a_commit_was_made_others_are_refused_and_its_caller_waits() {
    let Some(proxied) = Proxied::new().await else { return };
    proxied.proxy.lose(Loss::AnswerAndLine);
    let runs = Arc::new(AtomicUsize::new(0));
    let mut unknown = queued(proxied.db.change(keeping_and_counting("unknown", &runs)));
    while !proxied.proxy.has_lost() {
        tokio::task::yield_now().await;
    }
    let refused = soon(proxied.db.change(keeping("refused"))).await;
    assert!(is_lost(&refused), "{refused:?}");
    assert!(futures_util::FutureExt::now_or_never(unknown.as_mut()).is_none(), "nobody knows");
    proxied.proxy.accept_again();
    soon(unknown).await.unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    soon(proxied.db.change(keeping("after"))).await.unwrap();
    assert_eq!(proxied.kept(), ["before", "unknown", "after"]);
}

#[tokio::test]
async fn a_store_that_is_closed_while_it_is_unknown_whether_a_commit_was_made_answers_with_the_outage() {
    let Some(proxied) = Proxied::new().await else { return };
    proxied.proxy.lose(Loss::AnswerAndLine);
    let unknown = queued(proxied.db.change(keeping("unknown")));
    while !proxied.proxy.has_lost() {
        tokio::task::yield_now().await;
    }
    soon(proxied.db.close()).await;
    let outcome = soon(unknown).await;
    assert!(is_lost(&outcome), "{outcome:?}");
}

#[tokio::test]
async fn a_database_that_is_stopped_is_an_outage_and_comes_back_by_itself() {
    let Some(server) = TestPostgres::start() else { return };
    let database = server.database();
    let feed = ChangeFeed::default();
    let db = connect(&database, &feed).await;
    let mut heard = feed.subscribe();
    soon(db.change(keeping("before"))).await.unwrap();
    assert_eq!(next_ids(&mut heard, 1).await, [1]);
    assert_eq!(names(&db).await, ["before"]);
    for signal in ["INT", "QUIT"] {
        server.stop(signal);
        let (changed, read) = (soon(db.change(keeping("lost"))).await, soon(db.read(count)).await);
        assert!(is_lost(&changed) && is_lost(&read), "{changed:?} {read:?}");
        let Err(Fault::Db(error)) = changed else { unreachable!() };
        let text = crate::run::chain_of(&error).to_string();
        assert!(text.starts_with(&format!("PostgreSQL at {}", server_name(&database))), "{text}");
        server.run();
        assert_eq!(soon(heard.next()).await, ChangeNotice::Missed);
        soon(db.read(count)).await.unwrap();
        soon(db.change(keeping(if signal == "INT" { "second" } else { "third" }))).await.unwrap();
        assert_eq!(next_ids(&mut heard, 1).await.len(), 1);
    }
    assert_eq!(names(&db).await, ["before", "second", "third"]);
}

fn count(reading: &Reading<'_>) -> Result<(), Fault> {
    reading.one("SELECT count(*) FROM kept", &[], |row| row.at::<i64>(0).map(drop)).map_err(Fault::from)
}

fn server_name(database: &TestDatabase) -> String {
    Db::name_of(database.url()).unwrap()
}

#[tokio::test]
async fn a_group_in_whose_middle_the_database_is_killed_is_made_once_when_it_is_back() {
    let Some(server) = TestPostgres::start() else { return };
    let database = server.database();
    let feed = ChangeFeed::default();
    let db = connect(&database, &feed).await;
    let mut heard = feed.subscribe();
    let gate = Gate::hold(&db).await;
    let after = queued(db.change(keeping("after")));
    server.stop("QUIT");
    server.run();
    soon(gate.open()).await.unwrap();
    soon(after).await.unwrap();
    assert_eq!(database.ask("SELECT name FROM kept ORDER BY id"), ["first", "after"]);
    let ids = std::iter::from_fn(|| heard.try_next()).filter(|notice| *notice != ChangeNotice::Missed);
    assert_eq!(ids.count(), 2);
}

#[tokio::test]
async fn a_change_that_goes_on_after_a_failed_statement_fails_alone() {
    let Some(two) = Two::new().await else { return };
    let db = &two.dbs[0];
    let gate = Gate::hold(db).await;
    let careless = queued(db.change(|transaction| {
        keep(transaction, "careless")?;
        let _ = transaction.execute("INSERT INTO nowhere VALUES (1)", &[]);
        Ok(())
    }));
    let after = queued(db.change(keeping("after")));
    soon(gate.open()).await.unwrap();
    assert!(matches!(soon(careless).await, Err(Fault::Db(DbError::RolledBack))));
    soon(after).await.unwrap();
    assert_eq!(names(db).await, ["first", "after"]);
}

#[tokio::test]
async fn a_statement_that_is_not_waited_for_fails_its_change_alone() {
    for asks_later in [true, false] {
        let Some(two) = Two::new().await else { return };
        let (db, mut heard) = (&two.dbs[0], two.feeds[0].subscribe());
        let gate = Gate::hold(db).await;
        let failing = queued(db.change(move |transaction| {
            transaction.write("INSERT INTO kept VALUES (1, 'again')", &[])?;
            transaction.write("INSERT INTO kept VALUES (2, 'never')", &[])?;
            if asks_later {
                transaction.value::<i64>("SELECT count(*) FROM kept", &[])?;
            }
            Ok(())
        }));
        let after = queued(db.change(keeping("after")));
        soon(gate.open()).await.unwrap();
        let failed = soon(failing).await;
        assert!(matches!(&failed, Err(Fault::Db(e)) if e.is_unique_violation()), "{failed:?}");
        soon(after).await.unwrap();
        assert_eq!(names(db).await, ["first", "after"]);
        assert_eq!(published(&mut heard), [1, 2]);
    }
}

#[tokio::test]
async fn a_change_waits_for_its_questions_and_its_commit_alone() {
    let Some(proxied) = Proxied::new().await else { return };
    let change = || {
        proxied.db.change(|transaction| {
            for _ in 0..3 {
                transaction.value::<i64>("SELECT id FROM kept WHERE name = ?", &[&"before"])?;
            }
            transaction.write("UPDATE kept SET name = name WHERE name = ?", &[&"before"])?;
            transaction.write("UPDATE kept SET id = id WHERE name = ?", &[&"before"])?;
            transaction.publish_on_commit([Change::CatalogueChanged]);
            Ok::<_, Fault>(())
        })
    };
    // The first one prepares the statements.
    soon(change()).await.unwrap();
    proxied.proxy.said();
    soon(change()).await.unwrap();
    assert_eq!(proxied.proxy.said(), 4);
}

#[tokio::test]
async fn a_question_alone_is_waited_for_once() {
    let Some(proxied) = Proxied::new().await else { return };
    // Each connection prepares the statement.
    for _ in 0..2 * READERS {
        soon(proxied.db.read(count)).await.unwrap();
    }
    soon(proxied.db.change(keeping("so that all of that has arrived"))).await.unwrap();
    proxied.proxy.said();
    soon(proxied.db.read(count)).await.unwrap();
    let said = proxied.proxy.said();
    // What ends the transaction may still be on its way.
    assert!((1..=2).contains(&said), "{said}");
}

#[tokio::test]
async fn a_change_that_fails_before_it_writes_costs_its_neighbours_nothing() {
    let Some(two) = Two::new().await else { return };
    let db = &two.dbs[0];
    let runs = Arc::new(AtomicUsize::new(0));
    let gate = Gate::hold(db).await;
    let before = queued(db.change(keeping_and_counting("before", &runs)));
    let failing = queued(db.change(|transaction| {
        transaction.publish_on_commit([Change::CatalogueChanged]);
        transaction.one("SELECT count(*) FROM kept", &[], |row| row.at::<i64>(0).map(drop))?;
        Err::<(), _>(Fault::Own)
    }));
    let after = queued(db.change(keeping_and_counting("after", &runs)));
    soon(gate.open()).await.unwrap();
    soon(before).await.unwrap();
    assert!(matches!(soon(failing).await, Err(Fault::Own)));
    soon(after).await.unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_long_list_is_read_in_pieces_between_which_other_statements_work() {
    let Some(two) = Two::new().await else { return };
    let read = two.dbs[0].read(|reading| {
        let (mut sum, mut nested) = (0, 0);
        reading.each("SELECT n FROM generate_series(1, ?) AS n", &[&10_000], |row| {
            let number: i64 = row.get("n")?;
            sum += number;
            if number % 1_000 == 0 {
                nested += reading.one("SELECT CAST(? AS BIGINT)", &[&number], |row| row.at::<i64>(0))?;
                reading.each("SELECT n FROM generate_series(1, 200) AS n", &[], |row| {
                    nested += row.at::<i64>(0)?;
                    Ok::<_, Fault>(true)
                })?;
            }
            Ok::<_, Fault>(true)
        })?;
        let mut seen = 0;
        reading.each("SELECT generate_series(1, 100000000) AS n", &[], |_| {
            seen += 1;
            Ok::<_, Fault>(seen < 100)
        })?;
        Ok::<_, Fault>((sum, nested, seen))
    });
    assert_eq!(soon(read).await.unwrap(), (50_005_000, 55_000 + 10 * 20_100, 100));
}

#[tokio::test]
async fn a_text_with_a_nul_comes_back_and_is_found() {
    let Some(two) = Two::new().await else { return };
    let db = &two.dbs[0];
    soon(db.change(|transaction| Ok::<_, Fault>(keep(transaction, "a\0b")?))).await.unwrap();
    let found = db.read(|reading| reading.value::<i64>("SELECT id FROM kept WHERE name = ?", &[&"a\0b"]));
    assert_eq!(soon(found).await.unwrap(), Some(1));
    assert_eq!(names(db).await, ["a\0b"]);
}

#[tokio::test]
async fn the_clock_is_that_of_the_database() {
    let Some(two) = Two::new().await else { return };
    let now = soon(two.dbs[0].read(|reading| reading.clock())).await.unwrap();
    let own = chrono::Utc::now().timestamp_micros();
    assert!((own - now).abs() < 60_000_000, "{now} {own}");
}

fn connect_with(database: &TestDatabase, steps: &[SchemaStep<'_>]) -> Result<Db, OpenError> {
    std::thread::scope(|scope| {
        scope.spawn(|| Db::connect(database.url(), steps, ChangeFeed::default())).join().unwrap()
    })
}

#[test]
fn a_database_gets_the_steps_that_it_lacks_and_an_earlier_program_opens_one_that_it_can_read() {
    let Some(database) = TestDatabase::fresh() else { return };
    connect_with(&database, &POSTGRES_STEPS[..1]).unwrap();
    for _ in 0..2 {
        connect_with(&database, POSTGRES_STEPS).unwrap();
    }
    let refused = connect_with(&database, &POSTGRES_STEPS[..1]).unwrap_err();
    assert!(matches!(refused, OpenError::Newer { found: 2, known: 1 }), "{refused:?}");
    let gentle = SchemaStep { sql: "ALTER TABLE kept ADD COLUMN more BIGINT", readable_from: 2 };
    connect_with(&database, &[POSTGRES_STEPS, &[gentle]].concat()).unwrap();
    connect_with(&database, POSTGRES_STEPS).unwrap();
    assert_eq!(database.ask("SELECT version FROM schema_version"), ["3"]);
}

#[test]
fn a_step_that_fails_leaves_the_database_as_it_was() {
    let Some(database) = TestDatabase::fresh() else { return };
    let half = SchemaStep { sql: "CREATE TABLE half (id BIGINT); INSERT INTO nowhere VALUES (1);", readable_from: 1 };
    connect_with(&database, &[half]).unwrap_err();
    let whole = SchemaStep { sql: "CREATE TABLE half (id BIGINT);", readable_from: 1 };
    connect_with(&database, &[whole]).unwrap();
}

#[test]
fn servers_that_start_at_once_migrate_once() {
    let Some(database) = TestDatabase::fresh() else { return };
    std::thread::scope(|scope| {
        let starting: Vec<_> = (0..4).map(|_| scope.spawn(|| connect_with(&database, POSTGRES_STEPS))).collect();
        starting.into_iter().for_each(|started| drop(started.join().unwrap().unwrap()));
    });
    assert_eq!(database.ask("SELECT version FROM schema_version"), ["2"]);
}
