//! What operators ask and do beyond the original's REST API.

use std::sync::Arc;

use axum::Router;

use super::office::Office;

/// What is served.
pub fn routes() -> Router<Arc<Office>> {
    Router::new()
}
