//! Tests that cannot run everywhere.

use std::io::Write;
use std::process::{Command, Stdio};

/// Tells what could not be tested. Past the harness, which captures the print macros only: `./check` lists it.
pub fn skip(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

/// Whether scripts in Python can be executed; says that it cannot be tested where not.
pub fn has_python() -> bool {
    let version = Command::new("python3").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let has = version.is_ok_and(|status| status.success());
    if !has {
        skip("no python3");
    }
    has
}
