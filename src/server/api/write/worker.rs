//! Workers: what they tell of themselves when they are asked whether they are there.

use super::Stop;
use crate::server::api::answer::Answer;
use crate::server::api::form::{Form, Wrong};
use crate::server::model::WorkerId;
use crate::server::office::Office;
use crate::server::store::Answer as Pong;

/// How long a version may be, in bytes: the original's column.
const VERSION: usize = 100;

pub async fn change(office: &Office, id: i64, form: &Form) -> Result<Answer, Stop> {
    let version = form.text("worker_version")?.flatten();
    if version.as_ref().is_some_and(|version| version.len() > VERSION) {
        return Err(Wrong::Value(format!("worker_version is longer than {VERSION} bytes")).into());
    }
    let at = form.time("ping_response_dts")?.flatten();
    let pong = Pong { at, version, seats: form.count("concurrent_jobs")?.flatten() };
    let Some(worker) = WorkerId::new(id) else { return Ok(Answer::not_found()) };
    office.store.answered(worker, &pong).await?;
    Ok(Answer::accepted())
}
