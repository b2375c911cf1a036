//! Pages without the frame: for a browser that has not logged in, and for errors. Pure.

use minijinja::{Value, context};

use super::template::fill;

/// Renders a page without navigation, for browsers that have not logged in and for errors.
pub(super) fn plain_page(title: &str, body: &Value) -> String {
    fill("frame", context!(title, body, version => env!("CARGO_PKG_VERSION"))).to_string()
}

/// Renders a page with a single sentence.
pub(super) fn message(text: &str) -> String {
    plain_page("Job Runner", &fill("message", context!(text)))
}
