use std::borrow::Cow;

use sqlx::error::{DatabaseError, Error, ErrorKind};

use super::is_outage;
use crate::server::store::changes::ChangeFeed;
use crate::server::store::{Store, StoreError};

/// Database error with this extended result code.
#[derive(Debug)]
struct Told(u32);

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "code {}", self.0)
    }
}

impl std::error::Error for Told {}

impl DatabaseError for Told {
    fn message(&self) -> &str {
        "an error"
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        Some(self.0.to_string().into())
    }

    fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
        self
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

#[test]
fn a_full_or_broken_disk_is_an_outage_and_a_wrong_question_is_none() {
    // FULL, IOERR_WRITE, IOERR_SHMSIZE, NOMEM, BUSY, CANTOPEN.
    for code in [13, 778, 4874, 7, 5, 14] {
        assert!(is_outage(&Error::Database(Box::new(Told(code)))), "{code}");
    }
    // ERROR, CONSTRAINT_UNIQUE, TOOBIG, MISMATCH.
    for code in [1, 2067, 18, 20] {
        assert!(!is_outage(&Error::Database(Box::new(Told(code)))), "{code}");
    }
    assert!(is_outage(&Error::PoolTimedOut));
    assert!(!is_outage(&Error::RowNotFound));
}

/// SQLite rolls back by itself where its disk is full, without a word to the driver.
#[tokio::test]
async fn the_next_change_is_made_after_one_that_sqlite_rolled_back_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("job_runner.sqlite"), ChangeFeed::default()).await.unwrap();
    for _ in 0..3 {
        let mut writing = store.write().await.unwrap();
        sqlx::query("ROLLBACK").execute(&mut *writing).await.unwrap();
        let broken = sqlx::query("INSERT INTO nowhere VALUES (1)").execute(&mut *writing).await;
        broken.unwrap_err();
        drop(writing);
        store.set_setting("name", "value").await.unwrap();
        let mut writing = store.write().await.unwrap();
        sqlx::query("INSERT OR REPLACE INTO setting VALUES ('other', '1')").execute(&mut *writing).await.unwrap();
        writing.commit().await.unwrap();
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
