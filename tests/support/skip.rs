//! Tests that cannot run everywhere.

use std::io::Write;

/// Tells what could not be tested. Past the harness, which captures the print macros only: `./check` lists it.
pub fn skip(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}
