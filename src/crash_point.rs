//! Named places at which a test may let the process die, so that a crash is tried where it would be worst
//! and not only where it happens to fall.
//!
//! Without the feature `crash-points` nothing of this is compiled, and a release build with it is refused.
//! With it, the environment variable [`VARIABLE`] names a folder. A file `<point>.<n>` in it is one passing of
//! that point, by whichever process comes first: who passes takes the file with the highest number away, and
//! who takes `<point>.1` is killed there. So `Spawned.1`, `Spawned.2`, `Spawned.3` kill at the third passing.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

#[cfg(not(debug_assertions))]
compile_error!("the feature crash-points is for tests, never for a release build");

/// Names the folder with the files that say where to die.
pub const VARIABLE: &str = "JOB_RUNNER_CRASH_POINTS";
/// Where in that folder the dead are listed: a line with the point, the pid, and the seconds since the epoch of each.
pub const DEAD: &str = "dead";
/// The latest passing that can be meant.
pub const LAST_PASSING: u32 = 9;

macro_rules! points {
    ($($(#[doc = $doc:literal])+ $name:ident),+ $(,)?) => {
        /// A place to die at.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Point { $($(#[doc = $doc])+ $name),+ }

        impl Point {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),+];
        }
    };
}

points! {
    /// The worker is about to commit to the outbox.
    OutboxNext,
    /// It has, and nobody was told yet.
    OutboxCommitted,
    /// A claim is on disk and about to be sent.
    ClaimNext,
    /// The claim was accepted.
    ClaimSent,
    /// The script is on disk and no shim knows of it.
    ScriptWritten,
    /// A shim was given its order.
    OrderGiven,
    /// The worker hears that a script runs, and it is not on disk yet.
    SpawnedSeen,
    /// The server knows the start.
    StartSent,
    /// The worker hears that a script ended, and it is not on disk yet.
    EndedSeen,
    /// The server has the whole log.
    LogSent,
    /// The result is about to be sent.
    ReturnNext,
    /// The server accepted the result.
    ReturnSent,
    /// The output of a returned run is removed, its record not yet.
    OutputRemoved,
    /// The record is removed, the row in the outbox not yet.
    RecordRemoved,
    /// The row is removed.
    RowRemoved,
    /// A lost execution is about to be counted.
    LossSeen,
    /// A lost execution is counted on disk, and its files are not removed.
    LossCounted,
    /// A living shim was found again.
    Attached,
    /// A kill is on disk as taken, and the server does not know.
    KillTaken,
    /// A kill is on disk as done, and the server does not know.
    KillDone,
    /// The shim made the record, and nothing is in it.
    ShimLicensed,
    /// The record says that an execution begins, and nothing runs.
    ShimBegun,
    /// The script runs, and the record does not say so.
    ShimSpawned,
    /// The record says that it runs, and the worker was not told.
    ShimSpawnWritten,
    /// The script is over, and the shim has not said anything of it.
    ShimEnded,
    /// The script's file is removed, and the record does not tell its end.
    ShimScriptRemoved,
    /// The record tells the end, and the worker was not told.
    ShimEndWritten,
}

impl Point {
    /// Whether it is a shim that dies there.
    #[must_use]
    pub fn is_of_shim(self) -> bool {
        self >= Self::ShimLicensed
    }
}

/// Passes a point, and may not come back. See [`crate::crash_point!`].
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
        let _ = kill(Pid::this(), Signal::SIGKILL);
        process::abort();
    }
}

/// Takes one passing away. Whether it was the last one.
fn is_fatal(folder: &Path, point: Point) -> bool {
    let taken = (1..=LAST_PASSING).rev().find(|nth| fs::remove_file(folder.join(format!("{point:?}.{nth}"))).is_ok());
    taken == Some(1)
}

#[cfg(test)]
mod tests;
