//! Read calls: lists, schemas, sets and details.

use serde_json::{Map, Value, json};

use super::answer::{ApiAnswer, CallStage};
use super::content::{self, Object, plain};
use super::entity_json::Shape;
use super::filter::Pairs;
use super::resource_path::ResourcePath;
use super::{ApiCall, filter};
use crate::server::domain::resource::Resource;
use crate::server::state::AppState;
use crate::server::store::StoreError;
use crate::server::store::rest_lists::{ListPage, ListQuery, only};

/// Maximum number of objects of one page, whatever the query asks for.
const MOST: u32 = 1000;
/// Maximum number of bytes of a set in memory, beside the texts of logs.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// Maximum number of ids of a set; a request for more is refused.
const MAX_SET: usize = 1000;

pub async fn read(app: &AppState, target: &ResourcePath, call: &ApiCall<'_>) -> Result<ApiAnswer, StoreError> {
    // Held until the answer is composed: a caller with many long lists must not take all connections to the store.
    let _turn = app.reading.take(call.scope()).await;
    match target {
        ResourcePath::Top => Ok(index()),
        ResourcePath::Schema(resource) => Ok(schema(*resource, app.settings.page_limit)),
        ResourcePath::List(resource) => list(app, *resource, call).await,
        ResourcePath::Set(resource, ids) => set(app, *resource, ids, call).await,
        ResourcePath::Detail(resource, id) => Ok(match seen(app, *resource, id, call).await? {
            Ok(found) => ApiAnswer::content(content::list(String::new(), vec![found], String::new())),
            Err(answer) => answer,
        }),
    }
}

/// Lists the resources, for every caller.
pub fn index() -> ApiAnswer {
    let all = Resource::ALL.map(|resource| {
        let list = format!("/api/v1/{}/", resource.name());
        (resource.name().to_owned(), json!({"schema": format!("{list}schema/"), "list_endpoint": list}))
    });
    ApiAnswer::open(Value::Object(Map::from_iter(all)))
}

/// Returns the original's own description of a resource, with this server's page limit.
fn schema(resource: Resource, limit: u32) -> ApiAnswer {
    let text = match resource {
        Resource::Group => include_str!("schema/group.json"),
        Resource::Job => include_str!("schema/job.json"),
        Resource::JobTemplate => include_str!("schema/job_template.json"),
        Resource::KillRequest => include_str!("schema/kill_request.json"),
        Resource::Project => include_str!("schema/project.json"),
        Resource::Run => include_str!("schema/run.json"),
        Resource::RunLog => include_str!("schema/run_log.json"),
        Resource::Worker => include_str!("schema/worker.json"),
        Resource::WorkerPool => include_str!("schema/worker_pool.json"),
    };
    // The files are part of the program, so they can be read.
    let Ok(Value::Object(mut schema)) = serde_json::from_str(text) else { return ApiAnswer::failed() };
    schema.insert("default_limit".to_owned(), limit.into());
    ApiAnswer::ok(Value::Object(schema))
}

async fn list(app: &AppState, resource: Resource, call: &ApiCall<'_>) -> Result<ApiAnswer, StoreError> {
    let pairs = Pairs::of(call.query);
    let terms = match filter::terms(resource, &pairs, app.settings.time_zone) {
        Ok(terms) => terms,
        Err(refused) => return Ok(ApiAnswer::bad(&refused)),
    };
    let (limit, offset) = match filter::page(&pairs, app.settings.page_limit, MOST) {
        Ok(page) => page,
        Err(refused) => return Ok(ApiAnswer::bad(&refused)),
    };
    let ask = ListQuery { scope: call.scope(), terms, limit: Some(limit), offset };
    let page = objects(app, resource, &ask).await?;
    let another = |offset| filter::page_path(resource, &pairs, limit, offset);
    // A page that reached its bound in bytes is shorter than its limit; the next begins where it ends.
    let shown = if page.full { page.things.len() as u64 } else { limit.into() };
    let next = offset.saturating_add(shown);
    let meta = json!({
        "limit": limit, "offset": offset, "total_count": page.total,
        "next": (next < page.total).then(|| another(next)),
        // Null where fewer entries than a page stand before, as in the original.
        "previous": offset.checked_sub(limit.into()).map(another),
    });
    let before = format!("{{\"meta\":{meta},\"objects\":[");
    Ok(ApiAnswer::content(content::list(before, page.things, "]}".to_owned())))
}

/// Reads a list from the store and shapes its objects as the original does.
async fn objects(app: &AppState, resource: Resource, ask: &ListQuery) -> Result<ListPage<Object>, StoreError> {
    let (store, shape) = (&app.store, Shape { zone: app.settings.time_zone });
    Ok(match resource {
        Resource::Group => store.groups(ask).await?.shaped(|group| plain(&shape.group(group))),
        Resource::Job => store.jobs(ask).await?.shaped(|(job, children)| plain(&shape.job(job, children))),
        Resource::JobTemplate => store.templates(ask).await?.shaped(|template| plain(&shape.template(template))),
        Resource::KillRequest => store.kills(ask).await?.shaped(|kill| plain(&shape.kill(kill))),
        Resource::Project => {
            store.projects(ask).await?.shaped(|(project, links)| plain(&shape.project(project, links)))
        }
        Resource::Run => store.runs(ask).await?.shaped(|(run, log)| plain(&shape.run(run, *log))),
        Resource::RunLog => store.logs(ask).await?.shaped(content::log),
        Resource::Worker => store.workers(ask).await?.shaped(|worker| plain(&shape.worker(worker))),
        Resource::WorkerPool => store.pools(ask).await?.shaped(|(pool, workers)| plain(&shape.pool(pool, workers))),
    })
}

impl<T> ListPage<T> {
    fn shaped(self, shape: impl Fn(&T) -> Object) -> ListPage<Object> {
        ListPage { total: self.total, things: self.things.iter().map(shape).collect(), full: self.full }
    }
}

/// Returns the id if the caller may see the entity, and else the answer to give.
pub async fn may_see(
    app: &AppState,
    resource: Resource,
    id: &str,
    call: &ApiCall<'_>,
) -> Result<Result<i64, ApiAnswer>, StoreError> {
    let Ok(id) = id.parse::<i64>() else { return Ok(Err(ApiAnswer::no_name("an id is a number"))) };
    Ok(match app.store.sees(resource, id, call.scope()).await? {
        Some(true) => Ok(id),
        Some(false) => Err(ApiAnswer::unauthorised()),
        None => Err(ApiAnswer::not_found()),
    })
}

async fn seen(
    app: &AppState,
    resource: Resource,
    id: &str,
    call: &ApiCall<'_>,
) -> Result<Result<Object, ApiAnswer>, StoreError> {
    let id = match may_see(app, resource, id, call).await? {
        Ok(id) => id,
        Err(answer) => return Ok(Err(answer)),
    };
    let found = objects(app, resource, &only(id)).await?;
    Ok(found.things.into_iter().next().ok_or_else(ApiAnswer::not_found))
}

async fn set(app: &AppState, resource: Resource, ids: &[String], call: &ApiCall<'_>) -> Result<ApiAnswer, StoreError> {
    if ids.len() > MAX_SET {
        return Ok(ApiAnswer::bad(&format!("these are {} ids; {MAX_SET} at once are allowed", ids.len())));
    }
    let (mut objects, mut not_found, mut bytes) = (Vec::new(), Vec::new(), 0);
    for id in ids {
        match seen(app, resource, id, call).await? {
            Ok(found) => {
                bytes += content::in_memory(&found);
                objects.push(found);
            }
            // A missing entity is listed as not found; one that the caller may not see refuses the whole set.
            Err(answer) if answer.stage == CallStage::Given => not_found.push(id.clone()),
            Err(answer) => return Ok(answer),
        }
        if bytes > MOST_BYTES {
            return Ok(ApiAnswer::bad(&format!("these are more than {MOST_BYTES} bytes; ask for fewer at once")));
        }
    }
    let not_found = if not_found.is_empty() { String::new() } else { format!("\"not_found\":{},", json!(not_found)) };
    Ok(ApiAnswer::content(content::list(format!("{{{not_found}\"objects\":["), objects, "]}".to_owned())))
}
