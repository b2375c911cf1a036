//! Page of a job as HTML. Pure.

use chrono_tz::Tz;
use minijinja::{Value, context};

use super::chain::chain;
use super::forecast::{From, forecast};
use super::highlight::{HighlightedText, tokens};
use super::history::{self, Bar, EndCount, HistoryChart, history_chart};
use crate::server::domain::fire::Fire;
use crate::server::domain::model::{Concurrency, Job, OnLost, Run, Template, Timestamp};
use crate::server::domain::schedule::{exclude_in_words, in_words};
use crate::server::domain::sentence::Sentence;
use crate::server::http::dashboard::format::{badge, due, duration, exit, run_duration, short_time, time};
use crate::server::http::dashboard::sentence::sentence;
use crate::server::http::dashboard::template::fill;
use crate::server::store::{JobFrame, JobLink, JobOverview, ScheduleState};

#[cfg(test)]
mod tests;

/// Coming runs that the forecast shows.
const TIMES: usize = 10;
/// Facts that are shown at once; the others are folded.
const FACTS: usize = 3;
/// Length in bytes up to which a text is highlighted.
const MAX_HIGHLIGHTED: usize = 100_000;

/// Facts that the page of a job is rendered from.
#[derive(Debug)]
pub struct JobPage {
    /// Job with its project, template and pool.
    pub overview: JobOverview,
    /// Template that the script is put into.
    pub template: Template,
    /// Sentences about why the job runs, does not run, or will.
    pub reasons: Vec<Sentence>,
    /// Due times at which the job did not simply run: delayed, skipped, excluded or missed; the latest first.
    pub facts: Vec<Fire>,
    /// Finished runs, the latest first.
    pub finished: Vec<Run>,
    /// Ancestors and descendants, with the job itself.
    pub family: Vec<JobLink>,
    /// State of the schedule, from which the forecast starts.
    pub schedule_state: ScheduleState,
}

/// Reader of the page and time of the rendering.
#[derive(Clone, Copy, Debug)]
pub struct Viewer<'a> {
    /// Token that the forms of the page carry.
    pub form_token: &'a str,
    /// Time zone of the server.
    pub zone: Tz,
    /// Timestamp of the rendering.
    pub now: Timestamp,
    /// Reason for disabling that was typed and refused; empty otherwise.
    pub typed: &'a str,
}

/// Renders the page without its frame.
pub fn body(page: &JobPage, viewer: Viewer<'_>) -> Value {
    let job = &page.overview.job;
    // Shown only where the template adds something to the job's own script.
    let whole = (job.script_content != job.script_content_partial).then(|| highlighted(&job.script_content));
    fill(
        "job",
        context! {
            state => state_view(page, viewer), history => history_view(page, viewer),
            forecast => forecast_view(page, viewer),
            chain => chain_view(page), description => &job.description, settings => settings(job),
            script => highlighted(&job.script_content_partial), whole,
            template => context!(id => page.template.id.get(), title => page.template.title.as_str()),
            template_body => highlighted(&page.template.body),
        },
    )
}

/// Renders the parts that the script fetches again: state, history and forecast.
pub fn parts(page: &JobPage, viewer: Viewer<'_>) -> String {
    [state_view(page, viewer), history_view(page, viewer), forecast_view(page, viewer)]
        .map(|part| part.to_string())
        .concat()
}

fn state_view(page: &JobPage, viewer: Viewer<'_>) -> Value {
    let Viewer { zone, .. } = viewer;
    let JobOverview { job, around, next, last } = &page.overview;
    let frame = |JobFrame { title, enabled }: &JobFrame| context!(title, enabled);
    let facts: Vec<Value> = page.facts.iter().map(|fact| fire_row(fact, zone)).collect();
    let after = page.family.iter().find(|link| Some(link.id) == job.parent);
    let state = context! {
        title => job.title.as_str(), enabled => job.enqueue_is_enabled, disabled_reason => &job.disabled_reason,
        project => frame(&around.project), template => frame(&around.template), pool => frame(&around.pool),
        schedule => in_words(&job.schedule),
        after => after.map(|link| context!(id => link.id.get(), title => &link.title)),
        excludes => job.excludes.iter().map(exclude_in_words).collect::<Vec<_>>(),
        next => next.map(|at| context!(at => time(at, zone), due => due(at, viewer.now))),
        off => [&around.project, &around.template, &around.pool].iter().any(|frame| !frame.enabled),
        last => last.as_ref().map(|run| context!(id => run.id.get(), badge => badge(run), exit => exit(run.exit))),
        fail_times => job.fail_times,
        has_children => page.family.iter().any(|link| link.parent == Some(job.id)),
        reasons => page.reasons.iter().map(|reason| sentence(reason, zone)).collect::<Vec<_>>(),
        facts => facts.iter().take(FACTS).cloned().collect::<Vec<_>>(),
        more_facts => facts.iter().skip(FACTS).cloned().collect::<Vec<_>>(),
    };
    fill(
        "job_state",
        context!(job => state, id => job.id.get(), form_token => viewer.form_token, typed => viewer.typed),
    )
}

fn fire_row(fact: &Fire, zone: Tz) -> Value {
    context! {
        due => time(fact.due, zone), at => time(fact.at, zone), what => fact.reason.kind().word(),
        reason => sentence(&fact.reason.sentence(), zone),
        run => fact.run.map(crate::run::RunId::get),
    }
}

fn history_view(page: &JobPage, viewer: Viewer<'_>) -> Value {
    let (runs, zone) = (&page.finished, viewer.zone);
    let rows: Vec<Value> = runs
        .iter()
        .map(|run| {
            context! {
                id => run.id.get(), badge => badge(run), exit => exit(run.exit), due => time(run.schedule_dts, zone),
                took => run_duration(run).map(duration),
            }
        })
        .collect();
    let (width, height) = history::SIZE;
    let chart = chart_view(&history_chart(runs));
    let history = context!(chart, rows, width, height, baseline => history::BASELINE, left => history::LEFT);
    fill("job_history", context!(history))
}

fn chart_view(chart: &HistoryChart) -> Value {
    let bar = |bar: &Bar| {
        context! {
            run => bar.run, x => bar.x, width => bar.width, y => bar.y, height => bar.height, state => bar.state,
            ended => &bar.ended, took => bar.took.as_deref(),
            // The area for the pointer is a little wider than the bar, and as high as the chart.
            around => context!(x => bar.x - bar.width * 0.7, width => bar.width * 1.4),
            left => bar.x - bar.width / 2.0,
        }
    };
    let ended = |end: &EndCount| context!(state => end.state, shown => &end.shown, count => end.count);
    context! {
        bars => chart.bars.iter().map(bar).collect::<Vec<_>>(),
        lines => chart.lines.iter().map(|line| context!(y => line.y, label => &line.label)).collect::<Vec<_>>(),
        ends => chart.ends.iter().map(ended).collect::<Vec<_>>(),
        is_logarithmic => chart.is_logarithmic, success_percent => chart.success_percent, median => chart.median.as_deref(),
    }
}

fn forecast_view(page: &JobPage, viewer: Viewer<'_>) -> Value {
    let ScheduleState { planned, last } = page.schedule_state;
    let from = From { planned, last, zone: viewer.zone, now: viewer.now };
    let forecast = forecast(&page.overview.job, from, TIMES);
    let times: Vec<Value> = forecast
        .times
        .iter()
        .map(|at| {
            context! {
                clock => &at.clock, offset => &at.offset, runs => at.runs, note => at.note.as_deref(),
                at => short_time(at.at, viewer.now, viewer.zone),
            }
        })
        .collect();
    fill("job_forecast", context!(coming => context!(zone => forecast.zone, times, end => forecast.end)))
}

/// Chain as nested lists: each link opens one list or none, and closes those that end with it.
fn chain_view(page: &JobPage) -> Vec<Value> {
    let links = chain(&page.family, page.overview.job.id);
    let depths: Vec<usize> = links.iter().map(|link| link.depth + 1).collect();
    let link = |(place, link): (usize, &super::chain::ChainLink<'_>)| {
        let before = if place == 0 { 0 } else { depths[place - 1] };
        let (depth, after) = (depths[place], depths.get(place + 1).copied().unwrap_or(0));
        // Every list except the outermost stands in an item, which ends with it.
        let ends = "</li>".repeat((after <= depth).into());
        let closes: String = (after..depth).rev().map(|left| if left == 0 { "</ul>" } else { "</ul></li>" }).collect();
        context! {
            id => link.job.id.get(), title => &link.job.title, enabled => link.job.enabled, is_self => link.is_self,
            opens => depth > before, closes => Value::from_safe_string(ends + &closes),
        }
    };
    links.iter().enumerate().map(link).collect()
}

fn settings(job: &Job) -> Vec<Value> {
    let setting = |name: &str, value: String| context!(name, value);
    let seconds = |seconds: u32| duration(chrono::TimeDelta::seconds(seconds.into()));
    let mut settings = vec![
        setting("Time limit", job.run_timeout.map_or_else(|| "none".to_owned(), seconds)),
        setting(
            "Retries of a failed run",
            match job.retry.times {
                0 => "none".to_owned(),
                times => format!("up to {times} times, the first after {}", seconds(job.retry.backoff)),
            },
        ),
        setting("While a run is active, the next one", concurrency(job.concurrency).to_owned()),
        setting(
            "A run whose worker is lost",
            match job.on_lost {
                OnLost::Retry => "runs again".to_owned(),
                OnLost::Fail => "fails".to_owned(),
            },
        ),
        setting(
            "Runs on",
            match job.run_on_all_workers {
                true => "every worker of its pool".to_owned(),
                false => "one worker of its pool".to_owned(),
            },
        ),
        setting(
            "Its children run",
            match job.schedule_children_on_error {
                true => "whether it succeeds or not".to_owned(),
                false => "if it succeeds".to_owned(),
            },
        ),
    ];
    if let Some(times) = job.disable_enqueue_after_fails {
        settings.push(setting("Disabled after", format!("more than {times} failures in a row")));
    }
    if !job.notification_addresses.is_empty() {
        let addresses = job.notification_addresses.replace('\n', ", ");
        settings.push(setting("Notify of failures", format!("{addresses} (this version sends nothing yet)")));
    }
    settings
}

/// Words for what becomes of a run that is due while another one of its job is active.
pub fn concurrency(concurrency: Concurrency) -> &'static str {
    match concurrency {
        Concurrency::Wait => "waits",
        Concurrency::Skip => "is skipped",
        Concurrency::Allow => "runs beside it",
        Concurrency::Replace => "replaces it",
    }
}

fn highlighted(text: &str) -> Value {
    let piece = |(kind, text): &HighlightedText<'_>| context!(class => kind.class(), text => *text);
    // A longer text would make a page of many thousand elements.
    let code: Vec<Value> = match text.len() {
        ..=MAX_HIGHLIGHTED => tokens(text).iter().map(piece).collect(),
        _ => vec![context!(text)],
    };
    fill("code", context!(code))
}
