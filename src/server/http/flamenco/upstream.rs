//! Requests that lead to the Flamenco Server of the original. This Manager has none: jobs are submitted to it.

use axum::http::StatusCode;

use super::auth::FarmReader;

/// Text for people in place of what a Server would have.
const NO_SERVER: &str = "This Manager has no Flamenco Server: jobs are submitted to it.\n";

// Both routes exist so that a client that uses them is told why, and does not take this server for a broken one.

/// Answers the order to look for new tasks: there is nobody to ask, and what is submitted is there at once.
pub(super) async fn kick(_: FarmReader) -> &'static str {
    NO_SERVER
}

/// Refuses to lead to a task's page on the Server.
pub(super) async fn redirect() -> (StatusCode, &'static str) {
    (StatusCode::NOT_FOUND, NO_SERVER)
}
