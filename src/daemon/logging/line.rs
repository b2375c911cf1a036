//! Parts of a log line: a fixed message and the fields of an event, as text and as JSON.
//!
//! In text, each field follows the message as ` name=value`. A value is quoted where a reader could not tell otherwise
//! where it ends. In JSON, each field is a member of its own. Control characters are escaped in both, so that one event
//! is one line whatever a job, a file or a server put into it.

use std::error::Error;
use std::fmt::{self, Write as _};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};

use crate::run::chain_of;

/// Members of a JSON line that no field may overwrite.
const OWN_MEMBERS: [&str; 4] = ["ts", "level", "target", "msg"];
/// Fields that hold an id or a count: they are displayed by types of their own, but are numbers in JSON.
const NUMBERED: [&str; 9] = ["run", "job", "attempt", "execution", "kill", "request", "project", "template", "pool"];

/// Message and fields of an event, in the order in which they were recorded.
#[derive(Debug, Default)]
pub(super) struct LineParts {
    message: String,
    fields: Vec<(&'static str, Value)>,
}

impl LineParts {
    /// Formats the parts as text on one line: the message, then ` name=value` for each field.
    pub(super) fn text(&self) -> String {
        let mut line = String::with_capacity(self.message.len());
        push_escaped(&mut line, &self.message);
        for (name, value) in &self.fields {
            let _ = write!(line, " {name}=");
            match value {
                Value::String(value) => push_value(&mut line, value),
                other => push_value(&mut line, &other.to_string()),
            }
        }
        line
    }

    /// Formats the parts as a JSON object on one line. A field that has the name of one of the object's own members
    /// gets an underscore after its name.
    pub(super) fn json(&self, at: &str, level: &str, target: &str) -> String {
        let mut members = Map::new();
        for (name, value) in &self.fields {
            let name = if OWN_MEMBERS.contains(name) { format!("{name}_") } else { (*name).to_owned() };
            members.insert(name, value.clone());
        }
        for (name, value) in OWN_MEMBERS.into_iter().zip([at, level, target, &self.message]) {
            members.insert(name.to_owned(), Value::from(value));
        }
        Value::Object(members).to_string()
    }

    fn push(&mut self, field: &Field, value: impl Into<Value>) {
        self.fields.push((field.name(), value.into()));
    }

    fn push_displayed(&mut self, field: &Field, text: String) {
        match field.name() {
            "message" => self.message = text,
            // `%run` arrives as text; a search for `.run == 5` needs the number.
            name if NUMBERED.contains(&name) => match text.parse::<i64>() {
                Ok(number) => self.push(field, number),
                Err(_) => self.push(field, text),
            },
            _ => self.push(field, text),
        }
    }
}

impl Visit for LineParts {
    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no number for infinity and NaN.
        match serde_json::Number::from_f64(value) {
            Some(number) => self.push(field, number),
            None => self.push(field, value.to_string()),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.push_displayed(field, value.to_owned());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.push(field, chain_of(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.push_displayed(field, format!("{value:?}"));
    }
}

/// Appends a value, in quotes where it is empty or contains what would end it or make it look like another field.
fn push_value(line: &mut String, value: &str) {
    let ends_early = |c: char| c.is_whitespace() || breaks_line(c) || matches!(c, '"' | '\'' | '=' | '\\');
    if !value.is_empty() && !value.contains(ends_early) {
        line.push_str(value);
        return;
    }
    line.push('"');
    for c in value.chars() {
        if matches!(c, '"' | '\\') {
            line.push('\\');
        }
        push_char(line, c);
    }
    line.push('"');
}

fn push_escaped(line: &mut String, text: &str) {
    text.chars().for_each(|c| push_char(line, c));
}

fn push_char(line: &mut String, c: char) {
    if breaks_line(c) { line.extend(c.escape_debug()) } else { line.push(c) }
}

/// Returns whether a character may break a line or steer a terminal.
fn breaks_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}
