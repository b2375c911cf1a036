//! Runs, created by a caller who wants a job to run, and changed by the worker that executes them.

use chrono::Utc;

use super::{WriteRefusal, check_visible};
use crate::run::RunId;
use crate::server::domain::life::{LifeEvent, Patch};
use crate::server::domain::model::{JobId, RunExit, WorkerId};
use crate::server::domain::resource::Resource;
use crate::server::http::rest::ApiCall;
use crate::server::http::rest::answer::ApiAnswer;
use crate::server::http::rest::request_body::{BodyFault, Form};
use crate::server::state::AppState;
use crate::server::store::{NewRun, RunChange};

pub async fn create(app: &AppState, form: &Form, call: &ApiCall<'_>) -> Result<ApiAnswer, WriteRefusal> {
    let job = form.needed_one("job", Resource::Job)?;
    let worker = form.one("worker", Resource::Worker)?.flatten();
    check_visible(app, call, &[(Resource::Job, Some(job)), (Resource::Worker, worker)]).await?;
    let schedule_dts = Form::needed("schedule_dts", form.time("schedule_dts")?)?;
    let is_manual = Form::not_null("is_manual", form.truth("is_manual")?)?.unwrap_or(false);
    let schedule_children = Form::not_null("schedule_children", form.truth("schedule_children")?)?.unwrap_or(true);
    let Some(job) = JobId::new(job) else { return Ok(ApiAnswer::not_found()) };
    let pinned = worker.and_then(WorkerId::new);
    let new =
        NewRun { is_manual, schedule_children, pinned, asked_by: Some(call.asker()), ..NewRun::due(job, schedule_dts) };
    let run = app.store.new_run(&new).await?;
    Ok(ApiAnswer::created(Resource::Run.path(run.id.get())))
}

pub async fn change(app: &AppState, id: i64, form: &Form, call: &ApiCall<'_>) -> Result<ApiAnswer, WriteRefusal> {
    let patch = patch(form)?;
    check_visible(app, call, &[(Resource::Worker, patch.worker.map(WorkerId::get))]).await?;
    let Some(run) = RunId::new(id) else { return Ok(ApiAnswer::not_found()) };
    Ok(match app.store.change_run(run, &patch, call.actor(), Utc::now()).await? {
        RunChange::Made(changed) => {
            // A worker that heard no answer claims again and has to learn the attempt this time.
            let is_claim = patch.enqueue_dts.flatten().is_some() || changed.events.contains(&LifeEvent::Claimed);
            ApiAnswer { attempt: is_claim.then_some(changed.run.attempt), ..ApiAnswer::accepted() }
        }
        RunChange::Refused(refusal) => ApiAnswer::refused(refusal),
        RunChange::Unknown => ApiAnswer::not_found(),
    })
}

pub(super) fn patch(form: &Form) -> Result<Patch, BodyFault> {
    Ok(Patch {
        enqueue_dts: form.time("enqueue_dts")?,
        worker: form.one("worker", Resource::Worker)?.flatten().and_then(WorkerId::new),
        start_dts: form.time("start_dts")?,
        return_dts: form.time("return_dts")?,
        return_success: form.truth("return_success")?,
        pid: form.number("pid")?,
        exit: exit(form)?,
    })
}

/// Reads the exit of a script, as this project's worker reports it. The cause of a stop counts more than status or
/// signal.
fn exit(form: &Form) -> Result<Option<RunExit>, BodyFault> {
    let number = |name: &str| {
        let number = form.number(name)?.flatten();
        number.map(|n| i32::try_from(n).map_err(|_| BodyFault::Value(format!("{name} is too large")))).transpose()
    };
    let (code, signal) = (number("exit_code")?, number("exit_signal")?);
    Ok(match (form.text("exit_cause")?.flatten().as_deref(), code, signal) {
        (Some("killed"), _, _) => Some(RunExit::Killed),
        (Some("timed_out"), _, _) => Some(RunExit::TimedOut),
        (Some(_), _, _) => return Err(BodyFault::Value("exit_cause is not killed or timed_out".to_owned())),
        (None, Some(code), _) => Some(RunExit::Code(code)),
        (None, None, Some(signal)) => Some(RunExit::Signal(signal)),
        (None, None, None) => None,
    })
}
