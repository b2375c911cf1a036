//! Workers: what they tell of themselves when they are asked whether they are there, and when that changes. The answer says
//! what is asked of them.

use chrono::Utc;

use super::Stop;
use crate::run::{Duty, RequestId};
use crate::server::api::Call;
use crate::server::api::answer::Answer;
use crate::server::api::form::{Form, Wrong};
use crate::server::auth::Identity;
use crate::server::instances;
use crate::server::model::WorkerId;
use crate::server::office::Office;
use crate::server::store::{Answer as Pong, Kind, Tells};
use crate::wire::lack;

/// How long a version may be, in bytes: the original's column.
const VERSION: usize = 100;

pub async fn change(office: &Office, id: i64, form: &Form, call: &Call<'_>) -> Result<Answer, Stop> {
    let version = form.text("worker_version")?.flatten();
    if version.as_ref().is_some_and(|version| version.len() > VERSION) {
        return Err(Wrong::Value(format!("worker_version is longer than {VERSION} bytes")).into());
    }
    let at = form.time("ping_response_dts")?.flatten();
    let kind = if is_itself(call, id) { kind(form)? } else { Kind::Unsaid };
    let is_ours = matches!(kind, Kind::Ours(_));
    let has_left = matches!(kind, Kind::Ours(Tells { duty: Duty::Offline, .. }));
    let pong = Pong { at, version, seats: form.count("concurrent_jobs")?.flatten(), kind };
    let Some(worker) = WorkerId::new(id) else { return Ok(Answer::not_found()) };
    let request = office.store.answered(worker, &pong, Utc::now()).await?;
    if let (true, Some(instance)) = (has_left, call.instance) {
        instances::release(office, worker, instance).await?;
    }
    let told = is_ours.then_some(request);
    Ok(Answer { request: told, ..Answer::accepted() })
}

fn is_itself(call: &Call<'_>, id: i64) -> bool {
    matches!(call.identity, Identity::Worker(worker) if worker.id.get() == id)
}

/// What a worker tells of what it does.
fn kind(form: &Form) -> Result<Kind, Wrong> {
    let Some(duty) = form.text("duty")?.flatten() else { return Ok(Kind::Original) };
    let request = |name| Ok(form.number(name)?.flatten().and_then(RequestId::new));
    Ok(Kind::Ours(Tells {
        duty: Duty::named(&duty),
        seats_taken: form.count("seats_taken")?.flatten().unwrap_or(0),
        outbox: form.count("outbox")?.flatten().unwrap_or(0),
        restarts: form.truth("restarts")?.flatten().unwrap_or(false),
        held: form.json("held").map(lack::read).unwrap_or_default(),
        follows: request("request_followed")?,
        done: request("request_done")?,
    }))
}
