//! Connections that read, on loan to one read each.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

use super::DbError;

/// Connections that read, and thus reads at the same time.
pub const READERS: usize = 4;

/// Pool of the connections.
#[derive(Debug)]
pub struct Readers<C> {
    idle: Mutex<Vec<C>>,
    free: Semaphore,
}

/// A connection on loan. Dropped, it goes back.
pub struct Loan<C> {
    connection: Option<C>,
    home: Arc<Readers<C>>,
}

impl<C> Readers<C> {
    /// Takes the connections, which are [`READERS`].
    pub fn new(idle: Vec<C>) -> Arc<Self> {
        let free = Semaphore::new(idle.len());
        Arc::new(Self { idle: Mutex::new(idle), free })
    }

    /// Waits for a connection.
    ///
    /// # Errors
    /// If the database is closed.
    pub async fn lend(self: &Arc<Self>) -> Result<Loan<C>, DbError> {
        let permit = self.free.acquire().await.map_err(|_| DbError::Closed)?;
        let connection = lock(&self.idle).pop().ok_or(DbError::Closed)?;
        permit.forget();
        Ok(Loan { connection: Some(connection), home: Arc::clone(self) })
    }

    /// Waits for all reads, and drops the connections.
    pub async fn close(&self) {
        // All connections are back once each permit is taken.
        if let Ok(all) = self.free.acquire_many(READERS as u32).await {
            all.forget();
        }
        self.free.close();
        lock(&self.idle).clear();
    }
}

impl<C> Deref for Loan<C> {
    type Target = C;

    fn deref(&self) -> &C {
        self.connection.as_ref().expect("it goes back when the loan is dropped")
    }
}

impl<C> DerefMut for Loan<C> {
    fn deref_mut(&mut self) -> &mut C {
        self.connection.as_mut().expect("it goes back when the loan is dropped")
    }
}

impl<C> Drop for Loan<C> {
    fn drop(&mut self) {
        lock(&self.home.idle).extend(self.connection.take());
        self.home.free.add_permits(1);
    }
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it holds one of these locks.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
