//! Runs: made by who wants a job to run, changed by who executes them.

use chrono::Utc;

use super::{Stop, visible};
use crate::run::RunId;
use crate::server::api::Call;
use crate::server::api::answer::Answer;
use crate::server::api::form::{Form, Wrong};
use crate::server::life::{Fact, Patch};
use crate::server::model::{JobId, RunExit, WorkerId};
use crate::server::office::Office;
use crate::server::resource::Resource;
use crate::server::store::{NewRun, RunChange};

pub async fn create(office: &Office, form: &Form, call: &Call<'_>) -> Result<Answer, Stop> {
    let job = form.needed_one("job", Resource::Job)?;
    let worker = form.one("worker", Resource::Worker)?.flatten();
    visible(office, call, &[(Resource::Job, Some(job)), (Resource::Worker, worker)]).await?;
    let schedule_dts = Form::needed("schedule_dts", form.time("schedule_dts")?)?;
    let is_manual = Form::not_null("is_manual", form.truth("is_manual")?)?.unwrap_or(false);
    let schedule_children = Form::not_null("schedule_children", form.truth("schedule_children")?)?.unwrap_or(true);
    let Some(job) = JobId::new(job) else { return Ok(Answer::not_found()) };
    let pinned = worker.and_then(WorkerId::new);
    let new =
        NewRun { is_manual, schedule_children, pinned, asked_by: Some(call.asker()), ..NewRun::due(job, schedule_dts) };
    let run = office.store.new_run(&new).await?;
    Ok(Answer::created(Resource::Run.path(run.id.get())))
}

pub async fn change(office: &Office, id: i64, form: &Form, call: &Call<'_>) -> Result<Answer, Stop> {
    let patch = patch(form)?;
    visible(office, call, &[(Resource::Worker, patch.worker.map(WorkerId::get))]).await?;
    let Some(run) = RunId::new(id) else { return Ok(Answer::not_found()) };
    Ok(match office.store.change_run(run, &patch, call.who(), Utc::now()).await? {
        RunChange::Made(changed) => {
            // Said again to a worker that says its claim again, because it heard no answer.
            let is_claim = patch.enqueue_dts.flatten().is_some() || changed.facts.contains(&Fact::Claimed);
            Answer { attempt: is_claim.then_some(changed.run.attempt), ..Answer::accepted() }
        }
        RunChange::Refused(refusal) => Answer::refused(refusal),
        RunChange::Unknown => Answer::not_found(),
    })
}

fn patch(form: &Form) -> Result<Patch, Wrong> {
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

/// How it ended, as our own worker tells. Why it was stopped says more than how it went down.
fn exit(form: &Form) -> Result<Option<RunExit>, Wrong> {
    let number = |name: &str| {
        let number = form.number(name)?.flatten();
        number.map(|n| i32::try_from(n).map_err(|_| Wrong::Value(format!("{name} is too large")))).transpose()
    };
    let (code, signal) = (number("exit_code")?, number("exit_signal")?);
    Ok(match (form.text("exit_cause")?.flatten().as_deref(), code, signal) {
        (Some("killed"), _, _) => Some(RunExit::Killed),
        (Some("timed_out"), _, _) => Some(RunExit::TimedOut),
        (Some(_), _, _) => return Err(Wrong::Value("exit_cause is not killed or timed_out".to_owned())),
        (None, Some(code), _) => Some(RunExit::Code(code)),
        (None, None, Some(signal)) => Some(RunExit::Signal(signal)),
        (None, None, None) => None,
    })
}
