use super::{Lease, Renewal, ServerId};
use crate::server::store::changes::ChangeFeed;
use crate::server::store::db::TestDatabase;
use crate::server::store::{Store, StoreError};

/// Microseconds.
const SECOND: i64 = 1_000_000;

/// A server at a database, as far as the database knows it.
struct Server {
    store: Store,
    id: ServerId,
}

impl Server {
    async fn at(database: &TestDatabase) -> Self {
        let store = Store::connect(database.url(), ChangeFeed::default()).await.unwrap();
        Self { store, id: ServerId::generate() }
    }

    async fn renew(&self) -> Renewal {
        self.store.renew_lease(&self.id, "127.0.0.1:1").await.unwrap()
    }

    async fn lease(&self) -> Option<Lease> {
        self.renew().await.lease
    }

    /// Writes under a lease.
    async fn write(&self, lease: Option<Lease>) -> Result<(), StoreError> {
        self.store.under(lease).set_setting("written", "by it").await
    }
}

/// Two servers at one database; nothing where PostgreSQL is not installed.
async fn two() -> Option<(TestDatabase, Server, Server)> {
    let database = TestDatabase::fresh()?;
    let servers = (Server::at(&database).await, Server::at(&database).await);
    Some((database, servers.0, servers.1))
}

/// Has the lease renewed so long ago; in the future, where that is negative.
fn age_lease(database: &TestDatabase, ago: i64) {
    database.ask(&format!("UPDATE dispatch_lease SET renewed = renewed - {ago}"));
}

#[tokio::test]
async fn the_lease_is_one_servers_for_as_long_as_it_renews_it() {
    let Some((database, one, other)) = two().await else { return };
    let lease = one.lease().await;
    assert!(lease.is_some());
    assert_eq!(other.lease().await, None);
    let renewed = || database.ask("SELECT renewed FROM dispatch_lease")[0].parse::<i64>().unwrap();
    let before = renewed();
    assert_eq!(one.lease().await, lease, "the same one");
    assert!(renewed() > before);
    assert_eq!(other.lease().await, None);
    one.write(lease).await.unwrap();
}

#[tokio::test]
async fn a_lease_that_is_not_renewed_for_three_seconds_is_taken() {
    let Some((database, one, other)) = two().await else { return };
    let lease = one.lease().await;
    age_lease(&database, 2 * SECOND);
    assert_eq!(other.lease().await, None);
    // The one who has it may be late, as long as no other takes it.
    age_lease(&database, 2 * SECOND);
    assert_eq!(one.lease().await, lease);
    age_lease(&database, 3 * SECOND);
    let taken = other.lease().await;
    assert!(taken.is_some() && taken != lease);
    assert_eq!(one.lease().await, None);
}

#[tokio::test]
async fn who_has_lost_the_lease_changes_nothing_under_it() {
    let Some((database, one, other)) = two().await else { return };
    let lease = one.lease().await;
    age_lease(&database, 3 * SECOND);
    one.write(lease.clone()).await.expect("nobody has taken it");
    let taken = other.lease().await;
    database.ask("DELETE FROM setting");
    assert!(matches!(one.write(lease.clone()).await, Err(StoreError::LeaseLost)));
    assert_eq!(database.ask("SELECT value FROM setting"), Vec::<String>::new());
    other.write(taken).await.unwrap();
    one.write(None).await.expect("what no dispatcher changes needs no lease");
    // What it takes back later is another lease.
    age_lease(&database, 3 * SECOND);
    let again = one.lease().await;
    assert!(again.is_some() && again != lease);
    assert!(matches!(one.write(lease).await, Err(StoreError::LeaseLost)));
    one.write(again).await.unwrap();
}

#[tokio::test]
async fn a_server_that_leaves_gives_the_lease_up_at_once() {
    let Some((database, one, other)) = two().await else { return };
    let lease = one.lease().await;
    assert_eq!(other.renew().await.others, 1);
    other.store.leave_servers(&other.id).await.unwrap();
    assert_eq!(one.renew().await, Renewal { lease: lease.clone(), others: 0, was_alive: true });
    one.store.leave_servers(&one.id).await.unwrap();
    assert!(matches!(one.write(lease).await, Err(StoreError::LeaseLost)));
    assert!(other.lease().await.is_some());
    assert_eq!(database.ask("SELECT count(*) FROM server"), ["1"]);
}

#[tokio::test]
async fn a_lease_of_the_future_is_taken_because_the_clock_was_set_back() {
    let Some((database, one, other)) = two().await else { return };
    let lease = one.lease().await;
    age_lease(&database, -2 * SECOND);
    assert_eq!(other.lease().await, None, "a small step passes by itself");
    age_lease(&database, -3600 * SECOND);
    let taken = other.lease().await;
    assert!(taken.is_some());
    assert!(matches!(one.write(lease).await, Err(StoreError::LeaseLost)));
    assert_eq!(other.lease().await, taken);
}

#[tokio::test]
async fn a_server_that_is_silent_counts_as_dead_and_learns_so_and_is_forgotten_after_a_day() {
    let Some((database, one, other)) = two().await else { return };
    assert_eq!((one.renew().await.was_alive, other.renew().await.was_alive), (false, false), "they are new");
    assert!(one.renew().await.was_alive);
    let silent = |ago: i64| {
        let id = &other.id.0;
        database.ask(&format!("UPDATE server SET seen = seen - {ago} WHERE id = '{id}'"));
    };
    silent(2 * SECOND);
    assert_eq!(one.renew().await.others, 1);
    assert!(other.renew().await.was_alive);
    silent(4 * SECOND);
    assert_eq!(one.renew().await.others, 0);
    assert!(!other.renew().await.was_alive, "it may have missed what was said");
    assert_eq!(one.renew().await.others, 1);
    silent(23 * 3600 * SECOND);
    one.renew().await;
    assert_eq!(database.ask("SELECT count(*) FROM server"), ["2"]);
    silent(2 * 3600 * SECOND);
    one.renew().await;
    assert_eq!(database.ask("SELECT id FROM server"), [one.id.0.to_string()]);
}

#[tokio::test]
async fn messages_reach_the_other_servers_alone() {
    let Some((database, one, other)) = two().await else { return };
    let third = Server::at(&database).await;
    let [mut own, mut heard, mut also] = [&one, &other, &third].map(|server| server.store.messages());
    one.store.send_to_servers("a word".to_owned());
    assert_eq!((&*heard.recv().await.unwrap(), &*also.recv().await.unwrap()), ("a word", "a word"));
    other.store.send_to_servers("back".to_owned());
    assert_eq!(&*own.recv().await.unwrap(), "back");
}
