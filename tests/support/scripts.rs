//! Scripts for runs, among them one that waits for the test.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tempfile::TempDir;

/// Prints this line and ends well.
pub fn prints(line: &str) -> String {
    format!("#!/bin/sh\necho '{line}'\n")
}

/// Prints a line and ends with this status.
pub fn exits_with(status: i32) -> String {
    format!("#!/bin/sh\necho leaving with {status}\nexit {status}\n")
}

/// A door in the middle of a script. Scripts write to its trace when they begin and when they end, so
/// that executions can be counted and overlaps be seen; in between they wait to be let through.
pub struct Latch {
    folder: TempDir,
    /// Open for both directions: neither side ever waits for the other in opening.
    pipe: File,
}

impl Latch {
    pub fn new() -> Self {
        let folder = TempDir::with_prefix("latch-").expect("a temporary folder");
        let path = folder.path().join("pipe");
        mkfifo(&path, Mode::S_IRWXU).expect("a new pipe");
        let pipe = OpenOptions::new().read(true).write(true).open(path).expect("our own pipe");
        Self { folder, pipe }
    }

    /// Says `waiting` in its log and `begin NAME` in the trace, waits at the latch, says `through` and
    /// `end NAME`.
    pub fn script(&self, name: &str) -> String {
        let folder = self.folder.path().display();
        format!(
            "#!/bin/sh\necho 'begin {name}' >> {folder}/trace\necho waiting\nread go < {folder}/pipe\n\
             echo through\necho 'end {name}' >> {folder}/trace\n"
        )
    }

    /// Says `begin NAME` and `end NAME` in the trace, without waiting.
    pub fn straight_script(&self, name: &str) -> String {
        let trace = self.trace_path();
        let trace = trace.display();
        format!("#!/bin/sh\necho 'begin {name}' >> {trace}\necho 'end {name}' >> {trace}\n")
    }

    /// Lets so many scripts through, those that wait and those that will.
    pub fn let_through(&self, count: usize) {
        (&self.pipe).write_all("go\n".repeat(count).as_bytes()).expect("room in the pipe");
    }

    pub fn trace_path(&self) -> PathBuf {
        self.folder.path().join("trace")
    }

    /// The lines of the trace in order.
    pub fn trace(&self) -> Vec<String> {
        let text = fs::read_to_string(self.trace_path()).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// How often the script of this name was executed.
    pub fn executions(&self, name: &str) -> usize {
        self.trace().iter().filter(|line| **line == format!("begin {name}")).count()
    }

    /// The most scripts that were under way together. Wrong once one was killed.
    pub fn most_at_once(&self) -> usize {
        let (mut now, mut most) = (0_usize, 0);
        for line in self.trace() {
            now = if line.starts_with("begin") { now + 1 } else { now.saturating_sub(1) };
            most = most.max(now);
        }
        most
    }
}

impl Default for Latch {
    fn default() -> Self {
        Self::new()
    }
}
