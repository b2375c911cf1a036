//! Forms of jobs. Pure.

use chrono_tz::Tz;

use super::concurrent_edit::SeenFields;
use super::fields::{FieldChoice, FieldGroup, FieldInput, FormField, Mistakes};
use super::form_reader::FormReader;
use super::project::ADDRESSES;
use crate::server::domain::model::{Concurrency, Job, JobId, OnLost, PoolId, Retry, Schedule, TemplateId};
use crate::server::domain::rules;
use crate::server::domain::schedule::in_words;
use crate::server::domain::title::Title;
use crate::server::http::dashboard::form::FormValues;
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
pub fn fields(choices: &JobChoices) -> Vec<FieldGroup> {
    let schedules = [("none", "none"), ("interval", "interval"), ("cron", "cron expression")];
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
                FormField::new("template", "Template", FieldInput::One(FieldChoice::of(&choices.templates))),
                FormField::new("pool", "Pool", FieldInput::One(FieldChoice::of(&choices.pools))),
                FormField::new("run_on_all_workers", "Run on every worker of the pool", FieldInput::Tick),
                FormField::new("script", "Script", FieldInput::Script)
                    .hint("Inserted into the template. The result must begin with #! and an interpreter."),
                FormField::new("description", "Description", FieldInput::Text),
            ],
        },
        FieldGroup {
            title: "Schedule",
            fields: vec![
                FormField::new("schedule", "Schedule", FieldInput::One(schedules)),
                FormField::new("every", "Interval", FieldInput::Line)
                    .hint("For example 15 minutes, 1 hour, 2 days, 1 month."),
                FormField::new("cron", "Cron expression", FieldInput::Line).hint(
                    "Five fields: minute, hour, day of month, month, day of week; or six, with seconds first. If both day \
                         fields are restricted, a day that matches either counts; if one begins with *, both must match.",
                ),
                FormField::new("zone", "Time zone of the cron expression", FieldInput::Line)
                    .hint("For example Europe/Amsterdam."),
                FormField::new("excludes", "Excluded times of day", FieldInput::Text)
                    .hint("One period per line, in the server's time zone, with a reason: 22:00 - 06:00 the backup runs."),
                FormField::new("parent", "Runs after", FieldInput::Found("/parts/titles"))
                    .hint("Title of another job, or its id, like #12. Empty: none."),
                FormField::new(
                    "schedule_children_on_error",
                    "Run its children even if it fails",
                    FieldInput::Tick,
                ),
                FormField::new("enabled", "Enabled", FieldInput::Tick),
                FormField::new("disabled_reason", "Reason, if disabled", FieldInput::Line),
            ],
        },
        FieldGroup {
            title: "Runs",
            fields: vec![
                FormField::new("run_timeout", "Time limit in seconds", FieldInput::Number)
                    .hint("Empty: no limit."),
                FormField::new("concurrency", "While a run is active, the next one", FieldInput::One(meets)),
                FormField::new("retry_times", "Retries of a failed run", FieldInput::Number)
                    .hint("Empty: never."),
                FormField::new("retry_backoff", "Seconds before the first retry", FieldInput::Number)
                    .hint("Doubled before each further retry, up to a day."),
                FormField::new("on_lost", "A run whose worker is lost", FieldInput::One(lost)),
                FormField::new(
                    "disable_enqueue_after_fails",
                    "Disable after more failures in a row than",
                    FieldInput::Number,
                )
                .hint("Empty: never."),
                FormField::new("notification_addresses", "Notify of failures", FieldInput::Text).hint(ADDRESSES),
            ],
        },
    ]
}

/// Reads a job's form, given the result of looking up its parent.
///
/// # Errors
/// If a value breaks a rule: all mistakes, by field.
pub fn read(form: &FormValues, parent: Result<Option<JobId>, String>) -> Result<NewJob, Mistakes> {
    let mut reader = FormReader::of(form);
    let title = reader.take("title", Title::new(form.text("title").unwrap_or_default()));
    let template = reader.chosen("template", "a template", TemplateId::new);
    let pool = reader.chosen("pool", "a pool", PoolId::new);
    let description = reader.description();
    let parent = reader.take("parent", parent);
    let schedule = schedule(&mut reader);
    let excludes = reader.take("excludes", rules::excludes(&form.script("excludes")));
    let reason = reader.take("disabled_reason", rules::reason(form.text("disabled_reason").unwrap_or_default()));
    unused(&mut reader);
    let run_timeout = reader.count("run_timeout");
    let run_timeout = reader.take("run_timeout", rules::timeout(run_timeout));
    let times = reader.count("retry_times").unwrap_or(0);
    let times = reader.take("retry_times", rules::retries(times));
    let backoff = reader.count("retry_backoff").unwrap_or(Retry::default().backoff);
    let backoff = reader.take("retry_backoff", rules::backoff(backoff));
    let on_lost = reader.take("on_lost", rules::on_lost(form.text("on_lost").unwrap_or_default()));
    let concurrency = reader.take("concurrency", rules::concurrency(form.text("concurrency").unwrap_or_default()));
    let disable_enqueue_after_fails = reader.count("disable_enqueue_after_fails");
    let addresses = reader.take("notification_addresses", rules::addresses(&form.script("notification_addresses")));
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
    reader.done(read)
}

fn schedule(reader: &mut FormReader<'_>) -> Option<Schedule> {
    let form = reader.form;
    match form.text("schedule") {
        Some("interval") => reader.take("every", rules::interval(form.text("every").unwrap_or_default())),
        Some("cron") => {
            let zone = reader.take("zone", rules::zone(form.text("zone").unwrap_or_default()));
            let expression = form.text("cron").unwrap_or_default();
            // The expression is checked even if the zone is wrong, so that both mistakes are shown.
            let cron = reader.take("cron", rules::cron(expression, zone.unwrap_or_default()));
            zone.and(cron)
        }
        _ => Some(Schedule::None),
    }
}

/// Records as mistakes the values that would be dropped silently because another field switches them off.
fn unused(reader: &mut FormReader<'_>) {
    let form = reader.form;
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
            reader.wrong(name, what);
        }
    }
}

/// Text by which a job is chosen in a form: its title and its number.
pub fn job_choice(id: JobId, title: &str) -> String {
    format!("{title} #{id}")
}

/// Parses the text by which a job was chosen: a title, a number, or both.
pub fn parse_job_choice(text: &str) -> (&str, Option<JobId>) {
    if let Some(id) = Reference::parse(text).id().and_then(JobId::new) {
        return ("", Some(id));
    }
    let number =
        // The last sign counts, because a title may contain one.
        text.rsplit_once('#').and_then(|(title, id)| Some((title.trim(), JobId::new(reference::number(id)?)?)));
    number.map_or((text, None), |(title, id)| (title, Some(id)))
}

/// Form of a stored job; `parent` is the title of its parent, `zone` the one shown for jobs without a cron expression.
pub fn form_of(job: &Job, parent: Option<&str>, zone: Tz) -> FormValues {
    let mut pairs = Vec::new();
    let mut put = |name: &str, value: String| pairs.push((name.to_owned(), value));
    let number = |number: Option<u32>| number.map(|number| number.to_string()).unwrap_or_default();
    put("title", job.title.to_string());
    put("template", job.template.to_string());
    put("pool", job.pool.to_string());
    put("parent", job.parent.map(|id| job_choice(id, parent.unwrap_or_default())).unwrap_or_default());
    put("script", job.script_content_partial.clone());
    put("description", job.description.clone());
    let (kind, every, cron, zone) = match &job.schedule {
        Schedule::None => ("none", String::new(), String::new(), zone),
        interval @ Schedule::Interval { .. } => {
            // The field takes an interval as it stands in a sentence, without the `every` before it.
            let words = in_words(interval).unwrap_or_default();
            ("interval", words.trim_start_matches("every ").to_owned(), String::new(), zone)
        }
        Schedule::Cron { expression, zone } => ("cron", String::new(), expression.to_string(), *zone),
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
    FormValues::of(pairs)
}

/// Form of a new job, with its defaults.
pub fn blank(zone: Tz) -> FormValues {
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
    FormValues::of(pairs.map(|(name, value)| (name.to_owned(), value)).to_vec())
}
