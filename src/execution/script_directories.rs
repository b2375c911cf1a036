//! Script directories, present and former: an attempt that never started is withdrawn by removing its script, which may
//! lie in an earlier `script_temp_path`.

use std::fs;
use std::path::{Path, PathBuf};

use super::logs::write_private;
use crate::run::chain_of;

/// Name of the file in the state directory that lists the directories.
const FILE: &str = "script_places";
/// Most directories that are remembered; older ones are forgotten.
const PLACES: usize = 16;

/// Returns the directories, the present one first, and records it on disk before any script is written there. If a full
/// disk does not take the list, the scripts are still found as long as the setting stays the same.
pub(super) fn with_present(state: &Path, present: &Path) -> Vec<PathBuf> {
    let file = state.join(FILE);
    let former: Vec<PathBuf> =
        fs::read(&file).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let known = former.first().is_some_and(|first| first == present);
    let mut places = vec![present.to_owned()];
    places.extend(former.into_iter().filter(|place| place != present));
    places.truncate(PLACES);
    if !known && let Ok(text) = serde_json::to_vec(&places) {
        // Renamed into place, so that a crash leaves either the old list or the new one.
        let next = state.join(format!("{FILE}.next"));
        let _ = fs::remove_file(&next);
        if let Err(e) = write_private(&next, &text).and_then(|()| fs::rename(&next, &file)) {
            tracing::warn!(
                target: "job_runner_worker.cleanup",
                path = %file.display(),
                error = %chain_of(&e),
                "list of script directories is not written"
            );
        }
    }
    places
}
