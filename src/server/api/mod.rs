//! The REST API as the original speaks it.

use std::sync::Arc;

use axum::Router;

use super::office::Office;

/// What is served.
pub fn routes() -> Router<Arc<Office>> {
    Router::new()
}
