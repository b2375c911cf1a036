//! Forms of jobs. Pure.

use chrono_tz::Tz;

use super::fields::{FieldChoice, FieldGroup, FieldInput, FormField, Mistakes};
use super::meanwhile::SeenFields;
use super::project::ADDRESSES;
use super::reading::Reading;
use crate::server::domain::model::{Concurrency, Job, JobId, OnLost, PoolId, Retry, Schedule, TemplateId};
use crate::server::domain::rules;
use crate::server::domain::schedule::in_words;
use crate::server::http::dashboard::form::Filled;
use crate::server::http::dashboard::job::view::concurrency;
use crate::server::store::{CatalogueEntry, NewJob};
use crate::wire::reference::{self, Reference};

#[cfg(test)]
mod tests;

/// Text of a new script.
const SCRIPT: &str = "#!/bin/sh\n";

/// Choices in a job's form.
#[derive(Clone, Debug, Default)]
pub struct JobChoices {
    /// Templates that a job can use.
    pub templates: Vec<CatalogueEntry>,
    /// Pools that a job can run on.
    pub pools: Vec<CatalogueEntry>,
}

/// Fields of a job's form.
pub fn fields(around: &JobChoices) -> Vec<FieldGroup> {
    let schedules = [("none", "not by itself"), ("interval", "every so often"), ("cron", "by a cron expression")];
    let schedules = schedules.map(|(value, label)| FieldChoice::new(value, label)).to_vec();
    let meets = [Concurrency::Wait, Concurrency::Skip, Concurrency::Allow, Concurrency::Replace];
    let meets = meets.map(|one| FieldChoice::new(one.name(), concurrency(one))).to_vec();
    let lost = [(OnLost::Retry, "runs again"), (OnLost::Fail, "fails")];
    let lost = lost.map(|(one, label)| FieldChoice::new(one.name(), label)).to_vec();
    vec![
        FieldGroup {
            title: "Job",
            fields: vec![
                FormField::new("title", "Title", FieldInput::Line),
                FormField::new("template", "Template", FieldInput::One(FieldChoice::of(&around.templates))),
                FormField::new("pool", "Pool", FieldInput::One(FieldChoice::of(&around.pools))),
                FormField::new("run_on_all_workers", "It runs on every worker of the pool", FieldInput::Tick),
                FormField::new("script", "Script", FieldInput::Script)
                    .hint("It is put into the template. What is executed begins with #! and an interpreter."),
                FormField::new("description", "Description", FieldInput::Text),
            ],
        },
        FieldGroup {
            title: "When it runs",
            fields: vec![
                FormField::new("schedule", "It runs", FieldInput::One(schedules)),
                FormField::new("every", "Every so often", FieldInput::Line)
                    .hint("Like 15 minutes, 1 hour, 2 days, 1 month."),
                FormField::new("cron", "Cron expression", FieldInput::Line).hint(
                    "Five fields: minute, hour, day, month, day of the week; six with seconds first. If both fields of \
                         days are given, either will do, unless one begins with *: then both must be right.",
                ),
                FormField::new("zone", "Time zone of the cron expression", FieldInput::Line)
                    .hint("Like Europe/Amsterdam."),
                FormField::new("excludes", "Not at these times of the day", FieldInput::Text)
                    .hint("One stretch a line, in the server's zone, with a reason: 22:00 - 06:00 the backup runs."),
                FormField::new("parent", "It runs after", FieldInput::Found("/parts/titles"))
                    .hint("The title of another job, or its number, like #12. Empty: no other."),
                FormField::new(
                    "schedule_children_on_error",
                    "Jobs that run after it run even if it fails",
                    FieldInput::Tick,
                ),
                FormField::new("enabled", "It runs when it is due", FieldInput::Tick),
                FormField::new("disabled_reason", "If not, why", FieldInput::Line),
            ],
        },
        FieldGroup {
            title: "What becomes of its runs",
            fields: vec![
                FormField::new("run_timeout", "A run may take, in seconds", FieldInput::Number)
                    .hint("Empty: as long as it takes."),
                FormField::new("concurrency", "While a run is active, the next", FieldInput::One(meets)),
                FormField::new("retry_times", "A failed run is tried again, times", FieldInput::Number)
                    .hint("Empty: never."),
                FormField::new("retry_backoff", "Seconds until the first retry", FieldInput::Number)
                    .hint("Twice as long before each one after it, up to a day."),
                FormField::new("on_lost", "A run whose worker is lost", FieldInput::One(lost)),
                FormField::new(
                    "disable_enqueue_after_fails",
                    "It is disabled after failing more often in a row than",
                    FieldInput::Number,
                )
                .hint("Empty: never."),
                FormField::new("notification_addresses", "Told of failures", FieldInput::Text).hint(ADDRESSES),
            ],
        },
    ]
}

/// Reads a job's form, given the result of looking up its parent.
///
/// # Errors
/// If a value breaks a rule: all mistakes, by field.
pub fn read(form: &Filled, parent: Result<Option<JobId>, String>) -> Result<NewJob, Mistakes> {
    let mut reading = Reading::of(form);
    let title = reading.take("title", rules::title(form.text("title").unwrap_or_default()));
    let template = reading.chosen("template", "a template", TemplateId::new);
    let pool = reading.chosen("pool", "a pool", PoolId::new);
    let description = reading.description();
    let parent = reading.take("parent", parent);
    let schedule = schedule(&mut reading);
    let excludes = reading.take("excludes", rules::excludes(&form.script("excludes")));
    let reason = reading.take("disabled_reason", rules::reason(form.text("disabled_reason").unwrap_or_default()));
    unused(&mut reading);
    let run_timeout = reading.count("run_timeout");
    let run_timeout = reading.take("run_timeout", rules::timeout(run_timeout));
    let times = reading.count("retry_times").unwrap_or(0);
    let times = reading.take("retry_times", rules::retries(times));
    let backoff = reading.count("retry_backoff").unwrap_or(Retry::default().backoff);
    let backoff = reading.take("retry_backoff", rules::backoff(backoff));
    let on_lost = reading.take("on_lost", rules::on_lost(form.text("on_lost").unwrap_or_default()));
    let concurrency = reading.take("concurrency", rules::concurrency(form.text("concurrency").unwrap_or_default()));
    let disable_enqueue_after_fails = reading.count("disable_enqueue_after_fails");
    let addresses = reading.take("notification_addresses", rules::addresses(&form.script("notification_addresses")));
    // All fields have been read before the first `?`, so that no mistake hides another one.
    let read = (|| {
        Some(NewJob {
            parent: parent?,
            schedule: schedule?,
            excludes: excludes?,
            run_on_all_workers: form.ticked("run_on_all_workers"),
            schedule_children_on_error: form.ticked("schedule_children_on_error"),
            disable_enqueue_after_fails,
            run_timeout: run_timeout?,
            retry: Retry { times: times?, backoff: backoff? },
            on_lost: on_lost?,
            concurrency: concurrency?,
            description: description?,
            enabled: form.ticked("enabled"),
            disabled_reason: reason?.to_owned(),
            notification_addresses: addresses?,
            ..NewJob::new(title?, template?, pool?, &form.script("script"))
        })
    })();
    reading.done(read)
}

fn schedule(reading: &mut Reading<'_>) -> Option<Schedule> {
    let form = reading.form;
    match form.text("schedule") {
        Some("interval") => reading.take("every", rules::interval(form.text("every").unwrap_or_default())),
        Some("cron") => {
            let zone = reading.take("zone", rules::zone(form.text("zone").unwrap_or_default()));
            let expression = form.text("cron").unwrap_or_default();
            // The expression is checked even if the zone is wrong, so that both mistakes are shown.
            let cron = reading.take("cron", rules::cron(expression, zone.unwrap_or_default()));
            zone.and(cron)
        }
        _ => Some(Schedule::None),
    }
}

/// Records as mistakes the values that would be dropped silently because another field switches them off.
fn unused(reading: &mut Reading<'_>) {
    let form = reading.form;
    let kind = form.text("schedule").unwrap_or_default();
    let of_cron = "it counts only if the job runs by a cron expression: choose that, or take this back";
    let dropped = [
        ("every", kind != "interval", "it counts only if the job runs every so often: choose that, or take this back"),
        ("cron", kind != "cron", of_cron),
        ("zone", kind != "cron", of_cron),
        ("disabled_reason", form.ticked("enabled"), "the job is enabled: it has no reason not to run"),
    ];
    let seen = SeenFields::read(form);
    for (name, is_dropped, what) in dropped {
        // A value that stood there when the form was opened has only just been switched off by the other field, and is
        // no mistake. The zone is always filled in, so that a form without digests tells nothing about it.
        let is_typed =
            form.text(name).is_some() && seen.differs(form, name) && (name != "zone" || seen != SeenFields::default());
        if is_dropped && is_typed {
            reading.wrong(name, what);
        }
    }
}

/// Text by which a job is chosen in a form: its title and its number.
pub fn choice(id: JobId, title: &str) -> String {
    format!("{title} #{id}")
}

/// Parses the text by which a job was chosen: a title, a number, or both.
pub fn chosen(text: &str) -> (&str, Option<JobId>) {
    if let Some(id) = Reference::parse(text).id().and_then(JobId::new) {
        return ("", Some(id));
    }
    let number =
        // The last sign counts, because a title may contain one.
        text.rsplit_once('#').and_then(|(title, id)| Some((title.trim(), JobId::new(reference::number(id)?)?)));
    number.map_or((text, None), |(title, id)| (title, Some(id)))
}

/// Form of a stored job; `parent` is the title of its parent, `zone` the one shown for jobs without a cron expression.
pub fn typed(job: &Job, parent: Option<&str>, zone: Tz) -> Filled {
    let mut pairs = Vec::new();
    let mut put = |name: &str, value: String| pairs.push((name.to_owned(), value));
    let number = |number: Option<u32>| number.map(|number| number.to_string()).unwrap_or_default();
    put("title", job.title.clone());
    put("template", job.template.to_string());
    put("pool", job.pool.to_string());
    put("parent", job.parent.map(|id| choice(id, parent.unwrap_or_default())).unwrap_or_default());
    put("script", job.script_content_partial.clone());
    put("description", job.description.clone());
    let (kind, every, cron, zone) = match &job.schedule {
        Schedule::None => ("none", String::new(), String::new(), zone),
        interval @ Schedule::Interval { .. } => {
            // The field takes an interval as it stands in a sentence, without the `every` before it.
            let words = in_words(interval).unwrap_or_default();
            ("interval", words.trim_start_matches("every ").to_owned(), String::new(), zone)
        }
        Schedule::Cron { expression, zone } => ("cron", String::new(), expression.clone(), *zone),
    };
    put("schedule", kind.to_owned());
    put("every", every);
    put("cron", cron);
    put("zone", zone.name().to_owned());
    put("excludes", rules::excludes_text(&job.excludes));
    put("disabled_reason", job.disabled_reason.clone());
    put("run_timeout", number(job.run_timeout));
    put("concurrency", job.concurrency.name().to_owned());
    put("retry_times", job.retry.times.to_string());
    put("retry_backoff", job.retry.backoff.to_string());
    put("on_lost", job.on_lost.name().to_owned());
    put("disable_enqueue_after_fails", number(job.disable_enqueue_after_fails));
    put("notification_addresses", job.notification_addresses.clone());
    for (name, ticked) in [
        ("enabled", job.enqueue_is_enabled),
        ("run_on_all_workers", job.run_on_all_workers),
        ("schedule_children_on_error", job.schedule_children_on_error),
    ] {
        if ticked {
            put(name, "yes".to_owned());
        }
    }
    Filled::of(pairs)
}

/// Form of a new job, with its defaults.
pub fn blank(zone: Tz) -> Filled {
    let pairs = [
        ("script", SCRIPT.to_owned()),
        ("schedule", "none".to_owned()),
        ("zone", zone.name().to_owned()),
        ("enabled", "yes".to_owned()),
        ("concurrency", Concurrency::Wait.name().to_owned()),
        ("retry_times", "0".to_owned()),
        ("retry_backoff", Retry::default().backoff.to_string()),
        ("on_lost", OnLost::Retry.name().to_owned()),
    ];
    Filled::of(pairs.map(|(name, value)| (name.to_owned(), value)).to_vec())
}
