//! Dashboard: HTML pages about runs, jobs and workers, with the actions on them. They show what runs, what failed, why
//! something did not run, and what can be done about it.
//!
//! The server renders the HTML and escapes everything in it; a view is a file with its template beside it, and pure
//! functions decide what it shows. All of it works with plain links and forms; the scripts in `assets/` fetch parts of
//! a page again when `/events` announces a change. A browser logs in once with the operator's token and gets a cookie;
//! `form` decides what it may read and send. A server on loopback answers only to its own names, so that no page of
//! another site can reach it under a name of its own.

mod admin;
mod assets;
mod farm;
mod form;
mod format;
mod frame;
mod guard;
mod job;
mod jobs;
mod login;
mod not_found;
mod notice;
mod now;
mod plain_page;
mod refusal;
mod return_path;
mod run;
mod sentence;
mod template;
mod visit;
mod workers;

use std::sync::Arc;

use axum::extract::Request;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};

use axum::Router;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};

use crate::server::http::shared::failed_requests::{self, FailingPart};
use crate::server::http::shared::own_names;
use crate::server::state::AppState;

/// Content security policy: only assets and connections of this server, nothing inline, and no embedding in frames.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Routes of the dashboard. All except the login page and the assets are behind the guard of `form`.
pub fn routes(app: &Arc<AppState>) -> Router<Arc<AppState>> {
    let pages = Router::new()
        .route("/", get(now::page))
        .route("/parts/now", get(now::part))
        .route("/runs/{run}", get(run::page))
        .route("/runs/{run}/again", post(run::run_again))
        .route("/runs/{run}/kill", post(run::kill))
        .route("/parts/runs/{run}", get(run::part))
        .route("/jobs", get(jobs::page))
        .route("/parts/jobs", get(jobs::part))
        .route("/jobs/{job}", get(job::page))
        .route("/jobs/{job}/run", post(job::run))
        .route("/jobs/{job}/enable", post(job::enable))
        .route("/jobs/{job}/disable", post(job::disable))
        .route("/parts/jobs/{job}", get(job::part))
        .route("/workers", get(workers::page).post(workers::command))
        .route("/parts/workers", get(workers::part))
        .route("/farm", get(farm::page).post(farm::command))
        .route("/parts/farm", get(farm::part))
        .route("/farm/jobs/{job}", get(farm::job::page))
        .route("/farm/jobs/{job}/cancel", post(farm::job::cancel))
        .route("/farm/jobs/{job}/requeue", post(farm::job::requeue))
        .route("/parts/farm/jobs/{job}", get(farm::job::part))
        .route("/farm/tasks/{task}", get(farm::task::page))
        .route("/farm/tasks/{task}/requeue", post(farm::task::requeue))
        .route("/parts/farm/tasks/{task}", get(farm::task::part))
        .route("/parts/titles", get(admin::titles))
        .route("/admin", get(admin::first_list))
        .route("/admin/{kind}", get(admin::list))
        .route("/admin/{kind}/new", get(admin::new_form).post(admin::create))
        .route("/admin/{kind}/{id}", get(admin::edit).post(admin::change))
        .route("/admin/{kind}/{id}/delete", get(admin::confirm_deletion).post(admin::delete))
        .route("/logout", post(login::log_out))
        // The last layer runs first: the guard decides before a refusal becomes a page.
        .layer(middleware::from_fn(not_found::as_page))
        .layer(middleware::from_fn_with_state(Arc::clone(app), guard::guard));
    Router::new()
        .route("/login", get(login::ask).post(login::log_in))
        .merge(assets::routes())
        .merge(pages)
        .fallback(not_found::fallback)
        .layer(middleware::from_fn_with_state(FailingPart::Dashboard, failed_requests::log_failed))
        .layer(middleware::from_fn(guarded))
        .layer(middleware::from_fn_with_state(Arc::clone(app), own_names::own_names_only))
}

/// Middleware: adds the security headers to every response. Nothing is cached unless a handler says otherwise.
async fn guarded(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Without any referrer, browsers would also withhold the origin of forms from this server (`Origin: null`).
        (REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
