//! The nonces of workers' handshakes: what was signed once is not taken twice, by this server or the next on the same data.

use super::{Store, StoreError};
use crate::server::domain::model::WorkerId;
use crate::wire::uplink::MAX_SKEW;

/// How many are kept of one worker: one that connects more often than this in ten minutes waits.
const OF_ONE: i64 = 1000;

impl Store {
    /// Uses a nonce, `now` in seconds since 1970; its signature was found to be no older or newer than [`MAX_SKEW`]. False
    /// if it was used before, or too many were.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn use_nonce(&self, worker: WorkerId, nonce: &str, now: i64) -> Result<bool, StoreError> {
        let mut writing = self.write().await?;
        // What was signed in the future can be used until it is in the past.
        sqlx::query("DELETE FROM uplink_nonce WHERE worker = ? AND used < ?")
            .bind(worker.get())
            .bind(now - 2 * MAX_SKEW)
            .execute(&mut *writing)
            .await?;
        let query = "INSERT INTO uplink_nonce (worker, nonce, used) SELECT ?1, ?2, ?3
                     WHERE (SELECT count(*) FROM uplink_nonce WHERE worker = ?1) < ?4 ON CONFLICT DO NOTHING";
        let query = sqlx::query(query).bind(worker.get()).bind(nonce).bind(now).bind(OF_ONE);
        let fresh = query.execute(&mut *writing).await?.rows_affected() == 1;
        writing.commit().await?;
        Ok(fresh)
    }
}
