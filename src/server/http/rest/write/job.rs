//! Jobs, created and changed by people.

use super::{WriteRefusal, check_visible};
use crate::server::domain::model::{JobId, PoolId, TemplateId, Unit};
use crate::server::domain::resource::Resource;
use crate::server::domain::title::Title;
use crate::server::http::rest::ApiCall;
use crate::server::http::rest::answer::ApiAnswer;
use crate::server::http::rest::request_body::{BodyFault, Form};
use crate::server::state::AppState;
use crate::server::store::{JobPatch, NewJob};

pub async fn create(app: &AppState, form: &Form, call: &ApiCall<'_>) -> Result<ApiAnswer, WriteRefusal> {
    let (template, pool) = (
        form.needed_one("job_template", Resource::JobTemplate)?,
        form.needed_one("worker_pool", Resource::WorkerPool)?,
    );
    let patch = patch(form)?;
    check_visible(app, call, &named_by(&patch)).await?;
    let title = Form::needed("title", form.text("title")?)?;
    let title = Title::new(&title).map_err(|e| ApiAnswer::bad(&e.to_string()))?;
    let script = form.text("script_content_partial")?.flatten().unwrap_or_default();
    let (Some(template), Some(pool)) = (TemplateId::new(template), PoolId::new(pool)) else {
        return Ok(ApiAnswer::not_found());
    };
    let job = app.store.make_job(&NewJob::new(title, template, pool, &script), &patch).await?;
    Ok(ApiAnswer::created(Resource::Job.path(job.id.get())))
}

pub async fn change(app: &AppState, id: i64, form: &Form, call: &ApiCall<'_>) -> Result<ApiAnswer, WriteRefusal> {
    let patch = patch(form)?;
    let Some(job) = JobId::new(id) else { return Ok(ApiAnswer::not_found()) };
    let Some(before) = app.store.job(job).await? else { return Ok(ApiAnswer::not_found()) };
    check_visible(app, call, &named_by(&patch)).await?;
    // A caller who may not see the pool or the parent of a job may not change the job either.
    let around = [(Resource::WorkerPool, Some(before.pool.get())), (Resource::Job, before.parent.map(JobId::get))];
    check_visible(app, call, &around).await?;
    Ok(match (app.store.change_job(job, &patch).await?, call.method) {
        (None, _) => ApiAnswer::not_found(),
        (Some(_), "PUT") => ApiAnswer::replaced(),
        (Some(_), _) => ApiAnswer::accepted(),
    })
}

fn patch(form: &Form) -> Result<JobPatch, BodyFault> {
    let every = form.count("reschedule_interval")?;
    if every == Some(Some(0)) {
        return Err(BodyFault::Value("reschedule_interval is not greater than 0".to_owned()));
    }
    let template = Form::not_null("job_template", form.one("job_template", Resource::JobTemplate)?)?;
    let pool = Form::not_null("worker_pool", form.one("worker_pool", Resource::WorkerPool)?)?;
    Ok(JobPatch {
        title: Form::not_null("title", form.text("title")?)?,
        description: form.text("description")?.map(Option::unwrap_or_default),
        template: template.and_then(TemplateId::new),
        pool: pool.and_then(PoolId::new),
        parent: form.one("parent", Resource::Job)?.map(|parent| parent.and_then(JobId::new)),
        script: Form::not_null("script_content_partial", form.text("script_content_partial")?)?,
        enqueue_is_enabled: truth(form, "enqueue_is_enabled")?,
        every,
        unit: unit(form)?,
        run_on_all_workers: truth(form, "run_on_all_workers")?,
        schedule_children_on_error: truth(form, "schedule_children_on_error")?,
        notification_addresses: form.text("notification_addresses")?.map(Option::unwrap_or_default),
        disable_enqueue_after_fails: form.count("disable_enqueue_after_fails")?,
    })
}

fn truth(form: &Form, name: &str) -> Result<Option<bool>, BodyFault> {
    Form::not_null(name, form.truth(name)?)
}

fn unit(form: &Form) -> Result<Option<Option<Unit>>, BodyFault> {
    let name = form.text("reschedule_interval_type")?.map(Option::unwrap_or_default);
    match name.as_deref() {
        None => Ok(None),
        // The original has an empty text for a job without an interval.
        Some("") => Ok(Some(None)),
        Some(name) => match Unit::named(name) {
            Some(unit) => Ok(Some(Some(unit))),
            None => Err(BodyFault::Value("reschedule_interval_type is not MINUTE, HOUR, DAY or MONTH".to_owned())),
        },
    }
}

fn named_by(patch: &JobPatch) -> [(Resource, Option<i64>); 3] {
    [
        (Resource::JobTemplate, patch.template.map(TemplateId::get)),
        (Resource::WorkerPool, patch.pool.map(PoolId::get)),
        (Resource::Job, patch.parent.flatten().map(JobId::get)),
    ]
}
