//! Time zone of this machine, for the embedded server.

use std::path::Path;

use chrono_tz::Tz;

#[cfg(test)]
mod tests;

/// Link to the file of the system's time zone.
const LOCALTIME: &str = "/etc/localtime";

/// Returns the zone that `TZ` or else the system names; UTC if that is not in the database.
pub fn of_machine() -> Tz {
    let named = std::env::var("TZ").ok().filter(|zone| !zone.is_empty());
    let link = || std::fs::canonicalize(LOCALTIME).ok();
    match named {
        Some(name) => of_name(&name),
        None => link().as_deref().and_then(of_path),
    }
    .unwrap_or(Tz::UTC)
}

/// Parses the value of `TZ`, which may begin with a colon and may be a path.
fn of_name(name: &str) -> Option<Tz> {
    let name = name.trim_start_matches(':');
    name.parse().ok().or_else(|| of_path(Path::new(name)))
}

/// Finds the name of a zone in the path of its file, behind `/zoneinfo/`.
fn of_path(path: &Path) -> Option<Tz> {
    let path = path.to_str()?;
    // Names may consist of several parts, as in `America/Argentina/Salta`.
    let (_, name) = path.split_once("/zoneinfo/")?;
    name.parse().ok()
}
