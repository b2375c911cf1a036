//! Crash points: named places at which a test may let the process die, so that crashes are tested at the worst moments
//! and not only at random ones.
//!
//! Without the feature `crash-points` this module is not compiled, and a release build with the feature is refused.
//! With it, the environment variable [`VARIABLE`] names a folder. Each file `<point>.<n>` in the folder stands for one
//! passage through that point, by any process: a process that passes removes the file with the highest number, and the
//! process that removes `<point>.1` is killed at the point. So `LogSent.1`, `LogSent.2` and `LogSent.3` together kill
//! at the third passage.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

#[cfg(not(debug_assertions))]
compile_error!("the feature crash-points is for tests, never for a release build");

/// Environment variable that names the folder with the files of the armed points.
pub const VARIABLE: &str = "JOB_RUNNER_CRASH_POINTS";
/// File in that folder that lists the killed processes: one line each with the point, the pid, and the seconds since
/// the epoch.
pub const DEAD: &str = "dead";
/// Highest number that a file may have: the latest passage that can be killed.
pub const LAST_PASSING: u32 = 9;

macro_rules! points {
    ($($(#[doc = $doc:literal])+ $name:ident),+ $(,)?) => {
        /// Place in the code at which a process may be killed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Point { $($(#[doc = $doc])+ $name),+ }

        impl Point {
            /// Every point, in the order of the declaration.
            pub const ALL: &[Self] = &[$(Self::$name),+];
        }
    };
}

points! {
    /// The server is about to begin a transaction for the changes that wait.
    GroupNext,
    /// The changes are committed, and no caller knows of it yet.
    GroupCommitted,
    /// All callers have their answers.
    GroupAnswered,
    /// A task is in the outbox, and nothing of it is started.
    TaskAccepted,
    /// The Manager took an update of a task, and the outbox does not say so.
    UpdateSent,
    /// The Manager was told that the worker leaves.
    SignOffSent,
    /// The worker is about to commit changes to the outbox.
    OutboxNext,
    /// The commit is on disk, and no caller knows of it yet.
    OutboxCommitted,
    /// A claim is in the outbox and about to be sent.
    ClaimNext,
    /// The server accepted the claim.
    ClaimSent,
    /// The script is on disk, and no shim knows of it.
    ScriptWritten,
    /// A shim was given its order.
    OrderGiven,
    /// The worker learned that a script runs, and the outbox does not have it yet.
    SpawnedSeen,
    /// The server has the start.
    StartSent,
    /// The worker learned that a script ended, and the outbox does not have it yet.
    EndedSeen,
    /// The server has the whole log.
    LogSent,
    /// The result is about to be sent.
    ReturnNext,
    /// The server accepted the result.
    ReturnSent,
    /// The output of a delivered run is removed, its record is not.
    OutputRemoved,
    /// The record is removed, the row in the outbox is not.
    RecordRemoved,
    /// The row in the outbox is removed.
    RowRemoved,
    /// A lost execution is about to be counted.
    LossSeen,
    /// A lost execution is counted on disk, and its files are not removed.
    LossCounted,
    /// A living shim was found again.
    Attached,
    /// A kill request is on disk as taken, and the server does not know it.
    KillTaken,
    /// A kill request is on disk as executed, and the server does not know it.
    KillDone,
    /// The shim has made the record, empty or from a spare file with its first line, and nothing runs.
    ShimLicensed,
    /// The record says that an execution begins, and nothing runs.
    ShimBegun,
    /// The script runs, and the record does not say so.
    ShimSpawned,
    /// The record says that the script runs, and the worker does not know it.
    ShimSpawnWritten,
    /// The script is over, and the shim has reported nothing of it.
    ShimEnded,
    /// The script's file is set aside for a later script, with its content.
    ShimScriptMoved,
    /// The script's file is removed or set aside empty, and the record does not have the end.
    ShimScriptRemoved,
    /// The record has the end, and the worker does not know it.
    ShimEndWritten,
}

impl Point {
    /// Points that a worker or its shims pass.
    // The points of the server are declared first, and then those of a worker of another service.
    pub const OF_WORKER: &[Self] = Self::ALL.split_at(Self::SignOffSent as usize + 1).1;
    /// Points that a worker passes besides, whose upstream is a Flamenco Manager.
    pub const OF_FLAMENCO_WORKER: &[Self] =
        Self::ALL.split_at(Self::SignOffSent as usize + 1).0.split_at(Self::GroupAnswered as usize + 1).1;
    /// Points that the server passes.
    pub const OF_SERVER: &[Self] = Self::ALL.split_at(Self::GroupAnswered as usize + 1).0;

    /// Returns whether the point is passed by a shim, not by a worker.
    #[must_use]
    // The points of the shim are declared last.
    pub fn is_of_shim(self) -> bool {
        self >= Self::ShimLicensed
    }
}

/// Passes a point, and does not return if the process is to die there. See [`crate::crash_point!`].
pub fn pass(point: Point) {
    if let Some(folder) = std::env::var_os(VARIABLE)
        && is_fatal(Path::new(&folder), point)
    {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        let _ = OpenOptions::new()
            .append(true)
            .create(true)
            .open(Path::new(&folder).join(DEAD))
            .and_then(|mut dead| dead.write_all(format!("{point:?} {} {at:.6}\n", process::id()).as_bytes()));
        // KILL leaves no time to clean up; `abort` is for the case that the signal cannot be sent.
        let _ = kill(Pid::this(), Signal::SIGKILL);
        process::abort();
    }
}

/// Removes the file of one passage, and returns whether it was the last one.
fn is_fatal(folder: &Path, point: Point) -> bool {
    // The removal of a file is atomic, so that two processes never count as the same passage.
    let taken = (1..=LAST_PASSING).rev().find(|nth| fs::remove_file(folder.join(format!("{point:?}.{nth}"))).is_ok());
    taken == Some(1)
}

#[cfg(test)]
mod tests;
