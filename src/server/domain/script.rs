//! Script of a job: its own text rendered into its template, as the original renders it.
//!
//! Tags are found by the rules of the original's engine: each ends on its line, and a text that does not, such as the
//! `${#}` of a shell, is no tag. Tags contain Jinja, restricted to what cannot make much out of little: no tag is long,
//! blocks are not nested deep, and nothing but the output grows, which has a bound.

use std::io::{self, Write};
use std::{str, thread};

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Output, State, UndefinedBehavior, Value, context, escape_formatter, filters};

use tags::{CLOSE, COMMENT, OPEN, PRINT};

mod tags;
#[cfg(test)]
mod tests;

/// Maximum work that a template may cause, in instructions of the engine.
const FUEL: u64 = 100_000;
/// Longest template, in bytes.
const MAX_BODY: usize = 1024 * 1024;
/// Longest rendered script, in bytes.
const MAX_SCRIPT: usize = 32 * 1024 * 1024;
/// Stack of the thread that renders, in bytes: many times what the longest tag in the deepest block needs.
const STACK: usize = 64 * 1024 * 1024;
/// Script that [`check`] looks for in the output: digits, which no filter changes.
const MARK: &str = "7305120946";

/// Reason why a template cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The template has no place for the script.
    #[error("the template has no {{{{ content|safe }}}}: the scripts of its jobs would not be executed")]
    NoContent,
    /// The template is longer than the bound, in bytes.
    #[error("the template has {0} bytes; {MAX_BODY} are allowed")]
    TooLong(usize),
    /// The template cannot be parsed or rendered; the text says why.
    #[error("the template cannot be rendered: {0}")]
    Unusable(String),
}

/// Renders the whole script. `{{ content|safe }}` stands for the job's own; without `safe` it is escaped for HTML, as
/// with the original.
///
/// # Errors
/// If the template is too long, cannot be parsed, works too much or makes too long a script.
pub fn render(body: &str, content: &str) -> Result<String, TemplateError> {
    if body.len() > MAX_BODY {
        return Err(TemplateError::TooLong(body.len()));
    }
    let jinja = tags::to_jinja(body).map_err(TemplateError::Unusable)?;
    // The parser of the engine recurses. Its depth is bounded by the checks in `tags`, and so is what it takes from a
    // stack of its own; the stack of the caller may be a small one.
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || rendered(&jinja, content));
        let thread = thread.map_err(|e| TemplateError::Unusable(format!("no thread can be had: {e}")))?;
        thread.join().unwrap_or_else(|_| Err(TemplateError::Unusable("the engine failed".to_owned())))
    })
}

/// Checks that a template renders and that the script of a job appears in the output.
///
/// # Errors
/// If the template cannot be rendered, or drops the script.
pub fn check(body: &str) -> Result<(), TemplateError> {
    if render(body, MARK)?.contains(MARK) { Ok(()) } else { Err(TemplateError::NoContent) }
}

fn rendered(jinja: &str, content: &str) -> Result<String, TemplateError> {
    let unusable = |e: minijinja::Error| TemplateError::Unusable(e.to_string());
    let environment = environment().map_err(unusable)?;
    let template = environment.template_from_str(jinja).map_err(unusable)?;
    let mut script = Script(Vec::new());
    let written = template.render_captured_to(context!(content), &mut script).map(drop);
    // The writer takes no more than the bound, so a script of just that length is too long or was cut.
    if script.0.len() == MAX_SCRIPT {
        return Err(TemplateError::Unusable(format!("the script has {MAX_SCRIPT} bytes or more")));
    }
    written.map_err(unusable)?;
    String::from_utf8(script.0).map_err(|e| TemplateError::Unusable(e.to_string()))
}

/// Builds an engine without the filters and functions that make much out of little.
fn environment() -> Result<Environment<'static>, minijinja::Error> {
    let mut environment = Environment::empty();
    // By default the engine goes by the extension of a template's name, which templates here do not have.
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_syntax(
        SyntaxConfig::builder()
            .block_delimiters(OPEN, CLOSE)
            .variable_delimiters(PRINT, CLOSE)
            .comment_delimiters(COMMENT, CLOSE)
            .keep_trailing_newline(true)
            .build()?,
    );
    environment.set_fuel(Some(FUEL));
    // As with the original, an undefined variable renders as nothing, and so does any attribute of it.
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment.set_formatter(write_as_original);
    environment.add_filter("safe", filters::safe);
    for name in ["escape", "e", "force_escape"] {
        environment.add_filter(name, escaped);
    }
    environment.add_filter("upper", filters::upper);
    environment.add_filter("lower", filters::lower);
    environment.add_filter("trim", filters::trim);
    environment.add_filter("length", filters::length);
    environment.add_filter("default", filters::default);
    Ok(environment)
}

/// Writes a value. The engine's own formatter escapes slashes as well, which the original does not: `#!/bin/sh` must
/// stay as it is.
fn write_as_original(output: &mut Output, state: &mut State, value: &Value) -> Result<(), minijinja::Error> {
    match state.auto_escape() {
        AutoEscape::Html => escape_formatter(output, state, &escaped(value)),
        _ => escape_formatter(output, state, value),
    }
}

/// Escapes a value as the original does, unless it is marked as safe.
fn escaped(value: &Value) -> Value {
    if value.is_safe() {
        return value.clone();
    }
    let mut text = String::new();
    for character in value.to_string().chars() {
        match character {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '"' => text.push_str("&quot;"),
            '\'' => text.push_str("&#39;"),
            other => text.push(other),
        }
    }
    Value::from_safe_string(text)
}

/// Output of the engine, up to [`MAX_SCRIPT`] bytes.
struct Script(Vec<u8>);

impl Write for Script {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // At the bound nothing more is taken: `write_all` fails then and the engine stops, so memory is bounded.
        let fits = bytes.len().min(MAX_SCRIPT - self.0.len());
        self.0.extend_from_slice(&bytes[..fits]);
        Ok(fits)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
