//! What is known, as HTML. Pure; whatever comes from outside is escaped.

use std::sync::LazyLock;

use chrono_tz::Tz;
use minijinja::{AutoEscape, Environment, Value, context};

use crate::server::model::{Instant, RunExit};
use crate::server::operator::state;
use crate::server::store::RunOverview;

#[cfg(test)]
mod tests;

/// The templates. All of them are HTML, so all of them escape.
static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    for (name, text) in [
        ("frame", include_str!("frame.html")),
        ("runs", include_str!("runs.html")),
        ("run", include_str!("run.html")),
        ("run_head", include_str!("run_head.html")),
        ("login", include_str!("login.html")),
    ] {
        environment.add_template(name, text).expect("the templates are ours");
    }
    environment
});

/// # Panics
/// Never: the templates are ours, and are rendered with what they need.
fn render(name: &str, context: Value) -> String {
    TEMPLATES.get_template(name).and_then(|template| template.render(context)).expect("the templates are ours")
}

fn framed(title: &str, live: &str, zone: Option<Tz>, body: String) -> String {
    let zone = zone.map(|zone| zone.name());
    render(
        "frame",
        context!(title, live, zone, body => Value::from_safe_string(body), version => env!("CARGO_PKG_VERSION")),
    )
}

/// The page of the latest runs.
pub(super) fn runs(runs: &[RunOverview], zone: Tz) -> String {
    framed("Runs", "runs", Some(zone), runs_part(runs, zone))
}

/// What of it changes.
pub(super) fn runs_part(runs: &[RunOverview], zone: Tz) -> String {
    let rows: Vec<Value> = runs.iter().map(|run| row(run, zone)).collect();
    render("runs", context!(runs => rows, zone => zone.name()))
}

/// The page of a run.
pub(super) fn run(run: &RunOverview, zone: Tz) -> String {
    let title = format!("Run {} of {}", run.run.id, run.title);
    let head = Value::from_safe_string(run_part(run, zone));
    framed(&title, "run", Some(zone), render("run", context!(run => row(run, zone), head)))
}

/// What of it changes, beside the log.
pub(super) fn run_part(run: &RunOverview, zone: Tz) -> String {
    render("run_head", context!(run => row(run, zone)))
}

/// The page for who has not logged in.
pub(super) fn login(wrong: bool) -> String {
    framed("Log in", "", None, render("login", context!(wrong)))
}

/// A page that says one thing.
pub(super) fn message(said: &str) -> String {
    framed("Job Runner", "", None, render("login", context!(said)))
}

fn row(overview: &RunOverview, zone: Tz) -> Value {
    let RunOverview { run, title, worker } = overview;
    let exit = match run.exit {
        Some(RunExit::Code(code)) if code != 0 => format!("exit code {code}"),
        Some(RunExit::Signal(signal)) => format!("signal {signal}"),
        _ => String::new(),
    };
    let took = run.start_dts.zip(run.return_dts).map(|(start, end)| duration(start, end));
    let state = state(run);
    context! {
        id => run.id.get(), title, worker, exit, took,
        state => state.word(), state_shown => state.word().replace('_', " "), over => state.is_over(),
        due => time(run.schedule_dts, zone),
        started => run.start_dts.map(|at| time(at, zone)),
        ended => run.return_dts.map(|at| time(at, zone)),
        attempt => run.attempt.0,
        retry_of => run.retry_of.map(|(run, _)| run.get()),
        manual => run.is_manual,
    }
}

fn time(at: Instant, zone: Tz) -> String {
    at.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S").to_string()
}

fn duration(from: Instant, to: Instant) -> String {
    let millis = (to - from).num_milliseconds().max(0);
    let seconds = millis / 1000;
    match seconds {
        0..60 => format!("{seconds}.{} s", millis % 1000 / 100),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}
