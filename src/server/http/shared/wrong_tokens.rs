//! Checks the token of each request before any route does, and holds the answer back where too many from its address were wrong.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::header::RETRY_AFTER;
use axum::http::{Extensions, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::server::http::connections;
use crate::server::identity::token;
use crate::server::identity::wrong_token_limits::{TokenVerdict, TooMany};
use crate::server::state::AppState;
use crate::wire::operator::RequestRefusal;

/// Checks a token, and takes its time where too many from the address of the request were wrong.
pub async fn check(app: &AppState, said: &str, extensions: &Extensions) -> TokenVerdict {
    let wait = match app.wrong_token_limits.look(connections::address_of(extensions), || app.token.is(said)) {
        Ok(verdict) => return verdict,
        Err(wait) => wait,
    };
    // When the server stops, the answer is given at once: it would keep the connection open.
    let _ = app.stop.run_until_cancelled(tokio::time::sleep(wait)).await;
    TokenVerdict::TooMany(TooMany::after(wait))
}

/// Middleware around all routes: a request with too many wrong tokens before it is answered 429. What a right or a wrong token may do
/// is decided by the route.
pub async fn slow_down(State(app): State<Arc<AppState>>, request: Request, next: Next) -> Response {
    let Some(said) = token::bearer(request.headers()) else { return next.run(request).await };
    match check(&app, said, request.extensions()).await {
        TokenVerdict::Right => {
            connections::mark_known(request.extensions());
            next.run(request).await
        }
        TokenVerdict::Wrong => next.run(request).await,
        TokenVerdict::TooMany(many) => {
            let headers = [(RETRY_AFTER, many.seconds())];
            (StatusCode::TOO_MANY_REQUESTS, headers, Json(RequestRefusal { error: many.to_string() })).into_response()
        }
    }
}
