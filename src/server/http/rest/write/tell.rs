//! Tells: reads what a worker says of a run at once, for the store to apply in one transaction.

use chrono::Utc;

use super::{WriteRefusal, run};
use crate::run::RunId;
use crate::server::domain::life::Patch;
use crate::server::domain::resource::Resource;
use crate::server::http::rest::ApiCall;
use crate::server::http::rest::answer::ApiAnswer;
use crate::server::http::rest::request_body::Form;
use crate::server::state::AppState;
use crate::server::store::{RunTell, StoreError, TellOutcome, TellRefusal, ToldLog};
use crate::wire::uplink::{self, TellPart};

/// Applies a tell of the run with an id. Returns the answer, and the part that is refused.
pub async fn tell(
    app: &AppState,
    id: &str,
    call: &ApiCall<'_>,
    from: Option<u64>,
) -> Result<(ApiAnswer, Option<TellPart>), StoreError> {
    let outcome = match read(app, call, from) {
        Err(WriteRefusal::Answer(answer)) => return Ok((answer, None)),
        Err(WriteRefusal::Store(error)) => return Err(error),
        Ok(tell) => match id.parse().ok().and_then(RunId::new) {
            Some(run) => app.store.tell_run(run, tell, call.actor(), call.scope(), Utc::now()).await?,
            None => TellOutcome::Unknown,
        },
    };
    Ok(match outcome {
        TellOutcome::Taken(log) => {
            let location = log.map(|log| Resource::RunLog.path(log.get()));
            (ApiAnswer { location, ..ApiAnswer::accepted() }, None)
        }
        TellOutcome::Hidden => (ApiAnswer::unauthorised(), None),
        TellOutcome::Unknown => (ApiAnswer::not_found(), None),
        TellOutcome::Refused(part, refusal) => {
            let answer = match refusal {
                TellRefusal::Life(refusal) => ApiAnswer::refused(refusal),
                TellRefusal::OtherLog => ApiAnswer::other_log(),
                TellRefusal::TooLong => ApiAnswer::long_log(app.settings.max_log),
            };
            (answer, Some(part))
        }
    })
}

/// Reads a tell: a change of the run in the first line of the body, and the text of its log behind it.
fn read(app: &AppState, call: &ApiCall<'_>, from: Option<u64>) -> Result<RunTell, WriteRefusal> {
    let (change, text) = uplink::parts(call.body);
    let patch = run::patch(&Form::read(change, call.kind, app.settings.time_zone)?)?;
    if patch.enqueue_dts.is_some() || patch.worker.is_some() {
        return Err(ApiAnswer::bad("a tell neither claims a run nor gives it back").into());
    }
    let log = match from {
        None if !text.is_empty() => return Err(ApiAnswer::bad("a text needs its place in the log").into()),
        None => None,
        Some(from) => {
            let text = str::from_utf8(text).map_err(|_| ApiAnswer::bad("the text is not UTF-8"))?;
            Some(ToldLog { from, text: text.to_owned(), most: app.settings.max_log })
        }
    };
    let start = Patch { start_dts: patch.start_dts, pid: patch.pid, ..Patch::default() };
    let result = Patch {
        return_dts: patch.return_dts,
        return_success: patch.return_success,
        exit: patch.exit,
        ..Patch::default()
    };
    Ok(RunTell { start, log, result })
}
