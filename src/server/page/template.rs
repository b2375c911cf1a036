//! The templates, which stand beside the views that fill them.

use std::sync::LazyLock;

use minijinja::{AutoEscape, Environment, Value};

/// All of them are HTML, so whatever is put into them is escaped.
static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    for (name, text) in [
        ("frame", include_str!("frame.html")),
        ("admin_delete", include_str!("admin/delete.html")),
        ("admin_fields", include_str!("admin/fields.html")),
        ("admin_form", include_str!("admin/form.html")),
        ("admin_list", include_str!("admin/list.html")),
        ("admin_made", include_str!("admin/made.html")),
        ("code", include_str!("job/code.html")),
        ("job", include_str!("job/job.html")),
        ("job_forecast", include_str!("job/forecast.html")),
        ("job_history", include_str!("job/history.html")),
        ("job_standing", include_str!("job/standing.html")),
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
        ("workers_list", include_str!("workers/list.html")),
    ] {
        environment.add_template(name, text).expect("the templates are ours");
    }
    environment
});

/// Fills a template. What comes out is HTML, and is not escaped again where it is put into another.
///
/// # Panics
/// Never: the templates are ours, and are filled with what they need.
pub(super) fn fill(name: &str, context: Value) -> Value {
    let filled = TEMPLATES.get_template(name).and_then(|template| template.render(context));
    Value::from_safe_string(filled.expect("the templates are ours"))
}
