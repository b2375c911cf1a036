//! Templates: compiles the HTML files that stand beside the views, and fills them.

use std::sync::LazyLock;

use minijinja::{AutoEscape, Environment, Error, HtmlEscape, Output, State, Value, escape_formatter};

use crate::server::domain::title::controls_direction;

#[cfg(test)]
mod tests;

/// Compiled templates by name. All are HTML, so every value put into them is escaped.
static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    // The names below lack the extension `.html`, by which minijinja would choose HTML itself.
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_formatter(plain);
    environment.add_filter("typed", |text: String| Value::from_safe_string(HtmlEscape(&text).to_string()));
    for (name, text) in [
        ("frame", include_str!("frame.html")),
        ("admin_delete", include_str!("admin/delete.html")),
        ("admin_fields", include_str!("admin/fields.html")),
        ("admin_form", include_str!("admin/form.html")),
        ("admin_list", include_str!("admin/list.html")),
        ("admin_titles", include_str!("admin/titles.html")),
        ("pager", include_str!("pager.html")),
        ("worker_created", include_str!("admin/worker_created.html")),
        ("code", include_str!("job/code.html")),
        ("farm", include_str!("farm/farm.html")),
        ("farm_job", include_str!("farm/job.html")),
        ("farm_jobs", include_str!("farm/jobs.html")),
        ("farm_log", include_str!("farm/log.html")),
        ("farm_state", include_str!("farm/state.html")),
        ("farm_task", include_str!("farm/task.html")),
        ("farm_workers", include_str!("farm/workers.html")),
        ("job", include_str!("job/job.html")),
        ("job_forecast", include_str!("job/forecast.html")),
        ("job_history", include_str!("job/history.html")),
        ("job_state", include_str!("job/state.html")),
        ("jobs", include_str!("jobs.html")),
        ("jobs_list", include_str!("jobs_list.html")),
        ("lane", include_str!("now/lane.html")),
        ("login", include_str!("login.html")),
        ("message", include_str!("message.html")),
        ("now", include_str!("now.html")),
        ("pools_list", include_str!("workers/pools.html")),
        ("run", include_str!("run/run.html")),
        ("run_head", include_str!("run/run_head.html")),
        ("sentence", include_str!("sentence.html")),
        ("workers", include_str!("workers/workers.html")),
        ("workers_confirmation", include_str!("workers/confirmation.html")),
        ("workers_list", include_str!("workers/list.html")),
    ] {
        environment.add_template(name, text).expect("the templates are ours");
    }
    environment
});

/// Formatter for values: escapes them, and shows characters that change the direction of text by their numbers, so that
/// nothing on a page reads as something else. A value in a form field that is sent again must stay what it is: the
/// filter `|typed` leaves such characters in.
fn plain(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    match value.as_str().filter(|text| !value.is_safe() && text.chars().any(controls_direction)) {
        Some(text) => escape_formatter(out, state, &Value::from(by_number(text))),
        None => escape_formatter(out, state, value),
    }
}

fn by_number(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if controls_direction(character) {
            shown.push_str(&format!("[U+{:04X}]", u32::from(character)));
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Fills a template. The result is HTML, and is not escaped again where another template contains it.
///
/// # Panics
/// Never: the templates are part of the binary, and each view gives its template what it needs.
pub(super) fn fill(name: &str, context: Value) -> Value {
    let filled = TEMPLATES.get_template(name).and_then(|template| template.render(context));
    Value::from_safe_string(filled.expect("the templates are ours"))
}
