//! REST API in the original's form: nine resources, each with a list, a schema and its details.
//!
//! A request is checked in this order, as the original does: the path, the method, the identity; only then is anything
//! looked up. Unlike the original, an identity is verified, a run cannot be changed against its life, and a body has a
//! bound.

pub mod answer;
mod content;
mod entity_json;
mod filter;
mod format;
mod permission;
mod read;
mod render;
mod request_body;
mod resource_path;
mod time;
mod write;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::any;

use crate::run::{ApiKey, Attempt, Instance, chain_of};
use crate::server::domain::life::Actor;
use crate::server::domain::model::{Asker, LogId, Run};
use crate::server::domain::resource::Resource;
use crate::server::http::connections;
use crate::server::identity::auth::{ClaimedIdentity, Identity, Signed};
use crate::server::identity::instances;
use crate::server::state::AppState;
use crate::server::store::StoreError;
use crate::server::store::rest_lists::Scope;
use crate::wire::instance::HEADER as INSTANCE;
use crate::wire::resources::ATTEMPT;
use crate::wire::uplink::TellPart;
use answer::ApiAnswer;
pub use content::ApiContent;
use entity_json::Shape;
use filter::Pairs;
use render::RenderStyle;
use resource_path::ResourcePath;

/// Returns the routes of the API.
pub fn routes() -> Router<Arc<AppState>> {
    let here = any(serve);
    Router::new().route("/api/v1", here.clone()).route("/api/v1/", here.clone()).route("/api/v1/{*path}", here)
}

/// Call of the API with a verified identity, over HTTP or an uplink.
#[derive(Debug)]
pub struct ApiCall<'a> {
    /// Verified identity of the caller.
    pub identity: &'a Identity,
    /// Attempt of a run that the worker speaks of, if it names one.
    pub attempt: Option<Attempt>,
    /// Instance of the worker that calls, if it names one.
    pub instance: Option<&'a Instance>,
    /// HTTP method in capitals.
    pub method: &'a str,
    /// Path of the URL.
    pub path: &'a str,
    /// Query of the URL, without its question mark.
    pub query: &'a str,
    /// Body of the request.
    pub body: &'a [u8],
    /// Content type of the body, if there is one.
    pub kind: Option<&'a str>,
}

impl ApiCall<'_> {
    /// Returns the part of the data that the caller may see.
    #[must_use]
    pub fn scope(&self) -> Scope {
        match self.identity {
            Identity::Worker(worker) => Scope::Worker(worker.id),
            Identity::Operator => Scope::All,
        }
    }

    /// Returns the caller as runs and kills record it.
    fn asker(&self) -> Asker {
        match self.identity {
            Identity::Worker(worker) => Asker::Worker(worker.id),
            Identity::Operator => Asker::Client,
        }
    }

    fn actor(&self) -> Actor {
        match self.identity {
            Identity::Worker(worker) => Actor::Worker(worker.id, self.attempt),
            Identity::Operator => Actor::Operator,
        }
    }
}

async fn serve(State(app): State<Arc<AppState>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let mut style = RenderStyle::of(&parts, &Pairs::of(parts.uri.query().unwrap_or_default()));
    // Both are filled in as far as the call comes, since a refusal is rendered by them, too.
    let mut scope = Scope::All;
    let answer = handle(&app, &parts, body, &mut style, &mut scope).await;
    style.render(answer, &app, scope)
}

async fn handle(app: &AppState, parts: &Parts, body: Body, style: &mut RenderStyle, scope: &mut Scope) -> ApiAnswer {
    let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
    let target = match ResourcePath::of(path, query) {
        Ok(target) => target,
        Err(answer) => return answer,
    };
    if let Some(refusal) = target.refuses(parts.method.as_str()) {
        return refusal;
    }
    if target == ResourcePath::Top {
        return read::index();
    }
    let (identity, body) = match identify(app, parts, body).await {
        Ok(found) => found,
        Err(answer) => return answer,
    };
    style.is_operator = matches!(identity, Identity::Operator);
    let instance = match admit(app, &identity, parts).await {
        Ok(instance) => instance,
        Err(answer) => return answer,
    };
    let attempt = match attempt(parts) {
        Ok(attempt) => attempt,
        Err(answer) => return answer,
    };
    let kind = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let (instance, method) = (instance.as_ref(), parts.method.as_str());
    let call = ApiCall { identity: &identity, attempt, instance, method, path, query, body: &body, kind };
    *scope = call.scope();
    answer_to(app, &target, &call).await
}

/// Verifies the identity of the caller and reads the body. A request without a known key or token, or with a body that
/// is too long or too slow, is refused.
async fn identify(app: &AppState, parts: &Parts, body: Body) -> Result<(Identity, axum::body::Bytes), ApiAnswer> {
    // The claim is read before the body, so that a caller without a known key costs no memory for one. The signature
    // covers the body, so it is verified after it.
    let claim =
        ClaimedIdentity::read(app, &parts.headers).await.map_err(|e| FailedRequest::of(parts, None).answer(&e))?;
    let claim = claim.ok_or_else(ApiAnswer::unauthorised)?;
    let most = app.settings.max_body;
    let body = connections::read_body(body, most).await.map_err(|unread| ApiAnswer::unread(unread, most))?;
    let path_and_query = parts.uri.path_and_query().map_or("", |both| both.as_str());
    let signed = Signed { method: parts.method.as_str(), path_and_query, body: &body };
    let identity = claim.verify(signed).ok_or_else(ApiAnswer::unauthorised)?;
    connections::mark_known(&parts.extensions);
    Ok((identity, body))
}

/// Admits a worker whose instance is the active one, or that names none, and returns the instance.
async fn admit(app: &AppState, identity: &Identity, parts: &Parts) -> Result<Option<Instance>, ApiAnswer> {
    let (Identity::Worker(worker), Some(value)) = (identity, parts.headers.get(INSTANCE)) else { return Ok(None) };
    let instance = value.to_str().ok().and_then(Instance::parse);
    let instance = instance.ok_or_else(|| ApiAnswer::bad("an instance is 32 hexadecimal digits in lower case"))?;
    let (is_lost, from) = (app.silent_workers.is_silent(worker.id), connections::address_of(&parts.extensions));
    let admitted = instances::admit(&app.store, &app.instances, is_lost, worker, &instance, from).await;
    match admitted.map_err(|e| FailedRequest::of(parts, Some(&worker.api_key)).answer(&e))? {
        Ok(()) => Ok(Some(instance)),
        Err(refusal) => Err(ApiAnswer::occupied(&refusal)),
    }
}

fn attempt(parts: &Parts) -> Result<Option<Attempt>, ApiAnswer> {
    let Some(value) = parts.headers.get(ATTEMPT) else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    number.map(|number| Some(Attempt(number))).ok_or_else(|| ApiAnswer::bad("an attempt is a number"))
}

/// Answers a call whose identity was verified already; [`super::uplink`] calls this.
pub async fn answer(app: &AppState, call: &ApiCall<'_>) -> ApiAnswer {
    match ResourcePath::of(call.path, call.query) {
        Ok(target) => match target.refuses(call.method) {
            Some(refusal) => refusal,
            None => answer_to(app, &target, call).await,
        },
        Err(answer) => answer,
    }
}

async fn answer_to(app: &AppState, target: &ResourcePath, call: &ApiCall<'_>) -> ApiAnswer {
    let answered = match (call.method, target) {
        ("GET", target) => read::read(app, target, call).await,
        ("POST", ResourcePath::List(resource)) => write::create(app, *resource, call).await,
        ("PATCH" | "PUT", ResourcePath::Detail(resource, id)) => write::change(app, *resource, id, call).await,
        // Only the root comes here, over an uplink and with a method of its own: all other targets have been checked.
        _ => Ok(ApiAnswer::no_path()),
    };
    // A conflict in the store is the caller's mistake, in the original's form; any other error is the server's.
    answered.unwrap_or_else(|e| match e {
        StoreError::Conflict(what) => ApiAnswer::bad(&what.to_string()),
        e => FailedRequest::of_call(call).answer(&e),
    })
}

/// Answers a call that tells all that a worker knows of a run, with the text of its log from a byte on; also returns the
/// part that is refused, where one is. [`super::uplink`] calls this.
pub async fn tell(app: &AppState, call: &ApiCall<'_>, from: Option<u64>) -> (ApiAnswer, Option<TellPart>) {
    match ResourcePath::of(call.path, call.query) {
        Ok(ResourcePath::Detail(Resource::Run, id)) => {
            write::tell(app, &id, call, from).await.unwrap_or_else(|e| (FailedRequest::of_call(call).answer(&e), None))
        }
        Ok(_) => (ApiAnswer::no_path(), None),
        Err(answer) => (answer, None),
    }
}

/// Returns the JSON of a run as GET shows it.
#[must_use]
pub fn run_json(app: &AppState, run: &Run, log: Option<LogId>) -> String {
    Shape { zone: app.settings.time_zone }.run(run, log).to_string()
}

/// Request that failed because of the store, as the log names it.
struct FailedRequest<'a> {
    method: &'a str,
    /// Path without the query.
    path: &'a str,
    /// Address of the caller, where the request came over HTTP and its identity was not verified yet.
    address: Option<IpAddr>,
    worker: Option<&'a ApiKey>,
}

impl<'a> FailedRequest<'a> {
    fn of(parts: &'a Parts, worker: Option<&'a ApiKey>) -> Self {
        let address = Some(connections::address_of(&parts.extensions));
        Self { method: parts.method.as_str(), path: parts.uri.path(), address, worker }
    }

    fn of_call(call: &'a ApiCall<'_>) -> Self {
        let worker = match call.identity {
            Identity::Worker(worker) => Some(&worker.api_key),
            Identity::Operator => None,
        };
        Self { method: call.method, path: call.path, address: None, worker }
    }

    /// Logs the failure and returns its answer. An outage is not logged here: the store does so, once.
    fn answer(&self, error: &StoreError) -> ApiAnswer {
        if error.is_outage() {
            return ApiAnswer::unavailable(&error.to_string());
        }
        tracing::error!(
            target: "job_runner.api",
            method = self.method,
            path = self.path,
            address = self.address.map(tracing::field::display),
            worker = self.worker.map(tracing::field::display),
            error = %chain_of(error),
            "request failed"
        );
        ApiAnswer::failed()
    }
}
