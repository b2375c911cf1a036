//! Tests of the outbox: content survives a restart, damage and lack of space are overcome, a file of another server is
//! refused, and the writer's thread holds up nobody.

use std::path::PathBuf;
use std::pin::pin;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use futures_util::future::join_all;
use rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use crate::report::{KillPhase, Start, StoredEnd};
use crate::run::{Attempt, Cause, Left, Outcome, ProcessExit};
use crate::wire::time;

const SERVER: &str = "http://server/";
/// Longest wait for anything that the writer does.
const DEADLINE: Duration = Duration::from_secs(30);

fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

fn place(directory: &TempDir) -> PathBuf {
    directory.path().join("outbox.sqlite")
}

fn at(path: PathBuf, server: &str) -> OutboxLocation {
    OutboxLocation { path, server: server.to_owned(), durability: Durability::Process, reserve: 0 }
}

async fn open(directory: &TempDir) -> (Outbox, OutboxContents) {
    Outbox::open(at(place(directory), SERVER)).await.expect("an outbox")
}

/// Returns the content that a restart finds after everything was written and the writer has ended.
async fn reopened(directory: &TempDir, outbox: Outbox) -> OutboxContents {
    outbox.settle().await;
    close(outbox).await;
    open(directory).await.1
}

/// Drops the last handle, and waits until the writer has closed the file.
async fn close(outbox: Outbox) {
    let mut wrong = outbox.wrong();
    drop(outbox);
    let ended = async { while wrong.changed().await.is_ok() {} };
    tokio::time::timeout(DEADLINE, ended).await.expect("the end of the writer");
}

/// Opens a second connection to the file.
fn connect(directory: &TempDir) -> Connection {
    Connection::open(place(directory)).expect("a connection")
}

/// Changes the file over a second connection, behind the writer's back.
fn behind_its_back(directory: &TempDir, statements: &str) {
    connect(directory).execute_batch(statements).expect("a change");
}

fn run(id: i64) -> RunId {
    RunId::new(id).expect("a run")
}

fn kill(id: i64) -> KillId {
    KillId::new(id).expect("a kill request")
}

fn claimed(id: i64) -> OutboxEntry {
    OutboxEntry {
        run: run(id),
        attempt: Attempt::FIRST,
        claim: None,
        losses: 0,
        token: format!("token-{id}"),
        run_log: None,
        start: None,
        end: None,
    }
}

fn with_end(id: i64, outcome: Outcome) -> OutboxEntry {
    OutboxEntry {
        attempt: Attempt(3),
        claim: Some(Attempt(2)),
        losses: 2,
        run_log: Some("/api/v1/run_log/7/".to_owned()),
        start: Some(Start { pid: 4712, at: "2026-11-23 17:02:02.101230+00:00".to_owned() }),
        end: Some(StoredEnd { outcome, output: 5_000_000_000, at: "2026-11-23 17:02:02.228055+00:00".to_owned() }),
        ..claimed(id)
    }
}

#[tokio::test]
async fn a_new_outbox_is_empty() {
    let (_, found) = open(&directory()).await;
    assert!(found.runs.is_empty() && found.kills.is_empty());
    assert_eq!(found.dead_letters, []);
}

#[tokio::test]
async fn every_run_comes_back_as_it_was_written() {
    let outcomes = [
        Outcome::Ran { exit: ProcessExit::Code(3), cause: None, left: Left::Kept },
        Outcome::Ran { exit: ProcessExit::Signal(9), cause: Some(Cause::Killed), left: Left::Stopped },
        Outcome::Unstartable("no such 'interpreter';\n🦀\0".to_owned()),
        Outcome::Cancelled(Cause::TimedOut),
        Outcome::Lost(3),
    ];
    let mut entries = vec![claimed(1)];
    entries.extend(outcomes.into_iter().zip(100..).map(|(outcome, id)| with_end(id, outcome)));
    entries.push(claimed(i64::MAX));

    let directory = directory();
    let (outbox, _) = open(&directory).await;
    for entry in &entries {
        outbox.run(entry).await;
    }
    assert_eq!(reopened(&directory, outbox).await.runs, entries);
}

#[tokio::test]
async fn every_kill_comes_back_as_it_was_written() {
    let kills = [
        KillEntry { kill: kill(1), run: None, phase: KillPhase::Received },
        KillEntry { kill: kill(2), run: Some(run(12)), phase: KillPhase::Taken },
        KillEntry { kill: kill(3), run: Some(run(12)), phase: KillPhase::Dead },
    ];
    let directory = directory();
    let (outbox, _) = open(&directory).await;
    for entry in kills {
        outbox.try_kill(entry).await;
    }
    assert_eq!(reopened(&directory, outbox).await.kills, kills);
}

#[tokio::test]
async fn the_last_that_was_said_of_a_run_holds() {
    let directory = directory();
    let (outbox, _) = open(&directory).await;
    outbox.run(&with_end(1, Outcome::Lost(1))).await;
    outbox.run(&claimed(1)).await;
    outbox.try_kill(KillEntry { kill: kill(1), run: Some(run(1)), phase: KillPhase::Taken }).await;
    outbox.try_kill(KillEntry { kill: kill(1), run: None, phase: KillPhase::Received }).await;
    let found = reopened(&directory, outbox).await;
    assert_eq!(found.runs, [claimed(1)]);
    assert_eq!(found.kills, [KillEntry { kill: kill(1), run: None, phase: KillPhase::Received }]);
}

#[tokio::test]
async fn what_is_forgotten_does_not_come_back() {
    let directory = directory();
    let (outbox, _) = open(&directory).await;
    for id in 1..=3 {
        outbox.run(&claimed(id)).await;
        outbox.try_kill(KillEntry { kill: kill(id), run: None, phase: KillPhase::Received }).await;
    }
    outbox.forget_run(run(2)).await;
    outbox.forget_kill(kill(2)).await;
    outbox.forget_run(run(99)).await;
    let found = reopened(&directory, outbox).await;
    assert_eq!(found.runs, [claimed(1), claimed(3)]);
    assert_eq!(found.kills.len(), 2);
}

fn letter(id: i64, at: chrono::DateTime<chrono::Utc>, reason: &str) -> DeadLetter {
    DeadLetter { at: time::sent(at), run: run(id), what: "log".to_owned(), reason: reason.to_owned() }
}

#[tokio::test]
async fn dead_letters_are_kept_with_their_reason() {
    let directory = directory();
    let (outbox, _) = open(&directory).await;
    let now = chrono::Utc::now();
    let letters = [letter(1, now, "request rejected with status 400"), letter(2, now, "'); DROP TABLE run; --")];
    // Of several letters about one fact only the last reason is kept.
    for letter in [letter(1, now, "request rejected with status 500")].iter().chain(&letters) {
        outbox.dead_letter(letter.clone()).await;
    }
    assert_eq!(reopened(&directory, outbox).await.dead_letters, letters);
}

#[tokio::test]
async fn the_last_dead_letters_are_kept_and_no_old_ones() {
    let directory = directory();
    let (outbox, _) = open(&directory).await;
    let now = chrono::Utc::now();
    outbox.dead_letter(letter(1, now, "pushed out")).await;
    outbox.dead_letter(letter(2, now - LETTERS_KEPT_FOR - chrono::TimeDelta::minutes(1), "too old")).await;
    let count = i64::try_from(LETTERS_KEPT).expect("a number");
    for id in 3..=count + 1 {
        outbox.dead_letter(letter(id, now, "kept")).await;
    }
    let ids = |found: OutboxContents| found.dead_letters.iter().map(|letter| letter.run.get()).collect::<Vec<_>>();
    assert_eq!(ids(reopened(&directory, outbox).await), (3..=count + 1).collect::<Vec<_>>());
    // Letters that are too old are removed from the disk too.
    let rows = connect(&directory).query_row("SELECT count(*) FROM dead_letter", [], |row| row.get(0));
    assert_eq!(rows, Ok(count - 1));
}

#[tokio::test]
async fn a_run_without_a_number_gets_one_with_its_work_in_one_commit() {
    let directory = directory();
    let (outbox, _) = open(&directory).await;
    let entry = outbox.try_accept("task-a", "{}".to_owned(), "token-1".to_owned()).await.expect("accepted");
    assert_eq!(entry, claimed(1));
    assert!(outbox.holds(run(1)));
    assert_eq!(outbox.run_of("task-a"), Some(run(1)));
    outbox.told(run(1), ToldExtent { output: 7, journal: 3 }).await;
    let found = reopened(&directory, outbox).await;
    assert_eq!(found.runs, [claimed(1)]);
    let told = ToldExtent { output: 7, journal: 3 };
    assert_eq!(found.origins, [RunOrigin { run: run(1), key: "task-a".to_owned(), work: "{}".to_owned(), told }]);
}

#[tokio::test]
async fn a_key_has_one_run_until_it_is_forgotten_and_a_number_is_never_minted_again() {
    let directory = directory();
    let (outbox, _) = open(&directory).await;
    let accept = async |outbox: &Outbox| outbox.try_accept("a", String::new(), String::new()).await;
    assert_eq!(accept(&outbox).await.expect("accepted").run, run(1));
    assert!(matches!(accept(&outbox).await, Err(OutboxError::KnownKey(_))));
    outbox.forget_run(run(1)).await;
    assert_eq!(outbox.run_of("a"), None);
    close(outbox).await;
    let (outbox, found) = open(&directory).await;
    assert!(found.runs.is_empty() && found.origins.is_empty());
    assert_eq!(accept(&outbox).await.expect("accepted").run, run(2));
}

#[tokio::test]
async fn a_number_of_a_record_whose_row_is_lost_is_not_minted() {
    let directory = directory();
    let (outbox, _) = open(&directory).await;
    outbox.mint_above(run(41));
    let entry = outbox.try_accept("a", String::new(), String::new()).await.expect("accepted");
    assert_eq!(entry.run, run(42));
}

#[tokio::test]
async fn the_directory_of_another_server_is_not_opened() {
    let directory = directory();
    let (outbox, _) = open(&directory).await;
    outbox.run(&claimed(1)).await;
    let refused = Outbox::open(at(place(&directory), "http://other/")).await.expect_err("another server's");
    assert_eq!(refused.to_string(), "the state directory belongs to http://server/, not to http://other/");
    assert_eq!(reopened(&directory, outbox).await.runs, [claimed(1)]);
}

#[tokio::test]
async fn a_file_of_a_later_version_is_not_opened() {
    let directory = directory();
    let (outbox, _) = open(&directory).await;
    outbox.settle().await;
    behind_its_back(&directory, "PRAGMA user_version = 99");
    let refused = Outbox::open(at(place(&directory), SERVER)).await.expect_err("a later version");
    assert!(matches!(refused, OutboxError::Newer { found: 99, .. }), "{refused}");
}

#[tokio::test]
async fn a_file_of_the_version_before_origins_is_migrated_with_its_rows() {
    let directory = directory();
    let (outbox, _) = open(&directory).await;
    outbox.run(&claimed(7)).await;
    close(outbox).await;
    behind_its_back(&directory, "DROP TABLE origin; PRAGMA user_version = 2");
    let (outbox, found) = open(&directory).await;
    assert_eq!(found.runs, [claimed(7)]);
    let entry = outbox.try_accept("a", String::new(), String::new()).await.expect("accepted");
    assert_eq!(entry.run, run(1));
    assert_eq!(reopened(&directory, outbox).await.origins.len(), 1);
}

#[tokio::test]
async fn where_no_file_can_be_nothing_is_opened() {
    let directory = directory();
    assert!(Outbox::open(at(directory.path().to_owned(), SERVER)).await.is_err());
    let path = directory.path().join("no/such/directory");
    let refused = Outbox::open(at(path.clone(), SERVER)).await.expect_err("no directory");
    let path = path.display();
    assert_eq!(
        chain_of(&refused),
        format!("the outbox {path} cannot be opened: (code: 14) unable to open database file")
    );
}

/// Names of the files that were set aside as damaged.
fn set_aside(directory: &TempDir) -> Vec<String> {
    let entries = std::fs::read_dir(directory.path()).expect("a directory").flatten();
    let mut names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| name.starts_with("outbox.sqlite.corrupt-"));
    names.sort();
    names
}

#[tokio::test]
async fn a_damaged_file_is_set_aside_and_a_new_one_begun() {
    let damages: [fn(&mut Vec<u8>); 5] = [
        |bytes| bytes.fill(0),
        |bytes| *bytes = b"no store at all, but long enough to be looked into\n".repeat(100),
        |bytes| bytes.truncate(bytes.len() - 5000),
        |bytes| {
            let half = bytes.len() / 2;
            bytes[half..half + 4096].fill(0x5a);
        },
        |bytes| bytes[100..108].fill(0xff),
    ];
    for (n, damage) in damages.iter().enumerate() {
        let directory = directory();
        let (outbox, _) = open(&directory).await;
        for id in 1..200 {
            outbox.run(&with_end(id, Outcome::Lost(1))).await;
        }
        outbox.settle().await;
        behind_its_back(&directory, "PRAGMA wal_checkpoint(TRUNCATE)");
        let mut bytes = std::fs::read(place(&directory)).expect("a file");
        close(outbox).await;
        damage(&mut bytes);
        std::fs::write(place(&directory), &bytes).expect("a file");
        let (outbox, found) = open(&directory).await;
        assert_eq!(found.runs, [], "damage {n}");
        assert!(!set_aside(&directory).is_empty(), "damage {n}");
        outbox.run(&claimed(7)).await;
        assert_eq!(reopened(&directory, outbox).await.runs, [claimed(7)], "damage {n}");
        assert_eq!(
            set_aside(&directory).iter().filter(|name| !name.contains("-wal") && !name.contains("-shm")).count(),
            1
        );
    }
}

#[tokio::test]
async fn a_file_that_is_damaged_under_the_writer_is_replaced() {
    let directory = directory();
    let (outbox, _) = open(&directory).await;
    outbox.run(&claimed(1)).await;
    behind_its_back(&directory, "PRAGMA wal_checkpoint(TRUNCATE)");
    let mut bytes = std::fs::read(place(&directory)).expect("a file");
    bytes[4096..].fill(0x5a);
    std::fs::write(place(&directory), &bytes).expect("a file");
    // The damage shows only after some changes, because SQLite does not read again what it has in its cache.
    for id in 2..300 {
        outbox.run(&claimed(id)).await;
    }
    assert_eq!(set_aside(&directory).len(), 1);
    let found = reopened(&directory, outbox).await;
    assert_eq!(found.runs.last(), Some(&claimed(299)));
}

#[tokio::test]
async fn a_row_that_nobody_understands_is_passed_over() {
    let directory = directory();
    let (outbox, _) = open(&directory).await;
    outbox.run(&claimed(1)).await;
    outbox.run(&claimed(2)).await;
    behind_its_back(&directory, "UPDATE run SET end_how = 'dancing', end_at = 'noon' WHERE run = 1");
    assert_eq!(reopened(&directory, outbox).await.runs, [claimed(2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_changes_at_once_are_all_written() {
    let count = i64::try_from(QUEUE * 2 + 7).expect("a number");
    let directory = directory();
    let (outbox, _) = open(&directory).await;
    let changes: Vec<_> = (1..=count)
        .map(|id| {
            let outbox = outbox.clone();
            tokio::spawn(async move {
                outbox.try_run(&claimed(id)).await.expect("written");
                if id % 2 == 0 {
                    outbox.forget_run(run(id)).await;
                }
            })
        })
        .collect();
    for change in changes {
        change.await.expect("written");
    }
    let found: Vec<_> = reopened(&directory, outbox).await.runs.iter().map(|entry| entry.run.get()).collect();
    assert_eq!(found, (1..=count).filter(|id| id % 2 == 1).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_was_answered_is_on_disk_though_nobody_closed_anything() {
    let directory = directory();
    let (outbox, _) = open(&directory).await;
    outbox.try_run(&claimed(1)).await.expect("written");
    // Both are open at once: the file is read as the successor of a killed process reads it.
    assert_eq!(open(&directory).await.1.runs, [claimed(1)]);
    drop(outbox);
}

#[tokio::test]
async fn a_claim_that_cannot_be_written_fails_and_a_fact_waits_until_it_can() {
    let directory = directory();
    let (outbox, _) = open(&directory).await;
    outbox.settle().await;
    behind_its_back(&directory, "ALTER TABLE run RENAME TO away");
    let refused = outbox.try_run(&claimed(1)).await.expect_err("nothing can be written");
    assert!(matches!(refused, OutboxError::Unwritable(_)), "{refused}");

    let fact = tokio::spawn({
        let outbox = outbox.clone();
        async move { outbox.run(&claimed(2)).await }
    });
    // A claim after the fact fails too; by the time of its refusal the fact has been tried and kept.
    outbox.try_run(&claimed(3)).await.expect_err("nothing can be written");
    assert!(!fact.is_finished());
    assert!(outbox.wrong().borrow().is_some());
    behind_its_back(&directory, "ALTER TABLE away RENAME TO run");
    fact.await.expect("written");
    assert!(outbox.wrong().borrow().is_none());
    assert_eq!(reopened(&directory, outbox).await.runs, [claimed(2)]);
}

#[tokio::test]
async fn changes_that_wait_share_a_commit() {
    let directory = directory();
    let (outbox, _) = open(&directory).await;
    outbox.run(&claimed(1)).await;
    behind_its_back(&directory, "PRAGMA wal_checkpoint(TRUNCATE)");
    let mut locked = connect(&directory);
    let lock = locked.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).expect("the lock");
    let entries: Vec<_> = (2..=101).map(claimed).collect();
    let mut written = Box::pin(join_all(entries.iter().map(|entry| outbox.try_run(entry))));
    // Polled once, so that all changes are in the queue while the writer waits for the lock.
    assert!(tokio::time::timeout(Duration::ZERO, &mut written).await.is_err());
    drop(lock);
    assert!(written.as_mut().await.iter().all(Result::is_ok));
    drop(written);
    // The first may be alone in its commit. Each commit writes a page to the log at least.
    let frames = std::fs::metadata(directory.path().join("outbox.sqlite-wal")).expect("a log").len() / 4096;
    assert!(frames < 20, "{frames} pages for 100 changes");
    assert_eq!(reopened(&directory, outbox).await.runs.len(), 101);
}

#[tokio::test]
async fn the_writer_closes_the_file_and_ends_with_the_last_handle() {
    let directory = directory();
    let (outbox, _) = open(&directory).await;
    let other = outbox.clone();
    outbox.run(&claimed(1)).await;
    drop(outbox);
    other.run(&claimed(2)).await;
    let log = directory.path().join("outbox.sqlite-wal");
    assert!(log.exists());
    close(other).await;
    // SQLite removes the write-ahead log where the last connection is closed.
    assert!(!log.exists());
}

#[test]
fn the_end_of_a_runtime_neither_waits_for_the_writer_nor_ends_it() {
    let directory = directory();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let first = runtime();
    let (outbox, _) = first.block_on(open(&directory));
    // Does not return where the runtime waits for the writer: the handle is still there.
    drop(first);
    runtime().block_on(async {
        outbox.try_run(&claimed(1)).await.expect("written");
        assert_eq!(reopened(&directory, outbox).await.runs, [claimed(1)]);
    });
}

/// Waker of a caller; lets the writer panic when it answers.
struct Fatal;

impl Wake for Fatal {
    fn wake(self: Arc<Self>) {
        panic!("a caller that cannot be woken");
    }
}

#[tokio::test]
async fn a_writer_that_panics_leaves_no_caller_waiting_and_holds_claims_back() {
    let directory = directory();
    let (outbox, _) = open(&directory).await;
    let (first, second) = (claimed(1), claimed(2));
    let mut locked = connect(&directory);
    let lock = locked.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).expect("the lock");
    let mut answered = Box::pin(outbox.try_run(&first));
    // The first poll leaves the turn to other tasks, the second one requests the change.
    assert!(answered.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let waker = Waker::from(Arc::new(Fatal));
    assert!(answered.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let taken = async {
        while outbox.writer.capacity() < outbox.writer.max_capacity() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, taken).await.expect("the writer that tries to commit the first");
    let mut queued = pin!(outbox.try_run(&second));
    assert!(tokio::time::timeout(Duration::ZERO, &mut queued).await.is_err());
    drop(lock);
    let refused = tokio::time::timeout(DEADLINE, queued).await.expect("an answer");
    assert!(matches!(refused, Err(OutboxError::Closed)), "{refused:?}");
    let later = tokio::time::timeout(DEADLINE, outbox.try_run(&claimed(3))).await.expect("an answer");
    assert!(matches!(later, Err(OutboxError::Closed)), "{later:?}");
    tokio::time::timeout(DEADLINE, outbox.run(&claimed(4))).await.expect("an end");
    let mut wrong = outbox.wrong();
    let told = wrong.wait_for(|why| why.as_deref() == Some("the writer of the outbox has failed"));
    assert!(tokio::time::timeout(DEADLINE, told).await.expect("a reason").is_ok());
}

#[tokio::test]
async fn a_writer_that_is_gone_is_told() {
    let (writer, requests) = mpsc::channel(1);
    drop(requests);
    let outbox = Outbox { writer, known: Arc::default(), wrong: watch::channel(None).1 };
    assert!(matches!(outbox.try_run(&claimed(1)).await, Err(OutboxError::Closed)));
    outbox.run(&claimed(1)).await;
    outbox.settle().await;
}
