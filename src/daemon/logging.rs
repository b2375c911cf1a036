//! Logging to stderr in one of three formats. `classic` is the original's format to the letter, in local time.
//!
//! An event is a fixed message with fields, and one line in every format: [`line`] says how the fields are written.

mod line;
mod sink;

use std::fmt;
use std::io::{self, Write as _};
use std::sync::OnceLock;
use std::time::Duration;

use chrono::{Local, SecondsFormat, Utc};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, reload};

use crate::cli::LogFormat;
use crate::config::LogLevel;
use line::LineParts;

/// Prefix of the targets of our own log lines; libraries are logged only from warnings on.
const OURS: &str = "job_runner";

/// Handle to change the level of a running log. Cheap to clone.
#[derive(Clone)]
pub struct Level(reload::Handle<Targets, Registry>);

impl Level {
    /// Logs at another level from now on.
    pub fn change(&self, level: LogLevel) {
        // Fails only if no log was started.
        let _ = self.0.reload(targets(level));
    }
}

/// Longest time that an exit waits for lines to be written.
const PARTING: Duration = Duration::from_secs(1);

/// Buffer that all lines go through once the log is started.
static SINK: OnceLock<sink::Sink> = OnceLock::new();

/// Waits, at most one second, until all lines are written.
pub fn flush() {
    if let Some(sink) = SINK.get() {
        sink.flush(PARTING);
    }
}

/// Writes a line to stderr that is not a log line. Once the log is started, it goes through the same buffer and does
/// not block.
pub fn say(line: &str) {
    Stderr.line(format!("{line}\n").as_bytes());
}

/// Starts the log and returns the handle to change its level.
pub fn start(format: LogFormat, level: LogLevel) -> Level {
    // Without the thread, lines are written directly, which may block but loses none.
    if let Ok(sink) = sink::Sink::start(sink::Stderr) {
        let _ = SINK.set(sink);
    }
    let (filter, handle) = reload::Layer::new(targets(level));
    let lines = tracing_subscriber::fmt::layer().event_format(Lines(format)).with_writer(|| Stderr).with_ansi(false);
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
    Level(handle)
}

fn targets(level: LogLevel) -> Targets {
    let level = match level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warning => LevelFilter::WARN,
        LogLevel::Error | LogLevel::Critical => LevelFilter::ERROR,
    };
    // Libraries never log below warnings: their debug output may contain what is not meant for a log.
    Targets::new().with_target(OURS, level).with_default(level.min(LevelFilter::WARN))
}

/// Writer to stderr that never fails: a closed or full stderr must not stop the work.
struct Stderr;

impl Stderr {
    fn line(&self, line: &[u8]) {
        match SINK.get() {
            Some(sink) => sink.push(line),
            None => {
                let _ = io::stderr().lock().write_all(line);
            }
        }
    }
}

impl io::Write for Stderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.line(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Lines(LogFormat);

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut line: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let (level, name) = (event.metadata().level(), event.metadata().target());
        let mut parts = LineParts::default();
        event.record(&mut parts);
        match self.0 {
            LogFormat::Classic => {
                let at = Local::now().format("%Y-%m-%d %H:%M:%S,%3f");
                writeln!(line, "{} - {at} - {name}: {}", python(*level), parts.text())
            }
            LogFormat::Text => {
                let at = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
                writeln!(line, "{at} {level:>5} {name}: {}", parts.text())
            }
            LogFormat::Json => {
                let at = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
                writeln!(line, "{}", parts.json(&at, &python(*level).to_ascii_lowercase(), name))
            }
        }
    }
}

fn python(level: tracing::Level) -> &'static str {
    match level {
        tracing::Level::ERROR => "ERROR",
        tracing::Level::WARN => "WARNING",
        tracing::Level::INFO => "INFO",
        tracing::Level::DEBUG | tracing::Level::TRACE => "DEBUG",
    }
}

#[cfg(test)]
mod tests;
