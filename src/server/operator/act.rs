//! What workers are asked to do.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chrono::Utc;

use super::answer::{Body, Refusal};
use super::find::find_worker;
use super::views;
use crate::run::Pace;
use crate::server::duty::{Cannot, Verdict};
use crate::server::office::Office;
use crate::server::store::Wish;
use crate::wire::operator::{Act, Acted, Action, WorkerActed};

/// How many workers may be named at once.
const MOST: usize = 1000;
/// How long it may be said who asks, and why, in characters.
const WORDS: usize = 1000;
/// Who asks, if nobody says.
const SOMEBODY: &str = "operator";

/// Asks something of workers. Of each it is told what became of that.
pub(super) async fn act(State(office): State<Arc<Office>>, Body(act): Body<Act>) -> Result<Json<Acted>, Refusal> {
    if act.workers.is_empty() || act.workers.len() > MOST {
        return Err(Refusal::Malformed(format!("name 1 to {MOST} workers")));
    }
    let wish = wish(&act)?;
    let mut workers = Vec::with_capacity(act.workers.len());
    for named in act.workers {
        workers.push(ask(&office, named, &wish).await?);
    }
    Ok(Json(Acted { workers }))
}

fn wish(act: &Act) -> Result<Wish, Refusal> {
    let words = |text: &Option<String>, what: &str| {
        let text = text.as_deref().unwrap_or_default().trim().to_owned();
        let length = text.chars().count();
        if length > WORDS {
            return Err(Refusal::Malformed(format!("the {what} is too long; {WORDS} characters are allowed")));
        }
        Ok(text)
    };
    let (by, reason) = (words(&act.by, "name of who asks")?, words(&act.reason, "reason")?);
    Ok(Wish {
        action: views::asked(act.action),
        // Nothing is to be stopped for somebody to wake up.
        pace: if act.now && act.action != Action::Wake { Pace::Now } else { Pace::AfterRuns },
        by: if by.is_empty() { SOMEBODY.to_owned() } else { by },
        reason,
    })
}

async fn ask(office: &Office, named: String, wish: &Wish) -> Result<WorkerActed, Refusal> {
    let refused = |named: String, error: String| WorkerActed {
        named,
        what: "refused".to_owned(),
        error: Some(error),
        worker: None,
    };
    let worker = match find_worker(office, &named).await? {
        Ok(worker) => worker,
        Err(error) => return Ok(refused(named, error)),
    };
    let Some(asked) = office.store.ask_worker(worker, wish, Utc::now()).await? else {
        let error = format!("there is no worker {named:?}");
        return Ok(refused(named, error));
    };
    let overview = office.store.overview_of_worker(worker).await?;
    let title = overview.as_ref().map_or(named.clone(), |overview| overview.worker.title.clone());
    let (what, error) = match asked {
        Ok(Verdict::Ask) => ("requested", None),
        Ok(Verdict::Cancel) => ("cancelled", None),
        Ok(Verdict::Already) => ("already", None),
        Err(cannot) => ("refused", Some(sentence(&title, cannot))),
    };
    let worker = overview.as_ref().map(|overview| views::worker(overview, office.presence.is_silent(worker)));
    Ok(WorkerActed { named, what: what.to_owned(), error, worker })
}

fn sentence(title: &str, cannot: Cannot) -> String {
    format!("worker {title} {cannot}")
}
