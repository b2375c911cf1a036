//! Error of the file commands.

use std::io;
use std::path::PathBuf;

/// Reason why a file command has failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error("{path}")]
    System {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{0} is not beneath file_roots")]
    Outside(PathBuf),
    #[error("{0} names no file")]
    NoName(PathBuf),
    #[error("{0} is a directory")]
    Directory(PathBuf),
    #[error("{0} is not removed: it is too high up for a command of a task, and no file_roots are set")]
    TooHigh(PathBuf),
    #[error("{0} is another file system, and is not removed")]
    Mount(PathBuf),
    #[error("{0} is too deep to be removed")]
    TooDeep(PathBuf),
    #[error("{0} has no free name beside it")]
    NoFreeName(PathBuf),
}
