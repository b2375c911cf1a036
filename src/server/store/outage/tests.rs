use rusqlite::ffi;

use super::is_outage;
use crate::server::store::changes::ChangeFeed;
use crate::server::store::db::DbError;
use crate::server::store::{Store, StoreError};

/// Database error with this extended result code.
fn refused_with(code: i32) -> DbError {
    rusqlite::Error::SqliteFailure(ffi::Error::new(code), Some("an error".to_owned())).into()
}

#[test]
fn a_full_or_broken_disk_is_an_outage_and_a_wrong_question_is_none() {
    // FULL, IOERR_WRITE, IOERR_SHMSIZE, NOMEM, BUSY, CANTOPEN.
    for code in [13, 778, 4874, 7, 5, 14] {
        assert!(is_outage(&refused_with(code)), "{code}");
    }
    // ERROR, CONSTRAINT_UNIQUE, TOOBIG, MISMATCH.
    for code in [1, 2067, 18, 20] {
        assert!(!is_outage(&refused_with(code)), "{code}");
    }
    assert!(is_outage(&DbError::RolledBack));
    assert!(!is_outage(&rusqlite::Error::QueryReturnedNoRows.into()));
}

/// SQLite rolls back by itself where its disk is full.
#[tokio::test]
async fn the_next_change_is_made_after_one_that_sqlite_rolled_back_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("job_runner.sqlite"), ChangeFeed::default()).await.unwrap();
    for _ in 0..3 {
        let broken = store.change(|transaction| {
            transaction.execute("ROLLBACK", &[])?;
            transaction.execute("INSERT INTO nowhere VALUES (1)", &[])?;
            Ok(())
        });
        broken.await.unwrap_err();
        store.set_setting("name", "value").await.unwrap();
        let next = store.change(|transaction| {
            transaction.execute("INSERT OR REPLACE INTO setting VALUES ('other', '1')", &[])?;
            Ok(())
        });
        next.await.unwrap();
    }
    assert_eq!(store.setting("other").await.unwrap().as_deref(), Some("1"));
}

#[tokio::test]
async fn a_change_that_is_dropped_at_any_point_leaves_the_writer_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("job_runner.sqlite"), ChangeFeed::default()).await.unwrap();
    for polls in 0..12 {
        let mut change = Box::pin(store.set_setting("dropped", "1"));
        for _ in 0..polls {
            tokio::select! {
                biased;
                done = &mut change => { done.unwrap(); break }
                () = tokio::task::yield_now() => {}
            }
        }
        drop(change);
        store.set_setting("kept", &polls.to_string()).await.unwrap();
    }
    assert_eq!(store.setting("kept").await.unwrap().as_deref(), Some("11"));
}

#[tokio::test]
async fn a_store_without_room_refuses_changes_and_answers_questions() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("job_runner.sqlite"), ChangeFeed::default()).await.unwrap();
    assert_eq!(store.outage(), None);
    let outage = super::Outage { since: chrono::Utc::now(), reason: "no room".to_owned() };
    store.watchdog.state.send_replace(super::State::Out(outage.clone()));
    let refused = store.set_setting("name", "value").await.unwrap_err();
    assert!(matches!(&refused, StoreError::Unwritable(told) if *told == outage), "{refused}");
    assert!(refused.is_outage() && refused.to_string().contains("no room"), "{refused}");
    assert_eq!(store.setting("name").await.unwrap(), None, "what is there can be read");
    store.watchdog.state.send_replace(super::State::Writable);
    store.writable().await;
    store.set_setting("name", "value").await.unwrap();
}
