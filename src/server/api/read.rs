//! What is read: lists, schemas, details.

use serde_json::{Map, Value, json};

use super::answer::{Answer, Stage};
use super::content::{self, Object, plain};
use super::filter::Pairs;
use super::shape::Shape;
use super::target::Target;
use super::{Call, filter};
use crate::server::office::Office;
use crate::server::resource::Resource;
use crate::server::store::StoreError;
use crate::server::store::lists::{Ask, Page, only};

/// The most objects of one page, whatever is asked for.
const MOST: u32 = 1000;
/// How many bytes of a set are in memory at most, beside the texts of logs.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// How many of a set are looked up.
const SET: usize = 1000;

pub async fn read(office: &Office, target: &Target, call: &Call<'_>) -> Result<Answer, StoreError> {
    let _turn = office.reading.take(call.scope()).await;
    match target {
        Target::Top => Ok(top()),
        Target::Schema(resource) => Ok(schema(*resource, office.settings.page_limit)),
        Target::List(resource) => list(office, *resource, call).await,
        Target::Set(resource, ids) => set(office, *resource, ids, call).await,
        Target::Detail(resource, id) => Ok(match seen(office, *resource, id, call).await? {
            Ok(found) => Answer::content(content::list(String::new(), vec![found], String::new())),
            Err(answer) => answer,
        }),
    }
}

/// What there is, for everybody.
pub fn top() -> Answer {
    let all = Resource::ALL.map(|resource| {
        let list = format!("/api/v1/{}/", resource.name());
        (resource.name().to_owned(), json!({"schema": format!("{list}schema/"), "list_endpoint": list}))
    });
    Answer::open(Value::Object(Map::from_iter(all)))
}

/// As the original describes itself.
fn schema(resource: Resource, limit: u32) -> Answer {
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
    let Ok(Value::Object(mut schema)) = serde_json::from_str(text) else { return Answer::failed() };
    schema.insert("default_limit".to_owned(), limit.into());
    Answer::ok(Value::Object(schema))
}

async fn list(office: &Office, resource: Resource, call: &Call<'_>) -> Result<Answer, StoreError> {
    let pairs = Pairs::of(call.query);
    let terms = match filter::terms(resource, &pairs, office.settings.time_zone) {
        Ok(terms) => terms,
        Err(refused) => return Ok(Answer::bad(&refused)),
    };
    let (limit, offset) = match filter::page(&pairs, office.settings.page_limit, MOST) {
        Ok(page) => page,
        Err(refused) => return Ok(Answer::bad(&refused)),
    };
    let ask = Ask { scope: call.scope(), terms, limit: Some(limit), offset };
    let page = objects(office, resource, &ask).await?;
    let another = |offset| filter::page_path(resource, &pairs, limit, offset);
    // A page that is full is shorter than what was asked for; the next begins where it ends.
    let shown = if page.full { page.things.len() as u64 } else { limit.into() };
    let next = offset.saturating_add(shown);
    let meta = json!({
        "limit": limit, "offset": offset, "total_count": page.total,
        "next": (next < page.total).then(|| another(next)),
        "previous": offset.checked_sub(limit.into()).map(another),
    });
    let before = format!("{{\"meta\":{meta},\"objects\":[");
    Ok(Answer::content(content::list(before, page.things, "]}".to_owned())))
}

/// The objects of a list in the original's shape.
async fn objects(office: &Office, resource: Resource, ask: &Ask) -> Result<Page<Object>, StoreError> {
    let (store, shape) = (&office.store, Shape { zone: office.settings.time_zone });
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

impl<T> Page<T> {
    fn shaped(self, shape: impl Fn(&T) -> Object) -> Page<Object> {
        Page { total: self.total, things: self.things.iter().map(shape).collect(), full: self.full }
    }
}

/// Whether somebody may see one of a resource. The answer to give if not.
pub async fn may_see(
    office: &Office,
    resource: Resource,
    id: &str,
    call: &Call<'_>,
) -> Result<Result<i64, Answer>, StoreError> {
    let Ok(id) = id.parse::<i64>() else { return Ok(Err(Answer::no_name("an id is a number"))) };
    Ok(match office.store.sees(resource, id, call.scope()).await? {
        Some(true) => Ok(id),
        Some(false) => Err(Answer::unauthorised()),
        None => Err(Answer::not_found()),
    })
}

async fn seen(
    office: &Office,
    resource: Resource,
    id: &str,
    call: &Call<'_>,
) -> Result<Result<Object, Answer>, StoreError> {
    let id = match may_see(office, resource, id, call).await? {
        Ok(id) => id,
        Err(answer) => return Ok(Err(answer)),
    };
    let found = objects(office, resource, &only(id)).await?;
    Ok(found.things.into_iter().next().ok_or_else(Answer::not_found))
}

async fn set(office: &Office, resource: Resource, ids: &[String], call: &Call<'_>) -> Result<Answer, StoreError> {
    let (mut objects, mut not_found, mut bytes) = (Vec::new(), Vec::new(), 0);
    for id in ids.iter().take(SET) {
        match seen(office, resource, id, call).await? {
            Ok(found) => {
                bytes += content::in_memory(&found);
                objects.push(found);
            }
            Err(answer) if answer.stage == Stage::Given => not_found.push(id.clone()),
            Err(answer) => return Ok(answer),
        }
        if bytes > MOST_BYTES {
            return Ok(Answer::bad(&format!("these are more than {MOST_BYTES} bytes; ask for fewer at once")));
        }
    }
    let not_found = if not_found.is_empty() { String::new() } else { format!("\"not_found\":{},", json!(not_found)) };
    Ok(Answer::content(content::list(format!("{{{not_found}\"objects\":["), objects, "]}".to_owned())))
}
