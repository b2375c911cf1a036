//! Workers and pools as HTML, and the outcome of commands in sentences. Pure.

use std::collections::{BTreeMap, BTreeSet};

use chrono_tz::Tz;
use minijinja::{Value, context};

use crate::run::{Pace, WorkerCommand};
use crate::server::domain::model::{Pool, RequestEnd, Timestamp, Worker, WorkerId};
use crate::server::domain::worker_state::{self, CommandRefusal, NotTakingRuns, RequestVerdict, ShownWorkerState};
use crate::server::http::dashboard::form::FormValues;
use crate::server::http::dashboard::format::short_time;
use crate::server::http::dashboard::notice::Notice;
use crate::server::http::dashboard::template::fill;
use crate::server::store::{RunOverview, WorkerOverview};

#[cfg(test)]
mod tests;

/// Runs of a worker that are named at most; the others are counted.
const NAMED: usize = 8;

/// Facts that the page is rendered from.
#[derive(Clone, Debug)]
pub struct WorkersPage {
    /// Workers that are listed.
    pub workers: Vec<WorkerOverview>,
    /// Number of workers that are not listed.
    pub unlisted: u64,
    /// Pools with their members.
    pub pools: Vec<(Pool, Vec<WorkerId>)>,
    /// Runs in progress, of all workers.
    pub runs: Vec<RunOverview>,
    /// Workers that do not answer.
    pub silent: BTreeSet<WorkerId>,
    /// Timestamp of this rendering.
    pub now: Timestamp,
}

/// Outcome of a command for one worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestSummary {
    /// Title of the worker.
    pub title: String,
    /// Decision about the command, or the reason why the worker cannot follow it.
    pub outcome: Result<RequestVerdict, CommandRefusal>,
}

/// Renders the page without its frame, with what was chosen and typed before.
pub fn body(page: &WorkersPage, typed: &FormValues, form_token: &str, zone: Tz) -> Value {
    let [workers, pools] = parts(page, typed, zone);
    let actions = [
        (WorkerCommand::Sleep, "Send to sleep"),
        (WorkerCommand::Wake, "Wake up"),
        (WorkerCommand::Restart, "Restart"),
        (WorkerCommand::Shutdown, "Shut down"),
    ];
    let actions = actions.map(|(action, label)| {
        let value = action.word();
        context!(value, label, chosen => typed.text("action") == Some(value))
    });
    let context = context! {
        workers, pools, actions => actions.to_vec(), form_token, some => !page.workers.is_empty(),
        now => typed.text("pace") == Some("now"), reason => typed.text("reason"),
    };
    fill("workers", context)
}

/// Renders the parts that the script fetches again: the table of workers and that of pools.
pub fn parts(page: &WorkersPage, typed: &FormValues, zone: Tz) -> [Value; 2] {
    let chosen: Vec<&str> = typed.all("worker").collect();
    let mut runs = BTreeMap::<WorkerId, Vec<&RunOverview>>::new();
    for (worker, run) in page.runs.iter().filter_map(|run| Some((run.run.worker?, run))) {
        runs.entry(worker).or_default().push(run);
    }
    let workers: Vec<Value> = page
        .workers
        .iter()
        .map(|worker| {
            let is_chosen = chosen.contains(&worker.worker.id.to_string().as_str());
            row(worker, runs.get(&worker.worker.id).map_or(&[], Vec::as_slice), is_chosen, page, zone)
        })
        .collect();
    let pools: Vec<Value> = page.pools.iter().map(|(pool, members)| pool_row(pool, members, page)).collect();
    [fill("workers_list", context!(workers, unlisted => page.unlisted)), fill("pools_list", context!(pools))]
}

fn row(overview: &WorkerOverview, runs: &[&RunOverview], is_chosen: bool, page: &WorkersPage, zone: Tz) -> Value {
    let WorkerOverview { worker, pools, runs: count } = overview;
    let at = |at: Timestamp| short_time(at, page.now, zone);
    let report = worker.report.as_ref();
    let state = worker_state::shown(worker, page.silent.contains(&worker.id));
    let current_report = report.filter(|_| !matches!(state, ShownWorkerState::Lost | ShownWorkerState::Offline));
    let actions: Vec<&str> = WorkerCommand::ALL
        .into_iter()
        .filter(|action| worker_state::ask(worker, *action, Pace::Now).is_ok())
        .map(WorkerCommand::word)
        .collect();
    let run = |run: &&RunOverview| context!(id => run.run.id.get(), title => &run.title);
    context! {
        id => worker.id.get(), title => worker.title.as_str(),
        key => (worker.api_key.as_str() != worker.title.as_str()).then(|| worker.api_key.as_str()),
        enabled => worker.enqueue_is_enabled, badge => badge(state), state => word(state),
        since => since(worker, state).map(|(word, when)| context!(word, at => at(when))),
        followed => followed_command(overview, state, page, zone), request => open_command(overview, page, zone),
        held => shortages(worker, state).map(|held| held.to_string()), is_chosen, actions => actions.join(" "), can => !actions.is_empty(),
        // The original's worker answers pings, but sends no status reports.
        is_original => report.is_none() && worker.heard().is_some(),
        // The last status report says nothing any more about a worker that is silent or gone.
        taken => current_report.map_or(*count, |report| report.seats_taken), seats => worker.concurrent_jobs,
        runs => runs.iter().take(NAMED).map(run).collect::<Vec<_>>(), more => runs.len().saturating_sub(NAMED),
        outbox => current_report.map(|report| report.outbox), version => worker.worker_version.as_deref(),
        heard => worker.heard().map(at), pools => pools.join(", "), clock => worker_state::clock_in_words(worker),
    }
}

/// Shortages for which an awake worker claims no runs.
fn shortages(worker: &Worker, state: ShownWorkerState) -> Option<NotTakingRuns> {
    let lacks = worker_state::held(worker);
    let is_held = !lacks.is_empty() && matches!(state, ShownWorkerState::Awake | ShownWorkerState::Starting);
    is_held.then(|| NotTakingRuns::Held(lacks.to_vec()))
}

/// Timestamp since which a worker is in its state, with the words before it. A lost worker is shown with the time it
/// was last heard.
fn since(worker: &Worker, state: ShownWorkerState) -> Option<(&'static str, Timestamp)> {
    match state {
        ShownWorkerState::Lost => Some(("silent since", worker.heard()?)),
        _ => Some(("since", worker.report.as_ref()?.since)),
    }
}

/// The confirmed command that put a worker into its present state, with its author and reason; `None` if the worker came
/// there by itself.
fn followed_command(overview: &WorkerOverview, state: ShownWorkerState, page: &WorkersPage, zone: Tz) -> Option<Value> {
    let worker = &overview.worker;
    let asked = worker.asked.as_ref()?;
    let (confirmed, _) = asked.over.filter(|(_, end)| *end == RequestEnd::Confirmed)?;
    let is_so = match asked.request.action {
        WorkerCommand::Sleep => state == ShownWorkerState::Asleep,
        WorkerCommand::Shutdown => state == ShownWorkerState::Offline,
        WorkerCommand::Restart | WorkerCommand::Wake => false,
    };
    // A report that began after the confirmation describes a state that was not commanded here.
    let is_still = worker.report.as_ref().is_some_and(|report| report.since <= confirmed);
    (is_so && is_still)
        .then(|| context!(by => &asked.by, reason => &asked.reason, at => short_time(asked.at, page.now, zone)))
}

/// Open command of a worker, until the worker has confirmed it.
fn open_command(overview: &WorkerOverview, page: &WorkersPage, zone: Tz) -> Option<Value> {
    let asked = overview.worker.open_request()?;
    Some(context! {
        words => command_words(asked.request.action, asked.request.pace), by => &asked.by, reason => &asked.reason,
        at => short_time(asked.at, page.now, zone), heard => asked.heard.is_some(),
    })
}

/// Command in words, with its pace.
fn command_words(action: WorkerCommand, pace: Pace) -> String {
    match (action, pace) {
        (WorkerCommand::Wake, _) => verb(action).to_owned(),
        (_, Pace::AfterRuns) => format!("{} after its runs", verb(action)),
        (_, Pace::Now) => format!("{} now", verb(action)),
    }
}

fn pool_row(pool: &Pool, members: &[WorkerId], page: &WorkersPage) -> Value {
    // Members that are not listed have no state here, and count only as members.
    let there = page.workers.iter().filter(|overview| members.contains(&overview.worker.id));
    let awake = there.clone().filter(|overview| {
        let takes = overview.worker.enqueue_is_enabled && worker_state::takes_runs(&overview.worker);
        takes
            && matches!(
                worker_state::shown(&overview.worker, page.silent.contains(&overview.worker.id)),
                ShownWorkerState::Awake | ShownWorkerState::Starting
            )
    });
    let seats: u32 = awake.clone().filter_map(|overview| overview.worker.concurrent_jobs).sum();
    context! {
        id => pool.id.get(), title => pool.title.as_str(), enabled => pool.enqueue_is_enabled, workers => members.len(),
        awake => awake.count(), seats, runs => there.map(|overview| overview.runs).sum::<u32>(),
    }
}

/// Word for the state of a worker.
fn word(state: ShownWorkerState) -> &'static str {
    match state {
        ShownWorkerState::Starting => "starting",
        ShownWorkerState::Awake => "awake",
        ShownWorkerState::Draining => "draining",
        ShownWorkerState::Asleep => "asleep",
        ShownWorkerState::Offline => "offline",
        ShownWorkerState::Lost => "lost",
    }
}

/// State of a worker as a word with a sign of its own shape beside it.
fn badge(state: ShownWorkerState) -> Value {
    let shape = match state {
        ShownWorkerState::Starting => "<path d=\"M8 2v3M8 11v3M2 8h3M11 8h3\"/>",
        ShownWorkerState::Awake => "<circle class=\"solid\" cx=\"8\" cy=\"8\" r=\"4.5\"/>",
        ShownWorkerState::Draining => "<path d=\"M8 2.5v9M4 8l4 4 4-4M3 14.5h10\"/>",
        ShownWorkerState::Asleep => "<path class=\"solid\" d=\"M12.5 10.2A5.5 5.5 0 0 1 6 3.2a5.5 5.5 0 1 0 6.5 7z\"/>",
        ShownWorkerState::Offline => "<path d=\"M8 2v5.5M4.5 4.5a5 5 0 1 0 7 0\"/>",
        ShownWorkerState::Lost => "<path d=\"M5.3 6a2.7 2.7 0 1 1 3.6 2.5c-.6.3-.9.7-.9 1.5M8 12.8v.1\"/>",
    };
    let word = word(state);
    let sign = format!("<svg class=\"sign\" viewBox=\"0 0 16 16\" aria-hidden=\"true\">{shape}</svg>");
    Value::from_safe_string(format!("<span class=\"state {word}\">{sign}{word}</span>"))
}

/// Sentences about the outcome of a command, grouped by outcome.
pub fn outcome_notice(asked: &[RequestSummary], action: WorkerCommand) -> Notice {
    let named = |wanted: RequestVerdict| {
        let titles = asked.iter().filter(|one| one.outcome == Ok(wanted)).map(|one| one.title.as_str());
        let titles: Vec<&str> = titles.collect();
        (!titles.is_empty()).then(|| titles.join(", "))
    };
    let mut sentences = Vec::new();
    sentences.extend(named(RequestVerdict::Ask).map(|titles| format!("Requested of {titles}: {}.", verb(action))));
    sentences.extend(named(RequestVerdict::Cancel).map(|titles| format!("Cancelled before {titles} received it.")));
    sentences
        .extend(named(RequestVerdict::Already).map(|titles| format!("Already so, or already requested: {titles}.")));
    let mut refused = asked.iter().filter_map(|one| Some((&one.title, one.outcome.err()?))).peekable();
    // One refusal makes the whole notice a warning, so that it is not overlooked among the successes.
    let good = refused.peek().is_none() && !asked.is_empty();
    sentences.extend(refused.map(|(title, cannot)| format!("Worker {title} {cannot}.")));
    if asked.is_empty() {
        sentences.push("There are no such workers.".to_owned());
    }
    if good { Notice::done(sentences.join(" ")) } else { Notice::refused(sentences.join(" ")) }
}

/// Command as a verb in the user interface.
pub(super) fn verb(action: WorkerCommand) -> &'static str {
    match action {
        WorkerCommand::Shutdown => "shut down",
        WorkerCommand::Restart => "restart",
        WorkerCommand::Sleep => "sleep",
        WorkerCommand::Wake => "wake up",
    }
}
