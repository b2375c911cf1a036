//! Page "Jobs": lists all jobs with their schedule, their last run and their next one.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::{Html, IntoResponse, Response};
use chrono::Utc;
use chrono_tz::Tz;
use minijinja::{Value, context};
use serde::Deserialize;

use super::format::{badge, due, exit, pager, short_time};
use super::frame::{Head, Section};
use super::refusal::PageRefusal;
use super::template::fill;
use super::visit::Visit;
use crate::server::domain::model::{JobId, Timestamp};
use crate::server::domain::schedule::in_words;
use crate::server::domain::title_search::TitleSearch;
use crate::server::state::AppState;
use crate::server::store::JobOverview;

#[cfg(test)]
mod tests;

/// Jobs that are read and searched for titles at most. The list counts and shows no others.
const MAX_JOBS: u32 = 10_000;
/// Jobs on one page of the list.
const PAGE: usize = 100;

/// Query of the page.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct JobsFilter {
    /// Text that titles must contain, in any case; empty for all jobs.
    title: String,
    /// Number of the page, from 0.
    page: usize,
}

/// Jobs of one page, with the number of all that match.
struct JobsPage {
    jobs: Vec<JobOverview>,
    /// Titles of the parents of these jobs, which may be on another page or in another project.
    parents: BTreeMap<JobId, String>,
    total: usize,
    /// Whether there are more jobs than are read.
    is_cut: bool,
}

/// Handler of `/jobs`: shows the whole page.
pub(super) async fn page(
    State(app): State<Arc<AppState>>,
    Query(wanted): Query<JobsFilter>,
    visit: Visit,
) -> Result<Response, PageRefusal> {
    let found = load_page(&app, &visit, &wanted).await?;
    let project = visit.project.map(|id| id.get());
    let body = fill(
        "jobs",
        context! {
            list => list(&found.jobs, &found.parents, Utc::now(), visit.zone), title => wanted.title.trim(), project,
            pager => found.pager(&wanted, project),
            max_jobs => found.is_cut.then_some(MAX_JOBS),
        },
    );
    Ok(visit
        .show(Head { title: "Jobs", section: Section::Jobs, script: Some("jobs"), by_project: Some("/jobs") }, &body))
}

/// Handler of `/parts/jobs`: renders only the list, which the script fetches again after changes.
pub(super) async fn part(
    State(app): State<Arc<AppState>>,
    Query(wanted): Query<JobsFilter>,
    visit: Visit,
) -> Result<Response, PageRefusal> {
    let found = load_page(&app, &visit, &wanted).await?;
    Ok(Html(list(&found.jobs, &found.parents, Utc::now(), visit.zone).to_string()).into_response())
}

async fn load_page(app: &AppState, visit: &Visit, wanted: &JobsFilter) -> Result<JobsPage, PageRefusal> {
    // One more than is listed, to know whether there are more.
    let mut found = app.store.overview_of_jobs(visit.project, None, MAX_JOBS + 1).await?;
    let is_cut = found.len() > MAX_JOBS as usize;
    found.truncate(MAX_JOBS as usize);
    // Titles are compared here, not in SQL, because SQLite folds the case of ASCII letters only.
    let needle = TitleSearch::new(&wanted.title);
    let matching = || found.iter().filter(|overview| needle.is_in(&overview.job.title));
    let total = matching().count();
    let jobs: Vec<JobOverview> = matching().skip(wanted.page.saturating_mul(PAGE)).take(PAGE).cloned().collect();
    let mut parents = BTreeMap::new();
    for id in jobs.iter().filter_map(|overview| overview.job.parent) {
        let listed = found.iter().find(|overview| overview.job.id == id).map(|overview| overview.job.title.clone());
        let title = match listed {
            Some(title) => Some(title),
            // The parent is in another project.
            None => app.store.job(id).await?.map(|job| job.title),
        };
        parents.extend(title.map(|title| (id, String::from(title))));
    }
    Ok(JobsPage { jobs, parents, total, is_cut })
}

impl JobsPage {
    /// Links to the previous and the next page; `None` if everything fits on one.
    fn pager(&self, wanted: &JobsFilter, project: Option<i64>) -> Option<Value> {
        let project = project.map(|project| project.to_string()).unwrap_or_default();
        let query = [("project", project.as_str()), ("title", wanted.title.trim())];
        let page = u32::try_from(wanted.page).unwrap_or(u32::MAX);
        pager("/jobs", &query, page, PAGE as u32, self.total as u64)
    }
}

fn list(jobs: &[JobOverview], parents: &BTreeMap<JobId, String>, now: Timestamp, zone: Tz) -> Value {
    let row = |JobOverview { job, around, next, last }: &JobOverview| {
        // A parent that was deleted meanwhile has no title.
        let title = |id| parents.get(&id).cloned().unwrap_or_else(|| format!("job {id}"));
        let after = job.parent.map(|id| (id, title(id)));
        let off = [&around.project, &around.template, &around.pool].into_iter().find(|frame| !frame.enabled);
        context! {
            id => job.id.get(), title => job.title.as_str(), project => &around.project.title,
            template => &around.template.title,
            pool => &around.pool.title, enabled => job.enqueue_is_enabled, disabled_reason => &job.disabled_reason,
            off => off.map(|frame| &frame.title),
            schedule => in_words(&job.schedule),
            after => after.map(|(id, title)| context!(id => id.get(), title)),
            next => next.map(|at| context!(at => short_time(at, now, zone), due => due(at, now))),
            last => last.as_ref().map(|run| context! {
                id => run.id.get(), badge => badge(run), exit => exit(run.exit),
                at => short_time(run.return_dts.or(run.start_dts).unwrap_or(run.schedule_dts), now, zone),
            }),
        }
    };
    fill("jobs_list", context!(jobs => jobs.iter().map(row).collect::<Vec<_>>()))
}
