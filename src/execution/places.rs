//! Where scripts are written, and where they were: an attempt that never began is taken away by removing its script, also
//! after `script_temp_path` was changed.

use std::fs;
use std::path::{Path, PathBuf};

use super::logs::write_private;

/// The file in the state directory that remembers the places.
const FILE: &str = "script_places";
/// How many places are remembered.
const PLACES: usize = 16;

/// The places, the present one first. It is on disk before any script is written there; where a full disk does not take it,
/// the scripts of this start are found while the place stays the same.
pub(super) fn with_present(state: &Path, present: &Path) -> Vec<PathBuf> {
    let file = state.join(FILE);
    let former: Vec<PathBuf> =
        fs::read(&file).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let known = former.first().is_some_and(|first| first == present);
    let mut places = vec![present.to_owned()];
    places.extend(former.into_iter().filter(|place| place != present));
    places.truncate(PLACES);
    if !known && let Ok(text) = serde_json::to_vec(&places) {
        let next = state.join(format!("{FILE}.next"));
        let _ = fs::remove_file(&next);
        if let Err(e) = write_private(&next, &text).and_then(|()| fs::rename(&next, &file)) {
            tracing::warn!(target: "job_runner_worker.cleanup", "{} cannot be written: {e}", file.display());
        }
    }
    places
}
