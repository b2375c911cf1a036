//! A server of its own for a test, with an empty store in a directory that goes with it.

use std::net::SocketAddr;

use jobrunner::server::state::AppState;
use jobrunner::server::store::changes::Change;
use jobrunner::server::{Server, Settings};

use crate::database::{self, Session};
use crate::test_database::TestDatabase;

pub struct Fixture {
    pub server: Server,
    directory: tempfile::TempDir,
    database: Option<TestDatabase>,
}

impl Fixture {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// With settings that differ from those of every test.
    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let directory = tempfile::tempdir().expect("a temporary folder");
        let mut settings = Settings::new(directory.path().join("data"));
        for address in [&mut settings.http, &mut settings.broadcaster, &mut settings.events] {
            address.set_port(0);
        }
        settings.websocket = Some("127.0.0.1:0".parse().expect("an address"));
        let database = database::fresh();
        settings.database = database::database_of(database.as_ref());
        change(&mut settings);
        Self { server: Server::start(settings).await.expect("a server"), directory, database }
    }

    pub fn app_state(&self) -> &AppState {
        self.server.app_state()
    }

    pub fn http(&self) -> SocketAddr {
        self.server.http()
    }

    /// Where the original's clients listen.
    pub fn websocket(&self) -> SocketAddr {
        self.app_state().settings.websocket.expect("it was asked for")
    }

    /// The header line that an operator sends.
    pub fn bearer(&self) -> String {
        format!("Authorization: Bearer {}", self.app_state().token.expose())
    }

    /// The store, for a look past the server. No reader waits for a writer, so the look may block the test.
    pub fn connect(&self) -> Session {
        let settings = &self.app_state().settings;
        database::store_of(&settings.data, &settings.database).connect()
    }

    /// Writes to the store past the server, on a thread of its own: the transaction it waits for may go on in the runtime of
    /// the test.
    pub async fn write<T: Send + 'static>(&self, change: impl FnOnce(&Session) -> T + Send + 'static) -> T {
        let session = self.connect();
        tokio::task::spawn_blocking(move || change(&session)).await.expect("no panic")
    }

    pub fn tell(&self, item: Change) {
        self.app_state().changes().publish(item);
    }

    /// The server goes and comes back, with the same data and settings.
    pub async fn restart(self) -> Self {
        self.pause().await.resume().await
    }

    /// The server goes, for a while.
    pub async fn pause(self) -> Paused {
        let settings = self.app_state().settings.clone();
        self.server.stop().await;
        Paused { settings, directory: self.directory, database: self.database }
    }

    /// The server goes; its data stays, for another.
    pub async fn leave(self) -> tempfile::TempDir {
        let settings = &self.app_state().settings;
        database::note(&settings.data, &settings.database);
        self.server.stop().await;
        // The next server of this data needs it, too; it goes with the process.
        std::mem::forget(self.database);
        self.directory
    }

    pub async fn stop(self) {
        self.server.stop().await;
        drop(self.directory);
    }
}

/// A server that is away, and comes back with the same data, settings and addresses.
pub struct Paused {
    settings: Settings,
    directory: tempfile::TempDir,
    database: Option<TestDatabase>,
}

impl Paused {
    pub async fn resume(self) -> Fixture {
        let Self { settings, directory, database } = self;
        Fixture { server: Server::start(settings).await.expect("a server"), directory, database }
    }
}
