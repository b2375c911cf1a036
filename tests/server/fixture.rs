//! A server of its own for a test, with an empty store in a directory that goes with it.

use std::net::SocketAddr;

use jobrunner::server::state::AppState;
use jobrunner::server::store::changes::Change;
use jobrunner::server::{Server, Settings};
use rusqlite::Connection;

use crate::sqlite;

pub struct Fixture {
    pub server: Server,
    directory: tempfile::TempDir,
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
        change(&mut settings);
        Self { server: Server::start(settings).await.expect("a server"), directory }
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

    /// The store, for a look past the server. In WAL mode no reader waits for a writer, so the look may block the test.
    pub fn connect(&self) -> Connection {
        sqlite::connect(&self.app_state().settings.data.join("job_runner.sqlite")).expect("the store")
    }

    /// Writes to the store past the server, on a thread of its own: the transaction it waits for may go on in the runtime of
    /// the test.
    pub async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> T {
        let mut connection = self.connect();
        let changed = tokio::task::spawn_blocking(move || change(&mut connection)).await;
        changed.expect("no panic").expect("a change")
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
        Paused { settings, directory: self.directory }
    }

    /// The server goes; its data stays, for another.
    pub async fn leave(self) -> tempfile::TempDir {
        self.server.stop().await;
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
}

impl Paused {
    pub async fn resume(self) -> Fixture {
        Fixture { server: Server::start(self.settings).await.expect("a server"), directory: self.directory }
    }
}
