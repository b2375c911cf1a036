//! The script of a job: its own text in its template, as the original renders it.

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, context};

/// How much work a template may make, in instructions of the engine.
const FUEL: u64 = 100_000;

/// Why a template cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the template cannot be rendered: {0}")]
pub struct TemplateError(String);

/// The whole script. `{{ content|safe }}` is where the job's own stands; without `safe` it is escaped for
/// HTML, as the original does.
///
/// # Errors
/// What is wrong with the template.
pub fn render(body: &str, content: &str) -> Result<String, TemplateError> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_syntax(
        SyntaxConfig::builder().keep_trailing_newline(true).build().map_err(|e| TemplateError(e.to_string()))?,
    );
    environment.set_fuel(Some(FUEL));
    environment.render_str(body, context!(content)).map_err(|e| TemplateError(e.to_string()))
}

/// Whether a template can be rendered.
///
/// # Errors
/// What is wrong with it.
pub fn check(body: &str) -> Result<(), TemplateError> {
    render(body, "").map(drop)
}
