//! `GET /readyz`: shows monitoring whether the server can do its work. Needs no token and reveals no secrets.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use chrono::SecondsFormat;
use serde_json::{Value, json};

use crate::server::state::AppState;

/// The route of `/readyz`, on which no token is asked for.
pub fn routes() -> Router<Arc<AppState>> {
    Router::new().route("/readyz", get(ready))
}

/// Answers 200 while the store can be written, else 503 with what is lacking, the reason, and since when (UTC).
async fn ready(State(app): State<Arc<AppState>>) -> (StatusCode, Json<Value>) {
    match app.store.outage() {
        None => (StatusCode::OK, Json(json!({"ready": true}))),
        Some(outage) => {
            let since = outage.since.to_rfc3339_opts(SecondsFormat::Secs, true);
            let lacking = json!([{"what": "store", "reason": outage.reason, "since": since}]);
            (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"ready": false, "lacking": lacking})))
        }
    }
}
