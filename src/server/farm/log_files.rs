//! Logs of tasks: a file for each, to which workers append. When a task is given to a worker, the file of before is kept
//! under a number, as Flamenco Manager does.
//!
//! Paths are made of ids, which are hexadecimal digits, and of nothing that a client says.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::wire::flamenco::ObjectId;

#[cfg(test)]
mod tests;

/// Files of earlier workers that are kept of one task.
const KEPT: u32 = 10;
/// Log up to which an excerpt is the whole, in bytes.
const WHOLE: u64 = 15 * 1024;
/// Beginning and end of a longer log that an excerpt has, in bytes.
const HEAD: u64 = 5 * 1024;
const TAIL: u64 = 10 * 1024;
/// Last line of a log that has reached its largest size.
const FULL: &[u8] = b"\n... the log is full; further lines are not kept\n";

/// Directory with the logs of all tasks. Cheap to clone. Its functions block, except [`LogFolder::with`].
#[derive(Clone, Debug)]
pub struct LogFolder {
    folder: Arc<Path>,
    max_log: u64,
}

impl LogFolder {
    /// Names a directory, which is made with the first log. A log takes at most `max_log` bytes.
    #[must_use]
    pub fn new(folder: PathBuf, max_log: u64) -> Self {
        Self { folder: folder.into(), max_log }
    }

    /// Does something with the logs on a thread that may wait for a disk.
    ///
    /// # Errors
    /// Those of `work`, and its panic as one.
    pub async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let logs = self.clone();
        tokio::task::spawn_blocking(move || work(&logs)).await.unwrap_or_else(|panic| Err(io::Error::other(panic)))
    }

    /// Returns the path of a task's log.
    #[must_use]
    pub fn path(&self, job: ObjectId, task: ObjectId) -> PathBuf {
        let job = job.to_string();
        self.folder.join(format!("job-{}", &job[..4])).join(job).join(format!("task-{task}.txt"))
    }

    /// Appends text to the log of a task, and a line feed where it ends without one.
    ///
    /// # Errors
    /// If the file cannot be made or written.
    pub fn append(&self, job: ObjectId, task: ObjectId, text: &str) -> io::Result<()> {
        let path = self.path(job, task);
        if let Some(folder) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        // Opened anew each time: thousands of tasks would hold thousands of descriptors.
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
        let length = file.metadata()?.len();
        if length >= self.max_log {
            return Ok(());
        }
        let mut bytes = text.as_bytes().to_vec();
        if !bytes.ends_with(b"\n") {
            bytes.push(b'\n');
        }
        let room = usize::try_from(self.max_log - length).unwrap_or(usize::MAX);
        if bytes.len() >= room {
            bytes.truncate(room);
            bytes.extend_from_slice(FULL);
        }
        // One call, so that lines of two updates are not mixed.
        file.write_all(&bytes)
    }

    /// Keeps the log of a task under a number, so that the next line begins a new file. Without a log nothing happens.
    ///
    /// # Errors
    /// If a file cannot be renamed.
    pub fn rotate(&self, job: ObjectId, task: ObjectId) -> io::Result<()> {
        let path = self.path(job, task);
        if !path.exists() {
            return Ok(());
        }
        let numbered = |number: u32| {
            let mut name = path.as_os_str().to_owned();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        let free = (1..KEPT).find(|number| !numbered(*number).exists()).unwrap_or(KEPT);
        // From the end, so that no file is overwritten but the oldest one.
        for number in (1..free).rev() {
            fs::rename(numbered(number), numbered(number + 1))?;
        }
        fs::rename(&path, numbered(1))
    }

    /// Opens the log of a task; `None` if it has none.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn open(&self, job: ObjectId, task: ObjectId) -> io::Result<Option<File>> {
        match File::open(self.path(job, task)) {
            Ok(file) => Ok(Some(file)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Reads the beginning and the end of a task's log, or all of a short one; `None` if the task has none.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn excerpt(&self, job: ObjectId, task: ObjectId) -> io::Result<Option<Vec<u8>>> {
        let Some(mut file) = self.open(job, task)? else { return Ok(None) };
        let length = file.metadata()?.len();
        let mut excerpt = Vec::new();
        if length < WHOLE {
            file.take(WHOLE).read_to_end(&mut excerpt)?;
            return Ok(Some(excerpt));
        }
        (&mut file).take(HEAD).read_to_end(&mut excerpt)?;
        let mut tail = Vec::new();
        file.seek(SeekFrom::Start(length - TAIL))?;
        file.take(TAIL).read_to_end(&mut tail)?;
        // A line that is cut at its beginning says nothing.
        let line = tail.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let skipped = length - HEAD - (tail.len() - line) as u64;
        excerpt.extend_from_slice(format!("\n\n...Skipped {skipped} bytes...\n\n").as_bytes());
        excerpt.extend_from_slice(&tail[line..]);
        Ok(Some(excerpt))
    }
}
