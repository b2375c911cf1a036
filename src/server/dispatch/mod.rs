//! What runs by itself: due runs are announced, kills asked, workers pinged, the lost found.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::office::Office;

/// Works until it is stopped.
pub async fn work(_office: Arc<Office>, stop: CancellationToken) {
    stop.cancelled().await;
}
