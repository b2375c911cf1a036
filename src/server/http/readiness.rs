//! `GET /readyz`: whether the server does its work, for who watches over it. Needs no token and says no secrets.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use chrono::SecondsFormat;
use serde_json::{Value, json};

use crate::server::state::AppState;

/// What is served.
pub fn routes() -> Router<Arc<AppState>> {
    Router::new().route("/readyz", get(ready))
}

/// 200 where everything works, else 503 with what is lacking, since when.
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
