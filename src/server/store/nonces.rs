//! Nonces of workers' handshakes: accepts each signed handshake once, also over a restart of the server on the same
//! data.

use super::{Store, StoreError};
use crate::server::domain::model::WorkerId;
use crate::wire::uplink::MAX_SKEW;

/// Nonces that are kept of one worker; one that connects more often within twice [`MAX_SKEW`] is refused meanwhile.
const OF_ONE: i64 = 1000;

impl Store {
    /// Uses a nonce at `now`, in seconds since 1970; the caller has found the time in the handshake to be within
    /// [`MAX_SKEW`]. Returns false if the nonce was used before, or the worker has used too many.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn use_nonce(&self, worker: WorkerId, nonce: &str, now: i64) -> Result<bool, StoreError> {
        let nonce = nonce.to_owned();
        self.change(move |transaction| {
            // A handshake that was signed up to `MAX_SKEW` ahead of the server's clock can be repeated until that time has
            // passed too.
            let sql = "DELETE FROM uplink_nonce WHERE worker = ? AND used < ?";
            transaction.execute(sql, &[&worker, &(now - 2 * MAX_SKEW)])?;
            let sql = "INSERT INTO uplink_nonce (worker, nonce, used) SELECT ?1, ?2, ?3
                       WHERE (SELECT count(*) FROM uplink_nonce WHERE worker = ?1) < ?4 ON CONFLICT DO NOTHING";
            Ok(transaction.execute(sql, &[&worker, &nonce, &now, &OF_ONE])? == 1)
        })
        .await
    }
}
