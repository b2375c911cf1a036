//! Summary of a run as HTML: everything the page shows except the log. Pure.

use chrono_tz::Tz;
use minijinja::{Value, context};

use super::log::{self, Excerpt};
use super::timeline::timeline;
use crate::server::domain::model::{Asker, KillCause, KillRequest, RunState, Timestamp};
use crate::server::domain::wait_reasons::WaitReasons;
use crate::server::http::dashboard::format::{badge, exit, time, was_cancelled};
use crate::server::http::dashboard::template::fill;
use crate::server::http::operator;
use crate::server::store::{LateReport, RelatedRun, Requester, RunDetails, RunOverview};

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(super) use tests::sample;

/// Facts that the summary is rendered from.
pub(super) struct Summary<'a> {
    /// Run with the titles of its job and worker.
    pub run: &'a RunOverview,
    /// Reasons for which the run waits, if it does.
    pub waits: Option<WaitReasons>,
    /// Origin of the run and its relations to other runs.
    pub details: &'a RunDetails,
    /// Timestamp of this rendering, for durations that go on.
    pub now: Timestamp,
}

impl Summary<'_> {
    /// Renders the whole view, with the log.
    pub(super) fn page(&self, log: &Excerpt, form_token: &str, zone: Tz) -> Value {
        let head = self.part(form_token, zone);
        fill("run", context!(head, log => log::shown(self.run.run.id, log)))
    }

    /// Renders the part that the script fetches again: everything except the log.
    pub(super) fn part(&self, form_token: &str, zone: Tz) -> Value {
        let RunOverview { run, title, worker } = self.run;
        let details = self.details;
        let state = operator::state(run);
        let kills: Vec<Value> = details.kills.iter().map(|(kill, by)| kill_row(kill, by.as_ref(), zone)).collect();
        let open = details.kills.iter().map(|(kill, _)| kill).filter(|kill| kill.execute_dts.is_none());
        // Of several open requests the latest is shown; one whose run is over has no progress to tell.
        let ending = (!state.is_over()).then(|| open.map(kill_progress).next_back()).flatten();
        let context = context! {
            id => run.id.get(), job => run.job.get(), title, worker, form_token,
            state => state.word(), over => state.is_over(), badge => badge(run), exit => exit(run.exit),
            scheduled => run.state() == RunState::Scheduled, ending,
            waits => self.waits.as_ref().filter(|_| run.state() == RunState::Scheduled).map(ToString::to_string), cancelled => was_cancelled(run),
            project => details.project.1.as_str(), project_id => details.project.0.get(), pool => details.pool.as_str(),
            // After the end of the run its process id may belong to another process.
            attempt => run.attempt.0, losses => run.losses, pid => run.pid.filter(|_| !state.is_over()),
            retry_of => run.retry_of.map(|(run, number)| context!(id => run.get(), number)),
            retried => details.retried.map(crate::run::RunId::get),
            asked_by => details.asked_by.as_ref().map(asker), is_manual => run.is_manual,
            follows => details.follows.as_ref().map(run_link),
            followed => details.followed.iter().map(run_link).collect::<Vec<_>>(),
            elsewhere => details.elsewhere.iter().map(|(run, worker)| context!(id => run.get(), worker)).collect::<Vec<_>>(),
            has_children => details.has_children, no_children => details.has_children && !run.schedule_children,
            kills, late => details.late.iter().map(|late| not_counted(late, zone)).collect::<Vec<_>>(),
            timeline => timeline(run, self.now, zone),
        };
        fill("run_head", context)
    }
}

fn run_link(other: &RelatedRun) -> Value {
    context!(id => other.run.id.get(), title => other.title.as_str(), badge => badge(&other.run))
}

fn asker(by: &Requester) -> String {
    match (by.asker, &by.worker) {
        (Asker::Dashboard, _) => "the operator, on the dashboard".to_owned(),
        (Asker::Command, _) => "the operator, on the command line".to_owned(),
        (Asker::Client, _) => "a client of the REST API".to_owned(),
        (Asker::Worker(_), Some(title)) => format!("worker {title}"),
        (Asker::Worker(_), None) => "a worker that is gone".to_owned(),
    }
}

/// Progress of an open kill request, in a sentence.
fn kill_progress(kill: &KillRequest) -> &'static str {
    match kill.enqueue_dts {
        Some(_) => "Being killed: the worker has taken the request.",
        None => "Kill requested; the worker has not answered yet.",
    }
}

fn kill_row(kill: &KillRequest, by: Option<&Requester>, zone: Tz) -> Value {
    let who = match (kill.cause, by) {
        (KillCause::TimedOut, _) => "the server, because it ran too long".to_owned(),
        (KillCause::Replaced, _) => "the server, to make room for a later run".to_owned(),
        (KillCause::Asked, Some(by)) => asker(by),
        (KillCause::Asked, None) => "somebody".to_owned(),
    };
    context!(who, at => time(kill.schedule_dts, zone), done => kill.execute_dts.map(|at| time(at, zone)))
}

fn not_counted(late: &LateReport, zone: Tz) -> Value {
    let result = &late.result;
    context! {
        attempt => operator::attempt(late), outcome => operator::late_outcome(result),
        returned => result.returned.map(|at| time(at, zone)), reported => time(result.reported, zone),
        reason => operator::late_reason(result.reason),
    }
}
