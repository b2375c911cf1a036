//! The time zone of this machine.

use std::path::Path;

use chrono_tz::Tz;

#[cfg(test)]
mod tests;

/// Where the system says which one it is.
const LOCALTIME: &str = "/etc/localtime";

/// The zone that `TZ` or the system names; UTC where that is none of the database.
pub fn of_machine() -> Tz {
    let named = std::env::var("TZ").ok().filter(|zone| !zone.is_empty());
    let link = || std::fs::canonicalize(LOCALTIME).ok();
    match named {
        Some(name) => of_name(&name),
        None => link().as_deref().and_then(of_path),
    }
    .unwrap_or(Tz::UTC)
}

/// `TZ` may begin with a colon, and may be a path.
fn of_name(name: &str) -> Option<Tz> {
    let name = name.trim_start_matches(':');
    name.parse().ok().or_else(|| of_path(Path::new(name)))
}

/// The name of a zone is the last parts of the path of its file.
fn of_path(path: &Path) -> Option<Tz> {
    let path = path.to_str()?;
    let (_, name) = path.split_once("/zoneinfo/")?;
    name.parse().ok()
}
